//! The environment of autopack and git in tests: without any of this machine's configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Environment {
    home: PathBuf,
    variables: BTreeMap<String, OsString>,
}

impl Environment {
    /// Home and temporary files are in this directory.
    pub fn within(directory: &Path) -> Self {
        let home = directory.join("home");
        let mut variables: BTreeMap<String, OsString> = [
            ("PATH".to_owned(), std::env::var_os("PATH").unwrap_or_default()),
            ("HOME".to_owned(), home.clone().into()),
            ("XDG_STATE_HOME".to_owned(), directory.join("state").into()),
            ("TMPDIR".to_owned(), directory.join("witness").into()),
            // Tests that use a memory set this themselves.
            ("AUTOPACK_ENABLE_MEMORY".to_owned(), "0".into()),
            // Without the final test of the tip at the end of a run.
            ("AUTOPACK_CI_FINAL".to_owned(), "off".into()),
        ]
        .into();
        // `AUTOPACK_TEST_SANDBOX=namespaces`: every test in this mode of the sandbox, with one writable directory.
        match std::env::var_os("AUTOPACK_TEST_SANDBOX") {
            Some(mode) => {
                variables.insert("AUTOPACK_SANDBOX_MODE".to_owned(), mode);
                let witness = directory.join("witness");
                variables.insert("AUTOPACK_SANDBOX_WRITE".to_owned(), witness.into());
            }
            None => drop(variables.insert("AUTOPACK_SANDBOX_MODE".to_owned(), "off".into())),
        }
        variables.extend(GIT.map(|(name, value)| (name.to_owned(), value.into())));
        Self { home, variables }
    }

    pub fn set(&mut self, name: &str, value: String) {
        self.variables.insert(name.to_owned(), value.into());
    }

    pub fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// The program in a directory, with just these variables and no input.
    pub fn autopack(&self, directory: &Path) -> Command {
        let mut autopack = Command::new(program());
        autopack.current_dir(directory).env_clear().envs(&self.variables).stdin(Stdio::null());
        autopack
    }

    /// git in a directory, as the test's own user.
    pub fn git(&self, directory: &Path) -> Command {
        let mut git = Command::new("git");
        git.current_dir(directory).env("HOME", &self.home).envs(GIT);
        git
    }
}

/// No configuration but the test's own, and an identity.
const GIT: [(&str, &str); 6] = [
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_AUTHOR_NAME", "Tester"),
    ("GIT_AUTHOR_EMAIL", "tester@example.com"),
    ("GIT_COMMITTER_NAME", "Tester"),
    ("GIT_COMMITTER_EMAIL", "tester@example.com"),
];

/// The program under test: this build's, or the one named by `AUTOPACK_TEST_PROGRAM`, such as a release build.
fn program() -> OsString {
    let ours = || env!("CARGO_BIN_EXE_autopack").into();
    std::env::var_os("AUTOPACK_TEST_PROGRAM").unwrap_or_else(ours)
}
