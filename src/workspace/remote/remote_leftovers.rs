//! Refs at the remote that nobody needs any more.

use super::ref_layout::RefLayout;
use super::{ClaimedWork, RemoteFence};
use crate::git::error::Result;
use crate::git::remote_access::RemoteAnswer;
use crate::git::remote_refs::RefChange;
use crate::phase::RunId;

/// Refs at the remote with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteRefs(Vec<(String, String)>);

/// What still needs refs of a run, as the store knows it.
#[derive(Clone, Debug, Default)]
pub struct LiveWork {
    /// Attempts, undos and updates under way.
    pub claimed: Vec<ClaimedWork>,
    /// Positions of the merge queue.
    pub positions: Vec<i64>,
}

impl RemoteRefs {
    /// Returns the number of refs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl RemoteFence {
    /// Lists the claims and members of a run. To be called before the store is read: work enters the store first.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn list_refs(&self, run: &RunId) -> Result<RemoteAnswer<RemoteRefs>> {
        let names: Vec<String> = RefLayout::ALL.iter().flat_map(|it| it.of_run(run)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(self
            .access()
            .await?
            .refs(&names)
            .await?
            .map(|refs| RemoteRefs(refs.into_iter().collect())))
    }

    /// Lists the probes, which a killed drain may leave behind.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn list_probes(&self) -> Result<RemoteAnswer<RemoteRefs>> {
        let names = RefLayout::ALL.map(RefLayout::probes);
        let refs = self.access().await?.refs(&names.each_ref().map(String::as_str)).await?;
        Ok(refs.map(|refs| RemoteRefs(refs.into_iter().collect())))
    }

    /// Returns the refs that no work needs.
    ///
    /// # Errors
    /// If the objects of the repository cannot be used.
    pub fn stale_refs(
        &self,
        run: &RunId,
        listed: RemoteRefs,
        live: &LiveWork,
    ) -> Result<RemoteRefs> {
        let mut values = Vec::new();
        for work in &live.claimed {
            values.push(self.value_of(work)?);
        }
        let members: Vec<String> = RefLayout::ALL
            .iter()
            .flat_map(|layout| live.positions.iter().map(|position| layout.member(run, *position)))
            .collect();
        let is_stale =
            |(name, id): &(String, String)| !values.contains(id) && !members.contains(name);
        Ok(RemoteRefs(listed.0.into_iter().filter(is_stale).collect()))
    }

    /// Deletes refs that still have these values, and returns their number.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn delete_refs(&self, refs: &RemoteRefs) -> Result<RemoteAnswer<usize>> {
        if refs.is_empty() {
            return Ok(Ok(0));
        }
        let changes: Vec<RefChange> =
            refs.0.iter().map(|(name, id)| RefChange::delete(name, id)).collect();
        let done = self.access().await?.change_refs("remove refs of ended work", &changes).await?;
        Ok(done.map(|()| changes.len()))
    }
}
