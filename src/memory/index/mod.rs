//! The indexes that follow the journal, one directory for each backend.

pub mod faiss;
pub mod qdrant;
