//! Reads processes through /proc: parents, processor time of a tree, environment marks; and kills process
//! trees faster than they can fork.
//!
//! Outside of Linux, every query returns an empty result.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Rounds in which a forking tree is frozen before the caught processes are killed.
const FREEZE_ROUNDS: usize = 10;
/// USER_HZ, fixed at 100 by the kernel for user space.
const MS_PER_TICK: u64 = 10;
/// Polls of a sweep for the end of killed processes.
const GONE_LOOKS: usize = 500;
/// A snapshot may miss a process that appeared and vanished meanwhile. This many snapshots in a row must be
/// empty, and more of them after a kill, which suggests a process of this kind.
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
    /// Of the process and of the children that the process has waited for.
    ticks: u64,
}

/// Living processes, and the groups that contain no other processes.
#[derive(Debug, Default)]
pub(super) struct LiveProcesses {
    pids: BTreeSet<i32>,
    groups: BTreeSet<i32>,
}

impl LiveProcesses {
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

    /// Processes that are gone, or that autopack may not signal, cause no error. A group receives a single
    /// signal, so that no member escapes by forking.
    pub fn signal(&self, signal: Signal) {
        for group in &self.groups {
            let _ = killpg(Pid::from_raw(*group), signal);
        }
        for pid in &self.pids {
            let _ = kill(Pid::from_raw(*pid), signal);
        }
    }
}

/// Signals a process group whose leader is not yet reaped, so that the id cannot belong to another group.
pub(super) fn kill_group(leader: u32, signal: Signal) {
    if let Ok(leader) = i32::try_from(leader) {
        // The group may be gone already.
        let _ = killpg(Pid::from_raw(leader), signal);
    }
}

/// Returns all processes under `root`, without `root`.
pub(super) fn below(root: Pid) -> LiveProcesses {
    let processes = all();
    let chosen = tree(&processes, root.as_raw()).iter().map(|p| p.pid).collect();
    LiveProcesses::among(&processes, &chosen)
}

/// Returns the direct children of this process: a single small read, where [`below`] takes hundreds.
pub(super) fn own_children() -> Vec<i32> {
    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Returns the processor time of `root` and all processes under `root`. Of `idler`, a process and a text, this process and
/// those under it with the text in their names do not count. The value falls when a process ends and takes its own time
/// along, so treat any change as a sign of life.
pub(super) fn cpu_ms(root: i32, idler: Option<(i32, &str)>) -> u64 {
    // One look for both sums: a program at work between two looks would seem to be others' work.
    let processes = all();
    let excluded = idler.map(|(leader, name)| named_below(&processes, leader, name));
    let excluded = excluded.unwrap_or_default();
    let counted = std::iter::once(root).chain(tree(&processes, root).into_iter().map(|p| p.pid));
    let counted: BTreeSet<i32> = counted.filter(|pid| !excluded.contains(pid)).collect();
    let ticks = processes.iter().filter(|p| counted.contains(&p.pid)).map(|p| p.ticks);
    ticks.sum::<u64>() * MS_PER_TICK
}

/// Returns `leader`, and the processes under it with `name` in their names.
fn named_below(processes: &[Process], leader: i32, name: &str) -> BTreeSet<i32> {
    let is_named = |pid: i32| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        comm.contains(name)
    };
    let below = tree(processes, leader).into_iter().map(|p| p.pid);
    below.filter(|pid| is_named(*pid)).chain([leader]).collect()
}

