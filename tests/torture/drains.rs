//! Drains that run: waiting for what they do, stopping and killing them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::process::LONG;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);

/// A drain, its output in files: nobody has to read it while it runs. Killed when dropped.
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

    /// Until it is so. `false`: the drain ended before.
    pub fn wait_until(&mut self, so: impl Fn() -> bool) -> bool {
        self.wait_within(LONG, so)
    }

    /// The same where it may take long.
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
            assert!(began.elapsed() < bound, "nothing happens: {}", self.said());
            std::thread::sleep(LOOK);
        }
    }

    /// Everything that it has written so far.
    pub fn said(&self) -> String {
        self.read("out") + &self.read("err")
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }

    /// Returns once it stands still.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.pid());
        let stopped = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
        self.wait_until(stopped);
    }

    /// kill -9; `false` where it had ended by itself.
    pub fn kill(mut self) -> bool {
        let _ = self.child.kill();
        self.child.wait().unwrap().code().is_none()
    }

    /// To its end.
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
