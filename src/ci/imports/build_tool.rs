//! Build tools whose files may contain paths of the user's checkout.

/// A build tool, and the language of its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildTool {
    Go,
    Cargo,
    Node,
    Python,
}

impl BuildTool {
    /// All build tools, for commands that may use any.
    pub const ALL: [Self; 4] = [Self::Go, Self::Cargo, Self::Node, Self::Python];
}
