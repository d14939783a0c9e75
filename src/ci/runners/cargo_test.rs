//! Reads libtest's lines in the output of `cargo test` into results, each qualified by the test program.
//!
//! Needs stdout and stderr in one stream: cargo names the program on stderr, libtest the tests on stdout.

use std::collections::BTreeMap;
use std::path::Path;

use super::cargo_names::{self, Program};
use super::runner_paths::Packages;
use super::test_report::{FindFile, TestReport};
use super::{ReadResults, ResultReader, TestCase, TestStatus};

/// Most bytes kept of a failing test's output, approximately.
const OUTPUT_BYTES: usize = 16 * 1024;

/// Accepts every line and never fails.
#[derive(Default)]
pub struct LibtestReader {
    programs: Vec<TestProgram>,
    /// Position in the current program's output.
    part: OutputPart,
    /// Whether cargo listed the failed targets; otherwise the run stopped at the first.
    lists_failed: bool,
    any_failed: bool,
    not_compiled: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
enum OutputPart {
    /// Output of cargo, or of a program other than libtest.
    #[default]
    Outside,
    /// One line for each test.
    Tests { pending: Option<String> },
    /// Output of a failed test.
    Output { test: Option<String> },
    /// Names of the failed tests.
    Names,
    /// cargo's message about a program that ended without a result.
    Cause,
}

/// Results of one test program.
struct TestProgram {
    program: Program,
    tests: BTreeMap<String, TestCase>,
    finished: bool,
    /// cargo's message, if the program failed without a result.
    crashed: Option<String>,
    miscounted: bool,
}

impl ResultReader for LibtestReader {
    fn line(&mut self, line: &str) {
        // A test may print any text, including copies of cargo's lines.
        let printed = matches!(self.part, OutputPart::Output { .. } | OutputPart::Names);
        if !printed && self.cargo_line(line) {
            return;
        }
        let Some(ran) = self.programs.last_mut() else { return };
        self.part = match std::mem::take(&mut self.part) {
            OutputPart::Outside if is_start(line) && !ran.finished => {
                OutputPart::Tests { pending: None }
            }
            OutputPart::Outside => OutputPart::Outside,
            OutputPart::Tests { pending } => ran.test_line(line, pending),
            OutputPart::Output { test } => ran.output_line(line, test),
            OutputPart::Names => ran.name_line(line),
            OutputPart::Cause => ran.cause_line(line),
        };
    }

    fn finish(self: Box<Self>, dir: &Path, _results: &Path) -> ReadResults {
        let packages = Packages::of(dir);
        let report = self.into_report(&|path, name| packages.find(path, name));
        ReadResults { report: Some(report), tail: None }
    }
}

impl LibtestReader {
    fn cargo_line(&mut self, line: &str) -> bool {
        if let Some(program) = cargo_names::program(line) {
            let twins = self.programs.iter().filter(|ran| ran.program.is_twin(&program)).count();
            let program = program.numbered(twins + 1);
            self.programs.push(TestProgram::new(program));
            self.part = OutputPart::Outside;
            return true;
        }
        if line.starts_with("error: test failed, to rerun")
            || line.starts_with("error: doctest failed")
        {
            self.any_failed = true;
            if let Some(ran) = self.programs.last_mut().filter(|ran| !ran.finished) {
                ran.crashed = Some(String::new());
                self.part = OutputPart::Cause;
            }
            return true;
        }
        let failed_list = line.starts_with("error: ") && line.ends_with("failed:");
        self.lists_failed |= failed_list && line.contains(" target");
        self.not_compiled |= line.starts_with("error: could not compile ");
        failed_list
    }

    fn into_report(self, find: &FindFile) -> TestReport {
        let unfinished = |ran: &TestProgram| {
            ran.miscounted || (ran.started() && !ran.finished && ran.crashed.is_none())
        };
        let mut report = TestReport {
            partial: self.any_failed && !self.lists_failed || self.programs.iter().any(unfinished),
            collection_error: self.not_compiled,
            ..TestReport::default()
        };
        for ran in self.programs {
            ran.report(find, &mut report);
        }
        report
    }
}

impl TestProgram {
    fn new(program: Program) -> Self {
        Self { program, tests: BTreeMap::new(), finished: false, crashed: None, miscounted: false }
    }

    fn started(&self) -> bool {
        !self.tests.is_empty()
    }

