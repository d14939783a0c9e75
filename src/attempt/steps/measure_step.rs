//! Measure step: the agent's changes in the slot and in the user's checkout. The work is kept as a patch.

use std::borrow::Cow;

use crate::agent;
use crate::attempt::{Attempt, AttemptError, DrainContext};
use crate::phase::dependency_inputs::is_input;
use crate::phase::words::first_few;
use crate::phase::{Failure, FailureKind};
use crate::process::view::ViewMode;
use crate::store::Claim;
use crate::workspace::{CheckoutState, MeasuredChange, Side, strip_binaries};

/// Paths shown in a message; the rest are counted.
const SHOWN: usize = 5;

impl DrainContext {
    /// Takes a snapshot of the user's checkout before an agent starts; `None` if the agent cannot write there. In
    /// namespaces, only a directory opened by the configuration, or a service behind a socket, leads there.
    pub(crate) async fn watch_users_checkout(
        &self,
        claim: &Claim,
    ) -> Result<Option<CheckoutState>, AttemptError> {
        let sandbox = &self.settings.sandbox;
        let is_closed = self.views.mode == ViewMode::Namespaces
            && sandbox.write.is_empty()
            && sandbox.sockets.is_empty()
            && agent::has_program(self.agent_of(claim)?.1);
        Ok(if is_closed { None } else { Some(self.repo.checkout_state().await?) })
    }
}

impl Attempt<'_> {
    /// Measures the agent's change; `Err` is a failure of the attempt.
    pub(crate) async fn measure(
        &mut self,
    ) -> Result<Result<MeasuredChange, Failure>, AttemptError> {
        self.context.repo.reopen(self.directory.path());
        // The slot and the user's checkout are measured in parallel.
        let measured = self.slot.measure(&self.base, self.claim.phase.deliverables());
        let (measured, touched) = tokio::join!(measured, self.changes_in_users_checkout());
        self.note_checkout_changes(&touched?);
        if let Ok(measured) = &measured
            && measured.changes.iter().any(|change| is_input(&change.path))
        {
            // An agent changing a manifest probably installs, too: into this checkout, used by later phases.
            self.slot.forget_dependencies(Side::Agent);
        }
        match measured {
            Ok(measured) => Ok(Ok(measured)),
            Err(error) if error.is_caused_by_attempt() => {
                Ok(Err(Failure::new(FailureKind::ScopeBreach, error.to_string())))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the files of the user's checkout that changed since the last snapshot.
    pub(crate) async fn changes_in_users_checkout(&self) -> Result<Vec<String>, AttemptError> {
        match &self.checkout {
            Some(before) => Ok(self.context.repo.changed_since(before).await?),
            None => Ok(Vec::new()),
        }
    }

    /// Notes files of the user's checkout that changed meanwhile.
    pub(crate) fn note_checkout_changes(&self, touched: &[String]) {
        if touched.is_empty() {
            return;
        }
        let effect = match touched.iter().any(|path| self.context.repo.is_dependencies(path)) {
            true => "; CI keeps the earlier dependencies until the next drain",
            false => "",
        };
        self.note(&format!(
            "your own checkout changed while the agent worked (by you, or by the agent): {}{effect}",
            first_few(touched, SHOWN)
        ));
    }

    /// Notes files left out of the change.
    pub(crate) fn note_left_out(&self, measured: &MeasuredChange) {
        if !measured.omitted.is_empty() {
            let paths = measured.omitted.join(", ");
            self.note(&format!("new files left out because of workspace.keep: {paths}"));
        }
        if measured.without_binary {
            self.note("git cannot create a full patch; the kept patch has no binary files");
        }
    }

    /// Keeps the work as a patch, with secrets removed. The patch is deleted after landing.
    pub(crate) fn keep_work(
        &mut self,
        measured: &MeasuredChange,
        in_binaries: bool,
    ) -> Result<(), AttemptError> {
        if measured.changes.is_empty() {
            return Ok(());
        }
        let patch = self.directory.patch();
        let whole = match in_binaries {
            true => strip_binaries(&measured.patch).into(),
            false => Cow::Borrowed(measured.patch.as_slice()),
        };
        self.directory.write(&patch, self.context.redactor.redact_patch(&whole))?;
        self.record.kept = Some(patch);
        Ok(())
    }
}
