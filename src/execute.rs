//! One attempt of one claimed phase, straight down: slot, prompt, agent, diff, CI, landing, finish.
//!
//! Whatever an agent says or exits with, only the diff and CI decide. What is wrong with us is
//! [`Trouble`], and never becomes a verdict about the phase.

mod activity;
mod agent_step;
mod backoff;
mod breaker;
mod checks;
mod ci_gate;
mod diff_gate;
mod folder;
mod foresee;
mod landing;
mod lesson;
mod memory_step;
mod prompt_step;
mod queue;
mod site;
mod space;
mod trouble;

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tracing::{Instrument as _, Span};

use crate::ci::TestResults;
use crate::clock::now;
use crate::phase::budget::Spent;
use crate::phase::scope::ChangeKind;
use crate::phase::{
    Failure, FailureKind, PhaseId, PhaseState, Requeue, RunId, Tokens, UnixMs, Usage, Verdict,
};
use crate::process::Stop;
use crate::progress::{Event, PhaseFinished, PhaseStarted, Step};
use crate::store::{Claim, Finish, StoreError};
use crate::telemetry::kind::{Kind, kind};
use crate::workspace::{CheckoutState, ClaimRef, Fence, Measured, Reset, Slot};
use activity::Activity;
use memory_step::Lesson;

pub use folder::AttemptFolder;
pub use foresee::{Foreseen, Foresight};
pub use memory_step::{plan, topic_of};
pub use prompt_step::{Asked, prompt_for};
pub use site::Site;
pub use trouble::Trouble;

/// What came of an attempt, for whoever drives the drain.
#[derive(Debug)]
pub struct Executed {
    pub finished: PhaseFinished,
    /// What it used, known or estimated.
    pub used: Spent,
    pub after: After,
}

/// What an attempt's end means for the attempts to come.
#[derive(Debug, Default)]
pub enum After {
    #[default]
    Nothing,
    /// The next phase would meet it too.
    Systemic(String),
    /// The disk is full.
    Full(String),
    /// A budget of the run or of the drain ran out under it.
    OverBudget(String),
    /// This agent is not to be asked before then.
    Away { agent: String, until: UnixMs },
}

/// One attempt under way.
struct Attempt<'a> {
    site: &'a Site,
    claim: &'a Claim,
    slot: Slot,
    fence: ClaimRef,
    /// The run's.
    branch: String,
    folder: AttemptFolder,
    stop: &'a Stop,
    activity: Activity,
    /// The tip that it is judged on; moves on when somebody else lands.
    base: String,
    /// Whether it changed or deleted a file of tests that was there before.
    touches_tests: bool,
    record: &'a mut Record,
    /// What the drain had spent before it.
    drain_spent: Spent,
    /// The user's checkout before the agent worked.
    checkout: CheckoutState,
}

/// What becomes known on the way, whatever the verdict.
#[derive(Debug, Default)]
struct Record {
    usage: Usage,
    /// What its output was expected to be, once it reached an agent.
    estimated_output: Option<u64>,
    session: Option<String>,
    after: After,
    agent_ms: Option<u64>,
    ci: Duration,
    ci_runs: u32,
    /// What the last green run of CI said, by the plan's key: the baseline of whoever comes next.
    green: Option<(String, TestResults)>,
    /// From here on the branch may have been moved to it.
    landing: Option<String>,
    lesson: Lesson,
}

/// Executes a claim to its end and finishes it. Only a lost lease leaves it unfinished: it is somebody else's then.
pub async fn execute(
    site: &Site,
    claim: Claim,
    drain_spent: Spent,
    stop: &Stop,
) -> Result<Executed, Trouble> {
    let span = span(&claim);
    execute_in_span(site, claim, drain_spent, stop).instrument(span).await
}

/// Each in the one before, so that every line names all three.
fn span(claim: &Claim) -> Span {
    let run = tracing::error_span!("run", run = claim.run_id.as_str());
    let phase = tracing::error_span!(parent: &run, "phase", phase = claim.phase_id.as_str());
    tracing::error_span!(parent: &phase, "attempt", attempt = claim.attempt)
}

