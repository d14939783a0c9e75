//! placeholder
pub mod estimate;
