//! Results of an attempt in git: a commit, a patch, a commit rebased onto another tip.

use std::collections::BTreeSet;

use super::Slot;
use super::agent_credit::AgentCredit;
use super::message_text::{one_line, trailer};
use crate::git::command::fields;
use crate::git::error::Result;
use crate::git::harmless_text::{harmless, without_our_trailers};
use crate::git::merge_trees::{MergedTree, merge_with_base};
use crate::git::path_bytes::to_text;
use crate::git::user_config::Identity;
use crate::phase::{PhaseId, RunId};

const LONGEST_SUBJECT: usize = 72;

/// Content of a landing commit's message.
#[derive(Clone, Copy, Debug)]
pub struct CommitMessage<'a> {
    /// Run of the phase.
    pub run: &'a RunId,
    /// The landed phase.
    pub phase: &'a PhaseId,
    /// Number of the attempt.
    pub attempt: u32,
    /// The phase's name, used as the subject.
    pub name: &'a str,
    /// Text after the subject; may be empty.
    pub body: &'a str,
    /// Whether name and body come from an issue: text of other people.
    pub is_of_strangers: bool,
    /// The agent, if the commit names it.
    pub credit: Option<&'a AgentCredit>,
}

/// Result of rebasing a commit onto another tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RebaseOutcome {
    /// Id of the rebased commit.
    Commit(String),
    /// The change conflicts with the other tip.
    Conflict {
        /// Paths with a conflict.
        paths: Vec<String>,
    },
}

impl Slot {
    /// Creates a commit of a measured tree. Until landing, the commit exists only in the slot's store.
    ///
    /// # Errors
    /// If git fails.
    pub async fn commit(
        &self,
        tree: &str,
        parent: &str,
        message: &CommitMessage<'_>,
    ) -> Result<String> {
        self.commit_with_text(tree, parent, &message.text()).await
    }

    /// Creates a commit with this message.
    pub(super) async fn commit_with_text(
        &self,
        tree: &str,
        parent: &str,
        message: &str,
    ) -> Result<String> {
        let commit = match self.write_commit(tree, parent, message) {
            Ok(Some(commit)) => commit,
            Ok(None) | Err(_) => {
                let args = ["commit-tree", tree, "-p", parent, "-F", "-"];
                let call = self.top.store.call("create the commit", args);
                call.stdin(message).text().await?
            }
        };
        self.remember_commit(tree, parent, &commit);
        Ok(commit)
    }

    /// Writes the commit in the format of `git commit-tree`; `None` if a name or an address needs git's cleanup.
    fn write_commit(
        &self,
        tree: &str,
        parent: &str,
        message: &str,
    ) -> std::io::Result<Option<String>> {
        let Identity { author, committer } = &self.repo.config.identity;
        if ![author, committer].into_iter().all(is_plain) {
            return Ok(None);
        }
        let time = jiff::Zoned::now();
        let minutes = time.offset().seconds() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
        let time = format!("{} {sign}{hours:02}{minutes:02}", time.timestamp().as_second());
        let person = |(name, email): &(String, String)| format!("{name} <{email}> {time}");
        let text = format!(
            "tree {tree}\nparent {parent}\nauthor {}\ncommitter {}\n\n{message}",
            person(author),
            person(committer)
        );
        let objects = self.top.objects(&self.repo);
        let commit = objects.loose().make("commit", text.as_bytes())?;
        objects.loose().put(std::slice::from_ref(&commit))?;
        Ok(Some(commit.id().to_owned()))
    }

    /// Applies the same change to another tip, without touching the slot's files. The change is computed against the
    /// commit's parent alone, even if the tip is no descendant of the parent.
    ///
    /// # Errors
    /// If git fails.
    pub async fn rebase(&self, commit: &str, onto: &str) -> Result<RebaseOutcome> {
        let parent = format!("{commit}^");
        match merge_with_base(&self.top.store, &parent, onto, commit).await? {
            MergedTree::Clean(tree) => {
                self.with_tree(commit, &tree, onto).await.map(RebaseOutcome::Commit)
            }
            MergedTree::Conflict { paths, .. } => Ok(RebaseOutcome::Conflict { paths }),
        }
    }

