//! CI results at the base commits of attempts, shared by all workers of a drain so that each base is tested once.

use std::collections::BTreeMap;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::AttemptError;
use crate::ci::{BaseState, CiOutcome, TestResults};
use crate::clock::now;
use crate::config::{CiCache, SandboxSettings, Settings};
use crate::phase::RunId;
use crate::phase::words::hex;
use crate::store::{BaseKey, Store};

/// Results kept in memory; the oldest result is dropped first.
const KEPT: usize = 32;

/// Result of a command at a base in this drain. Locked by the worker running the command; other workers wait.
pub(super) type Proof = Arc<tokio::sync::Mutex<Option<BaseState>>>;

/// Base results known to the workers of a drain.
pub struct BaseRuns {
    setup: String,
    environment: String,
    /// Whether results of earlier drains are used.
    is_kept: bool,
    cache: Mutex<BaseCache>,
    /// Proofs by run and command.
    proofs: Mutex<HashMap<(RunId, String), Proof>>,
    /// Lock for each result in progress.
    running: Mutex<HashMap<BaseKey, Arc<tokio::sync::Mutex<()>>>>,
    notes: Mutex<HashSet<String>>,
}

#[derive(Default)]
struct BaseCache {
    results: HashMap<BaseKey, Arc<TestResults>>,
    order: VecDeque<BaseKey>,
    /// Tree ids by commit.
    trees: HashMap<String, String>,
}

impl BaseRuns {
    /// Creates an empty cache for these settings and CI's environment.
    pub fn new(settings: &Settings, env: &BTreeMap<OsString, OsString>) -> Self {
        let workspace = &settings.workspace;
        let mut setup = format!("{:?} {:?} {:?}", workspace.setup, workspace.link, workspace.keep);
        if !workspace.env_pass.is_empty() {
            setup += &format!(" {:?}", workspace.env_pass);
        }
        if settings.sandbox != SandboxSettings::default() {
            setup += &format!(" {:?}", settings.sandbox);
        }
        Self {
            setup: digest([setup.as_bytes()]),
            environment: environment(env),
            is_kept: settings.ci.cache == CiCache::On,
            cache: Mutex::default(),
            proofs: Mutex::default(),
            running: Mutex::default(),
            notes: Mutex::default(),
        }
    }

    pub(super) fn key(&self, tree: String, command: String) -> BaseKey {
        BaseKey { tree, command, setup: self.setup.clone(), environment: self.environment.clone() }
    }

    pub(super) fn proof(&self, run: &RunId, command: &str) -> Proof {
        let mut proofs = locked(&self.proofs);
        Arc::clone(proofs.entry((run.clone(), command.to_owned())).or_default())
    }

    /// Returns the lock to hold while computing this result.
    pub(super) fn running(&self, key: &BaseKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut running = locked(&self.running);
        // Entries without a waiter are either known or computed by the next caller.
        running.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(running.entry(key.clone()).or_default())
    }

    pub(super) fn result(&self, key: &BaseKey) -> Option<Arc<TestResults>> {
        locked(&self.cache).results.get(key).cloned()
    }

    pub(super) fn put(&self, key: BaseKey, results: Arc<TestResults>) {
        let mut cache = locked(&self.cache);
        if cache.results.insert(key.clone(), results).is_none() {
            cache.order.push_back(key);
        }
        if cache.order.len() > KEPT
            && let Some(oldest) = cache.order.pop_front()
        {
            cache.results.remove(&oldest);
        }
    }

    pub(super) fn tree_of(&self, commit: &str) -> Option<String> {
        locked(&self.cache).trees.get(commit).cloned()
    }

    pub(super) fn put_tree(&self, commit: &str, tree: &str) {
        let trees = &mut locked(&self.cache).trees;
        if trees.len() > KEPT {
            trees.clear();
        }
        trees.insert(commit.to_owned(), tree.to_owned());
    }

