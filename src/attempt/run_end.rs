//! Result of a finished run in words, for `status` and reports: CI on the tip in a clean clone, or a hint if
//! untested.

use crate::config::FinalTest;
use crate::phase::RunId;
use crate::phase::words::short_commit;
use crate::progress::shown_id;
use crate::store::{CleanOutcome, CleanTest, RunSummary};
use crate::workspace::Repo;

/// Failing tests named; the rest are counted.
const NAMED: usize = 3;
/// Said after the result of an earlier tip.
const CHANGED: &str = "the branch has changed since, and was not tested again";
/// Columns for the name of a test.
const LONGEST_NAME: usize = 60;

/// Marks the run as untested if its tip is not the tested commit, as after commits of yours on its branch. A branch that
/// is gone proves nothing.
pub async fn compare_with_tip(run: &mut RunSummary, repo: &Repo) {
    let Some(test) = run.clean_test.as_ref().filter(|_| !run.is_untested) else { return };
    if let Ok(tip) = repo.tip(&run.run_id).await {
        run.is_untested = tip.commit != test.commit;
    }
}

/// Describes the result in short lines, the most important first. Empty while an untested run is in progress, or
/// without a landing.
pub fn run_end(run: &RunSummary, final_test: FinalTest) -> Vec<String> {
    let mut lines = run.clean_test.as_ref().map_or_else(Vec::new, |test| result(&run.run_id, test));
    if !run.is_untested {
        return lines;
    }
    if run.has_work() {
        if !lines.is_empty() {
            lines.push(CHANGED.to_owned());
        }
        return lines;
    }
    if run.last_drain.as_ref().is_some_and(|end| end.has_no_ci) {
        lines.push("not tested in a clean clone: no CI was found; set ci.command".to_owned());
        return lines;
    }
    lines.push(match lines.is_empty() {
        true => "the tip was not tested in a clean clone".to_owned(),
        false => CHANGED.to_owned(),
    });
    let id = shown_id(run.run_id.as_str());
    lines.push(match final_test {
        FinalTest::Off => format!("ci.final is off; test it: autopack verify {id}"),
        FinalTest::Clean => format!("pending; test it: autopack verify {id}"),
    });
    lines
}

fn result(run: &RunId, test: &CleanTest) -> Vec<String> {
    let tip = short_commit(&test.commit);
    let mut lines = Vec::new();
    match test.outcome {
        CleanOutcome::Green => {
            lines.push(format!("CI is green in a clean clone at {tip}"));
            return lines;
        }
        CleanOutcome::NotReproducible if test.is_known => {
            lines.push(format!("CI fails in a clean clone at {tip} as at the run's base"));
        }
        CleanOutcome::NotReproducible => {
            lines.push(format!("CI is red in a clean clone at {tip} and at the run's base"));
            lines.push("not reproducible: the clone lacks something your checkout has".to_owned());
        }
        CleanOutcome::RedInCleanClone => {
            lines.push(format!("CI is red in a clean clone at {tip}"));
            lines.push(culprit(test));
        }
    }
    if let Some(green) = &test.last_green {
        let at = format!("refs/autopack/green/{}", run.file_name());
        lines.push(format!("last green commit: {} ({at})", short_commit(green)));
    }
    lines.extend(
        test.failing.iter().take(NAMED).map(|name| format!("failing: {}", shortened(name))),
    );
    if test.failing.len() > NAMED {
        lines.push(format!("failing: {} more", test.failing.len() - NAMED));
    }
    lines
}

fn culprit(test: &CleanTest) -> String {
    match (&test.broken_by, &test.broken_by_phase, test.suspects.as_slice()) {
        (Some(commit), Some(phase), _) => {
            format!("broken by {} ({})", shown_id(phase.as_str()), short_commit(commit))
        }
        (Some(commit), None, _) => format!("broken by {}", short_commit(commit)),
        (None, _, [first, .., last]) => format!(
            "broken by one of {} commits, {} to {}",
            test.suspects.len(),
            short_commit(first),
            short_commit(last)
        ),
        (None, ..) => "the breaking landing is not determined".to_owned(),
    }
}

/// Shortens a name from the left: the end is more specific.
fn shortened(name: &str) -> String {
    let count = name.chars().count();
    match count > LONGEST_NAME {
        true => format!("…{}", name.chars().skip(count - LONGEST_NAME + 1).collect::<String>()),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::PhaseId;

    fn red(change: impl FnOnce(&mut CleanTest)) -> Vec<String> {
        let mut test = CleanTest {
            commit: "a".repeat(40),
            outcome: CleanOutcome::RedInCleanClone,
            failing: Vec::new(),
            is_known: false,
            last_lines: None,
            broken_by: None,
            broken_by_phase: None,
            suspects: Vec::new(),
            last_green: None,
        };
        change(&mut test);
        result(&RunId::new("run"), &test)
    }

    #[test]
    fn red_tip_names_the_breaking_phase_and_the_last_green_commit() {
        let lines = red(|test| {
            test.broken_by = Some("b".repeat(40));
            test.broken_by_phase = Some(PhaseId::new("two"));
            test.last_green = Some("c".repeat(40));
            test.failing = vec!["x::t".repeat(40), "y".to_owned()];
        });
        assert_eq!(lines[0], "CI is red in a clean clone at aaaaaaaaaa");
        assert_eq!(lines[1], "broken by two (bbbbbbbbbb)");
        assert_eq!(lines[2], "last green commit: cccccccccc (refs/autopack/green/run)");
        assert!(lines[3].starts_with("failing: …") && lines[3].ends_with("x::t"), "{lines:?}");
        assert_eq!(lines[4], "failing: y");
        assert!(
            lines.iter().all(|line| line.chars().count() <= 80 - "tested   ".len()),
            "{lines:?}"
        );
    }

    #[test]
    fn search_out_of_time_names_the_range() {
        let range = red(|test| test.suspects = vec!["b".repeat(40), "c".repeat(40)]);
        assert_eq!(range[1], "broken by one of 2 commits, bbbbbbbbbb to cccccccccc");
        assert_eq!(red(|_| {})[1], "the breaking landing is not determined");
        let base = red(|test| test.outcome = CleanOutcome::NotReproducible);
        assert!(base[1].starts_with("not reproducible"), "{base:?}");
        let known = red(|test| {
            test.outcome = CleanOutcome::NotReproducible;
            test.is_known = true;
        });
        assert_eq!(known, ["CI fails in a clean clone at aaaaaaaaaa as at the run's base"]);
    }
}