    /// Reads `test a::b ... ok`, possibly with output of the test's child processes in between.
    fn test_line(&mut self, line: &str, pending: Option<String>) -> OutputPart {
        if line == "failures:" {
            return OutputPart::Output { test: None };
        }
        if line.starts_with("test result: ") {
            return self.result_line(line);
        }
        let (name, rest) =
            match line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
                Some((name, rest)) => (Some(name.to_owned()), rest),
                None => (pending, line),
            };
        let Some(name) = name else { return OutputPart::Tests { pending: None } };
        match status(rest) {
            Some(status) => {
                self.tests.insert(name, TestCase::new(status, None));
                OutputPart::Tests { pending: None }
            }
            None => OutputPart::Tests { pending: Some(name) },
        }
    }

    fn output_line(&mut self, line: &str, test: Option<String>) -> OutputPart {
        if let Some(name) = self.heading(line) {
            return OutputPart::Output { test: Some(name) };
        }
        if line == "failures:" {
            return OutputPart::Names;
        }
        if line.starts_with("test result: ") {
            return self.result_line(line);
        }
        let case = test.as_ref().and_then(|name| self.tests.get_mut(name));
        if let Some(case) = case.filter(|case| case.message.len() < OUTPUT_BYTES) {
            case.message.push_str(line);
            case.message.push('\n');
        }
        OutputPart::Output { test }
    }

    fn name_line(&mut self, line: &str) -> OutputPart {
        if line.starts_with("test result: ") {
            return self.result_line(line);
        }
        if let Some(name) = self.heading(line) {
            return OutputPart::Output { test: Some(name) };
        }
        if let Some(name) = line.strip_prefix("    ").filter(|name| !name.starts_with(' ')) {
            let case = self.tests.entry(name.to_owned());
            case.or_insert_with(|| TestCase::red(None, "")).status = TestStatus::Failed;
        }
        OutputPart::Names
    }

    fn cause_line(&mut self, line: &str) -> OutputPart {
        if let Some(message) = self.crashed.as_mut() {
            let line = line.trim();
            if !line.is_empty() && line != "Caused by:" {
                message.push_str(line);
                message.push('\n');
            }
        }
        OutputPart::Cause
    }

    /// Reads `---- a::b stdout ----` for a test already known as failed.
    fn heading(&self, line: &str) -> Option<String> {
        let name = line.strip_prefix("---- ")?.strip_suffix(" ----")?;
        let name = name.strip_suffix(" stdout").unwrap_or(name);
        // `a - should panic` is listed by this name, but its heading has the plain name.
        let listed = [name.to_owned(), format!("{name} - should panic")];
        listed.into_iter().find(|name| self.tests.get(name).is_some_and(TestCase::is_red))
    }

    /// Reads `test result: FAILED. 3 passed; 2 failed; 1 ignored; ...` and checks the results against the totals.
    fn result_line(&mut self, line: &str) -> OutputPart {
        let printed_count = |what: &str| {
            let end = line.find(what)?;
            line[..end].rsplit([' ', ';', '.']).find(|word| !word.is_empty())?.parse().ok()
        };
        let read = |status| self.tests.values().filter(|test| test.status == status).count();
        self.miscounted = printed_count(" failed;") != Some(read(TestStatus::Failed))
            || printed_count(" passed;") > Some(read(TestStatus::Passed));
        self.finished = true;
        OutputPart::Outside
    }

    fn report(self, find: &FindFile, report: &mut TestReport) {
        let Self { program, tests, crashed, .. } = self;
        for (id, name, case) in cargo_names::assign_ids(&program, tests) {
            let file = program.file_of(&name, find);
            report.add(id, TestCase { file, ..case });
        }
        if let Some(cause) = crashed {
            let hides = Some(program.prefix());
            let message = format!("the test program ended without a result: {}", cause.trim());
            let case = TestCase { hides, ..TestCase::red(program.root_file(find), message) };
            report.add(program.label(), case);
        }
    }
}

fn is_start(line: &str) -> bool {
    let count = line.strip_prefix("running ").and_then(|rest| rest.split_once(' '));
    count.is_some_and(|(n, tests)| n.parse::<u32>().is_ok() && tests.starts_with("test"))
}

/// Reads the end of a test's line; output of a child process may precede the status.
fn status(rest: &str) -> Option<TestStatus> {
    if rest == "ignored" || rest.starts_with("ignored, ") {
        return Some(TestStatus::Skipped);
    }
    if rest.ends_with("FAILED") || rest.ends_with("FAILED (time limit exceeded)") {
        return Some(TestStatus::Failed);
    }
    (rest.ends_with("ok") || rest.starts_with("bench:")).then_some(TestStatus::Passed)
}

#[cfg(test)]
#[path = "cargo_test_tests.rs"]
mod tests;
