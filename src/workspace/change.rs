//! One difference between a commit and what an attempt left.

/// What happened to a path. A rename is a deletion and an addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
    TypeChanged,
    ModeChanged,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// From the repository's root, with `/`.
    pub path: String,
    pub kind: ChangeKind,
    /// Where the path is a symbolic link now: what it leads to, as it is written.
    pub symlink_target: Option<String>,
}
