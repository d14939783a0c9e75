//! Circuit breaker: ends the drain after the same failure in several phases without a landing in between, before all
//! phases have used up their attempts. Counted are the same error of the agent, the provider, the supervisor or the
//! start of CI; an agent doing nothing; CI red without the changes, too; the same files outside every scope.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::memory::normalise::normalise;
use crate::phase::words::first_few;
use crate::phase::{Failure, FailureKind, PhaseId};
use crate::store::CommonFailure;

/// Paths and tests named in a message.
const NAMED: usize = 5;
/// Last lines of CI compared and shown.
const LINES: usize = 5;

/// Failure common to several phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    /// Error of the agent, the provider, the supervisor or the start of CI, without the variable parts.
    Error(String),
    /// The agent did nothing.
    NoChange,
    /// An agent without reported tool calls changed nothing and printed exactly these last lines.
    SameOutput(Vec<String>),
    /// Exactly these files, forbidden to each of the phases.
    Breach(BTreeSet<String>),
    /// Exactly these failing tests.
    Tests(BTreeSet<String>),
    /// Last lines of CI, if individual tests are not reported.
    Lines(Vec<String>),
}

impl Signature {
    fn of_error(error: &str) -> Self {
        Self::Error(normalise(error))
    }

    /// Derives the signature of a failure. `idle`: what an unchanged tree says about the agent. `breached`:
    /// forbidden paths changed by the attempt.
    pub fn of(failure: &Failure, idle: Idle, breached: &BTreeSet<String>) -> Option<Self> {
        let detail = &failure.detail;
        match failure.kind {
            FailureKind::AgentFailed | FailureKind::CiCannotStart => {
                Some(Self::of_error(&error_of(failure)))
            }
            FailureKind::NoChange => match idle {
                Idle::No => None,
                Idle::Perhaps => Some(Self::SameOutput(normal_lines(&detail.log_tail))),
                Idle::Yes => Some(Self::NoChange),
            },
            FailureKind::ScopeBreach | FailureKind::ProtectedPath => {
                (!breached.is_empty()).then(|| Self::Breach(breached.clone()))
            }
            FailureKind::CiFailed if !detail.failing_tests.is_empty() => Some(Self::Tests(
                detail.failing_tests.iter().map(|test| test.name.clone()).collect(),
            )),
            FailureKind::CiFailed => {
                let lines = normal_lines(&detail.log_tail);
                (!lines.is_empty()).then_some(Self::Lines(lines))
            }
            _ => None,
        }
    }

    /// Whether CI failed.
    pub fn is_of_ci(&self) -> bool {
        matches!(self, Self::Tests(_) | Self::Lines(_))
    }
}

/// Returns the error; for an agent without a change, with the last line of output: an agent unable to start fails
/// like this in every phase.
fn error_of(failure: &Failure) -> String {
    let last = last_lines(&failure.detail.log_tail).pop();
    match last.filter(|_| failure.exit_code.is_some()) {
        Some(line) => format!("{}: {line}", failure.message),
        None => failure.message.clone(),
    }
}

fn last_lines(log: &str) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

/// Returns the last lines without the variable parts.
fn normal_lines(log: &str) -> Vec<String> {
    last_lines(log).iter().map(|line| normalise(line)).collect()
}

/// Whether an agent that changed nothing did nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    No,
    /// All deliverables exist, and the agent reports neither tool calls nor tokens: the same output in phase after
    /// phase shows that it does not work.
    Perhaps,
    Yes,
}

/// Failures since the last landing, shared by all attempts of a drain, each with the affected phases in order of
/// their ends.
#[derive(Debug)]
pub struct Repeats {
    /// Phases until the drain stops; 0: never.
    limit: u32,
    /// The same limit for files outside of scopes.
    breach_limit: u32,
    rows: Mutex<Vec<(Signature, Vec<PhaseId>)>>,
    /// A sample has a stop rule of its own.
    is_sampling: AtomicBool,
    /// The failure that ends the drain.
    end: Mutex<Option<CommonFailure>>,
}

