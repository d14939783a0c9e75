//! Brings the listening sockets of a view's network to the drain.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use super::job::{Job, SpawnError};
use super::view::{NetworkView, ViewMode};

/// A socket pair: one end is inherited by the supervisor, and by the first process of the view.
pub(super) struct ListenerChannel {
    ours: OwnedFd,
    pub theirs: Arc<OwnedFd>,
    ports: Vec<u16>,
}

impl ListenerChannel {
    /// Creates the channel, if the job's view needs listeners.
    pub fn create(job: &Job<'_>) -> io::Result<Option<Self>> {
        let Some(view) = job.view.as_ref().filter(|view| view.mode == ViewMode::Namespaces) else {
            return Ok(None);
        };
        let NetworkView::Limited { ports } = &view.network else { return Ok(None) };
        let (ours, theirs) = UnixDatagram::pair()?;
        let (ours, theirs) = (OwnedFd::from(ours), Arc::new(OwnedFd::from(theirs)));
        Ok(Some(Self { ours, theirs, ports: ports.clone() }))
    }

    /// Passes the listeners to the job's observer. The view sends them before the program starts.
    pub fn hand_on(self, job: &Job<'_>) -> Result<(), SpawnError> {
        let listeners =
            super::view::receive_listeners(self.ours.as_fd()).map_err(SpawnError::Supervisor)?;
        if let Some(observer) = &job.on_listeners {
            observer(self.ports.into_iter().zip(listeners).collect());
        }
        Ok(())
    }
}
