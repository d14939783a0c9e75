//! Text of `drain --dry-run`: obstacles first, then order, agents, cost, time and waves. 40 phases fit 24 rows. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::output::repair_kinds::RepairKinds;
use super::output::table::counted;
use crate::drain::{Forecast, PlannedPhase, Range, Waves};
use crate::phase::repair::is_ignored_setting;
use crate::phase::words::{first_few, quoted};
use crate::phase::{PhaseId, RunId, UnixMs};
use crate::progress::{
    LabeledPage, dollars, duration, shown_id, shown_message, shown_phase, thousands,
};

/// Width of the labels.
const LABEL: usize = 12;
/// Obstacles listed; the rest are counted.
const OBSTACLES: usize = 5;
/// Phases named in a list.
const NAMED: usize = 8;
/// Phases named beside an obstacle.
const NAMED_WITH: usize = 3;
/// Waves listed by size.
const LISTED_WAVES: usize = 20;

/// What a preview shows beside the phases.
pub(super) struct PreviewFacts {
    /// Expected cost and time.
    pub forecast: Forecast,
    /// Average cost of earlier scope proposals in US dollars, if known.
    pub proposal_cost_usd: Option<f64>,
    /// Phases side by side; `None` if not simulated.
    pub waves: Option<Waves>,
    /// Number of workers.
    pub jobs: u32,
    /// Time window in words.
    pub window: Option<String>,
    /// Whether names of phases include their run.
    pub several: bool,
    /// Present time.
    pub now: UnixMs,
}

/// Formats the plan of a drain.
pub(super) fn preview_text(
    planned: &[PlannedPhase],
    facts: &PreviewFacts,
    columns: Option<usize>,
    color: bool,
) -> String {
    let mut page = LabeledPage::new(LABEL, columns, color);
    let will_run: Vec<&PlannedPhase> =
        planned.iter().filter(|phase| phase.order.is_some()).collect();
    obstacles(&mut page, planned, facts);
    protected(&mut page, &will_run, facts);
    if !will_run.is_empty() {
        order(&mut page, &will_run, facts);
        scopes(&mut page, &will_run, facts);
        usage(&mut page, &will_run, facts);
        repairs(&mut page, &will_run, facts);
    }
    let (run, not) = (counted(will_run.len() as u64, "phase"), planned.len() - will_run.len());
    format!("{run} would run, {not} would not\n{}", page.into_text())
}

/// Lists what cannot run and why: refused specs, and phases behind others.
fn obstacles(page: &mut LabeledPage, planned: &[PlannedPhase], facts: &PreviewFacts) {
    let mut groups: Vec<(String, Vec<&PlannedPhase>)> = Vec::new();
    let roots = find_roots(planned);
    for phase in planned.iter().filter(|phase| phase.order.is_none()) {
        let why = match (&phase.unfixable, roots.get(&(&phase.run_id, &phase.phase_id))) {
            (Some(why), _) => shown_message(why),
            (None, None) if phase.held => "held until `autopack resume`".to_owned(),
            (None, None) if let Some(label) = &phase.missing_label => needs_label(label),
            (None, Some(root)) => {
                format!("behind {}", shown_phase(&phase.run_id, root, facts.several))
            }
            (None, None) => "waits".to_owned(),
        };
        match groups.iter_mut().find(|(known, _)| *known == why) {
            Some((_, phases)) => phases.push(phase),
            None => groups.push((why, vec![phase])),
        }
    }
    for (n, (why, phases)) in groups.iter().take(OBSTACLES).enumerate() {
        let label = if n == 0 { "cannot run" } else { "" };
        page.message(label, &format!("{}: {why}", names(phases, NAMED_WITH, facts.several)));
    }
    let more: usize = groups.iter().skip(OBSTACLES).map(|(_, phases)| phases.len()).sum();
    if more > 0 {
        page.prose("", &format!("… and {more} more; -v lists each phase"));
    }
    if let Some(phase) = planned.iter().find(|phase| phase.unfixable.is_some()) {
        let first = shown_phase(&phase.run_id, &phase.phase_id, true);
        page.command("", &format!("repair a spec: autopack phases edit {}", quoted(&first)));
    }
}

/// Says on which machine a phase runs.
pub(super) fn needs_label(label: &str) -> String {
    format!("needs a machine with the label {}", shown_id(label))
}

