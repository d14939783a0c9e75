//! The spec of a phase whose issue has changed: keys of the issue are replaced, and what the operator added stays.

use serde_json::{Map, Value};

use super::spec::RawSpec;

/// Keys that an issue fills in.
const OF_ISSUE: [&str; 10] = [
    "phase_id",
    "name",
    "description",
    "acceptance_criteria",
    "depends_on",
    "priority",
    "labels",
    "source_url",
    "milestone",
    "tracker",
];

/// Returns the spec of the issue with the operator's keys of the stored spec.
pub fn merge_changed_issue(stored: &RawSpec, issue: &RawSpec) -> RawSpec {
    let (Value::Object(stored), Value::Object(issue)) = (&stored.0, &issue.0) else {
        return issue.clone();
    };
    let is_own = |(key, _): &(&String, &Value)| !OF_ISSUE.contains(&key.as_str());
    let own = stored.iter().filter(is_own).map(|(key, value)| (key.clone(), value.clone()));
    RawSpec(Value::Object(issue.clone().into_iter().chain(own).collect::<Map<_, _>>()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_of_the_operator_stay() {
        let stored = RawSpec(json!({"phase_id": "1", "name": "a", "labels": ["x"],
                                    "deliverables": ["a.py"], "scope": {"paths": ["src"]}}));
        let issue = RawSpec(json!({"phase_id": "1", "name": "b", "description": "c"}));
        let merged = merge_changed_issue(&stored, &issue);
        let wanted = json!({"phase_id": "1", "name": "b", "description": "c",
                            "deliverables": ["a.py"], "scope": {"paths": ["src"]}});
        assert_eq!(merged.0, wanted);
    }
}
