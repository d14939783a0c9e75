//! A task for an agent, in a temporary directory.

use std::path::Path;

use autopack::agent::{AttemptBudget, OwnSandbox, Task};
use autopack::phase::autofix::{Limits, Unscoped, autofix};
use autopack::phase::{FixedSpec, PhaseId, RawSpec, RunId};
use autopack::process::{Redactor, use_supervisor};

/// A task to create `src/hello.txt`; the slot is `directory/slot`.
pub fn task(directory: &Path) -> Task {
    use_supervisor(env!("CARGO_BIN_EXE_autopack"));
    std::fs::create_dir(directory.join("slot")).unwrap();
    std::fs::write(directory.join("prompt.md"), "the prompt").unwrap();
    std::fs::write(directory.join("phase.json"), "{}").unwrap();
    Task {
        run_id: RunId::new("run"),
        phase_id: PhaseId::new("phase"),
        attempt: 1,
        counted_attempt: 1,
        owner: "owner".to_owned(),
        prompt: "the prompt".to_owned(),
        workspace: directory.to_owned(),
        worktree: directory.join("slot"),
        prompt_file: directory.join("prompt.md"),
        phase_file: directory.join("phase.json"),
        result_file: directory.join("result.json"),
        log: directory.join("agent.log"),
        log_dir: directory.join("agent-files"),
        env: [("PATH".into(), std::env::var_os("PATH").unwrap())].into(),
        redact: Redactor::formats_only(),
        hold: None,
        spec: spec(),
        protected: Vec::new(),
        budget: AttemptBudget::default(),
        session: None,
        checks: None,
        view: None,
        own_sandbox: OwnSandbox::default(),
        question: None,
        request_file: None,
        request_desk: None,
    }
}

fn spec() -> FixedSpec {
    let raw = serde_json::json!({"phase_id": "phase", "deliverables": ["src/hello.txt"]});
    let limits = Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Refuse };
    autofix(&RawSpec(raw), None, &limits).result.unwrap()
}
