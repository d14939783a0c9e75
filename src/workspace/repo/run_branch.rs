//! The branch of a run: made once, found again, and what to do while the user has it checked out.
//!
//! Beside `refs/heads/autopack/<run>` there are two refs of ours. `refs/autopack/bases/<run>` says
//! that we made the branch, and where. `refs/autopack/runs/<run>` takes the landings while the
//! branch is checked out somewhere; the branch follows when it is free.

use std::collections::HashSet;
use std::path::PathBuf;

use super::Repo;
use super::run_refs::{Names, Refs};
use crate::git::error::{Result, WorkspaceError};
use crate::phase::{PhaseId, RunId};
use crate::workspace::slot::commit::trailer;

/// What the store keeps of a run's branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunBranch {
    /// Without `refs/heads/`.
    pub branch: String,
    pub base_commit: String,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    pub commit: String,
    /// The ref that has it; the next landing may go to another.
    pub on: String,
    /// Where the user has the branch checked out: landings go to `refs/autopack/runs/<run>` meanwhile.
    pub held_by: Option<PathBuf>,
    /// The user committed to the branch while landings went beside it; only the user can merge them.
    pub diverged: bool,
    /// There is a tag of the branch's name, which git takes where the short name is given.
    pub shadowed: bool,
}

/// What came of letting the branch follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// It is where it should be.
    UpToDate,
    /// It is now at the tip.
    Moved,
    /// It is still checked out there.
    Held(PathBuf),
    /// It went its own way, and stays where it is.
    Diverged,
}

impl Repo {
    /// Where a run that has no branch yet is to begin. Makes no ref: the caller records it first, so that a crash leaves no
    /// branch that nobody knows ([`make_branch`](Self::make_branch)).
    pub async fn plan_branch(&self, run: &RunId, base: Option<&str>) -> Result<RunBranch> {
        let names = Names::of(run);
        if self.run_refs(&names).await?.branch.is_some() {
            return Err(WorkspaceError::BranchNotOurs { branch: names.short() });
        }
        let base_commit = match (self.resolve(base.unwrap_or("HEAD")).await?, base) {
            (Some(commit), _) => commit,
            (None, Some(base)) => {
                return Err(WorkspaceError::UnknownBase { base: base.to_owned() });
            }
            (None, None) => self.empty_root().await?,
        };
        Ok(RunBranch { branch: names.short(), base_commit })
    }

    /// Makes the branch of a recorded run, where it was not made before. Says where the run stands.
    pub async fn make_branch(&self, run: &RunId, recorded: &RunBranch) -> Result<Tip> {
        let names = Names::of(run);
        let refs = self.run_refs(&names).await?;
        match (&refs.branch, &refs.base) {
            (Some(_), _) => return self.tip_of(&names, &refs).await,
            // Landings beside it carry on without it.
            (None, Some(_)) if refs.beside.is_some() => return self.tip_of(&names, &refs).await,
            (None, Some(_)) => {
                return Err(WorkspaceError::BranchGone {
                    branch: names.short(),
                    base_commit: recorded.base_commit.clone(),
                    last_landed: None,
                });
            }
            (None, None) => {}
        }
        let new = &recorded.base_commit;
        let orders = format!("create {} {new}\ncreate {} {new}\n", names.branch, names.base);
        let answer = self.transact("make the run's branch", &orders).await?;
        let refs = self.run_refs(&names).await?;
        if answer.ok() || refs.branch.is_some() {
            return self.tip_of(&names, &refs).await;
        }
        match self.in_the_way(&names).await? {
            Some(blocked_by) => {
                Err(WorkspaceError::BranchBlocked { branch: names.short(), blocked_by })
            }
            None => Err(answer.error()),
        }
    }

    /// Where the run stands, which is where its next attempt begins.
    pub async fn tip(&self, run: &RunId) -> Result<Tip> {
        let names = Names::of(run);
        let refs = self.run_refs(&names).await?;
        self.tip_of(&names, &refs).await
    }

