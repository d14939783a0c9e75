//! Go: `go test -json`, with events in the output.

use std::path::Path;

use super::go_test::GoTestReader;
use super::{
    Author, BuildTool, CiOutcome, EndedRun, Evidence, Invocation, PlanNote, PrintedLine,
    ReportOptions, ResultReader, SummaryLine, TestNames, TestRunner, TestedProject, go_workspace,
};
use crate::ci::project_files::read_text;
use crate::phase::PhaseCi;

/// The runner.
pub(crate) struct Go;

impl TestRunner for Go {
    fn name(&self) -> &'static str {
        "go"
    }

    fn manifests(&self) -> &'static [&'static str] {
        &["go.mod", "go.work"]
    }

    fn detect(&self, dir: &Path) -> Option<Evidence> {
        let has = |name: &&str| dir.join(name).is_file();
        self.manifests().iter().any(has).then_some(Evidence::Manifest)
    }

    fn typed(&self, _dir: &Path) -> String {
        "go test ./...".to_owned()
    }

    fn invocation(
        &self,
        project: &TestedProject<'_>,
        phase: &PhaseCi,
    ) -> Result<Invocation, PlanNote> {
        let dir = project.place.dir;
        let patterns = match dir.join("go.work").is_file() {
            true => go_workspace::package_patterns(&read_text(dir, "go.work")),
            false => vec!["./...".to_owned()],
        };
        let words = ["go", "test", "-json"].into_iter().chain(patterns.iter().map(String::as_str));
        Ok(Invocation::new(&words.collect::<Vec<_>>(), &phase.args))
    }

    /// Excludes options after which the output is no longer go's own.
    fn recognizes(&self, words: &[&str]) -> bool {
        let unreadable = |arg: &&str| {
            let arg = arg.trim_start_matches('-');
            matches!(arg, "json" | "c" | "list" | "args" | "exec" | "o" | "failfast" | "n")
                || ["json=", "exec=", "o=", "list=", "failfast="].iter().any(|o| arg.starts_with(o))
        };
        match words {
            [program, "test", rest @ ..] => {
                program.rsplit('/').next() == Some("go") && !rest.iter().any(unreadable)
            }
            _ => false,
        }
    }

    /// A detected command has the option among its arguments.
    fn report_options(&self, author: Author, _results: &Path) -> ReportOptions {
        let env = match author {
            Author::Autopack => Vec::new(),
            Author::Person => vec![("GOFLAGS", "-json".to_owned())],
        };
        ReportOptions { env, ..ReportOptions::default() }
    }

    /// Go's own limit is ten minutes per package, independent of ci's limit.
    fn time_limit(&self, seconds: u64) -> Vec<String> {
        vec![format!("-timeout={seconds}s")]
    }

    fn reader(&self) -> Box<dyn ResultReader> {
        Box::new(GoTestReader::default())
    }

    fn reports_at(&self, code: i32) -> bool {
        matches!(code, 0 | 1)
    }

    fn outcome(&self, ended: &EndedRun<'_>) -> CiOutcome {
        ended.by_report()
    }

    /// `--- PASS: TestX (0.00s)` with `-v`; whole packages without: `ok  \tm/a\t0.01s`, `FAIL\tm/a\t0.01s`.
    fn summary(&self, line: &str) -> Option<SummaryLine> {
        let test = |passed| {
            let line = SummaryLine::new("go test -v", passed, 1)?;
            Some(line.with_names(TestNames::Printed(self.name())))
        };
        let package = |passed| {
            let line = SummaryLine::new("go test, packages", passed, 1)?;
            Some(line.with_names(TestNames::OfPackages))
        };
        if line.starts_with("--- PASS: ") {
            return test(1);
        }
        if line.starts_with("--- FAIL: ") {
            return test(0);
        }
        if line.starts_with("FAIL\t") {
            return package(0);
        }
        let rest = line.strip_prefix("ok ").filter(|rest| rest.contains('\t'))?;
        (!rest.contains("[no tests to run]")).then(|| package(1))?
    }

    /// `--- PASS: TestX/sub (0.00s)`
    fn printed_test(&self, line: &str) -> Option<PrintedLine> {
        let (name, _) = line.strip_prefix("--- PASS: ")?.split_once(" (")?;
        Some(PrintedLine::Passed(name.to_owned()))
    }

    fn found_nothing(&self) -> &'static [&'static str] {
        // A manifest, and no source yet.
        &["no packages to test", "go: no packages to test"]
    }

    fn build_tools(&self) -> &'static [BuildTool] {
        &[BuildTool::Go]
    }

    fn key(&self) -> &'static str {
        "GoJson"
    }
}
