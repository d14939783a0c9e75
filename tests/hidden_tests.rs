//! Lost tests: every way of not running an earlier test is refused, and nothing else.
//!
//! If nothing lands, the base stays the same: one project takes all ways of hiding, one phase each.

use crate::support::{Project, has, has_pytest};
use serde_json::{Value, json};

const ONE_TRY: &str = "executor: {max_attempts: 1, circuit_breaker: 0}\n";
const CALC: &str = "def add(a, b): return a + b\n";
const TESTS: &str = "import unittest\nfrom calc import add\n\n\
    def test_adds(): assert add(1, 2) == 3\n\n\
    class TestMore:\n    def test_zero(self): assert add(0, 0) == 0\n\n\
    class Unit(unittest.TestCase):\n    def test_unit(self): self.assertEqual(add(2, 2), 4)\n";
const BROKEN: &str = "def add(a, b): return a - b\n";

/// A phase that delivers `calc.py` and may change files around it.
fn phase(id: &str) -> Value {
    json!({"phase_id": id, "deliverables": ["calc.py"], "scope": {"paths":
        ["calc.py", "tests", "check", "conftest.py", "pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml",
         "package.json", "Cargo.toml", "src", "a", "m_test.go", "m.go", "sitecustomize.py"]}})
}

fn plan(ids: &[&str]) -> Value {
    json!({ "phases": ids.iter().map(|id| phase(id)).collect::<Vec<_>>() })
}

fn python() -> Project {
    Project::new().file("calc.py", CALC).file("tests/test_calc.py", TESTS).commit("calc")
}

/// An agent whose action is chosen by the phase's name.
fn doing(first: &str, ways: &[(&str, &str)]) -> String {
    let mut body = format!("{first}\n");
    for (name, does) in ways {
        body += &format!("if phase_id == {name:?}:\n");
        does.lines().for_each(|line| body += &format!("    {line}\n"));
    }
    body
}

/// None of these may land; each gets the right explanation.
#[track_caller]
fn all_refused(project: Project, first: &str, ci: &str, ways: &[(&str, &str)], words: &str) {
    let ids: Vec<&str> = ways.iter().map(|(name, _)| *name).collect();
    let project =
        project.agent_with(&doing(first, ways), &format!("{ci}{ONE_TRY}")).plan(plan(&ids));
    let ran = project.drain().exited(3);
    for id in ids {
        let phase = project.phase(id);
        assert_eq!(phase["state"], "FAILED", "{id}: {ran:#?}");
        let failure = &phase["last_failure"];
        let kind = failure["kind"].as_str().unwrap();
        let shown = failure["message"].as_str().unwrap().contains(words);
        let not_loaded = ["ci_no_tests", "ci_collection_error"].contains(&kind);
        assert!(not_loaded || kind == "ci_failed" && shown, "{id}: {failure:#}");
    }
}

#[test]
fn tests_excluded_from_pytest_collection_are_lost_in_a_runs_first_phase() {
    if !has_pytest() {
        return;
    }
    let ways = [
        (
            "collect_ignore",
            "write('conftest.py', 'collect_ignore = [\"tests\"]\\n'); write('check/test_x.py', 'def test_x(): pass\\n')",
        ),
        ("collect_ignore_glob", "write('conftest.py', 'collect_ignore_glob = [\"tests/*\"]\\n')"),
        (
            "modifyitems",
            "write('conftest.py', 'def pytest_collection_modifyitems(items): items[:] = items[:0]\\n')",
        ),
        (
            "modifyitems_some",
            "write('conftest.py', 'def pytest_collection_modifyitems(items): del items[0]\\n'); write('calc.py', 'def add(a, b): return a + b if a != 1 else 0\\n')",
        ),
        ("ignore_collect", "write('conftest.py', 'def pytest_ignore_collect(): return True\\n')"),
        (
            "runtest_protocol",
            "write('conftest.py', 'def pytest_runtest_protocol(item): return True\\n')",
        ),
        ("ini_ignore", "write('pytest.ini', '[pytest]\\naddopts = --ignore=tests\\n')"),
        (
            "ini_deselect",
            "write('pytest.ini', '[pytest]\\naddopts = --deselect tests/test_calc.py\\n')",
        ),
        ("ini_k", "write('pytest.ini', '[pytest]\\naddopts = -k nothing\\n')"),
        (
            "ini_testpaths",
            "write('pytest.ini', '[pytest]\\ntestpaths = check\\n'); write('check/test_x.py', 'def test_x(): pass\\n')",
        ),
        ("ini_python_files", "write('pytest.ini', '[pytest]\\npython_files = check_*.py\\n')"),
        (
            "ini_python_functions",
            "write('pytest.ini', '[pytest]\\npython_functions = check_*\\npython_classes = Check\\n')",
        ),
        ("ini_norecursedirs", "write('pytest.ini', '[pytest]\\nnorecursedirs = tests\\n')"),
        ("tox_ini", "write('tox.ini', '[pytest]\\naddopts = --ignore=tests\\n')"),
        ("setup_cfg", "write('setup.cfg', '[tool:pytest]\\naddopts = --ignore=tests\\n')"),
        (
            "pyproject",
            "write('pyproject.toml', '[tool.pytest.ini_options]\\naddopts = \"--ignore=tests\"\\n')",
        ),
    ];
    all_refused(python(), &format!("write('calc.py', {BROKEN:?})"), "", &ways, "gone or skipped");
}

