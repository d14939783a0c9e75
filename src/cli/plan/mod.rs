//! `plan`: has an agent write a plan for a goal, or prints a prompt with which any language model writes one.

mod goal;
mod plan_writer;

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::imported_run::ImportedRun;
use super::{Context, agent_choice, open_database};
use crate::failure::{Exit, Failure, WithHint as _};
use crate::import::plan_check::CheckedPlan;
use crate::import::plan_template;
use crate::phase::RunId;
use crate::phase::words::{counted, quoted};
use crate::progress::{NOTES, describe_money, shown_id};
use crate::store::ImportMode;
use plan_writer::{PlanWriter, WrittenPlan};

/// Have an agent write a plan for a goal
///
/// The agent reads the repository and changes nothing. autopack checks the answer by the rules of `import` and
/// `fix-phases`, and has it corrected up to three times. The plan is printed, or written to a file with -o.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Goal in words, a file with it, `-` for standard input, or an issue such as github:owner/repo#12
    #[arg(value_name = "GOAL | FILE | ISSUE", required_unless_present = "template")]
    goal: Option<String>,

    /// Write the plan to this file; never overwrites
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Import the plan
    #[arg(long)]
    import: bool,

    /// Run of the plan [default: as named by the agent]
    #[arg(long, value_name = "RUN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    run_id: Option<String>,

    /// Agent to ask [default: agents.default]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,

    /// Print a JSON object
    #[arg(long)]
    json: bool,

    /// Print a prompt for another language model instead; add your goal at the end
    #[arg(long, conflicts_with_all = ["goal", "output", "import", "run_id", "agent", "json"])]
    template: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let Some(goal) = &args.goal else {
        context.out.text(&plan_template::text())?;
        return Ok(Exit::Done);
    };
    let goal = goal::read(goal, context).await?;
    if let Some(file) = args.output.as_deref().filter(|file| file.symlink_metadata().is_ok()) {
        return Err(Failure::new(format!("{} exists", file.display()))
            .hint("name another file, or remove this one"));
    }
    args.output.as_deref().map_or(Ok(()), check_parent)?;
    agent_choice::check_agents(args.agent.as_deref(), context).await?;
    if let Some(line) = agent_choice::describe_found_agent(args.agent.as_deref(), context)? {
        tracing::info!(target: NOTES, "{line}");
    }
    let run_id = args.run_id.as_deref().map(RunId::new);
    if let Some(run) = run_id.as_ref().filter(|_| args.import)
        && known_runs(context).await?.contains(run)
    {
        return Err(Failure::new(format!("run {} exists already", shown_id(run.as_str())))
            .hint("name another run with --run-id")
            .exit(Exit::Usage));
    }
    let writer = PlanWriter { goal: &goal, run: run_id.as_ref(), agent: args.agent.as_deref() };
    let mut written = match writer.write(context).await? {
        Ok(written) => written,
        Err(exit) => return Ok(exit),
    };
    if args.import {
        avoid_known_runs(&mut written.checked, &known_runs(context).await?);
    }
    if let Some(file) = &args.output {
        write_new(file, &written.checked.text)
            .or_hint(format!("the plan is kept in {}", written.copy.display()))?;
    }
    let imported = match args.import {
        true => Some(import(&written.checked, context).await?),
        false => None,
    };
    print(&args, &written, imported.as_deref(), context)?;
    Ok(Exit::Done)
}

/// Refuses an output file in a directory that does not exist, before the agent is paid.
fn check_parent(file: &Path) -> Result<(), Failure> {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => {
            let parent = parent.display().to_string();
            Err(Failure::new(format!("directory {parent} does not exist"))
                .hint(format!("create it first: mkdir -p {}", quoted(&parent)))
                .exit(Exit::Usage))
        }
        _ => Ok(()),
    }
}

async fn known_runs(context: &Context) -> Result<Vec<RunId>, Failure> {
    let store = open_database::create_store(&open_database::url(context)?, context).await?;
    let runs = store.run_ids_by_use().await?;
    store.close().await;
    Ok(runs)
}

