//! The branch into which a pull request goes.

use std::collections::HashMap;

use crate::failure::{Exit, Failure};
use crate::phase::words::{first_few, quoted, short_commit};
use crate::progress::shown_id;
use crate::store::PublishedBranch;
use crate::workspace::RemoteBranches;

use super::stack::{StackMember, stack_prefix};
use super::{Publisher, RunToPublish};

/// Branches named in a message.
const NAMED: usize = 5;
/// Start of the branches of runs.
const OURS: &str = "autopack/";

impl Publisher<'_> {
    /// Returns the wanted base; else the one of the earlier publication; else the default branch of the remote, unless
    /// only the branch checked out here has the commit from which the run started. `None` for an empty remote without a
    /// forge.
    pub(super) async fn choose_base(
        &self,
        run: &RunToPublish,
        there: &RemoteBranches,
        known: &HashMap<String, PublishedBranch>,
        members: &[StackMember],
    ) -> Result<Option<String>, Failure> {
        let remote = shown_id(&self.target.remote.name);
        if let Some(base) = &self.options.base {
            let base = base.strip_prefix("refs/heads/").unwrap_or(base);
            if base == run.branch {
                return Err(Failure::new(format!("{base} is the run's own branch"))
                    .hint("name the branch into which it is to be merged: `--base main`")
                    .exit(Exit::Usage));
            }
            // As git names it here: `origin/main`.
            let of_remote = base.strip_prefix(&format!("{}/", self.target.remote.name));
            let mut names = [Some(base), of_remote].into_iter().flatten();
            if let Some(base) = names.find(|name| there.commits.contains_key(*name)) {
                return Ok(Some(base.to_owned()));
            }
            let base = of_remote.unwrap_or(base);
            let is_here = self.repo.resolve(&format!("refs/heads/{base}")).await?.is_some();
            let push = format!(", or push it: `git push {remote} {}`", quoted(base));
            let push = if is_here { push.as_str() } else { "" };
            let base = shown_id(base);
            return Err(Failure::new(format!("{remote} has no branch {base}{}", listed(there)))
                .hint(format!("name another with --base{push}"))
                .exit(Exit::Usage));
        }
        let earlier = self.earlier_bases(run, known, members);
        if let Some(base) = earlier.into_iter().find(|base| there.commits.contains_key(base)) {
            return Ok(Some(base));
        }
        let default = there.default.clone().filter(|name| there.commits.contains_key(name));
        let Some(default) = default else {
            let is_ours = |name: &String| name.starts_with(OURS);
            return match (self.target.forge_name(), there.commits.keys().all(is_ours)) {
                (Some(_), true) => {
                    let hint = format!("push your base branch first: `git push {remote} main`");
                    let what = if there.commits.is_empty() { "branches" } else { "other branches" };
                    Err(Failure::new(format!("{remote} has no {what} yet")).hint(hint))
                }
                (Some(_), false) => Err(Failure::new(format!("{remote} names no default branch"))
                    .hint("name the base of the pull request: `--base BRANCH`")
                    .exit(Exit::Usage)),
                (None, _) => Ok(None),
            };
        };
        if self.has_start_of(run, there, &default).await? {
            return Ok(Some(default));
        }
        if let Some(current) = self.repo.checked_out_branch().await?
            && current != run.branch
            && self.has_start_of(run, there, &current).await?
        {
            return Ok(Some(current));
        }
        let local = self.repo.resolve(&format!("refs/heads/{default}")).await?;
        let is_here = match &local {
            Some(local) => self.repo.contains(local, &run.base_commit).await?,
            None => false,
        };
        let start = short_commit(&run.base_commit);
        let what = if is_here { default.clone() } else { format!("{start}:{default}") };
        tracing::warn!(
            "{} of {remote} lacks the commit from which the run started; the pull request shows your own \
             commits, too: `git push {remote} {}`, or name another base with --base",
            shown_id(&default),
            quoted(&what)
        );
        Ok(Some(default))
    }

    /// Returns the bases of earlier publications: first of the same kind, one branch or one for each landing.
    fn earlier_bases(
        &self,
        run: &RunToPublish,
        known: &HashMap<String, PublishedBranch>,
        members: &[StackMember],
    ) -> Vec<String> {
        let prefix = stack_prefix(run);
        let mut others: Vec<&String> = known.keys().collect();
        others.sort();
        let names = members.iter().map(|member| &member.branch).chain(others);
        let bases = names.filter_map(|name| known.get(name)?.base.clone());
        bases.filter(|base| !base.starts_with(&prefix)).collect()
    }

    /// Whether a branch of the remote has the commit from which the run started, as far as this repository knows.
    async fn has_start_of(
        &self,
        run: &RunToPublish,
        there: &RemoteBranches,
        branch: &str,
    ) -> Result<bool, Failure> {
        let Some(at_remote) = there.commits.get(branch) else { return Ok(false) };
        let tracking = format!("refs/remotes/{}/{branch}", self.target.remote.name);
        // The remote may be ahead of what was fetched.
        for known in [at_remote.as_str(), &tracking] {
            if let Some(commit) = self.repo.resolve(known).await?
                && self.repo.contains(&commit, &run.base_commit).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn listed(there: &RemoteBranches) -> String {
    let others = there.commits.keys().filter(|name| !name.starts_with(OURS));
    let names: Vec<String> = others.map(|name| shown_id(name)).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("; it has {}", first_few(&names, NAMED)),
    }
}
