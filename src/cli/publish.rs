//! `publish`: pushes the branch of a run, and opens or updates its pull request.

use std::time::Duration;

use super::attempt_setup::open_repository;
use super::publish_text::ShownPublication;
use super::run_choice::{RunArg, RunUse};
use super::run_to_publish::{PublishableRun, run_to_publish};
use super::tracker_access::tracker_of;
use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::forge::TrackerName;
use crate::phase::RunId;
use crate::progress::{NOTES, shown_id};
use crate::publish::{PublishOptions, PublishTarget, Publisher, TargetChoice};
use crate::store::{RunSummary, Store};
use crate::workspace::Repo;

/// Push a run's branch, and open or update its pull request
///
/// Works with GitHub, GitLab and Gitea; the remote's URL says which. The pull request has the report and `Closes #12` for
/// each landed issue; issues of failed phases get a comment, once for each reason. Text that you add to a pull request
/// stays. Commits of others are never replaced, nothing is merged or closed, and hooks do not run. A push lets CI of the
/// forge run code that agents wrote, with its secrets.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunArg,

    /// Open a pull request for each landing, based on the one before
    #[arg(long)]
    per_phase: bool,

    /// Open new pull requests as drafts
    #[arg(long)]
    draft: bool,

    /// Branch to merge into [default: publish.base, else the remote's default branch]
    #[arg(long, value_name = "BRANCH")]
    base: Option<String>,

    /// Remote [default: publish.remote, else the one of the run's tracker, else origin]
    #[arg(long, value_name = "REMOTE")]
    remote: Option<String>,

    /// Show what would be done; only reads from the remote and the forge
    #[arg(long)]
    dry_run: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let (store, run) = args.run.open(context, RunUse::Act).await?;
    let repo = open_repository(context).await?;
    let wish = PublishWish {
        per_phase: args.per_phase,
        is_draft: args.draft,
        base: args.base,
        remote: args.remote,
        dry_run: args.dry_run,
    };
    let plan = PublishPlan { store: &store, repo: &repo, context, wish: &wish };
    let summary = store.run(&run).await?;
    open_database::check_repository(&run, summary.facts.as_ref(), &repo, "publish it there")?;
    let target = plan.target(&run).await?;
    let published = plan.publish(&summary, &target).await;
    store.close().await;
    let mut publication = published?;
    let unfinished = publication.as_mut().and_then(|publication| publication.unfinished.take());
    let error = unfinished.as_ref().map(Failure::text);
    let shown = ShownPublication { run: &run, publication, error, dry_run: args.dry_run };
    match args.json {
        true => context.out.json(&shown.json())?,
        false => shown.lines().iter().try_for_each(|line| context.out.line(line))?,
    }
    unfinished.map_or(Ok(Exit::Done), Err)
}

/// How to publish, as given on the command line; the configuration has the rest.
#[derive(Debug, Default)]
pub(super) struct PublishWish {
    pub per_phase: bool,
    pub is_draft: bool,
    pub base: Option<String>,
    pub remote: Option<String>,
    pub dry_run: bool,
}

/// What a publication from the command line needs.
pub(super) struct PublishPlan<'a> {
    pub store: &'a Store,
    pub repo: &'a Repo,
    pub context: &'a Context,
    pub wish: &'a PublishWish,
}

impl PublishPlan<'_> {
    /// Chooses the remote and the forge of a run, without asking them.
    ///
    /// # Errors
    /// There is no remote, or the configuration names none.
    pub async fn target(&self, run: &RunId) -> Result<PublishTarget, Failure> {
        let source = self.store.run_source(run).await?;
        let tracker = source.and_then(|source| TrackerName::parse(&source.tracker)?.ok());
        let remote = self.wish.remote.as_deref();
        choose_target(self.repo, self.context, remote, tracker.as_ref()).await
    }

    /// Publishes a run; `None` if it has no branch yet.
    ///
    /// # Errors
    /// As [`Publisher::publish`], or the branch of the run is gone.
    pub async fn publish(
        &self,
        summary: &RunSummary,
        target: &PublishTarget,
    ) -> Result<Option<crate::publish::Publication>, Failure> {
        let found = run_to_publish(self.store, self.repo, self.context, summary, target).await?;
        let Some(PublishableRun { run, is_red }) = found else { return Ok(None) };
        let settings = &self.context.config()?.settings.publish;
        let is_draft = self.wish.is_draft || settings.draft;
        if is_red && !is_draft {
            tracing::info!(
                target: NOTES,
                "CI of {} is red in a clean clone: a new pull request becomes a draft",
                shown_id(run.run.as_str())
            );
        }
        let options = PublishOptions {
            base: self.wish.base.clone().or_else(|| settings.base.clone()),
            is_base_ordered: self.wish.base.is_some(),
            is_draft: is_draft || is_red,
            per_phase: self.wish.per_phase || settings.per_phase,
            comments: settings.comments,
            dry_run: self.wish.dry_run,
            patience: Duration::from_secs(settings.retry_seconds),
        };
        let publisher = Publisher { repo: self.repo, store: self.store, target, options };
        publisher.publish(&run).await.map(Some)
    }
}

/// Chooses the remote and the forge of runs of this tracker. `remote` is an order.
///
/// # Errors
/// There is no remote, or the configuration names none.
pub(super) async fn choose_target(
    repo: &Repo,
    context: &Context,
    remote: Option<&str>,
    tracker: Option<&TrackerName>,
) -> Result<PublishTarget, Failure> {
    let settings = &context.config()?.settings.publish;
    let forge = settings.forge.as_deref().map(configured_forge).transpose()?;
    let remote = remote.or(settings.remote.as_deref());
    let choice = TargetChoice { remote, forge: forge.as_ref(), tracker };
    PublishTarget::choose(repo, &context.env, choice).await
}

fn configured_forge(text: &str) -> Result<TrackerName, Failure> {
    let named = tracker_of(text)
        .unwrap_or_else(|| Err(Failure::new(format!("{text:?} names no repository on a forge"))));
    named.map_err(|failure| {
        Failure::new(format!("publish.forge: {}", failure.text())).hint(
            "write it as github:owner/repo, gitlab:host/group/project or gitea:host/owner/repo",
        )
    })
}
