//! While hosts drain a run at a remote: hosts and the database server are killed again and again, or the remote refuses
//! pushes.

use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use super::drains::Running;
use super::fleet::{Fleet, Host};
use super::sizes::{is_long, jobs, size, summary};
use crate::support::clones::Remote;
use crate::support::dice::Dice;
use crate::support::postgres::own_server;

/// Between two kills in the long form.
const PAUSE: Duration = Duration::from_secs(20);

#[test]
fn killed_hosts_and_a_killed_server_lose_and_double_nothing() {
    let Some(server) = own_server() else { return };
    let mut dice = Dice::thrown();
    let seed = dice.seed();
    let (kills, phases, jobs) = (size("OUTAGES", 4, 20), size("OUTAGE_PHASES", 18, 1500), jobs(2));
    let fleet = Fleet::new(&server, Remote::by_file());
    let lease = "executor: {lease_seconds: 2}\n";
    let host = |_| fleet.host("deliver", lease);
    let [first, second] = [0, 1].map(host);
    let hosts = [fleet.import(first, phases), second];
    let mut drains = hosts.each_ref().map(|host| start(host, jobs, 0));
    let (mut done, mut killed_hosts) = (0, 0);
    while done < kills {
        let enough = phases * done / (kills + 1) + 1;
        if is_long() {
            std::thread::sleep(PAUSE);
        } else {
            drains[0].wait_until(|| fleet.landed() >= enough || fleet.landed() == phases);
        }
        if fleet.landed() == phases {
            break;
        }
        done += 1;
        server.kill();
        server.start();
        if done % 2 == 0 {
            let one = usize::try_from(dice.below(2)).unwrap();
            let restarted = start(&hosts[one], jobs, done);
            let killed = std::mem::replace(&mut drains[one], restarted);
            killed_hosts += u64::from(killed.kill_group());
        }
    }
    for mut drain in drains {
        while !drain.is_over() {
            drain.wait_patiently(|| false);
        }
        drain.wait().exited(0);
    }
    assert!(done * 2 >= kills, "all landed after {done} kills");
    let hosts: Vec<&Host> = hosts.iter().collect();
    fleet.check(&hosts, phases, |_| {});
    let text = format!(
        "{done} kills of the server, {killed_hosts} of a host, {phases} phases, jobs {jobs} each: each phase landed once \
         with one counted attempt"
    );
    summary("killed hosts and a killed server", seed, &text);
}

#[test]
fn a_remote_that_refuses_pushes_costs_no_attempt() {
    let Some(server) = own_server() else { return };
    let (seconds, phases) = (size("REFUSED_SECONDS", 3, 60), 12);
    let fleet = Fleet::new(&server, Remote::by_file());
    fleet.remote.hook(
        "pre-receive",
        "[ -e \"$dir/refuse\" ] || exit 0\n: >\"$dir/refused\"; echo maintenance >&2; exit 1",
    );
    let [refuse, refused] = ["refuse", "refused"].map(|name| fleet.remote.beside(name));
    let [first, second] = [(); 2].map(|()| fleet.host("deliver", ""));
    let hosts = [fleet.import(first, phases), second];
    let mut drains = hosts.each_ref().map(|host| start(host, 2, 0));
    assert!(drains[0].wait_until(|| fleet.landed() > 0), "{}", drains[0].output());
    std::fs::write(&refuse, "").unwrap();
    assert!(drains[0].wait_until(|| refused.exists()), "{}", drains[0].output());
    // An outage has a duration.
    std::thread::sleep(Duration::from_secs(seconds));
    std::fs::remove_file(&refuse).unwrap();
    for drain in drains {
        drain.wait().exited(0);
    }
    let hosts: Vec<&Host> = hosts.iter().collect();
    fleet.check(&hosts, phases, |_| {});
    let text = format!(
        "{seconds} s, {phases} phases on 2 hosts: each landed once with one counted attempt"
    );
    summary("a remote that refuses pushes", 0, &text);
}

/// Starts a drain in a process group of its own.
fn start(host: &Host, jobs: u64, number: u64) -> Running {
    let mut command = host.drain(jobs);
    command.process_group(0);
    host.start(command, &format!("drain-{number}"))
}
