//! `report`: a run as one page for a browser, or as Markdown for a pull request.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;

use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::report;

/// Make a report of a run: a page that needs no network, or Markdown for a pull request
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run [default: the only one there is]
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,

    /// Write it to this file; `-` is standard output, the default
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// A page (html), or short text for a pull request (md) [default: by the file's ending, else html]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Html,
    Md,
}

impl Format {
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
    let root = context.workspace()?;
    let final_test = context.config()?.settings.ci.final_test;
    let store = open_database::open_existing(context).await?;
    let run = open_database::the_run(&store, args.run_id.as_deref()).await?;
    let text = match args.format.unwrap_or(Format::of(args.output.as_deref())) {
        Format::Html => report::html(&store, &run, &root, final_test, &redactor).await?,
        Format::Md => report::markdown(&store, &run, final_test, &redactor).await?,
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

/// Before any work: what is there and is no plain file is somebody's device, folder or link.
fn refuse_other_than_file(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(about) if !about.is_file() => Err(Failure::new(format!(
            "cannot write {}: it is there and is no plain file",
            path.display()
        ))
        .hint("name a file with -o, or leave -o out and redirect standard output")
        .exit(Exit::Usage)),
        _ => Ok(()),
    }
}

/// Beside it first, then in its place: whoever reads it sees the old one or the new one, whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    // Without the file's own name, which may be as long as names can be.
    let beside = path.with_file_name(format!(".autopack-report.{}.tmp", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is left of it is ours; that it cannot be removed either changes nothing.
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
