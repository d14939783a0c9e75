//! The refs of a run: their names, and one look at what they hold. What they mean, and who moves them, is `branch`'s.

use std::path::PathBuf;
use std::time::Duration;

use super::Repo;
use crate::git::error::Result;
use crate::git::path_bytes::from_bytes;
use crate::phase::RunId;

/// A worktree is made within milliseconds; one that stays half made is its user's to prune.
const HALF_MADE_LOOKS: u32 = 50;
const HALF_MADE_PAUSE: Duration = Duration::from_millis(20);

/// The names of a run's refs.
pub(crate) struct Names {
    pub branch: String,
    pub beside: String,
    pub base: String,
    pub tag: String,
}

impl Names {
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

/// What a run's refs hold.
#[derive(Default)]
pub(crate) struct Refs {
    pub branch: Option<String>,
    pub held_by: Option<PathBuf>,
    pub beside: Option<String>,
    pub base: Option<String>,
    pub tag: Option<String>,
}

impl Repo {
    /// One look at all refs of a run, but for its claims: git would read all of them to show one.
    pub(crate) async fn run_refs(&self, names: &Names) -> Result<Refs> {
        let format = "--format=%(refname)%00%(objectname)%00%(worktreepath)%00";
        let wanted = [&names.branch, &names.beside, &names.base, &names.tag];
        let listed = self.with_worktrees(&["for-each-ref", format], &wanted).await?;
        let parts: Vec<&[u8]> = listed.split(|b| *b == 0).collect();
        let mut refs = Refs::default();
        for line in parts.chunks_exact(3) {
            // A pattern also matches what lies beneath it, so names are compared whole.
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

    /// Asks for what git reads all worktrees for. Somebody may be making one at this moment: `git worktree add` has made
    /// its files by then and not yet written them.
    async fn with_worktrees(&self, args: &[&str], wanted: &[&String]) -> Result<Vec<u8>> {
        let mut looks = 0;
        loop {
            let answer = self.git.call("read the run's refs", args).args(wanted).answer().await?;
            let half_made = !answer.ok()
                && ["/commondir", "/gitdir"].iter().any(|file| answer.said().contains(file));
            if !half_made || looks == HALF_MADE_LOOKS {
                return answer.bytes();
            }
            looks += 1;
            tokio::time::sleep(HALF_MADE_PAUSE).await;
        }
    }
}
