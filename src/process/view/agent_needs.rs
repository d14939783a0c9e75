//! What a coding agent needs of the machine: its own state, credentials, hosts and variables.
//!
//! Each adapter lists its needs; `workspace::view` turns them into mounts, the network guard into a list of hosts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::process::child_env::Env;

/// What an agent needs of the machine. Paths are relative to HOME, without `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentNeeds {
    /// Variables with secrets that the agent may have, such as `ANTHROPIC_API_KEY`.
    pub env: Vec<&'static str>,
    /// Credentials of clouds that host models, each needed only if selected.
    pub clouds: Vec<CloudNeeds>,
    /// Directories with the agent's state.
    pub directories: Vec<&'static str>,
    /// State files outside of the directories.
    pub files: Vec<&'static str>,
    /// Files with credentials that the agent renews.
    pub credentials: Vec<CredentialFile>,
    /// Files with secrets that the agent only reads.
    pub secrets: Vec<&'static str>,
    /// Directories below `directories`, kept so that a retry can continue a session.
    pub sessions: Vec<&'static str>,
    /// Records of earlier sessions below `directories`, not needed to start. They are left out of private copies.
    pub records: Vec<&'static str>,
    /// Hosts of the providers, in the syntax of `sandbox.network`.
    pub hosts: Vec<&'static str>,
    /// Variables with the URL of a provider, whose host is needed too.
    pub url_variables: Vec<&'static str>,
    /// Variables that move state.
    pub home_variables: Vec<HomeVariable>,
    /// Variables for an agent in a view of namespaces, unless they are set.
    pub view_env: Vec<(&'static str, &'static str)>,
    /// Whether the agent's own sandbox works only if `/tmp` is a file system of its own.
    pub separate_tmp: bool,
}

/// A JSON file with credentials that an agent renews. After an attempt, renewed values replace the old values in the
/// user's file; nothing else of the agent's file is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialFile {
    /// Path relative to HOME.
    pub path: &'static str,
    /// Keys of the values that a renewal changes, at any depth.
    pub renewed: &'static [&'static str],
}

/// A variable that moves a directory of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeVariable {
    /// The variable's name. Its value counts if it is an absolute path.
    pub name: &'static str,
    /// The moved directory, relative to HOME.
    pub directory: &'static str,
    /// Where the directory is below the variable's value; empty for the value itself.
    pub below: &'static str,
}

/// Credentials of a cloud that hosts models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudNeeds {
    /// The cloud's name.
    pub name: &'static str,
    /// Whether the configured model is one of this cloud's.
    pub is_models: bool,
    /// Variables that select the cloud, unless they are empty, `0` or `false`.
    pub selected_by: Vec<&'static str>,
    /// Variables with secrets.
    pub env: &'static [&'static str],
    /// Variables with the path of a file with credentials.
    pub path_variables: &'static [&'static str],
    /// Files and directories with credentials, relative to HOME.
    pub paths: &'static [&'static str],
    /// Hosts of the cloud.
    pub hosts: &'static [&'static str],
}

impl AgentNeeds {
    /// Adds all needs of another agent.
    pub fn add(&mut self, other: &Self) {
        fn add<T: PartialEq + Clone>(all: &mut Vec<T>, more: &[T]) {
            for one in more {
                if !all.contains(one) {
                    all.push(one.clone());
                }
            }
        }
        add(&mut self.env, &other.env);
        add(&mut self.directories, &other.directories);
        add(&mut self.files, &other.files);
        add(&mut self.credentials, &other.credentials);
        add(&mut self.secrets, &other.secrets);
        add(&mut self.sessions, &other.sessions);
        add(&mut self.records, &other.records);
        add(&mut self.hosts, &other.hosts);
        add(&mut self.url_variables, &other.url_variables);
        add(&mut self.home_variables, &other.home_variables);
        add(&mut self.view_env, &other.view_env);
        self.separate_tmp |= other.separate_tmp;
        for cloud in &other.clouds {
            match self.clouds.iter_mut().find(|known| known.name == cloud.name) {
                Some(known) => {
                    known.is_models |= cloud.is_models;
                    add(&mut known.selected_by, &cloud.selected_by);
                }
                None => self.clouds.push(cloud.clone()),
            }
        }
    }

    /// Returns the clouds that the configured model or the environment selects.
    pub fn selected_clouds<'a>(&'a self, env: &'a Env) -> impl Iterator<Item = &'a CloudNeeds> {
        let is_set = |name: &&str| {
            let value = env.get(OsStr::new(name)).map(|value| value.to_string_lossy());
            value.is_some_and(|value| !["", "0", "false"].contains(&value.as_ref()))
        };
        self.clouds
            .iter()
            .filter(move |cloud| cloud.is_models || cloud.selected_by.iter().any(is_set))
    }

