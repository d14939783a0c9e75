//! `undo`: takes a landed phase back from the run's branch.

use serde_json::json;

use super::attempt_setup::{build_drain_context, check_sandbox, choose_views, open_repository};
use super::run_choice::{PhaseArg, RunUse};
use super::{Context, open_database};
use crate::attempt::{DrainContext, UndoEnd};
use crate::drain::{RegisteredDrain, Signals, UndoResult, undo};
use crate::failure::{Exit, Failure};
use crate::phase::undo::UndoRefusal;
use crate::phase::words::{first_few, quoted, short_commit};
use crate::phase::{Failure as PhaseFailure, PhaseId, PhaseState, RunId};
use crate::process::StopReceiver;
use crate::progress::{Mode, shown_id};
use crate::store::{BeginRefusal, Owner, UndoRequest, UndoneLanding};

/// Phases, files and tests named in a message; the rest are counted.
const NAMED: usize = 5;

/// Undo a landed phase with a tested revert commit
///
/// Reverts the phase's commit on the run's branch, runs CI on the result as for a landing, and queues the phase again.
/// Nothing changes if CI is red, if later landings changed the same places, if complete phases depend on the phase, or
/// while a drain of the run is running. Your own branches keep the landing until you merge the run again.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    phase: PhaseArg,

    /// Also undo the complete phases that depend on it, in the same commit
    #[arg(long)]
    with_dependents: bool,

    /// Skip the undone phases instead of queuing them again
    #[arg(long)]
    skip: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let (store, run, phase) = args.phase.open(context, RunUse::Act).await?;
    let summary = store.run(&run).await?;
    let repo = open_repository(context).await?;
    open_database::check_repository(&run, summary.facts.as_ref(), &repo, "undo it there")?;
    check_sandbox(context, &repo, &store)?;
    repo.prepare_directory()?;
    repo.slots_directory()?;
    let (handle, stop) = StopReceiver::pair();
    let signals = Signals::listen(handle)?;
    let views = choose_views(context, &repo, &store).await?;
    let mode = if args.json { Mode::Json } else { Mode::Lines };
    let drain_context = build_drain_context(context, repo, store.clone(), mode, views)?;
    let runs = std::slice::from_ref(&run);
    let executor = &drain_context.settings.executor;
    let registered =
        RegisteredDrain::register(&store, &drain_context.repo, runs, executor, &signals).await?;
    let next = if args.skip { PhaseState::Skipped } else { PhaseState::Queued };
    let with_dependents = args.with_dependents;
    let request = UndoRequest { run: &run, phase: &phase, with_dependents, next };
    let undone = match undo(&drain_context, &registered, request, &stop).await {
        Ok(undone) => undone,
        Err(error) => return Err(drain_context.with_last_landing(error).await.into()),
    };
    let names = Names { run: &run, phase: &phase };
    let (landings, end) = match undone {
        UndoResult::Ended { landings, end } => (landings, end),
        UndoResult::Busy(owners) => return Err(names.explain_busy(&owners)),
        UndoResult::Refused(refusal) => return Err(names.explain_refusal(refusal)),
    };
    let commit = match end {
        UndoEnd::Landed { commit } => commit,
        UndoEnd::Stopped => return Ok(signals.exit()),
        end => return Err(names.explain_end(end)),
    };
    let branch = summary.facts.map(|facts| facts.branch).unwrap_or_default();
    let shown = ShownUndo { names, landings: &landings, commit: &commit, branch: &branch, next };
    match args.json {
        true => shown.print_json(context)?,
        false => shown.print(context, &drain_context).await?,
    }
    store.close().await;
    Ok(Exit::Done)
}

/// Run and phase of the command.
#[derive(Clone, Copy)]
struct Names<'a> {
    run: &'a RunId,
    phase: &'a PhaseId,
}

