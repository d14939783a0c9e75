//! `view`: shows what a child process would see of the machine.

use serde_json::json;

use super::attempt_setup::{build_drain_context, choose_views, open_repository};
use super::output::table::table;
use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::process::view::{Access, Mount, ViewSpec};
use crate::progress::Mode;
use crate::workspace::view::ViewPurpose;

/// Show what agents, setup or CI see of the machine
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Program whose view is shown
    #[arg(long = "for", value_enum, default_value_t = Program::Agent)]
    program: Program,

    /// Agent [default: the default agent]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,

    /// Print the whole description as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Program {
    Agent,
    Setup,
    Ci,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let repo = open_repository(context).await?;
    let store = open_database::open_existing(context).await?;
    let views = choose_views(context, &repo, &store).await?;
    repo.prepare_directory()?;
    let settings = context.config()?.settings.clone();
    let line = views.describe(&settings.sandbox);
    let drain_context = build_drain_context(context, repo, store.clone(), Mode::Lines, views)?;
    let purpose = match args.program {
        Program::Agent => ViewPurpose::Agent,
        Program::Setup => ViewPurpose::Setup,
        Program::Ci => ViewPurpose::Ci,
    };
    let agent = match purpose {
        ViewPurpose::Agent => settings.agent(args.agent.as_deref()),
        ViewPurpose::Setup | ViewPurpose::Ci => None,
    };
    let logs = tempfile::tempdir()?;
    let runner = drain_context.runner();
    let described = runner.describe_view(purpose, agent, logs.path()).await?;
    store.close().await;
    if args.json {
        let names: Vec<String> =
            described.environment.keys().map(|name| name.to_string_lossy().into_owned()).collect();
        let mode = drain_context.views.mode.as_str();
        context.out.json(&json!({ "mode": mode, "view": described.spec, "variables": names }))?;
        return Ok(Exit::Done);
    }
    context.out.line(line)?;
    if let Some(spec) = &described.spec {
        context.out.text(&mounts_text(spec))?;
    }
    Ok(Exit::Done)
}

/// Lists the mounts, and the rules of Landlock.
fn mounts_text(spec: &ViewSpec) -> String {
    let mut rows: Vec<Vec<String>> = spec.mounts.iter().map(cells).collect();
    let rules = &spec.landlock;
    for (access, paths) in
        [("read", &rules.readable), ("list", &rules.listable), ("write", &rules.writable)]
    {
        let row = |path: &crate::process::wire_string::WirePath| {
            vec![path.as_path().display().to_string(), access.to_owned(), String::new()]
        };
        rows.extend(paths.iter().map(row));
    }
    table(&["PATH", "ACCESS", "CONTENT"], &[], rows)
}

fn cells(mount: &Mount) -> Vec<String> {
    let (access, content) = match mount {
        Mount::Bind { source, target, access } => {
            let access = if *access == Access::ReadWrite { "write" } else { "read" };
            let content = match source == target {
                true => "the machine's".to_owned(),
                false => source.as_path().display().to_string(),
            };
            (access, content)
        }
        Mount::Mirror { .. } => ("private", "the machine's, with private additions".to_owned()),
        Mount::Overlay { .. } => ("private", "the machine's, with private changes".to_owned()),
        Mount::Hide { .. } => ("hidden", String::new()),
    };
    vec![mount.target().display().to_string(), access.to_owned(), content]
}
