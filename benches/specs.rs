//! Specs as people write them: the input of several measurements.

use serde_json::{Value, json};

/// The worked example of `docs/plan-format.md`.
pub fn worked_example() -> Value {
    json!({"phase_id": "frontend-build", "category": "frontend", "complexity": "medium",
        "deliverables": ["src\\components\\App.tsx (main component)", "src\\components\\Header.tsx",
            "src\\components\\Header.tsx", "tests\\components\\App.test.tsx (20+ tests)"], "scope": {}})
}

/// One spec for each known kind of malformation.
pub fn shapes() -> Vec<Value> {
    vec![
        worked_example(),
        json!({"phase_id": "a", "category": "backend", "complexity": "low",
            "deliverables": {"code": ["src/a.py"], "tests": ["tests/test_a.py (10+ tests)"], "docs": ["docs/a.md"]}}),
        json!({"phase_id": "b", "task_category": "tests", "metadata": {"complexity": "HIGH"},
            "deliverables": "tests/test_b.py: all branches"}),
        json!({"phase_id": "c", "scope": "- src/c.rs\n- src/c/mod.rs\nKeep the interface as it is."}),
        json!({"phase_id": "d", "deliverables": ["Extended src/auth/login.py with a second factor"],
            "scope": {"paths": ["./src/auth/"], "ci": {"pytest": {"timeout_seconds": 700}}}}),
        json!({"phase_id": "e", "deliverables": [{"path": "docker/Dockerfile", "why": "the image"}, {"path": "Makefile"}],
            "complexity": "MEDIUM-HIGH", "category": "docker", "allowed_paths": ["docker"]}),
        json!({"phase_id": "f", "name": "Docs", "description": "Describe the flow in docs/flow.md and README.md.",
            "deliverables": ["docs/flow.md", "README.md"], "scope": {"paths": ["docs", "README.md"]}}),
        json!({"phase_id": "g", "deliverables": ["/work/project/src/g.py"], "read_only": ["src/lib", "src/api"],
            "depends_on": ["a", "b"], "acceptance_criteria": ["it works", "it is tested"]}),
    ]
}
