//! The line of an attempt, straight down: slot, CI at the base, prompt, agent, diff, CI, landing. Each step is a file beside this one.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::phase::budget::Spent;
use crate::phase::dependency_inputs::is_input;
use crate::phase::words::first_few;
use crate::phase::{Failure, FailureKind, Requeue, Verdict};
use crate::process::{Stop, StopLevel};
use crate::progress::{Event, PhaseStarted, Step};
use crate::store::Claim;
use crate::workspace::{
    CheckoutState, ClaimRef, Fence, Measured, Reset, Side, Slot, without_binaries,
};

use super::activity_writer::Activity;
use super::attempt_record::Record;
use super::steps::setup_step::SetUp;
use super::{AttemptFolder, Site, Trouble, lesson};

/// More paths than these are counted in a message.
const SHOWN: usize = 5;
const MEASURED_AFTER_STOP: Duration = Duration::from_secs(30);
const MEASURED_AFTER_STOP_NOW: Duration = Duration::from_secs(3);

/// One attempt under way.
pub(super) struct Attempt<'a> {
    pub site: &'a Site,
    pub claim: &'a Claim,
    pub slot: Slot,
    pub fence: ClaimRef,
    /// The run's.
    pub branch: String,
    pub folder: AttemptFolder,
    pub stop: &'a Stop,
    pub activity: Activity,
    /// The tip that it is judged on; moves on when somebody else lands.
    pub base: String,
    pub record: &'a mut Record,
    /// Whether the agent said that it used a tool.
    pub used_tools: AtomicBool,
    /// What the drain had spent before it.
    pub drain_spent: Spent,
    /// The user's checkout before the agent worked.
    pub checkout: CheckoutState,
    /// Which `workspace.setup` CI may have failed for.
    pub missing_setup: Option<String>,
}

/// The line itself. Each step either goes on or is the verdict.
pub(super) async fn attempt(
    site: &Site,
    claim: &Claim,
    drain_spent: Spent,
    stop: &Stop,
    record: &mut Record,
) -> Result<Verdict, Trouble> {
    let mut attempt = Attempt::prepare(site, claim, drain_spent, stop, record).await?;
    if let Some(verdict) = attempt.check_base().await? {
        attempt.look_for_repeats(&verdict, false).await?;
        return Ok(verdict);
    }
    let prompt = attempt.prompt().await?;
    let reply = attempt.agent(prompt).await?;
    attempt.step(Step::Judging);
    let measured = tokio::select! {
        measured = attempt.measure() => measured?,
        () = too_late(stop) => return Ok(Verdict::Requeued(Requeue::Interrupted)),
    };
    let measured = match measured {
        Ok(measured) => measured,
        Err(failure) => {
            attempt.look_for_repeats(&Verdict::Failed(failure.clone()), false).await?;
            return Ok(Verdict::Failed(failure));
        }
    };
    attempt.say_left_out(&measured);
    // At once: what comes next may take us down, and this was paid for.
    let hidden = attempt.secret_in_binaries(&measured).await?;
    let kept = attempt.keep_work(&measured, hidden.is_some());
    let lost = attempt.keep_lost_work(&measured).await;
    let is_secret = hidden.is_some() || attempt.holds_secret(&measured);
    let verdict = match attempt.cut_short(&reply)? {
        Some(verdict) => verdict,
        None => match attempt.judge_diff(&measured, &reply, hidden).await? {
            Some(verdict) => verdict,
            None => attempt.test_and_land(&measured).await?,
        },
    };
    let verdict = lost.named_in(verdict);
    match (kept, &verdict) {
        (Err(error), Verdict::Passed { .. }) => {
            tracing::warn!("{error}; it has landed all the same")
        }
        (kept, _) => kept?,
    }
    let did_nothing = attempt.did_nothing(&verdict)?;
    attempt.look_for_repeats(&verdict, did_nothing).await?;
    attempt.learn(&measured, &verdict).await;
    if (is_secret || lost.is_secret) && !matches!(verdict, Verdict::Passed { .. }) {
        // Neither the next attempt's agent nor a copy of the disk is to find it.
        attempt.slot.remove().await?;
    }
    Ok(verdict)
}

