//! `health`: runs the T0 checks and prints a table or JSON.

use std::path::Path;

use console::{Style, style};

use super::Context;
use crate::attempt::Views;
use crate::config::SandboxPlaces;
use crate::failure::{Exit, Failure};
use crate::health::memory_checks::{self, MemoryPart};
use crate::health::{
    Check, Finding, HealthReport, Overall, Status, agent_checks, base_files_check, ci_check,
    database_checks, environment_checks, machine_checks, remote_check, sandbox_check,
    settings_checks,
};
use crate::memory::AutostartPermission;
use crate::progress::printable;
use crate::store::DatabaseUrl;

const COLUMNS: usize = 80;

/// Check whether a drain could start: configuration, database, disk, git, agent, CI, memory
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print {status, checks}
    #[arg(long)]
    json: bool,

    /// Also run CI in a copy of the base commit
    #[arg(long)]
    ci: bool,

    /// Do not start Qdrant, only check
    #[arg(long)]
    no_autostart: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let report = run_checks(&args, context).await;
    match args.json {
        true => context.out.json(&report)?,
        false => context.out.text(&text(&report))?,
    }
    Ok(if report.status == Overall::Failed { Exit::OurFailure } else { Exit::Done })
}

/// Runs all checks.
async fn run_checks(args: &Args, context: &Context) -> HealthReport {
    let workspace = context.workspace();
    let config = context.config();
    let root = workspace.as_deref().ok();
    let agents = async {
        let (Ok(config), Some(workspace)) = (&config, root) else { return skip_unknown() };
        let sandbox = Views::try_mode(&config.settings.sandbox).await.unwrap_or_default();
        let environments =
            context.inherited_environments(config).in_view(&sandbox, &config.settings);
        let mut found =
            agent_checks::check_agents(&config.settings, workspace, &environments).await;
        if let Some((_, how)) = config.found_agent() {
            let file = config.settings_file(Some(workspace));
            found.detail +=
                &format!("; {how}, none is configured; for another, set agents.default in {file}");
        }
        found
    };
    let ci = async {
        let (Ok(config), Some(workspace)) = (&config, root) else { return skip_unknown() };
        let environments = context.inherited_environments(config);
        let env = &environments.ci.env;
        let found = base_files_check::check_ci(&config.settings, workspace, env).await;
        match context.redactor() {
            Ok(redact) if args.ci && found.status == Status::Ok => {
                ci_check::check_ci_run(&config.settings, workspace, &environments, redact).await
            }
            _ => found,
        }
    };
    let sandbox = async {
        match &config {
            Ok(config) => sandbox_check::check_sandbox(&config.settings.sandbox).await,
            Err(_) => Finding::skip("needs the configuration"),
        }
    };
    let environment = async {
        match &config {
            Ok(config) => {
                environment_checks::check_secret_variables(&context.inherited_environments(config))
            }
            Err(_) => Finding::skip("needs the configuration"),
        }
    };
    let database = async {
        match super::open_database::url(context) {
            Ok(url) => database_checks::database(&url).await,
            Err(_) if root.is_none() => Finding::skip("needs the workspace"),
            Err(failure) => {
                settings_checks::failure_finding(&failure, "set it with --database-url")
            }
        }
    };
    let autostart = if args.no_autostart {
        AutostartPermission::CheckOnly
    } else {
        AutostartPermission::Allowed
    };
    let memory = match &config {
        Ok(config) => {
            super::memory::memory_location(context, &config.memory).ok().map(|location| {
                memory_checks::MemoryCheckInput { settings: &config.memory, location, autostart }
            })
        }
        Err(_) => None,
    };
    let of_memory = |check: memory_checks::MemoryPart| {
        let memory = memory.as_ref();
        async move {
            match memory {
                Some(memory) => memory.check(check).await,
                None => skip_unknown(),
            }
        }
    };
    let here = root.unwrap_or(Path::new("."));
    let (home, database_url) = (context.env.home(), super::open_database::url(context).ok());
    let places = root.map(|workspace| SandboxPlaces {
        workspace,
        home: home.as_deref(),
        database: database_url.as_ref().map(DatabaseUrl::path),
    });
    let read = config.as_ref().ok().map(|config| &config.settings);
    let mut checks = vec![
        Check::of("workspace", settings_checks::check_workspace(&workspace, read)).await,
        Check::of("configuration", async { settings_checks::check_configuration(&config, places) })
            .await,
        Check::of("database", database).await,
        Check::of("disk", async { machine_checks::check_disk(here) }).await,
        Check::of("git", machine_checks::check_git(here)).await,
        Check::of("agent", agents).await,
        Check::of("ci", ci).await,
        Check::of("sandbox", sandbox).await,
        Check::of("environment", environment).await,
        Check::of("docker", of_memory(MemoryPart::Docker)).await,
        Check::of("qdrant", of_memory(MemoryPart::Qdrant)).await,
        Check::of("faiss", of_memory(MemoryPart::Faiss)).await,
        Check::of("journal", of_memory(MemoryPart::Journal)).await,
        Check::of("embedder", of_memory(MemoryPart::Embedder)).await,
    ];
    if let (Some(settings), Some(workspace)) = (read, root)
        && let Some(name) = settings.workspace.run_remote()
    {
        let after_git = checks.iter().position(|check| check.name == "git").map_or(0, |at| at + 1);
        let finding = async {
            let unset = || Finding::skip(format!("{name} is not used"));
            let found = remote_check::check_remote(settings, workspace, &context.env).await;
            found.unwrap_or_else(unset)
        };
        checks.insert(after_git, Check::of("remote", finding).await);
    }
    HealthReport::new(checks)
}

/// Result of checks skipped because workspace or configuration is invalid.
fn skip_unknown() -> Finding {
    Finding::skip("needs the workspace and the configuration")
}

/// Formats a line per check, with the hint below.
fn text(report: &HealthReport) -> String {
    let width = report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { name, finding, .. } in &report.checks {
        let (word, look) = match finding.status {
            Status::Ok => ("ok  ", Style::new().green()),
            Status::Warn => ("warn", Style::new().yellow()),
            Status::Fail => ("FAIL", Style::new().red().bold()),
            Status::Skip => ("skip", Style::new().dim()),
        };
        let indent = width + 8;
        let detail = wrap_words(&printable(&finding.detail), indent);
        text += &format!("{}  {name:width$}  {detail}\n", look.apply_to(word));
        if let Some(hint) = &finding.hint {
            let hint = wrap_words(&printable(hint), indent + 3);
            text += &format!("{:indent$}{} {hint}\n", "", style("->").dim());
        }
    }
    text += match report.status {
        Overall::Ok => "healthy: a drain can start\n",
        Overall::Degraded => "degraded: see the warnings\n",
        Overall::Failed => "failed: a drain cannot start\n",
    };
    text
}

/// Wraps text between words at the column limit and indents continuation lines.
fn wrap_words(text: &str, indent: usize) -> String {
    let (mut broken, mut column) = (String::new(), indent);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > COLUMNS {
            broken += &format!("\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            broken.push(' ');
            column += 1;
        }
        broken += word;
        column += length;
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_between_words() {
        let text = wrap_words(&"word ".repeat(20), 20);
        let (first, rest) = text.split_once('\n').expect("two lines");
        assert_eq!(first, ["word"; 12].join(" "), "twelve words and their spaces are 59 columns");
        assert_eq!(rest, format!("{:20}{}", "", ["word"; 8].join(" ")));
        assert_eq!(wrap_words(&"x".repeat(99), 20), "x".repeat(99), "a path stays whole");
    }
}