/// Returns, for each phase behind others, the phase at the start of its chain.
fn find_roots(planned: &[PlannedPhase]) -> HashMap<(&RunId, &PhaseId), &PhaseId> {
    let first: HashMap<(&RunId, &PhaseId), &PhaseId> = planned
        .iter()
        .filter_map(|phase| Some(((&phase.run_id, &phase.phase_id), phase.waits_for.first()?)))
        .collect();
    let root = |(run, phase): (&RunId, &PhaseId)| {
        let mut at = first[&(run, phase)];
        // Dependencies have no cycle; the bound is for odd rows.
        for _ in 0..first.len() {
            match first.get(&(run, at)) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    };
    first.keys().map(|key| (*key, root(*key))).collect()
}

/// Lists phases that may change protected paths.
fn protected(page: &mut LabeledPage, will_run: &[&PlannedPhase], facts: &PreviewFacts) {
    let touching: Vec<String> = will_run
        .iter()
        .filter(|phase| !phase.protected_paths.is_empty())
        .map(|phase| {
            let id = shown_phase(&phase.run_id, &phase.phase_id, facts.several);
            format!("{id} may change {}", first_few(&phase.protected_paths, NAMED_WITH))
        })
        .collect();
    if !touching.is_empty() {
        let list = shown_message(&first_few(&touching, NAMED_WITH));
        page.message("protected", &format!("{list} (allow_protected)"));
    }
}

/// Describes rate limits, the order of the phases and their agents.
fn order(page: &mut LabeledPage, will_run: &[&PlannedPhase], facts: &PreviewFacts) {
    let left = |phase: &&&PlannedPhase| phase.not_before.filter(|until| until.0 > facts.now.0);
    let limited: Vec<UnixMs> = will_run.iter().filter_map(|phase| left(&phase)).collect();
    if let Some(first) = limited.iter().min() {
        let wait = duration(first.since(facts.now));
        let count = counted(limited.len() as u64, "phase");
        page.prose("limited", &format!("{count} rate limited, the first for another {wait}"));
    }
    page.prose("order", &names(will_run, NAMED, facts.several));
    let mut agents: BTreeMap<&str, usize> = BTreeMap::new();
    for phase in will_run {
        *agents.entry(phase.agent.as_deref().unwrap_or("none")).or_default() += 1;
    }
    let agents: Vec<String> = match agents.len() {
        1 => agents.keys().map(|agent| shown_id(agent)).collect(),
        _ => agents.iter().map(|(agent, n)| format!("{} {n}", shown_id(agent))).collect(),
    };
    page.prose("agents", &agents.join(", "));
}

/// Counts the phases whose scope is proposed first, and those with a proposed scope.
fn scopes(page: &mut LabeledPage, will_run: &[&PlannedPhase], facts: &PreviewFacts) {
    let due = will_run.iter().filter(|phase| phase.needs_scope).count() as u64;
    let made = will_run.iter().filter(|phase| phase.scope_proposed_by.is_some()).count() as u64;
    if due > 0 {
        let get = if due == 1 { "gets" } else { "get" };
        let cost = match facts.proposal_cost_usd {
            Some(cost) => format!(", about {} more", dollars(cost * due as f64)),
            None => ", at a cost not known yet".to_owned(),
        };
        let phases = counted(due, "phase");
        page.prose("scope", &format!("{phases} {get} a scope proposal first{cost}"));
    }
    if made > 0 {
        let label = if due > 0 { "" } else { "scope" };
        let has = if made == 1 { "has" } else { "have" };
        page.prose(label, &format!("{} {has} a proposed scope", counted(made, "phase")));
    }
}

/// Describes tokens, cost, time and waves.
fn usage(page: &mut LabeledPage, will_run: &[&PlannedPhase], facts: &PreviewFacts) {
    let tokens = will_run.iter().filter_map(|phase| phase.estimated_output_tokens).sum();
    let Forecast { cost_usd, tokens: billed, seconds, phases } = facts.forecast;
    let estimate = format!("about {} out, in one attempt each", thousands(tokens));
    let count = |count: f64| thousands(count.max(0.0).round() as u64);
    page.prose(
        "tokens",
        &billed.map_or_else(
            || estimate.clone(),
            |range| format!("{} in and out; {estimate}", describe(range, count)),
        ),
    );
    let basis = format!("from {} that ended before", counted(phases as u64, "phase"));
    let cost = cost_usd.map(|range| format!("{}, {basis}", describe(range, dollars)));
    page.prose(
        "cost",
        &cost.unwrap_or_else(|| "unknown: too few phases with a cost ended before".to_owned()),
    );
    let time = |range: Range| describe(range, |seconds| duration(Duration::from_secs_f64(seconds)));
    match seconds {
        Some(range) => page.prose("time", &format!("{} with 1 worker", time(range))),
        None => page.prose("time", "unknown: too few phases ended before"),
    }
    if let Some(window) = &facts.window {
        page.prose("window", window);
    }
    let Some(waves) = facts.waves.as_ref().filter(|_| facts.jobs > 1) else { return };
    let sizes: Vec<String> = waves.sizes.iter().map(ToString::to_string).collect();
    let listed = sizes[..sizes.len().min(LISTED_WAVES)].join(" ");
    let more = if sizes.len() > LISTED_WAVES { " …" } else { "" };
    let with_all = seconds.map_or_else(String::new, |range| {
        format!(": {}", time(range.divided_by(waves.speed_up.max(1.0))))
    });
    page.prose(
        "workers",
        &format!("{}, about {:.1} times as fast{with_all}", facts.jobs, waves.speed_up),
    );
    page.prose(
        "",
        &format!("{} of phases side by side: {listed}{more}", counted(sizes.len() as u64, "wave")),
    );
}

/// Lists settings without effect, and counts the repairs by kind.
fn repairs(page: &mut LabeledPage, will_run: &[&PlannedPhase], facts: &PreviewFacts) {
    let ignored = will_run.iter().flat_map(|phase| {
        let id = shown_phase(&phase.run_id, &phase.phase_id, facts.several);
        let fixes = phase.fixes.iter().filter(|fix| is_ignored_setting(fix));
        fixes.map(move |fix| format!("{id}: {fix}"))
    });
    for (n, text) in ignored.take(NAMED_WITH).enumerate() {
        page.message(if n == 0 { "ignored" } else { "" }, &shown_message(&text));
    }
    let mut kinds = RepairKinds::default();
    will_run.iter().for_each(|phase| kinds.add(&phase.fixes));
    if let Some(kinds) = kinds.describe() {
        let phases = will_run.iter().filter(|phase| !phase.fixes.is_empty()).count();
        page.prose("repairs", &format!("{}: {kinds}", counted(phases as u64, "phase")));
    }
}

fn describe(range: Range, format: impl Fn(f64) -> String) -> String {
    let Range { low, expected, high } = range;
    format!("about {} ({} to {})", format(expected), format(low), format(high))
}

fn names(phases: &[&PlannedPhase], few: usize, several: bool) -> String {
    let names: Vec<String> =
        phases.iter().map(|phase| shown_phase(&phase.run_id, &phase.phase_id, several)).collect();
    first_few(&names, few)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::width;

    /// 40 phases: 36 run, an unfixable spec, and 3 behind that phase.
    fn backlog() -> Vec<PlannedPhase> {
        let phase = |n: usize| PlannedPhase {
            order: (n <= 36).then_some(n),
            agent: Some(if n.is_multiple_of(4) { "codex" } else { "claude" }.to_owned()),
            estimated_output_tokens: (n <= 36).then_some(2_500),
            fixes: match n % 3 {
                0 => vec!["deliverables: rewrote \"./a.py (new)\"".to_owned()],
                _ => Vec::new(),
            },
            unfixable: (n == 37).then(|| {
                "deliverables: \"../elsewhere/a.py\" leaves the repository through `..`".to_owned()
            }),
            waits_for: match n {
                38 => vec![PhaseId::new("phase-37")],
                39 | 40 => vec![PhaseId::new("phase-38")],
                _ => Vec::new(),
            },
            protected_paths: if n == 5 { vec![".github/ci.yml".to_owned()] } else { Vec::new() },
            ..PlannedPhase::sample(&format!("phase-{n}"))
        };
        (1..=40).map(phase).collect()
    }

    fn facts(jobs: u32) -> PreviewFacts {
        let range = |low, expected, high| Some(Range { low, expected, high });
        PreviewFacts {
            forecast: Forecast {
                cost_usd: range(2.8, 4.1, 6.0),
                tokens: range(1_900_000.0, 2_400_000.0, 3_100_000.0),
                seconds: range(7_200.0, 11_400.0, 14_400.0),
                phases: 12,
            },
            proposal_cost_usd: None,
            waves: Some(Waves { sizes: vec![4; 9], speed_up: 3.1 }),
            jobs,
            window: None,
            several: false,
            now: UnixMs(0),
        }
    }

    #[test]
    fn a_dry_run_of_40_phases_fits_the_screen() {
        let text = preview_text(&backlog(), &facts(4), Some(80), false);
        assert!(text.lines().count() < 24 && text.lines().all(|line| width(line) <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_history_cost_and_time_are_unknown() {
        let facts = PreviewFacts { forecast: Forecast::default(), ..facts(1) };
        let text = preview_text(&backlog(), &facts, None, false);
        assert!(
            text.contains("cost        unknown") && text.contains("time        unknown"),
            "{text}"
        );
        assert!(!text.contains("workers"), "{text}");
    }
}