async fn execute_in_span(
    site: &Site,
    claim: Claim,
    drain_spent: Spent,
    stop: &Stop,
) -> Result<Executed, Trouble> {
    let started = Instant::now();
    let mut record = Record::default();
    let tried = attempt(site, &claim, drain_spent, stop, &mut record).await;
    let tried = match tried.and_then(|verdict| site.unless_full(verdict)) {
        Err(trouble) => unless_landed(site, &claim, &record, trouble).await,
        judged => judged,
    };
    let (verdict, trouble) = match tried {
        Ok(verdict) => (verdict, None),
        Err(Trouble::LeaseLost) => return Err(Trouble::LeaseLost),
        Err(Trouble::Unsettled(why)) => return Err(Trouble::Unsettled(why)),
        Err(Trouble::Crashed(why)) => {
            site.progress.note(&format!("{}: {why}", claim.phase_id));
            (Verdict::Requeued(Requeue::Crashed), None)
        }
        Err(trouble) => {
            let message = trouble.to_string();
            (Verdict::Requeued(Requeue::Systemic { message }), Some(trouble))
        }
    };
    tracing::debug!(verdict = verdict.as_str(), "judged");
    let used = record.used();
    let after = match &trouble {
        Some(Trouble::Full(why)) => After::Full(why.clone()),
        Some(trouble) => After::Systemic(trouble.to_string()),
        None => std::mem::take(&mut record.after),
    };
    let lessons = memory_step::entries(&site.memory, &claim, &verdict, &record.lesson);
    let finished = finish(site, claim, verdict, record, started, stop).await;
    if finished.is_ok() {
        site.memory.remember_all(lessons).await;
    }
    match (finished, trouble) {
        // What went wrong first is what the user has to know.
        (_, Some(Trouble::Ours(error))) => Err(Trouble::Ours(error)),
        (finished, _) => Ok(Executed { finished: finished?, used, after }),
    }
}

/// What broke off may have moved the branch before: then it has passed, and another attempt would do it twice.
async fn unless_landed(
    site: &Site,
    claim: &Claim,
    record: &Record,
    trouble: Trouble,
) -> Result<Verdict, Trouble> {
    let Some(commit) = record.landing.clone().filter(|_| !matches!(trouble, Trouble::LeaseLost))
    else {
        return Err(trouble);
    };
    match site.repo.has_landed(&claim.run_id, &commit).await {
        Ok(true) => {
            tracing::warn!("{trouble}; {commit} had landed before");
            Ok(Verdict::Passed { commit: Some(commit) })
        }
        Ok(false) => Err(trouble),
        Err(error) => Err(Trouble::Unsettled(format!(
            "{trouble}; the next drain finds out whether {} landed: {error}",
            claim.phase_id
        ))),
    }
}

/// The line itself. Each step either goes on or is the verdict.
async fn attempt(
    site: &Site,
    claim: &Claim,
    drain_spent: Spent,
    stop: &Stop,
    record: &mut Record,
) -> Result<Verdict, Trouble> {
    let mut attempt = Attempt::prepare(site, claim, drain_spent, stop, record).await?;
    let prompt = attempt.prompt().await?;
    let reply = attempt.agent(prompt).await?;
    attempt.step(Step::Judging);
    let measured = match attempt.measure().await? {
        Ok(measured) => measured,
        Err(failure) => return Ok(Verdict::Failed(failure)),
    };
    attempt.say_left_out(&measured);
    let verdict = match attempt.cut_short(&reply)? {
        Some(verdict) => verdict,
        None => match attempt.judge_diff(&measured, &reply).await? {
            Some(verdict) => verdict,
            None => attempt.test_and_land(&measured).await?,
        },
    };
    attempt.keep_work(&measured, &verdict).await?;
    attempt.learn(&measured, &verdict).await;
    Ok(verdict)
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
            touches_tests: false,
            record,
            drain_spent,
            checkout: checkout?,
        };
        attempt.step(Step::Preparing);
        attempt.say_reset(&reset?);
        if attempt.set_up().await? {
            // What it writes into the checkout is not the agent's doing.
            attempt.checkout = site.repo.checkout_state().await?;
        }
        Ok(attempt)
    }

    /// Makes the slot hold exactly this commit, set up as the configuration says.
    async fn place(&mut self, commit: &str) -> Result<(), Trouble> {
        let reset = self.slot.reset(commit, &self.site.settings.workspace).await?;
        self.say_reset(&reset);
        self.set_up().await.map(drop)
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
        // The slot and the user's checkout are looked at together.
        let measured = self.slot.measure(&self.base, self.claim.phase.deliverables());
        let (measured, touched) =
            tokio::join!(measured, self.site.repo.changed_since(&self.checkout));
        self.say_touched(&touched?);
        match measured {
            Ok(measured) => {
                self.touches_tests = measured.changes.iter().any(|change| {
                    change.kind != ChangeKind::Added && kind(&change.path) == Kind::Tests
                });
                Ok(Ok(measured))
            }
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
                touched.join(", ")
            ));
        }
    }

    fn say_left_out(&self, measured: &Measured) {
        if !measured.left_out.is_empty() {
            let paths = measured.left_out.join(", ");
            self.note(&format!("new, and left out since workspace.keep names it: {paths}"));
        }
    }

    /// What did not land is kept as a patch, without the secrets that may be in it.
    async fn keep_work(&self, measured: &Measured, verdict: &Verdict) -> Result<(), Trouble> {
        if matches!(verdict, Verdict::Passed { .. }) || measured.changes.is_empty() {
            return Ok(());
        }
        let patch = self.site.redactor.redact_bytes(&measured.patch);
        Ok(self.folder.write(&self.folder.patch(), patch)?)
    }

    /// What the memory is told of the work itself. It may have landed: nothing here can take that back.
    async fn learn(&mut self, measured: &Measured, verdict: &Verdict) {
        if !self.site.memory.is_on() {
            return;
        }
        self.record.lesson.has_ci = self.ci_plan().await.is_configured();
        self.record.lesson.changed = measured.changes.iter().map(|c| c.path.clone()).collect();
        let retried =
            self.claim.last_failure.is_some() && matches!(verdict, Verdict::Passed { .. });
        let Some(failed) = self.folder.earlier_patch().filter(|_| retried) else { return };
        let Ok(failed) = std::fs::read(&failed) else { return };
        let text = |patch: &[u8]| String::from_utf8_lossy(patch).into_owned();
        self.record.lesson.fix = lesson::difference(&text(&failed), &text(&measured.patch));
    }

    fn step(&self, step: Step) {
        self.does(step.as_str());
    }

    /// What we do for it now.
    fn does(&self, what: &str) {
        tracing::debug!("{what}");
        self.activity.step(what);
        self.site.progress.step(&self.claim.run_id, &self.claim.phase_id, what);
    }

    fn note(&self, text: &str) {
        self.site.progress.note(&format!("{}: {text}", self.claim.phase_id));
    }
}

