//! Merge queue: the order in which tested work lands, within one drain and between drains.

pub mod drain_order;
pub mod landing_order;