#[test]
fn test_files_that_disable_their_own_tests_are_detected() {
    if !has_pytest() {
        return;
    }
    let ways = [
        ("renamed", "t = t.replace('def test_', 'def check_')"),
        ("emptied", "t = ''"),
        (
            "module_off",
            "t += '\\n__test__ = False\\nTestMore.__test__ = Unit.__test__ = False\\ndel test_adds\\n'",
        ),
        (
            "skip",
            "t = t.replace('def test_adds', 'import pytest\\n@pytest.mark.skip\\ndef test_adds').replace('def test_zero(self): assert', 'def test_zero(self): return')",
        ),
        (
            "xfail",
            "t = t.replace('def test_adds', 'import pytest\\n@pytest.mark.xfail\\ndef test_adds').replace('assert add(0', 'add(0').replace('self.assertEqual', 'str')",
        ),
        (
            "unittest_skip",
            "t = t.replace('    def test_unit', '    @unittest.skip(\"later\")\\n    def test_unit')",
        ),
        ("raises_skip", "t = 'import unittest\\nraise unittest.SkipTest(\"later\")\\n' + t"),
        ("skip_inside", "t = t.replace('self.assertEqual', 'self.skipTest')"),
        ("importorskip", "t = 'import pytest\\npytest.importorskip(\"no_such_module\")\\n' + t"),
    ];
    let ways: Vec<(&str, String)> = ways
        .iter()
        .map(|(name, does)| {
            (
                *name,
                format!(
                    "t = open('tests/test_calc.py').read()\n{does}\nwrite('tests/test_calc.py', t)"
                ),
            )
        })
        .collect();
    let mut ways: Vec<(&str, &str)> =
        ways.iter().map(|(name, does)| (*name, does.as_str())).collect();
    ways.push((
        "deleted",
        "os.remove('tests/test_calc.py'); write('tests/test_x.py', 'def test_x(): pass\\n')",
    ));
    ways.push(("moved_and_emptied", "os.remove('tests/test_calc.py'); write('tests/test_it.py', 'def test_adds(): pass\\nclass TestMore:\\n    def test_zero(self): pass\\n')"));
    // The code stays the same: the loss alone must be noticed.
    let first = format!("write('calc.py', {CALC:?} + '\\n')");
    all_refused(python(), &first, "", &ways, "that passed before");
}

#[test]
fn a_pytest_run_that_ends_early_is_not_green() {
    if !has_pytest() {
        return;
    }
    let ways = [
        (
            "pytest_exit",
            "write('conftest.py', 'import pytest\\npytest.exit(\"done\", returncode=0)\\n')",
        ),
        ("os_exit", "write('conftest.py', 'import os\\nos._exit(0)\\n')"),
        ("sys_exit", "write('conftest.py', 'import sys\\nsys.exit(0)\\n')"),
        (
            "at_its_end",
            "write('conftest.py', 'import os\\ndef pytest_sessionfinish(): os._exit(0)\\n')",
        ),
        (
            "session_exit",
            "write('conftest.py', 'import pytest\\ndef pytest_runtest_setup(): pytest.exit(\"x\", returncode=0)\\n')",
        ),
    ];
    all_refused(python(), &format!("write('calc.py', {BROKEN:?})"), "", &ways, "passed before");
}

