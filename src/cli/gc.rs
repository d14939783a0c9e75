//! `gc`: removes attempt directories, slots and refs that are no longer needed.
//!
//! Attempts without a landing are kept work and are removed only with `--all-attempts`. Files outside `.autopack/`
//! and refs of others are never removed.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::Context;
use super::attempt_setup::open_repository;
use super::open_database::{self, MoveMode};
use super::output::table::counted;
use super::run_choice::RunFilter;
use super::stored_artifacts::StoredArtifacts;
use crate::drain::{count_remote_refs, remove_remote_refs};
use crate::failure::{Exit, Failure};
use crate::phase::RunId;
use crate::phase::words::quoted;
use crate::progress::shown_id;
use crate::store::{AttemptDirectory, AttemptOutcome, RunSummary, Store, StoredAttempt};
use crate::workspace::view::remove_sessions;
use crate::workspace::{RemoteFence, Repo};

/// Remove attempt directories, slots and refs that are no longer needed
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunFilter,
    /// Also remove attempts that did not land, with their patches and logs, and attempts of removed runs
    #[arg(long)]
    all_attempts: bool,
    /// Only list the directories and refs to remove
    #[arg(long)]
    dry_run: bool,
    /// Print {attempts, stored_attempts, slots, refs, kept_attempts, reserved, elsewhere}
    #[arg(long)]
    json: bool,
}

/// Items removed, or to be removed in a dry run.
#[derive(Debug, Default, Serialize)]
struct RemovedItems {
    attempts: Vec<PathBuf>,
    /// Number of attempts whose files were removed from the database and the shared directory.
    stored_attempts: usize,
    slots: Vec<PathBuf>,
    refs: usize,
    /// Number of kept attempt directories.
    kept_attempts: usize,
    /// Number of kept attempt directories in use; `--all-attempts` keeps them too.
    #[serde(skip)]
    in_use: usize,
    /// Slots kept because a person works there: the phases.
    reserved: Vec<String>,
    /// Runs of other repositories; their files are there.
    elsewhere: Vec<RunId>,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let repo = open_repository(context).await?;
    let store = open_database::open_existing(context).await?;
    let run = args.run.named(&store).await?;
    let moved = if args.dry_run { MoveMode::CheckOnly } else { MoveMode::Record };
    let (here, elsewhere) = runs(&store, &repo, run.as_ref(), moved).await?;
    let mut removed = RemovedItems { elsewhere, ..RemovedItems::default() };
    remove_attempts(&store, &repo, run.as_ref(), &args, &mut removed).await?;
    let stored = StoredArtifacts { store: &store, repo: &repo, context };
    let is_removable = |stored: &StoredAttempt| args.all_attempts || is_used_up(stored.outcome);
    removed.stored_attempts = stored.remove(&here, is_removable, args.dry_run).await?;
    if run.is_none() {
        let reserved = repo.reservations()?.into_iter().map(|reservation| reservation.work);
        removed.reserved =
            reserved.map(|work| format!("{}/{}", work.run_id, work.phase_id)).collect();
        removed.slots = remove_slots(&repo, args.dry_run)?;
    }
    removed.refs = remove_refs(&repo, &here, args.dry_run).await?;
    removed.refs += remove_refs_at_remote(&store, &repo, &here, args.dry_run).await?;
    store.close().await;
    match args.json {
        true => context.out.json(&removed)?,
        false => context.out.text(&text(&removed, args.dry_run))?,
    }
    Ok(Exit::Done)
}

/// Returns the named run or all runs of this repository, and the runs of other repositories.
async fn runs(
    store: &Store,
    repo: &Repo,
    named: Option<&RunId>,
    moved: MoveMode,
) -> Result<(Vec<RunSummary>, Vec<RunId>), Failure> {
    if let Some(run) = named {
        let mut runs = [store.run(run).await?];
        open_database::reassign_moved_runs(store, repo, &mut runs, moved).await?;
        let [run] = runs;
        open_database::check_repository(
            &run.run_id,
            run.facts.as_ref(),
            repo,
            "run `autopack gc` there",
        )?;
        return Ok((vec![run], Vec::new()));
    }
    let mut all = store.runs().await?;
    open_database::reassign_moved_runs(store, repo, &mut all, moved).await?;
    let (elsewhere, here): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|run| open_database::is_elsewhere(run.facts.as_ref(), repo));
    Ok((here, elsewhere.into_iter().map(|run| run.run_id).collect()))
}

