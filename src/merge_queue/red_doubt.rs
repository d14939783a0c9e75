//! Decision after a red test: the test counts, or runs again because another run of CI at the same time may be the cause.
//!
//! Tests that share a resource, such as a fixed port or one database, fail because of each other. Mostly one of them passes,
//! or none if they destroy each other's data. A run alone decides, and keeps all others waiting. So it is the last choice.

use super::ci_company::Company;

/// Runs of CI of a red test so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedRuns {
    /// One.
    #[default]
    First,
    /// A second one, beside others.
    SecondBeside,
    /// A run alone.
    Alone,
}

/// What follows a red test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRed {
    /// The test counts.
    Counts,
    /// Wait for the end of the runs beside it.
    Wait,
    /// Run CI again, beside others.
    AgainBeside,
    /// Run CI again, without others.
    AgainAlone,
}

/// Returns the decision after a red test. `is_red_real`: the last repeated test of the run was red again. Called only if the
/// answer matters.
pub fn after_red(runs: RedRuns, company: Company, is_red_real: impl FnOnce() -> bool) -> AfterRed {
    if runs == RedRuns::Alone || !company.is_any() {
        return AfterRed::Counts;
    }
    match runs {
        // One passed beside it: perhaps because it had the resource.
        _ if company.has_unknown => AfterRed::AgainAlone,
        RedRuns::First if company.has_green => AfterRed::AgainAlone,
        RedRuns::First if is_red_real() => AfterRed::Counts,
        // The first time, no run passed, so none kept the resource from it. Now one did pass.
        RedRuns::SecondBeside if company.has_green => AfterRed::Counts,
        _ if company.is_running => AfterRed::Wait,
        // All are red. Those behind it contain the same change, which explains that best.
        RedRuns::First => AfterRed::AgainBeside,
        _ => AfterRed::AgainAlone,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: Company =
        Company { has_green: false, has_red: false, has_unknown: false, is_running: false };

    #[test]
    fn a_red_test_counts_once_no_other_run_can_be_its_cause() {
        use AfterRed::*;
        let green = Company { has_green: true, ..NONE };
        let red = Company { has_red: true, ..NONE };
        let running = Company { is_running: true, ..red };
        let stopped = Company { has_unknown: true, ..red };
        for (runs, company, are_reds_real, expected) in [
            (RedRuns::First, NONE, false, Counts),
            (RedRuns::First, green, false, AgainAlone),
            (RedRuns::First, Company { is_running: true, ..green }, false, AgainAlone),
            (RedRuns::First, running, false, Wait),
            (RedRuns::First, red, false, AgainBeside),
            (RedRuns::First, stopped, false, AgainAlone),
            (RedRuns::First, green, true, AgainAlone),
            (RedRuns::First, red, true, Counts),
            (RedRuns::SecondBeside, NONE, false, Counts),
            (RedRuns::SecondBeside, green, false, Counts),
            (RedRuns::SecondBeside, running, false, Wait),
            (RedRuns::SecondBeside, red, false, AgainAlone),
            (RedRuns::SecondBeside, stopped, false, AgainAlone),
            (RedRuns::Alone, stopped, false, Counts),
        ] {
            assert_eq!(
                after_red(runs, company, || are_reds_real),
                expected,
                "{runs:?} {company:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn each_red_test_counts_after_at_most_two_more_runs(
            company in prop::collection::vec(any::<[bool; 3]>(), 3),
        ) {
            let mut runs = RedRuns::First;
            for [has_green, has_red, has_unknown] in company {
                let company = Company { has_green, has_red, has_unknown, is_running: false };
                runs = match after_red(runs, company, || false) {
                    AfterRed::Counts => return Ok(()),
                    AfterRed::Wait => return Err(TestCaseError::fail("nothing to wait for")),
                    AfterRed::AgainBeside => RedRuns::SecondBeside,
                    AfterRed::AgainAlone => RedRuns::Alone,
                };
            }
            prop_assert!(false, "never counts");
        }
    }
}
