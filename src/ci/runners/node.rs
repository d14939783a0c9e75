//! Node: the test script of `package.json`, by any package manager. The script's framework prints the results.

use std::path::Path;

use super::node_project::{self, NodeTests, PackageManager};
use super::node_scripts::{ScriptEnd, script_end};
use super::{
    BuildTool, Evidence, Invocation, PlanNote, SummaryLine, TestNames, TestRunner, TestedProject,
    printed_tests,
};
use crate::phase::PhaseCi;

/// The runner.
pub(crate) struct Node;

impl TestRunner for Node {
    fn name(&self) -> &'static str {
        "node"
    }

    fn manifests(&self) -> &'static [&'static str] {
        &["package.json"]
    }

    fn detect(&self, dir: &Path) -> Option<Evidence> {
        match node_project::tests(dir) {
            NodeTests::Script | NodeTests::Members(_) => Some(Evidence::Script),
            NodeTests::Placeholder => Some(Evidence::Placeholder),
            NodeTests::None => None,
        }
    }

    fn explain_placeholder(&self) -> Option<PlanNote> {
        Some(PlanNote {
            why: "no ci yet: package.json has only the test script written by npm init".to_owned(),
            hint: "CI starts with the first phase that writes a test script; or set ci.command in autopack.yaml"
                .to_owned(),
        })
    }

    fn typed(&self, dir: &Path) -> String {
        format!("{} test", PackageManager::of(dir))
    }

    fn invocation(
        &self,
        project: &TestedProject<'_>,
        phase: &PhaseCi,
    ) -> Result<Invocation, PlanNote> {
        let dir = project.place.dir;
        let (tests, manager) = (node_project::tests(dir), PackageManager::of(dir));
        // Each of them can run the scripts of any project.
        let manager = match project.place.has_program(manager.program()) {
            true => manager,
            false => PackageManager::Npm,
        };
        let mut args = phase.args.clone();
        let mut cannot_start = None;
        match common_end(&tests, dir) {
            ScriptEnd::EndsAlone => {}
            ScriptEnd::EndsWithArguments { arguments, .. } => args.extend(arguments),
            end @ ScriptEnd::Endless { .. } => cannot_start = end.refusal(),
        }
        let argv = manager.command(&tests, &args);
        Ok(Invocation { argv, cannot_start, ..Invocation::default() })
    }

    fn watch_arguments(&self, words: &[&str], dir: &Path) -> Result<Vec<String>, String> {
        let Some(script) = called_script(words) else { return Ok(Vec::new()) };
        match script_end(dir, script.name) {
            ScriptEnd::EndsAlone => Ok(Vec::new()),
            ScriptEnd::EndsWithArguments { arguments, .. } => Ok(script.arguments(arguments)),
            end @ ScriptEnd::Endless { .. } => Err(end.refusal().unwrap_or_default()),
        }
    }

    /// `# pass 4` in TAP, `ℹ pass 4` in node's own format.
    fn summary(&self, line: &str) -> Option<SummaryLine> {
        let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
        let (word, count) = rest.split_once(' ')?;
        let count = count.trim().parse().ok()?;
        let line = match word {
            "pass" => SummaryLine::new("node:test or TAP", count, count)?,
            "fail" => SummaryLine::new("node:test or TAP", 0, count)?,
            _ => return None,
        };
        Some(line.with_names(TestNames::Printed(printed_tests::JAVASCRIPT)))
    }

    fn found_nothing(&self) -> &'static [&'static str] {
        &["npm error Missing script: \"test\"", "Missing script: \"test\""]
    }

    fn build_tools(&self) -> &'static [BuildTool] {
        &[BuildTool::Node]
    }
}

/// Returns the common end of all members' scripts: one command with the same arguments runs them all.
fn common_end(tests: &NodeTests, dir: &Path) -> ScriptEnd {
    let members = match tests {
        NodeTests::Script => return script_end(dir, "test"),
        NodeTests::Members(members) => members,
        NodeTests::Placeholder | NodeTests::None => return ScriptEnd::EndsAlone,
    };
    let ends = members.iter().map(|member| (member, script_end(&dir.join(member), "test")));
    let mut endless = ends.map(|(member, end)| match end {
        ScriptEnd::EndsAlone => ScriptEnd::EndsAlone,
        ScriptEnd::EndsWithArguments { script, command, .. }
        | ScriptEnd::Endless { script, command } => {
            ScriptEnd::Endless { script: format!("{script} (in {member})"), command }
        }
    });
    endless.find(|end| *end != ScriptEnd::EndsAlone).unwrap_or(ScriptEnd::EndsAlone)
}

/// A script of `package.json` called by a command.
struct CalledScript<'a> {
    name: &'a str,
    /// Whether `--` must separate script arguments from the package manager's own.
    needs_separator: bool,
}

impl CalledScript<'_> {
    /// Returns the given arguments, with a separator if needed to reach the script.
    fn arguments(&self, arguments: Vec<String>) -> Vec<String> {
        let separator = (self.needs_separator && !arguments.is_empty()).then(|| "--".to_owned());
        separator.into_iter().chain(arguments).collect()
    }
}

/// Returns the script called by a command, if arguments appended to the command reach the script.
fn called_script<'a>(words: &[&'a str]) -> Option<CalledScript<'a>> {
    let (manager, rest) = words.split_first()?;
    if !matches!(*manager, "npm" | "pnpm" | "yarn" | "bun") {
        return None;
    }
    let is_option = |word: &&&str| word.starts_with('-') && **word != "--";
    let rest: Vec<&'a str> = rest.iter().filter(|word| !is_option(word)).copied().collect();
    let (name, rest) = match rest.split_first()? {
        (&("test" | "t"), rest) if *manager != "bun" => ("test", rest),
        (&("run" | "run-script"), rest) => rest.split_first().map(|(name, rest)| (*name, rest))?,
        (name, rest) if *manager == "yarn" => (*name, rest),
        _ => return None,
    };
    let needs_separator = *manager == "npm" && !rest.contains(&"--");
    Some(CalledScript { name, needs_separator })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_the_script_of_each_manager() {
        let tuned = |text: &str| {
            let words: Vec<&str> = text.split_whitespace().collect();
            let script = called_script(&words)?;
            let arguments = script.arguments(vec!["--run".to_owned()]);
            Some(format!("{} {}", script.name, arguments.join(" ")))
        };
        assert_eq!(tuned("npm test").as_deref(), Some("test -- --run"));
        assert_eq!(tuned("npm run -s unit -- --x").as_deref(), Some("unit --run"));
        assert_eq!(tuned("pnpm test").as_deref(), Some("test --run"));
        assert_eq!(tuned("yarn unit").as_deref(), Some("unit --run"));
        for text in ["npm ci", "npx vitest", "make test", ""] {
            assert_eq!(tuned(text), None, "{text}");
        }
    }
}
