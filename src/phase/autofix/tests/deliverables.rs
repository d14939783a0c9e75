//! Deliverables in the shapes people write, and the handling of their text.

use super::*;

fn deliverables(spec: Value) -> Value {
    fix(spec).spec["deliverables"].clone()
}

#[test]
fn test_normalize_deliverables_strips_annotations_and_normalizes_slashes() {
    let spec = json!({"deliverables": ["src\\a.py (10+ tests)", "./docs//b.md - why", "src/a.py", "tests/unit/"]});
    assert_eq!(deliverables(spec), json!(["src/a.py", "docs/b.md", "tests/unit/"]));
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
fn notes_in_path_objects_are_kept() {
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
