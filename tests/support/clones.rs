//! Clones of a bare remote, each with a home of its own, that share a database.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::Project;
use super::forge::ForgeServer;

/// The way from the clones to the remote.
pub enum Transport {
    File,
    Http(ForgeServer),
}

/// A bare remote, and the directory of the shared database.
pub struct Remote {
    dir: TempDir,
    pub transport: Transport,
}

impl Remote {
    /// A remote with one commit on `main`, reached by its path.
    pub fn by_file() -> Self {
        let dir = tempfile::Builder::new().prefix("autopack remote ").tempdir().unwrap();
        let remote = Self { dir, transport: Transport::File };
        let start = Project::new();
        let path = remote.path();
        start.git(["init", "-q", "--bare", "-b", "main", path.to_str().unwrap()]);
        start.git(["push", "-q", path.to_str().unwrap(), "main"]);
        remote.git(&["config", "uploadpack.allowFilter", "true"]);
        remote
    }

    /// The same, reached through `git http-backend`.
    pub fn by_http() -> Self {
        let mut remote = Self::by_file();
        let server = ForgeServer::github();
        let root = remote.beside("served");
        server.with(|knowledge| knowledge.git_root = Some(root));
        remote.transport = Transport::Http(server);
        remote
    }

    /// The bare repository.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("served/o/r.git")
    }

    pub fn server(&self) -> &ForgeServer {
        match &self.transport {
            Transport::Http(server) => server,
            Transport::File => panic!("there is no server"),
        }
    }

    fn url(&self) -> String {
        match &self.transport {
            Transport::File => format!("file://{}", self.path().display()),
            Transport::Http(server) => format!("{}/o/r.git", server.url()),
        }
    }

    /// Leads a clone's way to the server through another address. The remote keeps its URL, which is part of the
    /// repository's identity.
    pub fn lead_through(&self, clone: &Project, address: SocketAddr) {
        clone.git(["config", "http.proxy", &format!("http://{address}")]);
    }

    /// Standard output of git in the bare repository.
    pub fn git(&self, args: &[&str]) -> String {
        let mut git = std::process::Command::new("git");
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let output = git.arg("-C").arg(self.path()).args(args).output().unwrap();
        assert!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes a hook of the server; `$dir` is a directory for its files.
    pub fn hook(&self, name: &str, script: &str) {
        let text = format!("#!/bin/sh\ndir='{}'\n{script}\n", self.dir.path().display());
        super::executable(&self.path().join("hooks").join(name), &text);
    }

    /// A path beside the repository, which hooks know as `$dir`.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("shared.db")
    }

    /// Another clone, made with these options.
    pub fn clone_with(&self, options: &[&str]) -> Project {
        let project = Project::bare_folder();
        let url = self.url();
        let args = [&["clone", "-q"], options, &[url.as_str(), "."]].concat();
        project.git(args);
        let database = format!("sqlite:///{}", self.database().display());
        project.env("AUTOPACK_DATABASE_URL", database)
    }

    /// Another clone, with an agent and the settings of a run at the remote.
    pub fn clone_for(&self, agent: &str) -> Project {
        with_agent(self.clone_with(&[]), agent)
    }

    /// The phases landed at the remote, oldest first.
    pub fn landed(&self) -> Vec<String> {
        let format = "--format=%(trailers:key=Autopack-Phase,valueonly,separator=%x2C)";
        let log = self.git(&["log", "--reverse", format, "autopack/run"]);
        log.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// Refs of autopack at the remote, except branches of runs.
    pub fn refs_of_claims(&self) -> String {
        let patterns = ["refs/autopack", "refs/heads/autopack-*"];
        self.git(&["for-each-ref", "--format=%(refname)", patterns[0], patterns[1]])
            + &self.git(&["for-each-ref", "--format=%(refname)", "refs/heads/autopack-*/**"])
    }

    /// Asserts that each of so many phases landed once, with one counted attempt, and that nothing is left of claims.
    #[track_caller]
    pub fn assert_each_landed_once(&self, project: &Project, phases: usize) {
        let mut landed = self.landed();
        landed.sort();
        let expected: Vec<String> = (0..phases).map(|n| format!("p{n:03}")).collect();
        assert_eq!(landed, expected);
        let listed = project.json(["phases", "list", "--run-id", "run", "--json"]);
        for phase in listed.as_array().unwrap() {
            assert_eq!(phase["state"], "COMPLETE", "{phase:#}");
            assert_eq!(phase["attempts"], 1, "{phase:#}");
        }
        assert_eq!(self.refs_of_claims(), "");
        assert_eq!(project.json(["hosts", "--json"]), serde_json::json!([]));
    }
}

/// Gives a clone an agent, and the settings of a run at the remote.
pub fn with_agent(project: Project, agent: &str) -> Project {
    with_settings(project, agent, "")
}

/// The same, with more settings: lines of YAML.
pub fn with_settings(project: Project, agent: &str, more: &str) -> Project {
    let settings = format!("workspace: {{remote: origin}}\nci: {{command: [\"true\"]}}\n{more}");
    project.agent_with(agent, &settings)
}

/// The user's own branches, tags, remote-tracking branches and `FETCH_HEAD`.
pub fn own_refs(project: &Project) -> BTreeMap<String, String> {
    let format = "--format=%(refname) %(objectname)";
    let listed = project.git(["for-each-ref", format]);
    let ours =
        |name: &str| name.starts_with("refs/autopack/") || name.starts_with("refs/heads/autopack/");
    let mut refs: BTreeMap<String, String> = listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| !ours(name))
        .map(|(name, id)| (name.to_owned(), id.to_owned()))
        .collect();
    if let Ok(head) = std::fs::read_to_string(project.path(".git/FETCH_HEAD")) {
        refs.insert("FETCH_HEAD".to_owned(), head);
    }
    refs
}

/// Waits for a file.
pub fn wait_for(file: &Path) {
    while !file.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The outcomes of a phase's attempts.
pub fn outcomes(project: &Project, phase: &str) -> Vec<String> {
    let log = project.phase(phase)["attempt_log"].clone();
    let outcome = |row: &Value| row["outcome"].as_str().unwrap_or("none").to_owned();
    log.as_array().unwrap().iter().map(outcome).collect()
}
