//! `report`: writes a run as an HTML page or as Markdown for a pull request.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;

use super::Context;
use super::attempt_setup::open_repository;
use super::run_choice::{RunArg, RunUse};
use crate::ci::{self, CiPlace, Pythons};
use crate::failure::{Exit, Failure};
use crate::phase::PhaseCi;
use crate::report::{self, ReportInput};
use crate::workspace::Repo;

/// Write a report of a run: a self-contained HTML page, or Markdown for a pull request
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunArg,

    /// Write to this file [default: `-`, standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// HTML page, or short Markdown text [default: by file extension, else html]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Self-contained page for a browser
    Html,
    /// Short text for a pull request
    Md,
}

impl Format {
    /// Returns the format of a file extension.
    fn of(path: Option<&Path>) -> Self {
        let ending = path.and_then(Path::extension).and_then(|ending| ending.to_str());
        match ending {
            Some("md" | "markdown") => Self::Md,
            _ => Self::Html,
        }
    }
}

pub async fn run(mut args: Args, context: &Context) -> Result<Exit, Failure> {
    args.output = args.output.filter(|path| path.as_os_str() != "-");
    if let Some(path) = &args.output {
        refuse_other_than_file(path)?;
    }
    let redactor = context.redactor()?;
    let repo = open_repository(context).await?;
    let final_test = context.config()?.settings.ci.final_test;
    let ci_command = ci_command(&repo, context).await?;
    let artifacts = &context.config()?.settings.artifacts;
    let input = ReportInput { repo: &repo, final_test, ci_command, redactor: &redactor, artifacts };
    let (store, run) = args.run.open(context, RunUse::Read).await?;
    let text = match args.format.unwrap_or(Format::of(args.output.as_deref())) {
        Format::Html => report::html(&store, &run, &input).await?,
        Format::Md => report::markdown(&store, &run, &input).await?,
    };
    store.close().await;
    match args.output {
        None => context.out.text(&text)?,
        Some(path) => {
            let cannot = || format!("cannot write {}", path.display());
            replace(&path, text.as_bytes()).with_context(cannot)?;
            context.out.line(format_args!("wrote {}, {}", path.display(), size(text.len())))?;
        }
    }
    Ok(Exit::Done)
}

/// Returns the command of CI in your checkout, without those of single phases.
pub(super) async fn ci_command(repo: &Repo, context: &Context) -> Result<Option<String>, Failure> {
    let config = context.config()?;
    let environments = context.inherited_environments(config);
    let root = repo.root();
    let place = CiPlace { dir: root, workspace: root, env: &environments.ci.env };
    let (settings, phase) = (&config.settings.ci, PhaseCi::default());
    let plan = ci::choose_plan(&place, settings, &phase, &Pythons::default()).await;
    Ok(plan.is_configured().then(|| plan.display()))
}

/// Refuses to replace a device, directory or link. Checked before any work.
fn refuse_other_than_file(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(about) if !about.is_file() => Err(Failure::new(format!(
            "cannot write {}: it exists and is not a regular file",
            path.display()
        ))
        .hint("choose another file with -o, or omit -o and redirect standard output")
        .exit(Exit::Usage)),
        _ => Ok(()),
    }
}

/// Replaces the file atomically: readers see the old or the new content.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    // The file's own name is left out, because it may have the maximum length.
    let beside = path.with_file_name(format!(".autopack-report.{}.tmp", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Best effort: the write has already failed.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn size(bytes: usize) -> String {
    match bytes as f64 {
        b if b >= 1e6 => format!("{:.2} MB", b / 1e6),
        b => format!("{:.0} kB", (b / 1e3).ceil()),
    }
}
