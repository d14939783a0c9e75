//! The repository: slots for attempts, what an attempt changed, commits, landing.
//!
//! The user's checkout, index, branches, configuration and hooks are never touched. An attempt works
//! in a [`Slot`], a repository of its own that borrows the user's objects. What it changed is measured
//! on disk ([`Slot::measure`]), becomes a commit in the slot's own store ([`Slot::commit`]), and only
//! landing ([`Slot::land`]) writes into the user's repository: objects, then one transaction of refs.
//!
//! Git is the `git` command line, started in `git.rs` alone, which also says why nothing that an agent
//! or a repository configures can run through it. This module decides nothing about phases: whether a
//! change is in scope is `phase::scope`'s word.

mod binary;
mod branch;
mod checkout;
mod claim;
mod clean;
mod clean_clone;
mod commit;
mod copied_refs;
pub mod dependencies;
mod dependency_links;
mod diff;
mod error;
mod exact;
mod filters;
mod gc;
mod git;
mod git_dir;
mod green;
mod ignored;
mod land;
mod link;
mod loose;
mod lost_work;
mod made;
mod measure;
mod obstacles;
mod old_slots;
mod outside;
mod own;
mod paths;
mod place;
mod plain_copy;
mod removal;
mod repo;
mod run_refs;
mod setup_remains;
mod slot;
mod slot_room;
mod space;
mod submodule;
mod symlinks;
mod tree;
mod untouched;
mod user_config;
mod users_checkout;
mod users_gc;
mod users_refs;

pub use binary::without_binaries;
pub use branch::{Followed, RunBranch, Tip};
pub use claim::{ClaimRef, Fence};
pub use commit::{CommitMessage, Rebased};
pub use error::WorkspaceError;
pub use filters::Unfiltered;
pub use gc::SlotInfo;
pub use git::{OLDEST_GIT, git_version};
pub use land::Landing;
pub use lost_work::LostWork;
pub use measure::Measured;
pub use obstacles::{Obstacle, obstacles};
pub use old_slots::{OldSlot, OldWork};
pub use plain_copy::plain_copy;
pub use repo::Repo;
pub use setup_remains::Remains;
pub use slot::{Reset, Side, Slot};
pub use slot_room::SlotRoom;
pub use space::Shortage;
pub use tree::Tree;
pub use users_checkout::CheckoutState;
