//! Reads `go test -json` into results, each qualified by the package.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use serde::Deserialize;

use super::runner_paths::GoModules;
use super::{ReadResults, ResultReader, TestCase, TestReport, TestStatus};

/// Number of readable output lines kept.
const TAIL_LINES: usize = 80;
/// Most bytes kept of a test's output, approximately.
const OUTPUT_BYTES: usize = 16 * 1024;

/// The relevant fields of a line of the stream (`go doc test2json`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    #[serde(default)]
    package: String,
    #[serde(default)]
    import_path: String,
    #[serde(default)]
    test: String,
    #[serde(default)]
    output: String,
    #[serde(default)]
    failed_build: String,
}

#[derive(Default)]
pub struct GoTestReader {
    report: TestReport,
    output: BTreeMap<String, String>,
    tail: VecDeque<String>,
}

impl ResultReader for GoTestReader {
    fn line(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str::<Event>(line) else {
            // The compiler's output, before Go 1.24.
            self.remember(line);
            return;
        };
        let id = event.id();
        match event.action.as_str() {
            "output" | "build-output" => {
                self.remember(&event.output);
                let kept = self.output.entry(id).or_default();
                if kept.len() < OUTPUT_BYTES {
                    kept.push_str(&event.output);
                }
            }
            "pass" | "skip" if !event.test.is_empty() => {
                let passed = event.action == "pass";
                let status = if passed { TestStatus::Passed } else { TestStatus::Skipped };
                let function = event.function();
                self.report.add(id, TestCase { function, ..TestCase::new(status, None) });
            }
            "fail" => self.failed(&event, id),
            _ => {}
        }
    }

    fn finish(self: Box<Self>, dir: &Path, _results: &Path) -> ReadResults {
        let modules = GoModules::of(dir);
        let (report, tail) = self.into_report(&|package, test| modules.find(package, test));
        ReadResults { report: Some(report), tail: Some(tail) }
    }
}

impl GoTestReader {
    /// Records a failed package. If none of its tests failed, they could not be built or run to their end.
    fn failed(&mut self, event: &Event, id: String) {
        let mut message = self.output.remove(&id).unwrap_or_default();
        if event.test.is_empty() {
            let start = format!("{}.", event.package);
            let mut tests = self.report.tests.iter().filter(|(id, _)| id.starts_with(&start));
            let built = event.failed_build.is_empty() && !message.contains("[build failed]");
            if built && tests.any(|(_, test)| test.is_red()) {
                return;
            }
            message.push_str(&self.output.remove(&event.failed_build).unwrap_or_default());
            self.report.collection_error |= !built;
            let case = TestCase { hides: Some(start), ..TestCase::red(None, message) };
            return self.report.add(id, case);
        }
        let function = event.function();
        self.report.add(id, TestCase { function, ..TestCase::red(None, message) });
    }

    fn remember(&mut self, text: &str) {
        self.tail.extend(text.lines().map(str::to_owned));
        let surplus = self.tail.len().saturating_sub(TAIL_LINES);
        self.tail.drain(..surplus);
    }

    /// Returns the results, and the end of the output as usually printed. `find` takes a package and a test function.
    fn into_report(mut self, find: &FindTest) -> (TestReport, String) {
        for (id, test) in &mut self.report.tests {
            let function = test.function.as_deref().unwrap_or(id);
            test.file = split(function).and_then(|(package, name)| find(package, name));
        }
        (self.report, Vec::from(self.tail).join("\n"))
    }
}

/// Finds the file of a test function by the package's import path and the function's name.
type FindTest<'a> = dyn Fn(&str, &str) -> Option<String> + 'a;

/// `example.com/m/a.TestX` -> (`example.com/m/a`, `TestX`)
fn split(function: &str) -> Option<(&str, &str)> {
    let name_start = function.rfind('/').map_or(0, |slash| slash + 1);
    let dot = function[name_start..].rfind('.')? + name_start;
    Some((&function[..dot], &function[dot + 1..]))
}

impl Event {
    /// The function of a subtest: `TestX/sub` is a case of `TestX`.
    fn function(&self) -> Option<String> {
        let (function, _) = self.test.split_once('/')?;
        Some(format!("{}.{function}", self.package))
    }

    fn id(&self) -> String {
        match (self.package.as_str(), self.test.as_str()) {
            ("", _) => self.import_path.clone(),
            (package, "") => package.to_owned(),
            (package, test) => format!("{package}.{test}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As documented by `go doc test2json`, with a package that does not build (Go 1.24).
    const STREAM: &str = r#"{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestOk"}
{"Action":"output","Package":"m/a","Test":"TestOk","Output":"=== RUN   TestOk\n"}
{"Action":"pass","Package":"m/a","Test":"TestOk","Elapsed":0}
{"Action":"output","Package":"m/a","Test":"TestBad","Output":"    a_test.go:7: sum is off\n"}
{"Action":"fail","Package":"m/a","Test":"TestBad","Elapsed":0}
{"Action":"skip","Package":"m/a","Test":"TestLater","Elapsed":0}
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\t0.002s\n"}
{"Action":"fail","Package":"m/a","Elapsed":0.002}
{"ImportPath":"m/b [m/b.test]","Action":"build-output","Output":"b/b_test.go:3:1: syntax error\n"}
{"ImportPath":"m/b [m/b.test]","Action":"build-fail"}
{"Action":"output","Package":"m/b","Output":"FAIL\tm/b [build failed]\n"}
{"Action":"fail","Package":"m/b","Elapsed":0,"FailedBuild":"m/b [m/b.test]"}"#;

    #[test]
    fn a_stream_is_read_by_package() {
        let mut reader = GoTestReader::default();
        STREAM.lines().for_each(|line| reader.line(line));
        let (report, tail) = reader.into_report(&|_, _| None);
        let statuses: Vec<_> =
            report.tests.iter().map(|(id, test)| (id.as_str(), test.status)).collect();
        let expected = [
            ("m/a.TestBad", TestStatus::Failed),
            ("m/a.TestLater", TestStatus::Skipped),
            ("m/a.TestOk", TestStatus::Passed),
            ("m/b", TestStatus::Failed),
        ];
        assert_eq!(statuses, expected);
        assert!(report.tests["m/a.TestBad"].message.contains("sum is off"));
        assert!(report.tests["m/b"].message.contains("syntax error"));
        assert_eq!(report.tests["m/b"].hides.as_deref(), Some("m/b."));
        assert!(report.collection_error);
        assert!(tail.contains("FAIL\tm/a") && !tail.contains("Action"));
    }
}
