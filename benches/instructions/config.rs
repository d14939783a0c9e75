//! The module of `src/config` that reads a plan's words.

#[path = "../../src/config/suggestion.rs"]
pub mod suggestion;
