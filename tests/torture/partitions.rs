//! One of two hosts loses the database, the remote, or both, at a chosen moment and for longer than its lease. The other
//! host goes on. Each phase lands once, and no attempt is counted for the outage.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::fleet::{Fleet, Host};
use super::sizes::{size, summary};
use crate::recovery::with_git;
use crate::support::clones::{Remote, wait_for};
use crate::support::dice::Dice;
use crate::support::link::{Link, Outage, Passage, Watch};
use crate::support::postgres::{OwnServer, WriteTransaction, own_server};

/// Trials run at once, since they mostly wait.
const AT_ONCE: usize = 6;
const PHASES: u64 = 6;
const LEASE: &str = "executor: {lease_seconds: 2}\n";

/// Step of an attempt at which the outage begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The push of the claim.
    Claim,
    Agent,
    /// The push of the commit in the merge queue.
    Queue,
    /// The landing is at the server, and the server has not answered.
    PushSent,
    /// The landing's answer is here, and nothing is recorded.
    PushAnswered,
    /// The transaction that records the landing.
    Finish,
}

const MOMENTS: [Moment; 6] = [
    Moment::Claim,
    Moment::Agent,
    Moment::Queue,
    Moment::PushSent,
    Moment::PushAnswered,
    Moment::Finish,
];

/// Which servers are out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Servers {
    Database,
    Remote,
    Both,
}

const SERVERS: [Servers; 3] = [Servers::Database, Servers::Remote, Servers::Both];

#[derive(Clone, Debug)]
struct Trial {
    seed: u64,
    moment: Moment,
    servers: Servers,
    outage: Outage,
    /// Before or after the step itself.
    is_before: bool,
    /// The step goes on while the network is cut, instead of after that.
    goes_on_cut: bool,
    /// How often the step happened when the outage begins.
    nth: u64,
    milliseconds: u64,
}

impl Trial {
    /// Twelve successive seeds have each moment twice, with different servers.
    fn of(seed: u64) -> Self {
        let mut dice = Dice::of(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let cycle = usize::try_from(seed % 18).unwrap();
        Self {
            seed,
            moment: MOMENTS[cycle % 6],
            servers: SERVERS[(cycle + cycle / 6) % 3],
            outage: *dice.pick(&[Outage::Refused, Outage::Silent]),
            is_before: dice.below(2) == 0,
            goes_on_cut: dice.below(3) > 0,
            nth: 1 + dice.below(3),
            milliseconds: 2_500 + dice.below(2_000),
        }
    }
}

#[test]
fn a_host_cut_off_at_any_moment_loses_and_doubles_nothing() {
    let Some(server) = own_server() else { return };
    let first = Dice::thrown().seed();
    let trials: Vec<Trial> =
        (0..size("PARTITIONS", 12, 200)).map(|n| Trial::of(first.wrapping_add(n))).collect();
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    if catch_unwind(AssertUnwindSafe(|| partition(&server, trial))).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        eprintln!(
                            "failed: {trial:?}; AUTOPACK_TEST_SEED={} AUTOPACK_TORTURE_PARTITIONS=1 repeats it",
                            trial.seed
                        );
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0, "trials failed: see above");
    let text = format!(
        "{} partitions of a host from the database, the remote or both, at claim, agent, queue, push and finish: {PHASES} \
         phases each, each landed once with one counted attempt",
        trials.len()
    );
    summary("partitions past the lease", first, &text);
}

fn partition(server: &OwnServer, trial: &Trial) {
    println!("{trial:?}");
    let fleet = Fleet::new(server, Remote::by_http());
    let moment = fleet.remote.beside("moment");
    std::fs::create_dir(&moment).unwrap();
    std::fs::write(moment.join("nth"), trial.nth.to_string()).unwrap();
    let remote = Link::to(fleet.remote.server().port());
    let database = Link::watched(fleet.database.port(), watch(trial.clone(), moment.clone()));
    let cut = cut_host(&fleet, trial, &moment, &remote, &database);
    // The other host leaves work to the first one until the outage begins.
    let wait = format!(
        "while [ -d '{0}' ] && [ ! -e '{0}/reached' ]; do sleep 0.01; done\ndeliver",
        moment.display()
    );
    let other = fleet.import(fleet.host(&wait, LEASE), PHASES);
    let drains = [&other, &cut].map(|host| host.start(host.drain(1), "drain"));
    let [mut other_drain, mut cut_drain] = drains;
    let reached = moment.join("reached");
    assert!(
        cut_drain.wait_until(|| reached.exists()),
        "the moment did not come: {}\n{}",
        cut_drain.output(),
        other_drain.output()
    );
    let links: &[&Link] = match trial.servers {
        Servers::Database => &[&database],
        Servers::Remote => &[&remote],
        Servers::Both => &[&database, &remote],
    };
    links.iter().for_each(|link| link.cut(trial.outage));
    if trial.goes_on_cut {
        std::fs::write(moment.join("go"), "").unwrap();
    }
    // An outage has a duration.
    std::thread::sleep(Duration::from_millis(trial.milliseconds));
    links.iter().for_each(|link| link.mend());
    std::fs::write(moment.join("go"), "").unwrap();
    for drain in [&mut other_drain, &mut cut_drain] {
        while !drain.is_over() {
            drain.wait_until(|| false);
        }
    }
    other_drain.wait().exited(0);
    cut_drain.wait().exited(0);
    fleet.check(&[&cut, &other], PHASES, |history| {
        // The other host may take over a phase whose agent still works.
        history.doubles.clear();
    });
}