impl Names<'_> {
    fn command(&self, words: &str, phases: &[&str]) -> String {
        let run = quoted(self.run.as_str());
        let phases: Vec<_> = phases.iter().map(|phase| quoted(phase)).collect();
        format!("autopack {words} --run-id {run} {}", phases.join(" "))
    }

    fn explain_busy(&self, owners: &[Owner]) -> Failure {
        let run = shown_id(self.run.as_str());
        let by = match owners {
            [] => String::new(),
            [owner, ..] => {
                format!(" (process {} on {})", owner.process.pid, owner.process.host)
            }
        };
        let stop = quoted(self.run.as_str());
        Failure::new(format!("another autopack works on run {run}{by}"))
            .hint(format!("wait for its end, or stop it: autopack stop --run-id {stop}"))
    }

    fn explain_refusal(&self, refusal: BeginRefusal) -> Failure {
        let refusal = match refusal {
            BeginRefusal::Phase(refusal) => refusal,
            BeginRefusal::RunIsBusy => return self.explain_busy(&[]),
        };
        let (phase, id) = (shown_id(self.phase.as_str()), self.phase.as_str());
        match refusal {
            UndoRefusal::NotComplete(state) => {
                let hint = match state {
                    PhaseState::Queued => {
                        let skip = self.command("phases skip", &[id]);
                        format!("it has no landing to undo; to leave it out: {skip}")
                    }
                    _ => "only complete phases can be undone".to_owned(),
                };
                Failure::new(format!("phase {phase} is {state}")).hint(hint)
            }
            UndoRefusal::NothingLanded => {
                Failure::new(format!("phase {phase} is complete without a commit"))
                    .hint(format!("queue it again: {}", self.command("phases retry --redo", &[id])))
            }
            UndoRefusal::NeededBy(ids) => {
                Failure::new(format!("complete phases depend on {phase}: {}", list(&ids))).hint(
                    format!("undo them, too: {}", self.command("undo --with-dependents", &[id])),
                )
            }
            UndoRefusal::CompletedElsewhere(ids) => {
                let named: Vec<&str> = ids.iter().map(PhaseId::as_str).collect();
                Failure::new(format!(
                    "{} depends on {phase}, and was not completed by an attempt",
                    list(&ids)
                ))
                .hint(format!(
                    "queue it again first: {}",
                    self.command("phases retry --redo", &named)
                ))
            }
        }
    }

    fn explain_end(&self, end: UndoEnd) -> Failure {
        let redo = |phase: &PhaseId| self.command("phases retry --redo", &[phase.as_str()]);
        match end {
            UndoEnd::Red(failure) => self.explain_red(&failure),
            UndoEnd::Conflict { phase, paths, changed_by } => {
                let phase = shown_id(phase.as_str());
                let by = match changed_by.as_slice() {
                    [] => String::new(),
                    ids => format!(" (by {})", list(ids)),
                };
                let text = format!(
                    "cannot revert {phase}: later commits changed the same places in {}{by}",
                    first_few(&paths, NAMED)
                );
                let hint = match changed_by.first() {
                    Some(later) => {
                        format!("undo that first: {}", self.command("undo", &[later.as_str()]))
                    }
                    None => format!(
                        "revert it by hand on the run's branch, then {}",
                        self.command("phases retry --redo", &[self.phase.as_str()])
                    ),
                };
                Failure::new(text).hint(hint)
            }
            UndoEnd::NotOnBranch(phase) => Failure::new(format!(
                "the landing of {} is not on the run's branch: the branch was rewritten",
                shown_id(phase.as_str())
            ))
            .hint(format!("revert its change by hand, then {}", redo(&phase))),
            UndoEnd::Absent(phase) => Failure::new(format!(
                "the change of {} is no longer on the run's branch",
                shown_id(phase.as_str())
            ))
            .hint(format!("queue it again: {}", redo(&phase))),
            UndoEnd::TipMoved => {
                Failure::new("the run's branch moved during the test").hint("undo again")
            }
            UndoEnd::Landed { .. } | UndoEnd::Stopped => Failure::new("the undo was stopped"),
        }
    }

    fn explain_red(&self, failure: &PhaseFailure) -> Failure {
        let phase = shown_id(self.phase.as_str());
        let tests: Vec<&str> =
            failure.detail.failing_tests.iter().map(|test| test.name.as_str()).collect();
        let why = match tests.as_slice() {
            [] => failure.message.clone(),
            tests => format!("{}: {}", failure.message, first_few(tests, NAMED)),
        };
        Failure::new(format!("CI is red without {phase}: {why}")).hint(
            "nothing was undone; undo the phases that need it first, or repair them in another phase",
        )
    }
}

fn list(ids: &[PhaseId]) -> String {
    let shown: Vec<String> = ids.iter().map(|id| shown_id(id.as_str())).collect();
    first_few(&shown, NAMED)
}

/// Facts to show of an undo.
struct ShownUndo<'a> {
    names: Names<'a>,
    landings: &'a [UndoneLanding],
    commit: &'a str,
    branch: &'a str,
    next: PhaseState,
}

impl ShownUndo<'_> {
    async fn print(&self, context: &Context, drain_context: &DrainContext) -> Result<(), Failure> {
        for landing in self.landings {
            let phase = shown_id(landing.phase_id.as_str());
            let commit = landing.commit.as_deref().map_or("no commit", short_commit);
            let next = self.next;
            context.out.line(format_args!("{phase}: undid {commit}, now {next}"))?;
        }
        let (branch, commit) = (self.branch, short_commit(self.commit));
        context.out.line(format_args!("  revert {commit} on {branch}"))?;
        let landed = self.landings.iter().find_map(|landing| landing.commit.as_deref());
        if let Some(landed) = landed
            && drain_context.repo.contains("HEAD", landed).await?
        {
            let run = quoted(self.names.run.as_str());
            context.out.line(format_args!("  your branch has it, too: autopack merge {run}"))?;
        }
        Ok(())
    }

    fn print_json(&self, context: &Context) -> Result<(), Failure> {
        let phases = self.landings.iter().map(|landing| {
            json!({
                "phase_id": landing.phase_id,
                "attempt": landing.attempt,
                "reverted_commit": landing.commit,
                "state": self.next,
            })
        });
        context.out.json(&json!({
            "run_id": self.names.run,
            "phase_id": self.names.phase,
            "outcome": "undone",
            "commit": self.commit,
            "branch": self.branch,
            "phases": phases.collect::<Vec<_>>(),
        }))
    }
}
