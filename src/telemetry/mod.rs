//! What attempts use: predicted before, recorded after, learnt from. Pure; `store` keeps samples and calibrations.

pub mod calibration;
pub mod coefficients;
pub mod estimate;
pub mod export;
pub mod features;
pub mod figures;
mod fit;
pub mod held_out;
pub mod kind;
pub mod learn;
pub mod proposal;
mod shuffle;
pub mod summary;

#[cfg(test)]
mod learning_tests;

pub use calibration::{Calibration, Group};
pub use coefficients::Coefficients;
pub use features::Features;
pub use figures::{Figures, is_quality, smape_percent, waste_ratio};
pub use fit::Observation;
pub use learn::{Example, learn};
pub use proposal::Proposal;
pub use shuffle::shuffled;
