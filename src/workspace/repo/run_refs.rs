//! The refs of a run: their names, and a query for their values. Their meaning and updates are in
//! `run_branch`.

use std::path::PathBuf;
use std::time::Duration;

use super::Repo;
use crate::git::error::Result;
use crate::git::path_bytes::from_bytes;
use crate::git::ref_files::RefFiles;
use crate::phase::RunId;

/// Number of retries for a half-made worktree. Creating a worktree takes milliseconds; a permanently half-made
/// worktree is for its user to prune.
const HALF_MADE_CHECKS: u32 = 50;
const HALF_MADE_PAUSE: Duration = Duration::from_millis(20);

/// Names of a run's refs.
pub(crate) struct RunRefNames {
    pub branch: String,
    pub beside: String,
    pub base: String,
    pub tag: String,
}

impl RunRefNames {
    pub fn of(run: &RunId) -> Self {
        let run = run.file_name();
        Self {
            branch: format!("refs/heads/autopack/{run}"),
            beside: format!("refs/autopack/runs/{run}"),
            base: format!("refs/autopack/bases/{run}"),
            tag: format!("refs/tags/autopack/{run}"),
        }
    }

    pub fn short(&self) -> String {
        self.branch.trim_start_matches("refs/heads/").to_owned()
    }
}

/// Values of a run's refs.
#[derive(Default)]
pub(crate) struct Refs {
    pub branch: Option<String>,
    pub held_by: Option<PathBuf>,
    pub beside: Option<String>,
    pub base: Option<String>,
    pub tag: Option<String>,
}

impl Repo {
    /// Reads all refs of a run, except its claims.
    pub(crate) async fn run_refs(&self, names: &RunRefNames) -> Result<Refs> {
        match self.run_refs_in_files(names) {
            Some(refs) => Ok(refs),
            None => self.ask_for_run_refs(names).await,
        }
    }

    /// Reads the refs without git; `None` if git must be asked, also for the path of the worktree with the branch.
    pub(super) fn run_refs_in_files(&self, names: &RunRefNames) -> Option<Refs> {
        let files = RefFiles::open(&self.common_dir, self.sha256)?;
        let wanted = [&names.branch, &names.beside, &names.base, &names.tag].map(String::as_str);
        let [branch, beside, base, tag] = files.values(wanted)?;
        let is_held = files.is_checked_out(&names.branch)?;
        (!is_held).then_some(Refs { branch, held_by: None, beside, base, tag })
    }

    /// Queries all refs at once, except claims: git would read every claim to show one of them.
    async fn ask_for_run_refs(&self, names: &RunRefNames) -> Result<Refs> {
        let format = "--format=%(refname)%00%(objectname)%00%(worktreepath)%00";
        let wanted = [&names.branch, &names.beside, &names.base, &names.tag];
        let listed = self.query_with_worktrees(&["for-each-ref", format], &wanted).await?;
        let parts: Vec<&[u8]> = listed.split(|b| *b == 0).collect();
        let mut refs = Refs::default();
        for line in parts.chunks_exact(3) {
            // A pattern also matches names in its subtree, so names are compared in full.
            let name = String::from_utf8_lossy(line[0].trim_ascii_start()).into_owned();
            let id = Some(String::from_utf8_lossy(line[1]).into_owned());
            if name == names.branch {
                refs.branch = id;
                let held = !line[2].is_empty();
                refs.held_by = held.then(|| from_bytes(line[2]).to_owned());
            } else if name == names.beside {
                refs.beside = id;
            } else if name == names.base {
                refs.base = id;
            } else if name == names.tag {
                refs.tag = id;
            }
        }
        Ok(refs)
    }

    /// Runs a query for which git reads all worktrees. At this moment another process may be creating a worktree:
    /// `git worktree add` creates its files first and writes them later.
    async fn query_with_worktrees(&self, args: &[&str], wanted: &[&String]) -> Result<Vec<u8>> {
        let mut checks = 0;
        loop {
            let answer = self.git.call("read the run's refs", args).args(wanted).answer().await?;
            let half_made = !answer.ok()
                && ["/commondir", "/gitdir"]
                    .iter()
                    .any(|file| answer.stderr_summary().contains(file));
            if !half_made || checks == HALF_MADE_CHECKS {
                return answer.bytes();
            }
            checks += 1;
            tokio::time::sleep(HALF_MADE_PAUSE).await;
        }
    }
}