/// Removes attempt directories and counts the kept ones.
async fn remove_attempts(
    store: &Store,
    repo: &Repo,
    run: Option<&RunId>,
    args: &Args,
    removed: &mut RemovedItems,
) -> Result<(), Failure> {
    let home = repo.autopack_dir().join("attempts");
    let mut all = store.attempt_directories(None).await?;
    all.retain(|attempt| !removed.elsewhere.contains(&attempt.run_id));
    let directory = |attempt: &AttemptDirectory| repo.root().join(&attempt.log_dir);
    let mut known: HashSet<PathBuf> = all.iter().map(directory).collect();
    for attempt in all.iter().filter(|attempt| run.is_none_or(|run| attempt.run_id == *run)) {
        let directory = directory(attempt);
        if !is_within(&directory, &home) {
            continue;
        }
        if attempt.outcome.is_some() && (args.all_attempts || is_used_up(attempt.outcome)) {
            remove_directory(&directory, &home, args.dry_run)?;
            removed.attempts.push(directory);
        } else {
            removed.kept_attempts += 1;
            removed.in_use += usize::from(attempt.outcome.is_none());
        }
    }
    known.extend(removed.attempts.iter().cloned());
    // An unknown directory may belong to a running attempt of another database.
    let quiet = !repo.slots()?.iter().any(|slot| slot.in_use);
    for directory in list_unknown_attempts(&home, run, &known)? {
        if args.all_attempts && quiet {
            remove_directory(&directory, &home, args.dry_run)?;
            removed.attempts.push(directory);
        } else {
            removed.kept_attempts += 1;
            removed.in_use += usize::from(!quiet);
        }
    }
    Ok(())
}

/// Checks for an attempt whose result is kept elsewhere: on the branch, or as the scope of its phase.
fn is_used_up(outcome: Option<AttemptOutcome>) -> bool {
    use AttemptOutcome::{Landed, NoChangeNeeded, ScopeProposed};
    matches!(outcome, Some(Landed | NoChangeNeeded | ScopeProposed))
}

/// Checks that the directory exists and is really inside `home`, because a database may contain any path.
fn is_within(directory: &Path, home: &Path) -> bool {
    match (directory.canonicalize(), home.canonicalize()) {
        (Ok(directory), Ok(home)) => directory != home && directory.starts_with(home),
        _ => false,
    }
}

/// Lists the directories `<run>/<phase>/<attempt>` unknown to the database, left by removed runs.
fn list_unknown_attempts(
    home: &Path,
    run: Option<&RunId>,
    known: &HashSet<PathBuf>,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut directories = match run {
        Some(run) => vec![home.join(run.file_name())],
        None => list_directories(home)?,
    };
    for _ in ["phase", "attempt"] {
        let mut deeper = Vec::new();
        for directory in directories {
            deeper.extend(list_directories(&directory)?);
        }
        directories = deeper;
    }
    directories.retain(|directory| !known.contains(directory));
    Ok(directories)
}

/// Lists the subdirectories of a directory, sorted.
fn list_directories(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot list {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(cannot)?,
    };
    let mut directories = Vec::new();
    for entry in entries {
        let entry = entry.with_context(cannot)?;
        // Links are not followed: their targets are not ours.
        if entry.file_type().with_context(cannot)?.is_dir() {
            directories.push(entry.path());
        }
    }
    directories.sort();
    Ok(directories)
}

/// Removes the directory and its empty parents.
fn remove_directory(directory: &Path, home: &Path, dry_run: bool) -> anyhow::Result<()> {
    if dry_run {
        return Ok(());
    }
    fs::remove_dir_all(directory)
        .with_context(|| format!("cannot remove {}", directory.display()))?;
    let above = directory.ancestors().skip(1).take_while(|above| *above != home);
    for empty in above.take(2) {
        if fs::remove_dir(empty).is_err() {
            break;
        }
    }
    Ok(())
}

