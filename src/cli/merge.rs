//! `merge`: merges the landings of a run into a branch of the user.

use std::collections::HashSet;

use serde_json::json;

use super::attempt_setup::open_repository;
use super::run_choice::{RunArg, RunUse};
use super::{Context, open_database};
use crate::drain::appears_dead;
use crate::failure::{Exit, Failure};
use crate::phase::words::{counted, first_few, quoted, short_commit};
use crate::phase::{PhaseId, RunId};
use crate::progress::shown_id;
use crate::store::{CleanOutcome, PhaseRow, RunSummary, Store, StoreError};
use crate::workspace::{
    MergeKind, MergePlan, MergeRefusal, MergeTarget, Recovery, Repo, Tip, merge_message,
};

/// Failing tests named in a message; the rest are counted.
const NAMED: usize = 3;

/// Merge the landed phases of a run into your branch
///
/// Moves the branch, and the files of its worktree. Refused if tracked files have uncommitted changes, if untracked
/// files are in the way, and during a rebase, merge or bisect. A conflict changes nothing. The commit bears your
/// identity; hooks do not run, and the commit is not signed. After an interruption, the same command completes the
/// merge.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunArg,

    /// Branch to merge into [default: the branch checked out here]
    #[arg(long, value_name = "BRANCH")]
    into: Option<String>,

    /// Merge as one commit with a list of the phases
    #[arg(long)]
    squash: bool,

    /// Merge up to the last commit green in a clean clone
    #[arg(long, conflicts_with = "anyway")]
    to_green: bool,

    /// Merge a run whose CI is red in a clean clone
    #[arg(long)]
    anyway: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Phases with a change in the target branch.
#[derive(Debug, Default)]
struct MergedPhases {
    /// Landings that come in.
    landed: Vec<String>,
    /// Landings that are taken out.
    undone: Vec<String>,
}

/// End of the command.
enum MergeEnd {
    NothingLanded,
    AlreadyMerged,
    Merged { kind: MergeKind, commit: String, phases: MergedPhases },
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let (store, run) = args.run.open(context, RunUse::Act).await?;
    let summary = store.run(&run).await?;
    let repo = open_repository(context).await?;
    open_database::check_repository(&run, summary.facts.as_ref(), &repo, "merge it there")?;
    let mut target = repo.merge_target(args.into.as_deref()).await?.map_err(failure_of)?;
    let before = target.commit.clone();
    let tip = choose_tip(&args, &store, &summary, &repo).await?;
    let end = match (&tip, &summary.facts) {
        (Some(tip), Some(facts)) => {
            let plan = repo.plan_merge(&run, &facts.base_commit, tip, &target, args.squash).await?;
            match plan.map_err(failure_of)? {
                Some(plan) => merge(&store, &repo, &run, &mut target, &plan).await?,
                None => MergeEnd::AlreadyMerged,
            }
        }
        _ => MergeEnd::NothingLanded,
    };
    let is_running = is_drained_now(&store, &run).await?;
    store.close().await;
    let shown = ShownMerge { run: &run, target: &target, tip, before, end, is_running };
    if args.json {
        shown.print_json(context)?
    } else {
        shown.print(context)?
    }
    Ok(Exit::Done)
}

/// Returns the commit to merge; `None` if nothing has landed.
async fn choose_tip(
    args: &Args,
    store: &Store,
    summary: &RunSummary,
    repo: &Repo,
) -> Result<Option<String>, Failure> {
    let run = &summary.run_id;
    let Some(facts) = &summary.facts else { return Ok(None) };
    let Tip { commit, diverged, .. } = repo.tip(run).await?;
    if diverged {
        return Err(diverged_branch(run, &facts.branch));
    }
    if commit == facts.base_commit {
        return Ok(None);
    }
    let name = quoted(run.as_str());
    if args.to_green {
        let hint = format!("test the tip in a clean clone: autopack verify {name}");
        let Some(green) = repo.green(run).await? else {
            let id = shown_id(run.as_str());
            return Err(
                Failure::new(format!("no commit of run {id} is known to be green")).hint(hint)
            );
        };
        // Green before an undo: the phase would come back.
        for taken in store.taken_back_landings(run).await? {
            if repo.contains(&green, &taken.landing_commit).await?
                && !repo.contains(&green, &taken.reverted_by).await?
            {
                let (at, phase) = (short_commit(&green), shown_id(&taken.phase_id));
                return Err(Failure::new(format!(
                    "the last green commit {at} still has the undone phase {phase}"
                ))
                .hint(hint));
            }
        }
        return Ok(Some(green));
    }
    let red =
        summary.clean_test.as_ref().filter(|test| test.outcome == CleanOutcome::RedInCleanClone);
    let Some(red) = red.filter(|_| !args.anyway) else { return Ok(Some(commit)) };
    let failing = match red.failing.as_slice() {
        [] => String::new(),
        ids => format!(": {}", first_few(ids, NAMED)),
    };
    let text = format!(
        "CI of run {} is red in a clean clone at {}{failing}",
        shown_id(run.as_str()),
        short_commit(&red.commit)
    );
    let hint = match &red.last_green {
        _ if red.commit != commit => format!("the tip changed since: autopack verify {name}"),
        Some(_) => format!(
            "merge the last green commit: autopack merge {name} --to-green; or everything: --anyway"
        ),
        None => format!("repair it, then `autopack verify {name}`; or merge it with --anyway"),
    };
    Err(Failure::new(text).hint(hint))
}

/// The failure for a branch on which the user committed while landings went to another ref.
pub(super) fn diverged_branch(run: &RunId, branch: &str) -> Failure {
    let beside = format!("refs/autopack/runs/{}", run.file_name());
    Failure::new(format!(
        "{branch} has commits of its own, and later landings are only on {beside}"
    ))
    .hint(format!("run `git switch {branch}`, then `git merge {beside}`"))
}