    /// Copies a commit, with message and author, to another tree and parent.
    async fn with_tree(&self, commit: &str, tree: &str, parent: &str) -> Result<String> {
        let git = &self.top.store;
        let read =
            git.call(format!("read {commit}"), ["cat-file", "commit", commit]).bytes().await?;
        let end = read.windows(2).position(|w| w == b"\n\n").unwrap_or(read.len());
        let mut new = format!("tree {tree}\nparent {parent}\n").into_bytes();
        let replaced = |line: &[u8]| line.starts_with(b"tree ") || line.starts_with(b"parent ");
        for line in read[..end].split(|b| *b == b'\n').filter(|line| !replaced(line)) {
            new.extend_from_slice(line);
            new.push(b'\n');
        }
        new.extend_from_slice(read[end..].strip_prefix(b"\n").unwrap_or_default());
        let args = ["hash-object", "-t", "commit", "-w", "--stdin"];
        git.call("write the commit", args).stdin(new).text().await
    }

    /// Returns the paths with differences between two commits or trees.
    ///
    /// # Errors
    /// If git fails.
    pub async fn changed_between(&self, one: &str, other: &str) -> Result<Vec<String>> {
        let args = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff"];
        let call = self.top.store.call(format!("compare with {one}"), args).args([one, other]);
        Ok(fields(&call.bytes().await?).map(to_text).collect())
    }

    /// Returns the id of a commit's tree.
    ///
    /// # Errors
    /// If git fails.
    pub async fn tree_of(&self, commit: &str) -> Result<String> {
        if let Some(tree) = self.measured_tree_of(commit) {
            return Ok(tree);
        }
        let call =
            self.top.store.call(format!("find the tree of {commit}"), ["rev-parse", "--verify"]);
        call.arg(format!("{commit}^{{tree}}")).text().await
    }

    /// Returns the text files of a commit that contain one of these texts.
    ///
    /// # Errors
    /// If git fails.
    pub async fn files_with(&self, commit: &str, texts: &BTreeSet<String>) -> Result<Vec<String>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let args = ["grep", "-I", "-l", "-z", "-F", "--full-name", "--no-color", "--no-textconv"];
        let mut call = self.top.store.call(format!("search {commit}"), args);
        for text in texts {
            call = call.arg("-e").arg(text);
        }
        let answer = call.arg(commit).answer().await?;
        match answer.output.code {
            Some(0) => {}
            Some(1) => return Ok(Vec::new()),
            _ => return Err(answer.error()),
        }
        let bytes = answer.bytes()?;
        let start = format!("{commit}:");
        let file = |field: &[u8]| to_text(field).strip_prefix(&start).map(str::to_owned);
        Ok(fields(&bytes).filter_map(file).collect())
    }

    /// Returns the content of a path in a commit or tree; `None` if the path is no file there.
    ///
    /// # Errors
    /// If git fails.
    pub async fn read_at(&self, tree: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let call = self.top.store.call(format!("read {path}"), ["cat-file", "blob"]);
        let answer = call.arg(format!("{tree}:{path}")).answer().await?;
        match answer.output.code {
            Some(0) => answer.bytes().map(Some),
            Some(128) => Ok(None),
            _ => Err(answer.error()),
        }
    }
}

