//! Several clones, a Postgres server and a git remote: what a drain without its database or its server does, and that each phase
//! lands once.

use std::time::Duration;

use serde_json::json;

use crate::support::Project;
use crate::support::clones::{Remote, wait_for, with_settings};
use crate::support::link::{Link, Outage};
use crate::support::postgres::{Database, database, own_server};

const AGENT: &str = "write_deliverables()";
/// A drain of another machine is taken for dead after this time without a heartbeat.
const LEASE: &str = "executor: {lease_seconds: 2}\n";

fn clone(remote: &Remote, url: &str, agent: &str) -> Project {
    with_settings(remote.clone_with(&[]), agent, LEASE).env("AUTOPACK_DATABASE_URL", url)
}

fn import(project: &Project, phases: usize) {
    let phase =
        |n: usize| json!({"phase_id": format!("p{n:03}"), "deliverables": [format!("d{n}/a.txt")]});
    let plan = json!({"phases": (0..phases).map(phase).collect::<Vec<_>>()});
    let file = project.outside("plan.json");
    std::fs::write(&file, plan.to_string()).unwrap();
    project.autopack(["import", file.to_str().unwrap(), "--run-id", "run"]).succeeded();
}

fn two_clones_drain(remote: &Remote) {
    let Some(database) = database() else { return };
    let clones = [(); 2].map(|()| clone(remote, &database.url(), AGENT));
    import(&clones[0], 10);
    let drains =
        clones.each_ref().map(|clone| clone.spawn(["drain", "--run-id", "run", "--jobs", "2"]));
    for (drain, clone) in drains.into_iter().zip(&clones) {
        clone.wait(drain).succeeded();
    }
    remote.assert_each_landed_once(&clones[1], 10);
}

#[test]
fn clones_share_a_run_over_a_path() {
    two_clones_drain(&Remote::by_file());
}

#[test]
fn clones_share_a_run_over_http() {
    two_clones_drain(&Remote::by_http());
}

/// The server is killed three times while two clones drain.
#[test]
fn a_server_killed_again_and_again_costs_no_attempt() {
    let Some(server) = own_server() else { return };
    let database = Database::at(&server.url());
    let remote = Remote::by_file();
    let clones = [(); 2].map(|()| clone(&remote, &database.url(), AGENT));
    import(&clones[0], 12);
    let drains = clones.each_ref().map(|clone| clone.spawn(["drain", "--run-id", "run"]));
    for landed in [1, 4, 7] {
        while landings(&remote) < landed {
            std::thread::sleep(Duration::from_millis(10));
        }
        server.kill();
        server.start();
    }
    for (drain, clone) in drains.into_iter().zip(&clones) {
        clone.wait(drain).succeeded();
    }
    remote.assert_each_landed_once(&clones[0], 12);
}

fn landings(remote: &Remote) -> usize {
    let exists = remote.git(&["for-each-ref", "refs/heads/autopack/run"]);
    if exists.is_empty() { 0 } else { remote.landed().len() }
}

/// A drain is cut off from the database while its agent works. The other takes over its phase; the first comes back, and its work
/// does not land.
#[test]
fn a_drain_without_the_database_for_longer_than_its_lease_lands_nothing() {
    let Some(database) = database() else { return };
    let remote = Remote::by_file();
    let link = Link::to(database.port());
    let agent = "(workspace.parent / 'witness').mkdir(exist_ok=True)\nw = workspace.parent / 'witness'\n\
                 (w / 'came').write_text(phase_id)\n\
                 while not (w / 'go').exists(): time.sleep(0.01)\nwrite_deliverables('cut off\\n')";
    let cut = clone(&remote, &database.url_at(link.port()), agent);
    let other = clone(&remote, &database.url(), AGENT);
    import(&cut, 2);
    let cut_drain = cut.spawn(["drain", "--run-id", "run"]);
    wait_for(&cut.outside("came"));
    link.cut(Outage::Refused);
    let other_drain = other.spawn(["drain", "--run-id", "run"]);
    while landings(&remote) < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::write(cut.outside("go"), "").unwrap();
    link.mend();
    other.wait(other_drain).succeeded();
    cut.wait(cut_drain).succeeded();
    remote.assert_each_landed_once(&other, 2);
    let files = remote.git(&["show", "autopack/run:d0/a.txt", "autopack/run:d1/a.txt"]);
    assert_eq!(files, "made by the agent\nmade by the agent\n");
}
