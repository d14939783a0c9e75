//! Running drains: waiting for their actions, suspending and killing them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::support::process::LONG;

/// Pause between two polls.
const LOOK: Duration = Duration::from_millis(1);

/// A drain with its output in files, so that nobody has to read it meanwhile. Killed when dropped.
pub struct Running {
    child: Child,
    output: PathBuf,
}

#[derive(Debug)]
pub struct Over {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Running {
    pub fn start(mut command: Command, output: PathBuf) -> Self {
        let file = |end: &str| File::create(output.with_extension(end)).unwrap();
        let child = command.stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Self { child, output }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for a condition. `false`: the drain ended before.
    pub fn wait_until(&mut self, so: impl Fn() -> bool) -> bool {
        self.wait_within(LONG, so)
    }

    /// The same with a long time limit.
    pub fn wait_patiently(&mut self, so: impl Fn() -> bool) -> bool {
        self.wait_within(20 * LONG, so)
    }

    fn wait_within(&mut self, bound: Duration, so: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        loop {
            let over = self.is_over();
            if so() {
                return true;
            }
            if over {
                return false;
            }
            assert!(began.elapsed() < bound, "no progress: {}", self.output());
            std::thread::sleep(LOOK);
        }
    }

    /// All output so far.
    pub fn output(&self) -> String {
        self.read("out") + &self.read("err")
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }

    /// Suspends the drain and returns when it is stopped.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.pid());
        let stopped = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
        self.wait_until(stopped);
    }

    /// Kills the drain with SIGKILL; `false` if it had ended by itself.
    pub fn kill(mut self) -> bool {
        let _ = self.child.kill();
        self.child.wait().unwrap().code().is_none()
    }

    /// Kills the process group of the drain; `false` if the drain had ended by itself.
    pub fn kill_group(mut self) -> bool {
        let _ = killpg(Pid::from_raw(self.pid().cast_signed()), Signal::SIGKILL);
        self.child.wait().unwrap().code().is_none()
    }

    /// Waits for the end of the drain.
    pub fn wait(mut self) -> Over {
        let code = self.child.wait().unwrap().code();
        Over { code, stdout: self.read("out"), stderr: self.read("err") }
    }

    fn read(&self, end: &str) -> String {
        let bytes = std::fs::read(self.output.with_extension(end)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Over {
    #[track_caller]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.stderr.contains("database is locked"), "{self:#?}");
        self
    }
}
