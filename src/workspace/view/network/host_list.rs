//! The list of hosts reachable for a program.

use std::net::IpAddr;

use super::host_name::{Host, HostError, split_port};

/// Ports of a host listed without a port.
const WEB_PORTS: [u16; 2] = [80, 443];

/// The hosts of `sandbox.network` or `sandbox.ci_network`.
///
/// | entry | allows |
/// |---|---|
/// | `example.com` | this name, not its subdomains, on ports 80 and 443 |
/// | `*.example.com` | every subdomain at any depth, not `example.com` itself |
/// | `example.com:8443`, `*.example.com:22` | this port alone, with any protocol |
/// | `192.0.2.1`, `[2001:db8::1]:5432` | this address, also a private one |
///
/// Case and a trailing dot do not matter. Names in other scripts are compared in punycode. An address is allowed only
/// if the address itself is listed. If a name resolves to a private address, the list must also contain this address.
/// An empty list allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    pattern: Pattern,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(Host),
    /// Suffix of the subdomains, with the leading dot.
    Subdomains(String),
}

/// Permission of the list for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// TLS or HTTP: the host is listed without a port.
    Web,
    /// Any protocol: the host is listed with this port.
    AnyProtocol,
}

impl HostList {
    /// Parses the entries of a list.
    ///
    /// # Errors
    ///
    /// Fails with the first entry that is not a host, and with a suggested replacement.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            Entry::parse(text.trim()).map_err(|reason| format!("{text:?} is not a host: {reason}"))
        };
        Ok(Self { entries: entries.iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// Returns whether the list allows a connection to a host, in any spelling that a client may send.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        Host::parse(host).is_ok_and(|host| self.permission(&host, port).is_some())
    }

    /// Returns the permission of the list for a connection, if any.
    pub fn permission(&self, host: &Host, port: u16) -> Option<Permission> {
        self.entries.iter().filter_map(|entry| entry.permission(host, port)).max()
    }

    /// Returns whether the address itself is listed for a port.
    pub fn has_address(&self, address: IpAddr, port: u16) -> bool {
        self.permission(&Host::Address(address), port).is_some()
    }

    /// Returns whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, String> {
        let explain = |error: HostError| error.to_string();
        if text.contains("://") {
            return Err("write the host without scheme and path".to_owned());
        }
        if text.contains('/') {
            return Err("paths and address ranges are not supported".to_owned());
        }
        // Bare IPv6 addresses have colons of their own.
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { pattern: Pattern::Exact(Host::Address(address)), port: None });
        }
        let (host, port) = split_port(text).map_err(explain)?;
        if host == "*" {
            return Err("use `network: allow` to allow every host".to_owned());
        }
        let (name, is_wildcard) = match host.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (host, false),
        };
        if name.contains('*') {
            return Err("\"*\" stands only for all subdomains, as in \"*.example.com\"".to_owned());
        }
        let parsed = Host::parse_setting(name).map_err(explain)?;
        let pattern = match parsed {
            Host::Name(_) if parsed.is_loopback() => {
                return Err("use `sandbox.ports` for services of this machine".to_owned());
            }
            Host::Name(name) if is_wildcard => Pattern::Subdomains(format!(".{name}")),
            Host::Address(_) if is_wildcard => {
                return Err("an address has no subdomains".to_owned());
            }
            host => Pattern::Exact(host),
        };
        Ok(Self { pattern, port })
    }

    fn permission(&self, host: &Host, port: u16) -> Option<Permission> {
        let is_named = match (&self.pattern, host) {
            (Pattern::Exact(listed), host) => listed == host,
            (Pattern::Subdomains(suffix), Host::Name(name)) => {
                name.len() > suffix.len() && name.ends_with(suffix)
            }
            (Pattern::Subdomains(_), Host::Address(_)) => false,
        };
        match self.port {
            _ if !is_named => None,
            Some(listed) => (listed == port).then_some(Permission::AnyProtocol),
            None => WEB_PORTS.contains(&port).then_some(Permission::Web),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::tests::cases;

    fn list(entries: &[&str]) -> HostList {
        HostList::parse(&entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn refusal(entry: &str) -> String {
        HostList::parse(&[entry.to_owned()]).unwrap_err()
    }

    #[test]
    fn a_name_allows_itself_on_web_ports() {
        let list = list(&["Example.com."]);
        for (host, port, expected) in [
            ("example.com", 443, true),
            ("EXAMPLE.COM.", 80, true),
            ("example.com", 22, false),
            ("a.example.com", 443, false),
            ("badexample.com", 443, false),
            ("example.com.evil.org", 443, false),
            ("example.com..", 443, false),
            ("example.com%00.evil.org", 443, false),
        ] {
            assert_eq!(list.allows(host, port), expected, "{host}:{port}");
        }
    }

    #[test]
    fn a_wildcard_allows_subdomains_alone() {
        let list = list(&["*.example.com", "*.b.org:8443"]);
        for (host, port, expected) in [
            ("a.example.com", 443, true),
            ("a.b.example.com", 80, true),
            ("example.com", 443, false),
            (".example.com", 443, false),
            ("aexample.com", 443, false),
            ("x.b.org", 8443, true),
            ("x.b.org", 443, false),
        ] {
            assert_eq!(list.allows(host, port), expected, "{host}:{port}");
        }
    }

    #[test]
    fn a_listed_port_allows_any_protocol() {
        let list = list(&["github.com", "github.com:22", "github.com:443"]);
        let permission = |port| list.permission(&Host::parse("github.com").unwrap(), port);
        assert_eq!(permission(80), Some(Permission::Web));
        assert_eq!(permission(22), Some(Permission::AnyProtocol));
        assert_eq!(permission(443), Some(Permission::AnyProtocol));
        assert_eq!(permission(8080), None);
    }

    #[test]
    fn addresses_are_allowed_only_where_listed() {
        let list = list(&["10.0.0.5:5432", "::1", "[2001:db8::1]:8443", "example.com"]);
        for (host, port, expected) in [
            ("10.0.0.5", 5432, true),
            ("10.0.0.5", 443, false),
            ("10.0.0.6", 5432, false),
            ("[::1]", 443, true),
            ("[0:0:0:0:0:0:0:1]", 80, true),
            ("[2001:DB8::1]", 8443, true),
            ("[::ffff:10.0.0.5]", 5432, false),
            ("167772165", 5432, false),
            ("0xa000005", 5432, false),
            ("93.184.215.14", 443, false),
        ] {
            assert_eq!(list.allows(host, port), expected, "{host}:{port}");
        }
    }

    #[test]
    fn names_in_other_scripts_are_compared_in_punycode() {
        let list = list(&["*.bücher.example"]);
        assert!(list.allows("www.XN--bcher-kva.example", 443));
        assert!(!list.allows("www.bücher.example", 443));
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        assert!(HostList::default().is_empty() && !HostList::default().allows("example.com", 443));
    }

    #[test]
    fn a_wrong_entry_is_explained() {
        for (entry, part) in [
            ("https://example.com/", "without scheme"),
            ("example.com/path", "not supported"),
            ("10.0.0.0/8", "not supported"),
            ("*", "network: allow"),
            ("a.*.com", "all subdomains"),
            ("*example.com", "all subdomains"),
            ("*.10.0.0.1", "no subdomains"),
            ("localhost:8080", "sandbox.ports"),
            ("127.1", "four decimal"),
            ("example.com:http", "1 to 65535"),
            ("fe80::1%eth0", "1 to 65535"),
            ("[fe80::1%eth0]", "without a zone"),
            ("", "empty"),
            ("a b", "letters"),
        ] {
            let reason = refusal(entry);
            assert!(reason.contains(part), "{entry}: {reason}");
        }
    }

    proptest! {
        #![proptest_config(cases(200))]

        #[test]
        fn entries_never_panic_and_allow_no_other_host(
            entry in "\\PC{0,20}|(\\*\\.)?[a-z]{1,3}(\\.[a-z]{1,3}){0,2}(:[0-9]{1,5})?",
            host in "\\PC{0,20}|[a-zA-Z]{1,3}(\\.[a-z]{1,3}){0,3}\\.?",
            port: u16,
        ) {
            let Ok(list) = HostList::parse(std::slice::from_ref(&entry)) else { return Ok(()) };
            if list.allows(&host, port) {
                let entry = entry.trim().to_lowercase();
                let host = host.to_lowercase();
                let domain = entry.split(':').next().unwrap().trim_start_matches("*.");
                let domain = domain.trim_end_matches('.');
                prop_assert!(host.trim_end_matches('.').ends_with(domain) || entry.contains(&host) || !entry.is_ascii());
                prop_assert!(entry.contains(':') || port == 80 || port == 443);
            }
        }

        #[test]
        fn a_listed_name_is_allowed_in_every_case(name in "[a-z][a-z0-9]{0,5}(\\.[a-z][a-z0-9-]{0,5}){1,3}", upper: u64) {
            let list = list(&[&name]);
            let spelling: String = name.char_indices()
                .map(|(at, c)| if upper >> (at % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c })
                .collect();
            prop_assert!(list.allows(&spelling, 443));
            for other in [format!("x{name}"), format!("x.{name}"), format!("{name}.x")] {
                prop_assert!(!list.allows(&other, 443), "{}", other);
            }
        }
    }
}