/// Differences from run to run: once one such test had landed, everything used to be refused.
#[test]
fn ids_that_differ_from_run_to_run_are_no_loss() {
    if !has_pytest() {
        return;
    }
    let tests = "import pytest, time, uuid\n\
        class It: pass\n\
        @pytest.mark.parametrize('u', [uuid.uuid4(), uuid.uuid4()], ids=str)\ndef test_uuid(u): pass\n\
        @pytest.mark.parametrize('t', [time.time_ns()])\ndef test_time(t): pass\n\
        @pytest.mark.parametrize('o', [It(), It()], ids=repr)\ndef test_repr(o): pass\n\
        globals()['test_' + uuid.uuid4().hex] = lambda: None\n";
    let project = python()
        .file("tests/test_unstable.py", tests)
        .commit("unstable")
        .agent_with(
            "if phase_id == 'hides':\n    t = open('tests/test_unstable.py').read()\n    \
             write('tests/test_unstable.py', t.replace('def test_uuid', 'def check_uuid'))\n\
             if phase_id == 'fewer':\n    t = open('tests/test_unstable.py').read()\n    \
             write('tests/test_unstable.py', t.replace('uuid.uuid4(), uuid.uuid4()', 'uuid.uuid4()'))\n\
             write('calc.py', open('calc.py').read() + '# ' + phase_id + '\\n')",
            ONE_TRY,
        )
        .plan(plan(&["one", "two", "three", "hides", "fewer", "four"]));
    project.drain().exited(3);
    assert_eq!(project.landed(), ["one", "two", "three", "four"]);
    for id in ["hides", "fewer"] {
        let failure = project.phase(id)["attempt_log"][0]["failure"].clone();
        assert!(failure["message"].as_str().unwrap().contains("gone or skipped"), "{failure}");
        assert!(failure.to_string().contains("test_uuid"), "{failure}");
    }
}

#[test]
fn an_agent_that_makes_ids_unstable_may_not_drop_cases() {
    if !has_pytest() {
        return;
    }
    let tests =
        "import pytest\n@pytest.mark.parametrize('n', [1, 2, 3])\ndef test_n(n): assert n\n";
    let with = |params: &str| {
        format!(
            "write('tests/test_n.py', 'import pytest, uuid\\n@pytest.mark.parametrize(\"n\", {params}, ids=str)\\ndef test_n(n): assert n\\n')"
        )
    };
    let (fewer, same) = (with("[uuid.uuid4()]"), with("[uuid.uuid4() for _ in range(3)]"));
    let project = python()
        .file("tests/test_n.py", tests)
        .commit("cases")
        .agent_with(
            &doing(
                "write('calc.py', open('calc.py').read() + '# ' + phase_id + '\\n')",
                &[("fewer", &fewer), ("same", &same)],
            ),
            ONE_TRY,
        )
        .plan(plan(&["fewer", "same"]));
    project.drain().exited(3);
    assert_eq!(project.landed(), ["same"]);
}

#[test]
fn tests_that_moved_or_were_renamed_are_no_loss() {
    if !has_pytest() {
        return;
    }
    let ways = [
        (
            "moved",
            "os.makedirs('tests/unit'); os.rename('tests/test_calc.py', 'tests/unit/test_numbers.py')",
        ),
        (
            "class",
            "t = open('tests/unit/test_numbers.py').read()\nwrite('tests/unit/test_numbers.py', t.replace('TestMore', 'TestZero'))",
        ),
        (
            "function",
            "t = open('tests/unit/test_numbers.py').read()\nwrite('tests/unit/test_numbers.py', t.replace('test_adds', 'test_addition'))",
        ),
        (
            "split",
            "t = open('tests/unit/test_numbers.py').read()\ncut = t.index('class Unit')\nwrite('tests/unit/test_numbers.py', t[:cut])\nwrite('tests/test_unit.py', 'import unittest\\nfrom calc import add\\n\\n' + t[cut:])",
        ),
        (
            "parameters",
            "t = open('tests/unit/test_numbers.py').read()\nwrite('tests/unit/test_numbers.py', t.replace('def test_addition()', 'import pytest\\n@pytest.mark.parametrize(\"n\", [1, 2])\\ndef test_addition(n)'))",
        ),
        (
            "into_class",
            "write('tests/test_plain.py', 'from calc import add\\nclass TestPlain:\\n    def test_plain(self):\\n        assert add(5,5) == 10\\n')",
        ),
        (
            "formatted",
            "write('tests/test_plain.py', 'from calc import add\\ndef test_sum():\\n  assert add(5, 5) == 10\\n')",
        ),
    ];
    let ids = ways.map(|(name, _)| name);
    let first = "write('calc.py', open('calc.py').read() + '# ' + phase_id + '\\n')";
    let plain = "from calc import add\ndef test_plain():\n    assert add(5,5) == 10\n";
    let project = python().file("tests/test_plain.py", plain).commit("plain");
    let project = project.agent_with(&doing(first, &ways), ONE_TRY).plan(plan(&ids));
    project.drain().succeeded();
    assert_eq!(project.landed(), ids);
}

