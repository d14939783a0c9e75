//! Reads pytest's JUnit XML (family xunit2) into results by node id.
//!
//! The XML names a test by the dotted class name; the repository tells how much of the name is the file.

use std::fs;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::runner_paths::file_at_root;
use super::test_report::FindFile;
use super::{ReadResults, ResultReader, TestCase, TestReport, TestStatus};

/// pytest's message for an unloadable module.
const COLLECTION_FAILURE: &str = "collection failure";

#[derive(Debug, thiserror::Error, PartialEq)]
#[error("cannot read the JUnit XML: {0}")]
struct NotJunit(String);

/// Reads the report file, with any content, since the tests can write to the file.
pub struct JunitReader;

impl ResultReader for JunitReader {
    fn line(&mut self, _line: &str) {}

    fn finish(self: Box<Self>, dir: &Path, results: &Path) -> ReadResults {
        let Ok(bytes) = fs::read(results) else { return ReadResults::default() };
        let text = String::from_utf8_lossy(&bytes);
        match parse(&text, &|path, _| file_at_root(dir, path)) {
            Ok(report) => ReadResults { report: Some(report), tail: None },
            Err(error) => {
                tracing::warn!("{error}: {}", results.display());
                ReadResults::default()
            }
        }
    }
}

/// A partly read `<testcase>`.
#[derive(Default)]
struct OpenTestCase {
    class: String,
    name: String,
    status: Option<TestStatus>,
    message: String,
    not_collected: bool,
}

/// Parses a report. A file with a premature end (the writer was killed) counts as partial.
fn parse(xml: &str, find: &FindFile) -> Result<TestReport, NotJunit> {
    let mut reader = Reader::from_str(xml);
    let mut report = TestReport::default();
    let mut open: Option<OpenTestCase> = None;
    let (mut seen_suite, mut closed) = (false, false);
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                seen_suite |= is_suite(&tag);
                open_tag(&tag, &mut open);
            }
            Ok(Event::Empty(tag)) => {
                if is_suite(&tag) {
                    (seen_suite, closed) = (true, true);
                }
                open_tag(&tag, &mut open);
                if tag.local_name().as_ref() == "testcase" {
                    close(open.take(), find, &mut report);
                }
            }
            Ok(Event::End(tag)) => match tag.local_name().as_ref() {
                "testcase" => close(open.take(), find, &mut report),
                "testsuite" | "testsuites" => closed = true,
                _ => {}
            },
            Ok(Event::Text(text)) => add_text(&mut open, text.as_ref()),
            Ok(Event::CData(text)) => add_text(&mut open, text.as_ref()),
            Ok(Event::GeneralRef(name)) => add_reference(&mut open, name.as_ref()),
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) if seen_suite => {
                tracing::debug!(%error, "the JUnit XML ends in garbage");
                closed = false;
                break;
            }
            Err(error) => return Err(NotJunit(error.to_string())),
        }
    }
    if !seen_suite {
        return Err(NotJunit("no <testsuite> found".to_owned()));
    }
    report.partial = !closed;
    Ok(report)
}

fn is_suite(tag: &BytesStart) -> bool {
    matches!(tag.local_name().as_ref(), "testsuite" | "testsuites")
}

fn open_tag(tag: &BytesStart, open: &mut Option<OpenTestCase>) {
    match (tag.local_name().as_ref(), open.as_mut()) {
        ("testcase", _) => {
            let (class, name) = (attribute(tag, "classname"), attribute(tag, "name"));
            *open = Some(OpenTestCase { class, name, ..OpenTestCase::default() });
        }
        ("failure" | "error", Some(test)) => {
            let message = attribute(tag, "message");
            test.status = Some(TestStatus::Failed);
            test.not_collected |= message == COLLECTION_FAILURE;
            // The text repeats the message of an assertion, but not of a fixture failure.
            if message.starts_with("failed on ") {
                test.message.push_str(&message);
                test.message.push('\n');
            }
        }
        ("skipped", Some(test)) => {
            test.status = test.status.max(Some(TestStatus::Skipped));
        }
        _ => {}
    }
}

fn attribute(tag: &BytesStart, name: &str) -> String {
    let Ok(Some(attribute)) = tag.try_get_attribute(name) else { return String::new() };
    match quick_xml::escape::unescape(&attribute.value) {
        Ok(text) => text.into_owned(),
        Err(_) => attribute.value.into_owned(),
    }
}

/// Keeps the text of failing tests only.
fn add_text(open: &mut Option<OpenTestCase>, text: &str) {
    if let Some(test) = open.as_mut().filter(|test| test.status == Some(TestStatus::Failed)) {
        test.message.push_str(text);
    }
}

fn add_reference(open: &mut Option<OpenTestCase>, name: &str) {
    let whole = format!("&{name};");
    match quick_xml::escape::unescape(&whole) {
        Ok(text) => add_text(open, &text),
        Err(_) => add_text(open, &whole),
    }
}

fn close(open: Option<OpenTestCase>, find: &FindFile, report: &mut TestReport) {
    let Some(test) = open else { return };
    if test.name.is_empty() {
        return;
    }
    if test.not_collected {
        return not_collected(test, find, report);
    }
    let (file, id) = node_id(&test.class, &test.name, find);
    let status = test.status.unwrap_or(TestStatus::Passed);
    let function = function(&id, &test.name);
    report.add(id, TestCase { message: test.message, function, ..TestCase::new(status, file) });
}

/// Reads an uncollected module: `classname=""`, and the dotted name of the module or class as `name`.
fn not_collected(test: OpenTestCase, find: &FindFile, report: &mut TestReport) {
    let dotted = match test.class.as_str() {
        "" => test.name,
        class => format!("{class}.{}", test.name),
    };
    let (file, rest) = split_class(&dotted, find);
    let id = match (&file, rest.as_str()) {
        (Some(file), "") => file.clone(),
        (Some(file), rest) => format!("{file}::{rest}"),
        (None, _) => dotted,
    };
    let hides = Some(format!("{id}::"));
    report.collection_error = true;
    report.add(id, TestCase { hides, ..TestCase::red(file, test.message) });
}

/// `tests.unit.test_a.TestGroup` and `test_x[1]` -> `tests/unit/test_a.py::TestGroup::test_x[1]`.
fn node_id(class: &str, name: &str, find: &FindFile) -> (Option<String>, String) {
    let (file, rest) = split_class(class, find);
    let id = match (&file, rest.as_str()) {
        (Some(file), "") => format!("{file}::{name}"),
        (Some(file), rest) => format!("{file}::{rest}::{name}"),
        (None, _) => format!("{class}::{name}"),
    };
    (file, id)
}

/// The function of a parametrized test: `test_x[1-[a]]` is a case of `test_x`.
fn function(id: &str, name: &str) -> Option<String> {
    let bracket = name.find('[').filter(|_| name.ends_with(']'))?;
    Some(id[..id.len() - name.len() + bracket].to_owned())
}

/// Splits off the file: the longest prefix naming an existing file.
fn split_class(class: &str, find: &FindFile) -> (Option<String>, String) {
    let parts: Vec<&str> = class.split('.').collect();
    for length in (1..=parts.len()).rev() {
        let path = format!("{}.py", parts[..length].join("/"));
        if let Some(file) = find(&path, None) {
            return (Some(file), parts[length..].join("::"));
        }
    }
    (None, class.to_owned())
}

#[cfg(test)]
#[path = "pytest_junit_tests.rs"]
mod tests;
