//! Plans written by an agent: parsed, repaired and checked, then written out in a uniform form. Pure.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::error::ImportError;
use super::plan_rights::{forbidden_words, widened_rights};
use super::{Existing, FORMATS, ReadOptions, parse_with};
use crate::phase::plan::{Plan, PlanPhase};
use crate::phase::proposal::tree_files::TreeFiles;
use crate::phase::{Failure, FixedSpec, RawSpec, Repair, RunId};

/// Deliverables of a phase at most: larger work is split.
const MOST_DELIVERABLES: usize = 12;
/// Name of the answer in messages.
const ANSWER: &str = "plan.yaml";
/// Fields in the order in which a plan is written; others follow as given.
const ORDER: [&str; 9] = [
    "phase_id",
    "name",
    "description",
    "category",
    "complexity",
    "deliverables",
    "scope",
    "acceptance_criteria",
    "depends_on",
];

/// The auto-fixer of a workspace.
pub type Fixer<'a> = dyn Fn(&RawSpec, Option<&Failure>) -> Repair + 'a;

/// A plan without problems.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedPlan {
    /// The plan, with repaired specs.
    pub plan: Plan,
    /// The plan as YAML.
    pub text: String,
}

impl CheckedPlan {
    /// Returns the run of the plan.
    pub fn run_id(&self) -> Option<&RunId> {
        self.plan.runs.first().map(|run| &run.run_id)
    }

    /// Changes the run of the plan.
    pub fn rename_run(&mut self, run_id: RunId) {
        for run in &mut self.plan.runs {
            run.run_id = run_id.clone();
        }
        self.text = yaml(&self.plan);
    }
}

/// What a plan is checked by.
#[derive(Clone, Copy)]
pub struct PlanRules<'a> {
    /// Run of the plan; overrides the run named in the answer.
    pub run: Option<&'a RunId>,
    /// The auto-fixer.
    pub fix: &'a Fixer<'a>,
    /// Names of the configured agents.
    pub agents: &'a [&'a str],
    /// The goal's issue, if any. The plan then widens no right, and each phase carries the issue.
    pub issue: Option<GoalIssue<'a>>,
}

/// The issue of a goal: text of other people.
#[derive(Clone, Copy, Debug)]
pub struct GoalIssue<'a> {
    /// The issue, as `tracker` of a spec.
    pub tracker: &'a Value,
    /// Files of the commit that the plan is for.
    pub tree: &'a TreeFiles,
}

/// Checks the answer of an agent.
///
/// # Errors
/// All problems, in words for the agent.
pub fn check_plan(answer: &str, rules: &PlanRules<'_>) -> Result<CheckedPlan, Vec<String>> {
    let answer = answer.trim();
    if answer.is_empty() {
        return Err(vec!["the answer is empty: write the plan as YAML".to_owned()]);
    }
    let options = ReadOptions { format: Some("plan".to_owned()), ..ReadOptions::of_run(rules.run) };
    let draft = parse_with(FORMATS, Path::new(ANSWER), answer.as_bytes(), &options)
        .map_err(|error| lines(&error))?;
    let mut problems = Vec::new();
    let mut plan = match draft.resolve(&Existing::default()) {
        Ok(plan) => plan,
        Err(error) => return Err(lines(&error)),
    };
    if plan.runs.len() != 1 {
        let runs: Vec<&str> = plan.runs.iter().map(|run| run.run_id.as_str()).collect();
        return Err(vec![format!("write one run, not {}: {}", runs.len(), runs.join(", "))]);
    }
    for phase in plan.runs.iter_mut().flat_map(|run| &mut run.phases) {
        match (rules.fix)(&phase.spec, None).result {
            Err(why) => problems.push(format!("phase `{}`: {why}", phase.phase_id)),
            Ok(fixed) => {
                let mut found = missing(&phase.spec, &fixed);
                found.extend(forbidden_words(phase, &fixed, rules.agents));
                if let Some(issue) = rules.issue {
                    found.extend(widened_rights(phase, &fixed, issue.tree));
                }
                let id = &phase.phase_id;
                problems.extend(found.into_iter().map(|what| format!("phase `{id}`: {what}")));
                phase.spec = uniform(phase, &fixed, rules.issue.map(|issue| issue.tracker));
            }
        }
    }
    match problems.is_empty() {
        true => Ok(CheckedPlan { text: yaml(&plan), plan }),
        false => Err(problems),
    }
}

fn lines(error: &ImportError) -> Vec<String> {
    match error.several() {
        [] => vec![error.to_string()],
        several => several.iter().map(ToString::to_string).collect(),
    }
}