#[test]
fn tests_in_files_named_by_the_author_may_disappear_and_are_listed() {
    if !has_pytest() {
        return;
    }
    let agent = "t = open('tests/test_calc.py').read()\n\
                 write('tests/test_calc.py', t.replace('def test_adds(): assert add(1, 2) == 3', ''))";
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["tests/test_calc.py"]}]});
    let project = python().agent_with(agent, ONE_TRY).plan(plan);
    let ran = project.drain().succeeded();
    let output = "one: 1 test that passed before no longer runs; this is allowed in files delivered by this phase: \
                tests/test_calc.py::test_adds";
    assert!(ran.stdout.contains(output), "{ran:#?}");
    let note = project.phase("one")["attempt_log"][0]["note"].clone();
    assert!(note.as_str().unwrap().contains("tests/test_calc.py::test_adds"), "{note}");
    // A file that hides other tests does not count as such.
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["conftest.py"]}]});
    let hides = "write('conftest.py', 'collect_ignore = [\"tests\"]\\n')";
    let project = python().agent_with(hides, ONE_TRY).plan(plan);
    project.drain().exited(3);
}

#[test]
fn another_runner_in_place_of_the_one_that_ran_the_tests_is_a_loss() {
    if !has_pytest() || !has("npm", &["--version"]) {
        return;
    }
    let ways = [(
        "npm",
        "os.remove('tests/test_calc.py')\nwrite('package.json', '{\"scripts\": {\"test\": \"true\"}}')",
    )];
    let first = format!("write('calc.py', {BROKEN:?})");
    all_refused(python(), &first, "", &ways, "gone or skipped");
}

#[test]
fn a_phases_own_check_may_not_lose_its_tests_either() {
    if !has_pytest() {
        return;
    }
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["calc.py"],
        "scope": {"paths": ["calc.py", "conftest.py"]}, "test_cmd": "python3 -m pytest -q"}]});
    let agent = "write('calc.py', 'x = 1\\n'); write('conftest.py', 'def pytest_collection_modifyitems(items): del items[1:]\\n')\n\
                 write('calc.py', 'def add(a, b): return 3\\n')";
    let project =
        python().agent_with(agent, &format!("ci: {{command: [\"true\"]}}\n{ONE_TRY}")).plan(plan);
    project.drain().exited(3);
    let failure = project.phase("one")["last_failure"].clone();
    assert!(
        failure["message"].as_str().unwrap().contains("2 tests that passed before"),
        "{failure}"
    );
}

#[test]
fn unittest_is_compared_by_test_count() {
    let tests = "import unittest\nfrom calc import add\nclass A(unittest.TestCase):\n    \
        def test_a(self): self.assertEqual(add(1, 2), 3)\n    def test_b(self): self.assertEqual(add(0, 0), 0)\n";
    let ways = [
        ("skip", "t = t.replace('    def test_a', '    @unittest.skip(\"x\")\\n    def test_a')"),
        (
            "xfail",
            "t = t.replace('    def test_a', '    @unittest.expectedFailure\\n    def test_a')",
        ),
        ("renamed", "t = t.replace('test_a', 'check_a')"),
        ("emptied", "t = ''"),
        ("load_tests", "t += '\\ndef load_tests(*args): return unittest.TestSuite()\\n'"),
        ("exit", "t = 'import os\\nos._exit(0)\\n'"),
    ];
    let ways: Vec<(&str, String)> = ways
        .iter()
        .map(|(name, does)| {
            (
                *name,
                format!(
                    "t = open('tests/test_calc.py').read()\n{does}\nwrite('tests/test_calc.py', t)"
                ),
            )
        })
        .collect();
    let ways: Vec<(&str, &str)> = ways.iter().map(|(name, does)| (*name, does.as_str())).collect();
    let project =
        Project::new().file("calc.py", CALC).file("tests/test_calc.py", tests).commit("calc");
    let ci = "ci: {command: python3 -m unittest discover -s tests -t . }\n";
    let project = project.file("tests/__init__.py", "").commit("package");
    let broken = format!("write('calc.py', {BROKEN:?})");
    all_refused(project, &broken, ci, &ways, "fewer passed than before");
}

