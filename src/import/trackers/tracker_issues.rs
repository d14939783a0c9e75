//! Requests the issues of an import from a forge: selects issues by author, and finds their dependencies.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::forge::{Forge, ForgeError, ForgeIssue, IssueFilter, IssueState, TrackerName};
use crate::import::issue_text;

/// Most issues with a separate request for dependencies.
const MOST_DEPENDENCY_REQUESTS: usize = 50;

/// Request to a forge.
#[derive(Clone, Debug, Default)]
pub struct TrackerRequest {
    /// Choice of open issues; `None` requests no list.
    pub list: Option<IssueFilter>,
    /// Issues requested by number, open or closed, unless the list has them.
    pub numbers: Vec<u64>,
    /// The part of `numbers` named by a person. These issues count with any author.
    pub named: Vec<u64>,
}

/// The issues that belong to a run, as stored with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrackerChoice {
    /// Choice of open issues; `None` if all issues were named individually.
    pub list: Option<IssueFilter>,
    /// Issues named individually.
    pub named: Vec<u64>,
}

/// Issues of a forge.
#[derive(Clone, Debug, Default)]
pub struct TrackerIssues {
    /// Issues that count, by number.
    pub issues: Vec<ForgeIssue>,
    /// Requested numbers of open issues no longer counted: another choice, another author.
    pub uncounted: Vec<u64>,
    /// Requested numbers unknown to the forge.
    pub gone: Vec<u64>,
    /// Issues of the list that were left out, because of their authors.
    pub left_out: u64,
    /// Dependencies of each issue, by number.
    pub blockers: HashMap<u64, Vec<u64>>,
    /// Whether only the texts of issues were searched for dependencies.
    pub lacks_dependencies: bool,
    /// The present name of a renamed repository.
    pub present_name: Option<String>,
}

impl TrackerIssues {
    /// Requests issues from a forge.
    ///
    /// # Errors
    /// Any error of a request.
    pub async fn fetch(forge: &dyn Forge, request: &TrackerRequest) -> Result<Self, ForgeError> {
        let mut found = Self::default();
        if let Some(filter) = &request.list {
            let open = forge.open_issues(filter).await?;
            found.issues = found.counting(forge, filter, open).await?;
        }
        let listed: HashSet<u64> = found.issues.iter().map(|issue| issue.number).collect();
        for number in request.numbers.iter().filter(|number| !listed.contains(number)) {
            match forge.issue(*number).await? {
                None => found.gone.push(*number),
                // A list without the open issue: the choice or the author no longer counts.
                Some(issue)
                    if issue.state == IssueState::Open
                        && request.list.is_some()
                        && !request.named.contains(number) =>
                {
                    found.uncounted.push(*number);
                }
                Some(issue) => found.issues.push(issue),
            }
        }
        found.issues.sort_by_key(|issue| issue.number);
        found.issues.dedup_by_key(|issue| issue.number);
        found.find_blockers(forge).await?;
        found.present_name = forge.present_name().await?;
        Ok(found)
    }

    /// Returns the issues to count. With a wanted label, set by maintainers, all issues count; otherwise only the
    /// issues of members.
    async fn counting(
        &mut self,
        forge: &dyn Forge,
        filter: &IssueFilter,
        issues: Vec<ForgeIssue>,
    ) -> Result<Vec<ForgeIssue>, ForgeError> {
        if !filter.labels.is_empty() {
            return Ok(issues);
        }
        let is_open = issues.iter().any(|issue| issue.is_by_member.is_none());
        let members = if is_open { forge.members().await? } else { HashSet::new() };
        let members: HashSet<String> = members.iter().map(|name| name.to_lowercase()).collect();
        let counts = |issue: &ForgeIssue| {
            let is_member = || members.contains(&issue.author.to_lowercase());
            issue.is_by_member.unwrap_or_else(is_member)
        };
        let (counting, others): (Vec<_>, Vec<_>) = issues.into_iter().partition(counts);
        self.left_out = others.len() as u64;
        Ok(counting)
    }

    async fn find_blockers(&mut self, forge: &dyn Forge) -> Result<(), ForgeError> {
        let is_open = |issue: &&ForgeIssue| issue.state == IssueState::Open;
        let asked = self.issues.iter().filter(is_open).filter(|issue| issue.may_be_blocked);
        let asked: Vec<&ForgeIssue> = asked.collect();
        self.lacks_dependencies = asked.len() > MOST_DEPENDENCY_REQUESTS;
        let mut known: HashMap<u64, Vec<u64>> = HashMap::new();
        if !self.lacks_dependencies {
            for issue in asked {
                known.insert(issue.number, forge.blockers(issue).await?);
            }
        }
        for issue in self.issues.iter().filter(is_open) {
            let numbers = known.entry(issue.number).or_default();
            for number in issue_text::dependencies(&issue.body, &issue.url) {
                if !numbers.contains(&number) {
                    numbers.push(number);
                }
            }
        }
        self.blockers = known;
        Ok(())
    }
}

impl TrackerChoice {
    /// Reads a stored choice. An unreadable choice selects the existing issues of the run.
    pub fn of_json(value: &Value) -> Self {
        Self::deserialize(value).unwrap_or_default()
    }

    /// Returns the choice for the database.
    pub fn to_json(&self) -> Value {
        json!(self)
    }

    /// Adds an import of a single issue or of a list. The choice of a list replaces an earlier choice.
    pub fn add(&mut self, tracker: &TrackerName, filter: IssueFilter) {
        match tracker.issue {
            None => self.list = Some(filter),
            Some(number) if self.named.contains(&number) => {}
            Some(number) => self.named.push(number),
        }
    }

    /// Returns the request of an import: a single issue, or the list with `known` issues of the run.
    pub fn import_request(&self, tracker: &TrackerName, known: Vec<u64>) -> TrackerRequest {
        match tracker.issue {
            Some(number) => TrackerRequest { list: None, numbers: vec![number], named: Vec::new() },
            None => TrackerRequest {
                list: self.list.clone(),
                numbers: known,
                named: self.named.clone(),
            },
        }
    }

    /// Returns the request of a synchronization. `phases` has the issue of each phase, whether the phase is settled,
    /// and whether the issue was closed.
    pub fn sync_request(&self, phases: &[(u64, bool, bool)]) -> TrackerRequest {
        // A list has all issues that were opened again, except those named one by one.
        let is_asked = |(number, is_settled, is_closed): &&(u64, bool, bool)| {
            !is_settled || *is_closed && (self.list.is_none() || self.named.contains(number))
        };
        TrackerRequest {
            list: self.list.clone(),
            numbers: phases.iter().filter(is_asked).map(|(number, ..)| *number).collect(),
            named: self.named.clone(),
        }
    }
}
