//! The branches of a publication: the run's own, or one for each landing, each based on the one before.

use crate::failure::Failure;
use crate::forge::TrackerName;
use crate::phase::PhaseId;
use crate::workspace::Repo;

use super::RunToPublish;

/// The issue of a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueOrigin {
    /// Repository of the issue.
    pub tracker: TrackerName,
    /// Number of the issue.
    pub number: u64,
}

/// A branch to publish.
#[derive(Clone, Debug)]
pub(super) struct StackMember {
    /// The landing, if each has a branch.
    pub phase_id: Option<PhaseId>,
    /// Name of the branch.
    pub branch: String,
    /// Commit before the first of the branch.
    pub start: String,
    /// Last commit of the branch.
    pub commit: String,
    /// Title of the pull request.
    pub title: String,
    /// Text of the pull request.
    pub text: String,
    /// Issues that a merge settles.
    pub issues: Vec<IssueOrigin>,
}

/// Returns the branches, the lowest first.
pub(super) async fn members(
    run: &RunToPublish,
    per_phase: bool,
    repo: &Repo,
) -> Result<Vec<StackMember>, Failure> {
    if !per_phase {
        return Ok(vec![StackMember {
            phase_id: None,
            branch: run.branch.clone(),
            start: run.base_commit.clone(),
            commit: run.tip.clone(),
            title: run.title.clone(),
            text: run.report.clone(),
            issues: run.landed.iter().filter_map(|phase| phase.issue.clone()).collect(),
        }]);
    }
    let commits = repo.commits_between(&run.base_commit, &run.tip).await?;
    Ok(stacked(run, &commits))
}

/// Cuts the commits of a run, from its base to its tip, into a branch for each landing. A branch goes on until the next
/// landing, so that reverts and commits of the user between two landings belong to the first of them.
fn stacked(run: &RunToPublish, commits: &[String]) -> Vec<StackMember> {
    let place =
        |commit: &Option<String>| commits.iter().position(|one| Some(one) == commit.as_ref());
    let mut landings: Vec<_> =
        run.landed.iter().filter_map(|phase| Some((place(&phase.commit)?, phase))).collect();
    landings.sort_by_key(|(place, _)| *place);
    if landings.is_empty() {
        return Vec::new();
    }
    let ends = landings.iter().skip(1).map(|(place, _)| place - 1).chain([commits.len() - 1]);
    let mut start = 0;
    let mut members = Vec::new();
    for ((_, phase), end) in landings.iter().zip(ends) {
        members.push(StackMember {
            phase_id: Some(phase.phase_id.clone()),
            branch: format!("{}--{}", run.branch, phase.phase_id.file_name()),
            start: commits[start].clone(),
            commit: commits[end].clone(),
            title: phase.title.clone(),
            text: phase.text.clone(),
            issues: phase.issue.clone().into_iter().collect(),
        });
        start = end;
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::RunId;
    use crate::publish::LandedPhase;

    fn landed(phase: &str, commit: &str) -> LandedPhase {
        LandedPhase {
            phase_id: PhaseId::new(phase),
            commit: Some(commit.to_owned()),
            title: phase.to_owned(),
            text: String::new(),
            issue: None,
        }
    }

    #[test]
    fn each_branch_goes_on_until_the_next_landing() {
        let run = RunToPublish {
            run: RunId::new("r"),
            branch: "autopack/r".to_owned(),
            base_commit: "0".to_owned(),
            tip: "6".to_owned(),
            title: String::new(),
            report: String::new(),
            landed: vec![landed("b", "4"), landed("a", "2"), landed("gone", "x")],
            failed: Vec::new(),
        };
        let commits: Vec<String> = (0..7).map(|number: u32| number.to_string()).collect();
        let shown: Vec<String> = stacked(&run, &commits)
            .iter()
            .map(|member| format!("{} {}..{}", member.branch, member.start, member.commit))
            .collect();
        assert_eq!(shown, ["autopack/r--a 0..3", "autopack/r--b 3..6"]);
    }
}
