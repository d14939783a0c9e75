//! The only place that starts a program.

pub mod lock;
pub mod tool;

pub use lock::FileLock;
pub use tool::{Output, Tool, ToolError, output};
