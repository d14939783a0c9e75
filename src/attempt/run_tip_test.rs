//! Test of a run's tip in a clean clone: green, red, or not reproducible; for a red tip, a search for the breaking
//! landing.
//!
//! A clean clone (`clean_clone`) contains no leftovers of attempts or earlier CI runs, so the result equals CI in a
//! fresh clone of the repository at this branch.

use std::time::{Duration, Instant};

use super::clean_clone_ci::{CleanRun, CloneVerdict};
use super::{AttemptError, DrainContext};
use crate::ci::{CiOutcome, TestResults};
use crate::clock::now;
use crate::memory::normalise::normalise;
use crate::phase::RunId;
use crate::phase::bisection::Bisection;
use crate::process::{FileLock, StopReceiver};
use crate::store::{CleanOutcome, CleanTest};

/// Time for the search of the breaking landing: this many CI durations, at least `LEAST_BUDGET`.
const BUDGET_RUNS: u32 = 3;
const LEAST_BUDGET: Duration = Duration::from_secs(600);

/// Outcome of a request to test a run's tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TipTest {
    /// The tip was tested now.
    Tested {
        /// Stored result.
        test: CleanTest,
        /// Whether a red run was followed by a green run.
        is_flaky: bool,
    },
    /// This tip was tested before.
    Known(CleanTest),
    /// Nothing landed.
    NothingLanded,
    /// No CI is configured or detected.
    NoCi,
    /// Another drain tests this run's tip.
    Busy,
    /// The operator stopped autopack.
    Stopped,
}

/// Tests the tip of a run. `again`: even if the tip was tested before, or nothing landed.
///
/// # Errors
///
/// Errors of git, the disk or the database. A red CI is not an error.
pub async fn test_tip(
    context: &DrainContext,
    run: &RunId,
    again: bool,
    stop: &StopReceiver,
) -> Result<TipTest, AttemptError> {
    let Some(facts) = context.store.run_facts(run).await? else {
        return Ok(TipTest::NothingLanded);
    };
    let tip = context.repo.tip(run).await?.commit;
    if !again {
        if tip == facts.base_commit {
            return Ok(TipTest::NothingLanded);
        }
        if let Some(test) =
            context.store.run(run).await?.clean_test.filter(|test| test.commit == tip)
        {
            return Ok(TipTest::Known(test));
        }
    }
    let lock = context.repo.clean_test_lock(run);
    if let Some(directory) = lock.parent() {
        std::fs::create_dir_all(directory).map_err(|error| AttemptError::io(directory, error))?;
    }
    let Some(_lock) = FileLock::try_lock(&lock).map_err(|error| AttemptError::io(&lock, error))?
    else {
        return Ok(TipTest::Busy);
    };
    Tester { context, run, stop, tip, base: facts.base_commit }.test().await
}

struct Tester<'a> {
    context: &'a DrainContext,
    run: &'a RunId,
    stop: &'a StopReceiver,
    tip: String,
    base: String,
}

/// Result of the search for the breaking landing.
struct Search {
    broken_by: Option<String>,
    last_green: Option<String>,
    /// Candidates if the landing was not determined, oldest first.
    suspects: Vec<String>,
}

