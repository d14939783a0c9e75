//! A real headless Chromium, for pages. Without one, tests of pages are skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::skip;

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

pub struct Browser {
    program: PathBuf,
    profile: TempDir,
}

/// State of an opened page.
#[derive(Debug)]
pub struct Opened {
    pub dom: String,
    /// Messages in the page's console, including violations of its policy.
    pub console: Vec<String>,
}

impl Browser {
    /// `None` without Chromium: the test is skipped.
    #[track_caller]
    pub fn find() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let programs = NAMES.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
        let Some(program) = programs.into_iter().find(|program| program.is_file()) else {
            skip("chromium", format_args!("none of {} is on PATH", NAMES.join(", ")));
            return None;
        };
        Some(Self { program, profile: tempfile::tempdir().unwrap() })
    }

    fn command(&self, size: (u32, u32)) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args([
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--enable-logging=stderr",
                "--v=0",
            ])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .arg(format!("--window-size={},{}", size.0, size.1))
            .env("HOME", self.profile.path())
            .stdin(Stdio::null());
        command
    }

    /// Opens a file and returns the state after the page has loaded and its script has run.
    pub fn open(&self, file: &Path, hash: &str, size: (u32, u32)) -> Opened {
        let output = self
            .command(size)
            .arg("--dump-dom")
            .arg(format!("file://{}{hash}", file.display()))
            .output()
            .expect("Chromium starts");
        assert!(output.status.success(), "{output:?}");
        let log = String::from_utf8_lossy(&output.stderr);
        let text = |line: &&str| line.contains("CONSOLE");
        Opened {
            dom: String::from_utf8(output.stdout).expect("UTF-8"),
            console: log.lines().filter(text).map(str::to_owned).collect(),
        }
    }
}

impl Opened {
    /// The JSON in an attribute of the root.
    pub fn data(&self, name: &str) -> Value {
        let start = format!("data-{name}=\"");
        let at = self.dom.find(&start).unwrap_or_else(|| panic!("no {start}")) + start.len();
        let text = self.dom[at..].split('"').next().unwrap_or_default();
        let text = text.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}
