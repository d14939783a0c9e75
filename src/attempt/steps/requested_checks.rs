//! CI runs requested by the built-in agent, on the current files of its checkout. The result only informs the agent;
//! CI runs again for the verdict.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::agent::Checks;
use crate::attempt::child_environment::Purpose;
use crate::attempt::permitted_ci::run_permitted;
use crate::attempt::program_view::{ProgramView, ViewedProgram};
use crate::attempt::{Attempt, AttemptError};
use crate::ci::{self, CiOutcome, CiPlan};
use crate::config::AgentSettings;
use crate::merge_queue::ci_permits::CiPermits;
use crate::process::child_env::Env;
use crate::process::{Redactor, StopReceiver};
use crate::workspace::Side;
use crate::workspace::view::ViewPurpose;

/// Characters of CI's output shown to the agent, from the end.
const SHOWN_CHARS: usize = 8_000;

struct RequestedChecks {
    plan: CiPlan,
    view: ProgramView,
    /// The agent's checkout, where CI runs.
    agent_checkout: PathBuf,
    /// The user's checkout; its paths in the CI command are mapped to the agent's checkout.
    users_checkout: PathBuf,
    env: Env,
    /// Directory of the attempt's logs.
    log_dir: PathBuf,
    redact: Redactor,
    /// Inherited by CI's processes: the slot stays locked until the last has ended.
    slot_lock: Arc<std::os::fd::OwnedFd>,
    stop: StopReceiver,
    permits: Arc<CiPermits>,
    runs: AtomicU32,
}

impl Attempt<'_> {
    /// Returns the checks for an agent able to request them; `None` for other agents, to avoid planning CI.
    pub(crate) async fn checks(&self) -> Result<Option<Arc<dyn Checks>>, AttemptError> {
        let (_, agent) = self.context.agent_of(self.claim)?;
        if !matches!(agent, AgentSettings::Builtin(_)) {
            return Ok(None);
        }
        let plan = self.ci_plan(Side::Agent).await;
        let mut env = self.environment(Purpose::Ci, Side::Agent);
        let words = plan.words();
        let (place, directory) = ((&self.slot, Side::Agent), self.directory.path());
        let program = ViewedProgram::new(ViewPurpose::Ci, place, &words, directory);
        let view = self.context.runner().open_view(&program, &mut env)?;
        Ok(Some(Arc::new(RequestedChecks {
            plan,
            view,
            agent_checkout: self.slot.path().to_owned(),
            users_checkout: self.context.repo.root().to_owned(),
            env,
            log_dir: self.directory.path().to_owned(),
            redact: self.context.redactor.clone(),
            slot_lock: self.slot.lock_fd()?,
            stop: self.stop.clone(),
            permits: Arc::clone(&self.context.merge_queue.permits),
            runs: AtomicU32::new(0),
        })))
    }
}

impl Checks for RequestedChecks {
    fn run(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(async move {
            if !self.plan.is_configured() {
                return "no CI is configured; only the deliverables are checked".to_owned();
            }
            let number = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
            let program = self.plan.display();
            let permit = self.permits.acquire_unless_stopped(&program, false, &self.stop).await;
            let request = ci::CiRequest {
                dir: &self.agent_checkout,
                checkout: &self.users_checkout,
                env: &self.env,
                log: self.log_dir.join(format!("ci-by-agent-{number}.log")),
                redact: self.redact.clone(),
                hold: Some(Arc::clone(&self.slot_lock)),
                lent: Vec::new(),
                view: self.view.child.clone(),
            };
            let (run, _) = run_permitted(permit, &self.plan, request, &self.stop).await;
            self.view.remove_mount_points();
            match run {
                Ok(run) => self.describe(&run),
                Err(error) => format!("CI could not be run: {error}"),
            }
        })
    }
}

impl RequestedChecks {
    fn describe(&self, run: &ci::CiRun) -> String {
        let tail: Vec<char> = run.log_tail.chars().collect();
        let tail: String = tail[tail.len().saturating_sub(SHOWN_CHARS)..].iter().collect();
        format!("{}: {}\n{tail}", self.plan.display(), describe_outcome(run.outcome()))
    }
}

fn describe_outcome(outcome: &CiOutcome) -> String {
    match outcome {
        CiOutcome::Passed => "passed".to_owned(),
        CiOutcome::Failed => "failed".to_owned(),
        CiOutcome::TimedOut { ran_out_seconds } => {
            format!("exceeded its limit of {ran_out_seconds} s")
        }
        CiOutcome::NoTests => "found no tests".to_owned(),
        CiOutcome::CollectionError => "could not load the tests".to_owned(),
        CiOutcome::CouldNotStart { why } => format!("could not start: {why}"),
        CiOutcome::NotConfigured => "nothing to run".to_owned(),
        CiOutcome::Stopped => "was stopped".to_owned(),
    }
}
