//! Specs as people wrote them, and what becomes of them.

use serde_json::{Value, json};

use super::*;
use crate::phase::spec::{Complexity, FixedSpec};
use crate::phase::verdict::FailureKind;

fn limits() -> Limits<'static> {
    Limits {
        workspace: Some("/home/u/project"),
        max_timeout_seconds: 3600,
        unscoped_allowed: false,
    }
}

fn fix(spec: Value) -> Repair {
    autofix(&RawSpec(spec), None, &limits())
}

fn fixed(spec: Value) -> FixedSpec {
    fix(spec).result.unwrap()
}

fn refusal(spec: Value) -> String {
    fix(spec).result.unwrap_err().to_string()
}

fn deliverables(spec: Value) -> Value {
    fix(spec).spec["deliverables"].clone()
}

fn paths(spec: Value) -> Value {
    fix(spec).spec["scope"]["paths"].clone()
}

fn timeouts(spec: &Value) -> (u64, u64) {
    let pytest = &spec["scope"]["ci"]["pytest"];
    (pytest["timeout_seconds"].as_u64().unwrap(), pytest["per_test_timeout"].as_u64().unwrap())
}

fn ci_failure(kind: FailureKind, exit_code: Option<i32>, ran_out: Option<u64>) -> Failure {
    let mut failure = Failure::new(kind, "CI");
    failure.exit_code = exit_code;
    failure.detail.timeout_seconds = ran_out;
    failure
}

#[test]
fn the_worked_example_comes_out_byte_for_byte() {
    let repair = fix(
        json!({"phase_id":"frontend-build","category":"frontend","complexity":"medium",
        "deliverables":["src\\components\\App.tsx (main component)","src\\components\\Header.tsx",
            "src\\components\\Header.tsx","tests\\components\\App.test.tsx (20+ tests)"],"scope":{}}),
    );
    let mut spec = Value::clone(&repair.spec);
    let criteria = spec.as_object_mut().and_then(|spec| spec.shift_remove("acceptance_criteria"));
    assert_eq!(
        spec.to_string(),
        concat!(
            r#"{"phase_id":"frontend-build","category":"frontend","complexity":"medium","#,
            r#""deliverables":["src/components/App.tsx","src/components/Header.tsx","tests/components/App.test.tsx"],"#,
            r#""scope":{"paths":["src/components","tests/components"],"#,
            r#""ci":{"pytest":{"timeout_seconds":1200,"per_test_timeout":60}},"_autofix_v1_applied":true}}"#,
        )
    );
    // Nothing of the author's is lost.
    let said = [
        "src\\components\\App.tsx (main component)",
        "tests\\components\\App.test.tsx (20+ tests)",
    ];
    assert_eq!(criteria, Some(json!(said)));
}

#[test]
fn test_normalize_deliverables_strips_annotations_and_normalizes_slashes() {
    let spec = json!({"deliverables": ["src\\a.py (10+ tests)", "./docs//b.md - why", "src/a.py", "tests/unit/"]});
    assert_eq!(deliverables(spec), json!(["src/a.py", "docs/b.md", "tests/unit/"]));
}

#[test]
fn test_derive_scope_paths_from_deliverables() {
    for (written, derived) in [
        (json!(["src/foo/a.py", "src/foo/b.py"]), json!(["src/foo"])),
        (json!(["src/b/x.py", "src/a/y.py", "src/b/z.py"]), json!(["src/b", "src/a"])),
        (json!(["README.md", "docs/a.md"]), json!(["README.md", "docs"])),
        (json!(["tests/unit/", "docs/x/"]), json!(["tests/unit", "docs/x"])),
        (json!(["src/v/*_add.py", "docs/**/x.md", "*.cfg"]), json!(["src/v", "docs", "*.cfg"])),
        (json!(["app/[slug]/page.tsx"]), json!(["app/[slug]"])),
    ] {
        assert_eq!(paths(json!({"deliverables": written.clone()})), derived, "{written}");
    }
}

#[test]
fn test_auto_fix_adds_ci_and_marks_applied() {
    let spec =
        fix(json!({"category": "docs", "complexity": "low", "deliverables": ["docs/a.md"]})).spec;
    assert_eq!(
        spec["scope"],
        json!({"paths": ["docs"], "ci": {"pytest": {"timeout_seconds": 600, "per_test_timeout": 60}},
            "_autofix_v1_applied": true})
    );
}

