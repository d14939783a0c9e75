//! Environment of programs in a slot: agent, setup and CI.

use std::ffi::OsStr;

use super::Attempt;
use super::checkout_runner::CheckoutRunner;
use crate::ci::{self, CiPlan};
use crate::process::MissingPathRule;
use crate::process::child_env::{Env, OWNER, WORKTREE};
use crate::workspace::{Side, Slot};

/// Purpose of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose<'a> {
    /// The agent with this name.
    Agent(&'a str),
    Setup,
    Ci,
}

impl CheckoutRunner<'_> {
    /// Builds the environment of a program in a checkout of a slot. Programs in the agent's checkout never learn the
    /// path of CI's checkout. Paths of the user's checkout are replaced by paths of this checkout, and Python imports
    /// from there.
    pub(super) fn environment(&self, purpose: Purpose<'_>, slot: &Slot, side: Side) -> Env {
        let dir = slot.path_of(side);
        let environments = self.environments;
        let (inherited, absent) = match purpose {
            Purpose::Agent(name) => {
                (environments.of_agent(name), MissingPathRule::KeepExceptBuildVariables)
            }
            Purpose::Setup => (&environments.setup, MissingPathRule::KeepExceptBuildVariables),
            Purpose::Ci => (&environments.ci, MissingPathRule::Drop),
        };
        // In a view, paths that this checkout lacks are shown; those of builds would change the result.
        let absent = match self.views.moves_checkouts() {
            true => MissingPathRule::KeepExceptBuildVariables,
            false => absent,
        };
        let relocated = self.users_checkout.relocate(&inherited.env, dir, absent);
        let mut env = relocated.env;
        // Overlays show these directories at their own paths.
        let links = slot.overlay_links(side);
        let links = links.iter().map(|link| link.path.as_str());
        for name in relocated.dropped.iter().map(OsStr::new) {
            if let Some(value) = inherited.env.get(name)
                && self.users_checkout.names_only(value, dir, links.clone())
            {
                env.insert(name.into(), value.clone());
            }
        }
        env.extend(slot.environment());
        env.insert("AUTOPACK_WORKSPACE".into(), self.repo.root().into());
        env.insert(WORKTREE.into(), dir.into());
        // For resources not shared between parallel slots: ports, databases.
        env.insert("AUTOPACK_SLOT".into(), slot.number().to_string().into());
        // With the inherited value, programs trusting `PWD` would work in the user's checkout.
        env.insert("PWD".into(), dir.into());
        env.remove(OsStr::new("OLDPWD"));
        if purpose == Purpose::Setup {
            // Package managers do not prompt, and keep to the lock files.
            env.entry("CI".into()).or_insert_with(|| "1".into());
        }
        if self.views.moves_checkouts() {
            return env;
        }
        let guard = self.repo.autopack_dir().join("python");
        if let Err(error) = ci::guard_imports(&mut env, &guard) {
            tracing::warn!(
                "cannot write {}: {error}; CI may test an editable install instead of the change",
                guard.display()
            );
        }
        env
    }
}

impl Attempt<'_> {
    /// Builds the environment of a program in a checkout of this attempt, marked so that leftovers of a dead drain
    /// can be found.
    pub(super) fn environment(&self, purpose: Purpose<'_>, side: Side) -> Env {
        let mut env = self.context.runner().environment(purpose, &self.slot, side);
        env.insert(OWNER.into(), self.claim.owner.as_str().into());
        env
    }

    /// Returns the reason if CI in this checkout would import from the user's checkout.
    pub(super) async fn find_misplaced_imports(&self, plan: &CiPlan) -> Option<String> {
        if self.context.views.moves_checkouts() {
            return None;
        }
        let env = self.environment(Purpose::Ci, Side::Ci);
        let root = self.context.repo.root();
        let site = ci::CiPlace { dir: self.slot.path_of(Side::Ci), workspace: root, env: &env };
        ci::find_misplaced_imports(&site, plan, &self.context.pythons).await
    }
}
