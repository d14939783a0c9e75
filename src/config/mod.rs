//! Settings: their types, and the only reader of configuration files and environment variables.

mod model;

pub use model::*;