#[test]
fn test_auto_fix_escalates_ci_on_prior_timeout() {
    let raw = RawSpec(json!({"complexity": "medium", "deliverables": ["src/a.py"]}));
    let first = autofix(&raw, None, &limits());
    assert_eq!(timeouts(&first.spec), (900, 60));
    let failure = ci_failure(FailureKind::CiTimeout, None, Some(900));
    let raised = autofix(&RawSpec(Value::clone(&first.spec)), Some(&failure), &limits());
    assert_eq!(timeouts(&raised.spec), (1350, 90));
    assert_eq!(raised.result.unwrap().ci().timeout_seconds, 1350);
    // The same failure raises once; the next one again, up to the limit.
    let again = autofix(&RawSpec(Value::clone(&raised.spec)), Some(&failure), &limits());
    assert_eq!((again.spec.clone(), again.fixes), (raised.spec, vec![]));
    let next = ci_failure(FailureKind::CiTimeout, None, Some(1350));
    assert_eq!(
        timeouts(&autofix(&RawSpec(Value::clone(&again.spec)), Some(&next), &limits()).spec),
        (2025, 90)
    );
    let last = ci_failure(FailureKind::CiTimeout, None, Some(3000));
    assert_eq!(
        timeouts(&autofix(&RawSpec(Value::clone(&again.spec)), Some(&last), &limits()).spec),
        (3600, 90)
    );
}

#[test]
fn only_a_ci_failure_by_timeout_raises_the_timeout() {
    use FailureKind as K;
    for (kind, exit_code, raised) in [
        (K::CiTimeout, None, true),
        (K::CiFailed, Some(143), true),
        (K::CiFailed, Some(124), true),
        (K::CiFailed, Some(1), false),
        (K::CiFailed, Some(137), false),
        (K::AgentTimeout, Some(143), false),
        (K::Imported, Some(124), false),
    ] {
        let raw = RawSpec(json!({"complexity": "low", "deliverables": ["src/a.py"]}));
        let failure = ci_failure(kind, exit_code, Some(600));
        let spec = autofix(&raw, Some(&failure), &limits()).spec;
        let expected = if raised { (1200, 90) } else { (600, 60) };
        assert_eq!(timeouts(&spec), expected, "{kind:?} {exit_code:?}");
    }
}

#[test]
fn escalation_without_a_known_timeout_also_happens_once() {
    let raw = RawSpec(json!({"complexity": "high", "deliverables": ["src/a.py"]}));
    let failure = ci_failure(FailureKind::CiFailed, Some(143), None);
    let once = autofix(&raw, Some(&failure), &limits()).spec;
    assert_eq!(timeouts(&once), (1800, 90));
    assert_eq!(autofix(&RawSpec(Value::clone(&once)), Some(&failure), &limits()).spec, once);
}

#[test]
fn what_the_author_set_for_ci_is_kept_and_never_lowered() {
    let spec = json!({"deliverables": ["src/a.py"],
        "scope": {"ci": {"pytest": {"timeout_seconds": 5000}, "log_on_success": true}}});
    let failure = ci_failure(FailureKind::CiTimeout, None, Some(5000));
    let spec = autofix(&RawSpec(spec), Some(&failure), &limits()).spec;
    assert_eq!(timeouts(&spec), (5000, 90));
    assert_eq!(spec["scope"]["ci"]["log_on_success"], true);
}

#[test]
fn a_phases_own_ci_goes_before_its_scopes() {
    let value = json!({"deliverables": ["src/a.py"], "test_cmd": "pytest -q", "ci_args": ["-k", "a"],
        "ci": {"pytest": {"timeout_seconds": 300}, "command": "make check"},
        "scope": {"ci": {"pytest": {"timeout_seconds": 700, "per_test_timeout": 5}, "command": ["x"]}}});
    let spec = fixed(value.clone());
    let ci = spec.ci();
    assert_eq!((ci.timeout_seconds, ci.per_test_timeout), (300, 5));
    assert_eq!(
        ci.command.as_deref(),
        Some(["sh", "-c", "make check"].map(str::to_owned).as_slice())
    );
    assert_eq!(
        (ci.test_cmd.as_deref(), ci.args.as_slice()),
        (Some("pytest -q"), ["-k", "a"].map(str::to_owned).as_slice())
    );
    let failure = ci_failure(FailureKind::CiTimeout, None, Some(300));
    let raised = autofix(&RawSpec(value), Some(&failure), &limits()).spec;
    assert_eq!(raised["ci"]["pytest"]["timeout_seconds"], 1200);
    assert_eq!(raised["scope"]["ci"]["pytest"]["timeout_seconds"], 700);
}