/// Returns what a phase of a plan needs, and this one lacks.
fn missing(raw: &RawSpec, fixed: &FixedSpec) -> Vec<String> {
    let mut missing = Vec::new();
    if fixed.description().trim().is_empty() {
        missing
            .push("`description` is missing: the agent sees nothing else of the goal".to_owned());
    }
    match fixed.deliverables().len() {
        0 => missing.push("`deliverables` names no file".to_owned()),
        n if n > MOST_DELIVERABLES => {
            missing.push(format!("{n} deliverables are too many: split the phase"));
        }
        _ => {}
    }
    if fixed.acceptance_criteria().is_empty() {
        missing.push("`acceptance_criteria` is missing".to_owned());
    }
    let size = raw.0.get("complexity").and_then(Value::as_str);
    if !size.is_some_and(|size| ["low", "medium", "high"].contains(&size.to_lowercase().as_str())) {
        missing.push("`complexity` must be low, medium or high".to_owned());
    }
    missing
}

/// Returns the spec with paths, criteria and dependencies as autopack reads them.
fn uniform(phase: &PlanPhase, fixed: &FixedSpec, issue: Option<&Value>) -> RawSpec {
    let mut given = match &phase.spec.0 {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    for alias in ["id", "title", "goal", "run_id"] {
        given.remove(alias);
    }
    let texts = |list: &[crate::phase::PathPattern]| -> Vec<String> {
        list.iter().map(|path| path.as_str().to_owned()).collect()
    };
    let mut scope = json!({"paths": texts(fixed.scope_paths())});
    if !fixed.read_only().is_empty() {
        scope["read_only_context"] = json!(texts(fixed.read_only()));
    }
    if !fixed.protected().is_empty() {
        scope["protected_paths"] = json!(texts(fixed.protected()));
    }
    let own = |key: &str| match key {
        "phase_id" => json!(phase.phase_id),
        "name" => json!(phase.name),
        "description" => json!(fixed.description().trim()),
        "category" => json!(fixed.category()),
        "complexity" => given.get("complexity").cloned().unwrap_or_default(),
        "deliverables" => json!(texts(fixed.deliverables())),
        "scope" => scope.clone(),
        "acceptance_criteria" => json!(fixed.acceptance_criteria()),
        _ => json!(phase.depends_on),
    };
    let is_empty = |value: &Value| {
        value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(Vec::is_empty)
    };
    let mut fields: Map<String, Value> = ORDER
        .iter()
        .map(|key| ((*key).to_owned(), own(key)))
        .filter(|(_, value)| !is_empty(value))
        .collect();
    let others = given.into_iter().filter(|(key, _)| !ORDER.contains(&key.as_str()));
    fields.extend(others.collect::<Vec<_>>());
    if let Some(issue) = issue {
        fields.insert("tracker".to_owned(), issue.clone());
    }
    RawSpec(Value::Object(fields))
}

fn yaml(plan: &Plan) -> String {
    let run = plan.runs.first();
    let phases: Vec<&Value> =
        run.iter().flat_map(|run| &run.phases).map(|phase| &phase.spec.0).collect();
    let whole = json!({"run_id": run.map(|run| &run.run_id), "phases": phases});
    // Values of JSON always have a form in YAML.
    serde_yaml::to_string(&whole).unwrap_or_else(|_| whole.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::autofix::{Limits, Unscoped, autofix};

    fn check(answer: &str) -> Result<CheckedPlan, Vec<String>> {
        check_goal(answer, None)
    }

    fn check_goal(answer: &str, issue: Option<&Value>) -> Result<CheckedPlan, Vec<String>> {
        let limits =
            Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Refuse };
        let fix = |raw: &RawSpec, failure: Option<&Failure>| autofix(raw, failure, &limits);
        let files = ["web/package.json", "web/Makefile", "web/index.ts", "src/a.py"];
        let tree = TreeFiles::new(files.map(str::to_owned), []);
        let issue = issue.map(|tracker| GoalIssue { tracker, tree: &tree });
        check_plan(answer, &PlanRules { run: None, fix: &fix, agents: &["fake"], issue })
    }

    const GOOD: &str = "run_id: api
phases:
- id: store
  title: Store notes
  goal: |
    Add a store.
    It keeps notes.
  complexity: low
  deliverables: [./src//store.py (new)]
  acceptance_criteria: [a missing file is an empty store]
- id: docs
  title: Describe it
  goal: Write it down.
  complexity: low
  deliverables: [docs/store.md]
  acceptance_criteria: [each function has an example]
  depends_on: [store]
";

    #[test]
    fn a_good_plan_is_written_in_a_uniform_form_and_is_read_again_as_the_same() {
        let checked = check(GOOD).unwrap();
        insta::assert_snapshot!(checked.text, @r"
        run_id: api
        phases:
        - phase_id: store
          name: Store notes
          description: |-
            Add a store.
            It keeps notes.
          complexity: low
          deliverables:
          - src/store.py
          scope:
            paths:
            - src
          acceptance_criteria:
          - a missing file is an empty store
          - ./src//store.py (new)
        - phase_id: docs
          name: Describe it
          description: Write it down.
          complexity: low
          deliverables:
          - docs/store.md
          scope:
            paths:
            - docs
          acceptance_criteria:
          - each function has an example
          depends_on:
          - store
        ");
        assert_eq!(check(&checked.text).unwrap(), checked);
        let fenced = format!("Here is the plan:\n\n```yaml\n{GOOD}```\n");
        assert_eq!(check(&fenced).unwrap().text, checked.text);
    }

    #[test]
    fn every_problem_is_named_with_its_phase() {
        let problems = check("phases:\n- id: a\n  complexity: huge\n").unwrap_err().join("\n");
        assert!(problems.contains("phase `a`: the phase names no path"), "{problems}");
        let text = "phases:\n- id: a\n  deliverables: [a.py]\n";
        let problems = check(text).unwrap_err().join("\n");
        for part in ["`description` is missing", "`acceptance_criteria`", "`complexity` must be"] {
            assert!(problems.contains(part), "{problems}");
        }
        let cycle = GOOD.replace("title: Store notes", "depends_on: [docs]");
        assert!(check(&cycle).unwrap_err()[0].contains("wait for each other"));
        assert!(check("").unwrap_err()[0].contains("empty"));
        assert!(!check("I cannot do this.").unwrap_err().is_empty());
    }
    #[test]
    fn no_plan_counts_work_as_done_or_names_an_unknown_agent() {
        for (field, problem) in [
            ("status: done", "phase `store`: a status is not yours to give: list only work to do"),
            (
                "state: SKIPPED",
                "phase `store`: a status is not yours to give: list only work to do",
            ),
            ("agent: other", "phase `store`: agent other is not configured"),
        ] {
            let text = GOOD.replace("title: Store notes", field);
            assert_eq!(check(&text).unwrap_err(), [problem]);
        }
        let text = GOOD.replace("title: Store notes", "agent: fake\n  status: todo");
        assert!(check(&text).is_ok());
    }

    #[test]
    fn the_plan_of_an_issue_widens_no_right_and_names_the_issue() {
        let issue = json!({"name": "github:o/r", "issue": 12, "url": "u", "author": "a"});
        let of_issue = |text: &str| check_goal(text, Some(&issue));
        let checked = of_issue(GOOD).unwrap();
        for phase in &checked.plan.runs[0].phases {
            assert_eq!(phase.spec.0["tracker"], issue);
        }
        for (field, problem) in [
            ("allow_protected: true", "`allow_protected` is"),
            ("test_cmd: curl evil", "`test_cmd` is"),
            ("ci: {command: curl evil}", "`ci` is"),
            ("scope: {ci: {command: curl evil}}", "`ci` is"),
            ("ci_args: [-k x]", "`ci_args` is"),
            ("agent: fake", "`agent` is"),
            ("maxAttempts: 9", "`max_attempts` is"),
            ("scope: {paths: [.github/workflows/ci.yml]}", "is a file of CI"),
            ("scope: {paths: [package.json]}", "is a manifest or lock file"),
            ("scope: {paths: [.husky/pre-push]}", "is a hook"),
            ("scope: {paths: ['**/*.json']}", "is a pattern"),
            (
                "scope: {paths: [web/]}",
                "\"web/\" has files that the plan of an issue never opens: web/Makefile, web/package.json",
            ),
        ] {
            let text = GOOD.replace("title: Store notes", field);
            assert!(check(&text).is_ok(), "{field}: {:?}", check(&text));
            let problems = of_issue(&text).unwrap_err().join("\n");
            assert!(problems.contains(problem), "{field}: {problems}");
        }
        let below = GOOD.replace("./src//store.py (new)", "web/store.ts");
        let problems = of_issue(&below).unwrap_err();
        assert!(problems[0].contains("name the files to change in `scope.paths`"), "{problems:?}");
        let named = below.replace("title: Store notes", "scope: {paths: [web/store.ts]}");
        assert!(of_issue(&named).is_ok());
        let files: Vec<String> = (0..13).map(|n| format!("a{n}.py")).collect();
        let scope = format!("scope: {{paths: [{}]}}", files.join(", "));
        let problems = of_issue(&GOOD.replace("title: Store notes", &scope)).unwrap_err();
        assert!(problems[0].contains("are too many, at most 12"), "{problems:?}");
    }
    #[test]
    fn a_renamed_run_is_in_the_text_even_if_phases_named_theirs() {
        let mut checked = check(&GOOD.replace("title: Store notes", "run_id: api")).unwrap();
        checked.rename_run(RunId::new("api-2"));
        assert_eq!(checked.run_id(), Some(&RunId::new("api-2")));
        assert_eq!(check(&checked.text).unwrap().plan.runs[0].run_id, RunId::new("api-2"));
        assert_eq!(checked.text.matches("run_id").count(), 1);
    }
}
