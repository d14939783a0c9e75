//! cargo: `cargo test`, with libtest's lines in the output.

use std::ffi::OsString;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::cargo_test::LibtestReader;
use super::{
    BuildTool, CiOutcome, EndedRun, Evidence, Invocation, PlanNote, PrintedLine, ResultReader,
    SummaryLine, TestNames, TestRunner, TestedProject, cargo_names, summary_lines,
};
use crate::ci::project_files::read_text;
use crate::phase::PhaseCi;

/// The runner.
pub(crate) struct Cargo;

impl TestRunner for Cargo {
    fn name(&self) -> &'static str {
        "cargo"
    }

    fn manifests(&self) -> &'static [&'static str] {
        &["Cargo.toml"]
    }

    fn detect(&self, dir: &Path) -> Option<Evidence> {
        dir.join("Cargo.toml").is_file().then_some(Evidence::Manifest)
    }

    fn typed(&self, _dir: &Path) -> String {
        "cargo test".to_owned()
    }

    fn invocation(
        &self,
        project: &TestedProject<'_>,
        phase: &PhaseCi,
    ) -> Result<Invocation, PlanNote> {
        let mut words = vec!["cargo", "test", "--no-fail-fast"];
        words.extend(is_workspace(project.place.dir).then_some("--workspace"));
        Ok(Invocation::new(&words, &phase.args))
    }

    /// Excludes options that change the output format.
    fn recognizes(&self, words: &[&str]) -> bool {
        let Some((program, args)) = words.split_first() else { return false };
        if program.rsplit('/').next() != Some("cargo") {
            return false;
        }
        let mut args = args.iter().filter(|arg| !arg.starts_with('+'));
        let is_test = matches!(args.next(), Some(&"test" | &"t"));
        let unreadable = |arg: &&str| {
            matches!(*arg, "-q" | "--quiet" | "--nocapture" | "--no-capture" | "--show-output")
                || arg.starts_with("--format")
                || arg.starts_with("--message-format")
        };
        is_test && !args.any(unreadable)
    }

    fn only(&self, command: &[String], tests: &[String]) -> Option<Vec<OsString>> {
        let filters: Option<Vec<&str>> = tests.iter().map(|id| cargo_names::filter(id)).collect();
        let filters = filters.filter(|_| !command.iter().any(|word| word == "--"))?;
        Some(std::iter::once("--").chain(filters).map(OsString::from).collect())
    }

    fn reader(&self) -> Box<dyn ResultReader> {
        Box::new(LibtestReader::default())
    }

    fn reports_at(&self, code: i32) -> bool {
        matches!(code, 0 | 101)
    }

    fn outcome(&self, ended: &EndedRun<'_>) -> CiOutcome {
        ended.by_report()
    }

    /// `test result: ok. 5 passed; 0 failed; 1 ignored; ...`
    fn summary(&self, line: &str) -> Option<SummaryLine> {
        let rest = line.strip_prefix("test result: ")?;
        let number = |word| summary_lines::number_before(rest, word);
        let (passed, failed) = (number("passed")?, number("failed")?);
        let line = SummaryLine::new("cargo test", passed, passed + failed)?;
        Some(line.with_names(TestNames::Printed(self.name())))
    }

    /// `test a::b ... ok`; line numbers of doctests are removed, since they change.
    fn printed_test(&self, line: &str) -> Option<PrintedLine> {
        let name = line.strip_prefix("test ")?.strip_suffix(" ... ok")?;
        Some(PrintedLine::Passed(LINE_NUMBER.replace(name, "").into_owned()))
    }

    fn found_nothing(&self) -> &'static [&'static str] {
        // A manifest, and no source yet.
        &["no targets specified in the manifest"]
    }

    fn build_tools(&self) -> &'static [BuildTool] {
        &[BuildTool::Cargo]
    }

    fn key(&self) -> &'static str {
        "Libtest"
    }
}

static LINE_NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r" \(line \d+\)").expect("a pattern"));

/// Whether this is a package with member packages, which cargo would omit by default. With `default-members`, cargo
/// knows which members to test.
fn is_workspace(dir: &Path) -> bool {
    let manifest = read_text(dir, "Cargo.toml");
    let has = |section: &str| manifest.lines().any(|line| line.trim() == section);
    let chosen = manifest.lines().any(|line| line.trim().starts_with("default-members"));
    has("[workspace]") && has("[package]") && !chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_package_with_members_needs_to_be_told_to_test_them() {
        let is_workspace = |manifest: &str| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
            is_workspace(dir.path())
        };
        assert!(!is_workspace("[package]\n"));
        assert!(is_workspace("[package]\nname = \"a\"\n[workspace]\nmembers = [\"b\"]\n"));
        assert!(!is_workspace("[package]\n[workspace]\ndefault-members = [\"b\"]\n"));
        assert!(!is_workspace("[workspace]\nmembers = [\"b\"]\n"));
    }

    #[test]
    fn single_tests_are_filters_behind_a_separator() {
        let only = |command: &[&str], tests: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            let (command, tests): (Vec<String>, Vec<String>) = (owned(command), owned(tests));
            Cargo.only(&command, &tests)
        };
        let (command, id) = (["cargo", "test"], "src/lib.rs (calc) tests::bad");
        let expected = ["--", "tests::bad"].map(OsString::from).to_vec();
        assert_eq!(only(&command, &[id]), Some(expected));
        assert_eq!(only(&["cargo", "test", "--", "--ignored"], &[id]), None);
        assert_eq!(only(&command, &[id, "tests/crash.rs (crash)"]), None);
    }
}
