//! Verdicts that phase after phase shares: an agent that does nothing, CI that is red without the changes too, the same
//! files outside every scope. They end the drain before all phases have used up their tries.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::attempt::steps::diff_gate::presence;
use crate::attempt::{Attempt, Trouble};
use crate::ci::{self, CiOutcome, compare};
use crate::config::AgentSettings;
use crate::memory::normalise::normalise;
use crate::phase::deliverables::Presence;
use crate::phase::words::first_few;
use crate::phase::{Failure, FailureKind, PhaseId, Verdict};
use crate::progress::Step;
use crate::workspace::Side;

/// Paths and tests in a message.
const NAMED: usize = 5;
/// Last lines of CI that are compared, and told.
const LINES: usize = 5;

/// What several phases may fail with alike.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Signature {
    /// The agent did nothing.
    NoChange,
    /// Exactly these files, which none of the phases may change.
    Breach(BTreeSet<String>),
    /// Exactly these tests.
    Tests(BTreeSet<String>),
    /// The last lines of CI, where it reports no single tests.
    Lines(Vec<String>),
}

impl Signature {
    /// `did_nothing`: the agent's silence is not explained by there being nothing to do.
    fn of(failure: &Failure, did_nothing: bool) -> Option<Self> {
        let detail = &failure.detail;
        match failure.kind {
            FailureKind::NoChange if did_nothing => Some(Self::NoChange),
            FailureKind::ScopeBreach | FailureKind::ProtectedPath => {
                let paths: BTreeSet<String> = detail.breaches.iter().cloned().collect();
                (!paths.is_empty()).then_some(Self::Breach(paths))
            }
            FailureKind::CiFailed if !detail.failing_tests.is_empty() => Some(Self::Tests(
                detail.failing_tests.iter().map(|test| test.name.clone()).collect(),
            )),
            FailureKind::CiFailed => {
                let lines = last_lines(&detail.log_tail);
                let lines: Vec<String> = lines.iter().map(|line| normalise(line)).collect();
                (!lines.is_empty()).then_some(Self::Lines(lines))
            }
            _ => None,
        }
    }

    fn is_of_ci(&self) -> bool {
        matches!(self, Self::Tests(_) | Self::Lines(_))
    }
}

fn last_lines(log: &str) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

/// What is shared by all attempts of a drain: the phases that failed alike last, in the order of their ends.
#[derive(Debug)]
pub struct Repeats {
    /// Phases; 0: never.
    limit: u32,
    /// The same for files outside of scopes.
    breach_limit: u32,
    row: Mutex<Option<(Signature, Vec<PhaseId>)>>,
    /// A sample ends by a rule of its own.
    is_sampling: AtomicBool,
}

impl Repeats {
    pub fn new(limit: u32, breach_limit: u32) -> Self {
        Self { limit, breach_limit, row: Mutex::default(), is_sampling: AtomicBool::new(false) }
    }

    /// A phase failed. The phases that failed alike in a row, once there are too many.
    fn met(&self, phase: &PhaseId, signature: Option<Signature>) -> Option<Vec<PhaseId>> {
        let mut row = self.row.lock().unwrap_or_else(PoisonError::into_inner);
        let signature = match signature {
            Some(signature) => signature,
            None => {
                *row = None;
                return None;
            }
        };
        let limit = match signature {
            Signature::Breach(_) => self.breach_limit,
            _ => self.limit,
        };
        let mut phases = match row.take() {
            Some((before, phases)) if before == signature => phases,
            _ => Vec::new(),
        };
        if !phases.contains(phase) {
            phases.push(phase.clone());
        }
        let is_full = limit > 0 && phases.len() >= limit as usize;
        let alike = is_full.then(|| phases.clone());
        *row = Some((signature, phases));
        alike
    }

    /// Nothing is counted while a few phases are tried as a sample.
    pub fn while_sampling(&self, is_sampling: bool) {
        self.is_sampling.store(is_sampling, Ordering::Relaxed);
    }

