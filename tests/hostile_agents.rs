//! Agents that leave behind what breaks whoever looks at it or tidies it away: their phase fails, and the drain goes on.

use serde_json::{Value, json};

use crate::support::Project;

fn failure(project: &Project, id: &str) -> Value {
    project.phase(id)["attempt_log"][0]["failure"].clone()
}

#[test]
fn links_that_leave_the_repository_through_other_links_do_not_land() {
    let project = Project::new();
    std::fs::create_dir(project.outside("beside")).unwrap();
    std::fs::create_dir(project.path("src")).unwrap();
    std::os::unix::fs::symlink("../../beside", project.path("src/out")).unwrap();
    std::os::unix::fs::symlink("here/../../README.md", project.path("src/old")).unwrap();
    let scripts = json!({
        // Each of its links is inside, read alone.
        "chain": "mkdir -p src/l/p/q; ln -s ../../../.. src/l/p/q/root; ln -s p/q/root/../outside src/l/esc",
        "tracked": "mkdir src/ch; ln -s ../out/f src/ch/l",
        // A link that was there before leads out by way of a new one.
        "turned": "ln -s .. src/here",
        "inside": "mkdir -p src/in/a; echo x >src/in/a/f; ln -s a src/in/b; ln -s b/../b/f src/in/c",
    });
    let body = format!(
        "subprocess.run(['sh', '-ec', {scripts}[phase_id]], check=True)\nwrite(f'src/{{phase_id}}.txt')\n"
    );
    let phases: Vec<Value> = scripts.as_object().unwrap().keys().map(|id| {
        json!({"phase_id": id, "name": id, "scope": {"paths": ["src/"]}, "deliverables": [format!("src/{id}.txt")]})
    }).collect();
    let project = project
        .commit("links")
        .agent_with(&body, "ci: {command: [\"true\"]}\nexecutor: {max_attempts: 1}\n")
        .plan(json!({"phases": phases}));
    project.drain().exited(3);
    assert_eq!(project.landed(), ["inside"]);
    let breaches = |id: &str| failure(&project, id)["detail"]["breaches"].to_string();
    for (id, said) in [
        ("chain", "src/l/esc: a link that leaves the repository, to p/q/root/../outside"),
        ("tracked", "src/ch/l: a link that leaves the repository, to ../out/f"),
        ("turned", "src/here: the link src/old leaves the repository through it"),
    ] {
        assert!(breaches(id).contains(said), "{id}: {}", breaches(id));
    }
}
