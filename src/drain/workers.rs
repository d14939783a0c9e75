//! The lines at work: attempts of this drain that are under way, each a task of its own on a slot of its own.
//!
//! What they come to is for the loop: it alone claims, counts and decides, so that nothing here is shared.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{Id, JoinSet};
use tracing::Instrument as _;

use crate::attempt::{Executed, Site, Trouble, execute};
use crate::phase::budget::Spent;
use crate::process::Stop;
use crate::store::Claim;

#[derive(Default)]
pub(super) struct Crew {
    lines: JoinSet<Result<Executed, Trouble>>,
    /// The output tokens that each is expected to take.
    expected: HashMap<Id, u64>,
}

impl Crew {
    pub fn start(&mut self, site: &Arc<Site>, claim: Claim, drain_spent: Spent, stop: Stop) {
        let expected = site.expected_output(&claim);
        let site = Arc::clone(site);
        let line = async move { execute(&site, claim, drain_spent, &stop).await };
        let id = self.lines.spawn(line.in_current_span()).id();
        self.expected.insert(id, expected);
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What a drain has spent, with what these are expected to take.
    pub fn and(&self, spent: Spent) -> Spent {
        spent.with_running(self.len() as u64, self.expected.values().sum())
    }

    /// The next that ends; `None` where nobody works. Nothing is lost where this is given up halfway.
    pub async fn next(&mut self) -> Option<Result<Executed, Trouble>> {
        let (id, ended) = match self.lines.join_next_with_id().await? {
            Ok(ended) => ended,
            // Its phase stays EXECUTING, and the next drain takes it for a crash.
            Err(error) => {
                (error.id(), Err(Trouble::Ours(anyhow::anyhow!("an attempt broke off: {error}"))))
            }
        };
        self.expected.remove(&id);
        Some(ended)
    }
}
