//! Abilities of the remote's server, found by trying.

use super::ref_layout::RefLayout;
use super::{ClaimedWork, RemoteFence};
use crate::git::error::{Result, WorkspaceError};
use crate::git::remote_access::RemoteAnswer;
use crate::git::remote_failure::RemoteFailure;
use crate::git::remote_refs::RefChange;
use crate::phase::RunId;

/// Message of git about a server without atomic pushes.
const NO_ATOMIC: &str = "does not support --atomic";

/// Abilities of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAbilities {
    /// Location where the server accepts refs.
    pub layout: RefLayout,
    /// Whether the server refuses a change of a ref if the value differs from the expected value.
    pub has_leases: bool,
}

impl RemoteFence {
    /// Finds out, once, where the server accepts refs.
    ///
    /// # Errors
    /// [`WorkspaceError::UnfitRemote`] if the server lacks something, or git cannot be run.
    pub async fn prepare(&self) -> Result<RemoteAnswer<RefLayout>> {
        if let Some(layout) = self.layout.get() {
            return Ok(Ok(*layout));
        }
        let found = self.find_layout().await?;
        if let Ok(layout) = &found {
            // Another worker may have found the same.
            let _ = self.layout.set(*layout);
        }
        Ok(found)
    }

    /// Finds out the abilities of the server, for people.
    ///
    /// # Errors
    /// As for [`Self::prepare`].
    pub async fn abilities(&self) -> Result<RemoteAnswer<RemoteAbilities>> {
        let layout = match self.find_layout().await? {
            Ok(layout) => layout,
            Err(failure) => return Ok(Err(failure)),
        };
        // The second value expects no ref, so it must be refused.
        let (name, mut access) = (layout.probe(&self.probe), self.access().await?);
        let (first, second) =
            (self.write_value(&probe(1)).await?, self.write_value(&probe(2)).await?);
        if let Err(failure) =
            access.change_refs("probe", &[RefChange::create(&name, &first)]).await?
        {
            return Ok(Err(failure));
        }
        let twice = access.change_refs("probe", &[RefChange::create(&name, &second)]).await?;
        let left = if twice.is_ok() { &second } else { &first };
        let gone = access.change_refs("probe", &[RefChange::delete(&name, left)]).await?;
        let has_leases = match twice {
            Ok(()) => false,
            Err(failure @ RemoteFailure::Unreachable { .. }) => return Ok(Err(failure)),
            Err(_) => true,
        };
        Ok(gone.map(|()| RemoteAbilities { layout, has_leases }))
    }

    async fn find_layout(&self) -> Result<RemoteAnswer<RefLayout>> {
        let refused = match self.try_layout(RefLayout::Own).await? {
            Ok(()) => return Ok(Ok(RefLayout::Own)),
            Err(failure @ RemoteFailure::Refused { .. }) => failure,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Err(failure) = self.try_layout(RefLayout::Heads).await? {
            return Ok(Err(failure));
        }
        // A server that refused everything for a moment takes them now.
        Ok(match self.try_layout(RefLayout::Own).await? {
            Ok(()) => Ok(RefLayout::Own),
            Err(RemoteFailure::Refused { .. }) => {
                tracing::debug!("claims are branches: {refused}");
                Ok(RefLayout::Heads)
            }
            Err(failure) => Err(failure),
        })
    }

    /// Creates and deletes a ref.
    async fn try_layout(&self, layout: RefLayout) -> Result<RemoteAnswer<()>> {
        let (name, value) = (layout.probe(&self.probe), self.write_value(&probe(0)).await?);
        let mut access = self.access().await?;
        for change in [RefChange::create(&name, &value), RefChange::delete(&name, &value)] {
            match access.change_refs("probe", std::slice::from_ref(&change)).await? {
                Ok(()) => {}
                Err(failure) if failure.to_string().contains(NO_ATOMIC) => {
                    let why = "its server does not support atomic pushes".to_owned();
                    return Err(WorkspaceError::UnfitRemote {
                        remote: self.name().to_owned(),
                        why,
                    });
                }
                Err(RemoteFailure::Refused { why, remote }) if change.new.is_none() => {
                    let why = format!("its server does not delete refs ({why})");
                    return Err(WorkspaceError::UnfitRemote { remote, why });
                }
                Err(failure) => return Ok(Err(failure)),
            }
        }
        Ok(Ok(()))
    }
}

/// Work done by nobody.
fn probe(number: u32) -> ClaimedWork {
    ClaimedWork { run: RunId::new("probe"), phase: None, number, owner: "probe".to_owned() }
}

/// Returns a name not used by any other drain.
pub(super) fn unique() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{}-{}", std::process::id(), since.map_or(0, |time| time.as_nanos()))
}