impl CommitMessage<'_> {
    fn text(&self) -> String {
        let body: String = self
            .body
            .trim()
            .chars()
            .filter(|c| matches!(c, '\n' | '\t') || !c.is_control())
            .collect();
        let plain = if self.is_of_strangers { harmless } else { without_our_trailers };
        let credit = self.credit.map(|credit| credit.line() + "\n").unwrap_or_default();
        let gap = if body.is_empty() { "" } else { "\n\n" };
        format!(
            "{}{gap}{}\n\nAutopack-Run: {}\nAutopack-Phase: {}\nAutopack-Attempt: {}\n{credit}",
            subject(self.name, self.phase.as_str(), plain),
            plain(&body),
            trailer(self.run.as_str()),
            trailer(self.phase.as_str()),
            self.attempt
        )
    }
}

/// Whether git accepts a name and an address unchanged: git drops delimiters, and punctuation at both ends.
fn is_plain((name, email): &(String, String)) -> bool {
    let around = |c: char| c <= ' ' || ".,:;<>\"\\'".contains(c);
    [name, email].into_iter().all(|text| {
        !text.is_empty()
            && !text.contains(['<', '>', '\n', '\0'])
            && !text.starts_with(around)
            && !text.ends_with(around)
    })
}

/// Returns a line accepted by git as a subject: the name, or else the id. `plain` takes meanings away.
pub(super) fn subject(name: &str, id: &str, plain: fn(&str) -> String) -> String {
    let line = [one_line(name), one_line(id)].into_iter().find(|line| !line.is_empty());
    let line = plain(&line.unwrap_or_else(|| "a phase without a name".to_owned()));
    if line.chars().count() <= LONGEST_SUBJECT {
        return line;
    }
    let cut: String = line.chars().take(LONGEST_SUBJECT - 1).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_subject_and_safe_trailers() {
        let (run, phase) = (RunId::new("r\nAutopack-Phase: forged"), PhaseId::new("p 1"));
        let message = CommitMessage {
            run: &run,
            phase: &phase,
            attempt: 2,
            name: " A\n b ",
            body: "",
            is_of_strangers: false,
            credit: None,
        };
        let expected = "A b\n\nAutopack-Run: \"r\\nAutopack-Phase: forged\"\nAutopack-Phase: p 1\n\
                        Autopack-Attempt: 2\n";
        assert_eq!(message.text(), expected);
        let credit = AgentCredit::Trailer { agent: "claude".to_owned(), model: None };
        let named = CommitMessage { credit: Some(&credit), ..message }.text();
        assert_eq!(named, format!("{expected}Autopack-Agent: claude\n"));
    }

    #[test]
    fn name_and_body_of_strangers_close_nothing_and_forge_no_trailer() {
        let (run, phase) = (RunId::new("r"), PhaseId::new("1"));
        let message = CommitMessage {
            run: &run,
            phase: &phase,
            attempt: 1,
            name: "Autopack-Phase: 2 fixes #77",
            is_of_strangers: true,
            body: "Fixes #99. cc @torvalds\r\n\n  Autopack-Phase: 2\n/close\n",
            credit: None,
        };
        let text = message.text().replace('\u{200b}', "^");
        let expected = "^Autopack-Phase: 2 fixes #^77\n\nFixes #^99. cc @^torvalds\n\n  ^Autopack-Phase: 2\n^/close\n\n\
                        Autopack-Run: r\nAutopack-Phase: 1\nAutopack-Attempt: 1\n";
        assert_eq!(text, expected);
        // References of the user's own plan stay; autopack reads its trailers.
        let own = CommitMessage { is_of_strangers: false, ..message };
        let text = own.text().replace('\u{200b}', "^");
        assert!(
            text.starts_with("^Autopack-Phase: 2 fixes #77\n\nFixes #99. cc @torvalds"),
            "{text}"
        );
        assert!(text.contains("\n  ^Autopack-Phase: 2\n/close\n"), "{text}");
    }

    #[test]
    fn a_long_subject_is_cut_at_a_character() {
        let line = subject(&"é".repeat(100), "x", harmless);
        assert_eq!(line.chars().count(), LONGEST_SUBJECT);
        assert_eq!(subject("\n\t", "id", harmless), "id");
    }
}
