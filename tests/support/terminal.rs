//! A real terminal: tmux, with a shell that knows `autopack`.

use std::process::Command;

use super::{Project, has};

/// A tmux server of its own with one window; it ends with this value.
pub struct Terminal {
    socket: String,
    dir: tempfile::TempDir,
}

impl Terminal {
    /// `None` without tmux: the test is skipped.
    #[track_caller]
    pub fn open(project: &Project, columns: u16, rows: u16, env: &[(&str, &str)]) -> Option<Self> {
        if !has("tmux", &["-V"]) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("tmux").display().to_string();
        let terminal = Self { socket, dir };
        let command = project.command(["status"]);
        let mut exports = String::new();
        let set =
            command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
        for (name, value) in set.chain(env.iter().copied()) {
            exports += &format!("export {name}='{value}'\n");
        }
        let program = command.get_program().to_str().unwrap();
        let rc = terminal.dir.path().join("rc");
        std::fs::write(&rc, format!("{exports}PS1='$ '\nautopack() {{ '{program}' \"$@\"; }}\n"))
            .unwrap();
        let shell = format!("bash --noprofile --rcfile '{}' -i", rc.display());
        let size = (columns.to_string(), rows.to_string());
        let dir = project.root().display().to_string();
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &size.0,
            "-y",
            &size.1,
            "-c",
            &dir,
            &shell,
        ]);
        terminal.until("$");
        Some(terminal)
    }

    pub fn tmux(&self, args: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        let output = tmux
            .args(["-S", &self.socket])
            .args(args)
            .env("TERM", "xterm-256color")
            .output()
            .unwrap();
        assert!(output.status.success(), "tmux {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn types(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    pub fn presses(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Text on the screen, without empty lines at its end.
    pub fn screen(&self) -> Vec<String> {
        let lines: Vec<String> =
            self.tmux(&["capture-pane", "-p"]).lines().map(str::to_owned).collect();
        let end = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |at| at + 1);
        lines[..end].to_vec()
    }

    /// Including the scrollback.
    pub fn all(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    /// The screen, once a line of it starts like this. The test runner's limit ends a test that waits forever.
    pub fn until(&self, start: &str) -> Vec<String> {
        self.until_all(|lines| lines.iter().any(|line| line.trim_start().starts_with(start)))
    }

    pub fn until_all(&self, is: impl Fn(&[String]) -> bool) -> Vec<String> {
        loop {
            let lines = self.screen();
            if is(&lines) {
                return lines;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    pub fn cursor_is_shown(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{cursor_flag}"]).trim() == "1"
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}
