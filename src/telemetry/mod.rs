//! What attempts use: predicted before, recorded after.

pub mod estimate;

pub use estimate::{output_tokens, predicted_output_tokens};
