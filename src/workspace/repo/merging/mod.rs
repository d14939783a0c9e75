//! Merging a run into a branch of the user, only on the user's order: `autopack merge`. Also the base
//! of an update, which is merged the other way.
//!
//! The result is computed in object space first, so a conflict changes nothing (`merge_plan`). Then the files of the
//! worktree with the branch are updated, and the branch moves by compare-and-swap (`checkout_move`).

pub mod checkout_move;
pub mod interrupted_move;
pub mod locked_checkout;
pub mod merge_message;
pub mod merge_plan;
pub mod obstructing_files;
pub mod refusal;
pub mod target;
pub mod update_base;
pub mod worktrees;