/// Removes free slots, or lists them in a dry run.
fn remove_slots(repo: &Repo, dry_run: bool) -> Result<Vec<PathBuf>, Failure> {
    let mut slots = match dry_run {
        true => repo.slots()?,
        false => repo.remove_free_slots()?,
    };
    slots.retain(|slot| !(dry_run && (slot.in_use || slot.is_reserved)));
    Ok(slots.into_iter().map(|slot| slot.path).collect())
}

/// Removes the fences of runs without open phases and returns their number.
async fn remove_refs(repo: &Repo, runs: &[RunSummary], dry_run: bool) -> Result<usize, Failure> {
    let mut refs = 0;
    for summary in runs {
        if summary.counts.queued == 0 && summary.counts.executing == 0 {
            if !dry_run {
                remove_sessions(repo, &summary.run_id.file_name(), None)?;
            }
            refs += match dry_run {
                true => repo.count_fences(&summary.run_id).await?,
                false => repo.drop_fences(&summary.run_id).await?,
            };
        }
    }
    Ok(refs)
}

/// Removes refs at the remote of the runs that no work needs, and returns their number.
async fn remove_refs_at_remote(
    store: &Store,
    repo: &Repo,
    runs: &[RunSummary],
    dry_run: bool,
) -> Result<usize, Failure> {
    let Some(remote) = RemoteFence::of(repo) else { return Ok(0) };
    let mut refs = 0;
    for run in runs.iter().map(|run| &run.run_id) {
        let answer = match dry_run {
            true => count_remote_refs(store, &remote, run).await?,
            false => remove_remote_refs(store, repo, &remote, run).await?,
        };
        refs += answer.map_err(|failure| Failure::new(failure.to_string()))?;
    }
    // Left by drains that were killed at their start.
    let probes = remote.list_probes().await?;
    let probes = probes.map_err(|failure| Failure::new(failure.to_string()))?;
    refs += match dry_run {
        true => probes.len(),
        false => {
            let deleted = remote.delete_refs(&probes).await?;
            deleted.map_err(|failure| Failure::new(failure.to_string()))?
        }
    };
    Ok(refs)
}

fn text(removed: &RemovedItems, dry_run: bool) -> String {
    let word = if dry_run { "would remove" } else { "removed" };
    let mut text = String::new();
    for path in removed.attempts.iter().chain(&removed.slots) {
        text += &format!("{word} {}\n", path.display());
    }
    let count = |n: usize, what| counted(n as u64, what);
    text += &format!(
        "{word} {}, {} and {}\n",
        count(removed.attempts.len(), "attempt directory"),
        count(removed.slots.len(), "slot"),
        count(removed.refs, "ref")
    );
    if removed.stored_attempts > 0 {
        let stored = count(removed.stored_attempts, "attempt");
        text += &format!("{word} the files of {stored} that other machines could read\n");
    }
    if removed.in_use > 0 {
        let kept = count(removed.in_use, "attempt directory");
        text += &format!("kept {kept} in use by a drain, or left by a dead one\n");
    }
    if removed.kept_attempts > removed.in_use {
        let kept = count(removed.kept_attempts - removed.in_use, "attempt directory");
        text += &format!("kept {kept} without a landing; remove with --all-attempts\n");
    }
    for phase in &removed.reserved {
        let phase = shown_id(phase);
        let name = quoted(&phase);
        text += &format!("kept the slot of {phase}; `autopack attach {name} --discard` frees it\n");
    }
    for run in &removed.elsewhere {
        text +=
            &format!("skipped run {}: it belongs to another repository\n", shown_id(run.as_str()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_outside_attempts_are_never_removed() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("attempts");
        let directory = home.join("r/p/1");
        fs::create_dir_all(&directory).unwrap();
        fs::create_dir_all(root.path().join("mine")).unwrap();
        std::os::unix::fs::symlink(root.path().join("mine"), home.join("r/link")).unwrap();
        assert!(is_within(&directory, &home));
        for other in [home.clone(), home.join("../mine"), home.join("r/link"), home.join("gone")] {
            assert!(!is_within(&other, &home), "{}", other.display());
        }
        assert_eq!(
            list_unknown_attempts(&home, None, &HashSet::new()).unwrap(),
            std::slice::from_ref(&directory)
        );
        remove_directory(&directory, &home, false).unwrap();
        assert!(!home.join("r/p").exists());
        assert!(home.join("r/link").exists() && root.path().join("mine").exists());
    }
}
