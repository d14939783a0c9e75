//! Declarations of each language.

use super::*;
use proptest::prelude::*;

fn named(file: &str, text: &str) -> Vec<(String, bool)> {
    declared(file, text).into_iter().map(|test| (test.name, test.runs)).collect()
}

#[track_caller]
fn are(file: &str, text: &str, running: &[&str], off: &[&str]) {
    let all = named(file, text);
    let of = |runs: bool| -> Vec<&str> {
        all.iter().filter(|(_, on)| *on == runs).map(|(name, _)| name.as_str()).collect()
    };
    assert_eq!((of(true), of(false)), (running.to_vec(), off.to_vec()), "{text}");
}

#[test]
fn javascript_tests_are_found_by_title() {
    let text = "const test = require('node:test');\n// test('comment', f);\n/* it('block') */\n\
        test('adds', () => assert.equal(add(1, 2), 3)); test(\"zero's\", f);\n\
        describe('group', () => {\n  it('in \\'it\\'', async () => {\n    await f();\n  });\n  await t.test(`sub`, f);\n});\n\
        0 && test('never', f);\nconst is = s => pattern.test(s); other.test('x');\nit.skip('off', f); xit('off too', f); test('late', { skip: true }, f);\n\
        test('itself', t => {\n  t.skip();\n});\n\
        describe.skip('gone', () => {\n  it('inside', f);\n});\nit('last', f);\n";
    are(
        "a.test.js",
        text,
        &["adds", "zero's", "in 'it'", "sub", "last"],
        &["off", "off too", "late", "itself", "inside"],
    );
}

#[test]
fn computed_titles_match_their_names() {
    let text = "test.each([\n  [1, 2],\n])('adds %i to %i', (a, b) => {});\ntest(`has ${n} parts`, f);\ntest(name, f);\n";
    let tests = declared("a.spec.ts", text);
    let names = ["adds 1 to 2", "has 3 parts", "another"];
    let found = names.map(|name| tests.iter().filter(|test| test.is_named(name)).count());
    assert_eq!((tests.len(), found), (3, [1, 1, 0]));
}

#[test]
fn a_body_does_not_depend_on_title_and_layout() {
    let body = |text: &str| declared("a.test.js", text).remove(0).body.unwrap();
    let one = "test('adds', () => {\n  assert.equal(add(1,2), 3);\n});\n";
    let other = "  test('adds nothing', () => {\n    assert.equal(add(1, 2), 3);\n  });\n";
    assert_eq!(body(one), body(other));
    assert_eq!(body("test('a', () => f(1));"), body("test('b', ()=>f( 1 ));"));
    assert_ne!(body(one), body("test('adds', () => {\n  assert.equal(add(1, 2), 4);\n});\n"));
}

#[test]
fn tests_of_other_languages_are_found() {
    let python = "class T(unittest.TestCase):\n    def test_a(self):\n        pass\n\n    @unittest.skip('x')\n    def test_b(self): pass\n\n\
        @pytest.mark.xfail\nclass U:\n    def test_c(self): pass\n\ndef test_d():\n    pytest.skip('later')\n\nasync def test_e(): pass\ndef helper(): pass\n";
    are("test_a.py", python, &["T::test_a", "test_e"], &["T::test_b", "U::test_c", "test_d"]);
    let rust = "#[test]\nfn adds() {\n    f();\n}\n#[test]\n#[ignore]\nfn later() {}\nfn helper() {}\n#[tokio::test]\nasync fn waits() {}\n";
    are("lib.rs", rust, &["adds", "waits"], &["later"]);
    let go = "func TestA(t *testing.T) {\n\tt.Fatal()\n}\nfunc TestB(t *testing.T) {\n\tt.Skip()\n}\nfunc help() {}\n";
    are("a_test.go", go, &["TestA"], &["TestB"]);
    are("a.bats", "@test \"adds\" {\n  true\n}\n", &["adds"], &[]);
    are("A.java", "@Test\nvoid a() {}\n@ParameterizedTest\nvoid b() {}\n", &["", ""], &[]);
}

proptest! {
    #[test]
    fn any_text_is_read(text in "(?s)(.|test\\('|describe\\.skip\\(|\\n|`|\\$\\{|def test_x\\(){0,40}") {
        for file in ["a.js", "a.py", "a.rs", "a.go", "a.rb"] {
            declared(file, &text);
        }
    }
}
