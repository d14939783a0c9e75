//! Names of refs at the remote.

use super::ClaimedWork;
use crate::phase::RunId;

/// Namespace of refs at the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefLayout {
    /// `refs/autopack/claims/...`
    Own,
    /// `refs/heads/autopack-claims/...`, where the server refuses other refs than branches and tags.
    Heads,
}

impl RefLayout {
    /// All layouts.
    pub const ALL: [Self; 2] = [Self::Own, Self::Heads];

    fn name(self, kind: &str, rest: &str) -> String {
        match self {
            Self::Own => format!("refs/autopack/{kind}/{rest}"),
            Self::Heads => format!("refs/heads/autopack-{kind}/{rest}"),
        }
    }

    /// Returns the directory of all claims.
    pub fn claims(self) -> String {
        self.name("claims", "")
    }

    /// Returns the ref of a claim.
    pub fn claim(self, work: &ClaimedWork) -> String {
        let run = work.run.file_name();
        match &work.phase {
            Some(phase) => self.name("claims", &format!("{run}/{}", phase.file_name())),
            None => self.name("undos", &run),
        }
    }

    /// Returns the ref of a member of a merge queue.
    pub fn member(self, run: &RunId, position: i64) -> String {
        self.name("queue", &format!("{}/{position}", run.file_name()))
    }

    /// Returns the ref of a probe.
    pub fn probe(self, name: &str) -> String {
        self.name("claims", &format!("probe-{name}"))
    }

    /// Returns the patterns of all refs of a run except its branch.
    pub(super) fn of_run(self, run: &RunId) -> [String; 3] {
        let run = run.file_name();
        [
            self.name("claims", &format!("{run}/*")),
            self.name("queue", &format!("{run}/*")),
            self.name("undos", &run),
        ]
    }

    /// Returns the pattern of probes.
    pub(super) fn probes(self) -> String {
        self.name("claims", "probe-*")
    }
}

/// Returns the branch of a run.
pub(super) fn branch(run: &RunId) -> String {
    format!("refs/heads/autopack/{}", run.file_name())
}
