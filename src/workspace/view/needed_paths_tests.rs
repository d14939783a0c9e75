//! Tests of the needed paths.

use std::os::unix::fs::symlink;

use super::super::fake_machine::{FakeMachine, script};
use super::*;

fn found(fake: &FakeMachine, argv: &[&str]) -> Vec<String> {
    let argv: Vec<OsString> = argv.iter().map(|argument| fake.text(argument).into()).collect();
    let request = ViewRequest { argv: &argv, ..fake.request() };
    let place = fake.place();
    let hidden = HiddenPaths::collect(&place, &fake.machine, &request);
    let needed = needed_paths(&place, &fake.machine, &hidden, &request);
    needed
        .iter()
        .map(|path| match path.target == path.source {
            true => fake.short(&path.target),
            false => format!("{} from {}", fake.short(&path.target), fake.short(&path.source)),
        })
        .collect()
}

#[test]
fn programs_of_temporary_directories_are_shown_with_their_libraries() {
    let mut fake = FakeMachine::new();
    for path in ["tmp/py/bin/python3", "tmp/tool.sh", "tmp/x/agent", "usr/bin/env"] {
        script(&fake.at(path), "#!/bin/sh\n");
    }
    fs::create_dir_all(fake.at("tmp/py/lib")).unwrap();
    fs::create_dir_all(fake.at("tmp/venv/bin")).unwrap();
    fs::write(fake.at("tmp/venv/pyvenv.cfg"), "").unwrap();
    symlink(fake.at("tmp/py/bin/python3"), fake.at("tmp/venv/bin/python")).unwrap();
    script(&fake.at("tmp/venv/bin/pytest"), &format!("#!{}\n", fake.text("/tmp/venv/bin/python")));
    assert_eq!(found(&fake, &["/tmp/venv/bin/pytest", "-q"]), ["/tmp/py", "/tmp/venv"]);
    assert_eq!(found(&fake, &["/tmp/tool.sh", "--config=/tmp/x"]), ["/tmp/tool.sh", "/tmp/x"]);
    assert_eq!(found(&fake, &["sh", "-e", "-c", "cd /nowhere && /tmp/tool.sh;"]), ["/tmp/tool.sh"]);
    fake.set("PATH", "/tmp/venv/bin:/tmp/x:/usr/bin");
    script(&fake.at("home/u/run"), "#!/usr/bin/env -S python -u\n");
    assert_eq!(found(&fake, &["/home/u/run"]), ["/tmp/py", "/tmp/venv", "/tmp/x"]);
}

#[test]
fn paths_of_the_checkout_are_shown_if_the_slot_has_none() {
    let mut fake = FakeMachine::new();
    script(&fake.at("app/agent.py"), "#!/usr/bin/python3\n");
    script(&fake.at("app/.venv/bin/tool"), "");
    fs::create_dir_all(fake.at("app/.venv/lib")).unwrap();
    fs::create_dir_all(fake.at("app/src")).unwrap();
    fs::create_dir_all(fake.at("slots/app/app-0/src/x")).unwrap();
    fake.set("PATH", "/app/.venv/bin:/app:/app/src:/usr/bin");
    fake.set("PYTHONPATH", "/app/build");
    fs::create_dir_all(fake.at("app/build")).unwrap();
    let argv = ["python3", "/app/agent.py", "/app/src", "/app/missing"];
    // Of the checkout itself, only programs.
    assert_eq!(found(&fake, &argv), ["/app/.venv", "/app/agent.py"]);
    fake.purpose = ViewPurpose::Setup;
    assert_eq!(found(&fake, &["sh", "-c", "python3 -m venv /app/.venv"]), [""; 0]);
    // An empty file is what an earlier mount left.
    script(&fake.at("slots/app/app-0/agent.py"), "");
    assert_eq!(found(&fake, &argv), ["/app/agent.py"]);
    script(&fake.at("slots/app/app-0/agent.py"), "print()");
    assert_eq!(found(&fake, &argv), [""; 0]);
}

#[test]
fn hidden_paths_and_own_directories_are_never_shown() {
    let mut fake = FakeMachine::new();
    script(&fake.at("tmp/keys/tool"), "");
    script(&fake.at("slots/app/app-0/tool"), "");
    fs::create_dir_all(fake.at("tmp/own")).unwrap();
    script(&fake.at("tmp/direct"), "");
    fake.hide = vec![fake.text("/tmp/keys")];
    symlink(fake.at("tmp/keys/tool"), fake.at("tmp/link")).unwrap();
    fake.set("TMPDIR", "/tmp/own");
    fake.set("PATH", "/tmp/keys:/tmp/own:/tmp");
    let argv = ["/slots/app/app-0/tool", "/tmp/keys/tool", "/tmp/link", "/tmp/own"];
    assert_eq!(found(&fake, &argv), ["/tmp/direct"]);
}

#[test]
fn links_in_the_runtime_directory_are_shown_at_their_own_paths() {
    let mut fake = FakeMachine::new();
    script(&fake.at("home/u/node/v22/bin/node"), "");
    fs::create_dir_all(fake.at("home/u/node/v22/lib")).unwrap();
    fs::create_dir_all(fake.at("run/user/1000/fnm")).unwrap();
    symlink(fake.at("home/u/node/v22"), fake.at("run/user/1000/fnm/7")).unwrap();
    fake.set("PATH", "/run/user/1000/fnm/7/bin:/usr/bin");
    assert_eq!(found(&fake, &["node"]), ["/run/user/1000/fnm/7 from /home/u/node/v22"]);
}