#[test]
fn node_test_is_compared_by_test_count() {
    if !has("node", &["--test", "--version"]) || !has("npm", &["--version"]) {
        return;
    }
    let tests = "const test = require('node:test'); const assert = require('node:assert');\n\
        const { add } = require('../src/calc.js');\n\
        test('adds', () => assert.equal(add(1, 2), 3));\ntest('zero', () => assert.equal(add(0, 0), 0));\n";
    let ways = [
        ("skip", "write('tests/calc.test.js', t.replace(\"test('adds'\", \"test.skip('adds'\"))"),
        ("todo", "write('tests/calc.test.js', t.replace(\"test('adds'\", \"test.todo('adds'\"))"),
        (
            "dropped",
            "write('tests/calc.test.js', t.replace(\"test('adds'\", \"0 && test('adds'\"))",
        ),
        ("script", "write('package.json', '{\"scripts\": {\"test\": \"true\"}}')"),
        (
            "deleted",
            "os.remove('tests/calc.test.js'); write('tests/x.test.js', \"require('node:test')('x', () => {})\")",
        ),
    ];
    let project = Project::new()
        .file("src/calc.js", "exports.add = (a, b) => a + b;\n")
        .file("tests/calc.test.js", tests)
        .file("package.json", "{\"scripts\": {\"test\": \"node --test tests/\"}}")
        .commit("calc");
    let first = "t = open('tests/calc.test.js').read()\nwrite('calc.py', '#')\nwrite('src/calc.js', 'exports.add = (a, b) => a - b;')";
    all_refused(project, first, "", &ways, "fewer passed than before");
}

/// jest, vitest and mocha by their last lines, with recorded output.
#[test]
fn jest_like_runners_are_compared_by_test_count() {
    for (before, after) in [
        ("Tests:       3 passed, 3 total", "Tests:       1 skipped, 2 passed, 3 total"),
        ("      Tests  3 passed (3)", "      Tests  2 passed | 1 skipped (3)"),
        ("  3 passing (2ms)", "  2 passing (2ms)\\n  1 pending"),
        ("# pass 3", "# pass 2"),
        ("Tests:       3 passed, 3 total", ""),
    ] {
        let ci = "ci: {command: cat src/said.txt}\n";
        let project = Project::new().file("src/said.txt", &format!("{before}\n")).commit("tests");
        let does = format!("write('src/said.txt', '{after}\\n')");
        all_refused(project, "write('calc.py')", ci, &[("one", &does)], "fewer passed than before");
    }
    // A delivered file may have fewer tests, by as many as the number falls.
    let tests =
        |count: usize| -> String { (0..count).map(|n| format!("test('{n}', f);\\n")).collect() };
    for (left, state) in [(2, "COMPLETE"), (3, "FAILED")] {
        let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["src/said.txt", "src/a.test.js"]}]});
        let agent = format!(
            "write('src/said.txt', '  2 passing (2ms)'); write('src/a.test.js', \"// x\\n{}\")",
            tests(left)
        );
        let project = Project::new()
            .file("src/said.txt", "  3 passing (2ms)\n")
            .file("src/a.test.js", &tests(3).replace("\\n", "\n"))
            .commit("tests")
            .agent_with(&agent, &format!("ci: {{command: cat src/said.txt}}\n{ONE_TRY}"))
            .plan(plan);
        let ran = project.drain();
        assert_eq!(project.phase("one")["state"], state, "{ran:#?}");
        let output = ran.stdout.contains("3 tests passed before, 2 now (mocha)");
        assert_eq!(output, state == "COMPLETE", "{ran:#?}");
    }
}

/// A phase that delivers code and a new test file: the commonest kind.
fn with_new_test(id: &str, test: &str) -> Value {
    let phase = phase(id);
    json!({"phase_id": id, "deliverables": ["calc.py", test], "scope": phase["scope"]})
}

