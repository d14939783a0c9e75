//! Addresses of git remotes: the repository on a forge that one names.

use super::tracker_name::{ForgeKind, TrackerName};

/// Address of a remote on a server. A user and a password in the URL are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAddress {
    /// Scheme, `ssh` for `host:path`.
    scheme: String,
    /// Host, in lower case.
    host: String,
    /// Port, if it is not the usual one of the scheme.
    port: Option<u16>,
    /// Path of the repository, without `.git`.
    path: String,
}

/// Hosts for ssh through the port of HTTPS.
const SSH_HOSTS: [(&str, &str); 2] =
    [("ssh.github.com", "github.com"), ("altssh.gitlab.com", "gitlab.com")];
/// Public hosts of Gitea and Forgejo.
const GITEA_HOSTS: [&str; 2] = ["codeberg.org", "gitea.com"];

impl RemoteAddress {
    /// Parses a URL as git does; `None` for directories on this machine.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest.to_owned()),
            None => {
                let (place, path) = url.split_once(':')?;
                // A colon after a slash belongs to a path.
                let is_place = !place.is_empty() && !place.contains('/');
                is_place.then(|| ("ssh".to_owned(), format!("{place}/{path}")))?
            }
        };
        let scheme = scheme.strip_prefix("git+").unwrap_or(&scheme).to_owned();
        let usual_port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            "ssh" => 22,
            "git" => 9418,
            _ => return None,
        };
        let (place, path) = rest.split_once('/')?;
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (place, None),
        };
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
        let host = host.to_ascii_lowercase();
        let moved = SSH_HOSTS.into_iter().find(|(ssh, _)| *ssh == host);
        let host = moved.map_or(host, |(_, host)| host.to_owned());
        let port = port.filter(|port| *port != usual_port);
        let is_whole = !host.is_empty() && !path.is_empty();
        is_whole.then(|| Self { scheme, host, port, path: path.to_owned() })
    }

    /// Returns the repository on a forge; `None` if the host is no known one. `known` is another repository, whose host
    /// is one.
    pub fn forge(&self, known: Option<&TrackerName>) -> Option<TrackerName> {
        let known = known.filter(|known| self.is_at(known));
        let kind = known.map(|known| known.kind).or_else(|| kind_of(&self.host))?;
        let host = known.map_or_else(|| self.api_host(), |known| known.host_name().to_owned());
        let name = format!("{}:{host}/{}", kind.prefix(), self.path);
        TrackerName::parse(&name)?.ok()
    }

    /// Whether this is the address of a repository.
    pub fn is_of(&self, tracker: &TrackerName) -> bool {
        self.is_at(tracker) && self.path.eq_ignore_ascii_case(&tracker.path)
    }

    /// Whether the repository is on the same host. Ports of ssh are others than those of the API.
    pub(super) fn is_at(&self, tracker: &TrackerName) -> bool {
        let host = tracker.host_name();
        match self.scheme.as_str() {
            "http" | "https" => host == self.api_host(),
            _ => host.split(':').next() == Some(self.host.as_str()),
        }
    }

    fn api_host(&self) -> String {
        match (self.scheme.as_str(), self.port) {
            ("http" | "https", Some(port)) => format!("{}:{port}", self.host),
            _ => self.host.clone(),
        }
    }

    /// Returns the address of the server for git's `credential.<address>.helper`; `None` without HTTP, or where a token
    /// would cross a network without TLS.
    pub fn login_scope(&self) -> Option<String> {
        let is_here = self.host == "localhost" || self.host.starts_with("127.");
        let is_safe = self.scheme == "https" || self.scheme == "http" && is_here;
        is_safe.then(|| format!("{}://{}", self.scheme, self.api_host()))
    }

    /// Returns the page that compares two branches, if the host is a known one.
    pub fn compare_url(&self, base: &str, branch: &str) -> Option<String> {
        if self.host == "bitbucket.org" {
            let (base, branch) = (escaped(base), escaped(branch));
            let page = format!("https://bitbucket.org/{}/pull-requests/new", self.path);
            return Some(format!("{page}?source={branch}&dest={base}"));
        }
        Some(self.forge(None)?.compare_url(base, branch))
    }
}

impl TrackerName {
    /// Returns the page of the repository, for people.
    pub fn web_url(&self) -> String {
        let host = self.host_name();
        let is_here = host.starts_with("localhost") || host.starts_with("127.");
        format!("{}://{host}/{}", if is_here { "http" } else { "https" }, self.path)
    }

    /// Returns the page that compares two branches, from where a pull request can be opened.
    pub fn compare_url(&self, base: &str, branch: &str) -> String {
        let between = match self.kind {
            ForgeKind::GitLab => "-/compare",
            ForgeKind::GitHub | ForgeKind::Gitea => "compare",
        };
        format!("{}/{between}/{}...{}", self.web_url(), escaped(base), escaped(branch))
    }

    /// Returns the number of an issue of this repository, from the issue's page.
    pub fn issue_of_page(&self, url: &str) -> Option<u64> {
        let rest = url.strip_prefix(&self.web_url())?;
        let rest = rest.strip_prefix("/-").unwrap_or(rest);
        let number = rest.strip_prefix("/issues/").or(rest.strip_prefix("/work_items/"))?;
        number.parse().ok().filter(|number| *number > 0)
    }

