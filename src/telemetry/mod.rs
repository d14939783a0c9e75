//! What attempts use: predicted before, recorded after.

pub mod estimate;

pub use estimate::{predicted_for, predicted_output_tokens};
