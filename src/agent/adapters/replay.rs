//! Replays recorded edits: `<folder>/<phase>/<number>/` is copied over the worktree, by the number of the
//! counted attempt. No network, no key; for demonstrations and tests.
//!
//! A recording may contain `.autopack-replay.json`: `{"delete":[paths],"exit_code":n}` plus the fields of a
//! result file. Links in a recording become links; nothing is ever written through a link that leads out of
//! the worktree.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::own_command::of_exit_code;
use crate::agent::runner::result_file::{self, ResultFile};
use crate::agent::{AgentError, AgentEvent, AgentReply, Outcome, Task};
use crate::config::ReplayAgentSettings;
use crate::process::{JobEnd, StopLevel, StopReceiver};

const NOTES_FILE: &str = ".autopack-replay.json";

pub(crate) async fn run(
    settings: &ReplayAgentSettings,
    task: Task,
    stop: &StopReceiver,
    on_event: &(dyn Fn(AgentEvent) + Sync),
) -> Result<AgentReply, AgentError> {
    let directory = recordings_dir(settings, &task.workspace)?.join(task.phase_id.file_name());
    on_event(AgentEvent::Started);
    if stop.level() >= StopLevel::Graceful {
        return Ok(reply(JobEnd::Stopped, ResultFile::default(), String::new()));
    }
    let Some(recording) = recording(&directory, task.counted_attempt) else {
        let note = format!("no recording for this phase in {}", directory.display());
        on_event(AgentEvent::Line(note.clone()));
        let result = ResultFile { notes: vec![note.clone()], ..ResultFile::default() };
        return Ok(reply(JobEnd::Exited(1), result, note));
    };
    let played = tokio::task::spawn_blocking(move || play(&recording, &task.worktree));
    let (code, result, lines) = match played.await {
        Ok(played) => played?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    lines.iter().for_each(|line| on_event(AgentEvent::Line(line.clone())));
    Ok(reply(JobEnd::Exited(code), result, lines.join("\n")))
}

fn reply(ended: JobEnd, result: ResultFile, last_lines: String) -> AgentReply {
    let outcome = match ended {
        JobEnd::Exited(code) => result.outcome.unwrap_or_else(|| of_exit_code(code, &last_lines)),
        _ => Outcome::Finished,
    };
    AgentReply {
        ended,
        outcome,
        usage: result.usage,
        session: None,
        summary: result.summary,
        last_lines,
        notes: result.notes,
        provider_failure: None,
    }
}

/// Returns the directory of all recordings.
pub(crate) fn recordings_dir(
    settings: &ReplayAgentSettings,
    workspace: &Path,
) -> Result<PathBuf, AgentError> {
    let directory = workspace.join(&settings.folder);
    if directory.is_dir() {
        return Ok(directory);
    }
    Err(AgentError::Missing {
        program: directory.display().to_string(),
        searched: "there is no such directory".to_owned(),
        hint: "record edits there, or change `folder` of this agent in autopack.yaml".to_owned(),
    })
}

/// Returns the recording of this attempt, or of the nearest earlier attempt.
fn recording(directory: &Path, counted_attempt: u32) -> Option<PathBuf> {
    let tries = fs::read_dir(directory).ok()?;
    let recorded = tries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|recorded| *recorded <= counted_attempt)
        .max()?;
    Some(directory.join(recorded.to_string())).filter(|directory| directory.is_dir())
}

fn play(from: &Path, worktree: &Path) -> Result<(i32, ResultFile, Vec<String>), AgentError> {
    let mut stage = Stage::new(worktree)?;
    let (deletions, code, mut result) = notes_of(&from.join(NOTES_FILE))?;
    for path in &deletions {
        stage.delete(path)?;
    }
    stage.copy(from, Path::new(""))?;
    result.notes.extend(stage.refused);
    Ok((code, result, stage.lines))
}

fn notes_of(file: &Path) -> Result<(Vec<String>, i32, ResultFile), AgentError> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
        read => read.map_err(failed("read", file))?,
    };
    let result = result_file::parse(&text);
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let delete = value["delete"].as_array().into_iter().flatten();
    let deletions = delete.filter_map(|path| path.as_str().map(str::to_owned)).collect();
    let code = value["exit_code"].as_i64().and_then(|code| i32::try_from(code).ok());
    Ok((deletions, code.unwrap_or(0), result))
}

