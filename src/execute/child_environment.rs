//! The environment of what is run in a copy: agent, setup and CI.

use std::ffi::OsStr;

use super::{Attempt, Trouble};
use crate::ci::{self, CiPlan};
use crate::process::Absent;
use crate::process::child_env::{Env, OWNER, WORKTREE};
use crate::workspace::Side;

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Agent,
    Setup,
    Ci,
}

impl Attempt<'_> {
    /// The environment of whatever runs in a checkout: marked, so that leftovers of a dead drain can be found. CI's is named
    /// to nobody who works in the agent's. Paths of the user's checkout become those of this one, and Python imports
    /// from there.
    pub(super) fn environment(&self, purpose: Purpose, side: Side) -> Env {
        let (site, dir) = (self.site, self.slot.path_of(side));
        let (inherited, absent) = match purpose {
            Purpose::Agent => (&site.agent_env, Absent::KeepUnlessOfBuilds),
            Purpose::Setup => (&site.ci_env, Absent::KeepUnlessOfBuilds),
            Purpose::Ci => (&site.ci_env, Absent::Drop),
        };
        let mut env = site.users_checkout.follow(inherited, dir, absent).env;
        env.extend(self.slot.environment());
        env.insert(OWNER.into(), self.claim.owner.as_str().into());
        env.insert("AUTOPACK_WORKSPACE".into(), site.repo.root().into());
        env.insert(WORKTREE.into(), dir.into());
        // For what several at once must not share: ports, databases.
        env.insert("AUTOPACK_SLOT".into(), self.slot.number().to_string().into());
        // Programs that believe the inherited one would work in the user's checkout.
        env.insert("PWD".into(), dir.into());
        env.remove(OsStr::new("OLDPWD"));
        if purpose == Purpose::Setup {
            // Package managers ask nothing, and keep to their lock files.
            env.entry("CI".into()).or_insert_with(|| "1".into());
        }
        let guard = site.repo.autopack_dir().join("python");
        if let Err(error) = ci::guard_imports(&mut env, &guard) {
            tracing::warn!(
                "cannot write {}: {error}; an editable install may be tested in place of the change",
                guard.display()
            );
        }
        env
    }

    /// Refuses to judge anything by a run that would test the user's checkout.
    pub(super) async fn check_imports(&self, plan: &CiPlan, env: &Env) -> Result<(), Trouble> {
        let root = self.site.repo.root();
        let site = ci::Site { dir: self.slot.path_of(Side::Ci), workspace: root, env };
        match ci::misplaced_imports(&site, plan, &self.site.pythons).await {
            Some(why) => Err(Trouble::Systemic(why)),
            None => Ok(()),
        }
    }
}
