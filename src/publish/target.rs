//! Where to publish: the git remote, and the repository on a forge behind it.

use std::path::PathBuf;

use crate::config::Env;
use crate::failure::{Exit, Failure};
use crate::forge::{self, Forge, ForgeToken, RemoteAddress, TrackerName};
use crate::phase::words::first_few;
use crate::progress::shown_id;
use crate::workspace::{NamedRemote, RemoteLogin, Repo};

/// Usual name of the remote.
const ORIGIN: &str = "origin";
/// Remotes named in a message.
const NAMED: usize = 5;

/// Wishes for the target.
#[derive(Clone, Copy, Debug)]
pub struct TargetChoice<'a> {
    /// Name of the remote.
    pub remote: Option<&'a str>,
    /// Repository on the forge.
    pub forge: Option<&'a TrackerName>,
    /// The tracker of the run.
    pub tracker: Option<&'a TrackerName>,
}

/// Remote and forge of a publication.
pub struct PublishTarget {
    /// The remote.
    pub remote: NamedRemote,
    /// Its address; `None` for a directory.
    pub address: Option<RemoteAddress>,
    forge: Option<ForgeAccess>,
    login: Option<(String, RemoteLogin)>,
    opener: ForgeOpener,
}

/// A repository on a forge.
pub(super) struct ForgeAccess {
    pub name: TrackerName,
    pub client: Box<dyn Forge>,
    pub has_token: bool,
}

/// What opening a forge needs.
struct ForgeOpener {
    env: Env,
    directory: PathBuf,
    pages: PathBuf,
}

impl PublishTarget {
    /// Chooses remote and forge. Asks neither of them.
    ///
    /// # Errors
    /// There is no such remote, none to choose, or it stands for several URLs.
    pub async fn choose(repo: &Repo, env: &Env, choice: TargetChoice<'_>) -> Result<Self, Failure> {
        let remote = choose_remote(repo.remotes().await?, &choice)?;
        if remote.push_urls.len() > 1 {
            let (name, count) = (shown_id(&remote.name), remote.push_urls.len());
            return Err(Failure::new(format!("{name} pushes to {count} URLs"))
                .hint("publish to one of them: `git remote add NAME URL`, then --remote NAME"));
        }
        let address = RemoteAddress::parse(remote.push_url());
        // The URL as written may name a forge that git reaches through another host (`insteadOf`).
        let written = RemoteAddress::parse(&remote.url);
        let by_address = |address: &RemoteAddress| address.forge(choice.tracker);
        let found = address.as_ref().and_then(by_address);
        let found = found.or_else(|| written.as_ref().and_then(by_address));
        let opener = ForgeOpener {
            env: env.clone(),
            directory: repo.root().to_owned(),
            pages: repo.autopack_dir().join("forge"),
        };
        let (mut forge, mut login) = (None, None);
        if let Some(name) = choice.forge.map(TrackerName::repository).or(found) {
            let token = opener.token(&name).await;
            login = address.as_ref().and_then(|address| {
                let is_same = forge::is_server_of(&name, env, address);
                let login = token.as_ref().filter(|_| is_same)?.login(name.kind);
                Some((address.login_scope()?, login))
            });
            forge = Some(opener.open(name, token)?);
        }
        let address = address.or(written);
        Ok(Self { remote, address, forge, login, opener })
    }

    /// Returns the repository on the forge.
    pub fn forge_name(&self) -> Option<&TrackerName> {
        self.forge.as_ref().map(|forge| &forge.name)
    }

    /// Whether pull requests can be opened.
    pub fn has_token(&self) -> bool {
        self.forge_with_token().is_some()
    }

    pub(super) fn forge(&self) -> Option<&ForgeAccess> {
        self.forge.as_ref()
    }

    pub(super) fn forge_with_token(&self) -> Option<&ForgeAccess> {
        self.forge().filter(|forge| forge.has_token)
    }

    pub(super) fn login(&self) -> Option<(String, RemoteLogin)> {
        self.login.clone()
    }

    /// Opens the forge of another repository.
    pub(super) async fn open_other(&self, name: &TrackerName) -> Result<ForgeAccess, Failure> {
        let token = self.opener.token(name).await;
        self.opener.open(name.clone(), token)
    }
}

impl ForgeOpener {
    async fn token(&self, name: &TrackerName) -> Option<ForgeToken> {
        ForgeToken::find(name, &self.env, &self.directory).await
    }

    fn open(&self, name: TrackerName, token: Option<ForgeToken>) -> Result<ForgeAccess, Failure> {
        let has_token = token.is_some();
        let client = forge::open(&name, &self.env, token, self.pages.clone())?;
        Ok(ForgeAccess { name, client, has_token })
    }
}

fn choose_remote(
    remotes: Vec<NamedRemote>,
    choice: &TargetChoice<'_>,
) -> Result<NamedRemote, Failure> {
    let names: Vec<String> = remotes.iter().map(|remote| shown_id(&remote.name)).collect();
    let names = first_few(&names, NAMED);
    let is_tracker = |remote: &&NamedRemote| {
        let address = RemoteAddress::parse(remote.push_url());
        let written = RemoteAddress::parse(&remote.url);
        let is_of =
            |address: RemoteAddress| choice.tracker.is_some_and(|tracker| address.is_of(tracker));
        address.is_some_and(is_of) || written.is_some_and(is_of)
    };
    let named = |name: &str| remotes.iter().find(|remote| remote.name == name);
    if let Some(name) = choice.remote {
        return named(name).cloned().ok_or_else(|| {
            let shown = shown_id(name);
            let failure = match names.is_empty() {
                true => {
                    Failure::new(format!("there is no remote {shown}: the repository has none"))
                        .hint(format!("add it: `git remote add {shown} URL`"))
                }
                false => Failure::new(format!("there is no remote {shown}; remotes: {names}"))
                    .hint(format!("name one of them, or add it: `git remote add {shown} URL`")),
            };
            failure.exit(Exit::Usage)
        });
    }
    let usual = remotes.iter().find(is_tracker).or_else(|| named(ORIGIN));
    match (usual, remotes.as_slice()) {
        (Some(remote), _) | (None, [remote]) => Ok(remote.clone()),
        (None, []) => Err(Failure::new("the repository has no remote to publish to")
            .hint("add one: `git remote add origin URL`, and push your base branch to it")),
        (None, _) => Err(Failure::new(format!("several remotes, and none is origin: {names}"))
            .hint("name one: `--remote REMOTE`, or publish.remote in the configuration")
            .exit(Exit::Usage)),
    }
}
