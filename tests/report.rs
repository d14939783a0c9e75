//! `report` through the real program: content and place of its files.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Project, big_run, has_pytest};
use crate::telemetry_summary::drained;

/// The figures embedded in a page.
pub fn embedded(page: &str) -> Value {
    let start = r#"<script type="application/json" id="summary">"#;
    let at = page.find(start).expect("the element") + start.len();
    serde_json::from_str(page[at..].split("</script>").next().unwrap()).unwrap()
}

#[test]
fn the_page_tells_the_figures_the_failures_and_each_phase() {
    let project = drained();
    project.drain().exited(3);
    let page = project.autopack(["report", "--run-id", "run"]).succeeded().stdout;
    assert_eq!(
        embedded(&page),
        project.json(["telemetry", "summary", "--run-id", "run", "--json"])
    );
    for text in [
        "1 queued (1 blocked), 2 failed",
        "2 of 3 finished",
        "The &lt;first&gt; one",
        "I gave up &lt;b&gt;here&lt;/b&gt;",
        "+x = 1",
        "src/other.py",
        "<b>unfixable</b>",
        "data-s=\"blocked\"",
        "autopack/run",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("<first>") && !page.contains("<b>here"));
}

#[test]
fn a_file_is_replaced_atomically_and_no_other_file_is_overwritten() {
    let project = drained();
    project.drain().exited(3);
    project.write("report.html", "the old one");
    let ran = project.autopack(["report", "-o", "report.html"]).succeeded();
    let page = fs::read_to_string(project.path("report.html")).unwrap();
    assert!(
        ran.stdout.starts_with("wrote report.html, ") && ran.stdout.ends_with(" kB\n"),
        "{ran:?}"
    );
    assert!(page.ends_with("</html>\n"));
    fs::create_dir(project.path("directory")).unwrap();
    std::os::unix::fs::symlink("README.md", project.path("link.html")).unwrap();
    for (target, code) in
        [("directory", 2), ("link.html", 2), ("/dev/null", 2), ("none/report.html", 1)]
    {
        let ran = project.autopack(["report", "-o", target]).exited(code);
        assert!(ran.stderr.contains(&format!("cannot write {target}")), "{ran:?}");
    }
    assert_eq!(fs::read_to_string(project.path("README.md")).unwrap(), "# project\n");
    let names: Vec<_> =
        fs::read_dir(project.root()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{names:?}");
    let longest = "r".repeat(250) + ".html";
    project.autopack(["report", "-o", &longest]).succeeded();
    assert!(fs::read_to_string(project.path(&longest)).unwrap().ends_with("</html>\n"));
    let page = project.autopack(["report", "-o", "-"]).succeeded().stdout;
    assert!(page.ends_with("</html>\n") && !project.path("-").exists());
    project.autopack(["report", "-o", "pr.md"]).succeeded();
    assert!(fs::read_to_string(project.path("pr.md")).unwrap().starts_with("## Run run\n"));
}

/// Names come from others: none of them may become markup, a comment's end, or an attribute.
#[test]
fn hostile_names_stay_text() {
    let hostile =
        "</script><script>alert(1)</script><!--\u{202e}\u{1b}[31m`@octocat` #1 | [x](http://y)";
    let project = Project::new().agent("write_deliverables()").plan(json!({"phases": [
        {"id": "a\" onclick=\"x", "name": hostile, "category": hostile, "description": hostile,
         "deliverables": ["src/a.py"]},
    ]}));
    project.drain().succeeded();
    let page = project.autopack(["report"]).succeeded().stdout;
    assert_eq!(page.matches("<script").count(), 2);
    assert!(!page.contains("<!--") && !page.contains("onclick=\"x") && !page.contains('\u{202e}'));
    assert!(!page.contains('\u{1b}'));
    let text = project.autopack(["report", "--format", "md"]).succeeded().stdout;
    for mark in ["<script", "@octocat", " #1", "http:", " `", "\u{1b}"] {
        assert!(!text.contains(mark), "{mark}: {text}");
    }
}

/// Variables may have become secrets after the log was written.
#[test]
fn secrets_of_the_environment_are_redacted() {
    let project = Project::new()
        .agent("print('the word is swordfish-and-more')\nwrite('src/other.py', 'w = \"swordfish-and-more\"\\n')")
        .plan(json!({"phases": [{"id": "a", "deliverables": ["src/a.py"], "max_attempts": 1}]}));
    project.drain().exited(3);
    let shown = project.autopack(["report"]).succeeded().stdout;
    assert!(shown.contains("swordfish-and-more"));
    let mut command = project.command(["report"]);
    let output = command.env("MY_SECRET", "swordfish-and-more").output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(!page.contains("swordfish-and-more") && page.contains("[redacted: MY_SECRET]"));
}

#[test]
fn a_pull_requests_text() {
    let project = Project::without_commits();
    big_run::make(&project, 40);
    insta::assert_snapshot!(project.autopack(["report", "--format", "md"]).stdout);
}

/// A phase that lands, one whose tests fail, and one outside its scope; with pytest's format of results.
fn mixed() -> Project {
    let body = "write_deliverables('one\\ntwo\\n')\nif phase_id == 'stray': write('setup.cfg')\n\
                report(tokens=dict(input=1200, output=345), cost_usd=0.5)";
    let ci = "ci: {command: \"test ! -e src/red.txt\"}\n";
    let phase = |id: &str| {
        json!({"phase_id": id, "name": format!("Make {id} | <it>"), "max_attempts": 1,
               "deliverables": [format!("src/{id}.txt")]})
    };
    let phases = ["landed", "red", "stray"].map(phase);
    let project = Project::new().agent_with(body, ci).plan(json!({"phases": phases}));
    project.drain().exited(3);
    project
}

#[test]
fn the_page_begins_with_the_verdict_and_failures_and_shows_what_landed() {
    let project = mixed();
    let page = project.autopack(["report"]).succeeded().stdout;
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}"));
    let order = [
        "1 of 3 phases landed · 2 failed",
        "id=\"failures\"",
        "id=\"landed\"",
        "id=\"figures\"",
        "id=\"time\"",
        "id=\"phases\"",
        "id=\"groups\"",
        "id=\"estimates\"",
    ]
    .map(place);
    assert!(order.is_sorted(), "{order:?}");
    let landed = &page[order[2]..order[3]];
    for text in ["1 file, +2 -0", "<code>src/landed.txt</code>", "+two", "autopack/run"] {
        assert!(landed.contains(text), "{text}: {landed}");
    }
    assert!(page.contains("CI: <code>test ! -e src/red.txt</code>"), "the command of CI");
}

