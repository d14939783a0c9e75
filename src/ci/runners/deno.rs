//! Deno: `deno test`, or the task `test`. Only its summary is read.

use std::path::Path;

use super::node_project::{self, NodeTests};
use super::{
    Evidence, Invocation, PlanNote, SummaryLine, TestRunner, TestedProject, summary_lines,
};
use crate::ci::project_files::read_text;
use crate::phase::PhaseCi;

/// The runner.
pub(crate) struct Deno;

impl TestRunner for Deno {
    fn name(&self) -> &'static str {
        "deno"
    }

    fn manifests(&self) -> &'static [&'static str] {
        &["deno.json", "deno.jsonc"]
    }

    /// A test script of `package.json` goes first, also the one written by `npm init`.
    fn detect(&self, dir: &Path) -> Option<Evidence> {
        let is_deno = !manifest(dir).trim().is_empty();
        (is_deno && node_project::tests(dir) == NodeTests::None).then_some(Evidence::Script)
    }

    fn typed(&self, _dir: &Path) -> String {
        "deno test".to_owned()
    }

    fn invocation(
        &self,
        project: &TestedProject<'_>,
        phase: &PhaseCi,
    ) -> Result<Invocation, PlanNote> {
        let has_task = manifest(project.place.dir).contains("\"test\"");
        let words: &[&str] = if has_task { &["deno", "task", "test"] } else { &["deno", "test"] };
        Ok(Invocation::new(words, &phase.args))
    }

    /// `ok | 5 passed | 0 failed (10ms)`
    fn summary(&self, line: &str) -> Option<SummaryLine> {
        let rest = line.strip_prefix("ok | ").or_else(|| line.strip_prefix("FAILED | "))?;
        let passed = summary_lines::number_before(rest, "passed")?;
        let failed = summary_lines::number_before(rest, "failed").unwrap_or(0);
        SummaryLine::new("deno", passed, passed + failed)
    }
}

fn manifest(dir: &Path) -> String {
    [read_text(dir, "deno.json"), read_text(dir, "deno.jsonc")].concat()
}
