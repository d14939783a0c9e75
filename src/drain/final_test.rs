//! The end of a run: its tip is tested in a clean clone once nothing is left to run.

use super::Drain;
use crate::attempt::{Site, TipTest, Trouble, test_tip};
use crate::config::FinalTest;
use crate::phase::RunId;
use crate::phase::words::{first_few, short_commit};
use crate::process::StopLevel;
use crate::progress::shown_id;
use crate::store::{CleanOutcome, CleanTest};

/// More failing tests than these are counted.
const SHOWN: usize = 3;
/// Of CI's output.
const SHOWN_LINES: usize = 5;

impl Drain<'_> {
    /// Every run of this drain in which nothing is left to run and something landed since the last test.
    pub(super) async fn test_tips(&self) -> Result<(), Trouble> {
        if self.site.settings.ci.final_test == FinalTest::Off {
            return Ok(());
        }
        for run in &self.request.runs {
            if self.stop.level() > StopLevel::Run
                || self.site.store.has_work(std::slice::from_ref(run)).await?
            {
                continue;
            }
            let tested = test_tip(&self.site, run, false, &self.stop).await?;
            for line in lines(&self.site, run, &tested).await? {
                self.site.progress.note(&line);
            }
        }
        Ok(())
    }
}

/// What came of testing a run's tip, for people.
pub async fn lines(site: &Site, run: &RunId, tested: &TipTest) -> Result<Vec<String>, Trouble> {
    let run = shown_id(run.as_str());
    let line = match tested {
        TipTest::Tested { test, is_flaky } => return told(site, &run, test, *is_flaky).await,
        TipTest::Known(test) if test.outcome == CleanOutcome::Green => return Ok(Vec::new()),
        TipTest::Known(test) => return told(site, &run, test, false).await,
        TipTest::NothingLanded | TipTest::Stopped => return Ok(Vec::new()),
        TipTest::NoCi => return Ok(Vec::new()),
        TipTest::Busy => format!("{run}: another drain is testing the tip in a clean clone"),
    };
    Ok(vec![line])
}

async fn told(
    site: &Site,
    run: &str,
    test: &CleanTest,
    is_flaky: bool,
) -> Result<Vec<String>, Trouble> {
    let tip = short_commit(&test.commit);
    let failing: Vec<&str> = test.failing.iter().map(String::as_str).collect();
    let failing = match failing.as_slice() {
        [] => String::new(),
        ids => format!(": {}", first_few(ids, SHOWN)),
    };
    let mut lines = Vec::new();
    match test.outcome {
        CleanOutcome::Green => {
            let flaky = if is_flaky { " (red once, green when run again)" } else { "" };
            lines.push(format!("{run}: CI is green in a clean clone at {tip}{flaky}"));
            return Ok(lines);
        }
        CleanOutcome::NotReproducible => lines.push(format!(
            "{run}: CI is red in a clean clone at {tip}{failing}, but it is red in the same way at the base of the run; a clean \
             clone lacks something that your checkout has: name it in workspace.setup or workspace.link"
        )),
        CleanOutcome::RedInCleanClone => {
            lines.push(format!("{run}: CI is red in a clean clone at {tip}{failing}"));
        }
    }
    if let Some(output) = &test.last_lines {
        let output: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = output.len().saturating_sub(SHOWN_LINES);
        lines.extend(output[last..].iter().map(|line| format!("  | {line}")));
    }
    if test.outcome == CleanOutcome::RedInCleanClone {
        lines.push(culprit(site, run, test).await?);
        if let Some(green) = &test.last_green {
            lines.push(format!(
                "{run}: the last commit that is green in a clean clone is {}",
                short_commit(green)
            ));
        }
    }
    Ok(lines)
}

async fn culprit(site: &Site, run: &str, test: &CleanTest) -> Result<String, Trouble> {
    Ok(match (&test.broken_by, test.suspects.as_slice()) {
        (Some(commit), _) => {
            let subject = site.repo.subject_of(commit).await?;
            format!("{run}: broken by {} {subject}", short_commit(commit))
        }
        (None, [first, .., last]) => format!(
            "{run}: the landing that broke it is not determined; it is one of the {} commits from {} to {}",
            test.suspects.len(),
            short_commit(first),
            short_commit(last)
        ),
        (None, _) => format!("{run}: the landing that broke it is not determined"),
    })
}
