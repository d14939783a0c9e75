//! Syntax of the hosts in `sandbox.network`: a name, `*.domain` or an IP address, with an optional port.

use std::net::{IpAddr, Ipv6Addr};

/// Longest host name of DNS.
const LONGEST_HOST: usize = 253;
/// Longest part of a host name.
const LONGEST_LABEL: usize = 63;

/// Checks an entry of a list of hosts.
pub(super) fn host(entry: &str) -> Result<(), String> {
    let refused = |why: &str| Err(format!("has {entry:?}, {why}"));
    if entry.trim().is_empty() {
        return Err("has an empty host".to_owned());
    }
    if matches!(entry, "allow" | "deny") {
        return refused("which is a setting of its own, not a host in a list");
    }
    if entry.contains("://") {
        return refused("which has a scheme; write the host alone");
    }
    if entry.contains('/') {
        return refused("which has a path; write the host alone, and each address of a network");
    }
    if entry.contains('@') || entry.contains(char::is_whitespace) {
        return refused("which is not a host");
    }
    if entry.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    let (name, port) = split_port(entry);
    if let Some(port) = port
        && !port.parse::<u16>().is_ok_and(|port| port > 0)
    {
        return refused("whose port is not a number from 1 to 65535");
    }
    if let Some(address) = name.strip_prefix('[') {
        let address = address.strip_suffix(']').map(str::parse::<Ipv6Addr>);
        return match address {
            Some(Ok(_)) => Ok(()),
            _ => refused("which is not an IPv6 address"),
        };
    }
    if name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let domain = name.strip_prefix("*.").unwrap_or(name);
    if domain.contains('*') {
        return refused(
            "but `*` stands only at the start, as in \"*.example.com\"; network: allow has no limit",
        );
    }
    if !domain.is_ascii() {
        return refused("which is not ASCII; write the name as in DNS (xn--...)");
    }
    match is_host_name(domain) {
        true => Ok(()),
        false => refused("which is not a host name, \"*.domain\" or an IP address"),
    }
}

/// Splits `host:port`. A text with more than one colon outside of brackets has no port.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (entry, None),
    }
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.chars().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A name that ends in a number would be read as an address by some programs.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.chars().all(|c| c.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit()));
    name.len() <= LONGEST_HOST && name.split('.').all(is_label) && !is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_wildcards_and_addresses_with_an_optional_port() {
        for good in [
            "example.com",
            "a-b.example.com:443",
            "*.example.com",
            "*.example.com:8443",
            "localhost",
            "db_1",
            "xn--bcher-kva.example",
            "192.0.2.7",
            "192.0.2.7:5432",
            "2001:db8::1",
            "::1",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
        ] {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for (bad, part) in [
            ("", "empty host"),
            ("deny", "a setting of its own"),
            ("https://example.com", "has a scheme"),
            ("example.com/x", "has a path"),
            ("10.0.0.0/8", "each address of a network"),
            ("me@example.com", "not a host"),
            ("a b", "not a host"),
            ("example.com:0", "from 1 to 65535"),
            ("example.com:65536", "from 1 to 65535"),
            ("example.com:https", "from 1 to 65535"),
            ("example.com:", "from 1 to 65535"),
            ("[example]", "not an IPv6 address"),
            ("[::1", "not an IPv6 address"),
            ("*", "only at the start"),
            ("a.*.example", "only at the start"),
            ("*.*.example", "only at the start"),
            ("b\u{fc}cher.example", "xn--"),
            ("-a.example", "not a host name"),
            ("a..example", "not a host name"),
            ("1.2.3", "not a host name"),
            ("999.1.1.1", "not a host name"),
            ("0x7f000001", "not a host name"),
            ("a:b:c", "not a host name"),
        ] {
            let why = host(bad).expect_err(bad);
            assert!(why.contains(part), "{bad}: {why}");
        }
    }
}
