//! Shared by `undo` and `update`: a process registered for a run, like a drain, and the refusal of a busy run.

use super::Context;
use super::attempt_setup::{build_drain_context, check_sandbox, choose_views};
use crate::attempt::DrainContext;
use crate::drain::{RegisteredDrain, Signals};
use crate::failure::Failure;
use crate::phase::RunId;
use crate::phase::words::quoted;
use crate::process::StopReceiver;
use crate::progress::{Mode, shown_id};
use crate::store::{Owner, Store};
use crate::workspace::Repo;

/// A process that may change the branch of a run.
pub(super) struct RegisteredChange {
    /// Context with the repository.
    pub drain_context: DrainContext,
    /// Registration in the store.
    pub registered: RegisteredDrain,
    /// Signals of the process.
    pub signals: Signals,
    /// Stop signal for the change.
    pub stop: StopReceiver,
}

impl RegisteredChange {
    /// Registers this process for the run. An interrupted undo or update of the run is settled first.
    pub async fn register(
        context: &Context,
        store: &Store,
        repo: Repo,
        run: &RunId,
        is_json: bool,
    ) -> Result<Self, Failure> {
        check_sandbox(context, &repo, store)?;
        repo.prepare_directory()?;
        repo.slots_directory()?;
        let (handle, stop) = StopReceiver::pair();
        let signals = Signals::listen(handle)?;
        let views = choose_views(context, &repo, store).await?;
        let mode = if is_json { Mode::Json } else { Mode::Lines };
        let drain_context = build_drain_context(context, repo, store.clone(), mode, views)?;
        let (runs, executor) = (std::slice::from_ref(run), &drain_context.settings.executor);
        let registered =
            RegisteredDrain::register(store, &drain_context.repo, runs, executor, &signals).await?;
        Ok(Self { drain_context, registered, signals, stop })
    }
}

/// Returns the refusal while others work on the run.
pub(super) fn explain_busy(run: &RunId, owners: &[Owner]) -> Failure {
    let by = match owners {
        [] => String::new(),
        [owner, ..] => format!(" (process {} on {})", owner.process.pid, owner.process.host),
    };
    let (shown, stop) = (shown_id(run.as_str()), quoted(run.as_str()));
    Failure::new(format!("another autopack works on run {shown}{by}"))
        .hint(format!("wait for its end, or stop it: autopack stop --run-id {stop}"))
}
