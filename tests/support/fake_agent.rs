//! A program that replays a real agent's recorded output, under the agent's own name.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use autopack::agent::{self, AgentEvent, AgentReply, Task};
use autopack::config::AgentSettings;
use autopack::process::StopReceiver;
use tempfile::TempDir;

use super::{agent_task, executable};

pub struct Fake {
    dir: TempDir,
    kind: String,
    program: PathBuf,
    settings: String,
    pub task: Task,
}

/// Result of the replay.
pub struct Seen {
    pub reply: AgentReply,
    pub events: Vec<AgentEvent>,
    pub args: Vec<String>,
    pub stdin: String,
    pub log: String,
}

impl Fake {
    /// Prints the recording of `kind` in `case`, then runs the shell line `then`.
    pub fn recorded(kind: &str, case: &str, then: &str) -> Self {
        let at = recordings(kind);
        let file = |ending: &str| at.join(format!("{case}.{ending}"));
        let stream = ["jsonl", "txt"].map(file).into_iter().find(|file| file.exists());
        let mut script = format!("cat '{}'\n", stream.expect("a recording").display());
        if file("stderr").exists() {
            script += &format!("cat '{}' >&2\n", file("stderr").display());
        }
        if file("account").exists() {
            script += &format!("cp '{}' \"$account\"\n", file("account").display());
        }
        Self::doing(kind, &(script + then))
    }

    /// Prints these lines, then runs the shell line `then`.
    pub fn saying(kind: &str, lines: &[&str], then: &str) -> Self {
        let says = format!("cat <<'END'\n{}\nEND\n", lines.join("\n"));
        Self::doing(kind, &(says + then))
    }

    pub fn doing(kind: &str, script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("agent");
        let start = "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$0.args\"\ncat > \"$0.stdin\"\naccount=\n\
                     for arg in \"$@\"; do case \"$arg\" in */account) account=$arg;; esac; done\n";
        executable(&program, &format!("{start}{script}\n"));
        let mut task = agent_task::task(dir.path());
        // Tests may run as root, for which Claude Code would not start otherwise.
        task.env.insert("IS_SANDBOX".into(), "1".into());
        Self { dir, kind: kind.to_owned(), program, settings: String::new(), task }
    }

    /// More keys of the agent's configuration, as YAML.
    pub fn with(mut self, settings: &str) -> Self {
        self.settings += &format!(", {settings}");
        self
    }

    /// Ends 3 s after its last output, not 30 s.
    pub fn ended_early(mut self) -> Self {
        self.task.env.insert("AUTOPACK_TEST_AGENT_QUIET_SECONDS".into(), "3".into());
        self
    }

    pub fn settings(&self) -> AgentSettings {
        let program = self.program.display();
        let yaml = format!("{{kind: {}, program: '{program}'{}}}", self.kind, self.settings);
        serde_yaml::from_str(&yaml).unwrap()
    }

    pub async fn run(self) -> Seen {
        self.run_watched(&StopReceiver::never(), |_| {}).await
    }

    pub async fn run_watched(self, stop: &StopReceiver, see: impl Fn(&AgentEvent) + Sync) -> Seen {
        let settings = self.settings();
        let events = Mutex::new(Vec::new());
        let note = |event| {
            see(&event);
            events.lock().unwrap().push(event);
        };
        let reply = agent::run(&settings, self.task, stop, &note).await.unwrap();
        let left =
            |name: &str| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        Seen {
            reply,
            events: events.into_inner().unwrap(),
            args: left("agent.args").lines().map(str::to_owned).collect(),
            stdin: left("agent.stdin"),
            log: left("agent.log"),
        }
    }
}

impl Seen {
    pub fn tokens(&self) -> [Option<u64>; 4] {
        let tokens = self.reply.usage.tokens;
        [tokens.input, tokens.output, tokens.cache_read, tokens.cache_write]
    }

    /// The tool uses, as shown to people.
    pub fn tools(&self) -> Vec<String> {
        let tool = |event: &AgentEvent| match event {
            AgentEvent::Tool(words) => Some(words.clone()),
            _ => None,
        };
        self.events.iter().filter_map(tool).collect()
    }

    pub fn has_line(&self, text: &str) -> bool {
        self.events.contains(&AgentEvent::Line(text.to_owned()))
    }
}

/// The directory of a kind's recordings.
pub fn recordings(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/agents").join(kind)
}

/// What each recording of a kind comes to: `expected.json`.
pub fn expected(kind: &str) -> serde_json::Map<String, serde_json::Value> {
    let text = std::fs::read_to_string(recordings(kind).join("expected.json")).expect(kind);
    serde_json::from_str(&text).expect(kind)
}