/// Stops the processes returned by `find` until no new process appears, then kills them all: a stopped
/// process cannot fork away. Returns the killed processes.
pub(super) fn freeze_and_kill(find: impl Fn() -> LiveProcesses) -> BTreeSet<i32> {
    let mut frozen = LiveProcesses::default();
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

/// Kills the rest of a session after the end of the supervisor.
pub(super) fn kill_session(session: i32) {
    freeze_and_kill(|| {
        let processes = all();
        let chosen = processes.iter().filter(|p| p.session == session).map(|p| p.pid).collect();
        LiveProcesses::among(&processes, &chosen)
    });
}

/// Kills every process started with `name=value` in the environment, and all processes under them: the
/// remains of a dead drain. Waits for their end and returns their number. Never touches this process or its
/// ancestors.
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

/// Finds marked processes and stops them on sight: a process that keeps forking and exiting has moved on
/// after the snapshot.
fn marked(mark: &[u8]) -> LiveProcesses {
    let spared = ancestors(std::process::id().cast_signed());
    let (mut processes, mut roots) = (Vec::new(), Vec::new());
    // Newest first: a process that keeps forking and exiting is last in the list, and gone before the scan
    // reaches its entry.
    let mut newest_first: Vec<i32> = pids().collect();
    newest_first.reverse();
    for pid in newest_first {
        // A process that ends meanwhile must not count as a foreign process in its group.
        let Some(has_mark) = has_mark(pid, mark) else { continue };
        if has_mark && !spared.contains(&pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
            roots.push(pid);
        }
        processes.extend(process(pid));
    }
    let below = roots.iter().flat_map(|root| tree(&processes, *root)).map(|p| p.pid);
    let chosen: BTreeSet<i32> = below.chain(roots.iter().copied()).collect();
    // A marked process may be an ancestor of this process: a drain started by an agent.
    LiveProcesses::among(&processes, &chosen.difference(&spared).copied().collect())
}

/// Returns `None` for a process that is gone or ending.
fn has_mark(pid: i32, mark: &[u8]) -> Option<bool> {
    match fs::read(format!("/proc/{pid}/environ")) {
        Ok(environ) if environ.is_empty() => None,
        Ok(environ) => Some(environ.split(|b| *b == 0).any(|entry| entry == mark)),
        Err(error) => (error.kind() == io::ErrorKind::PermissionDenied).then_some(false),
    }
}

/// `pid`, the parent, and so on.
fn ancestors(pid: i32) -> BTreeSet<i32> {
    let mut pids = BTreeSet::new();
    let mut at = Some(pid);
    while let Some(pid) = at.filter(|pid| pids.insert(*pid)) {
        at = process(pid).map(|p| p.parent);
    }
    pids
}

fn tree(processes: &[Process], root: i32) -> Vec<Process> {
    let children = children_of(processes);
    let mut descendants: Vec<Process> = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            descendants.push(*child);
            open.push(child.pid);
        }
    }
    descendants
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

/// Parses proc_pid_stat(5). The second field is the program's name in brackets and may contain any character.
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

    #[test]
    fn this_process_is_below_its_parent_and_uses_time() {
        let me = std::process::id() as i32;
        assert!(below(nix::unistd::getppid()).pids.contains(&me));
        assert!(!below(Pid::this()).pids.contains(&me));
        assert!(ancestors(me).contains(&nix::unistd::getppid().as_raw()));
    }

    #[test]
    fn work_of_an_excluded_program_never_counts() {
        let mut command = std::process::Command::new("sh");
        let mut child = command.args(["-c", "while :; do :; done"]).spawn().unwrap();
        let busy = child.id().cast_signed();
        let counted: u64 = (0..200).map(|_| cpu_ms(busy, Some((busy, "sh")))).sum();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(counted, 0);
    }

    #[test]
    fn only_groups_without_other_processes_are_signalled_as_one() {
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
        assert_eq!(LiveProcesses::among(&processes, &below).groups, BTreeSet::from([3]));
    }

    #[test]
    fn work_of_a_grandchild_in_its_own_session_counts() {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "setsid sh -c 'while :; do :; done' & wait"]);
        let mut child = command.spawn().unwrap();
        let root = child.id().cast_signed();
        let works = (0..6000).any(|_| {
            std::thread::sleep(BETWEEN_LOOKS * 5);
            cpu_ms(root, None) >= 50
        });
        freeze_and_kill(|| below(Pid::from_raw(root)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(works);
    }
}