/// Chooses another run if the plan's run exists: an import would leave its phases of the same id as they are.
fn avoid_known_runs(checked: &mut CheckedPlan, known: &[RunId]) {
    let Some(run) = checked.run_id().filter(|run| known.contains(run)).cloned() else { return };
    let free = (2..u32::MAX)
        .map(|n| RunId::new(format!("{}-{n}", run.as_str())))
        .find(|free| !known.contains(free));
    if let Some(free) = free {
        let (run, name) = (shown_id(run.as_str()), shown_id(free.as_str()));
        tracing::info!(target: NOTES, "run {run} exists already: the plan becomes run {name}");
        checked.rename_run(free);
    }
}

/// Imports the plan as `import` does.
async fn import(checked: &CheckedPlan, context: &Context) -> Result<String, Failure> {
    let url = open_database::url(context)?;
    let store = open_database::create_store(&url, context).await?;
    let reports = store.import_by_run(&checked.plan, ImportMode::Add, crate::clock::now()).await?;
    store.close().await;
    let lines: Vec<String> = checked
        .plan
        .runs
        .iter()
        .zip(&reports)
        .map(|pair| ImportedRun::new(pair).line() + "\n")
        .collect();
    Ok(lines.concat())
}

fn write_new(file: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", file.display());
    match File::create_new(file) {
        Ok(mut file) => file.write_all(text.as_bytes()).with_context(cannot),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            anyhow::bail!("{} exists", file.display())
        }
        Err(error) => Err(error).with_context(cannot),
    }
}

fn print(
    args: &Args,
    written: &WrittenPlan,
    imported: Option<&str>,
    context: &Context,
) -> Result<(), Failure> {
    let WrittenPlan { checked, agent, questions, usage, .. } = written;
    let Some(run) = checked.plan.runs.first() else { return Ok(()) };
    if args.json {
        return context.out.json(&json!({
            "run_id": run.run_id,
            "agent": agent,
            "questions": questions,
            "tokens": usage.tokens.billed(),
            "cost_usd": usage.cost_usd,
            "output": args.output,
            "imported": imported.is_some(),
            "phases": run.phases.iter().map(|phase| &phase.spec.0).collect::<Vec<_>>(),
        }));
    }
    let mut facts =
        vec![format!("{} by {}", counted(run.phases.len() as u64, "phase"), shown_id(agent))];
    if *questions > 1 {
        facts.push(format!("corrected {}", counted(u64::from(questions - 1), "time")));
    }
    facts.extend(describe_money(usage.cost_usd, usage.tokens.billed()));
    let summary = facts.join(" · ");
    if let Some(imported) = imported {
        context.out.text(imported)?;
    }
    match (&args.output, args.import) {
        (Some(file), is_imported) => {
            context.out.line(format_args!("wrote {}: {summary}", file.display()))?;
            let target = match is_imported {
                true => quoted(run.run_id.as_str()).into_owned(),
                false => quoted(&file.display().to_string()).into_owned(),
            };
            context.out.line(format_args!("look at it, then run: autopack drain {target}"))
        }
        (None, true) => {
            context.out.line(format_args!("planned {summary}"))?;
            let run = quoted(run.run_id.as_str());
            context.out.line(format_args!("next: autopack drain {run} --dry-run"))
        }
        (None, false) => {
            tracing::info!(target: NOTES, "planned {summary}");
            context.out.text(&checked.text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_needs_its_directory() {
        let at = tempfile::tempdir().unwrap();
        assert!(check_parent(Path::new("plan.yaml")).is_ok());
        assert!(check_parent(&at.path().join("plan.yaml")).is_ok());
        let missing = check_parent(&at.path().join("missing/plan.yaml")).unwrap_err();
        let message = missing.error().to_string();
        assert!(message.ends_with("missing does not exist"), "{message}");
    }
}