/// The worktree, with a log of the changes.
struct Stage {
    /// The path without links.
    root: PathBuf,
    lines: Vec<String>,
    refused: Vec<String>,
}

impl Stage {
    fn new(worktree: &Path) -> Result<Self, AgentError> {
        let root = worktree.canonicalize().map_err(failed("find the worktree", worktree))?;
        Ok(Self { root, lines: Vec::new(), refused: Vec::new() })
    }

    fn copy(&mut self, from: &Path, below: &Path) -> Result<(), AgentError> {
        let mut entries: Vec<fs::DirEntry> = fs::read_dir(from)
            .and_then(Iterator::collect)
            .map_err(failed("read the recording", from))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = below.join(entry.file_name());
            if path == Path::new(NOTES_FILE) {
                continue;
            }
            let kind = entry.file_type().map_err(failed("read", &entry.path()))?;
            if kind.is_dir() {
                self.copy(&entry.path(), &path)?;
            } else {
                self.place(&entry.path(), &path, kind.is_symlink())?;
            }
        }
        Ok(())
    }

    fn place(&mut self, from: &Path, path: &Path, is_link: bool) -> Result<(), AgentError> {
        let Some(to) = self.target(path, true)? else { return Ok(()) };
        remove(&to).map_err(failed("replace", &to))?;
        if is_link {
            let leads_to = fs::read_link(from).map_err(failed("read", from))?;
            symlink(leads_to, &to).map_err(failed("write", &to))?;
        } else {
            fs::copy(from, &to).map_err(failed("write", &to))?;
        }
        self.lines.push(format!("wrote {}", path.display()));
        Ok(())
    }

    fn delete(&mut self, path: &str) -> Result<(), AgentError> {
        let Some(at) = self.target(Path::new(path), false)? else { return Ok(()) };
        remove(&at).map_err(failed("delete", &at))?;
        self.lines.push(format!("deleted {path}"));
        Ok(())
    }

    /// Resolves a path of the worktree. Returns `None`, with a note, for a path outside.
    fn target(&mut self, path: &Path, make_parents: bool) -> Result<Option<PathBuf>, AgentError> {
        let mut at = self.root.clone();
        let parts: Vec<Component<'_>> = path.components().collect();
        let Some((name, parents)) = parts.split_last() else { return Ok(None) };
        let plain = |part: &Component<'_>| matches!(part, Component::Normal(_));
        if !plain(name) || !parents.iter().all(|part| plain(part) || *part == Component::CurDir) {
            return Ok(self.refuse(path));
        }
        for part in parents {
            at.push(part);
            if at.symlink_metadata().is_err() {
                if !make_parents {
                    return Ok(None);
                }
                fs::create_dir(&at).map_err(failed("make", &at))?;
            }
            match at.canonicalize() {
                Ok(real) if real.starts_with(&self.root) && real.is_dir() => at = real,
                _ => return Ok(self.refuse(path)),
            }
        }
        Ok(Some(at.join(name)))
    }

    fn refuse(&mut self, path: &Path) -> Option<PathBuf> {
        self.refused.push(format!(
            "{} is not in a directory of the worktree and was left unchanged",
            path.display()
        ));
        None
    }
}

