//! Scope step: proposes the scope of a phase without any path, in place of an attempt to work on the phase.
//!
//! The proposal is kept with the phase, and the phase is queued again at its place: the next claim knows the files. Nothing of
//! the slot is kept.

use crate::agent::{self, AgentReply};
use crate::attempt::likely_files::answer_of_ranking;
use crate::attempt::{Attempt, AttemptError, NextStep, ReadOnlyAnswer, ReadOnlyCall};
use crate::clock::now;
use crate::memory::file_ranking::RankedFile;
use crate::phase::proposal::answer::read_answer;
use crate::phase::proposal::check::ProposalRules;
use crate::phase::proposal::tree_files::TreeFiles;
use crate::phase::proposal::{Origin, Proposal, proposed_by, text_digest};
use crate::phase::protected::ProtectedPaths;
use crate::phase::words::{first_few, quoted};
use crate::phase::{Failure, FailureKind, RequeueReason, Verdict};
use crate::process::JobEnd;
use crate::progress::Step;
use crate::store::{AcceptedBy, Claim, KeptProposal};

/// Purpose of the call, for the agent's program.
const PURPOSE: &str = "scope-proposal";
/// Questions to an agent: a refused answer is asked for again with the reasons.
const QUESTIONS: u32 = 2;
/// Paths named in a message.
const NAMED: usize = 5;

/// A proposal, or the verdict without a proposal.
type Proposed = Result<Proposal, Verdict>;

impl Attempt<'_> {
    /// Checks for a phase without a scope, or with a proposed scope whose files are gone.
    pub(crate) async fn is_scope_due(&self) -> Result<bool, AttemptError> {
        let phase = &self.claim.phase;
        if phase.needs_scope() || proposed_by(phase).is_none() {
            return Ok(phase.needs_scope());
        }
        let tree = self.tree_files().await?;
        let kept = self.kept_proposal().await?;
        let in_scope = |path: &str| phase.scope_paths().iter().any(|own| own.as_str() == path);
        let is_gone = |path: &str| in_scope(path) && !tree.has(path);
        Ok(kept.is_some_and(|kept| kept.proposal.existing().any(is_gone)))
    }

    /// Proposes the scope, keeps the proposal, and queues the phase again.
    pub(crate) async fn propose_scope(&mut self) -> Result<Verdict, AttemptError> {
        let tree = self.tree_files().await?;
        if let Some(kept) = self.kept_proposal().await?
            && kept.proposal.existing().all(|path| tree.has(path))
        {
            return self.keep(kept).await;
        }
        let (_, settings) = self.context.agent_of(self.claim)?;
        let phase = &self.claim.phase;
        let has_agent = agent::answers_questions(settings);
        let ranked = self.context.rank_likely_files(phase, &tree, &self.base, !has_agent).await?;
        let proposed = match has_agent {
            true => self.ask_for_scope(&tree, &ranked).await?,
            false => self
                .rules(&tree, &self.protected())
                .check(&answer_of_ranking(&ranked), Origin::Memory)
                .map_err(|refused| unusable("the memory", &refused)),
        };
        let proposal = match proposed {
            Ok(proposal) => proposal,
            Err(verdict) => return Ok(verdict),
        };
        let kept = KeptProposal {
            spec_digest: text_digest(&self.claim.phase),
            commit: self.base.clone(),
            proposal,
            tokens: self.record.usage.tokens.billed(),
            cost_usd: self.record.usage.cost_usd,
            created_at: now(),
            accepted_by: AcceptedBy::Rules,
        };
        self.keep(kept).await
    }

    async fn keep(&mut self, kept: KeptProposal) -> Result<Verdict, AttemptError> {
        self.context.store.keep_proposal(self.claim, &kept).await?;
        let accept = accept_command(self.claim);
        if kept.proposal.is_withheld() {
            return Ok(withheld_only(&kept.proposal, &accept));
        }
        let message = describe(&kept.proposal, &accept);
        self.note(&message);
        self.record.next = NextStep::ScopeStep;
        Ok(Verdict::Requeued(RequeueReason::ScopeProposed { message }))
    }

    /// Asks the agent, and again if the answer cannot be used.
    async fn ask_for_scope(
        &mut self,
        tree: &TreeFiles,
        ranked: &[RankedFile],
    ) -> Result<Proposed, AttemptError> {
        let name = self.context.agent_of(self.claim)?.0.to_owned();
        self.context.store.record_agent(self.claim, &name, None, None).await?;
        self.step(Step::Scope);
        let protected = self.protected();
        let mut refused: Vec<String> = Vec::new();
        for _ in 0..QUESTIONS {
            let spec = &self.claim.phase;
            let prompt = self.context.scope_question(spec, tree, ranked, &refused);
            let answer = self.ask(prompt).await?;
            if let Some(verdict) = self.cut_short(&answer.reply)? {
                return Ok(Err(verdict));
            }
            if let Some(failure) = changed_files(&answer.changed) {
                return Ok(Err(Verdict::Failed(failure)));
            }
            let checked = match read_answer(&answer.text) {
                Ok(read) => self.rules(tree, &protected).check(&read, Origin::Agent(name.clone())),
                Err(why) => Err(vec![why]),
            };
            refused = match checked {
                Ok(proposal) => return Ok(Ok(proposal)),
                Err(refused) => refused,
            };
            if let Some(verdict) = self.find_provider_error(&answer.reply)? {
                return Ok(Err(verdict));
            }
            if let Some(failure) = crashed(&answer.reply) {
                return Ok(Err(Verdict::Failed(failure)));
            }
        }
        Ok(Err(unusable(&format!("agent {name}"), &refused)))
    }

    /// Asks the agent, and adds the usage to this attempt's.
    async fn ask(&mut self, prompt: String) -> Result<ReadOnlyAnswer, AttemptError> {
        // From here on, an agent may write anywhere.
        self.slot.seal_ci()?;
        let claim = self.claim;
        let show = |event| self.show(event);
        let call = ReadOnlyCall {
            agent: self.context.agent_of(claim)?,
            purpose: PURPOSE,
            run_id: &claim.run_id,
            phase_id: &claim.phase_id,
            attempt: claim.attempt,
            owner: claim.owner.as_str(),
            spec: &claim.phase,
            budget: self.allowance().after(&self.record.usage, self.record.agent_ms),
            slot: &self.slot,
            base: &self.base,
            directory: &self.directory,
            stop: &self.stop,
            show: &show,
        };
        let answer = self.context.ask_read_only(&call, prompt).await?;
        let touched = self.changes_in_users_checkout().await?;
        self.note_checkout_changes(&touched);
        for note in &answer.notes {
            self.note(note);
        }
        let before = std::mem::take(&mut self.record.usage);
        self.record.usage = before.plus(&answer.reply.usage);
        self.record.agent_ms =
            Some(self.record.agent_ms.unwrap_or_default().saturating_add(answer.agent_ms));
        Ok(answer)
    }

    /// Returns the proposal kept for the present text of the phase.
    async fn kept_proposal(&self) -> Result<Option<KeptProposal>, AttemptError> {
        let claim = self.claim;
        let kept = self.context.store.scope_proposals(&claim.run_id, &claim.phase_id).await?;
        let digest = text_digest(&claim.phase);
        Ok(kept.into_iter().find(|kept| kept.spec_digest == digest))
    }

    pub(crate) async fn tree_files(&self) -> Result<TreeFiles, AttemptError> {
        self.context.tree_files(&self.base).await
    }

    fn protected(&self) -> ProtectedPaths {
        ProtectedPaths::new(&self.context.settings.workspace.protected_paths)
    }

    fn rules<'r>(
        &'r self,
        tree: &'r TreeFiles,
        protected: &'r ProtectedPaths,
    ) -> ProposalRules<'r> {
        let workspace = self.context.repo.root().to_str();
        let is_from_tracker = self.claim.phase.is_from_tracker();
        let (own_protected, read_only) =
            (self.claim.phase.protected(), self.claim.phase.read_only());
        ProposalRules { tree, protected, workspace, is_from_tracker, own_protected, read_only }
    }
}

