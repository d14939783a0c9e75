//! Validation of the sandbox's settings. [`settings`] needs the file alone; [`check_paths`] needs the workspace and the
//! database as well, and runs before a drain's first claim.

use std::path::{Path, PathBuf};

use super::bounds::{filled, without_nul};
use super::network_hosts::host;
use super::sandbox_settings::{AGENT, NetworkSetting, SandboxSettings};
use super::written_path::without_dots;

/// Key below `sandbox` with an invalid value, and what is wrong with it.
pub(super) type SandboxProblem = (&'static str, String);

/// Returns the first problem that can be seen without the workspace.
pub(super) fn settings(sandbox: &SandboxSettings) -> Result<(), SandboxProblem> {
    let SandboxSettings {
        mode: _,
        network,
        ci_network,
        ports,
        write,
        hide,
        show,
        allow_mounts: _,
        sockets,
    } = sandbox;
    hosts(network).map_err(|why| ("network", why))?;
    hosts(ci_network).map_err(|why| ("ci_network", why))?;
    if let NetworkSetting::Hosts { agent: true, .. } = ci_network {
        let why = format!(
            "has {AGENT:?}, but CI and setup have no agent; expected \"allow\", \"deny\" or a list of hosts"
        );
        return Err(("ci_network", why));
    }
    if ports.contains(&0) {
        return Err(("ports", "has 0; expected port numbers from 1 to 65535".to_owned()));
    }
    for (key, paths) in [("write", write), ("hide", hide), ("show", show), ("sockets", sockets)] {
        paths.iter().try_for_each(|written| path(written)).map_err(|why| (key, why))?;
    }
    Ok(())
}

fn hosts(network: &NetworkSetting) -> Result<(), String> {
    match network {
        NetworkSetting::Allow | NetworkSetting::Deny => Ok(()),
        NetworkSetting::Hosts { hosts, agent: _ } => hosts.iter().try_for_each(|entry| host(entry)),
    }
}

/// Checks a path as written.
fn path(written: &str) -> Result<(), String> {
    if filled(written).is_err() {
        return Err("has an empty path".to_owned());
    }
    without_nul(written)?;
    let refused = |why: &str| Err(format!("has {written:?}, {why}"));
    if written == "~" {
        return refused("which is the whole home directory; name what is needed in it");
    }
    if written.starts_with('~') && !written.starts_with("~/") {
        return refused("which names a home directory by user; write an absolute path");
    }
    if written.contains('{')
        && written.strip_prefix("{workspace}").is_none_or(|rest| rest.contains('{'))
    {
        return refused("but only {workspace} is replaced, at the start");
    }
    if written.contains('*') {
        return refused("but patterns are not supported; name a directory");
    }
    if written.starts_with('/') && without_dots(Path::new(written)) == Path::new("/") {
        return refused("which is the whole file system");
    }
    Ok(())
}

/// Places that the sandbox's paths are relative to, or must not touch.
#[derive(Clone, Copy, Debug)]
pub struct SandboxPlaces<'a> {
    /// The user's checkout.
    pub workspace: &'a Path,
    /// The user's home directory.
    pub home: Option<&'a Path>,
    /// The database's file, if the database is a file.
    pub database: Option<&'a Path>,
}

impl SandboxPlaces<'_> {
    /// Returns the absolute path meant by an entry of `sandbox.write`, `hide`, `show` or `sockets`, without `.` and
    /// `..`. Symbolic links are not resolved. Without a home directory, `~/` is below `/`.
    pub fn resolve(&self, written: &str) -> PathBuf {
        let path = match (written.strip_prefix("~/"), written.strip_prefix("{workspace}")) {
            (Some(rest), _) => self.home.unwrap_or(Path::new("/")).join(rest),
            (None, Some(rest)) => self.workspace.join(rest.trim_start_matches('/')),
            (None, None) => self.workspace.join(written),
        };
        without_dots(&path)
    }
}

/// Checks the paths of the sandbox against the workspace and the database.
///
/// # Errors
///
/// Returns the key, and what is wrong with its value: writable are never the whole checkout or a directory with the
/// checkout, git's and autopack's directories, and the database; hidden is never the whole checkout.
pub fn check_paths(
    sandbox: &SandboxSettings,
    places: SandboxPlaces<'_>,
) -> Result<(), (&'static str, String)> {
    for written in &sandbox.write {
        let path = places.resolve(written);
        let spellings = [Some(path.clone()), path.canonicalize().ok()];
        let refusal = spellings.iter().flatten().find_map(|path| explain_unwritable(path, places));
        if let Some(why) = refusal {
            return Err(("sandbox.write", format!("has {written:?}, {why}")));
        }
    }
    for written in &sandbox.hide {
        let path = places.resolve(written);
        let spellings = [Some(path.clone()), path.canonicalize().ok()];
        if spellings.iter().flatten().any(|path| places.workspace.starts_with(path)) {
            let why = format!("has {written:?}, which contains the checkout");
            return Err(("sandbox.hide", why));
        }
    }
    Ok(())
}

