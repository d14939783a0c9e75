//! Settings of the sandbox: how agents, setup and CI are separated from the machine.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Default of `sandbox.mode`.
pub const DEFAULT_MODE: SandboxMode = SandboxMode::Auto;

/// Settings of the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSettings {
    /// How the view of a child process is built.
    pub mode: SandboxMode,
    /// Network of agents.
    pub network: NetworkSetting,
    /// Network of setup and CI; never `agent`.
    pub ci_network: NetworkSetting,
    /// Ports of this machine's loopback that stay reachable when the network is limited.
    pub ports: Vec<u16>,
    /// Paths that stay writable: absolute, below `~/`, or relative to the workspace (also as `{workspace}/...`).
    pub write: Vec<String>,
    /// Paths to hide, besides the usual places of keys and tokens; written like `write`.
    pub hide: Vec<String>,
    /// Paths that stay visible although they are hidden by default; written like `write`.
    pub show: Vec<String>,
    /// Whether programs in namespaces can mount file systems, as bubblewrap and rootless containers do.
    pub allow_mounts: bool,
    /// Unix sockets that stay reachable, such as `/var/run/docker.sock`; written like `write`.
    pub sockets: Vec<String>,
}

/// How the view of a child process is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// The first of the others that works on this machine.
    Auto,
    /// User, mount and process namespaces.
    Namespaces,
    /// Landlock rules.
    Landlock,
    /// No sandbox.
    Off,
}

/// Network access of a child process. In a configuration file: `allow`, `deny`, `agent`, or a list of hosts in which
/// the word `agent` adds the agent's own hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkSetting {
    /// No limit.
    #[default]
    Allow,
    /// No network except loopback.
    Deny,
    /// Only these hosts.
    Hosts {
        /// Names, `*.domain` and addresses, each with an optional `:port`.
        hosts: Vec<String>,
        /// Whether the hosts listed by the agent's adapter are added.
        agent: bool,
    },
}

const ALLOW: &str = "allow";
const DENY: &str = "deny";
pub(super) const AGENT: &str = "agent";

impl Default for SandboxMode {
    fn default() -> Self {
        DEFAULT_MODE
    }
}

impl SandboxMode {
    /// Returns the mode as written in a configuration file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::Off => "off",
        }
    }
}

impl SandboxSettings {
    /// Whether the network of any program is limited.
    pub fn limits_network(&self) -> bool {
        self.network.is_limited() || self.ci_network.is_limited()
    }
}

impl NetworkSetting {
    /// Whether access is limited in any way.
    pub fn is_limited(&self) -> bool {
        *self != Self::Allow
    }
}

impl Serialize for NetworkSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Allow => serializer.serialize_str(ALLOW),
            Self::Deny => serializer.serialize_str(DENY),
            Self::Hosts { hosts, agent: true } if hosts.is_empty() => {
                serializer.serialize_str(AGENT)
            }
            Self::Hosts { hosts, agent } => {
                let word = agent.then_some(AGENT);
                serializer.collect_seq(word.into_iter().chain(hosts.iter().map(String::as_str)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for NetworkSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NetworkVisitor)
    }
}

struct NetworkVisitor;

impl<'de> Visitor<'de> for NetworkVisitor {
    type Value = NetworkSetting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"allow\", \"deny\", \"agent\" or a list of hosts")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<NetworkSetting, E> {
        match word {
            ALLOW => Ok(NetworkSetting::Allow),
            DENY => Ok(NetworkSetting::Deny),
            AGENT => Ok(NetworkSetting::Hosts { hosts: Vec::new(), agent: true }),
            other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<NetworkSetting, A::Error> {
        let (mut hosts, mut agent) = (Vec::new(), false);
        while let Some(host) = list.next_element::<String>()? {
            match host.as_str() {
                AGENT => agent = true,
                _ => hosts.push(host),
            }
        }
        Ok(NetworkSetting::Hosts { hosts, agent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<NetworkSetting, String> {
        serde_yaml::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn network_is_a_word_or_a_list() {
        let hosts = |hosts: &[&str], agent| NetworkSetting::Hosts {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            agent,
        };
        for (yaml, expected, written) in [
            ("allow", NetworkSetting::Allow, "allow\n"),
            ("deny", NetworkSetting::Deny, "deny\n"),
            ("agent", hosts(&[], true), "agent\n"),
            ("[agent]", hosts(&[], true), "agent\n"),
            ("[]", hosts(&[], false), "[]\n"),
            (
                "[a.example, agent, '*.b']",
                hosts(&["a.example", "*.b"], true),
                "- agent\n- a.example\n- '*.b'\n",
            ),
        ] {
            let setting = read(yaml).unwrap();
            assert_eq!(setting, expected, "{yaml}");
            assert_eq!(serde_yaml::to_string(&setting).unwrap(), written);
            assert_eq!(read(written), Ok(expected));
        }
        assert!(
            read("maybe").unwrap_err().contains(r#""allow", "deny", "agent" or a list of hosts"#)
        );
        assert!(read("{a: b}").is_err());
    }

    #[test]
    fn modes_are_written_as_read() {
        for mode in
            [SandboxMode::Auto, SandboxMode::Namespaces, SandboxMode::Landlock, SandboxMode::Off]
        {
            assert_eq!(serde_yaml::to_string(&mode).unwrap().trim(), mode.as_str());
        }
    }
}
