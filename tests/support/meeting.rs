//! A meeting place of fake agents and runs of CI: a directory outside of the repository, with files as messages.

/// Start of an agent that leaves messages, and waits for those of others.
pub const MEETING: &str = r#"
meeting = workspace.parent / 'witness' / "meeting"
meeting.mkdir(exist_ok=True)
def say(name): (meeting / name).write_text(phase_id)
def said(prefix): return len(list(meeting.glob(prefix + "*")))
def wait_for(prefix, number=1):
    for _ in range(3000):
        if said(prefix) >= number: return
        time.sleep(0.01)
    sys.exit(f"{phase_id} waited in vain for {number} of {prefix}")
"#;