#[test]
fn a_delivered_test_file_excuses_no_other_file() {
    let node = has("node", &["--test", "--version"]) && has("npm", &["--version"]);
    let js = |lines: &str| {
        format!(
            "const test = require('node:test'); const assert = require('node:assert');\n{lines}"
        )
    };
    let old = js("const { add } = require('../src/calc.js');\n\
        test('adds', () => assert.equal(add(1, 2), 3));\ntest('zero', () => assert.equal(add(0, 0), 0));\n");
    let ways = [
        ("deleted", "os.remove('tests/a.test.js')"),
        ("skipped", "write('tests/a.test.js', t.replace(\"test('\", \"test.skip('\"))"),
        (
            "same_name",
            "os.remove('tests/a.test.js'); new += \"test('adds', () => {}); test('zero', () => {});\"",
        ),
        ("mine", "write('tests/new.test.js', new)"),
    ];
    let first = "t = open('tests/a.test.js').read(); new = \"const test = require('node:test'); test('new', () => {});\"\n\
        write('calc.py', '#' + phase_id)";
    let body = doing(first, &ways) + "write('tests/new.test.js', new)\n";
    let ids = ways.map(|(id, _)| id);
    let phases = ids.map(|id| with_new_test(id, "tests/new.test.js"));
    if node {
        let project = Project::new()
            .file("src/calc.js", "exports.add = (a, b) => a + b;\n")
            .file("tests/a.test.js", &old)
            .file("package.json", "{\"scripts\": {\"test\": \"node --test tests/\"}}")
            .commit("calc")
            .agent_with(&body, ONE_TRY)
            .plan(json!({ "phases": phases }));
        project.drain().exited(3);
        assert_eq!(project.landed(), ["mine"]);
        for id in ["deleted", "skipped", "same_name"] {
            let failure = project.phase(id)["last_failure"].clone();
            assert!(failure["message"].as_str().unwrap().contains("gone or skipped"), "{failure}");
        }
    }
    let tests = "import unittest\nfrom calc import add\nclass T(unittest.TestCase):\n    \
        def test_a(self):\n        self.assertEqual(add(1, 2), 3)\n    def test_b(self):\n        self.assertEqual(add(1, 0), 1)\n";
    let with = |methods: &str| format!("import unittest\\nclass Q(unittest.TestCase):\\n{methods}");
    let (one, two) = (
        with("    def test_n(self): pass\\n"),
        with("    def test_a(self): pass\\n    def test_b(self): pass\\n"),
    );
    let ways = [
        (
            "deleted",
            format!("os.remove('tests/test_calc.py'); write('tests/test_new.py', '{one}')"),
        ),
        (
            "as_many",
            format!("os.remove('tests/test_calc.py'); write('tests/test_new.py', '{two}')"),
        ),
        (
            "uncollected",
            format!(
                "os.rename('tests/test_calc.py', 'tests/calc.py'); write('tests/test_new.py', '{two}')"
            ),
        ),
        ("mine", format!("write('tests/test_new.py', '{one}')")),
    ];
    let ways: Vec<(&str, &str)> = ways.iter().map(|(id, does)| (*id, does.as_str())).collect();
    for options in ["-v", "-b"] {
        let phases: Vec<Value> =
            ways.iter().map(|(id, _)| with_new_test(id, "tests/test_new.py")).collect();
        let ci = format!("ci: {{command: python3 -m unittest discover {options}}}\n{ONE_TRY}");
        let project = Project::new()
            .file("calc.py", CALC)
            .file("tests/__init__.py", "")
            .file("tests/test_calc.py", tests)
            .commit("calc")
            .agent_with(&doing(&format!("write('calc.py', {CALC:?} + '#' + phase_id)"), &ways), &ci)
            .plan(json!({ "phases": phases }));
        let ran = project.drain().exited(3);
        let landed = project.landed();
        assert!(landed.contains(&"mine".to_owned()), "{ran:#?}");
        assert!(!landed.contains(&"deleted".to_owned()), "{ran:#?}");
        assert!(!landed.contains(&"as_many".to_owned()), "{ran:#?}");
        // Without names, tests in a file that no longer runs count as moved.
        assert_eq!(landed.contains(&"uncollected".to_owned()), options == "-b", "{ran:#?}");
    }
}

