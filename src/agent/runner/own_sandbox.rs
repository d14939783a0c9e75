//! The decision about the sandbox of an agent's own, inside autopack's.

/// The sandbox of an agent's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSandbox {
    /// Whether it stays as the user and the agent set it.
    pub is_kept: bool,
    /// What is told to the user.
    pub note: Option<String>,
    /// Arguments that turn it off.
    pub args: Vec<String>,
}

impl Default for OwnSandbox {
    fn default() -> Self {
        Self { is_kept: true, note: None, args: Vec::new() }
    }
}
