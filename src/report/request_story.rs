//! A file requested by an agent, in a report, cleaned.

use super::excerpt;
use crate::process::Redactor;
use crate::store::KeptRequest;

/// A requested file with the decision.
pub struct RequestStory {
    /// Number of the attempt.
    pub attempt: u32,
    /// Path of the file.
    pub path: String,
    /// The decision in a word.
    pub decision: &'static str,
    /// Reason for the decision.
    pub why: String,
}

impl RequestStory {
    /// Cleans a request.
    pub fn new(request: &KeptRequest, redactor: &Redactor) -> Self {
        let decided = &request.decided;
        Self {
            attempt: request.attempt,
            path: excerpt::line(&decided.path, redactor),
            decision: decided.decision.as_str(),
            why: excerpt::line(&decided.why, redactor),
        }
    }
}
