//! Counts of refused connections, for the notes of an attempt.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::host_name::Host;

/// Most hosts that are counted by name.
const MAX_HOSTS: usize = 100;
/// Most refused hosts in a line.
const SHOWN_HOSTS: usize = 5;
/// Longest label that is shown in full. Keys and encoded data are longer, names that people choose are not.
const LONGEST_LABEL: usize = 32;
/// Shown part of a longer label.
const LABEL_START: usize = 8;

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalReason {
    /// The list has no entry for the host and port.
    NotListed,
    /// All addresses of the name are private, such as this one, and not in the list themselves.
    PrivateAddress(IpAddr),
    /// A TLS client inside a tunnel names another server than its `CONNECT` request. The refused host is the
    /// named server.
    OtherServerName,
    /// A TLS client inside a tunnel does not name its server, or may name another one encrypted.
    HiddenServerName,
    /// A plain HTTP request inside a tunnel, or through the proxy, names another host than its target.
    OtherHost,
    /// A tunnel that is neither TLS nor HTTP, to a host listed without this port.
    UnknownProtocol,
    /// Not a valid request.
    InvalidRequest,
}

impl RefusalReason {
    /// Explanation behind the host; none for the usual reason.
    pub fn explanation(self) -> Option<Cow<'static, str>> {
        let text = match self {
            Self::NotListed => return None,
            Self::PrivateAddress(address) => {
                return Some(
                    format!("private address; list {} as well", Host::Address(address)).into(),
                );
            }
            Self::OtherServerName => "TLS server name inside a tunnel to another host",
            Self::HiddenServerName => "missing or encrypted TLS server name",
            Self::OtherHost => "Host field of a request to another host",
            Self::UnknownProtocol => "neither TLS nor HTTP; list the host with its port",
            Self::InvalidRequest => "invalid request",
        };
        Some(text.into())
    }
}

/// A host with refused connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedHost {
    /// Host, with its port unless that is 80 or 443. `other hosts` stands for those beyond the first 100,
    /// `an invalid host` for texts that are not a host name. Long labels are cut, so that no key is shown.
    pub host: String,
    /// Why connections were refused.
    pub reason: RefusalReason,
    /// Number of refused connections.
    pub count: u64,
}

/// The note of an attempt: `network: refused example.com 3 times`.
impl Display for RefusedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network: refused {}", self.describe())
    }
}

impl RefusedHost {
    /// Describes host, count and reason: `example.com 3 times`.
    pub fn describe(&self) -> String {
        let times = if self.count == 1 { "time" } else { "times" };
        let explanation = self.reason.explanation().map(|why| format!(" ({why})"));
        format!("{} {} {times}{}", self.host, self.count, explanation.unwrap_or_default())
    }
}

/// Describes refused hosts in one line: `network: refused example.com 3 times, a.example 1 time`.
pub fn describe_refused(refused: &[RefusedHost]) -> Option<String> {
    if refused.is_empty() {
        return None;
    }
    let shown: Vec<String> = refused.iter().take(SHOWN_HOSTS).map(RefusedHost::describe).collect();
    let mut text = format!("network: refused {}", shown.join(", "));
    if refused.len() > SHOWN_HOSTS {
        text += &format!(" and {} more hosts", refused.len() - SHOWN_HOSTS);
    }
    Some(text)
}

/// Counts of refused connections by host and reason.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<(String, RefusalReason), u64>>);

impl Refusals {
    /// Counts a refused connection to a host.
    pub fn add(&self, host: &Host, port: u16, reason: RefusalReason) {
        let mut text = shown(host);
        if !matches!(port, 80 | 443) {
            text = format!("{text}:{port}");
        }
        self.count(text, reason);
    }

    /// Counts a refused connection to a text that is not a host.
    pub fn add_invalid(&self) {
        self.count("an invalid host".to_owned(), RefusalReason::InvalidRequest);
    }

    /// Returns the refused hosts, the most refused first.
    pub fn hosts(&self) -> Vec<RefusedHost> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let host = |((host, reason), count): (&(String, RefusalReason), &u64)| RefusedHost {
            host: host.clone(),
            reason: *reason,
            count: *count,
        };
        let mut hosts: Vec<RefusedHost> = counts.iter().map(host).collect();
        hosts.sort_by_key(|host| std::cmp::Reverse(host.count));
        hosts
    }

    fn count(&self, host: String, reason: RefusalReason) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host, reason);
        let is_full = counts.len() >= MAX_HOSTS && !counts.contains_key(&key);
        let key = if is_full { ("other hosts".to_owned(), RefusalReason::NotListed) } else { key };
        *counts.entry(key).or_default() += 1;
    }
}

/// Cuts long labels.
fn shown(host: &Host) -> String {
    let Host::Name(name) = host else { return host.to_string() };
    let cut = |label: &str| match label.get(..LABEL_START) {
        Some(start) if label.len() > LONGEST_LABEL => format!("{start}(cut)"),
        _ => label.to_owned(),
    };
    name.split('.').map(cut).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(refusals: &Refusals) -> Vec<String> {
        refusals.hosts().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn refusals_are_counted_by_host_and_reason() {
        let refusals = Refusals::default();
        let add =
            |host: &str, port, reason| refusals.add(&Host::parse(host).unwrap(), port, reason);
        add("b.org", 8080, RefusalReason::NotListed);
        for _ in 0..3 {
            add("Example.com.", 443, RefusalReason::NotListed);
        }
        add("[::1]", 443, RefusalReason::NotListed);
        let private = "fd00::1".parse().unwrap();
        add("example.com", 80, RefusalReason::PrivateAddress(private));
        refusals.add_invalid();
        assert_eq!(
            notes(&refusals),
            [
                "network: refused example.com 3 times",
                "network: refused [::1] 1 time",
                "network: refused an invalid host 1 time (invalid request)",
                "network: refused b.org:8080 1 time",
                "network: refused example.com 1 time (private address; list [fd00::1] as well)",
            ]
        );
    }

    #[test]
    fn the_number_of_hosts_is_limited() {
        let refusals = Refusals::default();
        for number in 0..250 {
            let host = Host::Name(format!("host-{number}.example"));
            refusals.add(&host, 443, RefusalReason::OtherHost);
        }
        let hosts = refusals.hosts();
        assert_eq!(hosts.len(), MAX_HOSTS + 1);
        assert_eq!(hosts[0].to_string(), "network: refused other hosts 150 times");
    }

    #[test]
    fn a_key_in_a_name_is_not_shown() {
        let refusals = Refusals::default();
        let host = Host::parse(&format!("{}.evil.example", "k3y".repeat(15))).unwrap();
        refusals.add(&host, 443, RefusalReason::NotListed);
        assert_eq!(notes(&refusals), ["network: refused k3yk3yk3(cut).evil.example 1 time"]);
    }
}
