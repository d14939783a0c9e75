//! `drain --publish`: checks before the drain that a publication can begin, and publishes the runs at its end.

use serde_json::json;

use super::Context;
use super::publish::{PublishPlan, PublishWish, choose_target};
use super::publish_text::ShownPublication;
use crate::failure::{Exit, Failure};
use crate::phase::RunId;
use crate::phase::words::quoted;
use crate::process::{StopLevel, StopReceiver};
use crate::progress::{NOTES, shown_id};
use crate::store::Store;
use crate::workspace::Repo;

/// Publishing at the end of a drain.
pub(super) struct DrainPublication<'a> {
    context: &'a Context,
    repo: Repo,
    is_json: bool,
    is_wanted: bool,
}

impl<'a> DrainPublication<'a> {
    /// Creates the publication of a drain, which does nothing unless wanted.
    pub fn new(is_wanted: bool, is_json: bool, context: &'a Context, repo: &Repo) -> Self {
        Self { context, repo: repo.clone(), is_json, is_wanted }
    }

    /// Checks remote and configuration for plan files, before they are imported.
    ///
    /// # Errors
    /// As [`DrainPublication::check`].
    pub async fn check_for_files(&self) -> Result<(), Failure> {
        if self.is_wanted {
            choose_target(&self.repo, self.context, None, None).await.map_err(of_option)?;
        }
        Ok(())
    }

    /// Checks remote and configuration, before the first agent starts. Asks no server.
    ///
    /// # Errors
    /// There is no remote, or `publish.forge` is invalid.
    pub async fn check(&self, store: &Store, runs: &[RunId]) -> Result<(), Failure> {
        if !self.is_wanted {
            return Ok(());
        }
        let wish = PublishWish::default();
        let plan = PublishPlan { store, repo: &self.repo, context: self.context, wish: &wish };
        for run in runs {
            let target = plan.target(run).await.map_err(of_option)?;
            let remote = shown_id(&target.remote.name);
            match target.forge_name() {
                Some(forge) if !target.has_token() => tracing::warn!(
                    "no token for {forge}: {remote} gets the branch, and no pull request; set {}",
                    crate::forge::token_variables(forge)
                ),
                Some(_) => {}
                None => tracing::info!(
                    target: NOTES,
                    "no forge is known for {remote}: it gets the branch, and no pull request"
                ),
            }
        }
        Ok(())
    }

    /// Publishes after a drain that had nothing to do: an earlier publication may have failed.
    ///
    /// # Errors
    /// As [`DrainPublication::check`], or standard output cannot be written.
    pub async fn publish_anyway(
        &self,
        store: &Store,
        runs: &[RunId],
        exit: Exit,
    ) -> Result<Exit, Failure> {
        self.check(store, runs).await?;
        if self.is_wanted { self.publish(store, runs, exit).await } else { Ok(exit) }
    }

    /// Publishes after a drain, also after an interrupted one, until the next signal.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub async fn publish_after(
        &self,
        store: &Store,
        runs: &[RunId],
        exit: Exit,
        stop: &StopReceiver,
    ) -> Result<Exit, Failure> {
        let next = match stop.level() {
            StopLevel::Run => StopLevel::Graceful,
            StopLevel::Graceful | StopLevel::Now => StopLevel::Now,
        };
        if !self.is_wanted || stop.level() == StopLevel::Now {
            return Ok(exit);
        }
        tokio::select! {
            published = self.publish(store, runs, exit) => published,
            () = stop.reached(next) => {
                tracing::warn!("stopped while publishing: `autopack publish` goes on where it stopped");
                Ok(exit)
            }
        }
    }

    /// Publishes each run with landings. Returns the exit code of the drain: a failed publication turns only success
    /// into a failure of ours.
    ///
    /// # Errors
    /// Standard output cannot be written.
    async fn publish(&self, store: &Store, runs: &[RunId], drained: Exit) -> Result<Exit, Failure> {
        let mut exit = drained;
        for run in runs {
            let (publication, failure) = match self.publish_run(store, run).await {
                Ok(mut publication) => {
                    let unfinished = publication.as_mut().and_then(|found| found.unfinished.take());
                    (publication, unfinished)
                }
                Err(failure) => (None, Some(failure)),
            };
            if let Some(failure) = &failure {
                let hint = failure.hint_text().map(|hint| format!("; {hint}")).unwrap_or_default();
                let command = quoted(run.as_str());
                tracing::error!(
                    "cannot publish {}: {}{hint}; the landings are on the local branch: `autopack publish {command}`",
                    shown_id(run.as_str()),
                    failure.text()
                );
                if exit == Exit::Done {
                    exit = Exit::OurFailure;
                }
            }
            let is_shown = publication.is_some() || failure.is_none();
            let error = failure.map(|failure| failure.text());
            let shown = ShownPublication { run, publication, error, dry_run: false };
            if self.is_json {
                let mut event = json!({"event": "run_published"});
                let object = event.as_object_mut().expect("an object");
                object.extend(shown.json().as_object().cloned().unwrap_or_default());
                object.shift_remove("dry_run");
                self.context.out.json_line(&event)?;
            } else if is_shown {
                shown.lines().iter().try_for_each(|line| self.context.out.line(line))?;
            }
        }
        Ok(exit)
    }

    async fn publish_run(
        &self,
        store: &Store,
        run: &RunId,
    ) -> Result<Option<crate::publish::Publication>, Failure> {
        let wish = PublishWish::default();
        let plan = PublishPlan { store, repo: &self.repo, context: self.context, wish: &wish };
        let summary = store.run(run).await?;
        let target = plan.target(run).await?;
        plan.publish(&summary, &target).await
    }
}

fn of_option(failure: Failure) -> Failure {
    failure.prefixed("--publish:")
}
