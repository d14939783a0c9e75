//! Flow of one attempt: slot, CI at the base, prompt, agent, diff, CI, landing. Each step has a file in `steps/`.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use crate::merge_queue::ci_permits::TestRuns;
use crate::phase::budget::BudgetUsage;
use crate::phase::words::first_few;
use crate::phase::{Failure, FailureKind, RequeueReason, Verdict};
use crate::process::StopReceiver;
use crate::process::view::{ChildView, ViewMode};
use crate::progress::{Event, PhaseStarted, Step};
use crate::store::Claim;
use crate::workspace::{
    CheckoutState, ClaimRef, FenceOutcome, MeasuredChange, ResetFindings, Side, Slot,
};

use crate::workspace::view;

use super::activity_writer::Activity;
use super::attempt_record::{Judged, Record};
use super::checkout_runner::SetupOutcome;
use super::remote_run::EarlyFence;
use super::{AttemptDirectory, AttemptError, DrainContext, lesson};

/// Paths shown in a message; the rest are counted.
const SHOWN: usize = 5;

/// Attempt in progress.
pub(super) struct Attempt<'a> {
    /// Context of the drain.
    pub context: &'a DrainContext,
    /// Claim being executed.
    pub claim: &'a Claim,
    /// Slot with the agent's and CI's checkout.
    pub slot: Slot,
    /// Ref whose value permits landing.
    pub fence: ClaimRef,
    /// Branch of the run.
    pub branch: String,
    /// Directory of the attempt's files.
    pub directory: AttemptDirectory,
    /// Stop signal for this attempt; for a test in the merge queue, also for that test alone.
    pub stop: StopReceiver,
    /// Whether CI runs alone, and whether it did.
    pub ci_turn: CiTurn,
    /// Writer of the current activity.
    pub activity: Activity,
    /// Commit used as the base of the verdict; moves on when another attempt lands.
    pub base: String,
    /// Facts collected so far.
    pub record: &'a mut Record,
    /// Whether the agent reported a tool call.
    pub used_tools: AtomicBool,
    /// Usage of the drain before this attempt.
    pub drain_spent: BudgetUsage,
    /// View of the agent's program.
    pub agents_view: Option<ChildView>,
    /// State of the user's checkout before the agent started.
    pub checkout: Option<CheckoutState>,
    /// Description of the missing `workspace.setup` if CI may have failed without setup.
    pub missing_setup: Option<String>,
    /// Files changed by an undo or an update: their tests may be gone. Empty for an attempt.
    pub reverted: BTreeSet<String>,
}

/// Whether runs of CI are, and were, beside others.
#[derive(Clone, Debug, Default)]
pub(super) struct CiTurn {
    /// Whether the next runs are without others beside them.
    pub alone: bool,
    /// Runs since the last reset.
    pub runs: TestRuns,
}

/// What a new attempt begins with.
pub(super) struct AttemptStart<'a> {
    pub context: &'a DrainContext,
    pub claim: &'a Claim,
    pub slot: Slot,
    pub fence: ClaimRef,
    pub branch: String,
    pub base: String,
    pub directory: AttemptDirectory,
}

/// Runs all steps in order. Each step either continues or returns the verdict.
pub(super) async fn attempt(
    context: &DrainContext,
    claim: &Claim,
    drain_spent: BudgetUsage,
    stop: &StopReceiver,
    record: &mut Record,
) -> Result<Verdict, AttemptError> {
    let early = match Box::pin(context.fence_early(claim, stop)).await? {
        EarlyFence::Later => None,
        EarlyFence::Claimed(fence) => Some(fence),
        EarlyFence::Stopped => return Ok(Verdict::Requeued(RequeueReason::Interrupted)),
    };
    let mut attempt = Attempt::prepare(context, claim, early, drain_spent, stop, record).await?;
    if attempt.is_scope_due().await? {
        let verdict = attempt.propose_scope().await?;
        attempt.look_for_repeats(&verdict).await?;
        return Ok(verdict);
    }
    if let Some(verdict) = attempt.check_base().await? {
        attempt.look_for_repeats(&verdict).await?;
        return Ok(verdict);
    }
    let prompt = attempt.prompt().await?;
    let reply = attempt.agent(prompt).await?;
    attempt.read_request().await?;
    let Judged { verdict, measured, is_secret } = attempt.judge_work(&reply).await?;
    attempt.look_for_repeats(&verdict).await?;
    let has_passed = matches!(verdict, Verdict::Passed { .. });
    if has_passed {
        attempt.remove_sessions();
    }
    if let Some(measured) = measured {
        attempt.learn(&measured, &verdict).await;
    }
    if is_secret && !has_passed {
        // The secret must be found neither by the next agent nor in a copy of the disk.
        attempt.slot.remove().await?;
    }
    Ok(verdict)
}

