//! The attempts: data files below `attempts/`, one a group.

use std::collections::BTreeMap;

use serde::Deserialize;

/// How a child's view is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Namespaces,
    Landlock,
    Off,
}

impl Mode {
    /// Value of `AUTOPACK_SANDBOX_MODE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::Off => "off",
        }
    }
}

/// What runs the attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Agent,
    Setup,
    Ci,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Agent, Self::Setup, Self::Ci];

    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Setup => "setup",
            Self::Ci => "ci",
        }
    }
}

/// A data file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Heading.
    pub group: String,
    /// Whether the attempts need a limited network.
    #[serde(default)]
    pub limited: bool,
    pub attempts: Vec<Attempt>,
}

/// An attempt: a script, and how the outside notices that it succeeded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Unique name.
    pub id: String,
    /// What is attempted, starting with a verb.
    pub title: String,
    /// Programs, paths starting with `/`, and names that `world.py` reports, without which the attempt is skipped.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Who makes the attempt.
    #[serde(default = "everyone")]
    pub roles: Vec<Role>,
    /// Shell text.
    pub sh: Option<String>,
    /// Python text.
    pub python: Option<String>,
    /// Short for: append the mark to this file of the home directory.
    pub plant: Option<String>,
    /// Short for: print this file of the home directory.
    pub read: Option<String>,
    /// How the outside notices a success.
    pub check: Option<Check>,
    /// Name of the only listener that counts.
    pub arrives: Option<String>,
    /// Directory of the witness file, below the outside's directory.
    pub witness: Option<String>,
    /// Modes that do not hold the attempt, each with the reason.
    #[serde(default)]
    pub remains: BTreeMap<Mode, String>,
    /// Whether the attempt succeeds where nothing holds it.
    #[serde(default)]
    pub works_in_off: WorksInOff,
    /// Whether Landlock holds it only with scopes for signals.
    #[serde(default)]
    pub scoped: bool,
    /// Whether it is allowed, and shows that the limited network works at all.
    #[serde(default)]
    pub control: bool,
}

fn everyone() -> Vec<Role> {
    Role::ALL.to_vec()
}

/// How the outside notices a success. In addition, a planted secret in the output, or the attempt's mark in a file or at
/// a listener, is always a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// The mark is in a file outside, or in its name.
    Mark,
    /// A secret is in the output.
    Secret,
    /// The attempt's own file outside changed in any way.
    Witness,
    /// The attempt's own process outside ended or stopped.
    Victim,
    /// The mark arrived at a listener.
    Listener,
    /// A process is left.
    Process,
    /// The mark is in the memory that `world.py` reports.
    Report,
    /// The state of a phase of another run changed.
    Database,
    /// The script ended with exit code 0: the outside cannot tell.
    Claim,
}

/// Whether an attempt succeeds in mode `off`: what always fails tests nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorksInOff {
    #[default]
    Always,
    /// As root.
    Root,
    /// Depends on the machine.
    Sometimes,
    /// autopack holds it without a view, or there is nothing to escape from.
    Never,
}

impl Attempt {
    pub fn check(&self) -> Check {
        match (self.check, &self.read) {
            (Some(check), _) => check,
            (None, Some(_)) => Check::Secret,
            (None, None) => Check::Mark,
        }
    }

    /// The script, as `(language, text)`.
    pub fn script(&self) -> (&'static str, String) {
        match (&self.sh, &self.python, &self.plant, &self.read) {
            (Some(sh), None, None, None) => ("sh", sh.clone()),
            (None, Some(python), None, None) => ("python", python.clone()),
            (None, None, Some(path), None) => ("python", format!("put(HOME + \"/{path}\")")),
            (None, None, None, Some(path)) => ("python", format!("take(HOME + \"/{path}\")")),
            _ => panic!("{} needs one of sh, python, plant and read", self.id),
        }
    }

    /// Why a mode does not hold the attempt; `None` if it does.
    pub fn remainder(&self, mode: Mode) -> Option<&str> {
        match mode {
            Mode::Off if self.works_in_off == WorksInOff::Never => None,
            Mode::Off => Some("nothing is held"),
            _ => self.remains.get(&mode).map(String::as_str),
        }
    }
}

/// All groups, in the order of the page.
pub fn groups() -> Vec<Group> {
    let names = [
        "checkout",
        "files",
        "home",
        "agents",
        "secrets",
        "processes",
        "ipc",
        "services",
        "autopack",
        "caches",
        // A view that does not hold these may be taken apart by them.
        "kernel",
        "network",
    ];
    let read = |name: &str| {
        let path = format!("{}/tests/escapes/attempts/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    names.map(|name| serde_yaml::from_str(&read(name)).unwrap()).into()
}