#[test]
fn timeouts_follow_complexity_and_category() {
    for (complexity, category, seconds) in [
        ("low", "docs", 600),
        ("SIMPLE", "docs", 600),
        ("medium", "", 900),
        ("maintenance", "", 900),
        ("whatever", "", 900),
        ("HIGH", "", 1200),
        ("MEDIUM-HIGH", "", 1200),
        ("critical", "", 1200),
        ("medium", "integration", 1200),
        ("medium", "frontend_build", 1200),
        ("medium", "Frontend", 1200),
        ("medium", "docker", 1200),
        ("medium", "tests", 1100),
        ("low", "test", 800),
        ("low", "testing", 800),
        ("low", "frontendish", 600),
    ] {
        let spec =
            json!({"complexity": complexity, "category": category, "deliverables": ["a.py"]});
        assert_eq!(timeouts(&fix(spec).spec).0, seconds, "{complexity} {category}");
    }
}

#[test]
fn odd_ci_settings_are_brought_into_shape_and_their_words_kept() {
    for (ci, expected, criterion) in [
        (json!({"pytest": {"timeout_seconds": "450"}}), 450, None),
        (json!({"pytest": {"timeout_seconds": 450.2}}), 451, None),
        (json!({"pytest": 450}), 450, None),
        (
            json!({"pytest": {"timeout_seconds": "ten minutes"}}),
            900,
            Some("scope.ci: timeout_seconds: ten minutes"),
        ),
        (json!({"pytest": {"timeout_seconds": -1}}), 900, Some("scope.ci: timeout_seconds: -1")),
        (json!({"pytest": true}), 900, Some("scope.ci.pytest: true")),
        (json!(false), 900, Some("scope.ci: false")),
        (json!(null), 900, None),
    ] {
        let repair = fix(json!({"deliverables": ["a.py"], "scope": {"ci": ci.clone()}}));
        let spec = repair.result.unwrap();
        assert_eq!(spec.ci().timeout_seconds, expected, "{ci}");
        assert_eq!(spec.acceptance_criteria().first().map(String::as_str), criterion, "{ci}");
    }
}

#[test]
fn deliverables_come_in_many_shapes() {
    for written in [
        json!({"deliverables": ["src/a.py", "docs/b.md"]}),
        json!({"deliverables": "src/a.py, docs/b.md"}),
        json!({"deliverables": "- src/a.py\n- docs/b.md\n"}),
        json!({"deliverables": "src/a.py\ndocs/b.md"}),
        json!({"deliverables": {"code": ["src/a.py"], "docs": ["docs/b.md"]}}),
        json!({"deliverables": [{"path": "src/a.py"}, {"path": "docs/b.md"}]}),
        json!({"deliverables": {"src/a.py": null, "docs/b.md": null}}),
        json!({"scope": {"deliverables": {"code": ["src/a.py"], "docs": "docs/b.md"}}}),
        json!({"deliverables": ["src/a.py"], "scope": {"deliverables": ["docs/b.md", "src/a.py"]}}),
        json!({"output_file": "src/a.py", "metadata": {"files_to_modify": ["docs/b.md"]}}),
        json!({"scope": "Do it.\n\nCODE:\n- src/a.py\n- `docs/b.md` (short)\n- well tested\n"}),
    ] {
        assert_eq!(deliverables(written.clone()), json!(["src/a.py", "docs/b.md"]), "{written}");
    }
}

#[test]
fn what_objects_say_about_their_paths_is_kept() {
    let spec = fixed(json!({"deliverables": [
        {"path": "src/a.py", "description": "the core", "acceptance": "- fast\n- small", "lines": 40}]}));
    assert_eq!(
        spec.acceptance_criteria(),
        ["src/a.py: the core", "src/a.py: acceptance: - fast\n- small", "src/a.py: lines: 40"]
    );
}

#[test]
fn prose_goes_whole_to_the_acceptance_criteria() {
    for (given, kept) in [
        (json!(null), json!(["Nice UX", "src/a.py with tests"])),
        (json!(["first"]), json!(["first", "Nice UX", "src/a.py with tests"])),
        (json!("one text"), json!(["one text", "Nice UX", "src/a.py with tests"])),
        (json!({"must": ["be fast"]}), json!(["must: be fast", "Nice UX", "src/a.py with tests"])),
        (json!([{"each": "case"}]), json!([{"each": "case"}, "Nice UX", "src/a.py with tests"])),
    ] {
        let spec = json!({"acceptance_criteria": given, "deliverables": ["Nice UX", "src/a.py with tests"]});
        let fixed = fix(spec).spec;
        assert_eq!(fixed["acceptance_criteria"], kept);
        assert_eq!(fixed["deliverables"], json!(["src/a.py"]));
    }
}