/// The text as GitHub gets it: no entities, tables whole, the changed files folded.
#[test]
fn a_pull_requests_text_of_a_drained_run() {
    let project = mixed();
    let text = project.autopack(["report", "--format", "md"]).succeeded().stdout;
    assert!(!text.contains("&#") && !text.contains("&lt;") && !text.contains("&amp;"), "{text}");
    for text_of_it in [
        "**1 of 3 phases landed**, 2 failed",
        "| CI | `test ! -e src/red.txt` |",
        "| Changed | 1 file changed, 2 insertions(+) |",
        "\n src/landed.txt | 2 ++\n",
    ] {
        assert!(text.contains(text_of_it), "{text_of_it}: {text}");
    }
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.iter().all(|row| [3, 7].contains(&columns(row))), "{rows:#?}");
    let places = ["### Failed", "### Landed", "### Figures", "<details>"].map(|h| text.find(h));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
}

#[test]
fn failing_tests_are_blocks() {
    if !has_pytest() {
        return;
    }
    let test = "import unittest\\nclass T(unittest.TestCase):\\n    def test_sum(self):\\n        \
                self.assertEqual(1 + 1, 3, 'two lines\\\\nof words')\\n";
    let project = Project::new()
        .agent_with(
            &format!("write('test_a.py', \"{test}\")"),
            "ci: {command: [python3, -m, pytest]}\n",
        )
        .plan(json!({"phases": [{"phase_id": "a", "deliverables": ["test_a.py"], "max_attempts": 1}]}));
    project.drain().exited(3);
    let page = project.autopack(["report"]).succeeded().stdout;
    let block = page.split("<pre class=\"test\">").nth(1).unwrap_or_else(|| panic!("{page}"));
    let block = block.split("</pre>").next().unwrap();
    assert!(block.contains("test_a") && block.contains("test_sum\n    "), "{block}");
    let text = project.autopack(["report", "--format", "md"]).succeeded().stdout;
    assert!(text.contains("\n  ```\n  ") && text.contains("test_sum\n      "), "{text}");
}

#[test]
fn phases_done_in_the_source_are_not_counted_as_landed() {
    let project = Project::new().agent("write_deliverables()").plan(json!({"phases": [
        {"phase_id": "one", "deliverables": ["a.py"]},
        {"phase_id": "old", "name": "Was there", "status": "done"},
        {"phase_id": "two", "deliverables": ["b.py"], "depends_on": ["old"]}]}));
    project.drain().succeeded();
    let text = project.autopack(["report", "--format", "md"]).succeeded().stdout;
    assert!(text.contains("**2 of 3 phases landed**, 1 done before"), "{text}");
    assert!(text.contains("### Done before\n\n- **old** Was there\n"), "{text}");
    let page = project.autopack(["report"]).succeeded().stdout;
    assert!(page.contains("2 of 3 phases landed · 1 done before"), "{page}");
    assert!(page.contains("data-s=\"done\""), "{page}");
}

#[test]
fn a_run_without_drains_has_a_report() {
    let project = drained();
    let page = project.autopack(["report"]).succeeded().stdout;
    assert!(page.contains("No attempts yet."));
    let text = project.autopack(["report", "--format", "md"]).succeeded().stdout;
    assert!(text.contains("No attempt has ended yet."), "{text}");
    project.autopack(["report", "--run-id", "nope"]).exited(1);
}
