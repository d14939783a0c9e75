//! Scopes: as given, derived if missing, and refused if they lead outside the repository.

use super::*;

fn refusal(spec: Value) -> String {
    fix(spec).result.unwrap_err().to_string()
}

fn paths(spec: Value) -> Value {
    fix(spec).spec["scope"]["paths"].clone()
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
    let limits = Limits { unscoped: Unscoped::Allow, ..limits() };
    let spec = autofix(&RawSpec(spec), None, &limits).result.unwrap();
    assert!(spec.scope_paths().is_empty() && spec.deliverables().is_empty());
}

#[test]
fn a_path_that_leaves_the_repository_makes_the_phase_unfixable() {
    for (spec, expected) in [
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
        assert!(why.contains(expected), "{spec}: {why}");
        // The phase is refused again until the author fixes the spec.
        assert_eq!(refusal(Value::clone(&repair.spec)), why, "{spec}");
    }
}

#[test]
fn a_field_that_names_no_path_is_not_the_one_that_an_object_is_about() {
    let spec = fixed(json!({"deliverables": ["src/a.py"],
        "scope": {"read_only_context": [{"path": "", "file": ".git/"}, {"path": "a\nb", "name": "lib/"}]}}));
    let paths: Vec<&str> = spec.read_only().iter().map(crate::phase::PathPattern::as_str).collect();
    assert_eq!(paths, [".git/", "lib/"]);
}

/// A bracket opened in a text and closed in the next is not a path, neither in lists nor in criteria.
#[test]
fn paths_are_looked_for_in_each_text_by_itself() {
    for spec in [
        json!({"scope": {"read_only_context": ["A( b"], "protected_paths": ["docs/C:\\src/a.py(auth)/"]}}),
        json!({"acceptance_criteria": ["A( b", "docs/C:/src/a.py(auth)/"]}),
        json!({"acceptance_criteria": {"one": "A( b", "two": "docs/C:/src/a.py(auth)/"}}),
    ] {
        let once = fix(spec.clone());
        assert_eq!(once.result.as_ref().unwrap_err().0, super::super::scope::NO_PATH, "{spec}");
        assert_eq!(fix(Value::clone(&once.spec)).spec, once.spec, "{spec}");
    }
}

/// A refused entry dropped as a duplicate would not be refused the next time.
#[test]
fn every_entry_that_is_refused_stays_as_written() {
    for (spec, at, kept) in [
        (json!({"scope": ["\\", "\\/"]}), "/scope/paths", json!(["\\", "\\/"])),
        (json!({"scope": ["../a", "../a/", "../a"]}), "/scope/paths", json!(["../a", "../a/"])),
        (json!({"deliverables": ["~/", "~//", "~/"]}), "/deliverables", json!(["~/", "~//"])),
    ] {
        let once = fix(spec.clone());
        assert_eq!(once.spec.pointer(at), Some(&kept), "{spec}");
        let twice = fix(Value::clone(&once.spec));
        assert_eq!((&twice.spec, &twice.result), (&once.spec, &once.result), "{spec}");
        let why = once.result.unwrap_err().0;
        assert!(!why.contains("\"\""), "{why}");
    }
}