#[test]
fn a_lone_name_is_used_only_where_there_is_nothing_better() {
    let lone = json!({"deliverables": ["comment in README.md"], "scope": {"paths": ["."]}});
    let repair = fix(lone);
    assert_eq!(
        (&repair.spec["deliverables"], &repair.spec["scope"]["paths"]),
        (&json!(["README.md"]), &json!(["README.md"]))
    );
    let beside = json!({"deliverables": ["Endpoint in main.py", "src/a.py"]});
    assert_eq!(deliverables(beside), json!(["src/a.py"]));
    let scoped =
        json!({"deliverables": ["Endpoint in main.py"], "scope": {"paths": ["src/backend"]}});
    assert_eq!(deliverables(scoped), json!([]));
}

#[test]
fn scopes_come_in_many_shapes() {
    for (written, normal) in [
        (
            json!({"scope": {"paths": ["src\\foo\\", "./docs", "src/foo/"]}}),
            json!(["src/foo/", "docs"]),
        ),
        (json!({"scope": {"paths": "src/foo"}}), json!(["src/foo"])),
        (
            json!({"scope": {"paths": {"code": ["src"], "tests": ["tests/"]}}}),
            json!(["src", "tests/"]),
        ),
        (json!({"scope": {"paths": [{"path": "src", "reason": "core"}]}}), json!(["src"])),
        (json!({"scope": {"paths": [".", "src/", "*"]}}), json!(["src/"])),
        (json!({"scope": ["src/", "docs/"]}), json!(["src/", "docs/"])),
        (json!({"scope": "src/foo/"}), json!(["src/foo/"])),
        (json!({"allowed_paths": ["src"], "scope": {"paths": ["docs"]}}), json!(["docs", "src"])),
        (json!({"scope": {"allowed_paths": ["docs/A_*.md"]}}), json!(["docs/A_*.md"])),
        (json!({"scope": {"paths": ["/home/u/project/src"]}}), json!(["src"])),
    ] {
        assert_eq!(paths(written.clone()), normal, "{written}");
    }
}

