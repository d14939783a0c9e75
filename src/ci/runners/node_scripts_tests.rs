//! Typical project scripts, and whether they end.

use super::*;
use serde_json::json;

fn end(scripts: Value) -> ScriptEnd {
    let dir = tempfile::tempdir().unwrap();
    let text = json!({"scripts": scripts}).to_string();
    std::fs::write(dir.path().join("package.json"), text).unwrap();
    script_end(dir.path(), "test")
}

fn told(scripts: Value) -> String {
    match end(scripts.clone()) {
        ScriptEnd::EndsWithArguments { arguments, .. } => arguments.join(" "),
        end => panic!("{scripts}: {end:?}"),
    }
}

#[test]
fn a_script_that_was_told_to_watch_is_told_to_end() {
    for (script, ending) in [
        ("jest --watch", "--watch=false --watchAll=false"),
        ("NODE_ENV=test node_modules/.bin/jest --watchAll", "--watch=false --watchAll=false"),
        ("vitest watch", "--run"),
        ("cross-env A=1 npx vitest --watch", "--run"),
        ("tsc && vitest -w", "--run"),
        ("nyc mocha --watch", "--no-watch"),
        ("ng test", "--watch=false"),
    ] {
        assert_eq!(told(json!({"test": script})), ending, "{script}");
    }
}

#[test]
fn what_ends_by_itself_is_left_alone() {
    for script in [
        "jest",
        "vitest",
        "vitest run",
        "vitest watch --run",
        "node --test",
        "react-scripts test",
        "echo watch",
    ] {
        assert_eq!(end(json!({"test": script})), ScriptEnd::EndsAlone, "{script}");
        let nested = json!({"test": "npm run unit", "unit": script});
        assert_eq!(end(nested), ScriptEnd::EndsAlone, "{script}");
    }
    for script in ["npm test", "npm run a", "npm run gone", "npm -w app test", "yarn a && yarn a"] {
        let cycle = json!({"test": script, "a": "npm run b", "b": "run-s a test"});
        assert_eq!(end(cycle), ScriptEnd::EndsAlone, "{script}");
    }
}

#[test]
fn arguments_are_handed_on_from_script_to_script() {
    for (script, ending) in [
        ("npm run unit", "-- --run"),
        ("npm run -s unit -- --coverage", "--run"),
        ("yarn unit", "--run"),
        ("pnpm run unit", "--run"),
        ("npm run lint && npm run unit", "-- --run"),
        ("npm run deep", "-- -- --run"),
    ] {
        let scripts = json!({"test": script, "unit": "vitest watch", "deep": "npm run unit", "lint": "eslint ."});
        assert_eq!(told(scripts), ending, "{script}");
    }
    let scripts = json!({"test": "npm run unit -- --watch", "unit": "jest"});
    assert_eq!(told(scripts), "--watch=false --watchAll=false");
    assert_eq!(told(json!({"test": "pnpm vitest --watch"})), "--run");
}

#[test]
fn a_watcher_that_no_argument_reaches_is_refused() {
    for script in [
        "jest --watch && tsc",
        "run-s unit",
        "npm-run-all lint unit:*",
        "npm run unit && npm run lint",
        "concurrently \"npm run unit\" 'npm:lint'",
        "concurrently npm:unit",
        "nodemon --exec jest",
        "node --test --watch",
        "sh -c \"node --test --watch\"",
        "bash -ec 'cd x && jest --watch'",
        "npm run hooked",
    ] {
        let scripts = json!({"test": script, "unit": "jest --watch", "unit:a": "vitest watch",
            "lint": "eslint .", "hooked": "jest", "posthooked": "vitest --watch"});
        let end = end(scripts);
        assert!(end.refusal().is_some(), "{script}: {end:?}");
    }
}
