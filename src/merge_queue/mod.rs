//! The order in which tested work lands: among the attempts of one drain, and among drains.

pub mod drain_order;
pub mod landing_order;
