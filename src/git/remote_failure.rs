//! Why a remote did not do what git asked: refused, out of reach, moved by others, or without access.

use super::command::GitAnswer;
use super::error::WorkspaceError;
use crate::process::ToolError;

/// Failure of a call to a remote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteFailure {
    /// No access: the login is missing or refused.
    #[error("{remote} refuses access: {why}")]
    NoAccess {
        /// Name of the remote.
        remote: String,
        /// Message of git.
        why: String,
    },
    /// The server cannot be reached, or does not answer now.
    #[error("{remote} does not answer: {why}")]
    Unreachable {
        /// Name of the remote.
        remote: String,
        /// Message of git.
        why: String,
    },
    /// The branch is no longer where it was a moment ago.
    #[error("the branch moved at {remote} during the push")]
    Moved {
        /// Name of the remote.
        remote: String,
    },
    /// The server refuses the branch: a hook, or a protected branch.
    #[error("{remote} refuses the branch: {why}")]
    Refused {
        /// Name of the remote.
        remote: String,
        /// Message of the server.
        why: String,
    },
    /// Something else.
    #[error("git cannot use {remote}: {why}")]
    Other {
        /// Name of the remote.
        remote: String,
        /// Message of git.
        why: String,
    },
}

/// Messages of git and ssh about a missing or refused login.
const ACCESS: &[&str] = &[
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "terminal prompts disabled",
    "Permission denied (",
    "Host key verification failed",
    "returned error: 401",
    "returned error: 403",
    "Repository not found",
    "HTTP Basic: Access denied",
];
/// Messages about a server out of reach, or one that works again later.
const PASSING: &[&str] = &[
    "Could not resolve host",
    "Could not resolve hostname",
    "Could not connect",
    "Couldn't connect",
    "Failed to connect",
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Connection closed",
    "Operation timed out",
    "Operation too slow",
    "Network is unreachable",
    "No route to host",
    "Empty reply from server",
    "early EOF",
    "unexpected disconnect",
    "the remote end hung up",
    "RPC failed",
    "returned error: 429",
    "returned error: 500",
    "returned error: 502",
    "returned error: 503",
    "returned error: 504",
];

impl RemoteFailure {
    /// Reads a failed answer.
    pub(crate) fn of(remote: &str, answer: &GitAnswer) -> Self {
        let (out, err) = (&answer.output.stdout, &answer.output.stderr);
        let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
        Self::read(remote, &out, &err, &answer.stderr_summary())
    }

    fn read(remote: &str, out: &str, err: &str, summary: &str) -> Self {
        let remote = remote.to_owned();
        let has = |known: &[&str]| known.iter().any(|text| err.contains(text));
        let why = without_user(summary);
        // `!<tab>from:to<tab>[remote rejected] (reason)`
        let rejected = out.lines().find_map(|line| line.strip_prefix("!\t")?.split('\t').nth(1));
        match rejected {
            Some(line) if line.contains("stale info") || line.contains("fetch first") => {
                return Self::Moved { remote };
            }
            // Between the check of the lease and the update.
            Some(line)
                if line.contains("failed to update ref") || line.contains("cannot lock ref") =>
            {
                return Self::Moved { remote };
            }
            Some(line) => {
                let reason = line.split_once('(').map_or(line, |(_, reason)| reason);
                let reason = reason.trim_end_matches(')');
                let why = match server_lines(err) {
                    Some(lines) => format!("{reason}: {lines}"),
                    None => reason.to_owned(),
                };
                return Self::Refused { remote, why };
            }
            None => {}
        }
        if has(ACCESS) {
            return Self::NoAccess { remote, why };
        }
        if has(PASSING) {
            return Self::Unreachable { remote, why };
        }
        Self::Other { remote, why }
    }

    /// Reads the error of a call that took too long.
    pub(crate) fn of_time_limit(remote: &str, error: &WorkspaceError) -> Option<Self> {
        match error {
            WorkspaceError::GitUnusable { source: ToolError::TimedOut { after, .. }, .. } => {
                let why = format!("no end after {} s", after.as_secs());
                Some(Self::Unreachable { remote: remote.to_owned(), why })
            }
            _ => None,
        }
    }

    /// Whether another login may help.
    pub fn is_access(&self) -> bool {
        matches!(self, Self::NoAccess { .. })
    }

    /// Whether the same call may succeed a little later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Moved { .. })
    }
}

/// Returns the last lines that the server wrote.
fn server_lines(err: &str) -> Option<String> {
    let lines = err.lines().filter_map(|line| line.strip_prefix("remote:"));
    let lines: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    (!last.is_empty()).then(|| without_user(&last.join("; ")))
}

/// Removes users and passwords from URLs.
fn without_user(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(['/', ' ', '\'', '"']).unwrap_or(part.len());
        let from = part[..end].rfind('@').map_or(0, |at| at + 1);
        clean.push_str("://");
        clean.push_str(&part[from..]);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(out: &str, err: &str) -> RemoteFailure {
        RemoteFailure::read("origin", out, err, err)
    }

    #[test]
    fn refusals_of_the_server_are_told_with_its_words() {
        let out =
            "To x\n!\tabc:refs/heads/a\t[remote rejected] (pre-receive hook declined)\nDone\n";
        let refused = read(out, "remote: too big        \nremote: \nerror: failed to push\n");
        assert_eq!(
            refused.to_string(),
            "origin refuses the branch: pre-receive hook declined: too big"
        );
        let moved = read("!\ta:refs/heads/a\t[rejected] (stale info)\n", "error: failed");
        assert!(moved.is_passing() && !moved.is_access(), "{moved:?}");
    }

    #[test]
    fn missing_access_and_silence_are_told_apart() {
        let asks = "fatal: could not read Username for 'http://x': terminal prompts disabled";
        assert!(read("", asks).is_access());
        assert!(
            read("", "git@x: Permission denied (publickey).\nfatal: Could not read").is_access()
        );
        let down =
            "fatal: unable to access 'http://u:pw@x/': The requested URL returned error: 503";
        let down = read("", down);
        assert!(down.is_passing() && !down.to_string().contains("pw"), "{down}");
        assert!(!read("", "fatal: 'nowhere' does not appear to be a git repository").is_passing());
    }
}
