//! Readers of individual test results: one file for each output format.

pub mod cargo_names;
pub mod cargo_test;
pub mod go_test;
pub mod line_prefix;
pub mod printed_tests;
pub mod pytest_junit;
pub mod summary_lines;
pub mod test_counts;
pub mod test_report;
