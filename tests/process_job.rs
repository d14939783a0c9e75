//! Programs under the real supervisor: their ends, their input and their output.

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::time::Duration;

use crate::support::process::{env, job, run, sh};
use autopack::process::{
    JobEnd, Redactor, SpawnError, StopLevel, StopReceiver, Stream, run as run_until,
};

fn here() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn exit_codes_and_signals_are_distinguished() {
    let at = here();
    let end_of = async |script: &str| run(sh(script, at.path())).await.unwrap().end;
    assert_eq!(end_of("exit 0").await, JobEnd::Exited(0));
    assert_eq!(end_of("exit 3").await, JobEnd::Exited(3));
    // A shell's code for a signal, and timeout(1)'s for a timeout: here just numbers.
    for code in [124, 137, 143] {
        assert_eq!(end_of(&format!("exit {code}")).await, JobEnd::Exited(code));
    }
    assert_eq!(end_of("kill -TERM $$").await, JobEnd::Signalled(15));
    assert_eq!(end_of("kill -KILL $$").await, JobEnd::Signalled(9));
}

#[tokio::test]
async fn a_timeout_is_recorded_regardless_of_the_programs_exit() {
    let at = here();
    let scripts = [
        "exec sleep 1000",
        "trap 'exit 0' TERM; while :; do sleep 0.01; done",
        "trap '' TERM; while :; do sleep 0.01; done",
    ];
    for script in scripts {
        let mut job = sh(script, at.path());
        job.timeout = Duration::from_millis(200);
        job.grace = Duration::from_millis(200);
        assert_eq!(run(job).await.unwrap().end, JobEnd::TimedOut, "{script}");
    }
}

#[tokio::test]
async fn silence_without_work_is_a_stall() {
    let at = here();
    let mut job = sh("exec sleep 1000", at.path());
    job.idle_timeout = Some(Duration::from_millis(300));
    job.grace = Duration::from_millis(100);
    assert_eq!(run(job).await.unwrap().end, JobEnd::Stalled);
}

#[tokio::test]
async fn a_stop_ends_it_gracefully_or_at_once() {
    let at = here();
    for (level, script, expected) in [
        (
            StopLevel::Graceful,
            "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done",
            "up\nbye\n",
        ),
        (
            StopLevel::Now,
            "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done",
            "up\n",
        ),
    ] {
        let (handle, stop) = StopReceiver::pair();
        let when_up = |_: Stream, line: &str| {
            if line == "up" {
                handle.raise(level);
            }
        };
        let mut job = sh(script, at.path());
        job.on_line = Some(&when_up);
        let ended = run_until(job, &stop).await.unwrap();
        assert_eq!(ended.end, JobEnd::Stopped);
        assert_eq!(ended.stdout.text(), expected);
    }
}

#[tokio::test]
async fn a_second_stop_cuts_the_grace_short() {
    let at = here();
    let (handle, stop) = StopReceiver::pair();
    let raise = |_: Stream, line: &str| match line {
        "up" => handle.raise(StopLevel::Graceful),
        "asked" => handle.raise(StopLevel::Now),
        _ => {}
    };
    let mut job = sh("trap 'echo asked' TERM; echo up; while :; do sleep 0.01; done", at.path());
    job.grace = crate::support::process::LONG;
    job.on_line = Some(&raise);
    assert_eq!(run_until(job, &stop).await.unwrap().end, JobEnd::Stopped);
}

#[tokio::test]
async fn nothing_starts_after_a_stop() {
    let at = here();
    let (handle, stop) = StopReceiver::pair();
    handle.raise(StopLevel::Graceful);
    let ended = run_until(sh("touch started", at.path()), &stop).await.unwrap();
    assert_eq!(ended.end, JobEnd::Stopped);
    assert!(!at.path().join("started").exists());
}

