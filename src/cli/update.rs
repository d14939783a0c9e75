//! `update`: merges the moved base into a run's branch.

use serde_json::json;

use super::attempt_setup::open_repository;
use super::branch_change_setup::{RegisteredChange, explain_busy};
use super::merge::failure_of;
use super::run_choice::{RunArg, RunUse};
use super::{Context, open_database};
use crate::attempt::UpdateEnd;
use crate::drain::{UpdateResult, update};
use crate::failure::{Exit, Failure};
use crate::phase::words::{counted, first_few, quoted, short_commit};
use crate::phase::{Failure as PhaseFailure, RunId};
use crate::progress::{shown_id, shown_message};
use crate::workspace::UpdateBase;

/// Files and tests named in a message; the rest are counted.
const NAMED: usize = 5;

/// Merge the moved base into the branch of a run
///
/// Makes a merge commit on the run's branch, runs CI on the result as for a landing, and lands it. Landed commits are
/// never rewritten, and your own branches and files stay as they are. Nothing changes after a conflict, if CI is red, or
/// while a drain of the run is running. After an interruption, run the same command again.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunArg,

    /// Branch or commit to merge [default: `workspace.base`, else the branch checked out here]
    #[arg(long, value_name = "BRANCH")]
    base: Option<String>,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let (store, run) = args.run.open(context, RunUse::Act).await?;
    let summary = store.run(&run).await?;
    let repo = open_repository(context).await?;
    open_database::check_repository(&run, summary.facts.as_ref(), &repo, "update it there")?;
    let configured = &context.config()?.settings.workspace.base;
    let named = args.base.as_deref().or(configured.as_deref());
    let base = repo.update_base(named).await?.map_err(failure_of)?;
    let shown = |branch| ShownUpdate { run: &run, branch, base: &base };
    let Some(facts) = summary.facts else {
        shown(None).print(context, args.json, &Outcome::NotStarted)?;
        return Ok(Exit::Done);
    };
    let change = RegisteredChange::register(context, &store, repo, &run, args.json).await?;
    let RegisteredChange { drain_context, registered, signals, stop } = &change;
    let updated = match update(drain_context, registered, &run, &base, stop).await {
        Ok(updated) => updated,
        Err(error) => return Err(drain_context.with_last_landing(error).await.into()),
    };
    let outcome = match updated {
        UpdateResult::UpToDate { tip } => Outcome::UpToDate { tip },
        UpdateResult::Busy(owners) => return Err(explain_busy(&run, &owners)),
        UpdateResult::Ended(UpdateEnd::Landed { before, commit, files }) => {
            Outcome::Landed { before, commit, files }
        }
        UpdateResult::Ended(UpdateEnd::Stopped) => return Ok(signals.exit()),
        UpdateResult::Ended(end) => return Err(explain_end(&run, &facts.branch, &base, &end)),
    };
    shown(Some(&facts.branch)).print(context, args.json, &outcome)?;
    store.close().await;
    Ok(Exit::Done)
}

/// Successful end of the command.
enum Outcome {
    NotStarted,
    UpToDate { tip: String },
    Landed { before: String, commit: String, files: Option<usize> },
}

/// Facts to show of an update.
struct ShownUpdate<'a> {
    run: &'a RunId,
    branch: Option<&'a str>,
    base: &'a UpdateBase,
}

impl ShownUpdate<'_> {
    fn print(&self, context: &Context, is_json: bool, outcome: &Outcome) -> Result<(), Failure> {
        if is_json { self.print_json(context, outcome) } else { self.print_text(context, outcome) }
    }

    fn print_text(&self, context: &Context, outcome: &Outcome) -> Result<(), Failure> {
        let (run, base) = (shown_id(self.run.as_str()), shown_message(&self.base.shown()));
        let out = &context.out;
        match outcome {
            Outcome::NotStarted => {
                out.line(format_args!("{run} has no branch yet: its first drain makes it"))
            }
            Outcome::UpToDate { .. } => out.line(format_args!("{run} is up to date with {base}")),
            Outcome::Landed { before, commit, files } => {
                out.line(format_args!("merged {base} into {}", self.branch.unwrap_or_default()))?;
                let (before, commit) = (short_commit(before), short_commit(commit));
                let files = files.map(|files| format!(", {}", counted(files as u64, "file")));
                let files = files.unwrap_or_default();
                out.line(format_args!("  {before} -> {commit} (CI is green{files})"))
            }
        }
    }

    fn print_json(&self, context: &Context, outcome: &Outcome) -> Result<(), Failure> {
        let (name, before, commit, files) = match outcome {
            Outcome::NotStarted => ("not_started", None, None, None),
            Outcome::UpToDate { tip } => ("up_to_date", Some(tip), None, None),
            Outcome::Landed { before, commit, files } => {
                ("landed", Some(before), Some(commit), *files)
            }
        };
        context.out.json(&json!({
            "run_id": self.run,
            "outcome": name,
            "branch": self.branch,
            "base": self.base.name,
            "base_commit": self.base.commit,
            "before": before,
            "commit": commit,
            "changed_files": files,
        }))
    }
}

/// Explains why nothing changed.
fn explain_end(run: &RunId, branch: &str, base: &UpdateBase, end: &UpdateEnd) -> Failure {
    let (shown, name) = (shown_id(run.as_str()), shown_message(&base.shown()));
    let by_hand = format!("git switch {}, git merge {}", quoted(branch), quoted(&base.name));
    match end {
        UpdateEnd::Conflict { paths } => {
            Failure::new(format!("{name} and run {shown} both changed {}", first_few(paths, NAMED)))
                .hint(format!("merge by hand: {by_hand}, edit the files, git commit"))
        }
        UpdateEnd::Unrelated => {
            Failure::new(format!("{name} and run {shown} have no commit in common"))
                .hint("name a branch with the base of the run: --base BRANCH")
        }
        UpdateEnd::Red(failure) => {
            Failure::new(format!("CI is red with {name}: {}", describe_red(failure))).hint(format!(
                "nothing was merged; repair {name}, or merge and repair by hand: {by_hand}"
            ))
        }
        UpdateEnd::TipMoved => {
            Failure::new("the run's branch moved during the test").hint("update again")
        }
        UpdateEnd::Landed { .. } | UpdateEnd::Stopped => Failure::new("the update was stopped"),
    }
}

/// Returns the message of a red CI, with the failing tests.
pub(super) fn describe_red(failure: &PhaseFailure) -> String {
    let tests: Vec<&str> =
        failure.detail.failing_tests.iter().map(|test| test.name.as_str()).collect();
    match tests.as_slice() {
        [] => failure.message.clone(),
        tests => format!("{}: {}", failure.message, first_few(tests, NAMED)),
    }
}