#[test]
fn javascript_tests_that_were_renamed_or_moved_are_no_loss() {
    if !has("node", &["--test", "--version"]) || !has("npm", &["--version"]) {
        return;
    }
    let tests = "const test = require('node:test'); const assert = require('node:assert');\n\
        test('adds', () => {\n  assert.equal(1+2, 3);\n});\ntest('zero', () => assert.equal(0, 0));\n";
    let ways = [
        ("renamed", "edit(\"'adds'\", \"'adds two numbers'\")"),
        ("formatted", "edit(\"'adds two numbers'\", \"'sums'\"); edit('1+2', '1 + 2')"),
        (
            "moved",
            "write('tests/b.test.js', open('tests/a.test.js').read().replace('zero', 'nothing')); os.remove('tests/a.test.js')",
        ),
        (
            "emptied",
            "write('tests/b.test.js', open('tests/b.test.js').read().replace('nothing', 'void').replace('assert.equal(0, 0)', '{}'))",
        ),
    ];
    let first = "def edit(one, other):\n    t = open('tests/a.test.js').read()\n    assert one in t\n    write('tests/a.test.js', t.replace(one, other))\n\
        write('calc.py', '#' + phase_id)";
    let ids = ways.map(|(name, _)| name);
    let project = Project::new()
        .file("tests/a.test.js", tests)
        .file("package.json", "{\"scripts\": {\"test\": \"node --test tests/\"}}")
        .commit("tests")
        .agent_with(&doing(first, &ways), ONE_TRY)
        .plan(plan(&ids));
    let ran = project.drain().exited(3);
    assert_eq!(project.landed(), ["renamed", "formatted", "moved"], "{ran:#?}");
}

#[test]
fn an_exit_code_of_zero_with_failing_tests_is_red() {
    if !has_pytest() {
        return;
    }
    let project =
        python().file("check/Makefile", "test:\n\tpython3 -m pytest -q tests\n").commit("make");
    let hide = |with: &str| {
        format!(
            "write('check/Makefile', 'test:\\n\\t{with}\\n'); write('tests/test_c.py', 'def test_c(): pass\\n')"
        )
    };
    let (dash, or_true) =
        (hide("-python3 -m pytest -q tests"), hide("python3 -m pytest -q tests || true"));
    let ways = [("dash", dash.as_str()), ("or_true", or_true.as_str())];
    let ci = "ci: {command: make -f check/Makefile test}\n";
    let words = "but CI ended with exit code 0";
    all_refused(project, &format!("write('calc.py', {BROKEN:?})"), ci, &ways, words);
    // Failures that were there before do not block.
    let project = Project::new()
        .file("red.sh", "echo '=== 1 failed, 2 passed in 0.1s ==='\n")
        .commit("red")
        .agent_with("write('calc.py')", &format!("ci: {{command: sh red.sh}}\n{ONE_TRY}"))
        .plan(plan(&["one"]));
    project.drain().succeeded();
}

/// Packages of a workspace, each with its label: more tests elsewhere do not make up for a lost one.
#[test]
fn tests_behind_labels_are_known_by_their_names() {
    let of = |package: &str, tests: &[&str]| {
        let lines = tests.iter().enumerate().map(|(at, name)| format!("ok {} - {name}", at + 1));
        let lines = lines.chain([format!("# pass {}", tests.len()), "# fail 0".to_owned()]);
        lines.map(|line| format!("packages/{package} test: {line}\\n")).collect::<String>()
    };
    let before = format!("{}{}", of("app", &["add", "zero"]), of("core", &["mul"]));
    let ci = "ci: {command: cat src/said.txt}\n";
    let project =
        || Project::new().file("src/said.txt", &before.replace("\\n", "\n")).commit("tests");
    let hidden = format!("{}{}", of("app", &["add"]), of("core", &["mul", "div", "pow"]));
    let does = format!("write('src/said.txt', '{hidden}')");
    all_refused(project(), "write('calc.py')", ci, &[("one", &does)], "packages/app test: zero");
    let moved = format!("{}{}", of("core", &["zero", "mul", "div"]), of("app", &["add"]));
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["src/said.txt"]}]});
    let agent = format!("write('src/said.txt', '{moved}')");
    project().agent_with(&agent, ci).plan(plan).drain().succeeded();
}