/// Returns the command to accept the files left out.
fn accept_command(claim: &Claim) -> String {
    let name = format!("{}/{}", claim.run_id, claim.phase_id);
    format!("autopack fix-phases --propose --accept {}", quoted(&name))
}

/// Describes a proposal in a line.
fn describe(proposal: &Proposal, accept: &str) -> String {
    let paths: Vec<&str> = proposal.paths.iter().map(|path| path.path.as_str()).collect();
    let mut line = format!(
        "scope proposed by {} ({}): {}",
        proposal.origin,
        proposal.confidence.as_str(),
        first_few(&paths, NAMED)
    );
    if !proposal.withheld.is_empty() {
        let held: Vec<&str> =
            proposal.withheld.iter().map(|held| held.path.path.as_str()).collect();
        line +=
            &format!("; left out until you accept them ({accept}): {}", first_few(&held, NAMED));
    }
    line
}

/// The verdict on a proposal whose files all wait for a person.
fn withheld_only(proposal: &Proposal, accept: &str) -> Verdict {
    let held: Vec<&str> = proposal.withheld.iter().map(|held| held.path.path.as_str()).collect();
    unfixable(format!(
        "{} proposed only files that a person must accept for an issue of a tracker: {}; accept them: {accept}; or name \
         other files in `scope.paths` (`autopack phases set`)",
        proposal.origin,
        first_few(&held, NAMED)
    ))
}

/// The verdict without a proposal: another attempt would need another text.
fn unusable(author: &str, refused: &[String]) -> Verdict {
    let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
    let why = match refused.as_slice() {
        [] => "it found no file".to_owned(),
        refused => first_few(refused, NAMED),
    };
    unfixable(format!(
        "the phase names no path, and {author} proposed no usable scope: {why}; name the files in `scope.paths` \
         (`autopack phases set`), or describe the change more precisely"
    ))
}

fn unfixable(message: String) -> Verdict {
    Verdict::Failed(Failure::new(FailureKind::Unfixable, message))
}

/// The failure of an agent with an error instead of an answer. Its output is not read as an answer.
fn crashed(reply: &AgentReply) -> Option<Failure> {
    let how = match reply.ended {
        JobEnd::Exited(code) if code != 0 => format!("exited with {code}"),
        JobEnd::Signalled(signal) => format!("was killed by signal {signal}"),
        _ => return None,
    };
    let last = reply.last_lines.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.map_or_else(String::new, |line| format!(": {}", line.trim()));
    let message = format!("the agent {how} without an answer{last}");
    let mut failure = Failure::new(FailureKind::AgentFailed, message);
    failure.detail.log_tail.clone_from(&reply.last_lines);
    Some(failure)
}

/// The failure of an agent with changed files instead of an answer.
fn changed_files(changed: &[String]) -> Option<Failure> {
    if changed.is_empty() {
        return None;
    }
    let paths: Vec<&str> = changed.iter().map(String::as_str).collect();
    let message = format!(
        "the agent was asked for a scope, and changed files instead: {}; the changes are discarded",
        first_few(&paths, NAMED)
    );
    let mut failure = Failure::new(FailureKind::ScopeBreach, message);
    failure.detail.breaches = changed.to_vec();
    Some(failure)
}