    /// Where the run began in this repository, by the ref that its branch was made with.
    pub async fn base_of(&self, run: &RunId) -> Result<Option<String>> {
        Ok(self.run_refs(&Names::of(run)).await?.base)
    }

    /// Whether a commit has landed: it is reachable from the run's branch.
    pub async fn has_landed(&self, run: &RunId, commit: &str) -> Result<bool> {
        let refs = self.run_refs(&Names::of(run)).await?;
        for tip in [refs.branch, refs.beside].into_iter().flatten() {
            if self.contains(&tip, commit).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether `commit` is `tip` or an ancestor of it. One that is not here is none.
    pub async fn contains(&self, tip: &str, commit: &str) -> Result<bool> {
        let mut again = true;
        loop {
            let args = ["merge-base", "--is-ancestor", commit, tip];
            let answer = self.git.call("look for a commit", args).answer().await?;
            match answer.output.code {
                Some(0) => return Ok(true),
                Some(1) => return Ok(false),
                _ if self.resolve(commit).await?.is_none() => return Ok(false),
                // A git that a dead drain left behind may have written it just now.
                _ if again => again = false,
                _ => return Err(answer.error()),
            }
        }
    }

    /// Those of `landed` that the run's tip does not hold: somebody moved it. One that was rebased or squashed is there
    /// still, by its phase's trailers. None where there is no tip.
    pub async fn missing<'a>(
        &self,
        run: &RunId,
        base: &str,
        landed: &'a [(PhaseId, String)],
    ) -> Result<Vec<&'a (PhaseId, String)>> {
        let refs = self.run_refs(&Names::of(run)).await?;
        let tips: Vec<&String> = refs.branch.iter().chain(&refs.beside).collect();
        if landed.is_empty() || tips.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.git.call("look for what landed", ["rev-list"]).args(&tips);
        let listed = call.arg(format!("^{base}")).text().await?;
        let there: HashSet<&str> = listed.lines().collect();
        let gone = landed.iter().filter(|(_, commit)| !there.contains(commit.as_str()));
        let mut gone: Vec<_> = gone.collect();
        if !gone.is_empty() {
            let args = ["rev-list", "--encoding=UTF-8", "--format=%B%x00"];
            let call = self.git.call("look for what was rebased", args).args(&tips);
            let told = call.arg(format!("^{base}")).bytes().await?;
            let there = phases_of(run, &String::from_utf8_lossy(&told));
            gone.retain(|(phase, _)| !there.contains(&trailer(phase.as_str())));
        }
        Ok(gone)
    }

    /// The last of these commits, as far as they are here: one that none of the others came after.
    pub async fn last_of(&self, base: &str, commits: &[String]) -> Result<Option<String>> {
        let args = ["rev-list", "--topo-order", "--max-count=1", "--ignore-missing", "--stdin"];
        let mut lines = commits.join("\n");
        lines.push_str(&format!("\n^{base}\n"));
        let found = self.git.call("look for what landed last", args).stdin(lines).text().await?;
        Ok((!found.is_empty()).then_some(found))
    }

    /// Lets the branch catch up with landings that went beside it.
    pub async fn follow(&self, run: &RunId) -> Result<Followed> {
        let names = Names::of(run);
        let refs = self.run_refs(&names).await?;
        let (Some(branch), Some(beside)) = (&refs.branch, &refs.beside) else {
            return Ok(Followed::UpToDate);
        };
        let tip = self.tip_of(&names, &refs).await?;
        if tip.diverged {
            return Ok(Followed::Diverged);
        }
        if let (Some(path), true) = (&refs.held_by, branch != &tip.commit) {
            return Ok(Followed::Held(path.clone()));
        }
        let mut orders = format!("delete {} {beside}\n", names.beside);
        if branch != &tip.commit {
            orders.push_str(&format!("update {} {} {branch}\n", names.branch, tip.commit));
        }
        let answer = self.transact("let the branch follow", &orders).await?;
        if !answer.ok() {
            return Err(answer.error());
        }
        Ok(if branch == &tip.commit { Followed::UpToDate } else { Followed::Moved })
    }

