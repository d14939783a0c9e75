//! Access to a tracker for `import` and `sync`: the forge with its token, the choice of issues on the command line, and
//! what both say about the issues that they found.

use super::Context;
use crate::failure::{Exit, Failure};
use crate::forge::{self, Forge, ForgeError, ForgeToken, IssueFilter, TrackerName};
use crate::import::trackers::TrackerIssues;
use crate::phase::words::counted;
use crate::progress::NOTES;
use crate::workspace::Repo;

/// Choice of issues on the command line.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Issues of a tracker")]
pub(super) struct TrackerFilterArgs {
    /// Only with this label, and then by any author; may repeat
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Only of this milestone
    #[arg(long, value_name = "TITLE")]
    milestone: Option<String>,
    /// Only matches of a search, in the forge's syntax
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
    /// Only assigned to this user, or to `me`
    #[arg(long, value_name = "LOGIN")]
    assignee: Option<String>,
}

impl TrackerFilterArgs {
    /// Returns the choice.
    pub fn filter(self) -> IssueFilter {
        let Self { labels, milestone, query, assignee } = self;
        IssueFilter { labels, milestone, query, assignee }
    }

    /// Refuses options that an import of something else does not use.
    ///
    /// # Errors
    /// An option is given.
    pub fn refuse(self, why: &str) -> Result<(), Failure> {
        if self.filter() == IssueFilter::default() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "--label, --milestone, --query and --assignee choose issues of a tracker; {why}"
        ))
        .hint("leave them out, or name a tracker such as github:owner/repo")
        .exit(Exit::Usage))
    }
}

/// Parses the name of a tracker; `None` for files.
///
/// # Errors
/// The text starts like a tracker and names no repository.
pub(super) fn tracker_of(text: &str) -> Option<Result<TrackerName, Failure>> {
    let parsed = TrackerName::parse(text)?;
    Some(parsed.map_err(|error| Failure::from(error).exit(Exit::Usage)))
}

/// Opens the forge of a tracker, with the token of the environment, or of `gh` and `glab`.
///
/// # Errors
/// The address of the API is invalid, or there is no repository here.
pub(super) async fn open_forge(
    tracker: &TrackerName,
    context: &Context,
) -> Result<Box<dyn Forge>, Failure> {
    let repo = Repo::discover(&context.workspace()?).await?;
    let token = ForgeToken::find(tracker, &context.env, &context.workspace()?).await;
    let pages = repo.autopack_dir().join("forge");
    forge::open(tracker, &context.env, token, pages).map_err(forge_failure)
}

/// Adds what the user can do.
pub(super) fn forge_failure(error: ForgeError) -> Failure {
    match error.hint() {
        Some(hint) => Failure::from(error).hint(hint),
        None => error.into(),
    }
}

/// Describes issues that were left out, and a rename.
pub(super) fn report_issues(tracker: &TrackerName, found: &TrackerIssues) {
    if let Some(line) = describe_left_out(tracker, found) {
        tracing::info!(target: NOTES, "{line}");
    }
    if found.lacks_dependencies {
        tracing::info!(
            target: NOTES,
            "too many issues to ask for dependencies of each; \"Blocked by #N\" in texts counts"
        );
    }
    if let Some(name) = &found.present_name {
        let prefix = tracker.kind.prefix();
        tracing::warn!(
            "{tracker} was renamed to {prefix}:{name}; the old name may become another repository"
        );
    }
}

/// Describes issues that were left out because of their authors.
pub(super) fn describe_left_out(tracker: &TrackerName, found: &TrackerIssues) -> Option<String> {
    (found.left_out > 0).then(|| {
        format!(
            "left out {} by people outside of {}; `--label LABEL` takes labelled ones",
            counted(found.left_out, "issue"),
            tracker.repository()
        )
    })
}