#[test]
fn tests_not_run_by_go_are_lost() {
    if !has("go", &["version"]) {
        return;
    }
    let tests = "package a\nimport \"testing\"\n\
        func TestAdd(t *testing.T) {\n\tif Add(1, 2) != 3 {\n\t\tt.Fatal()\n\t}\n}\n\
        func TestZero(t *testing.T) {\n\tif Add(0, 0) != 0 {\n\t\tt.Fatal()\n\t}\n}\n";
    let ways = [
        ("skip", "t = t.replace('\\tif Add(1', '\\tt.Skip()\\n\\tif Add(1')"),
        (
            "short",
            "t = t.replace('\\tif Add(1', '\\tif !testing.Short() {\\n\\t\\tt.Skip()\\n\\t}\\n\\tif Add(1')",
        ),
        (
            "tag",
            "t = '//go:build never\\n\\n' + t\nwrite('a/b_test.go', 'package a\\nimport \"testing\"\\nfunc TestX(t *testing.T) {}\\n')",
        ),
        ("renamed", "t = t.replace('TestAdd', 'testAdd')"),
        (
            "main",
            "t = t.replace('import \"testing\"', 'import (\"os\"; \"testing\")\\nfunc TestMain(m *testing.M) { os.Exit(0) }')",
        ),
    ];
    let ways: Vec<(&str, String)> = ways
        .iter()
        .map(|(name, does)| {
            (*name, format!("t = open('a/a_test.go').read()\n{does}\nwrite('a/a_test.go', t)"))
        })
        .collect();
    let ways: Vec<(&str, &str)> = ways.iter().map(|(name, does)| (*name, does.as_str())).collect();
    let module = || {
        Project::new()
            .file("go.mod", "module example.com/m\n\ngo 1.19\n")
            .file("a/a.go", "package a\nfunc Add(x, y int) int { return x + y }\n")
            .file("a/a_test.go", tests)
            .commit("module")
    };
    let first = "write('calc.py')\nwrite('a/a.go', 'package a\\nfunc Add(x, y int) int { return x - y }\\n')";
    all_refused(module(), first, "", &ways, "that passed before");
    // Known from its deliverables, which a package alone would not tell.
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["a/a_test.go"]}]});
    let agent =
        "t = open('a/a_test.go').read()\nwrite('a/a_test.go', t.replace('TestZero', 'testZero'))";
    let project = module().agent_with(agent, ONE_TRY).plan(plan);
    let ran = project.drain().succeeded();
    assert!(
        ran.stdout.contains("files delivered by this phase: example.com/m/a.TestZero"),
        "{ran:#?}"
    );
}

#[test]
fn tests_not_run_by_cargo_are_lost() {
    let lib = "pub fn add(a: u8, b: u8) -> u8 { a + b }\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn adds() {\n        \
        assert_eq!(super::add(1, 2), 3);\n    }\n}\n";
    let ways = [
        ("ignore", "t = t.replace('#[test]', '#[test]\\n    #[ignore]')"),
        ("cfg", "t = t.replace('cfg(test)', 'cfg(all(test, windows))')"),
        ("no_test", "m += '[lib]\\ntest = false\\n'"),
        (
            "no_harness",
            "m += '[lib]\\nharness = false\\n'\nt = 'pub fn add(a: u8, b: u8) -> u8 { a - b }\\n#[allow(unused)]\\nfn main() {}\\n'",
        ),
    ];
    let ways: Vec<(&str, String)> = ways
        .iter()
        .map(|(name, does)| {
            (*name, format!("t = open('src/lib.rs').read(); m = open('Cargo.toml').read()\n{does}\nwrite('src/lib.rs', t); write('Cargo.toml', m)"))
        })
        .collect();
    let ways: Vec<(&str, &str)> = ways.iter().map(|(name, does)| (*name, does.as_str())).collect();
    // The toolchain is in the home of the user who runs the tests.
    let home = std::path::PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let of = |name: &str, directory: &str| {
        std::env::var(name).unwrap_or_else(|_| home.join(directory).display().to_string())
    };
    let project = Project::new()
        .env("RUSTUP_HOME", of("RUSTUP_HOME", ".rustup"))
        .env("CARGO_HOME", of("CARGO_HOME", ".cargo"))
        .file("Cargo.toml", "[package]\nname = \"calc\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
        .file(".gitignore", "target\nCargo.lock\n")
        .file("src/lib.rs", lib)
        .commit("crate");
    all_refused(project, "write('calc.py')", "", &ways, "that passed before");
}
