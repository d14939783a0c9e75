//! Files of attempts beyond the machine that executed them: stored in a database at a server and in a shared directory, and
//! found there by other machines.

mod artifact_keeper;
mod attempt_files;
mod executed_here;
mod log_streaming;
mod packed_files;
mod shared_artifacts;

pub use artifact_keeper::ArtifactKeeper;
pub use attempt_files::{AttemptFileFinder, AttemptFiles, FilesPlace, FoundFiles};
pub use packed_files::{decompress, gap_line, list_files, unpack_from};
pub use shared_artifacts::SharedArtifacts;
