//! Looking at processes through /proc: who descends from whom, how much processor time a tree has
//! used, who bears a mark; and killing what was found faster than it can fork.
//!
//! Elsewhere than on Linux there is nothing to see, and every look comes back empty.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// How often a tree that forks on is frozen again before what was caught is killed.
const FREEZE_ROUNDS: usize = 10;
/// USER_HZ, which the kernel fixes at 100 for what it tells user space.
const MS_PER_TICK: u64 = 10;
/// How long a sweep waits for what it killed to be gone.
const GONE_LOOKS: usize = 500;
/// One look may miss a process that came and went while it was under way: so many looks in a row
/// must find nothing, and many more where something was found that may be of that kind.
const QUIET_LOOKS: usize = 3;
const QUIET_LOOKS_AFTER_A_KILL: usize = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

#[derive(Clone, Copy, Debug)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    zombie: bool,
    /// Of itself and of the children that it has waited for.
    ticks: u64,
}

/// Processes that live, and those groups that hold nobody else.
#[derive(Debug, Default)]
pub(super) struct Found {
    pids: BTreeSet<i32>,
    groups: BTreeSet<i32>,
}

impl Found {
    fn among(processes: &[Process], chosen: &BTreeSet<i32>) -> Self {
        let (ours, others): (Vec<&Process>, Vec<&Process>) =
            processes.iter().filter(|p| !p.zombie).partition(|p| chosen.contains(&p.pid));
        let shared: BTreeSet<i32> = others.iter().map(|p| p.group).collect();
        let groups = ours.iter().map(|p| p.group).filter(|group| !shared.contains(group));
        Self { pids: ours.iter().map(|p| p.pid).collect(), groups: groups.collect() }
    }

    pub fn pids(&self) -> &BTreeSet<i32> {
        &self.pids
    }

    /// One that is gone already, or that is not ours to signal, is no error. A group is signalled
    /// as one, so that nobody escapes by forking within it.
    pub fn signal(&self, signal: Signal) {
        for group in &self.groups {
            let _ = killpg(Pid::from_raw(*group), signal);
        }
        for pid in &self.pids {
            let _ = kill(Pid::from_raw(*pid), signal);
        }
    }
}

/// Every process that runs beneath `root`, without itself.
pub(super) fn below(root: Pid) -> Found {
    let processes = all();
    let chosen = tree(&processes, root.as_raw()).iter().map(|p| p.pid).collect();
    Found::among(&processes, &chosen)
}

/// The direct children of this process: one small read, where [`below`] takes hundreds.
pub(super) fn own_children() -> Vec<i32> {
    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Processor time of `root` and everything beneath it. It falls where a process takes its own with
/// it, so take any change for a sign of life.
pub(super) fn cpu_ms(root: i32) -> u64 {
    let own = process(root).map_or(0, |p| p.ticks);
    (own + tree(&all(), root).iter().map(|p| p.ticks).sum::<u64>()) * MS_PER_TICK
}

/// Processor time of `leader` itself and of those beneath it that bear `name` in theirs, with what they waited for.
pub(super) fn own_cpu_ms(leader: i32, name: &str) -> u64 {
    let bears = |pid: i32| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        comm.contains(name)
    };
    let own = process(leader).map_or(0, |p| p.ticks);
    let named = tree(&all(), leader).into_iter().filter(|p| bears(p.pid));
    (own + named.map(|p| p.ticks).sum::<u64>()) * MS_PER_TICK
}

/// Stops what `find` finds until it finds no other, then kills it all: a process that is stopped
/// cannot fork away from its killer. Gives back who was killed.
pub(super) fn freeze_and_kill(find: impl Fn() -> Found) -> BTreeSet<i32> {
    let mut frozen = Found::default();
    for _ in 0..FREEZE_ROUNDS {
        let found = find();
        if found.pids.is_subset(&frozen.pids) {
            break;
        }
        found.signal(Signal::SIGSTOP);
        frozen.pids.extend(found.pids);
        frozen.groups.extend(found.groups);
    }
    frozen.signal(Signal::SIGKILL);
    frozen.pids
}

/// Kills what is left of a session, for when its supervisor is gone.
pub(super) fn kill_session(session: i32) {
    freeze_and_kill(|| {
        let processes = all();
        let chosen = processes.iter().filter(|p| p.session == session).map(|p| p.pid).collect();
        Found::among(&processes, &chosen)
    });
}

