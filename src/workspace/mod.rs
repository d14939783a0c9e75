//! The repository: slots for attempts, measured changes, commits and landings.
//!
//! The user's checkout, index, branches, configuration and hooks are never touched, except by
//! `autopack merge`, which moves a branch and its files on the user's order. An attempt works in a
//! [`Slot`], a repository of its own that borrows the user's objects. Its change is measured on disk
//! ([`Slot::measure`]) and becomes a commit in the slot's own store ([`Slot::commit`]). Only landing
//! ([`Slot::land`]) writes into the user's repository: objects, then one transaction of refs.
//!
//! Git is the `git` command line, started only in `git/command.rs`; the documentation there
//! explains why nothing configured by an agent or a repository can run. This module decides nothing
//! about phases: `phase::scope` decides whether a change is in scope.

mod blocking_work;
pub mod dependencies;
mod remote;
mod repo;
mod slot;
pub mod view;

pub use crate::git::OLDEST_GIT;
pub use crate::git::command::git_version;
pub use crate::git::error::WorkspaceError;
pub use crate::git::remote_access::{
    BranchPush, RemoteAccess, RemoteAnswer, RemoteBranches, RemoteLogin,
};
pub use crate::git::remote_failure::RemoteFailure;
pub use crate::git::trees::Tree;
pub use remote::ref_layout::RefLayout;
pub use remote::remote_leftovers::{LiveWork, RemoteRefs};
pub use remote::remote_probe::RemoteAbilities;
pub use remote::{ClaimedWork, FencedLanding, RemoteFence, RemoteTip};
pub use repo::Repo;
pub use repo::change_listing::{ChangeForm, ChangedFile};
pub use repo::claim_ref::{ClaimRef, FenceOutcome};
pub use repo::leftovers::SlotInfo;
pub use repo::linked_directories::{LinkedDirectory, OverlayRule};
pub use repo::merging::interrupted_move::Recovery;
pub use repo::merging::merge_message::merge_message;
pub use repo::merging::merge_plan::{MergeKind, MergePlan};
pub use repo::merging::refusal::{Answer, MergeRefusal};
pub use repo::merging::target::MergeTarget;
pub use repo::merging::update_base::UpdateBase;
pub use repo::obstacles::{Obstacle, find_obstacles};
pub use repo::queue_refs::QueueRef;
pub use repo::remotes::{ForeignCommits, NamedRemote};
pub use repo::reservations::{Reservation, ReservedSlot, ReservedWork};
pub use repo::run_branch::{BranchUpdate, RunBranch, Tip};
pub use repo::run_commits::BranchCommit;
pub use repo::slot_room::SlotShortage;
pub use repo::users_checkout::CheckoutState;
pub use slot::agent_credit::AgentCredit;
pub use slot::binary_files::strip_binaries;
pub use slot::commit::{CommitMessage, RebaseOutcome};
pub use slot::filters::UnfilteredFile;
pub use slot::kept_work::{AppliedPatch, MovedWork};
pub use slot::land::Landing;
pub use slot::lost_work::LostWork;
pub use slot::measure::MeasuredChange;
pub use slot::old_slots::{OldSlot, OldWork};
pub use slot::revert::{Revert, RevertMessage, RevertedCommit};
pub use slot::setup_remains::SetupRemains;
pub use slot::update::Update;
pub use slot::{ResetFindings, Side, Slot};
