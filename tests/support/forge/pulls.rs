//! Pull requests and comments of the stand-ins, in no forge's shape.

use std::path::Path;
use std::process::Command;

use super::{ForgeServer, Knowledge};

#[derive(Clone, Debug)]
pub struct TestPull {
    pub number: u64,
    pub title: String,
    pub body: String,
    pub branch: String,
    pub base: String,
    pub state: PullState,
    pub is_draft: bool,
    /// Commit of the branch, kept when it is merged or closed.
    head: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullState {
    Open,
    Merged,
    Closed,
}

#[derive(Clone, Debug)]
pub struct TestComment {
    pub issue: u64,
    pub body: String,
}

impl ForgeServer {
    /// Serves `NAME.git` below this directory, such as `o/r.git`, with pushes allowed. Returns its URL.
    pub fn serve_git(&self, root: &Path, name: &str) -> String {
        let repository = root.join(format!("{name}.git"));
        git(root, &["init", "-q", "--bare", "-b", "main", repository.to_str().unwrap()]);
        git(&repository, &["config", "http.receivepack", "true"]);
        self.with(|knowledge| knowledge.git_root = Some(root.to_owned()));
        format!("{}/{name}.git", self.url())
    }

    /// The pull requests, oldest first.
    pub fn pulls(&self) -> Vec<TestPull> {
        self.with(|knowledge| knowledge.pulls.clone())
    }

    pub fn comments(&self) -> Vec<TestComment> {
        self.with(|knowledge| knowledge.comments.clone())
    }

    /// Changes a pull request as a person does.
    pub fn change_pull(&self, number: u64, act: impl FnOnce(&mut TestPull)) {
        self.with(|knowledge| {
            let pull = knowledge.pulls.iter_mut().find(|pull| pull.number == number).unwrap();
            act(pull);
        });
    }

    /// Merges or closes a pull request.
    pub fn end_pull(&self, number: u64, state: PullState) {
        self.with(|knowledge| {
            let at = knowledge.pulls.iter().position(|pull| pull.number == number).unwrap();
            let head = knowledge.head_of(&knowledge.pulls[at]);
            (knowledge.pulls[at].state, knowledge.pulls[at].head) = (state, head);
        });
    }
}

impl Knowledge {
    /// Opens a pull request, unless the branch or the base is missing, or one is open already.
    pub fn open_pull(&mut self, pull: TestPull) -> Result<TestPull, &'static str> {
        if self.commit_of(&pull.branch).is_none() || self.commit_of(&pull.base).is_none() {
            return Err("invalid branch");
        }
        let is_same =
            |other: &&TestPull| other.branch == pull.branch && other.state == PullState::Open;
        if self.pulls.iter().find(is_same).is_some() {
            return Err("A pull request already exists for this branch.");
        }
        let numbers = self.pulls.iter().map(|pull| pull.number);
        let numbers = numbers.chain(self.issues.iter().map(|issue| issue.number));
        let pull = TestPull { number: numbers.max().unwrap_or(0) + 1, ..pull };
        self.pulls.push(pull.clone());
        Ok(pull)
    }

    /// Commit of a pull request.
    pub fn head_of(&self, pull: &TestPull) -> String {
        match pull.state {
            PullState::Open => self.commit_of(&pull.branch).unwrap_or_default(),
            PullState::Merged | PullState::Closed => pull.head.clone(),
        }
    }

    /// Commit of a branch of the only repository.
    fn commit_of(&self, branch: &str) -> Option<String> {
        let root = self.git_root.as_ref()?;
        let repository = find_repository(root)?;
        let mut command = Command::new("git");
        command.args(["rev-parse", "--verify", "-q", &format!("refs/heads/{branch}")]);
        let output = command.current_dir(repository).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// A pull request without a number.
pub fn new_pull(title: &str, body: &str, branch: &str, base: &str, is_draft: bool) -> TestPull {
    TestPull {
        number: 0,
        title: title.to_owned(),
        body: body.to_owned(),
        branch: branch.to_owned(),
        base: base.to_owned(),
        state: PullState::Open,
        is_draft,
        head: String::new(),
    }
}

fn find_repository(directory: &Path) -> Option<std::path::PathBuf> {
    if directory.join("HEAD").is_file() {
        return Some(directory.to_owned());
    }
    let entries = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).find_map(|path| find_repository(&path))
}

fn git(directory: &Path, args: &[&str]) {
    std::fs::create_dir_all(directory).unwrap();
    let mut command = Command::new("git");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    assert!(command.args(args).current_dir(directory).status().unwrap().success(), "{args:?}");
}
