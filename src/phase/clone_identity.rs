//! Identity of a clone among the clones of several machines.

use std::fmt;

/// Start of the identity.
const START: &str = "machine:";

/// A clone of a machine. Machines that share a database may have clones at the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneIdentity {
    /// The machine.
    pub machine: MachineName,
    /// Path of the common git directory.
    pub path: String,
}

/// A machine: host name, subject to change, and installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineName {
    /// Host name.
    pub host: String,
    /// Identifier of the installation; `None` if unknown, as in many containers.
    pub installation: Option<String>,
}

impl CloneIdentity {
    /// Reads an identity; `None` for identities of another kind.
    pub fn parse(text: &str) -> Option<Self> {
        let (machine, path) = text.strip_prefix(START)?.split_once(':')?;
        let (host, installation) = match machine.split_once('/') {
            Some((host, installation)) => (host, Some(installation.to_owned())),
            None => (machine, None),
        };
        let machine = MachineName { host: host.to_owned(), installation };
        Some(Self { machine, path: path.to_owned() })
    }

    /// Explains why a clone cannot continue the run of another machine's clone; `None` if both belong to the same
    /// machine.
    pub fn explain_other_machine(there: &str, here: &str) -> Option<String> {
        let (there, here) = (Self::parse(there)?, Self::parse(here)?);
        (!there.machine.is_same(&here.machine)).then(|| {
            format!(
                "it began in the clone {} of the machine {}, and this clone of {} would land into itself",
                there.path, there.machine.host, here.machine.host
            )
        })
    }
}

/// Formats as stored: `machine:HOST/INSTALLATION:PATH`.
impl fmt::Display for CloneIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{START}{}", self.machine.host)?;
        if let Some(installation) = &self.machine.installation {
            write!(f, "/{installation}")?;
        }
        write!(f, ":{}", self.path)
    }
}

impl MachineName {
    /// Whether both are the same machine: the same installation, regardless of the host name. If the installation is
    /// unknown, the host names are compared.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.installation, &other.installation) {
            (Some(own), Some(other)) => own == other,
            (None, None) => self.host == other.host,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_read_as_written() {
        for text in ["machine:a/0f3d:/srv/a: b/.git", "machine:a:/srv/.git"] {
            assert_eq!(CloneIdentity::parse(text).unwrap().to_string(), text);
        }
        for text in ["/srv/.git", "remote:host/team/shop", "machine:a"] {
            assert_eq!(CloneIdentity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_renamed_machine_is_the_same() {
        let refused = |there, here| CloneIdentity::explain_other_machine(there, here).is_some();
        assert!(refused("machine:a/1:/srv", "machine:b/2:/srv"));
        assert!(refused("machine:a:/srv", "machine:b:/srv"));
        assert!(!refused("machine:a/1:/srv", "machine:b/1:/srv"));
        assert!(!refused("machine:a:/srv", "machine:a:/other"));
        assert!(!refused("/srv", "machine:a:/srv"));
    }
}