impl Tester<'_> {
    async fn test(&self) -> Result<TipTest, AttemptError> {
        let started = Instant::now();
        let first = self.run(&self.tip).await?;
        let duration = started.elapsed();
        match first.verdict {
            CloneVerdict::NoCi => return Ok(TipTest::NoCi),
            CloneVerdict::Stopped => return Ok(TipTest::Stopped),
            CloneVerdict::Green => return self.green(false).await,
            CloneVerdict::Red => {}
        }
        let red = self.run(&self.tip).await?;
        match red.verdict {
            CloneVerdict::Stopped => return Ok(TipTest::Stopped),
            CloneVerdict::Green | CloneVerdict::NoCi => return self.green(true).await,
            CloneVerdict::Red => {}
        }
        let base = self.run(&self.base).await?;
        if base.verdict == CloneVerdict::Stopped {
            return Ok(TipTest::Stopped);
        }
        let known = Some(&base).filter(|base| base.verdict == CloneVerdict::Red);
        let (outcome, search) = match fails_beyond(&red, known) {
            false => (CleanOutcome::NotReproducible, Search::nothing()),
            true => (CleanOutcome::RedInCleanClone, self.search(known, duration).await?),
        };
        let landed = match &search.broken_by {
            Some(_) => self.context.store.landed_phases(self.run).await?,
            None => Vec::new(),
        };
        let broke_it = |(_, commit): &(_, String)| Some(commit) == search.broken_by.as_ref();
        let test = CleanTest {
            broken_by_phase: landed.into_iter().find(broke_it).map(|(phase, _)| phase),
            suspects: search.suspects,
            commit: self.tip.clone(),
            is_known: outcome == CleanOutcome::NotReproducible && self.is_red_base(&red).await?,
            outcome,
            failing: red.failing.into_iter().flatten().collect(),
            last_lines: Some(red.last_lines),
            broken_by: search.broken_by,
            last_green: search.last_green,
        };
        if let Some(green) = &test.last_green {
            self.context.repo.set_green(self.run, green).await?;
        }
        self.keep(test, false).await
    }

    async fn green(&self, is_flaky: bool) -> Result<TipTest, AttemptError> {
        self.context.repo.set_green(self.run, &self.tip).await?;
        let test = CleanTest {
            commit: self.tip.clone(),
            outcome: CleanOutcome::Green,
            failing: Vec::new(),
            is_known: false,
            last_lines: None,
            broken_by: None,
            broken_by_phase: None,
            suspects: Vec::new(),
            last_green: Some(self.tip.clone()),
        };
        self.keep(test, is_flaky).await
    }

    async fn keep(&self, test: CleanTest, is_flaky: bool) -> Result<TipTest, AttemptError> {
        self.context.store.put_clean_test(self.run, &test, now()).await?;
        Ok(TipTest::Tested { test, is_flaky })
    }

    /// Returns whether CI of this run's attempts fails in the same way at the base.
    async fn is_red_base(&self, red: &CleanRun) -> Result<bool, AttemptError> {
        let Some(tree) = self.context.repo.tree_id(&self.base).await? else { return Ok(false) };
        let results = self.context.store.base_results_at(self.run, &tree).await?;
        let results = results.iter().filter_map(|json| serde_json::from_str(json).ok());
        Ok(results.into_iter().any(|base: TestResults| match &red.failing {
            Some(ids) => ids.iter().all(|id| base.is_red(id)),
            None => matches!(base.outcome, CiOutcome::Failed | CiOutcome::CollectionError),
        }))
    }

    /// Bisects between the last commit known to be green, or the base, and the tip.
    async fn search(&self, base: Option<&CleanRun>, ci: Duration) -> Result<Search, AttemptError> {
        let green = self.context.repo.green(self.run).await?.filter(|green| *green != self.tip);
        let mut commits = Vec::new();
        if let Some(green) = &green {
            commits = self.context.repo.commits_between(green, &self.tip).await?;
        }
        let from_green = commits.len() >= 2;
        if !from_green {
            commits = self.context.repo.commits_between(&self.base, &self.tip).await?;
        }
        let Some(mut bisection) = Bisection::new(commits.len()) else {
            return Ok(Search::nothing());
        };
        // A base with other failures is the start of the search, but not a commit to recommend.
        let mut is_green = from_green || base.is_none();
        let limit = self
            .context
            .settings
            .ci
            .final_budget
            .map_or_else(|| (ci * BUDGET_RUNS).max(LEAST_BUDGET), Duration::from_secs);
        let started = Instant::now();
        while let Some(index) = bisection.next() {
            if started.elapsed() >= limit {
                break;
            }
            let Some(breaks) = self.breaks(&commits[index], base).await? else { break };
            bisection.tested(index, !breaks);
            is_green |= !breaks && base.is_none();
        }
        let first_red = commits[bisection.first_red()].clone();
        let suspects = match bisection.is_determined() {
            true => Vec::new(),
            false => commits[bisection.last_green() + 1..=bisection.first_red()].to_vec(),
        };
        Ok(Search {
            broken_by: bisection.is_determined().then_some(first_red),
            last_green: is_green.then(|| commits[bisection.last_green()].clone()),
            suspects,
        })
    }

    /// Returns whether a commit has failures beyond the base's, twice in a row; `None` if the operator stopped
    /// autopack.
    async fn breaks(
        &self,
        commit: &str,
        base: Option<&CleanRun>,
    ) -> Result<Option<bool>, AttemptError> {
        for _ in 0..2 {
            let run = self.run(commit).await?;
            match run.verdict {
                CloneVerdict::Stopped => return Ok(None),
                CloneVerdict::Red if fails_beyond(&run, base) => {}
                CloneVerdict::Red | CloneVerdict::Green | CloneVerdict::NoCi => {
                    return Ok(Some(false));
                }
            }
        }
        Ok(Some(true))
    }

    async fn run(&self, commit: &str) -> Result<CleanRun, AttemptError> {
        self.context.run_in_clean_clone(self.run, commit, self.stop).await
    }
}

impl Search {
    fn nothing() -> Self {
        Self { broken_by: None, last_green: None, suspects: Vec::new() }
    }
}

/// Returns whether a red run fails in another way than a red base. Pure.
fn fails_beyond(red: &CleanRun, base: Option<&CleanRun>) -> bool {
    let Some(base) = base else { return true };
    match (&red.failing, &base.failing) {
        (Some(red), Some(base)) => red.difference(base).next().is_some(),
        // Without individual results, only the end of the output can be compared.
        (None, None) => normalise(&red.last_lines) != normalise(&base.last_lines),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn red(failing: Option<&[&str]>, last_lines: &str) -> CleanRun {
        let failing =
            failing.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<String>>());
        CleanRun { verdict: CloneVerdict::Red, failing, last_lines: last_lines.to_owned() }
    }

    #[test]
    fn equal_failures_at_the_base_are_not_attributed_to_the_run() {
        let base = red(Some(&["a", "b"]), "");
        assert!(!fails_beyond(&red(Some(&["a"]), ""), Some(&base)));
        assert!(fails_beyond(&red(Some(&["a", "c"]), ""), Some(&base)));
        assert!(fails_beyond(&red(Some(&["a"]), ""), None));
    }

    #[test]
    fn last_lines_are_compared_without_individual_results() {
        let base = red(None, "make: no such file gen/x (took 3 s)");
        assert!(!fails_beyond(&red(None, "make: no such file gen/x (took 4 s)"), Some(&base)));
        assert!(fails_beyond(&red(None, "assertion failed"), Some(&base)));
        assert!(fails_beyond(&red(Some(&["a"]), ""), Some(&base)));
    }
}
