//! The commit to merge into a run's branch, and the commits that a run's branch got this way.

use super::merge_plan::Squash;
use super::refusal::{Answer, reject};
use crate::git::error::Result;
use crate::phase::RunId;
use crate::phase::words::{find_similar, first_few};
use crate::workspace::repo::Repo;
use crate::workspace::slot::message_text::one_line;

/// Branches named in a message; the rest are counted.
const NAMED: usize = 8;

/// Commit to merge into a run's branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateBase {
    /// Name of the branch, or the revision as given.
    pub name: String,
    /// Id of the commit.
    pub commit: String,
}

impl UpdateBase {
    /// Returns the name on one line.
    pub fn shown(&self) -> String {
        one_line(&self.name)
    }
}

impl Repo {
    /// Chooses the base of an update: the named revision, else the branch checked out here.
    ///
    /// # Errors
    /// If git fails.
    pub async fn update_base(&self, named: Option<&str>) -> Result<Answer<UpdateBase>> {
        let name = match named {
            Some(name) => name.to_owned(),
            None => match self.current_branch().await? {
                Some(branch) => branch,
                None => {
                    return reject(
                        "no branch is checked out here (detached HEAD)",
                        "name the branch to merge with --base BRANCH",
                    );
                }
            },
        };
        let short = name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned();
        if named.is_none() && self.is_run_branch(&short).await? {
            return reject(
                format!("{short} is the branch of a run"),
                "name the branch to merge with --base BRANCH",
            );
        }
        if let Some(commit) = self.resolve(&name).await? {
            return Ok(Ok(UpdateBase { name: short, commit }));
        }
        let branches = self.users_branches().await?;
        let known: Vec<&str> = branches.iter().map(String::as_str).collect();
        let remedy = match (find_similar(&short, &known), known.as_slice()) {
            (Some(similar), _) => format!("did you mean {similar}?"),
            (None, []) => "name a branch with commits: --base BRANCH".to_owned(),
            (None, known) => format!("branches: {}", first_few(known, NAMED)),
        };
        reject(format!("no branch or commit is called {}", one_line(&short)), remedy)
    }

    /// Returns the run's tip that the base has as a squash unknown to the tip's history. `start` is the commit the run
    /// started at.
    ///
    /// # Errors
    /// If git fails.
    pub async fn squash_in_base(
        &self,
        run: &RunId,
        start: &str,
        tip: &str,
        base: &UpdateBase,
    ) -> Result<Option<String>> {
        let squash = self.find_squash(run, start, &base.commit, tip).await?;
        let Some(Squash { commit, tip: squashed }) = squash else { return Ok(None) };
        Ok((!self.contains(tip, &commit).await?).then_some(squashed))
    }

    /// Returns the commit that the run's own changes start from: the last one merged into its branch, else the commit the
    /// run started at.
    ///
    /// # Errors
    /// If git fails.
    pub async fn last_update(&self, start: &str, tip: &str) -> Result<String> {
        let args = ["rev-list", "--first-parent", "--merges", "--max-count=1", "--parents", tip];
        let call = self.git.call("find the last update", args).arg(format!("^{start}"));
        let listed = call.text().await?;
        match listed.split_whitespace().nth(2) {
            Some(merged) if self.contains(merged, start).await? => Ok(merged.to_owned()),
            _ => Ok(start.to_owned()),
        }
    }

    /// Whether two commits have a common ancestor.
    ///
    /// # Errors
    /// If git fails.
    pub async fn has_common_commit(&self, one: &str, other: &str) -> Result<bool> {
        let answer =
            self.git.call("compare histories", ["merge-base", one, other]).answer().await?;
        match answer.output.code {
            Some(1) => Ok(false),
            _ if answer.ok() => Ok(true),
            _ => Err(answer.error()),
        }
    }
}