fn explain_unwritable(path: &Path, places: SandboxPlaces<'_>) -> Option<String> {
    let workspace = places.workspace;
    if path == Path::new("/") {
        return Some("which is the whole file system".to_owned());
    }
    if workspace.starts_with(path) {
        let why = "which contains the checkout; agents and CI write to copies of it";
        return Some(why.to_owned());
    }
    for (name, what) in
        [(".git", "git's directory of the checkout"), (".autopack", "autopack's own directory")]
    {
        if path.starts_with(workspace.join(name)) {
            return Some(format!("which is {what}"));
        }
    }
    let database = places.database?;
    database
        .starts_with(path)
        .then(|| format!("which contains the database {}", database.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_problem_names_its_key() {
        let problem = |change: fn(&mut SandboxSettings)| {
            let mut sandbox = SandboxSettings::default();
            change(&mut sandbox);
            settings(&sandbox).err().map(|(key, why)| format!("{key} {why}"))
        };
        let listed = |hosts: &[&str], agent| NetworkSetting::Hosts {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            agent,
        };
        assert_eq!(settings(&SandboxSettings::default()), Ok(()));
        let network = SandboxSettings { network: listed(&["/"], false), ..Default::default() };
        assert_eq!(settings(&network).unwrap_err().0, "network");
        let ci = SandboxSettings { ci_network: listed(&[], true), ..Default::default() };
        assert!(settings(&ci).unwrap_err().1.contains("CI and setup have no agent"));
        assert_eq!(
            problem(|s| s.ports = vec![80, 0]).unwrap(),
            "ports has 0; expected port numbers from 1 to 65535"
        );
        let written = |path: &'static str| {
            let sandbox = SandboxSettings { write: vec![path.to_owned()], ..Default::default() };
            settings(&sandbox).err().map(|(_, why)| why)
        };
        for good in ["/var/cache/x", "~/.gradle", "{workspace}/../shared", "cache", "../cache"] {
            assert_eq!(written(good), None, "{good}");
        }
        for (bad, part) in [
            (" ", "empty path"),
            ("/", "whole file system"),
            ("/tmp/..", "whole file system"),
            ("~", "whole home directory"),
            ("~other/x", "absolute path"),
            ("x/{workspace}", "at the start"),
            ("{worktree}/x", "only {workspace}"),
            ("~/.cache/*", "patterns"),
        ] {
            let why = written(bad).expect(bad);
            assert!(why.contains(part), "{bad}: {why}");
        }
        assert!(
            problem(|s| s.hide = vec![String::new()]).unwrap().starts_with("hide has an empty")
        );
    }

    #[test]
    fn checkout_git_and_database_stay_closed() {
        let places = SandboxPlaces {
            workspace: Path::new("/home/me/app"),
            home: Some(Path::new("/home/me")),
            database: Some(Path::new("/data/autopack/db.sqlite")),
        };
        let of_write = |path: &str| {
            let sandbox = SandboxSettings { write: vec![path.to_owned()], ..Default::default() };
            check_paths(&sandbox, places).err().map(|(key, why)| format!("{key} {why}"))
        };
        for good in ["~/.gradle", "build-cache", "../other", "/data/other", "~/app2"] {
            assert_eq!(of_write(good), None, "{good}");
        }
        for (bad, part) in [
            (".", "contains the checkout"),
            ("{workspace}", "contains the checkout"),
            ("..", "contains the checkout"),
            ("~/", "contains the checkout"),
            ("../../..", "whole file system"),
            (".git/hooks", "git's directory"),
            ("{workspace}/.git", "git's directory"),
            (".autopack", "autopack's own"),
            ("/data/autopack", "contains the database /data/autopack/db.sqlite"),
            ("/data", "contains the database"),
        ] {
            let why = of_write(bad).expect(bad);
            assert!(why.starts_with("sandbox.write has ") && why.contains(part), "{bad}: {why}");
        }
        let hide =
            |path: &str| SandboxSettings { hide: vec![path.to_owned()], ..Default::default() };
        assert_eq!(check_paths(&hide("~/.config"), places), Ok(()));
        assert_eq!(check_paths(&hide("/home"), places).unwrap_err().0, "sandbox.hide");
    }
}
