//! Scope proposals: kept with their phase, and made the phase's scope.

use sqlx::FromRow;

use super::claim::Claim;
use super::owners::is_fenced;
use super::scope_requests::drop_requests;
use crate::phase::proposal::Proposal;
use crate::phase::{PhaseId, RawSpec, RunId, UnixMs};
use crate::store::backend::{Connection, query, query_as};
use crate::store::columns::{json, number, signed, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;

/// Who accepted a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedBy {
    /// The rules for proposals.
    Rules,
    /// A person, with the paths that the rules leave out.
    Operator,
}

impl AcceptedBy {
    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Operator => "operator",
        }
    }
}

/// A proposal with its origin in time and its cost.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptProposal {
    /// Digest of the text that the proposal answers.
    pub spec_digest: String,
    /// Commit whose files were proposed.
    pub commit: String,
    /// The proposal.
    pub proposal: Proposal,
    /// Billed tokens of the call.
    pub tokens: Option<u64>,
    /// Known cost of the call in US dollars.
    pub cost_usd: Option<f64>,
    /// Time of the proposal.
    pub created_at: UnixMs,
    /// Who accepted the proposal.
    pub accepted_by: AcceptedBy,
}

#[derive(FromRow)]
struct ProposalRecord {
    spec_digest: String,
    commit_id: String,
    proposal: String,
    tokens: Option<i64>,
    cost_usd: Option<f64>,
    created_at: i64,
    accepted_by: String,
}

/// Selects the proposals of a phase, the newest first.
const OF_PHASE: &str = "SELECT spec_digest, commit_id, proposal, tokens, cost_usd, created_at, accepted_by
       FROM scope_proposals
      WHERE phase = (SELECT p.id FROM phases p JOIN runs r ON r.id = p.run WHERE r.run_id = ? AND p.phase_id = ?)
      ORDER BY created_at DESC, spec_digest";

impl Store {
    /// Returns the proposals of a phase, the newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn scope_proposals(
        &self,
        run: &RunId,
        phase: &PhaseId,
    ) -> Result<Vec<KeptProposal>, StoreError> {
        self.named(|| async move {
            let query = query_as(OF_PHASE).bind(run.as_str()).bind(phase.as_str());
            let rows: Vec<ProposalRecord> = query.fetch_all(&self.reader).await?;
            let name = || format!("the scope proposal of phase {phase} of run {run}");
            rows.into_iter().map(|row| row.into_proposal(name)).collect()
        })
        .await
    }

    /// Keeps a proposal of the claimed phase, and makes it the scope from the next claim on. A proposal that waits for a
    /// person as a whole changes no scope.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the attempt was reclaimed, or the database cannot be written.
    pub async fn keep_proposal(
        &self,
        claim: &Claim,
        kept: &KeptProposal,
    ) -> Result<(), StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            if is_fenced(&mut tx, &claim.owner).await? {
                return Err(claim.lease_lost_error());
            }
            let purpose = match kept.proposal.is_withheld() {
                true => "scope_proposal",
                false => "scope_proposed",
            };
            let marked = query(
                "UPDATE attempts SET purpose = ? WHERE id = ? AND owner = ? AND ended_at IS NULL",
            );
            let marked = marked.bind(purpose).bind(claim.attempt_row).bind(claim.owner.as_str());
            let marked = marked.execute(&mut *tx).await?;
            if marked.rows_affected() != 1 {
                return Err(claim.lease_lost_error());
            }
            let spec = RawSpec(claim.phase.json().clone());
            save_proposal(&mut tx, claim.snapshot.id, &spec, kept).await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}

/// Keeps a proposal, and stores the spec with the proposed scope, if any. The next claim computes the footprint.
pub(in crate::store) async fn save_proposal(
    tx: &mut Connection,
    phase: i64,
    spec: &RawSpec,
    kept: &KeptProposal,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO scope_proposals (phase, spec_digest, commit_id, proposal, tokens, cost_usd, created_at, accepted_by)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (phase, spec_digest) DO UPDATE SET commit_id = excluded.commit_id, proposal = excluded.proposal,
                tokens = excluded.tokens, cost_usd = excluded.cost_usd, created_at = excluded.created_at,
                accepted_by = excluded.accepted_by",
    )
    .bind(phase)
    .bind(&kept.spec_digest)
    .bind(&kept.commit)
    .bind(to_json(&kept.proposal))
    .bind(kept.tokens.map(signed))
    .bind(kept.cost_usd)
    .bind(kept.created_at.0)
    .bind(kept.accepted_by.as_str())
    .execute(&mut *tx)
    .await?;
    if kept.proposal.is_withheld() {
        return Ok(());
    }
    query(
        "UPDATE phases SET spec = ?, spec_version = spec_version + 1, unfixable = NULL, footprint = NULL WHERE id = ?",
    )
    .bind(to_json(&kept.proposal.applied_to(spec)))
    .bind(phase)
    .execute(&mut *tx)
    .await?;
    drop_requests(tx, phase).await
}

impl ProposalRecord {
    fn into_proposal(self, name: impl Fn() -> String) -> Result<KeptProposal, StoreError> {
        Ok(KeptProposal {
            proposal: json(&self.proposal, &name)?,
            tokens: self.tokens.map(|tokens| number(tokens, &name)).transpose()?,
            cost_usd: self.cost_usd,
            created_at: UnixMs(self.created_at),
            accepted_by: match self.accepted_by.as_str() {
                "operator" => AcceptedBy::Operator,
                _ => AcceptedBy::Rules,
            },
            spec_digest: self.spec_digest,
            commit: self.commit_id,
        })
    }
}
