//! Checks of the diff against the phase: scope, protected paths, secrets, deliverables, and an empty diff.

use std::fs;
use std::path::Path;

use crate::agent::AgentReply;
use crate::attempt::{Attempt, AttemptError};
use crate::phase::deliverables::{Presence, find_missing};
use crate::phase::scope::{Breach, BreachReason, Change, ChangeKind, breaches};
use crate::phase::words::first_few;
use crate::phase::{Failure, FailureKind, Verdict};
use crate::process::JobEnd;
use crate::workspace::{MeasuredChange, UnfilteredFile};

/// Paths named in a message; the details list all of them.
const NAMED: usize = 5;

impl Attempt<'_> {
    /// Checks the change. Returns `None` if CI may run.
    pub(crate) async fn judge_diff(
        &mut self,
        measured: &MeasuredChange,
        reply: &AgentReply,
        in_binaries: Option<String>,
    ) -> Result<Option<Verdict>, AttemptError> {
        if measured.changes.is_empty() {
            return self.judge_no_change(reply).await.map(Some);
        }
        let failure = match self.breach(measured).await? {
            Some(failure) => Some(failure),
            None => self.secret(measured, in_binaries),
        };
        if let Some(failure) = failure {
            return Ok(Some(Verdict::Failed(failure)));
        }
        if let Some(failure) = self.missing(measured, reply) {
            let provider_error = self.find_provider_error(reply)?;
            return Ok(Some(provider_error.unwrap_or(Verdict::Failed(failure))));
        }
        Ok(self.unfiltered(measured).await?.map(Verdict::Failed))
    }

    async fn breach(&mut self, measured: &MeasuredChange) -> Result<Option<Failure>, AttemptError> {
        let base = self.context.repo.tree(&self.base).await?;
        let existed = |path: &str| base.has_file(path) || base.has_directory(path);
        let protected = &self.context.settings.workspace.protected_paths;
        let breaches = breaches(&self.claim.phase, &measured.changes, protected, &existed);
        let Some(first) = breaches.first() else {
            self.record.breached.extend(measured.submodules.iter().cloned());
            return Ok(in_submodule(measured));
        };
        self.record.breached.extend(breaches.iter().map(|breach| breach.path.clone()));
        let kind = match breaches.iter().any(Breach::is_protected) {
            true => FailureKind::ProtectedPath,
            false => FailureKind::ScopeBreach,
        };
        let lines: Vec<String> = breaches.iter().map(Breach::to_string).collect();
        let paths: Vec<&str> = breaches.iter().map(|breach| breach.path.as_str()).collect();
        let all_outside = breaches.iter().all(|breach| breach.reason == BreachReason::OutOfScope);
        self.record.out_of_scope = all_outside.then(|| self.record.breached.clone());
        let mut message = match breaches.len() {
            1 => format!("changed {first}"),
            n if all_outside => {
                format!("changed {n} files outside its scope: {}", first_few(&paths, NAMED))
            }
            n => format!("changed {n} files it may not change: {}", first_few(&lines, NAMED)),
        };
        if breaches.iter().any(|breach| is_new_at_the_root(&breach.path, measured)) {
            message.push_str("; agents write logs and notes to the directory $AUTOPACK_LOG_DIR");
        }
        let mut failure = Failure::new(kind, message);
        failure.detail.breaches = lines;
        Ok(Some(failure))
    }

    /// Searches for secrets in files git treats as binary.
    pub(crate) async fn secret_in_binaries(
        &self,
        measured: &MeasuredChange,
    ) -> Result<Option<String>, AttemptError> {
        let lines = self.slot.binary_file_lines(&self.base, measured).await?;
        Ok(self.context.redactor.find_in_patch(&lines))
    }

    /// Fails for files a git filter would rewrite in the user's own commit of the same change.
    async fn unfiltered(&self, measured: &MeasuredChange) -> Result<Option<Failure>, AttemptError> {
        let there = measured.changes.iter().filter(|change| change.kind != ChangeKind::Deleted);
        let file = self.slot.find_unfiltered(there.map(|change| change.path.as_str())).await?;
        Ok(file.map(|UnfilteredFile { path, filter }| {
            let message = format!(
                "changed {path}, which git's filter {filter} rewrites on commit; autopack runs no filters, so the file would land unfiltered"
            );
            Failure::new(FailureKind::ScopeBreach, message)
        }))
    }

    /// Returns whether the change contains a secret, regardless of other failures.
    pub(crate) fn holds_secret(&self, measured: &MeasuredChange) -> bool {
        self.secret(measured, None).is_some()
    }

    fn secret(&self, measured: &MeasuredChange, in_binaries: Option<String>) -> Option<Failure> {
        let redactor = &self.context.redactor;
        let in_a_path = || measured.changes.iter().find_map(|change| redactor.find(&change.path));
        let what = redactor.find_in_patch(&measured.patch).or(in_binaries).or_else(in_a_path)?;
        let message = format!(
            "the change contains a secret: {what}; it does not land, and the kept patch omits the secret"
        );
        Some(Failure::new(FailureKind::SecretInDiff, message))
    }

    fn missing(&self, measured: &MeasuredChange, reply: &AgentReply) -> Option<Failure> {
        let missing = find_missing(&self.claim.phase, &measured.changes, &|path| {
            presence(&self.slot.path().join(path))
        });
        if missing.is_empty() {
            return None;
        }
        let lines: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let message = format!("deliverables are missing: {}", first_few(&lines, NAMED));
        let mut failure = Failure::new(FailureKind::MissingDeliverable, message);
        failure.detail.missing = lines;
        failure.detail.log_tail.clone_from(&reply.last_lines);
        Some(failure)
    }

    /// Judges an empty diff: a failure, unless allowed by the phase, or another phase made all deliverables since the
    /// run began.
    async fn judge_no_change(&mut self, reply: &AgentReply) -> Result<Verdict, AttemptError> {
        let failed = match reply.ended {
            JobEnd::Exited(code) => code != 0,
            JobEnd::Signalled(_) => true,
            JobEnd::TimedOut | JobEnd::Stalled | JobEnd::Stopped => false,
        };
        let allowed = self.claim.phase.allow_no_change() && !failed;
        if allowed || self.was_made_by_another().await? {
            return Ok(Verdict::Passed { commit: None });
        }
        if let Some(verdict) = self.find_provider_error(reply)? {
            return Ok(verdict);
        }
        let ending = match reply.ended {
            JobEnd::Exited(0) => String::new(),
            JobEnd::Exited(code) => format!("; the agent exited with {code}"),
            JobEnd::Signalled(signal) => format!("; signal {signal} ended the agent"),
            JobEnd::TimedOut | JobEnd::Stalled | JobEnd::Stopped => String::new(),
        };
        let message = format!("the agent changed nothing{ending}");
        // The agent crashed or was killed: an agent failure, not evidence about the phase.
        let kind = if failed { FailureKind::AgentFailed } else { FailureKind::NoChange };
        let mut failure = Failure::new(kind, message);
        failure.exit_code = match reply.ended {
            JobEnd::Exited(code) => Some(code),
            _ => None,
        };
        failure.detail.log_tail.clone_from(&reply.last_lines);
        Ok(Verdict::Failed(failure))
    }

    async fn was_made_by_another(&self) -> Result<bool, AttemptError> {
        let deliverables = self.claim.phase.deliverables();
        // A glob matched before says nothing about this phase's own files.
        if deliverables.is_empty() || deliverables.iter().any(|path| path.is_glob()) {
            return Ok(false);
        }
        let (facts, _) = self.context.ensure_branch(&self.claim.run_id).await?;
        let begin = self.context.repo.tree(&facts.base_commit).await?;
        let tip = self.context.repo.tree(&self.base).await?;
        Ok(deliverables.iter().all(|path| {
            let name = path.as_str().trim_end_matches('/');
            match path.is_dir() {
                true => !begin.has_directory(name) && tip.has_directory(name),
                false => !begin.has_file(name) && tip.has_file(name),
            }
        }))
    }
}