/// Reports the start of an attempt.
pub(super) fn report_start(context: &DrainContext, claim: &Claim, agent: &str) {
    context.progress.emit(&Event::PhaseStarted(PhaseStarted {
        run_id: claim.run_id.clone(),
        phase_id: claim.phase_id.clone(),
        name: claim.phase.name().to_owned(),
        attempt: claim.attempt,
        try_number: claim.counted_attempts + 1,
        max_attempts: claim.max_attempts,
        agent: agent.to_owned(),
    }));
}

impl<'a> Attempt<'a> {
    /// Creates an attempt without usage and findings.
    pub(super) fn begin(
        start: AttemptStart<'a>,
        stop: &StopReceiver,
        record: &'a mut Record,
    ) -> Self {
        let AttemptStart { context, claim, slot, fence, branch, base, directory } = start;
        Self {
            context,
            claim,
            slot,
            fence,
            branch,
            directory,
            stop: stop.clone(),
            ci_turn: CiTurn::default(),
            activity: Activity::new(context.store.clone(), claim.key(), context.redactor.clone()),
            base,
            record,
            used_tools: AtomicBool::new(false),
            drain_spent: BudgetUsage::default(),
            agents_view: None,
            checkout: None,
            missing_setup: None,
            reverted: BTreeSet::new(),
        }
    }

    /// Prepares the fence, a slot at the run's tip, and the directory of the attempt.
    async fn prepare(
        context: &'a DrainContext,
        claim: &'a Claim,
        early: Option<ClaimRef>,
        drain_spent: BudgetUsage,
        stop: &StopReceiver,
        record: &'a mut Record,
    ) -> Result<Self, AttemptError> {
        let (branch, base) = match claim.phase.needs_scope() {
            true => context.planned_branch(&claim.run_id).await?,
            false => {
                let (facts, tip) = context.ensure_branch(&claim.run_id).await?;
                (facts.branch, tip.commit)
            }
        };
        report_start(context, claim, context.agent_of(claim)?.0);
        let (run, phase, number) = (&claim.run_id, &claim.phase_id, claim.attempt);
        let mut slot = context.repo.acquire_slot().await?;
        let directory = AttemptDirectory::create(&context.repo.autopack_dir(), run, phase, number)?;
        context.artifacts.begin(claim.executed_attempt(), &directory)?;
        let shown = directory.relative_to(context.repo.root());
        let slot_name = slot.number().to_string();
        tracing::debug!(slot = slot_name, base, "slot taken");
        let fence = async {
            match early {
                Some(fence) => Ok(FenceOutcome::Ours(fence)),
                None => context.repo.fence(run, phase, number, claim.owner.as_str()).await,
            }
        };
        // These steps are independent, and no program of the user starts before all are done. The store is asked after a
        // claim at the remote: a claim that came too late is refused there.
        let (fence, recorded, reset, checkout) = tokio::join!(
            fence,
            context.store.record_slot(claim, &slot_name, &shown),
            slot.reset(&base, &context.settings.workspace),
            context.watch_users_checkout(claim),
        );
        let FenceOutcome::Ours(fence) = fence? else { return Err(AttemptError::LeaseLost) };
        recorded?;
        let start = AttemptStart { context, claim, slot, fence, branch, base, directory };
        let mut attempt = Self::begin(start, stop, record);
        (attempt.drain_spent, attempt.checkout) = (drain_spent, checkout?);
        attempt.step(Step::Preparing);
        attempt.note_reset(&reset?);
        if claim.phase.needs_scope() {
            // The agent only reads.
            return Ok(attempt);
        }
        if attempt.set_up(Side::Agent).await? == SetupOutcome::Ran {
            attempt.refuse_changes_of_setup().await?;
            // Changes by setup in the user's checkout are not the agent's.
            attempt.checkout = context.watch_users_checkout(claim).await?;
        }
        attempt.install_for_agent().await?;
        Ok(attempt)
    }