async fn finish(
    site: &Site,
    claim: Claim,
    verdict: Verdict,
    record: Record,
    started: Instant,
    stop: &Stop,
) -> Result<PhaseFinished, Trouble> {
    let mut finished = PhaseFinished {
        run_id: claim.run_id.clone(),
        phase_id: claim.phase_id.clone(),
        attempt: Some(claim.attempt),
        max_attempts: claim.max_attempts,
        tries: claim.tries + u32::from(!matches!(verdict, Verdict::Requeued(_))),
        state: PhaseState::Executing,
        verdict: verdict.as_str(),
        commit: None,
        failure: None,
        duration_ms: millis(started.elapsed()),
        tokens: record.usage.tokens,
    };
    match &verdict {
        Verdict::Passed { commit } => finished.commit.clone_from(commit),
        Verdict::Failed(failure) => finished.failure = Some(failure.clone()),
        Verdict::Requeued(_) => {}
    }
    let finish = Finish {
        verdict,
        ended: now(),
        usage: record.usage,
        agent_ms: record.agent_ms,
        ci_ms: (record.ci_runs > 0).then(|| millis(record.ci)),
        session: record.session,
        telemetry: site.settings.telemetry.enabled,
    };
    let run = claim.run_id.clone();
    let wait = |error: &StoreError| {
        let why = error.to_string();
        async move { site.wait_for_space(&why, stop).await }.boxed()
    };
    finished.state = site.store.finish_patiently(claim, &finish, &wait).await?;
    if let (Some(commit), Some((key, results))) = (&finished.commit, &record.green) {
        // Without it the next red CI takes it again; what is finished is not undone by it.
        if let Err(trouble) = site.keep_baseline(&run, commit, key, results).await {
            tracing::warn!("cannot keep what CI said at {commit}: {trouble}");
        }
    }
    Ok(finished)
}

impl Record {
    /// For the budgets: what is unknown counts as the estimate.
    fn used(&self) -> Spent {
        let turned_away = matches!(self.after, After::Away { .. });
        let estimate = self.estimated_output.filter(|_| !turned_away);
        let tokens = self.usage.tokens.billed().or(estimate).unwrap_or_default();
        Spent {
            attempts: u64::from(self.estimated_output.is_some()),
            running: 0,
            tokens,
            cost_usd: self.usage.cost_usd.unwrap_or_default(),
            wall: Duration::ZERO,
        }
    }
}

impl PhaseFinished {
    /// A phase that was refused when its turn came: its spec cannot be executed, or its budget is spent.
    pub fn refused(run_id: RunId, phase_id: PhaseId, failure: Failure) -> Self {
        Self {
            run_id,
            phase_id,
            attempt: None,
            max_attempts: 0,
            tries: 0,
            state: PhaseState::Failed,
            verdict: match failure.kind {
                FailureKind::OverBudget => "over_budget",
                _ => "unfixable",
            },
            commit: None,
            failure: Some(failure),
            duration_ms: 0,
            tokens: Tokens::default(),
        }
    }
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