    pub(crate) async fn tip_of(&self, names: &Names, refs: &Refs) -> Result<Tip> {
        let tip = |commit: &String, on: &String, diverged| Tip {
            commit: commit.clone(),
            on: on.clone(),
            held_by: refs.held_by.clone(),
            diverged,
            shadowed: refs.tag.is_some(),
        };
        match (&refs.branch, &refs.beside) {
            (Some(branch), None) => Ok(tip(branch, &names.branch, false)),
            (None, Some(beside)) => Ok(tip(beside, &names.beside, false)),
            (Some(branch), Some(beside)) if self.contains(branch, beside).await? => {
                Ok(tip(branch, &names.branch, false))
            }
            (Some(branch), Some(beside)) => {
                Ok(tip(beside, &names.beside, !self.contains(beside, branch).await?))
            }
            (None, None) => Err(WorkspaceError::BranchGone {
                branch: names.short(),
                base_commit: refs.base.clone().unwrap_or_else(|| "an unknown commit".to_owned()),
                last_landed: None,
            }),
        }
    }

    /// Orders to `git update-ref --stdin`, all of them or none.
    pub(crate) async fn transact(
        &self,
        doing: &str,
        orders: &str,
    ) -> Result<crate::git::command::Answer> {
        let text = format!("start\n{orders}prepare\ncommit\n");
        let args = ["update-ref", "-m", "autopack", "--stdin"];
        self.git.call(doing, args).stdin(text).answer().await
    }

    /// A branch above or beneath the run's, in git's tree of names.
    async fn in_the_way(&self, names: &Names) -> Result<Option<String>> {
        let args = ["for-each-ref", "--format=%(refname)", "--count=1", "refs/heads/autopack"];
        let call = self.git.call("look for the branch in the way", args);
        let listed = call.text().await?;
        let beneath = format!("{}/", names.branch);
        if listed == "refs/heads/autopack" {
            return Ok(Some("autopack".to_owned()));
        }
        let args = ["for-each-ref", "--format=%(refname)", "--count=1", &beneath];
        let listed = self.git.call("look for the branch in the way", args).text().await?;
        Ok(listed.strip_prefix("refs/heads/").map(str::to_owned))
    }

    /// A first commit for a repository that has none: with no files, on no branch.
    async fn empty_root(&self) -> Result<String> {
        let args = ["hash-object", "-t", "tree", "-w", "--stdin"];
        let tree = self.git.call("write the empty tree", args).stdin("").text().await?;
        let args = ["commit-tree", &tree, "-m", "Begin with nothing"];
        self.git.call("make the first commit", args).text().await
    }
}

/// The phases of the run that commit messages name, as trailers have them. A squash indents them, and has several.
fn phases_of(run: &RunId, messages: &str) -> HashSet<String> {
    let of_run = format!("Autopack-Run: {}", trailer(run.as_str()));
    let messages = messages.split('\0').map(|message| message.lines().map(str::trim));
    let ours = messages.filter(|lines| lines.clone().any(|line| line == of_run));
    let phases = ours.flatten().filter_map(|line| line.strip_prefix("Autopack-Phase: "));
    phases.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rebased_and_squashed_commits_name_their_phases() {
        let message = |run, phases: &[&str]| {
            let lines = phases.iter().map(|phase| format!("    Autopack-Phase: {phase}\n"));
            format!("commit 1\nx\n\nAutopack-Run: {run}\n{}\0", lines.collect::<String>())
        };
        let told = message("r", &["a", "\"b\\n\""])
            + &message("other", &["c"])
            + "commit 2\nAutopack-Phase: d\n\0";
        let phases = phases_of(&RunId::new("r"), &told);
        assert_eq!(phases, HashSet::from(["a".to_owned(), trailer("b\n")]));
    }
}