    /// Returns all variables with secrets that the agent may have in this environment.
    pub fn secret_variables(&self, env: &Env) -> Vec<&'static str> {
        let clouds = self.selected_clouds(env).flat_map(|cloud| cloud.env);
        self.env.iter().chain(clouds).copied().collect()
    }

    /// Returns all hosts that the agent needs in this environment: `host`, `*.domain` or `host:port`.
    pub fn needed_hosts(&self, env: &Env) -> Vec<String> {
        let clouds = self.selected_clouds(env).flat_map(|cloud| cloud.hosts);
        let mut hosts: Vec<String> =
            self.hosts.iter().chain(clouds).map(|host| (*host).to_owned()).collect();
        let urls = self.url_variables.iter().filter_map(|name| env.get(OsStr::new(name)));
        for host in urls.filter_map(|url| host_of(url.to_str()?)) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }

    /// Returns the paths of cloud credentials that are shown although they are hidden by default.
    pub fn shown_paths(&self, home: &Path, env: &Env) -> Vec<PathBuf> {
        self.selected_clouds(env)
            .flat_map(|cloud| {
                let named = cloud.path_variables.iter().filter_map(|name| absolute(env, name));
                cloud.paths.iter().map(|path| home.join(path)).chain(named)
            })
            .collect()
    }

    /// Returns where a path of the agent's state is: below HOME, unless a variable moves it.
    pub fn locate(&self, path: &str, home: &Path, env: &Env) -> PathBuf {
        let moved = self.home_variables.iter().filter_map(|variable| {
            let directory = Path::new(variable.directory);
            let rest = Path::new(path).strip_prefix(directory).ok()?;
            let mut place = absolute(env, variable.name)?;
            // Joining an empty path would add a slash.
            for part in [Path::new(variable.below), rest] {
                if !part.as_os_str().is_empty() {
                    place.push(part);
                }
            }
            Some((directory.components().count(), place))
        });
        let nearest = moved.max_by_key(|(depth, _)| *depth);
        nearest.map_or_else(|| home.join(path), |(_, place)| place)
    }
}

/// Returns the value of a variable if it is an absolute path.
fn absolute(env: &Env, name: &str) -> Option<PathBuf> {
    let value = env.get(OsStr::new(name)).map(PathBuf::from);
    value.filter(|path| path.is_absolute())
}

/// Returns `host` or `host:port` of a URL.
fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> Env {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn needs() -> AgentNeeds {
        AgentNeeds {
            env: vec!["A_KEY"],
            clouds: vec![CloudNeeds {
                name: "aws",
                is_models: false,
                selected_by: vec!["USE_AWS"],
                env: &["AWS_KEY"],
                path_variables: &["AWS_FILE"],
                paths: &[".aws"],
                hosts: &["*.amazonaws.com"],
            }],
            hosts: vec!["api.example.com"],
            url_variables: vec!["BASE_URL"],
            home_variables: vec![
                HomeVariable { name: "ROOT", directory: ".config/agent", below: "config" },
                HomeVariable { name: "XDG_CONFIG_HOME", directory: ".config", below: "" },
            ],
            ..AgentNeeds::default()
        }
    }

    #[test]
    fn a_cloud_is_needed_only_where_a_variable_selects_it() {
        let off = env(&[("USE_AWS", "0"), ("AWS_FILE", "/keys/aws")]);
        assert_eq!(needs().secret_variables(&off), ["A_KEY"]);
        assert!(needs().shown_paths(Path::new("/h"), &off).is_empty());
        let on = env(&[("USE_AWS", "1"), ("AWS_FILE", "/keys/aws")]);
        assert_eq!(needs().secret_variables(&on), ["A_KEY", "AWS_KEY"]);
        assert_eq!(needs().needed_hosts(&on), ["api.example.com", "*.amazonaws.com"]);
        let shown = needs().shown_paths(Path::new("/h"), &on);
        assert_eq!(shown, [Path::new("/h/.aws"), Path::new("/keys/aws")]);
    }

    #[test]
    fn the_host_of_a_base_url_is_needed() {
        let hosts = |url: &str| needs().needed_hosts(&env(&[("BASE_URL", url)]));
        assert_eq!(
            hosts("https://u:p@Proxy.Local:8443/v1?x"),
            ["api.example.com", "proxy.local:8443"]
        );
        assert_eq!(hosts("proxy.local"), ["api.example.com"]);
    }

    #[test]
    fn variables_move_state_if_they_are_absolute() {
        let place = |variables: &[(&str, &str)]| {
            needs().locate(".config/agent/x", Path::new("/h"), &env(variables))
        };
        assert_eq!(place(&[]), Path::new("/h/.config/agent/x"));
        assert_eq!(place(&[("ROOT", "relative")]), Path::new("/h/.config/agent/x"));
        assert_eq!(place(&[("XDG_CONFIG_HOME", "/c")]), Path::new("/c/agent/x"));
        assert_eq!(place(&[("XDG_CONFIG_HOME", "/c"), ("ROOT", "/r")]), Path::new("/r/config/x"));
    }

    #[test]
    fn needs_of_several_agents_are_united() {
        let mut all = needs();
        all.add(&AgentNeeds {
            env: vec!["A_KEY", "B_KEY"],
            clouds: needs().clouds,
            ..AgentNeeds::default()
        });
        assert_eq!((all.env, all.clouds.len()), (vec!["A_KEY", "B_KEY"], 1));
    }
}