    /// Returns the stored result for this key. From an earlier drain only green results count: the cause of a red
    /// result may have been fixed outside of the repository.
    pub(super) async fn find_result(
        &self,
        store: &Store,
        run: &RunId,
        key: &BaseKey,
    ) -> Result<Option<Arc<TestResults>>, AttemptError> {
        if let Some(known) = self.result(key) {
            return Ok(Some(known));
        }
        if !self.is_kept {
            return Ok(None);
        }
        let Some(json) = store.base_result(run, key).await? else { return Ok(None) };
        // A result stored in an old format is computed again.
        let kept = serde_json::from_str(&json).ok();
        let green = kept.filter(|kept: &TestResults| {
            matches!(kept.outcome, CiOutcome::Passed | CiOutcome::NoTests)
        });
        let known = green.map(Arc::new);
        if let Some(known) = &known {
            self.put(key.clone(), Arc::clone(known));
        }
        Ok(known)
    }

    /// Returns whether a green result answers again for the same tree.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Stores a result for later drains.
    pub(super) async fn keep(
        &self,
        store: &Store,
        run: &RunId,
        key: &BaseKey,
        results: &TestResults,
    ) -> Result<(), AttemptError> {
        let json = serde_json::to_string(results).map_err(anyhow::Error::new)?;
        Ok(store.put_base_result(run, key, &json, now()).await?)
    }

    /// Returns whether the text is new in this drain.
    pub(super) fn is_new_note(&self, text: &str) -> bool {
        locked(&self.notes).insert(text.to_owned())
    }
}

/// Environment variables of terminals, ignored by the key: tests should not depend on them.
const OF_TERMINALS: [&str; 22] = [
    "COLORTERM",
    "COLUMNS",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "GPG_TTY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LINES",
    "MANAGERPID",
    "OLDPWD",
    "PWD",
    "SHLVL",
    "STY",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "TERM_PROGRAM",
    "TERM_SESSION_ID",
    "WAYLAND_DISPLAY",
    "WINDOWID",
    "XAUTHORITY",
    "XDG_SESSION_ID",
    "_",
];
const OF_TERMINALS_BY_START: [&str; 5] = ["AUTOPACK_", "SSH_", "TMUX", "VSCODE_", "XDG_"];

/// Returns a digest of environment variables with a possible influence on test results.
fn environment(env: &BTreeMap<OsString, OsString>) -> String {
    let of_terminal = |name: &OsStr| {
        let name = name.to_string_lossy();
        OF_TERMINALS.contains(&name.as_ref())
            || OF_TERMINALS_BY_START.iter().any(|start| name.starts_with(start))
    };
    let relevant = env.iter().filter(|(name, _)| !of_terminal(name));
    digest(relevant.flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]))
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..16])
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_differ_and_environments_do_not() {
        let env = |pairs: &[(&str, &str)]| {
            environment(&pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect())
        };
        let plain = env(&[("PATH", "/bin")]);
        assert_eq!(plain, env(&[("PATH", "/bin"), ("TERM", "xterm"), ("SSH_TTY", "/dev/pts/1")]));
        assert_ne!(plain, env(&[("PATH", "/usr/bin")]));
        assert_ne!(plain, env(&[("PATH", "/bin"), ("DATABASE_URL", "x")]));
        assert_ne!(env(&[("A", "BC")]), env(&[("AB", "C")]));
    }

    #[test]
    fn only_the_latest_results_are_kept() {
        let bases = BaseRuns::new(&Settings::default(), &BTreeMap::new());
        let key = |n: usize| bases.key(n.to_string(), "k".to_owned());
        let results = Arc::new(TestResults::of(CiOutcome::Passed));
        for n in 0..=KEPT {
            bases.put(key(n), Arc::clone(&results));
        }
        assert!(bases.result(&key(0)).is_none());
        assert!((1..=KEPT).all(|n| bases.result(&key(n)).is_some()));
    }
}
