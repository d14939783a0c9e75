//! The environment of what is run in a copy: agent, setup and CI.

use std::ffi::OsStr;

use super::Attempt;
use super::checkout_runner::CheckoutRunner;
use crate::ci::{self, CiPlan};
use crate::process::Absent;
use crate::process::child_env::{Env, OWNER, WORKTREE};
use crate::workspace::{Side, Slot};

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Agent,
    Setup,
    Ci,
}

impl CheckoutRunner<'_> {
    /// The environment of whatever runs in a checkout of a slot. CI's is named to nobody who works in the agent's. Paths of
    /// the user's checkout become those of this one, and Python imports from there.
    pub(super) fn environment(&self, purpose: Purpose, slot: &Slot, side: Side) -> Env {
        let dir = slot.path_of(side);
        let (inherited, absent) = match purpose {
            Purpose::Agent => (self.agent_env, Absent::KeepUnlessOfBuilds),
            Purpose::Setup => (self.ci_env, Absent::KeepUnlessOfBuilds),
            Purpose::Ci => (self.ci_env, Absent::Drop),
        };
        let mut env = self.users_checkout.follow(inherited, dir, absent).env;
        env.extend(slot.environment());
        env.insert("AUTOPACK_WORKSPACE".into(), self.repo.root().into());
        env.insert(WORKTREE.into(), dir.into());
        // For what several at once must not share: ports, databases.
        env.insert("AUTOPACK_SLOT".into(), slot.number().to_string().into());
        // Programs that believe the inherited one would work in the user's checkout.
        env.insert("PWD".into(), dir.into());
        env.remove(OsStr::new("OLDPWD"));
        if purpose == Purpose::Setup {
            // Package managers ask nothing, and keep to their lock files.
            env.entry("CI".into()).or_insert_with(|| "1".into());
        }
        let guard = self.repo.autopack_dir().join("python");
        if let Err(error) = ci::guard_imports(&mut env, &guard) {
            tracing::warn!(
                "cannot write {}: {error}; an editable install may be tested in place of the change",
                guard.display()
            );
        }
        env
    }
}

impl Attempt<'_> {
    /// The environment of whatever runs in a checkout of this attempt: marked, so that leftovers of a dead drain can be found.
    pub(super) fn environment(&self, purpose: Purpose, side: Side) -> Env {
        let mut env = self.site.runner().environment(purpose, &self.slot, side);
        env.insert(OWNER.into(), self.claim.owner.as_str().into());
        env
    }

    /// Why a run of this plan on what CI's checkout holds would test the user's checkout.
    pub(super) async fn misplaced_imports(&self, plan: &CiPlan) -> Option<String> {
        let env = self.environment(Purpose::Ci, Side::Ci);
        let root = self.site.repo.root();
        let site = ci::Site { dir: self.slot.path_of(Side::Ci), workspace: root, env: &env };
        ci::misplaced_imports(&site, plan, &self.site.pythons).await
    }
}
