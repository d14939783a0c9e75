//! Files of an attempt that another machine executed: from the shared directory or the database, or an explanation of where
//! they are.

use std::path::Path;

use super::Context;
use super::attempt_choice::AttemptChoice;
use crate::attempt::{
    AttemptDirectory, AttemptFileFinder, AttemptFiles, FilesPlace, FoundFiles, shown_host,
};
use crate::drain::executes_here;
use crate::failure::Failure;
use crate::store::OwnerRow;
use crate::workspace::Repo;

impl AttemptChoice {
    /// Finds the attempt's files; in the database, only the one with this name, if given.
    pub async fn files(
        &self,
        context: &Context,
        name: Option<&str>,
    ) -> Result<AttemptFiles, Failure> {
        let root = context.workspace()?;
        let (settings, row) = (&context.config()?.settings.artifacts, &self.row);
        let finder = AttemptFileFinder { root: &root, store: &self.store, settings };
        match finder.find(&row.run_id, &row.phase_id, &self.attempt, name).await? {
            FoundFiles::Found(files) => Ok(files),
            FoundFiles::Removed => Err(Failure::new(format!(
                "{} has no files any more: they were on {}, and `autopack gc` removed them from the database",
                self.name(),
                self.host()
            ))),
            FoundFiles::NotStored => {
                let directory = finder.own_directory(&row.run_id, &row.phase_id, &self.attempt);
                Err(self.explain_not_stored(&directory))
            }
        }
    }

    fn explain_not_stored(&self, directory: &Path) -> Failure {
        if !self.store.is_at_server() || self.attempt.host.is_none() {
            return self.explain_no_files(directory);
        }
        let (name, host) = (self.name(), self.host());
        match self.attempt.ended_at {
            None => Failure::new(format!("{name} is running on {host}; its files are there until it ends"))
                .hint(format!("`autopack log -f {}` follows its logs", self.phase())),
            Some(_) => Failure::new(format!(
                "the files of {name} are on {host}, and nowhere else yet: {}",
                self.attempt.log_dir.as_deref().unwrap_or_default()
            ))
            .hint("the next drain in the clone there stores them in the database; so does `autopack gc`"),
        }
    }

    /// Returns the host of the attempt, for people.
    pub fn host(&self) -> String {
        shown_host(&self.attempt)
    }

    /// Returns the attempt's directory as other machines name it.
    pub fn directory_there(&self) -> String {
        format!("{}:{}", self.host(), self.attempt.log_dir.as_deref().unwrap_or_default())
    }

    /// Returns the directory as shown: a temporary copy by the name of the original.
    pub fn shown_directory(&self, files: &AttemptFiles) -> Option<String> {
        (files.place == FilesPlace::Database).then(|| self.directory_there())
    }

    /// Whether a running attempt is executed by a drain of this clone.
    pub async fn runs_here(&self, repo: &Repo) -> Result<bool, Failure> {
        if !self.store.is_at_server() {
            return Ok(true);
        }
        let owners = self.store.owners().await?;
        let is_owner = |row: &&OwnerRow| row.owner.id == self.attempt.owner;
        Ok(owners.iter().find(is_owner).is_some_and(|row| executes_here(&row.owner, repo)))
    }

    /// Whether this clone executed the attempt, as far as its files tell.
    pub fn was_here(&self, context: &Context) -> Result<bool, Failure> {
        let owner = AttemptDirectory::at(self.directory(context)?).owner();
        Ok(!self.store.is_at_server() || owner.as_ref() == Some(&self.attempt.owner))
    }
}