/// Removes a link but not the target.
fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AgentError {
    let path = path.to_owned();
    move |source| AgentError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct ReplayFixture {
        directory: tempfile::TempDir,
    }

    impl ReplayFixture {
        fn new() -> Self {
            let fixture = Self { directory: tempfile::tempdir().unwrap() };
            for directory in ["worktree", "outside", "recorded/p"] {
                fs::create_dir_all(fixture.at(directory)).unwrap();
            }
            fixture
        }

        fn at(&self, path: &str) -> PathBuf {
            self.directory.path().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
            fs::write(self.at(path), text).unwrap();
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.at(path)).unwrap_or_else(|error| error.kind().to_string())
        }

        async fn run(&self, counted_attempt: u32) -> AgentReply {
            let settings = ReplayAgentSettings { folder: "recorded".into() };
            let task = Task { counted_attempt, ..Task::sample(self.directory.path(), "p") };
            run(&settings, task, &StopReceiver::never(), &|_| {}).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_recording_is_copied_with_its_usage() {
        let fixture = ReplayFixture::new();
        fixture.write("worktree/old.txt", "old");
        fixture.write("worktree/kept.txt", "kept");
        fixture.write("recorded/p/1/src/new.txt", "new");
        fixture.write("recorded/p/1/kept.txt", "changed");
        let notes = r#"{"delete":["old.txt","never.txt"],"tokens":{"input":5},"cost_usd":0.1,
                        "exit_code":3,"summary":"did it"}"#;
        fixture.write("recorded/p/1/.autopack-replay.json", notes);
        let reply = fixture.run(1).await;
        assert_eq!(reply.ended, JobEnd::Exited(3));
        assert_eq!((reply.usage.tokens.input, reply.usage.cost_usd), (Some(5), Some(0.1)));
        assert_eq!(reply.summary.as_deref(), Some("did it"));
        assert_eq!(fixture.read("worktree/src/new.txt"), "new");
        assert_eq!(fixture.read("worktree/kept.txt"), "changed");
        assert!(!fixture.at("worktree/old.txt").exists());
        assert!(!fixture.at("worktree/.autopack-replay.json").exists());
        assert_eq!(reply.notes, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_missing_recording_is_replaced_by_the_nearest_earlier_attempt() {
        let fixture = ReplayFixture::new();
        for n in [2, 4, 10] {
            fixture.write(&format!("recorded/p/{n}/try"), &n.to_string());
        }
        for (n, played) in [(2, "2"), (3, "2"), (9, "4"), (11, "10")] {
            fixture.run(n).await;
            assert_eq!(fixture.read("worktree/try"), played);
        }
        let nothing = fixture.run(1).await;
        assert_eq!((nothing.ended, nothing.notes.len()), (JobEnd::Exited(1), 1));
    }

    #[tokio::test]
    async fn nothing_is_written_or_deleted_outside_the_worktree() {
        let fixture = ReplayFixture::new();
        fixture.write("outside/file", "theirs");
        symlink(fixture.at("outside"), fixture.at("worktree/dir")).unwrap();
        symlink(fixture.at("outside/file"), fixture.at("worktree/file")).unwrap();
        symlink("/nowhere/at/all", fixture.at("worktree/dangling")).unwrap();
        for path in ["dir/file", "file", "dangling/x"] {
            fixture.write(&format!("recorded/p/1/{path}"), "mine");
        }
        let outside = fixture.at("outside/file").display().to_string();
        let notes = format!(r#"{{"delete":["../outside/file","{outside}","dir/file",".",""]}}"#);
        fixture.write("recorded/p/1/.autopack-replay.json", &notes);
        let reply = fixture.run(1).await;
        assert_eq!(fixture.read("outside/file"), "theirs");
        assert_eq!(fs::read_dir(fixture.at("outside")).unwrap().count(), 1);
        assert_eq!(fixture.read("worktree/file"), "mine");
        assert!(!fixture.at("worktree/file").is_symlink());
        assert_eq!(reply.notes.len(), 6, "{:?}", reply.notes);
    }

    #[tokio::test]
    async fn links_within_are_followed_and_recorded_links_are_links() {
        let fixture = ReplayFixture::new();
        fixture.write("worktree/real/file", "old");
        symlink("real", fixture.at("worktree/alias")).unwrap();
        fixture.write("recorded/p/1/alias/file", "new");
        symlink("../secret", fixture.at("recorded/p/1/link")).unwrap();
        fixture.run(1).await;
        assert_eq!(fixture.read("worktree/real/file"), "new");
        assert_eq!(fs::read_link(fixture.at("worktree/link")).unwrap(), Path::new("../secret"));
    }

    #[tokio::test]
    async fn without_any_recordings_the_agent_is_missing() {
        let fixture = ReplayFixture::new();
        let settings = ReplayAgentSettings { folder: "elsewhere".into() };
        let task = Task::sample(fixture.directory.path(), "p");
        let error = run(&settings, task, &StopReceiver::never(), &|_| {}).await.unwrap_err();
        assert!(matches!(error, AgentError::Missing { .. }));
        assert!(error.to_string().contains("elsewhere"), "{error}");
    }
}