#[tokio::test]
async fn a_program_that_cannot_start_is_reported_with_the_systems_message() {
    let at = here();
    let write = |name: &str, text: &str, mode| {
        let path = at.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let error = async |argv: &[&str]| run(job(argv, at.path())).await.unwrap_err();

    let missing = error(&["no-such-program"]).await;
    assert!(matches!(missing, SpawnError::NotFound { .. }), "{missing}");
    let missing = error(&["./no-such-program"]).await;
    assert!(matches!(missing, SpawnError::NotFound { .. }), "{missing}");

    let plain = write("plain", "echo", 0o644);
    let odd = write("odd", "#!/no/such/interpreter\n", 0o755);
    for (program, part) in [(plain.as_str(), "ermission denied"), (odd.as_str(), "interpreter")] {
        let refused = error(&[program]).await;
        assert!(matches!(refused, SpawnError::CannotStart { .. }), "{refused}");
        assert!(refused.to_string().contains(part), "{refused}");
    }
    let refused = error(&[]).await;
    assert!(refused.to_string().contains("empty"), "{refused}");
    let nowhere = run(sh("true", &at.path().join("gone"))).await.unwrap_err();
    assert!(nowhere.to_string().contains("gone"), "{nowhere}");
    let long = "x".repeat(1 << 20);
    let refused = error(&["echo", &long]).await;
    assert!(refused.to_string().contains("too long"), "{refused}");
}

#[tokio::test]
async fn the_environment_and_the_open_files_are_exactly_the_given_ones() {
    let at = here();
    let lock = autopack::process::FileLock::try_lock(&at.path().join("lock")).unwrap().unwrap();
    let given = |argv: &[&str]| {
        let mut job = job(argv, at.path());
        job.env = env("exact");
        job.env.insert("ODD".into(), "a b\n'\"".into());
        job.hold = Some(lock.fd().unwrap());
        run(job)
    };
    let path = std::env::var("PATH").unwrap();
    let environment = given(&["env"]).await.unwrap().stdout.text();
    assert_eq!(environment, format!("AUTOPACK_TEST_MARK=exact\nODD=a b\n'\"\nPATH={path}\n"));
    let cwd = at.path().canonicalize().unwrap();
    let files = given(&["sh", "-c", "ls /proc/$$/fd; pwd"]).await.unwrap().stdout.text();
    assert_eq!(files, format!("0\n1\n2\n{}\n", cwd.display()));
}

#[tokio::test]
async fn input_that_nobody_reads_blocks_nothing() {
    let at = here();
    let input = vec![b'x'; 8 << 20];
    let fed = |script: &str| {
        let mut job = sh(script, at.path());
        job.stdin = Some(input.clone());
        run(job)
    };
    // Never reads; reads a little and ends; closes it and goes on printing; echoes more than a pipe holds.
    assert_eq!(fed("exit 5").await.unwrap().end, JobEnd::Exited(5));
    assert_eq!(fed("head -c 10 >/dev/null").await.unwrap().end, JobEnd::Exited(0));
    let closes = fed("exec <&-; echo still here").await.unwrap();
    assert_eq!(closes.stdout.text(), "still here\n");
    assert_eq!(fed("cat").await.unwrap().stdout.total, 8 << 20);
    // Without input there is an end of input at once.
    assert_eq!(run(sh("cat", at.path())).await.unwrap().end, JobEnd::Exited(0));
}

#[tokio::test]
async fn much_output_is_captured_at_both_ends_and_logged_up_to_the_cap() {
    let at = here();
    let line = "x".repeat(99);
    let script = format!("echo first; yes {line} | head -c 100000000; echo; echo last");
    let mut job = sh(&script, at.path());
    job.log = Some(at.path().join("log"));
    job.log_cap = 3_000_000;
    let ended = run(job).await.unwrap();
    let total = 100_000_000 + 6 + 1 + 5;
    assert_eq!((ended.end, ended.stdout.total), (JobEnd::Exited(0), total));
    assert_eq!(ended.stdout.head.len() + ended.stdout.tail.len(), 1 << 20);
    let text = ended.stdout.text();
    assert!(text.starts_with("first\nxxx"));
    assert!(text.contains(&format!("{} bytes left out", total - (1 << 20))));
    assert_eq!(ended.stdout.tail_lines(1), "last");
    let log = std::fs::read_to_string(at.path().join("log")).unwrap();
    assert!(log.starts_with("first\n") && log.len() < 3_000_200, "{}", log.len());
    assert!(log.contains(&format!("{} bytes left out", total - 3_000_000)));
}

#[tokio::test]
async fn secrets_reach_neither_log_nor_capture_nor_watcher() {
    let at = here();
    let secret = "correct-horse-battery";
    // In two writes, so that two reads see half of it each; then once more without a line end.
    let script = "printf 'a correct-ho'; sleep 0.05; echo 'rse-battery b'; printf 'correct-horse-battery' >&2";
    let seen = Mutex::new(Vec::new());
    let note = |stream: Stream, line: &str| seen.lock().unwrap().push((stream, line.to_owned()));
    let mut job = sh(script, at.path());
    job.redact = Redactor::new([("MY_TOKEN".into(), secret.into())]);
    job.log = Some(at.path().join("log"));
    job.on_line = Some(&note);
    let ended = run(job).await.unwrap();
    assert_eq!(ended.stdout.text(), "a [redacted: MY_TOKEN] b\n");
    assert_eq!(ended.stderr.text(), "[redacted: MY_TOKEN]");
    let log = std::fs::read_to_string(at.path().join("log")).unwrap();
    assert_eq!(log, "a [redacted: MY_TOKEN] b\n[redacted: MY_TOKEN]");
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), 2);
    assert!(!format!("{seen:?}").contains(secret));
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_an_error() {
    let at = here();
    let mut job = sh("true", at.path());
    job.log = Some(at.path().join("no/such/directory/log"));
    let error = run(job).await.unwrap_err();
    assert!(matches!(error, SpawnError::Log { .. }), "{error}");
}
