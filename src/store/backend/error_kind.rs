//! What kind of fault a database reports.

use std::fmt;

/// Remedy for a damaged database.
pub(in crate::store) const RESTORE_IT: &str =
    "restore it from a backup, or move it away and import the plan again";

/// Remedy for a standby.
pub(in crate::store) const USE_THE_PRIMARY: &str =
    "choose the primary with --database-url or AUTOPACK_DATABASE_URL";

/// What kind of error the database reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseErrorKind {
    /// The disk, or the quota, is full.
    Full,
    /// The disk reports an error.
    Io,
    /// Another process holds a lock too long.
    Busy,
    /// The file is damaged.
    Corrupt,
    /// The file or directory is read-only.
    ReadOnly,
    /// The file, or a file beside it, cannot be opened.
    CannotOpen,
    /// The server is a standby.
    Standby,
    /// The server cannot be reached, or does not accept work now.
    Unreachable,
    /// The connection broke during a commit, and the server did not tell afterwards whether the changes are stored.
    Unanswered,
    /// Any other error; see the source.
    Other,
}

impl DatabaseErrorKind {
    /// Returns the remedy, if known.
    pub(in crate::store) fn hint(self) -> Option<&'static str> {
        match self {
            Self::Full => Some("free some disk space and continue, nothing was lost"),
            Self::Io => Some("check the system log before continuing"),
            Self::Busy => Some("find and stop the process that has it open"),
            Self::Corrupt => Some(RESTORE_IT),
            Self::Unreachable => Some(
                "check that the server runs and that this machine reaches it, then start again; nothing was lost",
            ),
            Self::Standby => Some(USE_THE_PRIMARY),
            Self::Unanswered => Some(
                "look whether it is stored, with `autopack status`, before you repeat the command",
            ),
            Self::ReadOnly | Self::CannotOpen | Self::Other => None,
        }
    }
}

/// Formats the fault, and after a `; ` the remedy.
impl fmt::Display for DatabaseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk is full",
            Self::Io => "the disk reports an error",
            Self::Busy => "another process keeps it locked",
            Self::Corrupt => "it is damaged",
            Self::ReadOnly => "it or its directory is read-only",
            Self::CannotOpen => "it or a file beside it cannot be opened",
            Self::Standby => "the server is a standby, which accepts no writes",
            Self::Unreachable => "the server does not answer",
            Self::Unanswered => "the connection broke during a commit, and the server did not tell whether the change is stored",
            Self::Other => "it reported an error",
        })?;
        self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}