/// After a stop, what an agent left is measured and kept for so long: it may be large.
async fn too_late(stop: &Stop) {
    stop.reached(StopLevel::Graceful).await;
    tokio::select! {
        () = tokio::time::sleep(MEASURED_AFTER_STOP) => {}
        () = stop.reached(StopLevel::Now) => tokio::time::sleep(MEASURED_AFTER_STOP_NOW).await,
    }
}

impl<'a> Attempt<'a> {
    /// The right to land, a slot that holds the run's tip, and a folder for what is kept.
    async fn prepare(
        site: &'a Site,
        claim: &'a Claim,
        drain_spent: Spent,
        stop: &'a Stop,
        record: &'a mut Record,
    ) -> Result<Self, Trouble> {
        let (facts, tip) = site.ensure_branch(&claim.run_id).await?;
        site.progress.emit(&Event::PhaseStarted(PhaseStarted {
            run_id: claim.run_id.clone(),
            phase_id: claim.phase_id.clone(),
            name: claim.phase.name().to_owned(),
            attempt: claim.attempt,
            try_number: claim.tries + 1,
            max_attempts: claim.max_attempts,
            agent: site.agent_of(claim)?.0.to_owned(),
        }));
        let (run, phase, number) = (&claim.run_id, &claim.phase_id, claim.attempt);
        let mut slot = site.repo.acquire_slot().await?;
        let folder = AttemptFolder::create(&site.repo.autopack_dir(), run, phase, number)?;
        let shown = folder.relative_to(site.repo.root());
        let slot_name = slot.number().to_string();
        tracing::debug!(slot = slot_name, base = tip.commit, "slot taken");
        // None of these waits for another, and nothing of the user's runs before all are done.
        let (fence, recorded, reset, checkout) = tokio::join!(
            site.repo.fence(run, phase, number, claim.owner.as_str()),
            site.store.record_slot(claim, &slot_name, &shown),
            slot.reset(&tip.commit, &site.settings.workspace),
            site.repo.checkout_state(),
        );
        let Fence::Ours(fence) = fence? else { return Err(Trouble::LeaseLost) };
        recorded?;
        let mut attempt = Self {
            site,
            claim,
            slot,
            fence,
            branch: facts.branch,
            folder,
            stop,
            activity: Activity::new(site.store.clone(), claim.key(), site.redactor.clone()),
            base: tip.commit,
            record,
            used_tools: AtomicBool::new(false),
            drain_spent,
            checkout: checkout?,
            missing_setup: None,
        };
        attempt.step(Step::Preparing);
        attempt.say_reset(&reset?);
        if attempt.set_up(Side::Agent).await? == SetUp::Ran {
            attempt.refuse_changes_of_setup().await?;
            // What it writes into the checkout is not the agent's doing.
            attempt.checkout = site.repo.checkout_state().await?;
        }
        attempt.install_for_agent().await?;
        Ok(attempt)
    }

    /// Makes CI's checkout hold exactly this commit, set up as the configuration says. A failure is the change's.
    pub(super) async fn place_for_ci(&mut self, commit: &str) -> Result<Option<Failure>, Trouble> {
        let reset = self.slot.reset_ci(commit, &self.site.settings.workspace).await?;
        // The rest was said of the agent's.
        self.say_reset(&Reset { set_aside: reset.set_aside, ..Reset::default() });
        Ok(match self.set_up(Side::Ci).await? {
            SetUp::DidNotRun | SetUp::Ran => self.install_for_ci().await?,
            SetUp::Failed { why } => Some(Failure::new(FailureKind::CiFailed, why)),
        })
    }

    /// They would be judged as the agent's, of whichever phase comes next.
    async fn refuse_changes_of_setup(&self) -> Result<(), Trouble> {
        let changes = match self.slot.measure(&self.base, &[]).await {
            Ok(measured) => measured.changes,
            Err(error) if error.is_about_the_attempt() => {
                return Err(Trouble::Systemic(format!(
                    "workspace.setup left what cannot be read: {error}"
                )));
            }
            Err(error) => return Err(error.into()),
        };
        if changes.is_empty() {
            return Ok(());
        }
        let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        Err(Trouble::Systemic(format!(
            "workspace.setup changed what the repository holds: {}; it would count as each agent's work: commit it \
             first, ignore it, name it in workspace.keep, or have setup leave it alone (`npm ci`, not `npm install`)",
            first_few(&paths, SHOWN)
        )))
    }

