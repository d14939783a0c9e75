//! A task for an agent, in a temporary directory.

use std::path::Path;

use autopack::agent::{AttemptBudget, Task};
use autopack::phase::autofix::{Limits, autofix};
use autopack::phase::{FixedSpec, PhaseId, RawSpec, RunId};
use autopack::process::{Redactor, use_supervisor};

/// A task to create `src/hello.txt`; the slot is `folder/slot`.
pub fn task(folder: &Path) -> Task {
    use_supervisor(env!("CARGO_BIN_EXE_autopack"));
    std::fs::create_dir(folder.join("slot")).unwrap();
    std::fs::write(folder.join("prompt.md"), "the prompt").unwrap();
    std::fs::write(folder.join("phase.json"), "{}").unwrap();
    Task {
        run_id: RunId::new("run"),
        phase_id: PhaseId::new("phase"),
        attempt: 1,
        try_number: 1,
        owner: "owner".to_owned(),
        prompt: "the prompt".to_owned(),
        workspace: folder.to_owned(),
        worktree: folder.join("slot"),
        prompt_file: folder.join("prompt.md"),
        phase_file: folder.join("phase.json"),
        result_file: folder.join("result.json"),
        log: folder.join("agent.log"),
        log_dir: folder.join("agent-files"),
        env: [("PATH".into(), std::env::var_os("PATH").unwrap())].into(),
        redact: Redactor::formats_only(),
        hold: None,
        spec: spec(),
        protected: Vec::new(),
        budget: AttemptBudget::default(),
        session: None,
        checks: None,
    }
}

fn spec() -> FixedSpec {
    let raw = serde_json::json!({"phase_id": "phase", "deliverables": ["src/hello.txt"]});
    let limits = Limits { workspace: None, max_timeout_seconds: 3600, unscoped_allowed: false };
    autofix(&RawSpec(raw), None, &limits).result.unwrap()
}
