//! Test of a run's tip in a clean clone, once the run has nothing left to execute.

use super::Drain;
use crate::attempt::{AttemptError, DrainContext, TipTest, test_tip};
use crate::config::FinalTest;
use crate::phase::RunId;
use crate::phase::words::{first_few, short_commit};
use crate::process::StopLevel;
use crate::progress::shown_id;
use crate::store::{CleanOutcome, CleanTest};

/// Failing tests named in a message; the rest are counted.
const SHOWN: usize = 3;
/// Lines of CI output shown in a message.
const SHOWN_LINES: usize = 5;

impl Drain<'_> {
    /// Tests each run of this drain with no work left and a landing since the last test.
    pub(super) async fn test_tips(&mut self) -> Result<(), AttemptError> {
        if self.context.settings.ci.final_test == FinalTest::Off {
            return Ok(());
        }
        let request = self.request;
        for run in &request.runs {
            if self.stop.level() > StopLevel::Run
                || self.context.store.has_work(std::slice::from_ref(run)).await?
            {
                continue;
            }
            let tested = test_tip(&self.context, run, false, &self.stop).await?;
            // The overview at the end of the drain has these results.
            match &tested {
                TipTest::Tested { test, is_flaky: false }
                    if test.outcome == CleanOutcome::Green || test.is_known =>
                {
                    continue;
                }
                TipTest::NoCi => self.has_no_ci = true,
                _ => {}
            }
            for line in describe_tip_test(&self.context, run, &tested).await? {
                self.context.progress.note(&line);
            }
        }
        Ok(())
    }
}

/// Describes the result of a tip test, for people.
///
/// # Errors
///
/// Git cannot read the subject of the breaking commit.
pub async fn describe_tip_test(
    context: &DrainContext,
    run: &RunId,
    tested: &TipTest,
) -> Result<Vec<String>, AttemptError> {
    let run = shown_id(run.as_str());
    let line = match tested {
        TipTest::Tested { test, is_flaky } => {
            return describe_test(context, &run, test, *is_flaky).await;
        }
        TipTest::Known(test) if test.outcome == CleanOutcome::Green => return Ok(Vec::new()),
        TipTest::Known(test) => return describe_test(context, &run, test, false).await,
        TipTest::NothingLanded | TipTest::Stopped => return Ok(Vec::new()),
        TipTest::NoCi => return Ok(Vec::new()),
        TipTest::Busy => format!("{run}: another drain is testing the tip in a clean clone"),
    };
    Ok(vec![line])
}

async fn describe_test(
    context: &DrainContext,
    run: &str,
    test: &CleanTest,
    is_flaky: bool,
) -> Result<Vec<String>, AttemptError> {
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
        CleanOutcome::NotReproducible if test.is_known => {
            lines.push(format!(
                "{run}: CI fails in a clean clone at {tip}{failing}, as in every attempt and at the base of the run"
            ));
            return Ok(lines);
        }
        CleanOutcome::NotReproducible => lines.push(format!(
            "{run}: CI is red in a clean clone at {tip}{failing}, and fails in the same way at the base of the run; a clean \
             clone lacks something your checkout has: add it to workspace.setup or workspace.link"
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
        lines.push(describe_breaking_commit(context, run, test).await?);
        if let Some(green) = &test.last_green {
            lines.push(format!(
                "{run}: last green commit in a clean clone: {}",
                short_commit(green)
            ));
        }
    }
    Ok(lines)
}

async fn describe_breaking_commit(
    context: &DrainContext,
    run: &str,
    test: &CleanTest,
) -> Result<String, AttemptError> {
    Ok(match (&test.broken_by, test.suspects.as_slice()) {
        (Some(commit), _) => {
            let subject = context.repo.subject_of(commit).await?;
            format!("{run}: broken by {} {subject}", short_commit(commit))
        }
        (None, [first, .., last]) => format!(
            "{run}: the breaking landing is not determined; it is one of the {} commits from {} to {}",
            test.suspects.len(),
            short_commit(first),
            short_commit(last)
        ),
        (None, _) => format!("{run}: the breaking landing is not determined"),
    })
}
