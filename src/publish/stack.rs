//! The branches of a publication: the run's own, or one for each landing, each based on the one before.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::failure::Failure;
use crate::phase::PhaseId;
use crate::workspace::{BranchCommit, Repo};

use super::{LandedPhase, RunToPublish};

/// A branch to publish.
#[derive(Clone, Debug)]
pub(super) struct StackMember {
    /// The landing, if each has a branch.
    pub phase_id: Option<PhaseId>,
    /// Name of the branch.
    pub branch: String,
    /// Last commit of the branch.
    pub commit: String,
    /// Its commits, without those of branches below and without merges of the base.
    pub own: Vec<String>,
    /// Landings in it.
    pub landed: Vec<LandedPhase>,
}

impl StackMember {
    /// Whether one of these commits is of this branch: a landing, a revert, or a commit of the user.
    pub fn has_any_of(&self, commits: &HashSet<String>) -> bool {
        let landed = self.landed.iter().map(|phase| &phase.commit);
        self.own.iter().chain(landed).any(|commit| commits.contains(commit))
    }
}

/// Returns the branch of a landing.
pub(super) fn branch_of(run: &RunToPublish, phase: &PhaseId) -> String {
    format!("{}{}", stack_prefix(run), phase.file_name())
}

/// Returns the beginning of the branches of landings.
pub(super) fn stack_prefix(run: &RunToPublish) -> String {
    format!("{}--", run.branch)
}

/// Returns the branches, the lowest first. None without a commit after the base.
pub(super) async fn members(
    run: &RunToPublish,
    per_phase: bool,
    repo: &Repo,
) -> Result<Vec<StackMember>, Failure> {
    if run.tip == run.base_commit {
        return Ok(Vec::new());
    }
    let commits = repo.branch_commits(&run.base_commit, &run.tip).await?;
    if per_phase {
        return Ok(stacked(run, &commits));
    }
    Ok(vec![StackMember {
        phase_id: None,
        branch: run.branch.clone(),
        commit: run.tip.clone(),
        own: own(&commits),
        landed: run.landed.clone(),
    }])
}

/// Cuts the commits of a run into a branch for each landing. A branch goes on until the next landing, so that reverts and
/// commits of the user between two landings belong to the first of them. No cut is between a landing and its revert:
/// below it, the branch would have what was undone.
fn stacked(run: &RunToPublish, commits: &[BranchCommit]) -> Vec<StackMember> {
    let places: HashMap<&str, usize> =
        commits.iter().enumerate().map(|(place, commit)| (commit.id.as_str(), place)).collect();
    let mut landed: BTreeMap<usize, Vec<&LandedPhase>> = BTreeMap::new();
    for phase in &run.landed {
        if let Some(place) = places.get(phase.commit.as_str()) {
            landed.entry(*place).or_default().push(phase);
        }
    }
    // The last revert of each commit, by place.
    let mut reverts: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, commit) in commits.iter().enumerate() {
        let reverted = commit.reverted.iter().filter_map(|id| places.get(id.as_str()));
        reverted.filter(|of| **of < place).for_each(|of| {
            reverts.insert(*of, place);
        });
    }
    let mut ends = Vec::new();
    let mut reverted_until = 0;
    for place in 1..commits.len() {
        reverted_until = reverts.get(&(place - 1)).copied().unwrap_or(0).max(reverted_until);
        let is_start = landed.contains_key(&place) || reverts.contains_key(&place);
        if is_start && place > reverted_until {
            ends.push(place);
        }
    }
    ends.push(commits.len());
    let (mut members, mut from) = (Vec::<StackMember>::new(), 0);
    for end in ends {
        let phases: Vec<&LandedPhase> =
            landed.range(from..end).flat_map(|(_, all)| all.clone()).collect();
        // Without a landing that stays, the commits belong to the next branch.
        let Some(last) = phases.last() else { continue };
        members.push(StackMember {
            phase_id: Some(last.phase_id.clone()),
            branch: branch_of(run, &last.phase_id),
            commit: commits[end - 1].id.clone(),
            own: own(&commits[from..end]),
            landed: phases.into_iter().cloned().collect(),
        });
        from = end;
    }
    let undone =
        |place: usize| reverts.contains_key(&place) || reverts.values().any(|of| *of == place);
    if let Some(last) = members.last_mut()
        && !(from..commits.len()).all(undone)
    {
        last.commit.clone_from(&run.tip);
        last.own.extend(own(&commits[from..]));
    }
    members
}

fn own(commits: &[BranchCommit]) -> Vec<String> {
    commits.iter().filter(|commit| !commit.is_update).map(|commit| commit.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::RunId;

    /// Members of commits: `a` is a landing, `-a` its revert, `A` a landing that was undone, `.` another commit.
    fn shown(commits: &[&str]) -> Vec<String> {
        let is_landing = |name: &&&str| name.chars().all(|c| c.is_ascii_lowercase());
        let landed = |name: &&str| LandedPhase {
            phase_id: PhaseId::new(*name),
            commit: (*name).to_owned(),
            title: String::new(),
            text: String::new(),
            issue: None,
        };
        let run = RunToPublish {
            run: RunId::new("r"),
            branch: "r".to_owned(),
            base_commit: String::new(),
            tip: (*commits.last().unwrap()).to_owned(),
            describe: Box::new(|_| (String::new(), String::new())),
            landed: commits.iter().filter(is_landing).map(landed).collect(),
            failed: Vec::new(),
            open_issues: HashSet::new(),
        };
        let commit = |name: &&str| BranchCommit {
            id: (*name).to_owned(),
            is_update: *name == "merge",
            reverted: name.strip_prefix('-').map(str::to_owned).into_iter().collect(),
        };
        let commits: Vec<BranchCommit> = commits.iter().map(commit).collect();
        let members = stacked(&run, &commits);
        members.iter().map(|member| format!("{} {}", member.branch, member.own.join(" "))).collect()
    }

    #[test]
    fn each_branch_goes_on_until_the_next_landing() {
        assert_eq!(shown(&[".", "a", ":", "b", ";"]), ["r--a . a :", "r--b b ;"]);
        assert_eq!(shown(&["."]), [""; 0]);
    }

    #[test]
    fn an_undone_landing_is_in_the_branch_of_its_revert() {
        assert_eq!(shown(&["a", "B", "c", "-B"]), ["r--a a", "r--c B c -B"]);
        assert_eq!(shown(&["a", "B", "c", "d", "-B", "e"]), ["r--a a", "r--d B c d -B", "r--e e"]);
        assert_eq!(shown(&["A", "-A", "b"]), ["r--b A -A b"]);
        // Undone at the end, it is in none, unless something else follows.
        assert_eq!(shown(&["a", "B", "-B"]), ["r--a a"]);
        assert_eq!(shown(&["a", "B", "-B", "."]), ["r--a a B -B ."]);
        assert_eq!(shown(&["A", "-A"]), [""; 0]);
    }
}
