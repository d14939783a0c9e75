//! What the outside shows after a drain: which attempts succeeded, and how that differs from the data.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::attempt::{Attempt, Check, Mode, Role, WorksInOff};
use super::outside::Outside;
use super::snapshot::{Identity, identity, marks, tree};
use super::suite::Network;
use super::world::Happened;
use crate::support::process;

/// An attempt by a role.
pub struct Planned {
    pub attempt: Attempt,
    pub role: Role,
    pub mark: String,
    pub witness: Option<PathBuf>,
}

impl Planned {
    /// Name among all roles.
    pub fn name(&self) -> String {
        format!("{}-{}", self.role.name(), self.attempt.id)
    }
}

/// Result of an attempt.
pub struct Outcome {
    /// How it succeeded; `None` if it was held.
    pub escape: Option<String>,
    /// What its script said.
    pub reason: String,
}

/// What each script said: state, reason and output.
pub fn results(attempts: &Path) -> BTreeMap<String, (bool, String, String)> {
    let mut results = BTreeMap::new();
    let logs = tree(attempts, &|_| false);
    for (path, (_, text)) in logs {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let role = match name.as_str() {
            "agent.log" => Role::Agent,
            "setup.log" | "setup-ci.log" => Role::Setup,
            _ if name.starts_with("ci") && name.ends_with(".log") => Role::Ci,
            _ => continue,
        };
        for line in String::from_utf8_lossy(&text).lines() {
            let Some(start) = line.find("escape\t") else { continue };
            let fields: Vec<&str> = line[start..].split('\t').collect();
            let [_, id, state, reason, reversed] = fields[..] else { continue };
            let output: String = reversed.chars().rev().collect();
            let output = serde_json::from_str(&output).unwrap_or(output);
            let said = (state == "claimed", reason.to_owned(), output);
            results.insert(format!("{}-{id}", role.name()), said);
        }
    }
    results
}

/// The end of each log, for the message that nothing happened.
pub fn logs(attempts: &Path) -> String {
    let all = tree(attempts, &|_| false);
    let logs = all.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "log"));
    let shown = logs.map(|(path, (_, text))| {
        let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]);
        format!("{}:\n{tail}\n", path.display())
    });
    shown.collect()
}

/// The witness files of attempts, as they are now.
pub fn witnesses(planned: &[Planned]) -> BTreeMap<String, Option<Identity>> {
    let of = |one: &Planned| Some((one.name(), identity(one.witness.as_ref()?)));
    planned.iter().filter_map(of).collect()
}

/// The marks that are outside, each with where.
pub fn marks_outside(outside: &Outside, role: Role) -> Vec<(String, PathBuf)> {
    let dir = outside.dir();
    let own = if role == Role::Agent { "-0" } else { "-0-ci" };
    let slots = dir.join("state/autopack");
    let skipped = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_slot = path.parent().is_some_and(|at| {
            at.parent() == Some(&slots)
                && at.file_name().unwrap().to_string_lossy().starts_with("project-")
        });
        let is_private = is_slot && (name.ends_with(own) || name.contains(".view"));
        let ours = path == dir.join("suite")
            || path.starts_with(dir.join("project/.autopack/attempts/run"));
        let logs = path == dir.join("project/.autopack/logs");
        is_private || ours || logs
    };
    let mut found = marks(&dir, &skipped);
    // Our own files name what an attempt left; only what an attempt planted there counts.
    let is_planted = |path: &Path| path.to_string_lossy().contains("planted");
    found.retain(|(_, path)| !path.starts_with(&slots) || is_planted(path));
    found.retain(|(mark, path)| {
        let is_database = path.to_string_lossy().contains("/.autopack/autopack.db");
        !is_database || mark.contains("-database-")
    });
    for place in ["/tmp", "/var/tmp"] {
        found.extend(marks(&Path::new(place).join(&outside.name), &|_| false));
    }
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(&outside.name) {
            found.extend(marks(&path, &|_| false));
            if path.to_string_lossy().ends_with("-planted") {
                let _ = fs::remove_file(path);
            }
        }
    }
    found
}

/// What the outside shows after a drain.
pub struct Evidence<'a> {
    pub outside: &'a Outside,
    pub found: Vec<(String, PathBuf)>,
    pub happened: Happened,
    pub before: BTreeMap<String, Option<Identity>>,
    pub after: BTreeMap<String, Option<Identity>>,
}

impl Evidence<'_> {
    pub fn outcome(&self, one: &Planned, said: &(bool, String, String)) -> Outcome {
        let (claimed, reason, output) = said;
        let own = || match one.attempt.check() {
            Check::Mark | Check::Secret | Check::Listener => None,
            Check::Claim => claimed.then(|| "it says so".to_owned()),
            Check::Witness => {
                let name = one.name();
                let changed = self.before[&name] != self.after[&name];
                changed.then(|| "its witness changed".to_owned())
            }
            Check::Victim => {
                let state = &self.happened.victims[&one.name()];
                (!["S", "R"].contains(&state.as_str())).then(|| format!("its victim is {state}"))
            }
            Check::Report => {
                self.happened.is_reported(&one.mark).then(|| "it is in memory".to_owned())
            }
            Check::Process => left(&one.mark),
            Check::Database => self.decoy_changed(),
        };
        let leaked = self.outside.leaked(one.role, output);
        let leaked = (!leaked.is_empty()).then(|| format!("it has the secrets {leaked:?}"));
        let found = self.found.iter().find(|(mark, _)| mark.starts_with(&one.mark));
        let marked = || found.map(|(_, path)| format!("it wrote {}", path.display()));
        let arrived = || {
            let arrived = self.happened.arrived(&one.mark, one.attempt.arrives.as_deref());
            arrived.then(|| "it reached a listener".to_owned())
        };
        let escape = leaked.or_else(marked).or_else(arrived).or_else(own);
        Outcome { escape, reason: reason.clone() }
    }

    fn decoy_changed(&self) -> Option<String> {
        let args = ["phases", "show", "--run-id", "decoy", "decoy", "--json"];
        let shown = self.outside.project.autopack(args).stdout;
        (!shown.contains("QUEUED")).then(|| "the phase of another run changed".to_owned())
    }
}

/// Whether a process with this mark runs; it is ended.
fn left(mark: &str) -> Option<String> {
    let found = process::bearing(mark);
    let named = Command::new("pgrep").args(["-f", "--", mark]).output();
    let named = named.is_ok_and(|output| !output.stdout.is_empty());
    (named || !found.is_empty()).then(|| "a process is left".to_owned())
}

/// How a result differs from what the data says.
pub fn problem(
    one: &Planned,
    mode: Mode,
    network: Network,
    outcome: &Outcome,
    has: &[String],
) -> Option<String> {
    let name = one.name();
    let root = has.iter().any(|has| has == "root");
    if one.attempt.control {
        let arrived = outcome.escape.is_some();
        let works = arrived || network != Network::Hosts || mode == Mode::Off;
        return (!works)
            .then(|| format!("{name}: a listed host is not reached: {}", outcome.reason));
    }
    match &outcome.escape {
        Some(how) if one.attempt.remainder(mode).is_none() => Some(format!("{name}: {how}")),
        Some(_) => None,
        None if mode == Mode::Off => {
            let works = match one.attempt.works_in_off {
                WorksInOff::Always => true,
                WorksInOff::Root => root,
                WorksInOff::Sometimes | WorksInOff::Never => false,
            };
            works.then(|| format!("{name}: tests nothing, it fails in off: {}", outcome.reason))
        }
        None => None,
    }
}
