//! Names of trackers on the command line: `github:owner/repo`, `gitlab:group/sub/project`, `gitea:host/owner/repo`, each
//! with `#12` for a single issue.

use std::fmt;

/// A kind of forge, with its REST API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForgeKind {
    /// GitHub and GitHub Enterprise Server.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
}

/// A repository on a forge, or one of its issues.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrackerName {
    /// Kind of the forge.
    pub kind: ForgeKind,
    /// Host as named, perhaps with a port; `None` is github.com or gitlab.com.
    pub host: Option<String>,
    /// Path of the repository: `owner/repo`, in GitLab with all groups.
    pub path: String,
    /// A single issue.
    pub issue: Option<u64>,
}

/// A text that starts like the name of a tracker, but is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no repository; expected {expected}, or the same with #12 for one issue")]
pub struct BadTrackerName {
    text: String,
    expected: &'static str,
}

impl ForgeKind {
    const ALL: [Self; 3] = [Self::GitHub, Self::GitLab, Self::Gitea];

    /// Returns the prefix of names.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::GitHub => "github:owner/repo or github:host/owner/repo",
            Self::GitLab => "gitlab:group/project or gitlab:host/group/project",
            Self::Gitea => "gitea:host/owner/repo",
        }
    }

    /// Host of a name without one.
    fn default_host(self) -> &'static str {
        match self {
            Self::GitHub => "github.com",
            Self::GitLab => "gitlab.com",
            Self::Gitea => "",
        }
    }
}

impl TrackerName {
    /// Parses a name. `None` if the text does not start with the prefix of a forge.
    ///
    /// # Errors
    /// The rest of the text names no repository.
    pub fn parse(text: &str) -> Option<Result<Self, BadTrackerName>> {
        let (prefix, rest) = text.split_once(':')?;
        let prefix = if prefix == "forgejo" { "gitea" } else { prefix };
        let kind = ForgeKind::ALL.into_iter().find(|kind| kind.prefix() == prefix)?;
        let bad = || BadTrackerName { text: text.to_owned(), expected: kind.expected() };
        Some(Self::of_rest(kind, rest).ok_or_else(bad))
    }

    fn of_rest(kind: ForgeKind, rest: &str) -> Option<Self> {
        let (path, issue) = match rest.split_once('#') {
            Some((path, number)) => (path, Some(number.parse().ok().filter(|number| *number > 0)?)),
            None => (rest, None),
        };
        let path = path.strip_prefix("//").unwrap_or(path).trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let parts: Vec<&str> = path.split('/').collect();
        let has_host = match kind {
            ForgeKind::GitHub => parts.len() == 3,
            ForgeKind::GitLab => parts.len() > 2 && is_host(parts[0]),
            ForgeKind::Gitea => true,
        };
        let (host, names) =
            if has_host { (Some(parts[0]), &parts[1..]) } else { (None, &parts[..]) };
        let is_counted = match kind {
            ForgeKind::GitLab => names.len() >= 2,
            ForgeKind::GitHub | ForgeKind::Gitea => names.len() == 2,
        };
        let is_sound = is_counted
            && host.is_none_or(is_host_text)
            && names.iter().all(|name| is_path_name(name));
        let host = host.filter(|host| *host != kind.default_host()).map(str::to_ascii_lowercase);
        is_sound.then(|| Self { kind, host, path: names.join("/"), issue })
    }

    /// Returns the host, also if the name has none.
    pub fn host_name(&self) -> &str {
        self.host.as_deref().unwrap_or_else(|| self.kind.default_host())
    }

    /// Returns the name of the repository, without an issue.
    pub fn repository(&self) -> Self {
        Self { issue: None, ..self.clone() }
    }

    /// Returns the id of a run for issues of the repository.
    pub fn run_id(&self) -> String {
        self.path.replace('/', "-")
    }
}

impl fmt::Display for TrackerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind.prefix())?;
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        f.write_str(&self.path)?;
        match self.issue {
            Some(number) => write!(f, "#{number}"),
            None => Ok(()),
        }
    }
}

/// Groups of GitLab have the same place as a host; a host has a dot or a port.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':'])
}

fn is_host_text(part: &str) -> bool {
    let (host, port) = part.split_once(':').unwrap_or((part, "443"));
    !host.is_empty()
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        && port.parse::<u16>().is_ok()
}

fn is_path_name(part: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !part.is_empty() && !part.chars().all(|c| c == '.') && part.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> TrackerName {
        TrackerName::parse(text).unwrap().unwrap()
    }

    #[test]
    fn names_of_all_forges_are_read_and_written() {
        for text in [
            "github:o/r",
            "github:o/r#12",
            "github:git.corp.com/o/r",
            "gitlab:group/project",
            "gitlab:group/sub/project#3",
            "gitlab:gitlab.corp.com:8443/group/sub/project",
            "gitea:codeberg.org/o/r",
            "gitea:localhost:3000/o/r#1",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
        assert_eq!(parsed("forgejo:codeberg.org/o/r").to_string(), "gitea:codeberg.org/o/r");
        assert_eq!(parsed("github:github.com/o/r.git").to_string(), "github:o/r");
        assert_eq!(parsed("gitlab:group/sub/project").run_id(), "group-sub-project");
        assert_eq!(parsed("gitlab:group/sub/project").host, None);
    }

    #[test]
    fn other_texts_are_no_names() {
        for text in ["plan.yaml", "bitbucket:o/r", "C:/plan.yaml", "-"] {
            assert!(TrackerName::parse(text).is_none(), "{text}");
        }
        for text in [
            "github:",
            "github:o",
            "github:o/r/x/y",
            "github:o/r#x",
            "github:o/r#0",
            "github:o/..",
            "github:o/r?x=1",
            "github:a b/o/r",
            "gitlab:project",
            "gitea:o/r",
            "gitea:user@host/o/r",
        ] {
            assert!(TrackerName::parse(text).unwrap().is_err(), "{text}");
        }
    }
}