#[test]
fn other_lists_of_a_scope_are_normalised_alike() {
    let spec = fixed(json!({"scope": {"paths": ["src"],
        "read_only_context": [{"path": ".\\docs\\a.md", "reason": "look"}, "lib\\", {"file": "x/y.py"}],
        "protected_paths": ["src/core/ (keep)", ".git/", "config\\*"]}}));
    let strings = |list: &[crate::phase::PathPattern]| {
        list.iter().map(|p| p.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(strings(spec.read_only()), ["docs/a.md", "lib/", "x/y.py"]);
    assert_eq!(strings(spec.protected()), ["src/core/", ".git/", "config/*"]);
    assert_eq!(
        spec.json()["scope"]["read_only_context"][0],
        json!({"path": "docs/a.md", "reason": "look"})
    );
    assert_eq!(spec.acceptance_criteria(), ["scope.protected_paths: src/core/ (keep)"]);
}

#[test]
fn paths_in_the_text_are_the_scope_where_there_is_nothing_else() {
    for (text, scope) in [
        ("Add a docstring to src/autopack/config.py.", json!(["src/autopack/config.py"])),
        ("Run `pytest tests/backend/ -v`, see https://x.org/a/b.html", json!(["tests/backend/"])),
        ("Create a simple hello.py file", json!(["**/hello.py"])),
        ("Fix main.py and src/a.py; cd /opt/x/y.sh", json!(["src/a.py"])),
    ] {
        assert_eq!(paths(json!({"description": text})), scope, "{text}");
    }
}

#[test]
fn mentioned_paths_widen_a_derived_scope() {
    let spec = fix(json!({"deliverables": ["src/new/a.py", "Delete src/old/b.py"]})).spec;
    assert_eq!(spec["deliverables"], json!(["src/new/a.py"]));
    assert_eq!(spec["scope"]["paths"], json!(["src/new", "src/old"]));
}

#[test]
fn a_phase_that_names_no_path_runs_only_where_that_is_allowed() {
    let spec = json!({"phase_id": "p", "description": "Make it faster"});
    let why = refusal(spec.clone());
    assert!(why.contains("names no path") && why.contains("executor.unscoped"), "{why}");
    let limits = Limits { unscoped_allowed: true, ..limits() };
    let spec = autofix(&RawSpec(spec), None, &limits).result.unwrap();
    assert!(spec.scope_paths().is_empty() && spec.deliverables().is_empty());
}

#[test]
fn a_path_that_leaves_the_repository_makes_the_phase_unfixable() {
    for (spec, said) in [
        (
            json!({"deliverables": ["src/a.py", "../b.py"]}),
            r#"deliverables: "../b.py" leaves the repository"#,
        ),
        (
            json!({"deliverables": ["/etc/passwd"]}),
            r#"deliverables: "/etc/passwd" is an absolute path"#,
        ),
        (json!({"scope": {"paths": ["C:\\x"]}}), r#"scope.paths: "C:/x" is on a drive"#),
        (json!({"scope": {"paths": [".git/hooks"]}}), "is under .git"),
        (
            json!({"scope": {"paths": ["src"], "read_only_context": ["~/notes.md"]}}),
            "is in a home directory",
        ),
    ] {
        let repair = fix(spec.clone());
        let why = repair.result.unwrap_err().to_string();
        assert!(why.contains(said), "{spec}: {why}");
        // It is refused again, until somebody mends it.
        assert_eq!(refusal(Value::clone(&repair.spec)), why, "{spec}");
    }
}

#[test]
fn what_is_no_object_is_unfixable_and_says_what_it_is() {
    for (value, said) in [
        (json!(null), "null"),
        (json!(7), "a number"),
        (json!(true), "a boolean"),
        (json!("do it"), "a text"),
        (json!(["src/a.py"]), "a list"),
    ] {
        let repair = fix(value.clone());
        assert_eq!(
            repair.result.unwrap_err().0,
            format!("the phase is {said}, not an object with fields")
        );
        assert_eq!((&*repair.spec, repair.fixes), (&value, vec![]));
    }
}

#[test]
fn other_peoples_names_are_mapped_where_they_stand() {
    let spec = fix(json!({"id": "p1", "title": "T", "goal": "G", "task_category": "docs",
        "metadata": {"complexity": "high", "tokens": 3}, "output_file": "a.py", "mine": 1}))
    .spec;
    let keys: Vec<&str> = spec.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "phase_id",
            "name",
            "description",
            "category",
            "metadata",
            "deliverables",
            "mine",
            "complexity",
            "scope"
        ]
    );
    assert_eq!(spec["complexity"], "high");
    assert_eq!(spec["metadata"], json!({"tokens": 3}));
    let both = fix(json!({"description": "D", "goal": "G", "deliverables": ["a.py"]})).spec;
    assert_eq!((&both["description"], &both["goal"]), (&json!("D"), &json!("G")));
}

#[test]
fn the_typed_fields_agree_with_the_json() {
    let spec =
        fixed(json!({"name": "Add Health Check!", "complexity": "SIMPLE", "category": "docs",
        "deliverables": ["a.py"], "depends_on": ["p0"], "max_attempts": "5", "agent": "x",
        "allow_no_change": true, "note": "kept"}));
    assert_eq!((spec.phase_id().as_str(), spec.name()), ("add-health-check", "Add Health Check!"));
    assert_eq!((spec.complexity(), spec.category()), (Complexity::Low, "docs"));
    assert_eq!((spec.depends_on()[0].as_str(), spec.max_attempts()), ("p0", Some(5)));
    assert_eq!((spec.agent(), spec.allow_no_change()), (Some("x"), true));
    assert_eq!((spec.deliverables()[0].as_str(), spec.scope_paths()[0].as_str()), ("a.py", "a.py"));
    assert_eq!(spec.json()["note"], "kept");
    let notes = fixed(json!({"deliverables": ["a.py"], "depends_on": {"packages": ["x"]}}));
    assert!(notes.depends_on().is_empty());
}

#[test]
fn a_repaired_spec_needs_no_repair() {
    let once = fix(
        json!({"phase_id": "p", "deliverables": ["src\\a.py (x)", "Nice"], "scope": {"paths": ["."]}}),
    );
    let twice = fix(Value::clone(&once.spec));
    assert_eq!((twice.spec, twice.fixes), (once.spec, Vec::new()));
    assert_eq!(twice.result, once.result);
}
