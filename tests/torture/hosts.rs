//! Three hosts in network namespaces, with clocks hours apart, drain a run from one Postgres server and one remote.

use super::fleet::{Fleet, Host};
use super::networks::Network;
use super::sizes::{jobs, size, summary};
use crate::support::clones::{Remote, Transport};
use crate::support::link::{Link, Passage};
use crate::support::postgres::own_server;

const HOUR: i64 = 3600;
const CLOCKS: [i64; 3] = [5 * HOUR, -7 * HOUR, 26 * HOUR];

#[test]
fn hosts_with_other_clocks_land_each_phase_once_over_a_path() {
    drain(Remote::by_file(), "file");
}

#[test]
fn hosts_with_other_clocks_land_each_phase_once_over_http() {
    drain(Remote::by_http(), "git http-backend");
}

fn drain(remote: Remote, way: &str) {
    let Some(network) = Network::with_clocks(&CLOCKS) else { return };
    let Some(server) = own_server() else { return };
    let (phases, jobs) = (size("HOST_PHASES", 60, 1_000), jobs(4));
    let fleet = Fleet::new(&server, remote);
    let link = |port| Link::listening(network.address.into(), port, || Box::new(|_| Passage::Pass));
    let database = link(fleet.database.port());
    let git = match &fleet.remote.transport {
        Transport::File => None,
        Transport::Http(server) => Some(link(server.port())),
    };
    let host = |_| {
        let mut host = fleet.host("deliver", "");
        if let Some(git) = &git {
            fleet.remote.lead_through(&host.project, git.address());
            host.see_user();
        }
        let url = fleet.database.url_on(database.address());
        host.project = host.project.env("AUTOPACK_DATABASE_URL", url);
        host
    };
    let [first, second, third] = [0, 1, 2].map(host);
    let hosts = [fleet.import(first, phases), second, third];
    let started = std::time::Instant::now();
    let drains: Vec<_> = hosts
        .iter()
        .zip(&network.hosts)
        .map(|(host, place)| host.start(place.command(&host.drain(jobs)), "drain"))
        .collect();
    for mut drain in drains {
        while !drain.is_over() {
            drain.wait_patiently(|| false);
        }
        drain.wait().exited(0);
    }
    let seconds = started.elapsed().as_secs();
    let hosts: Vec<&Host> = hosts.iter().collect();
    // Times of attempts on different hosts cannot be compared.
    fleet.check(&hosts, phases, |history| history.steady_clock = false);
    assert_eq!(fleet.host_names(), network.names());
    assert!(fleet.span_of_dates() > 24 * HOUR, "a clock was not shifted");
    let text = format!(
        "3 network namespaces with clocks up to 33 hours apart, jobs {jobs} each, {way} remote: {phases} phases in {seconds} s, \
         each landed once"
    );
    summary("several hosts", 0, &text);
}