/// Kills every process that was started with `name=value` in its environment, and all beneath them:
/// what a dead drain left behind. Waits until they are gone and gives back how many there were. Never
/// touches this process or those that it descends from.
pub fn sweep_marked(name: &str, value: &str) -> usize {
    let mark = format!("{name}={value}").into_bytes();
    let mut killed = BTreeSet::new();
    let (mut quiet, mut enough) = (0, QUIET_LOOKS);
    for _ in 0..GONE_LOOKS {
        let found = freeze_and_kill(|| marked(&mark));
        if found.is_empty() {
            quiet += 1;
        } else {
            (quiet, enough) = (0, QUIET_LOOKS_AFTER_A_KILL);
        }
        if quiet == enough {
            break;
        }
        killed.extend(found);
        std::thread::sleep(BETWEEN_LOOKS);
    }
    killed.len()
}

/// Stops who is marked on sight: one that forks and exits for ever is elsewhere after the look.
fn marked(mark: &[u8]) -> Found {
    let spared = ancestors(std::process::id().cast_signed());
    let (mut processes, mut roots) = (Vec::new(), Vec::new());
    // The newest first: one that forks and exits for ever is the last of the list, and gone before its turn.
    let mut newest_first: Vec<i32> = pids().collect();
    newest_first.reverse();
    for pid in newest_first {
        // Who ends meanwhile must not count as a stranger in its group.
        let Some(bears) = bears(pid, mark) else { continue };
        if bears && !spared.contains(&pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
            roots.push(pid);
        }
        processes.extend(process(pid));
    }
    let below = roots.iter().flat_map(|root| tree(&processes, *root)).map(|p| p.pid);
    let chosen: BTreeSet<i32> = below.chain(roots.iter().copied()).collect();
    // Beneath a marked process may be this one: a drain that an agent started.
    Found::among(&processes, &chosen.difference(&spared).copied().collect())
}

/// `None` where it is gone, or going.
fn bears(pid: i32, mark: &[u8]) -> Option<bool> {
    match fs::read(format!("/proc/{pid}/environ")) {
        Ok(environ) if environ.is_empty() => None,
        Ok(environ) => Some(environ.split(|b| *b == 0).any(|entry| entry == mark)),
        Err(error) => (error.kind() == io::ErrorKind::PermissionDenied).then_some(false),
    }
}

/// `pid`, its parent, and so on.
fn ancestors(pid: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut at = Some(pid);
    while let Some(pid) = at.filter(|pid| found.insert(*pid)) {
        at = process(pid).map(|p| p.parent);
    }
    found
}

fn tree(processes: &[Process], root: i32) -> Vec<Process> {
    let children = children_of(processes);
    let mut found: Vec<Process> = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            found.push(*child);
            open.push(child.pid);
        }
    }
    found
}

fn children_of(processes: &[Process]) -> HashMap<i32, Vec<Process>> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(*process);
    }
    children
}

fn all() -> Vec<Process> {
    pids().filter_map(process).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn process(pid: i32) -> Option<Process> {
    parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// proc_pid_stat(5). The second field is the program's name in brackets, which may hold anything.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let name_end = stat.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_mislead() {
        let stat = b"42 (a) S 1 (x)) Z 7 8 9 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 5";
        let process = parse(42, stat).unwrap();
        assert_eq!((process.parent, process.session, process.zombie), (7, 9, true));
        assert_eq!(process.ticks, 10);
        assert!(parse(1, b"").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_below_its_parent_and_uses_time() {
        let me = std::process::id() as i32;
        assert!(below(nix::unistd::getppid()).pids.contains(&me));
        assert!(!below(Pid::this()).pids.contains(&me));
        assert!(ancestors(me).contains(&nix::unistd::getppid().as_raw()));
    }

    #[test]
    fn only_groups_without_strangers_are_signalled_as_one() {
        let at = |pid, parent, group| Process {
            pid,
            parent,
            group,
            session: 1,
            zombie: false,
            ticks: 0,
        };
        let processes = [at(1, 0, 1), at(2, 1, 1), at(3, 2, 3), at(4, 2, 3), at(5, 9, 5)];
        let below: BTreeSet<i32> = tree(&processes, 1).iter().map(|p| p.pid).collect();
        assert_eq!(below, BTreeSet::from([2, 3, 4]));
        assert_eq!(Found::among(&processes, &below).groups, BTreeSet::from([3]));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_of_a_grandchild_in_its_own_session_counts() {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "setsid sh -c 'while :; do :; done' & wait"]);
        let mut child = command.spawn().unwrap();
        let root = child.id().cast_signed();
        let works = (0..6000).any(|_| {
            std::thread::sleep(BETWEEN_LOOKS * 5);
            cpu_ms(root) >= 50
        });
        freeze_and_kill(|| below(Pid::from_raw(root)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(works);
    }
}