/// Waits at the moment until there is a file `go`.
fn hold(moment: &Path) -> String {
    format!(
        r#"
moment='{}'
hold() {{
  n=1
  while ! mkdir "$moment/$n" 2>/dev/null; do
    [ -d "$moment" ] || return 0
    n=$((n + 1))
  done
  [ "$n" = "$(cat "$moment/nth")" ] || return 0
  : >"$moment/reached"
  while [ -d "$moment" ] && [ ! -e "$moment/go" ]; do sleep 0.01; done
}}"#,
        moment.display()
    )
}

/// The host that is cut off, which stops at the moment.
fn cut_host(fleet: &Fleet, trial: &Trial, moment: &Path, remote: &Link, database: &Link) -> Host {
    let hold = hold(moment);
    let agent = match (trial.moment, trial.is_before) {
        (Moment::Agent, true) => format!("{hold}\nhold\ndeliver"),
        (Moment::Agent, false) => format!("{hold}\ndeliver\nhold"),
        _ => "deliver".to_owned(),
    };
    let mut host = fleet.host(&agent, LEASE);
    fleet.remote.lead_through(&host.project, remote.address());
    host.see_user();
    let push = match trial.moment {
        Moment::Claim => "claim",
        Moment::Queue => "queue",
        Moment::PushAnswered => "land",
        Moment::Agent | Moment::PushSent | Moment::Finish => "none",
    };
    let step = match (trial.moment, trial.is_before) {
        (Moment::Claim | Moment::Queue, true) => "hold",
        _ => "real \"$@\"; code=$?; hold; exit $code",
    };
    let meddling = format!(
        r#"{hold}
push=
case "$sub $*" in
  "push "*":refs/heads/autopack/run :refs/autopack/claims/run/"*) push=land ;;
  "push "*[0-9a-f]":refs/autopack/claims/run/"*) push=claim ;;
  "push "*[0-9a-f]":refs/autopack/queue/run/"*) push=queue ;;
esac
if [ "$push" = {push} ]; then {step}; fi"#
    );
    if trial.moment == Moment::PushSent {
        let name = if trial.is_before { "pre-receive" } else { "post-receive" };
        let script = format!(
            "{hold}\ncase \"$(cat)\" in *refs/autopack/claims/*refs/heads/autopack/run*|\
             *refs/heads/autopack/run*refs/autopack/claims/*) hold ;; esac"
        );
        fleet.remote.hook(name, &script);
    }
    let project = with_git(host.project, &meddling);
    let mut url = fleet.database.url_on(database.address());
    if trial.moment == Moment::Finish {
        // The text of a prepared statement is sent once.
        url += "?statement-cache-capacity=0";
    }
    host.project = project.env("AUTOPACK_DATABASE_URL", url);
    host
}

/// Stops at the commit of a transaction that records the end of an attempt.
fn watch(trial: Trial, moment: PathBuf) -> impl Fn() -> Watch + Send + Sync {
    let finishes = Arc::new(AtomicU64::new(0));
    move || {
        let (trial, moment, finishes) = (trial.clone(), moment.clone(), Arc::clone(&finishes));
        let mut transaction = WriteTransaction::default();
        Box::new(move |sent| {
            let text = transaction.commit(sent).unwrap_or_default();
            if trial.moment != Moment::Finish
                || !text.contains("UPDATE attempts SET ended_at")
                || finishes.fetch_add(1, Ordering::SeqCst) + 1 != trial.nth
            {
                return Passage::Pass;
            }
            std::fs::write(moment.join("reached"), "").unwrap();
            wait_for(&moment.join("go"));
            match trial.is_before {
                true => Passage::Pass,
                false => Passage::BreakAfter,
            }
        })
    }
}