    /// Resets CI's checkout to exactly this commit and runs setup. A failure is attributed to the change.
    pub(super) async fn place_for_ci(
        &mut self,
        commit: &str,
    ) -> Result<Option<Failure>, AttemptError> {
        let reset = self.slot.reset_ci(commit, &self.context.settings.workspace).await?;
        // The other notes were already given for the agent's checkout.
        self.note_reset(&ResetFindings {
            set_aside: reset.set_aside,
            touched: reset.touched,
            ..ResetFindings::default()
        });
        Ok(match self.set_up(Side::Ci).await? {
            SetupOutcome::DidNotRun | SetupOutcome::Ran => self.install_for_ci().await?,
            SetupOutcome::Failed { why } => Some(Failure::new(FailureKind::CiFailed, why)),
        })
    }

    /// Fails if setup changed files not ignored by git: they would count as work of each agent.
    async fn refuse_changes_of_setup(&self) -> Result<(), AttemptError> {
        let changes = match self.slot.measure(&self.base, &[]).await {
            Ok(measured) => measured.changes,
            Err(error) if error.is_caused_by_attempt() => {
                return Err(AttemptError::Systemic(format!(
                    "workspace.setup left unreadable files: {error}"
                )));
            }
            Err(error) => return Err(error.into()),
        };
        if changes.is_empty() {
            return Ok(());
        }
        let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        Err(AttemptError::Systemic(format!(
            "workspace.setup changed files not ignored by git: {}; they would count as each agent's work: commit them \
             first, ignore them, name them in workspace.keep, or have setup leave them alone (`npm ci`, not `npm install`)",
            first_few(&paths, SHOWN)
        )))
    }

    fn note_reset(&self, reset: &ResetFindings) {
        for path in &reset.missing_links {
            self.note(&format!("workspace.link: {path} is not in your checkout"));
        }
        for path in &reset.tracked_links {
            self.note(&format!("workspace.link: {path} is in the commit; using that content"));
        }
        if let Some(aside) = &reset.set_aside {
            self.note(&format!("cannot clean the slot; moved to {}", aside.display()));
        }
        if let Some(path) = &reset.touched {
            self.note(&format!(
                "{} in CI's checkout was changed by another process, maybe by an agent; caches and dependencies there are \
                 made anew",
                path.display()
            ));
        }
        for path in &reset.missing_submodules {
            self.note(&format!("submodule {path}: commit not fetched; the directory is empty"));
        }
    }

    /// Removes the agent's sessions of a phase that landed.
    pub(super) fn remove_sessions(&self) {
        if self.context.views.mode == ViewMode::Off {
            return;
        }
        let (run, phase) = (self.claim.run_id.file_name(), self.claim.phase_id.file_name());
        if let Err(error) = view::remove_sessions(&self.context.repo, &run, Some(&phase)) {
            tracing::warn!("{error}");
        }
    }

    /// Collects data for the memory. The change may have landed already, so errors here are ignored.
    async fn learn(&mut self, measured: &MeasuredChange, verdict: &Verdict) {
        if !self.context.memory.is_on() {
            return;
        }
        self.record.lesson.has_ci = self.ci_plan(Side::Agent).await.is_configured();
        self.record.lesson.changed = measured.changes.iter().map(|c| c.path.clone()).collect();
        let retried =
            self.claim.last_failure.is_some() && matches!(verdict, Verdict::Passed { .. });
        let Some(failed) = self.directory.earlier_patch().filter(|_| retried) else { return };
        let Ok(failed) = std::fs::read(&failed) else { return };
        let text = |patch: &[u8]| String::from_utf8_lossy(patch).into_owned();
        self.record.lesson.fix = lesson::difference(&text(&failed), &text(&measured.patch));
    }

    pub(super) fn step(&self, step: Step) {
        self.report_step(step.as_str());
    }

    /// Reports the current action of autopack.
    pub(super) fn report_step(&self, text: &str) {
        tracing::debug!("{text}");
        self.activity.step(text);
        self.context.progress.step(&self.claim.run_id, &self.claim.phase_id, text);
    }

    /// Emits a note about this phase, with secrets removed: the text may be an agent's.
    pub(super) fn note(&self, text: &str) {
        let text = self.context.redactor.redact(text);
        self.context.progress.note(&format!("{}: {text}", self.claim.phase_id));
    }
}
