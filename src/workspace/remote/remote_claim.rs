//! Claims at the remote: made before an agent starts, deleted by the landing, by the end of the attempt, or by whoever
//! takes over.

use super::claim_value::ClaimContent;
use super::ref_layout::RefLayout;
use super::{ClaimedWork, RemoteFence};
use crate::git::error::Result;
use crate::git::remote_access::RemoteAnswer;
use crate::git::remote_failure::RemoteFailure;
use crate::git::remote_refs::RefChange;
use crate::workspace::repo::claim_ref::{ClaimRef, FenceOutcome};

/// After losing this many rounds, the caller asks again later.
const ROUNDS: u32 = 5;

impl RemoteFence {
    /// Claims the right to land. A claim left by an earlier attempt is deleted: the store has ended that attempt. An
    /// undo or an update replaces any claim, because the store lets one process at a time change a run.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn claim(&self, work: &ClaimedWork) -> Result<RemoteAnswer<FenceOutcome>> {
        let name = match self.prepare().await? {
            Ok(layout) => layout.claim(work),
            Err(failure) => return Ok(Err(failure)),
        };
        let value = self.write_value(work).await?;
        let ours =
            || Ok(Ok(FenceOutcome::Ours(ClaimRef { name: name.clone(), id: value.clone() })));
        let mut access = self.access().await?;
        let mut last = None;
        for _ in 0..ROUNDS {
            let failure = match access
                .change_refs("claim the phase", &[RefChange::create(&name, &value)])
                .await?
            {
                Ok(()) => return ours(),
                Err(failure) => failure,
            };
            let there = match access.refs(&[&name]).await? {
                Ok(mut refs) => refs.remove(&name),
                Err(failure) => return Ok(Err(failure)),
            };
            let there = match there {
                Some(there) if there == value => return ours(),
                Some(there) => there,
                None => return Ok(Err(failure)),
            };
            if work.phase.is_some() {
                let holder = match self.read_claim(&name, &there).await? {
                    Ok(holder) => holder,
                    Err(failure) => return Ok(Err(failure)),
                };
                if holder.attempt >= work.number {
                    let ClaimContent { attempt, owner: holder, .. } = holder;
                    return Ok(Ok(FenceOutcome::Fenced { attempt, holder }));
                }
            }
            let removal = [RefChange::delete(&name, &there)];
            if let Err(failure) = access.change_refs("remove an ended claim", &removal).await? {
                last = Some(failure);
            }
        }
        let why = || RemoteFailure::Moved { remote: self.name().to_owned() };
        Ok(Err(last.unwrap_or_else(why)))
    }

    /// Deletes the claim of a work, wherever it is. Afterwards no push of the work can land.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn revoke(&self, work: &ClaimedWork) -> Result<RemoteAnswer<()>> {
        let value = self.value_of(work)?;
        let names = RefLayout::ALL.map(|layout| layout.claim(work));
        let mut access = self.access().await?;
        let mut last = None;
        for _ in 0..ROUNDS {
            let there = match access.refs(&names.each_ref().map(String::as_str)).await? {
                Ok(refs) => refs,
                Err(failure) => return Ok(Err(failure)),
            };
            let ours: Vec<RefChange> = there
                .iter()
                .filter(|(_, id)| **id == value)
                .map(|(name, id)| RefChange::delete(name, id))
                .collect();
            if ours.is_empty() {
                return Ok(Ok(()));
            }
            match access.change_refs("remove the claim", &ours).await? {
                Ok(()) => return Ok(Ok(())),
                // The landing may have deleted it in between.
                Err(failure) => last = Some(failure),
            }
        }
        let why = || RemoteFailure::Moved { remote: self.name().to_owned() };
        Ok(Err(last.unwrap_or_else(why)))
    }

    /// Reads who holds a claim.
    async fn read_claim(&self, name: &str, id: &str) -> Result<RemoteAnswer<ClaimContent>> {
        let repo = &self.repo;
        let is_here = repo.resolve(id).await?.is_some();
        if !is_here {
            let mut access = self.access().await?;
            let _fetching = self.fetching.lock().await;
            if let Err(failure) = access.fetch_objects(&[name.to_owned()]).await? {
                return Ok(Err(failure));
            }
        }
        let read = repo.git.call("read the claim", ["cat-file", "commit", id]).answer().await?;
        // Something else than a commit is no claim of ours.
        Ok(Ok(ClaimContent::parse(&String::from_utf8_lossy(&read.output.stdout))))
    }
}
