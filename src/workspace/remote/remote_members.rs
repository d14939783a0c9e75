//! Members of the merge queue at the remote: commits that drains of other clones build on before they land.

use super::RemoteFence;
use super::ref_layout::RefLayout;
use crate::git::error::Result;
use crate::git::remote_access::RemoteAnswer;
use crate::git::remote_refs::RefChange;
use crate::phase::RunId;
use crate::workspace::repo::queue_refs::QueueRef;

impl RemoteFence {
    /// Points the ref of a member at its commit. The member owns its position, so an older value does not matter.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn put_member(
        &self,
        run: &RunId,
        position: i64,
        commit: &str,
    ) -> Result<RemoteAnswer<QueueRef>> {
        let name = match self.prepare().await? {
            Ok(layout) => layout.member(run, position),
            Err(failure) => return Ok(Err(failure)),
        };
        let put = || QueueRef { name: name.clone(), commit: commit.to_owned() };
        let mut access = self.access().await?;
        let create = [RefChange::create(&name, commit)];
        let failure = match access.change_refs("share the queued commit", &create).await? {
            Ok(()) => return Ok(Ok(put())),
            Err(failure) => failure,
        };
        let there = match access.refs(&[&name]).await? {
            Ok(mut refs) => refs.remove(&name),
            Err(failure) => return Ok(Err(failure)),
        };
        match there {
            Some(there) if there == commit => Ok(Ok(put())),
            Some(there) => {
                let update = [RefChange::update(&name, &there, commit)];
                let done = access.change_refs("share the queued commit", &update).await?;
                Ok(done.map(|()| put()))
            }
            None => Ok(Err(failure)),
        }
    }

    /// Deletes the ref of a member that left.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn drop_member(&self, member: &QueueRef) -> Result<RemoteAnswer<()>> {
        let delete = [RefChange::delete(&member.name, &member.commit)];
        self.access().await?.change_refs("drop the queued commit", &delete).await
    }

    /// Fetches the commit of a member of another clone. Returns whether it is here.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn fetch_member(
        &self,
        run: &RunId,
        position: i64,
        commit: &str,
    ) -> Result<RemoteAnswer<bool>> {
        let repo = &self.repo;
        let Some(into) = repo.fetched_member(run, position) else { return Ok(Ok(false)) };
        if repo.resolve(commit).await?.is_some() {
            return Ok(self.complete(commit).await?.map(|()| true));
        }
        {
            let names = RefLayout::ALL.map(|layout| layout.member(run, position));
            let mut access = self.access().await?;
            let _fetching = self.fetching.lock().await;
            let there = match access.refs(&names.each_ref().map(String::as_str)).await? {
                Ok(refs) => refs,
                Err(failure) => return Ok(Err(failure)),
            };
            let Some((name, _)) = there.iter().find(|(_, id)| *id == commit) else {
                return Ok(Ok(false));
            };
            if let Err(failure) = access.fetch_ref(name, &into).await? {
                return Ok(Err(failure));
            }
        }
        if repo.resolve(commit).await?.is_none() {
            return Ok(Ok(false));
        }
        Ok(self.complete(commit).await?.map(|()| true))
    }
}