    /// Something landed, or the failures turned out to be the phases' own.
    fn reset(&self) {
        *self.row.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Attempt<'_> {
    /// Whether the agent left a deliverable missing, or did not even try. Of programs that do not report their tool calls,
    /// only what is missing tells.
    pub(crate) fn did_nothing(&self, verdict: &Verdict) -> Result<bool, Trouble> {
        if !matches!(verdict, Verdict::Failed(failure) if failure.kind == FailureKind::NoChange) {
            return Ok(false);
        }
        let is_missing = self.claim.phase.deliverables().iter().any(|path| {
            let place = self.slot.path().join(path.as_str().trim_end_matches('/'));
            !path.is_glob() && matches!(presence(&place), Presence::Absent)
        });
        let (_, agent) = self.site.agent_of(self.claim)?;
        let tells_of_tools = !matches!(
            agent,
            AgentSettings::Command(_) | AgentSettings::Replay(_) | AgentSettings::Aider(_)
        );
        Ok(is_missing || tells_of_tools && !self.used_tools.load(Ordering::Relaxed))
    }

    /// Counts the verdict. An error that ends the drain: too many phases in a row failed alike, and none of them can help
    /// it. This one's try is not charged.
    pub(crate) async fn look_for_repeats(
        &mut self,
        verdict: &Verdict,
        did_nothing: bool,
    ) -> Result<(), Trouble> {
        let repeats = &self.site.repeats;
        if repeats.is_sampling.load(Ordering::Relaxed) {
            return Ok(());
        }
        let failure = match verdict {
            Verdict::Passed { commit: Some(_) } => {
                repeats.reset();
                return Ok(());
            }
            // A phase that has nothing to do, or goes back to the queue, says nothing of the others.
            Verdict::Passed { commit: None } | Verdict::Requeued(_) => return Ok(()),
            Verdict::Failed(failure) if failure.kind == FailureKind::Unfixable => return Ok(()),
            Verdict::Failed(failure) => failure,
        };
        let signature = Signature::of(failure, did_nothing);
        let Some(phases) = repeats.met(&self.claim.phase_id, signature.clone()) else {
            return Ok(());
        };
        let Some(signature) = signature else { return Ok(()) };
        if signature.is_of_ci() && !self.base_fails_with(&signature).await? {
            self.site.repeats.reset();
            return Ok(());
        }
        Err(Trouble::Systemic(why(&signature, &phases, failure)))
    }

    /// Whether CI fails in the same way without the attempt's change.
    async fn base_fails_with(&mut self, signature: &Signature) -> Result<bool, Trouble> {
        self.step(Step::Baseline);
        let base = self.base.clone();
        if self.place_for_ci(&base).await?.is_some() {
            return Ok(false);
        }
        let plans = [Some(self.ci_plan(Side::Ci).await), ci::check_plan(self.claim.phase.ci())];
        for plan in plans.into_iter().flatten() {
            let run = self.run_ci(&plan).await?;
            if matches!(run.outcome(), CiOutcome::Stopped) {
                return Ok(false);
            }
            let judgement = compare(&run, None, &|_| false);
            let failure = ci::failure(&plan, &run, &judgement);
            if failure.and_then(|failure| Signature::of(&failure, false)).as_ref()
                == Some(signature)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Which phases, what they share, the last lines, and what to do.
fn why(signature: &Signature, phases: &[PhaseId], failure: &Failure) -> String {
    let names: Vec<&str> = phases.iter().map(PhaseId::as_str).collect();
    let row = format!("{} phases in a row ({})", names.len(), names.join(", "));
    let lines = last_lines(&failure.detail.log_tail);
    let said = match lines.is_empty() {
        true => String::new(),
        false => format!(": {}", lines.join(" | ")),
    };
    match signature {
        Signature::NoChange => {
            let said =
                if said.is_empty() { said } else { format!("; the agent's last lines{said}") };
            format!(
                "{row} ended without a change by the agent{said}; run the agent by hand, and check its command, login \
                 and model in config/autopack.yaml"
            )
        }
        Signature::Breach(breaches) => {
            let paths: Vec<&String> = breaches.iter().collect();
            format!(
                "{row} changed the same files that they may not change: {}; what writes them is no single phase: ignore \
                 them in .gitignore, name them in workspace.keep or in the phases' scopes, or raise executor.repeat_limit",
                first_few(&paths, NAMED)
            )
        }
        Signature::Tests(tests) => {
            let tests: Vec<&String> = tests.iter().collect();
            format!(
                "{row} failed the same tests, which fail without their changes too: {}; mend them or the machine first",
                first_few(&tests, NAMED)
            )
        }
        Signature::Lines(_) => format!(
            "{row} failed CI in the same way, and it fails without their changes too{said}; mend CI, ci.command or \
             workspace.setup first"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn red(lines: &str) -> Option<Signature> {
        let mut failure = Failure::new(FailureKind::CiFailed, "red");
        failure.detail.log_tail = lines.to_owned();
        Signature::of(&failure, false)
    }

    #[test]
    fn different_phases_that_fail_alike_fill_the_row() {
        let repeats = Repeats::new(3, 4);
        let met = |phase: &str, what: Option<Signature>| {
            repeats.met(&PhaseId::new(phase), what).map(|phases| phases.len())
        };
        assert_eq!(met("a", red("boom\n")), None);
        assert_eq!(met("a", red("boom")), None, "one phase counts once");
        assert_eq!(met("b", red("boom")), None);
        assert_eq!(met("c", red("bang")), None, "another failure starts over");
        assert_eq!(met("d", red("bang")), None);
        assert_eq!(met("e", red("\nbang\n\n")), Some(3));
        repeats.reset();
        assert_eq!(met("f", red("bang")), None, "a landing starts over");
        let breach = || Some(Signature::Breach(BTreeSet::from(["log".to_owned()])));
        assert!(["a", "b", "c"].iter().all(|phase| met(phase, breach()).is_none()));
        assert_eq!(met("d", breach()), Some(4), "breaches have a limit of their own");
        let never = Repeats::new(0, 0);
        assert!((0..9).all(|n| never.met(&PhaseId::new(n.to_string()), red("x")).is_none()));
    }

    #[test]
    fn what_is_about_a_phase_alone_has_no_signature() {
        let of = |kind| Signature::of(&Failure::new(kind, "x"), true);
        assert_eq!(of(FailureKind::NoChange), Some(Signature::NoChange));
        assert_eq!(Signature::of(&Failure::new(FailureKind::NoChange, "x"), false), None);
        assert_eq!([of(FailureKind::MissingDeliverable), of(FailureKind::CiFailed)], [None, None]);
        assert_eq!(red("  \n"), None, "nothing said is nothing shared");
    }
}