    fn say_reset(&self, reset: &Reset) {
        for path in &reset.missing_links {
            self.note(&format!("workspace.link: {path} is not in your checkout"));
        }
        for path in &reset.tracked_links {
            self.note(&format!("workspace.link: {path} is in the commit; it stays as it is there"));
        }
        if let Some(aside) = &reset.set_aside {
            self.note(&format!("the slot could not be cleaned; it lies in {}", aside.display()));
        }
        for path in &reset.missing_submodules {
            self.note(&format!("submodule {path}: its commit is not fetched; its folder is empty"));
        }
    }

    async fn measure(&mut self) -> Result<Result<Measured, Failure>, Trouble> {
        self.site.repo.reopen(self.folder.path());
        // The slot and the user's checkout are looked at together.
        let measured = self.slot.measure(&self.base, self.claim.phase.deliverables());
        let (measured, touched) =
            tokio::join!(measured, self.site.repo.changed_since(&self.checkout));
        self.say_touched(&touched?);
        if let Ok(measured) = &measured
            && measured.changes.iter().any(|change| is_input(&change.path))
        {
            // Who changes a manifest installs, too: into this checkout, in which others will work.
            self.slot.forget_dependencies(Side::Agent);
        }
        match measured {
            Ok(measured) => Ok(Ok(measured)),
            Err(error) if error.is_about_the_attempt() => {
                Ok(Err(Failure::new(FailureKind::ScopeBreach, error.to_string())))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn say_touched(&self, touched: &[String]) {
        if !touched.is_empty() {
            self.note(&format!(
                "your own checkout changed while the agent worked (by you, or by the agent): {}",
                first_few(touched, SHOWN)
            ));
        }
    }

    fn say_left_out(&self, measured: &Measured) {
        if !measured.left_out.is_empty() {
            let paths = measured.left_out.join(", ");
            self.note(&format!("new, and left out since workspace.keep names it: {paths}"));
        }
        if measured.without_binary {
            self.note("git cannot make a patch of all that changed; the patch that is kept has no binary files in it");
        }
    }

    /// As a patch, without the secrets that may be in it. It goes again when it has landed.
    fn keep_work(&mut self, measured: &Measured, in_binaries: bool) -> Result<(), Trouble> {
        if measured.changes.is_empty() {
            return Ok(());
        }
        let patch = self.folder.patch();
        let whole = match in_binaries {
            true => without_binaries(&measured.patch).into(),
            false => Cow::Borrowed(measured.patch.as_slice()),
        };
        self.folder.write(&patch, self.site.redactor.redact_patch(&whole))?;
        self.record.kept = Some(patch);
        Ok(())
    }

    /// What the memory is told of the work itself. It may have landed: nothing here can take that back.
    async fn learn(&mut self, measured: &Measured, verdict: &Verdict) {
        if !self.site.memory.is_on() {
            return;
        }
        self.record.lesson.has_ci = self.ci_plan(Side::Agent).await.is_configured();
        self.record.lesson.changed = measured.changes.iter().map(|c| c.path.clone()).collect();
        let retried =
            self.claim.last_failure.is_some() && matches!(verdict, Verdict::Passed { .. });
        let Some(failed) = self.folder.earlier_patch().filter(|_| retried) else { return };
        let Ok(failed) = std::fs::read(&failed) else { return };
        let text = |patch: &[u8]| String::from_utf8_lossy(patch).into_owned();
        self.record.lesson.fix = lesson::difference(&text(&failed), &text(&measured.patch));
    }

    pub(super) fn step(&self, step: Step) {
        self.does(step.as_str());
    }

    /// What we do for it now.
    pub(super) fn does(&self, what: &str) {
        tracing::debug!("{what}");
        self.activity.step(what);
        self.site.progress.step(&self.claim.run_id, &self.claim.phase_id, what);
    }

    /// It may be an agent's words.
    pub(super) fn note(&self, text: &str) {
        let text = self.site.redactor.redact(text);
        self.site.progress.note(&format!("{}: {text}", self.claim.phase_id));
    }
}
