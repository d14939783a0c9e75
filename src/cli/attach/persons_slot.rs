//! The slot of a phase for a person: reserved, opened again, brought onto the tip.

use std::ffi::OsString;
use std::path::Path;

use super::discard::keep_all;
use crate::agent::resume_words;
use crate::attempt::{AttemptDirectory, DrainContext, PersonsPlace, copy_plain};
use crate::cli::reserved_phase::ReservedPhase;
use crate::config::{AgentSettings, NetworkSetting};
use crate::failure::Failure;
use crate::phase::words::{first_few, short_commit};
use crate::process::StopReceiver;
use crate::process::view::ViewMode;
use crate::progress::{NOTES, shown_id};
use crate::store::AgentSession;
use crate::workspace::{AppliedPatch, Reservation, ReservedWork, Side, Slot};

/// Files named in a message; the rest are counted.
const NAMED: usize = 5;

/// Opens the slot of a phase for a person.
pub(super) struct PersonsSlot<'a> {
    pub context: &'a DrainContext,
    pub reserved: &'a ReservedPhase,
    /// The agent that worked last on the phase, with its session.
    pub last_agent: Option<AgentSession>,
}

impl PersonsSlot<'_> {
    /// Reserves a slot with the tip of the run and the kept work.
    pub async fn open(&self) -> Result<(Slot, Reservation), Failure> {
        let (context, row) = (self.context, &self.reserved.row);
        context.fetch_tip(&row.run_id).await?;
        let (_, tip) = context.ensure_branch(&row.run_id).await?;
        let mut slot = context.repo.acquire_slot().await?;
        let directory = context.repo.prepare_reservation(&slot)?;
        let stop = StopReceiver::never();
        context.place_for_person(&mut slot, &tip.commit, &directory, &stop).await?;
        let (run, phase, number) = (&row.run_id, &row.phase_id, row.executions);
        let last = context.kept_work(run, phase, number).await?;
        if let Some(directory_of_last) = &last.directory {
            copy_briefing(&AttemptDirectory::at(directory_of_last.clone()), &directory)?;
        }
        if let Some(why) = &last.missing {
            tracing::warn!(target: NOTES, "{why}");
        }
        let (what, conflicts) = match &last.patch {
            Some(patch) => self.apply(&slot, patch).await?,
            None => ("without work of an attempt", Vec::new()),
        };
        let work = ReservedWork {
            run_id: row.run_id.clone(),
            phase_id: row.phase_id.clone(),
            base: tip.commit,
            conflicts,
        };
        let reservation = context.repo.reserve(&slot, work).await?;
        self.say_opened(&slot, &reservation, what);
        Ok((slot, reservation))
    }

    /// Opens the reserved slot again, with the work in it.
    pub async fn reopen(
        &self,
        reservation: &Reservation,
        update: bool,
    ) -> Result<(Slot, Reservation), Failure> {
        let (context, work) = (self.context, &reservation.work);
        let settings = &context.settings.workspace;
        let slot = self.reserved.open_slot(&context.repo, reservation, settings).await?;
        context.fetch_tip(&work.run_id).await?;
        let (_, tip) = context.ensure_branch(&work.run_id).await?;
        if update && tip.commit != work.base {
            return self.update(slot, reservation, tip.commit).await;
        }
        self.say_opened(&slot, reservation, "with your work");
        if tip.commit != work.base {
            let name = self.reserved.argument();
            tracing::info!(
                target: NOTES,
                "the run has moved to {}: `autopack attach {name} --update` brings your work onto it",
                short_commit(&tip.commit)
            );
        }
        Ok((slot, reservation.clone()))
    }

    /// Brings the work onto the tip, in place. Again after an interruption: what is merged already merges without a conflict.
    async fn update(
        &self,
        mut slot: Slot,
        reservation: &Reservation,
        tip: String,
    ) -> Result<(Slot, Reservation), Failure> {
        let (context, work) = (self.context, &reservation.work);
        let measured = self.reserved.measure(&slot, reservation).await?;
        keep_all(&context.repo, self.reserved, &slot, &measured).await?;
        let moved = slot.move_work(&measured.tree, &work.base, &tip).await?;
        if !moved.conflicts.is_empty() {
            let paths = first_few(&moved.conflicts, NAMED);
            tracing::warn!(
                target: NOTES,
                "you and the run both changed {paths}: text has conflict markers, other files have your version"
            );
        }
        let work = ReservedWork { base: tip, conflicts: moved.conflicts, ..work.clone() };
        let reservation = context.repo.reserve(&slot, work).await?;
        self.say_opened(&slot, &reservation, "with your work");
        Ok((slot, reservation))
    }

    async fn apply(
        &self,
        slot: &Slot,
        patch: &Path,
    ) -> Result<(&'static str, Vec<String>), Failure> {
        let shown = patch.strip_prefix(self.context.repo.root()).unwrap_or(patch).display();
        Ok(match slot.apply_patch(Side::Agent, patch).await? {
            AppliedPatch::Clean => ("with its kept work", Vec::new()),
            AppliedPatch::Conflicts(paths) => {
                tracing::warn!(
                    target: NOTES,
                    "its kept work and the run both changed {}: text has conflict markers, other files have the run's version",
                    first_few(&paths, NAMED)
                );
                ("with its kept work, in conflict", paths)
            }
            AppliedPatch::Refused(why) => {
                tracing::warn!(target: NOTES, "the kept work {shown} does not apply: {why}");
                ("without its kept work", Vec::new())
            }
        })
    }

    fn say_opened(&self, slot: &Slot, reservation: &Reservation, what: &str) {
        let phase = shown_id(reservation.work.phase_id.as_str());
        let base = short_commit(&reservation.work.base);
        let path = slot.path().display();
        tracing::info!(target: NOTES, "{phase} at {base} {what}, reserved for you in {path}");
    }

    /// Returns the configured agent that worked last on the phase, else the default agent.
    fn agent(&self) -> Option<(&str, &AgentSettings)> {
        let settings = &self.context.settings;
        let last = self.last_agent.as_ref().and_then(|last| settings.agent(Some(&last.agent)));
        last.or_else(|| settings.agent(self.context.default_agent()))
    }

    /// Returns the command that continues the session of the last agent, if it can.
    pub fn session(&self) -> Option<Vec<OsString>> {
        let last = self.last_agent.as_ref()?;
        let (_, settings) = self.context.settings.agent(Some(&last.agent))?;
        resume_words(settings, last.session.as_deref()?)
    }

    /// Runs a command of the person. Returns the exit code.
    pub async fn run(
        &self,
        slot: &Slot,
        reservation: &Reservation,
        command: Vec<OsString>,
    ) -> Result<i32, Failure> {
        let context = self.context;
        let is_limited = !matches!(context.settings.sandbox.network, NetworkSetting::Allow);
        if is_limited && context.views.mode == ViewMode::Namespaces {
            tracing::info!(target: NOTES, "sandbox.network: a shell reaches this machine alone");
        }
        let place = PersonsPlace {
            slot,
            work: &reservation.work,
            directory: &reservation.directory,
            agent: self.agent(),
        };
        Ok(context.run_for_person(&place, command).await?)
    }
}

/// Copies the prompt and the phase of the last attempt, if there was one.
fn copy_briefing(last: &AttemptDirectory, directory: &Path) -> Result<(), Failure> {
    for file in [last.prompt(), last.phase()] {
        let Some(name) = file.file_name() else { continue };
        copy_plain(&file, &directory.join(name))?;
    }
    Ok(())
}
