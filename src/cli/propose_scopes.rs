//! `fix-phases --propose`: proposes the scopes of queued phases that name no path, and accepts withheld files.

use serde_json::{Value, json};

use super::attempt_setup::{build_drain_context, check_sandbox, choose_views, open_repository};
use super::{Context, agent_choice, autofix_limits, calibration_in_force, open_database};
use crate::attempt::{DrainContext, Estimator};
use crate::config::{AgentSettings, ReplayAgentSettings, Settings};
use crate::drain::{ProposalsEnd, RegisteredDrain, Signals, propose_scopes};
use crate::failure::{Exit, Failure};
use crate::memory::{AutostartPermission, OpenMemory};
use crate::phase::{FixedSpec, PhaseId, PhaseState, RunId};
use crate::process::StopReceiver;
use crate::progress::{
    LabeledPage, Mode, PhaseFinished, dollars, screen, shown_message, shown_phase,
};
use crate::store::{AcceptedBy, KeptProposal, PhaseRow, Store};

/// Name of the stand-in for an agent: the memory's index answers.
const INDEX: &str = "memory";
/// Width of the labels.
const LABEL: usize = 12;

/// Proposals of a command, for its output.
#[derive(Default)]
pub(super) struct ProposalReport {
    phases: Vec<(RunId, PhaseId, Option<KeptProposal>)>,
    /// Phases without a proposal, with the reason.
    failed: Vec<PhaseFinished>,
    /// Why the proposals ended early.
    stopped: Option<String>,
    exit: Option<Exit>,
}

/// Proposes the scopes of the queued phases of these runs; with `accept`, opens the files that were left out.
///
/// # Errors
/// An agent cannot be started, a run belongs to another repository, or git, the disk or the database fails.
pub(super) async fn propose(
    context: &Context,
    store: &Store,
    run: Option<&RunId>,
    accept: bool,
) -> Result<ProposalReport, Failure> {
    let config = context.config()?;
    let repo = open_repository(context).await?;
    let fix = autofix_limits::fixer(&config.settings, repo.root());
    let queued = queued_phases(store, run).await?;
    let wanted: Vec<(RunId, PhaseId)> = queued
        .iter()
        .filter(|row| {
            let repair = fix(&row.spec, row.last_failure.as_ref());
            !row.held && repair.result.as_ref().is_ok_and(FixedSpec::needs_scope)
        })
        .map(|row| (row.run_id.clone(), row.phase_id.clone()))
        .collect();
    let mut report = ProposalReport::default();
    if !wanted.is_empty() {
        if !config.settings.agents.named.is_empty() {
            agent_choice::check_agents(None, context).await?;
        }
        check_sandbox(context, &repo, store)?;
        super::price_check::check(&config.settings, &context.workspace()?, None)?;
        let runs = runs_of(&wanted);
        for run in &runs {
            let facts = store.run(run).await?.facts;
            open_database::check_repository(run, facts.as_ref(), &repo, "propose scopes there")?;
        }
        repo.prepare_directory()?;
        repo.slots_directory()?;
        let views = choose_views(context, &repo, store).await?;
        let OpenMemory { memory, .. } =
            super::memory::open(context, AutostartPermission::CheckOnly).await?;
        let estimator =
            Estimator::new(calibration_in_force::active(store).await?, repo.root().to_owned());
        let mut drain_context =
            build_drain_context(context, repo, store.clone(), Mode::Notes, views)?
                .with_memory(memory.clone())
                .with_estimator(estimator);
        stand_in_for_agent(&mut drain_context.settings);
        let (handle, stop) = StopReceiver::pair();
        let signals = Signals::listen(handle)?;
        report.run(&drain_context, &fix, &wanted, &signals, &stop).await?;
        super::memory::close(&memory).await;
    }
    for (run, phase) in wanted {
        let kept = store.scope_proposals(&run, &phase).await?.into_iter().next();
        let is_failed = report.failed.iter().any(|f| f.run_id == run && f.phase_id == phase);
        if !is_failed {
            report.phases.push((run, phase, kept));
        }
    }
    if accept {
        report.accept(store, run).await?;
    }
    Ok(report)
}

