//! Git as autopack uses it: the command, objects, trees, differences, refs and the user's
//! configuration. Slots are not known here.

pub mod command;
pub mod diff;
pub mod error;
pub mod exact_directory;
pub mod harmless_text;
pub mod loose_objects;
pub mod merge_trees;
pub mod path_bytes;
pub mod ref_files;
pub mod refs;
pub mod remote_access;
pub mod remote_failure;
pub mod remote_refs;
pub mod removal;
pub mod trees;
pub mod user_config;

/// Oldest supported git version: `merge-tree --write-tree` came with 2.38.
pub const OLDEST_GIT: (u32, u32) = (2, 38);
