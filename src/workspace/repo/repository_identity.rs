//! Identity of the repository, by which a run finds the clone with its branch.

use std::io;

use super::Repo;
use crate::git::error::Result;
use crate::phase::clone_identity::{CloneIdentity, MachineName};

impl Repo {
    /// Tells this clone from clones at the same path of other machines, which share the database.
    #[must_use]
    pub fn on_machine(mut self, machine: MachineName) -> Self {
        self.machine = Some(machine);
        self
    }

    /// Returns an identifier of the repository, the same in each of its checkouts; with a remote for runs, the same in
    /// each clone.
    pub fn identity(&self) -> String {
        let path = self.common_dir.display().to_string();
        match (&self.run_remote, &self.machine) {
            (Some(remote), _) => remote.identity.clone(),
            (None, Some(machine)) => CloneIdentity { machine: machine.clone(), path }.to_string(),
            (None, None) => path,
        }
    }

    /// Returns an identifier that is the same in the clones of all machines: the remote for runs, else `origin`, else the only
    /// remote. Root commits would not do: shallow clones lack them, and projects made from a template share them.
    ///
    /// # Errors
    /// If git cannot read the configuration.
    pub async fn shared_identity(&self) -> Result<Option<String>> {
        if let Some(remote) = &self.run_remote {
            return Ok(Some(remote.identity.clone()));
        }
        let remotes = self.remotes().await?;
        let origin = remotes.iter().find(|remote| remote.name == "origin");
        let only = remotes.first().filter(|_| remotes.len() == 1);
        Ok(origin.or(only).map(|remote| self.identity_at(remote)))
    }

    /// Whether the repository with this identity no longer exists: its directory is gone, or a link to this
    /// repository. A directory that cannot be read counts as existing. Also true of this clone's identity without its
    /// machine, as of a database in a file.
    pub fn has_replaced(&self, identity: &str) -> bool {
        // Whether other clones use a remote is not known here.
        if Self::is_identity_of_remote(identity) {
            return false;
        }
        let path = match CloneIdentity::parse(identity) {
            None => identity.to_owned(),
            Some(clone) => match &self.machine {
                // Another machine's clones are not known here.
                Some(machine) if !machine.is_same(&clone.machine) => return false,
                // A database in a file may be a copy of one at a server.
                _ => clone.path,
            },
        };
        match std::fs::canonicalize(path) {
            Ok(real) => real == self.common_dir,
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
        }
    }
}
