//! `drain --dry-run`: the plan of a drain on one screen, with `-v` also each phase. Writes nothing.

use super::preview_text::{PreviewFacts, needs_label, preview_text};
use super::{Context, autofix_limits, calibration_in_force};
use crate::attempt::Estimator;
use crate::clock::now;
use crate::drain::{PlannedDrain, PlannedPhase, forecast, plan, plan_waves};
use crate::failure::Failure;
use crate::progress::{duration, fit, screen, shown_id, shown_message, thousands, width, wrap};
use crate::store::{RunSummary, Store};

/// Ended phases read for a forecast.
const HISTORY: u32 = 500;
/// Indentation of the remarks of a phase, in columns.
const REMARK_INDENT: usize = 7;
/// Minimum width of an id or a line on a terminal.
const MIN_WIDTH: usize = 12;

/// A dry run.
pub(super) struct Preview<'a> {
    /// Agent given on the command line.
    pub agent: Option<&'a str>,
    /// Number of workers.
    pub jobs: u32,
    /// Labels of the machine.
    pub labels: &'a [String],
    /// Print JSON.
    pub json: bool,
    /// Time window in words.
    pub window: Option<String>,
}

impl Preview<'_> {
    /// Prints the plan of these runs; an empty plan without a database.
    pub async fn print(
        &self,
        context: &Context,
        opened: Option<(&Store, &[RunSummary])>,
    ) -> Result<(), Failure> {
        let settings = &context.config()?.settings;
        let workspace = context.workspace()?;
        let (mut planned, mut history, mut proposal_costs) = (Vec::new(), Vec::new(), Vec::new());
        if let Some((store, runs)) = opened {
            let fix = autofix_limits::fixer(settings, &workspace);
            let estimator =
                Estimator::new(calibration_in_force::active(store).await?, workspace.clone());
            let drain = PlannedDrain {
                fix: &fix,
                settings,
                agent: self.agent,
                labels: self.labels,
                estimator: &estimator,
            };
            for run in runs {
                planned.extend(plan(&store.phases(&run.run_id, None).await?, &drain));
            }
            history = store.settled_phases(HISTORY).await?;
            proposal_costs = store.proposal_costs(HISTORY).await?;
        }
        if self.json {
            return context.out.json(&planned);
        }
        let columns = screen::output_columns();
        let mut text = String::new();
        if context.global.verbose > 0 {
            text = planned.iter().map(|phase| phase_text(phase, columns)).collect();
        }
        let facts = PreviewFacts {
            forecast: forecast(&planned, &history),
            proposal_cost_usd: mean(&proposal_costs),
            waves: plan_waves(&planned, self.jobs),
            jobs: self.jobs,
            window: self.window.clone(),
            several: opened.is_some_and(|(_, runs)| runs.len() > 1),
            now: now(),
        };
        text += &preview_text(&planned, &facts, columns, console::colors_enabled());
        context.out.text(&text)
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Formats a phase with its remarks. Remarks wrap at `columns`; in a pipe, each remark stays on a single line.
fn phase_text(phase: &PlannedPhase, columns: Option<usize>) -> String {
    let order = phase.order.map_or_else(|| "-".to_owned(), |order| order.to_string());
    let mut facts = vec![phase.agent.clone().unwrap_or_else(|| "no agent".to_owned())];
    if let Some(tokens) = phase.estimated_output_tokens {
        facts.push(format!("about {} tokens out", thousands(tokens)));
    }
    let (mut id, facts) = (shown_id(phase.phase_id.as_str()), facts.join(" · "));
    if let Some(columns) = columns {
        id = fit(&id, columns.saturating_sub(REMARK_INDENT + 2 + width(&facts)).max(MIN_WIDTH));
    }
    let mut text = format!("{order:>5}  {id}  {facts}\n");
    let waits: Vec<&str> = phase.waits_for.iter().map(|id| id.as_str()).collect();
    let lines = phase.fixes.iter().map(|fix| format!("repair: {fix}"));
    let lines = lines.chain(phase.unfixable.iter().map(|why| format!("unfixable: {why}")));
    let waits = (!waits.is_empty()).then(|| format!("blocked: waits for {}", waits.join(", ")));
    let held = phase.held.then(|| "held until `autopack resume`".to_owned());
    let label = phase.missing_label.as_deref().map(needs_label);
    let scope = match &phase.scope_proposed_by {
        Some(origin) => Some(format!("scope: proposed by {origin}")),
        None => phase.needs_scope.then(|| "scope: proposed before the phase runs".to_owned()),
    };
    for line in
        lines.chain(scope).chain(waits).chain(held).chain(label).chain(describe_deferral(phase))
    {
        let line = shown_message(&line);
        let parts = match columns {
            Some(columns) => wrap(&line, columns.saturating_sub(REMARK_INDENT).max(MIN_WIDTH)),
            None => vec![line],
        };
        parts.iter().for_each(|part| text += &format!("{:REMARK_INDENT$}{part}\n", ""));
    }
    text
}

/// Returns the remaining rate limit of a deferred phase as text.
fn describe_deferral(phase: &PlannedPhase) -> Option<String> {
    let left = phase.not_before?.since(now());
    (!left.is_zero()).then(|| format!("rate limited for another {}", duration(left)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::PhaseId;

    #[test]
    fn a_phase_fits_the_terminal_and_has_one_remark_per_line_in_a_pipe() {
        let refused = "deliverables: \"../elsewhere/a.py\" leaves the repository through `..`, and nothing else is named";
        let phase = PlannedPhase {
            phase_id: PhaseId::new("an-id-that-goes-on-for-a-good-while".repeat(3)),
            agent: Some("fake".to_owned()),
            estimated_output_tokens: Some(1200),
            fixes: vec!["deliverables: dropped 1 listed twice".to_owned()],
            unfixable: Some(refused.to_owned()),
            ..PlannedPhase::sample("p")
        };
        for columns in [60, 80] {
            let text = phase_text(&phase, Some(columns));
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
            assert!(text.contains(" fake · about 1200 tokens out\n"), "{text}");
        }
        assert!(phase_text(&phase, None).contains(&format!("       unfixable: {refused}\n")));
    }
}