/// Returns whether a path is a new file in the root directory, a common place for agents' logs.
fn is_new_at_the_root(path: &str, measured: &MeasuredChange) -> bool {
    let is_new = |change: &&Change| change.kind == ChangeKind::Added && change.path == path;
    !path.contains('/') && measured.changes.iter().any(|change| is_new(&change))
}

/// Fails for changes in a submodule: the commits belong to another repository and cannot land here.
fn in_submodule(measured: &MeasuredChange) -> Option<Failure> {
    let first = measured.submodules.first()?;
    let message = format!("changed the submodule {first}; changes in submodules cannot land");
    let mut failure = Failure::new(FailureKind::ScopeBreach, message);
    failure.detail.breaches.clone_from(&measured.submodules);
    Some(failure)
}

pub(crate) fn presence(path: &Path) -> Presence {
    match fs::metadata(path) {
        Err(_) => Presence::Absent,
        Ok(file) if file.is_dir() => match contains_file(path) {
            true => Presence::Directory,
            false => Presence::EmptyDirectory,
        },
        Ok(file) if file.len() == 0 => Presence::EmptyFile,
        Ok(_) => Presence::File,
    }
}

fn contains_file(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => contains_file(&entry.path()),
        Ok(_) => true,
        Err(_) => false,
    })
}