async fn merge(
    store: &Store,
    repo: &Repo,
    run: &RunId,
    target: &mut MergeTarget,
    plan: &MergePlan,
) -> Result<MergeEnd, Failure> {
    let to_merge = repo.commits_to_merge(plan).await?;
    // Also phases that were queued again after their landing.
    let landed = store.live_landings(run).await?;
    let landed: HashSet<&PhaseId> = landed
        .iter()
        .filter(|(_, commit)| to_merge.contains(commit))
        .map(|(phase, _)| phase)
        .collect();
    let mut phases = store.phases(run, None).await?;
    phases.retain(|phase| landed.contains(&phase.phase_id));
    let listed: Vec<(&str, &str)> =
        phases.iter().map(|phase| (phase.phase_id.as_str(), phase.name.as_str())).collect();
    let mut undone: Vec<String> = Vec::new();
    for taken in store.taken_back_landings(run).await? {
        let is_known = !to_merge.contains(&taken.landing_commit);
        let lands_again = listed.iter().any(|(id, _)| *id == taken.phase_id);
        if to_merge.contains(&taken.reverted_by) && is_known && !lands_again {
            undone.push(taken.phase_id);
        }
    }
    let message = merge_message(run, plan, target, &listed, &undone);
    let commit = repo.write_merge(plan, target, &message).await?;
    let reason = format!("autopack merge {}", run.file_name());
    repo.move_target(target, &commit, &reason).await?.map_err(failure_of)?;
    let ids = phases.into_iter().map(|PhaseRow { phase_id, .. }| phase_id.as_str().to_owned());
    let phases = MergedPhases { landed: ids.collect(), undone };
    Ok(MergeEnd::Merged { kind: plan.kind, commit, phases })
}

/// Returns the failure of a refusal.
pub(super) fn failure_of(refusal: MergeRefusal) -> Failure {
    let (obstacle, exit) = match refusal {
        MergeRefusal::Usage(obstacle) => (obstacle, Exit::Usage),
        MergeRefusal::State(obstacle) => (obstacle, Exit::OurFailure),
    };
    Failure::new(obstacle.problem).hint(obstacle.remedy).exit(exit)
}

/// Whether a drain of the run may land more.
async fn is_drained_now(store: &Store, run: &RunId) -> Result<bool, StoreError> {
    let owners = store.owners().await?;
    let drains = |owner: &crate::store::Owner| owner.runs.contains(run) && !appears_dead(owner);
    Ok(owners.iter().any(|row| drains(&row.owner)))
}

/// Facts to show of a merge.
struct ShownMerge<'a> {
    run: &'a RunId,
    target: &'a MergeTarget,
    tip: Option<String>,
    before: Option<String>,
    end: MergeEnd,
    is_running: bool,
}

impl MergedPhases {
    fn describe(&self) -> String {
        let landed = counted(self.landed.len() as u64, "phase");
        let undone = counted(self.undone.len() as u64, "undone phase");
        match (self.landed.is_empty(), self.undone.is_empty()) {
            (_, true) => landed,
            (true, false) => undone,
            (false, false) => format!("{landed} and {undone}"),
        }
    }
}

impl ShownMerge<'_> {
    fn print(&self, context: &Context) -> Result<(), Failure> {
        let (run, branch) = (shown_id(self.run.as_str()), shown_id(self.target.short()));
        match self.target.recovery {
            Some(Recovery::Completed) => {
                context.out.line(format_args!("{branch}: completed an interrupted merge"))?;
            }
            Some(Recovery::RolledBack) => {
                context.out.line(format_args!("{branch}: undid an interrupted merge"))?;
            }
            None => {}
        }
        let (kind, commit, phases) = match &self.end {
            MergeEnd::NothingLanded => {
                return context.out.line(format_args!("{run}: nothing has landed"));
            }
            MergeEnd::AlreadyMerged => {
                return context.out.line(format_args!("{run} is already merged into {branch}"));
            }
            MergeEnd::Merged { kind, commit, phases } => (kind, commit, phases),
        };
        let how = match kind {
            MergeKind::FastForward => "fast-forward",
            MergeKind::MergeCommit => "merge commit",
            MergeKind::Squash => "one commit",
        };
        context.out.line(format_args!("merged {} of {run} into {branch}", phases.describe()))?;
        let before = match &self.before {
            Some(before) => format!("{} -> ", short_commit(before)),
            None => String::new(),
        };
        context.out.line(format_args!("  {before}{} ({how})", short_commit(commit)))?;
        if self.is_running {
            context.out.line(format_args!(
                "  a drain of {run} is running: merge again for later landings"
            ))?;
        }
        Ok(())
    }

    fn print_json(&self, context: &Context) -> Result<(), Failure> {
        let none = MergedPhases::default();
        let (outcome, kind, commit, phases) = match &self.end {
            MergeEnd::NothingLanded => ("nothing_landed", None, None, &none),
            MergeEnd::AlreadyMerged => ("already_merged", None, None, &none),
            MergeEnd::Merged { kind, commit, phases } => {
                ("merged", Some(kind.as_str()), Some(commit), phases)
            }
        };
        context.out.json(&json!({
            "run_id": self.run,
            "outcome": outcome,
            "kind": kind,
            "branch": self.target.short(),
            "before": self.before,
            "commit": commit,
            "tip": self.tip,
            "phases": phases.landed,
            "undone": phases.undone,
            "worktree": self.target.worktree().map(|path| path.display().to_string()),
            "drain_running": self.is_running,
        }))
    }
}