/// Without an agent, the memory's index proposes.
fn stand_in_for_agent(settings: &mut Settings) {
    if settings.agents.named.is_empty() {
        let replay = ReplayAgentSettings { folder: String::new() };
        settings.agents.named.insert(INDEX.to_owned(), AgentSettings::Replay(replay));
        settings.agents.default = Some(INDEX.to_owned());
    }
}

async fn queued_phases(store: &Store, run: Option<&RunId>) -> Result<Vec<PhaseRow>, Failure> {
    let runs = match run {
        Some(run) => vec![run.clone()],
        None => store.run_ids_by_use().await?,
    };
    let mut rows = Vec::new();
    for run in runs {
        rows.extend(store.phases(&run, Some(PhaseState::Queued)).await?);
    }
    Ok(rows)
}

fn runs_of(phases: &[(RunId, PhaseId)]) -> Vec<RunId> {
    let mut runs: Vec<RunId> = Vec::new();
    for (run, _) in phases {
        if !runs.contains(run) {
            runs.push(run.clone());
        }
    }
    runs
}

impl ProposalReport {
    async fn run(
        &mut self,
        context: &DrainContext,
        fix: &crate::store::Fixer<'_>,
        wanted: &[(RunId, PhaseId)],
        signals: &Signals,
        stop: &StopReceiver,
    ) -> Result<(), Failure> {
        let executor = &context.settings.executor;
        let runs = runs_of(wanted);
        let registered =
            RegisteredDrain::register(&context.store, &context.repo, &runs, executor, signals)
                .await?;
        let failed = &mut self.failed;
        let mut on = |phase: PhaseFinished| {
            if phase.failure.is_some() {
                failed.push(phase);
            }
        };
        match propose_scopes(context, &registered, fix, wanted, stop, &mut on).await? {
            ProposalsEnd::Done => {}
            ProposalsEnd::Budget(budget) => {
                self.stopped = Some(budget.why);
                self.exit = Some(Exit::Systemic);
            }
            ProposalsEnd::Stopped => {
                self.stopped = Some("stopped; the drain proposes the rest".to_owned());
                self.exit = Some(signals.exit());
            }
        }
        Ok(())
    }

    /// Adds the files left out to the scopes of queued phases whose scope is still the proposed one.
    async fn accept(&mut self, store: &Store, run: Option<&RunId>) -> Result<(), Failure> {
        for row in queued_phases(store, run).await? {
            let kept = store.scope_proposals(&row.run_id, &row.phase_id).await?;
            let Some(mut kept) = kept.into_iter().next() else { continue };
            let paths: Value =
                kept.proposal.paths.iter().map(|path| Value::from(path.path.clone())).collect();
            if kept.proposal.withheld.is_empty() || row.spec.0["scope"]["paths"] != paths {
                continue;
            }
            kept.proposal.accept_withheld();
            kept.accepted_by = AcceptedBy::Operator;
            if !store.accept_proposal(&row.run_id, &row.phase_id, &row.spec, &kept).await? {
                continue;
            }
            let key = |known: &&mut (RunId, PhaseId, Option<KeptProposal>)| {
                known.0 == row.run_id && known.1 == row.phase_id
            };
            match self.phases.iter_mut().find(key) {
                Some(known) => known.2 = Some(kept),
                None => self.phases.push((row.run_id, row.phase_id, Some(kept))),
            }
        }
        Ok(())
    }

    /// Returns the exit code: a spent budget or a stop, else success.
    pub fn exit(&self) -> Exit {
        self.exit.unwrap_or(Exit::Done)
    }

    /// Returns the list of proposals for scripts.
    pub fn as_json(&self) -> Value {
        let made = self.phases.iter().map(|(run, phase, kept)| {
            let mut value = kept.as_ref().map_or_else(|| json!({}), proposal_json);
            value["run_id"] = json!(run);
            value["phase_id"] = json!(phase);
            value["failure"] = Value::Null;
            value
        });
        let failed = self.failed.iter().map(|phase| {
            json!({
                "run_id": phase.run_id,
                "phase_id": phase.phase_id,
                "failure": phase.failure.as_ref().map(crate::phase::Failure::as_json),
            })
        });
        made.chain(failed).collect()
    }

