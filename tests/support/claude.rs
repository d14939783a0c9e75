//! A `claude` on PATH that does the phase's work and prints a recorded stream, for projects without a configuration.

use super::fake_agent::recordings;
use super::{Project, executable};

/// Version that the program reports.
pub const VERSION: &str = "2.1.197";

/// Writes each deliverable with the given content, in Python; `phase` is the phase, `path` the deliverable.
const WORK: &str = r#"
import json, os, pathlib, sys
if "--version" in sys.argv:
    print("VERSION (Claude Code)")
    sys.exit()
phase = json.load(open(os.environ["AUTOPACK_PHASE_FILE"]))
sys.stdin.read()
for path in phase["deliverables"]:
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CONTENT)
print(open(STREAM).read(), end="")
"#;

impl Project {
    /// Puts a scripted agent program on PATH, besides the machine's own programs.
    pub fn program_on_path(self, name: &str, script: &str) -> Self {
        let bin = self.outside("bin");
        std::fs::create_dir_all(&bin).unwrap();
        executable(&bin.join(name), script);
        let path = std::env::var("PATH").unwrap_or_default();
        self.env("PATH", format!("{}:{path}", bin.display()))
    }

    /// Puts a `claude` on PATH that writes each deliverable; `content` is a Python expression.
    pub fn claude_on_path(self, content: &str) -> Self {
        let stream = recordings("claude").join("success.jsonl");
        let work = WORK
            .replace("VERSION", VERSION)
            .replace("CONTENT", content)
            .replace("STREAM", &format!("{stream:?}"));
        // Tests may run as root, for which Claude Code would not start otherwise.
        self.env("IS_SANDBOX", "1")
            .program_on_path("claude", &format!("#!/usr/bin/env python3{work}"))
    }
}
