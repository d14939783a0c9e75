//! Decision after a red test: the test counts, or runs again because another run of CI at the same time may be the cause.
//!
//! Tests that share a resource, such as a fixed port or one database, fail because of each other. Mostly one of them passes,
//! or none if they destroy each other's data. A run alone decides, and keeps all others waiting. So it is the last choice
//! once tests have passed at the same time. Before, a red run beside it may have had the resource, and failed for its own reason.

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

/// Returns the decision after a red test. `is_safe`: runs of CI are known not to disturb each other. `is_red_real`: the last
/// repeated test of the run was red again. Called only if the answer matters.
pub fn after_red(
    runs: RedRuns,
    company: Company,
    is_safe: bool,
    is_red_real: impl FnOnce() -> bool,
) -> AfterRed {
    if runs == RedRuns::Alone || !company.is_any() {
        return AfterRed::Counts;
    }
    match runs {
        _ if company.has_unknown || !is_safe => AfterRed::AgainAlone,
        // Perhaps because it had the resource.
        RedRuns::First if company.has_green => AfterRed::AgainAlone,
        RedRuns::First if is_red_real() => AfterRed::Counts,
        // The first time, no run passed, and now one did.
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
        for (runs, company, is_safe, are_reds_real, expected) in [
            (RedRuns::First, NONE, true, false, Counts),
            (RedRuns::First, NONE, false, false, Counts),
            (RedRuns::First, green, true, false, AgainAlone),
            (RedRuns::First, Company { is_running: true, ..green }, true, false, AgainAlone),
            (RedRuns::First, running, true, false, Wait),
            (RedRuns::First, running, false, true, AgainAlone),
            (RedRuns::First, red, true, false, AgainBeside),
            (RedRuns::First, red, false, false, AgainAlone),
            (RedRuns::First, red, false, true, AgainAlone),
            (RedRuns::First, stopped, true, false, AgainAlone),
            (RedRuns::First, green, true, true, AgainAlone),
            (RedRuns::First, red, true, true, Counts),
            (RedRuns::SecondBeside, NONE, true, false, Counts),
            (RedRuns::SecondBeside, green, true, false, Counts),
            (RedRuns::SecondBeside, green, false, false, AgainAlone),
            (RedRuns::SecondBeside, running, true, false, Wait),
            (RedRuns::SecondBeside, red, true, false, AgainAlone),
            (RedRuns::SecondBeside, stopped, true, false, AgainAlone),
            (RedRuns::Alone, stopped, false, false, Counts),
        ] {
            assert_eq!(
                after_red(runs, company, is_safe, || are_reds_real),
                expected,
                "{runs:?} {company:?} {is_safe}"
            );
        }
    }

    proptest! {
        #[test]
        fn each_red_test_counts_after_at_most_two_more_runs(
            company in prop::collection::vec(any::<[bool; 4]>(), 3),
        ) {
            let mut runs = RedRuns::First;
            for [has_green, has_red, has_unknown, is_safe] in company {
                let company = Company { has_green, has_red, has_unknown, is_running: false };
                runs = match after_red(runs, company, is_safe, || false) {
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
