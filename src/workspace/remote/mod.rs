//! The fence at a git remote (`workspace.remote`): the branch of a run, the claims of attempts and the members of its merge
//! queue are refs there, for drains of several clones.
//!
//! A claim is a ref that only its attempt creates, with a value that only this attempt has. A landing is one push that
//! moves the branch from the tested parent and deletes the claim, or does nothing. Whoever takes over an attempt deletes
//! its claim first: from then on, a push of the attempt fails, however late it arrives. Neither the database nor a clock
//! decides.
//!
//! A failed push may have arrived. So each operation reads the refs after a failure, and can be repeated as a whole.

mod claim_value;
pub mod ref_layout;
mod remote_branch;
mod remote_claim;
mod remote_landing;
pub mod remote_leftovers;
mod remote_members;
pub mod remote_probe;

use tokio::sync::{Mutex, OnceCell};

use self::ref_layout::RefLayout;
use super::repo::Repo;
use crate::git::error::Result;
use crate::git::remote_access::RemoteAccess;
use crate::phase::{PhaseId, RunId};

pub use remote_branch::RemoteTip;
pub use remote_landing::FencedLanding;

/// The fence at the remote of a repository.
pub struct RemoteFence {
    repo: Repo,
    name: String,
    access: OnceCell<RemoteAccess>,
    /// Where the server takes refs; found once.
    layout: OnceCell<RefLayout>,
    /// Name of the probe that finds it: the same in each try, so that none is left behind.
    probe: String,
    /// Held from reading the tip at the remote until it is recorded here, so that a tip never replaces a later one.
    reading_tip: Mutex<()>,
    /// Held during a fetch: two of them would wait for each other's locks.
    fetching: Mutex<()>,
}

/// Work with a claim: an attempt of a phase, or an undo or update of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedWork {
    /// Run of the work.
    pub run: RunId,
    /// Phase of an attempt; `None` for an undo or an update.
    pub phase: Option<PhaseId>,
    /// Number of the attempt, the undo or the update.
    pub number: u32,
    /// Owner, unique among drains.
    pub owner: String,
}

impl ClaimedWork {
    /// Describes an undo or an update. Whoever asks about its claim needs the same description.
    pub fn of_change(run: &RunId, number: i64, owner: &str) -> Self {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        Self { run: run.clone(), phase: None, number, owner: owner.to_owned() }
    }
}

impl RemoteFence {
    /// Returns the fence of a repository with a remote for runs.
    pub fn of(repo: &Repo) -> Option<Self> {
        let name = repo.run_remote()?.to_owned();
        Some(Self {
            repo: repo.clone(),
            name,
            access: OnceCell::new(),
            layout: OnceCell::new(),
            probe: remote_probe::unique(),
            reading_tip: Mutex::default(),
            fetching: Mutex::default(),
        })
    }

    /// Returns the name of the remote.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the way to the remote, as a copy for one call.
    async fn access(&self) -> Result<RemoteAccess> {
        let open = || async {
            match &self.repo.run_remote {
                Some(run_remote) => {
                    let login = run_remote.login.clone();
                    self.repo.separate_access(&run_remote.remote, login).await
                }
                // Not reached: the fence is made of it.
                None => RemoteAccess::open(&self.repo.git, &self.name, &self.name, None).await,
            }
        };
        Ok(self.access.get_or_try_init(open).await?.clone())
    }
}
