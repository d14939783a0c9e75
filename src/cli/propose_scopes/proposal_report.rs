//! Results of proposals, for people and for scripts.

use serde_json::{Value, json};

use crate::cli::open_database;
use crate::failure::Exit;
use crate::phase::proposal::{proposed_by, text_digest};
use crate::phase::{Failure, FixedSpec, PhaseId, RunId};
use crate::progress::{LabeledPage, PhaseFinished, dollars, screen, shown_message, shown_phase};
use crate::store::{AcceptedBy, KeptProposal};

/// Width of the labels.
const LABEL: usize = 12;

/// Proposals of a command, for its output.
#[derive(Default)]
pub(in crate::cli) struct ProposalReport {
    pub(super) phases: Vec<(RunId, PhaseId, Option<KeptProposal>)>,
    /// Phases without a proposal, with the reason.
    pub(super) failed: Vec<PhaseFinished>,
    /// Why the proposals ended early.
    pub(super) stopped: Option<String>,
    pub(super) exit: Option<Exit>,
}

impl ProposalReport {
    /// Adds the proposal of a phase, in place of an earlier proposal.
    pub(super) fn add(&mut self, run: RunId, phase: PhaseId, kept: Option<KeptProposal>) {
        self.failed.retain(|failed| failed.run_id != run || failed.phase_id != phase);
        match self.phases.iter_mut().find(|known| known.0 == run && known.1 == phase) {
            Some(known) => known.2 = kept,
            None => self.phases.push((run, phase, kept)),
        }
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
                "failure": phase.failure.as_ref().map(Failure::as_json),
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

/// Returns the proposal in effect: the origin of the scope, or a proposal for the present text. The author's own scope
/// ends proposals.
pub(in crate::cli) fn proposal_in_effect<'k>(
    kept: &'k [KeptProposal],
    spec: &FixedSpec,
) -> Option<&'k KeptProposal> {
    let digest = text_digest(spec);
    let of_text = kept.iter().find(|kept| kept.spec_digest == digest);
    match proposed_by(spec) {
        Some(_) => of_text.or(kept.first()),
        None => of_text.filter(|_| spec.needs_scope()),
    }
}

/// Describes a kept proposal in a line: paths, origin, confidence, cost.
pub(in crate::cli) fn describe(kept: &KeptProposal) -> String {
    let proposal = &kept.proposal;
    let mut paths: Vec<&str> = proposal.paths.iter().map(|path| path.path.as_str()).collect();
    if paths.is_empty() {
        paths.push("no file that opens by itself");
    }
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
pub(in crate::cli) fn proposal_json(kept: &KeptProposal) -> Value {
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