    /// Returns the proposals for people.
    pub fn text(&self) -> String {
        let mut page = LabeledPage::new(LABEL, screen::output_columns(), console::colors_enabled());
        let mut count = 0;
        let mut has_withheld = false;
        for (run, phase, kept) in &self.phases {
            let Some(kept) = kept else { continue };
            let label = if count == 0 { "proposed" } else { "" };
            count += 1;
            has_withheld |= !kept.proposal.withheld.is_empty();
            let name = shown_phase(run, phase, true);
            page.message(label, &format!("{name}: {}", shown_message(&describe(kept))));
        }
        for (n, phase) in self.failed.iter().enumerate() {
            let name = shown_phase(&phase.run_id, &phase.phase_id, true);
            let why = phase.failure.as_ref().map_or("", |failure| &failure.message);
            let label = if n == 0 { "no scope" } else { "" };
            page.message(label, &format!("{name}: {}", shown_message(why)));
        }
        if has_withheld {
            page.command("", "open the files left out: autopack fix-phases --propose --accept");
        }
        if let Some(why) = &self.stopped {
            page.message("ended", &shown_message(why));
        }
        page.into_text()
    }
}

/// Describes a kept proposal in a line: paths, origin, confidence, cost.
pub(super) fn describe(kept: &KeptProposal) -> String {
    let proposal = &kept.proposal;
    let paths: Vec<&str> = proposal.paths.iter().map(|path| path.path.as_str()).collect();
    let mut text = format!(
        "{} ({}, confidence {}",
        paths.join(", "),
        proposal.origin,
        proposal.confidence.as_str()
    );
    if let Some(cost) = kept.cost_usd {
        text += &format!(", {}", dollars(cost));
    }
    text.push(')');
    let held: Vec<&str> = proposal.withheld.iter().map(|held| held.path.path.as_str()).collect();
    if !held.is_empty() {
        text += &format!("; left out: {}", held.join(", "));
    }
    if kept.accepted_by == AcceptedBy::Operator {
        text += "; accepted by you";
    }
    text
}

/// Returns a kept proposal for scripts.
pub(super) fn proposal_json(kept: &KeptProposal) -> Value {
    let mut value = kept.proposal.as_json();
    value["commit"] = json!(kept.commit);
    value["tokens"] = json!(kept.tokens);
    value["cost_usd"] = json!(kept.cost_usd);
    value["created_at"] = json!(open_database::time(kept.created_at));
    value["accepted_by"] = json!(kept.accepted_by.as_str());
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::UnixMs;
    use crate::phase::proposal::{
        Confidence, Origin, PathRole, Proposal, ProposedPath, WithheldPath,
    };

    #[test]
    fn a_proposal_is_described_with_origin_confidence_and_cost() {
        let path = |path: &str| ProposedPath {
            path: path.to_owned(),
            role: PathRole::Scope,
            reason: None,
            exists: true,
        };
        let kept = KeptProposal {
            spec_digest: String::new(),
            commit: "c".to_owned(),
            proposal: Proposal {
                origin: Origin::Agent("fake".to_owned()),
                confidence: Confidence::High,
                paths: vec![path("src/a.py"), path("src/b.py")],
                withheld: vec![WithheldPath { path: path("Makefile"), why: String::new() }],
                refused: Vec::new(),
            },
            tokens: Some(7),
            cost_usd: Some(0.25),
            created_at: UnixMs(0),
            accepted_by: AcceptedBy::Operator,
        };
        assert_eq!(
            describe(&kept),
            "src/a.py, src/b.py (agent fake, confidence high, $0.25); left out: Makefile; accepted by you"
        );
        assert_eq!(proposal_json(&kept)["accepted_by"], "operator");
    }
}
