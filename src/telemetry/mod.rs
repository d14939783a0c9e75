//! Usage of attempts: predicted before, recorded after, used for learning. Pure; `store` keeps samples and
//! calibrations.

pub mod calibration;
pub mod coefficients;
pub mod estimate;
pub mod features;
pub mod file_kind;
mod fit;
pub mod held_out;
pub mod learn;
pub mod proposal;
pub mod sample_export;
pub mod sample_figures;
mod shuffle;
pub mod summary;

#[cfg(test)]
mod learning_tests;

pub use calibration::{Calibration, Group};
pub use coefficients::Coefficients;
pub use features::Features;
pub use fit::Observation;
pub use learn::{Example, learn};
pub use proposal::Proposal;
pub use sample_figures::{EstimateFigures, is_quality, smape_percent, waste_ratio};
pub use shuffle::shuffled;
