//! Looking at processes through /proc: who descends from whom, how much processor time a tree has
//! used, who bears a mark.
//!
//! Elsewhere than on Linux there is nothing to see, and every look comes back empty.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often a tree that forks on is frozen again before what was caught is killed.
const FREEZE_ROUNDS: usize = 100;
/// USER_HZ, which the kernel fixes at 100 for what it tells user space.
const MS_PER_TICK: u64 = 10;
/// How long a sweep waits for what it killed to be gone: 500 looks, 10 ms apart.
const GONE_LOOKS: usize = 500;

#[derive(Clone, Copy, Debug)]
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    zombie: bool,
    /// Of itself and of the children that it has waited for.
    ticks: u64,
}

/// Every process that runs beneath `root`, without itself.
pub(super) fn below(root: Pid) -> BTreeSet<i32> {
    tree(root.as_raw()).into_iter().filter(|p| !p.zombie).map(|p| p.pid).collect()
}

/// Processor time of `root` and everything beneath it. It falls where a process takes its own with
/// it, so take any change for a sign of life.
pub(super) fn cpu_ms(root: i32) -> u64 {
    let own = process(root).map_or(0, |p| p.ticks);
    (own + tree(root).iter().map(|p| p.ticks).sum::<u64>()) * MS_PER_TICK
}

/// Stops every process that `find` names until it finds no other, then kills them all: a process
/// that is stopped cannot fork away from its killer. Gives back who was killed.
pub(super) fn freeze_and_kill(find: impl Fn() -> BTreeSet<i32>) -> BTreeSet<i32> {
    let mut frozen = BTreeSet::new();
    for _ in 0..FREEZE_ROUNDS {
        let fresh: Vec<i32> = find().difference(&frozen).copied().collect();
        if fresh.is_empty() {
            break;
        }
        signal(&fresh, Signal::SIGSTOP);
        frozen.extend(fresh);
    }
    signal(&frozen, Signal::SIGKILL);
    frozen
}

/// A process that is gone already, or that is not ours to signal, is no error.
pub(super) fn signal<'a>(pids: impl IntoIterator<Item = &'a i32>, signal: Signal) {
    for pid in pids {
        let _ = kill(Pid::from_raw(*pid), signal);
    }
}

/// Kills what is left of a session, for when its supervisor is gone.
pub(super) fn kill_session(session: i32) {
    freeze_and_kill(|| {
        all().into_iter().filter(|p| p.session == session && !p.zombie).map(|p| p.pid).collect()
    });
}

/// Kills every process that was started with `name=value` in its environment, and all beneath them:
/// what a dead drain left behind. Waits until they are gone and gives back how many there were. Never
/// touches this process or those that it descends from.
pub fn sweep_marked(name: &str, value: &str) -> usize {
    let mark = format!("{name}={value}").into_bytes();
    let mut killed = BTreeSet::new();
    for _ in 0..GONE_LOOKS {
        let found = freeze_and_kill(|| marked(&mark));
        if found.is_empty() {
            break;
        }
        killed.extend(found);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    killed.len()
}

fn marked(mark: &[u8]) -> BTreeSet<i32> {
    let processes = all();
    let spared = ancestors(&processes, std::process::id() as i32);
    let roots: Vec<i32> = processes.iter().map(|p| p.pid).filter(|pid| bears(*pid, mark)).collect();
    let children = children_of(&processes);
    let mut found = BTreeSet::new();
    let mut open = roots;
    while let Some(pid) = open.pop() {
        if !spared.contains(&pid) && found.insert(pid) {
            open.extend(children.get(&pid).into_iter().flatten().map(|p| p.pid));
        }
    }
    found.retain(|pid| processes.iter().any(|p| p.pid == *pid && !p.zombie));
    found
}

fn bears(pid: i32, mark: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|b| *b == 0).any(|entry| entry == mark))
}

fn ancestors(processes: &[Process], of: i32) -> BTreeSet<i32> {
    let parents: HashMap<i32, i32> = processes.iter().map(|p| (p.pid, p.parent)).collect();
    let mut found = BTreeSet::new();
    let mut at = Some(of);
    while let Some(pid) = at.filter(|pid| found.insert(*pid)) {
        at = parents.get(&pid).copied();
    }
    found
}

fn tree(root: i32) -> Vec<Process> {
    let processes = all();
    let children = children_of(&processes);
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
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
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
        assert!(below(nix::unistd::getppid()).contains(&me));
        assert!(!below(Pid::this()).contains(&me));
        assert!(bears(me, b"PATH=x").eq(&false));
    }
}
