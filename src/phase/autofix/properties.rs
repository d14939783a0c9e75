//! Properties of the auto-fixer for arbitrary specs.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::spelled::{KEYS, PIECES};
use super::*;
use crate::fuzz::tests::cases;
use crate::phase::FailureKind;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(select(PIECES.to_vec()), 0..7).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        8 => text().prop_map(Value::String),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![4 => select(KEYS.to_vec()).prop_map(str::to_owned), 1 => text()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Generates JSON that resembles a phase more than arbitrary JSON does.
fn spec() -> impl Strategy<Value = Value> {
    let list = || prop_oneof![3 => prop::collection::vec(text(), 0..5).prop_map(|list| json!(list)), 1 => json_value()];
    let scope = prop::collection::vec((select(KEYS.to_vec()), list()), 0..5).prop_map(object);
    let fields = prop::collection::vec((select(KEYS.to_vec()), json_value()), 0..4);
    (list(), prop_oneof![3 => scope, 1 => json_value()], fields).prop_map(
        |(deliverables, scope, fields)| {
            let mut spec = object(fields);
            spec["deliverables"] = deliverables;
            spec["scope"] = scope;
            spec
        },
    )
}

fn object(fields: Vec<(&str, Value)>) -> Value {
    Value::Object(
        fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>(),
    )
}

fn limits() -> impl Strategy<Value = Limits<'static>> {
    let workspace = select(vec![None, Some("/home/u/project")]);
    let unscoped = select(vec![Unscoped::Propose, Unscoped::Refuse, Unscoped::Allow]);
    (workspace, 1_u64..5000, unscoped).prop_map(|(workspace, max_timeout_seconds, unscoped)| {
        Limits { workspace, max_timeout_seconds, unscoped }
    })
}

fn failure() -> impl Strategy<Value = Option<Failure>> {
    use FailureKind as K;
    let kind = select(vec![K::CiTimeout, K::CiFailed, K::AgentTimeout, K::Imported]);
    let code = select(vec![None, Some(1), Some(124), Some(143)]);
    let ran_out =
        prop_oneof![Just(None), any::<u64>().prop_map(Some), (0_u64..4000).prop_map(Some)];
    prop::option::of((kind, code, ran_out).prop_map(|(kind, exit_code, ran_out)| {
        let mut failure = Failure::new(kind, "failed");
        failure.exit_code = exit_code;
        failure.detail.timeout_seconds = ran_out;
        failure
    }))
}

/// Generates words that are kept in any position: none is taken for part of a path.
fn sentence() -> impl Strategy<Value = String> {
    const WORDS: [&str; 14] = [
        "src/core/a.py",
        "docs/guide.md",
        "main.py",
        "tests/unit/",
        "(twenty",
        "tests)",
        "extend",
        "with",
        "-",
        "carefully",
        "`src/x.rs`",
        "Delete",
        "retry:",
        "logic.",
    ];
    prop::collection::vec(select(WORDS.to_vec()), 1..7).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_json_at_all_is_examined(value in json_value(), failure in failure(), limits in limits()) {
        invariants::repair(value, failure.as_ref(), &limits);
    }

    #[test]
    fn specs_are_repaired_once_and_stay_inside(spec in spec(), failure in failure(), limits in limits()) {
        invariants::repair(spec, failure.as_ref(), &limits);
    }

    #[test]
    fn no_word_is_lost(
        deliverables in prop::collection::vec(sentence(), 0..4),
        paths in prop::collection::vec(sentence(), 0..3),
        protected in prop::collection::vec(sentence(), 0..3),
        text in prop::option::of(sentence()),
    ) {
        let spec = json!({"goal": text, "deliverables": deliverables,
            "scope": {"paths": paths, "protected_paths": protected}});
        invariants::loses_no_word(spec.as_object().cloned().unwrap_or_default());
    }
}
