//! Completion of values in a shell: runs, phases, agents and states.
//!
//! The script of `completions SHELL` calls autopack with the words typed so far. Completion prints candidates or
//! nothing: no errors, and no database is created.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};
use clap_complete::CompleteEnv;
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};

use super::{Context, Global, command, open_database};
use crate::agent::program_kinds;
use crate::phase::autofix::fields::FIELDS;
use crate::phase::{PhaseState, RunId};
use crate::store::NameListing;
use crate::workspace::Repo;

/// Variable that asks for completion; a shell's own name would be `COMPLETE`, which others use too.
pub(super) const VARIABLE: &str = "_AUTOPACK_COMPLETE";

/// Completes a command line if the shell asks for this. Returns whether it did.
pub fn complete() -> bool {
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .try_complete(std::env::args_os(), here.as_deref())
        // A shell would show the error in the middle of the command line.
        .unwrap_or(true)
}

/// Adds completion to the arguments of all verbs, by the names of their values.
pub(super) fn add_completion(command: Command) -> Command {
    command.mut_args(complete_values).mut_subcommands(add_completion)
}

fn complete_values(arg: Arg) -> Arg {
    if !arg.get_action().takes_values() {
        return arg;
    }
    let names = arg.get_value_names().unwrap_or_default().iter();
    let names: Vec<&str> = names.flat_map(|name| name.split([' ', '|', '/', '='])).collect();
    let source: fn(&mut CommandLine) -> Vec<String> = match arg.get_id().as_str() {
        "agent" => |words| words.agents(),
        _ if names.contains(&"STATE") => {
            |_| PhaseState::ALL.map(|state| state.to_string()).to_vec()
        }
        _ if names.contains(&"FIELD") => {
            |_| FIELDS[1..].iter().map(|field| format!("{field}=")).collect()
        }
        _ if names.contains(&"BRANCH") => |words| words.branches(),
        _ if names.contains(&"REMOTE") => |words| words.remotes(),
        _ if names.contains(&"PHASE") && names.contains(&"RUN") => |words| {
            let (runs, phases) = (words.runs(), words.phases());
            runs.into_iter().chain(phases).collect()
        },
        _ if names.contains(&"PHASE") => |words| words.phases(),
        _ if names.contains(&"RUN") => |words| words.runs(),
        _ => return arg,
    };
    let is_file = names.contains(&"FILE");
    arg.add(ArgValueCompleter::new(move |current: &OsStr| {
        let Some(current) = current.to_str() else { return Vec::new() };
        let mut candidates = source(&mut CommandLine::new(current));
        candidates.retain(|candidate| candidate.starts_with(current));
        let mut candidates: Vec<CompletionCandidate> =
            candidates.into_iter().map(CompletionCandidate::new).collect();
        if is_file {
            candidates.extend(PathCompleter::file().complete(current.as_ref()));
        }
        candidates
    }))
}

/// The command line so far.
struct CommandLine<'a> {
    current: &'a str,
    words: Vec<OsString>,
}

impl<'a> CommandLine<'a> {
    fn new(current: &'a str) -> Self {
        Self { current, words: std::env::args_os().skip_while(|word| word != "--").collect() }
    }

    /// Returns the value of an option.
    fn option(&self, name: &str) -> Option<String> {
        let at = self.words.iter().position(|word| {
            word.to_str().is_some_and(|word| word == name || word.starts_with(&format!("{name}=")))
        })?;
        let text = self.words[at].to_str()?;
        if let Some((_, value)) = text.split_once('=') {
            return Some(value.to_owned());
        }
        Some(self.words.get(at + 1)?.to_str()?.to_owned())
    }

    fn context(&self) -> Option<Context> {
        let global = Global {
            workspace: self.option("--workspace").map(Into::into),
            config_dir: self.option("--config-dir").map(Into::into),
            database_url: self.option("--database-url"),
            ..Global::default()
        };
        Context::new(global).ok()
    }

    fn agents(&self) -> Vec<String> {
        let configured = self.context().and_then(|context| {
            let agents = &context.config().ok()?.settings.agents.named;
            Some(agents.keys().cloned().collect::<Vec<_>>())
        });
        let configured = configured.unwrap_or_default();
        match configured.is_empty() {
            true => program_kinds().into_iter().map(str::to_owned).collect(),
            false => configured,
        }
    }

    /// Returns the user's branches.
    fn branches(&self) -> Vec<String> {
        self.list_of_repository(async |repo| repo.users_branches().await.ok())
    }

    /// Returns the names of the remotes.
    fn remotes(&self) -> Vec<String> {
        self.list_of_repository(async |repo| {
            let remotes = repo.remotes().await.ok()?;
            Some(remotes.into_iter().map(|remote| remote.name).collect())
        })
    }

    fn list_of_repository(&self, list: impl AsyncFn(Repo) -> Option<Vec<String>>) -> Vec<String> {
        let found = async || {
            let repo = Repo::discover(&self.context()?.workspace().ok()?).await.ok()?;
            list(repo).await
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.ok().and_then(|runtime| runtime.block_on(found())).unwrap_or_default()
    }

    fn runs(&self) -> Vec<String> {
        let list = async |listing: &mut NameListing| listing.runs().await;
        let runs = self.read(list).unwrap_or_default();
        runs.iter().map(|run| argument(run.as_str(), || run.file_name())).collect()
    }

    /// Returns the phases of the run of the command line, or of the run used last. With several runs, `RUN/` and
    /// `RUN/PHASE` too.
    fn phases(&self) -> Vec<String> {
        let named = self.option("--run-id");
        let is_split = self.current.contains('/');
        let list = async |listing: &mut NameListing| {
            let runs = listing.runs().await;
            let chosen = named.as_deref().map(RunId::new).or_else(|| runs.first().cloned());
            let Some(chosen) = chosen else { return Vec::new() };
            let phase_name = |id: &crate::phase::PhaseId| argument(id.as_str(), || id.file_name());
            let mut names: Vec<String> =
                listing.phases(&chosen).await.iter().map(phase_name).collect();
            let others = if named.is_some() { &[][..] } else { &runs[..] };
            for run in others {
                let run_name = argument(run.as_str(), || run.file_name());
                match is_split && self.current.starts_with(&format!("{run_name}/")) {
                    true => names.extend(
                        listing
                            .phases(run)
                            .await
                            .iter()
                            .map(|phase| format!("{run_name}/{}", phase_name(phase))),
                    ),
                    false if runs.len() > 1 => names.push(format!("{run_name}/")),
                    false => {}
                }
            }
            names
        };
        self.read(list).unwrap_or_default()
    }

    fn read<T>(&self, work: impl AsyncFnOnce(&mut NameListing) -> T) -> Option<T> {
        let context = self.context()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(async {
            context.check_shared_database().await;
            let url = open_database::url(&context).ok()?;
            let mut listing = NameListing::open(&url).await?;
            Some(work(&mut listing).await)
        })
    }
}

/// Returns an id as a word of any shell: as written, or as in paths.
fn argument(id: &str, file_name: impl Fn() -> String) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./@+,%".contains(c);
    match id.chars().all(is_plain) {
        true => id.to_owned(),
        false => file_name(),
    }
}