    /// Returns how a pull request of this repository names an issue of `other`, so that its merge closes the issue;
    /// `None` if the issue is on another forge.
    pub fn reference_to(&self, other: &TrackerName, issue: u64) -> Option<String> {
        if (self.kind, self.host_name()) != (other.kind, other.host_name()) {
            return None;
        }
        match self.path.eq_ignore_ascii_case(&other.path) {
            true => Some(format!("#{issue}")),
            false => Some(format!("{}#{issue}", other.path)),
        }
    }

    /// Returns the word for a pull request, and the mark before its number.
    pub fn pull_request_words(&self) -> (&'static str, char) {
        match self.kind {
            ForgeKind::GitLab => ("merge request", '!'),
            ForgeKind::GitHub | ForgeKind::Gitea => ("pull request", '#'),
        }
    }
}

fn kind_of(host: &str) -> Option<ForgeKind> {
    if GITEA_HOSTS.contains(&host) {
        return Some(ForgeKind::Gitea);
    }
    host.split(['.', '-']).find_map(|label| match label {
        "github" | "ghe" => Some(ForgeKind::GitHub),
        "gitlab" => Some(ForgeKind::GitLab),
        "gitea" | "forgejo" => Some(ForgeKind::Gitea),
        _ => None,
    })
}

/// Escapes a branch for the path of a URL.
fn escaped(branch: &str) -> String {
    let mut text = String::new();
    for byte in branch.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(byte.into());
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker(text: &str) -> TrackerName {
        TrackerName::parse(text).unwrap().unwrap()
    }

    fn forge(url: &str) -> Option<String> {
        Some(RemoteAddress::parse(url)?.forge(None)?.to_string())
    }

    #[test]
    fn the_forge_is_found_in_every_form_of_url() {
        for (url, name) in [
            ("https://github.com/o/r.git", "github:o/r"),
            ("https://user:secret@github.com/o/r", "github:o/r"),
            ("git@github.com:o/r.git", "github:o/r"),
            ("ssh://git@ssh.github.com:443/o/r.git", "github:o/r"),
            ("https://gitlab.com/g/sub/p.git/", "gitlab:g/sub/p"),
            ("git@gitlab.corp.com:g/p.git", "gitlab:gitlab.corp.com/g/p"),
            ("https://gitlab.corp.com:8443/g/p", "gitlab:gitlab.corp.com:8443/g/p"),
            ("ssh://git@gitlab.corp.com:2222/g/p", "gitlab:gitlab.corp.com/g/p"),
            ("https://codeberg.org/o/r", "gitea:codeberg.org/o/r"),
            ("git@github-corp.com:o/r", "github:github-corp.com/o/r"),
        ] {
            assert_eq!(forge(url).as_deref(), Some(name), "{url}");
        }
        for url in ["../r.git", "/srv/git/r.git", "file:///srv/r.git", "git@corp.com:o/r", "x:"] {
            assert_eq!(forge(url), None, "{url}");
        }
    }

    #[test]
    fn the_runs_tracker_tells_the_kind_of_its_host() {
        let known = tracker("gitea:git.corp.com:3000/o/issues");
        for url in ["http://git.corp.com:3000/o/r.git", "ssh://git@git.corp.com:2222/o/r.git"] {
            let address = RemoteAddress::parse(url).unwrap();
            let found = address.forge(Some(&known)).unwrap();
            assert_eq!(found.to_string(), "gitea:git.corp.com:3000/o/r");
            assert!(address.is_of(&found) && !address.is_of(&known));
        }
        assert_eq!(
            RemoteAddress::parse("http://git.corp.com/o/r").unwrap().forge(Some(&known)),
            None
        );
    }

    #[test]
    fn a_token_crosses_no_network_without_tls() {
        let scope = |url: &str| RemoteAddress::parse(url).unwrap().login_scope();
        assert_eq!(scope("https://x@h.org:8443/o/r").as_deref(), Some("https://h.org:8443"));
        assert_eq!(scope("http://127.0.0.1:80/o/r").as_deref(), Some("http://127.0.0.1"));
        assert_eq!(scope("http://h.org/o/r"), None);
        assert_eq!(scope("git@h.org:o/r"), None);
    }

    #[test]
    fn issues_and_branches_have_addresses() {
        let (here, other) = (tracker("github:o/r"), tracker("github:o/s"));
        assert_eq!(here.reference_to(&here, 1).as_deref(), Some("#1"));
        assert_eq!(here.reference_to(&other, 1).as_deref(), Some("o/s#1"));
        assert_eq!(here.reference_to(&tracker("gitlab:o/r"), 1), None);
        assert_eq!(here.issue_of_page("https://github.com/o/r/issues/12"), Some(12));
        assert_eq!(here.issue_of_page("https://github.com/o/rr/issues/12"), None);
        let page = tracker("gitlab:g/p").compare_url("main", "autopack/a b#1");
        assert_eq!(page, "https://gitlab.com/g/p/-/compare/main...autopack/a%20b%231");
        let bucket = RemoteAddress::parse("git@bitbucket.org:o/r.git").unwrap();
        assert_eq!(
            bucket.compare_url("main", "b").as_deref(),
            Some("https://bitbucket.org/o/r/pull-requests/new?source=b&dest=main")
        );
    }
}
