//! `phases add`: adds a phase to a run from the command line, by the rules of plans.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::spec_input::{refuse_unfixable, resolve, single_phase};
use crate::cli::run_choice::{RunUse, choose_phase, choose_run};
use crate::cli::{Context, open_database};
use crate::clock::now;
use crate::failure::{Exit, Failure, WithHint};
use crate::import;
use crate::phase::ids::slug;
use crate::phase::plan::{PlanRun, SourcePart};
use crate::phase::{PhaseId, RunId};
use crate::store::{ImportMode, Store};

/// Add a phase to the end of a run, and print its id
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Title of the phase
    #[arg(value_name = "TITLE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    title: String,
    /// The work in detail
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// File that the phase has to deliver; may repeat
    #[arg(long = "file", value_name = "PATH")]
    files: Vec<String>,
    /// Path that the phase may change; may repeat [default: from the files]
    #[arg(long = "scope", value_name = "PATH")]
    scopes: Vec<String>,
    /// Phase that has to be complete first; may repeat
    #[arg(long = "after", value_name = "PHASE")]
    needs: Vec<String>,
    /// Id of the phase [default: from the title]
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: Option<String>,
    /// The run [default: the only run]
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
    /// Print {run_id, phase_id}
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let store = open_database::open_existing(context).await?;
    let run = choose_run(&store, context, args.run_id.as_deref(), RunUse::Act).await?;
    let phase_id = choose_id(&args, &run, &store).await?;
    let spec = spec(&args, &phase_id, &run, &store, context).await?;
    let text = Value::Object(spec).to_string();
    let draft = import::parse(Path::new("phases add"), text.as_bytes(), Some(&run))?;
    let plan = resolve(draft, &run, &store).await?;
    let source = plan.runs.first().map(|run| run.source.clone()).unwrap_or_default();
    let Some(phase) = single_phase(plan) else {
        return Err(Failure::new("expected a single phase"));
    };
    refuse_unfixable(&phase, context)
        .or_hint("name its files with --file, or the paths it may change with --scope")?;
    let run_part = PlanRun {
        phases: vec![phase],
        ..PlanRun::empty(run.clone(), source.as_str(), source.as_str(), SourcePart::default())
    };
    let plan = crate::phase::plan::Plan { runs: vec![run_part] };
    store.import_by_run(&plan, ImportMode::Add, now()).await?;
    store.close().await;
    match args.json {
        true => context.out.json(&json!({"run_id": run, "phase_id": phase_id})),
        false => context.out.line(&phase_id),
    }
}

/// Returns the given id, which must be new, or an id from the title with a number if that is taken.
async fn choose_id(args: &Args, run: &RunId, store: &Store) -> Result<PhaseId, Failure> {
    let ids = store.phase_ids(run).await?;
    if let Some(id) = args.id.as_ref().map(PhaseId::new) {
        return match ids.contains(&id) {
            false => Ok(id),
            true => Err(Failure::new(format!("run {run} already has a phase called {id}"))
                .hint("choose another --id, or change that phase with `autopack phases set`")
                .exit(Exit::Usage)),
        };
    }
    let stem = slug(&args.title);
    let numbered = (2..).map(|number| PhaseId::new(format!("{stem}-{number}")));
    let mut candidates = std::iter::once(PhaseId::new(&stem)).chain(numbered);
    Ok(candidates.find(|id| !ids.contains(id)).expect("there are more numbers than phases"))
}

async fn spec(
    args: &Args,
    phase_id: &PhaseId,
    run: &RunId,
    store: &Store,
    context: &Context,
) -> Result<Map<String, Value>, Failure> {
    let mut needs = Vec::new();
    for name in &args.needs {
        let (_, need) = choose_phase(store, context, Some(run.as_str()), name, RunUse::Act).await?;
        needs.push(need);
    }
    let mut spec = Map::new();
    spec.insert("phase_id".to_owned(), json!(phase_id));
    spec.insert("name".to_owned(), json!(args.title));
    if let Some(description) = &args.description {
        spec.insert("description".to_owned(), json!(description));
    }
    if !args.files.is_empty() {
        spec.insert("deliverables".to_owned(), json!(args.files));
    }
    if !args.scopes.is_empty() {
        spec.insert("scope".to_owned(), json!({"paths": args.scopes}));
    }
    if !needs.is_empty() {
        spec.insert("depends_on".to_owned(), json!(needs));
    }
    Ok(spec)
}
