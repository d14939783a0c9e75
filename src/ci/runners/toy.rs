//! Toy: `toytest --lines`, one line for each test.

use std::ffi::OsString;
use std::path::Path;

use super::{
    Author, CiOutcome, EndedRun, Evidence, Invocation, PlanNote, ReadResults, ReportOptions,
    ResultReader, TestCase, TestReport, TestRunner, TestStatus, TestedProject,
};
use crate::phase::PhaseCi;

/// The runner: how a project is detected and tested.
pub(crate) struct Toy;

impl TestRunner for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn manifests(&self) -> &'static [&'static str] {
        &["toy.ini"]
    }

    fn detect(&self, dir: &Path) -> Option<Evidence> {
        dir.join("toy.ini").is_file().then_some(Evidence::Configured)
    }

    fn typed(&self, _dir: &Path) -> String {
        "toytest".to_owned()
    }

    fn invocation(
        &self,
        _project: &TestedProject<'_>,
        phase: &PhaseCi,
    ) -> Result<Invocation, PlanNote> {
        Ok(Invocation::new(&["toytest"], &phase.args))
    }

    fn recognizes(&self, words: &[&str]) -> bool {
        words.first() == Some(&"toytest") && !words.contains(&"--fail-fast")
    }

    fn report_options(&self, author: Author, _results: &Path) -> ReportOptions {
        match author {
            Author::Autopack => ReportOptions { args: vec!["--lines".into()], env: Vec::new() },
            Author::Person => {
                ReportOptions { args: Vec::new(), env: vec![("TOYTEST_OPTIONS", "--lines".into())] }
            }
        }
    }

    fn only(&self, _command: &[String], tests: &[String]) -> Option<Vec<OsString>> {
        Some(tests.iter().map(|test| format!("--only={test}").into()).collect())
    }

    fn reader(&self) -> Box<dyn ResultReader> {
        Box::new(LineReader::default())
    }

    fn reports_at(&self, code: i32) -> bool {
        matches!(code, 0 | 1)
    }

    fn outcome(&self, ended: &EndedRun<'_>) -> CiOutcome {
        ended.by_report()
    }
}

/// Reads `pass parser`, `skip lexer` and `fail printer: expected 3`.
#[derive(Default)]
struct LineReader {
    report: TestReport,
}

impl ResultReader for LineReader {
    fn line(&mut self, line: &str) {
        let Some((word, rest)) = line.split_once(' ') else { return };
        let (name, message) = rest.split_once(": ").unwrap_or((rest, ""));
        let file = Some(format!("tests/{name}.toy"));
        let test = match word {
            "pass" => TestCase::new(TestStatus::Passed, file),
            "skip" => TestCase::new(TestStatus::Skipped, file),
            "fail" => TestCase::red(file, message),
            _ => return,
        };
        self.report.add(name.to_owned(), test);
    }

    fn finish(self: Box<Self>, _dir: &Path, _results: &Path) -> ReadResults {
        ReadResults { report: Some(self.report), tail: None }
    }
}