impl Repeats {
    /// Creates a circuit breaker with both limits.
    pub fn new(limit: u32, breach_limit: u32) -> Self {
        Self {
            limit,
            breach_limit,
            rows: Mutex::default(),
            is_sampling: AtomicBool::new(false),
            end: Mutex::default(),
        }
    }

    /// Counts an error not caused by the phase. Returns a description once the limit is reached.
    pub fn count_error(&self, phase: &PhaseId, error: &str) -> Option<String> {
        let phases = self.met(phase, &Signature::of_error(error))?;
        Some(format!("{} met the same error: {error}", row(&phases)))
    }

    /// Counts a failure. Returns the affected phases since the last landing once the limit is reached.
    pub(crate) fn met(&self, phase: &PhaseId, signature: &Signature) -> Option<Vec<PhaseId>> {
        if self.is_sampling.load(Ordering::Relaxed) {
            return None;
        }
        let limit = match signature {
            Signature::Breach(_) => self.breach_limit,
            _ => self.limit,
        };
        let mut rows = self.rows();
        let place = rows.iter().position(|(before, _)| before == signature);
        let place = place.unwrap_or_else(|| {
            rows.push((signature.clone(), Vec::new()));
            rows.len() - 1
        });
        let phases = &mut rows[place].1;
        if !phases.contains(phase) {
            phases.push(phase.clone());
        }
        let is_full = limit > 0 && phases.len() >= limit as usize;
        is_full.then(|| phases.clone())
    }

    /// Suspends counting while a sample runs.
    pub fn set_sampling(&self, is_sampling: bool) {
        self.is_sampling.store(is_sampling, Ordering::Relaxed);
    }

    /// Clears all counts after a landing.
    pub(crate) fn reset(&self) {
        self.rows().clear();
    }

    /// Forgets failures found to be caused by the phases.
    pub(crate) fn forget(&self, signature: &Signature) {
        self.rows().retain(|(before, _)| before != signature);
    }

    /// Records the failure that ends the drain.
    pub fn set_end(&self, failure: CommonFailure) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// Returns the failure that ends the drain.
    pub fn end(&self) -> Option<CommonFailure> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rows(&self) -> MutexGuard<'_, Vec<(Signature, Vec<PhaseId>)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names several phases.
fn row(phases: &[PhaseId]) -> String {
    let names: Vec<&str> = phases.iter().map(PhaseId::as_str).collect();
    format!("{} phases in a row ({})", names.len(), names.join(", "))
}

/// Describes the phases, the common failure, the last lines and the remedy. `file`: the configuration in use.
pub(crate) fn why(
    signature: &Signature,
    phases: &[PhaseId],
    failure: &Failure,
    file: &str,
) -> String {
    let row = row(phases);
    let lines = last_lines(&failure.detail.log_tail);
    let last_output = match lines.is_empty() {
        true => String::new(),
        false => format!(": {}", lines.join(" | ")),
    };
    match signature {
        Signature::Error(_) => format!("{row} met the same error: {}", error_of(failure)),
        Signature::NoChange | Signature::SameOutput(_) => {
            let last_output = if last_output.is_empty() {
                last_output
            } else {
                format!("; the agent's last lines{last_output}")
            };
            format!(
                "{row} ended without a change by the agent{last_output}; run the agent by hand, and check its command, login \
                 and model in {file}"
            )
        }
        Signature::Breach(breaches) => {
            let paths: Vec<&String> = breaches.iter().collect();
            format!(
                "{row} changed the same files that they may not change: {}; the cause is not a single phase: ignore \
                 them in .gitignore, name them in workspace.keep or in the phases' scopes, or raise executor.repeat_limit",
                first_few(&paths, NAMED)
            )
        }
        Signature::Tests(tests) => {
            let tests: Vec<&String> = tests.iter().collect();
            format!(
                "{row} failed the same tests, and these fail without the changes too: {}; fix the tests or the machine first",
                first_few(&tests, NAMED)
            )
        }
        Signature::Lines(_) => format!(
            "{row} failed CI in the same way, and CI fails without the changes too{last_output}; fix CI, ci.command or \
             workspace.setup first"
        ),
    }
}

#[cfg(test)]
#[path = "repeated_verdicts_tests.rs"]
mod tests;
