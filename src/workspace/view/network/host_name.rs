//! Host names and addresses in their one normal form, and the text forms that programs hide behind.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Longest host name, in bytes.
const LONGEST_NAME: usize = 253;
/// Longest label of a host name, in bytes.
const LONGEST_LABEL: usize = 63;

/// A host of a request or of the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Lower-case ASCII labels, without a trailing dot. The last label is not a number.
    Name(String),
    /// Address literal.
    Address(IpAddr),
}

/// Why a text is not a host or a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No host.
    #[error("the host is empty")]
    Empty,
    /// Too long a name or label.
    #[error("a host name has at most 253 characters and labels of 1 to 63 characters")]
    Length,
    /// Characters other than letters, digits, `-` and `_`.
    #[error("a host name has letters, digits, \"-\" and \"_\" only")]
    Character,
    /// An IPv4 address written as decimal, hexadecimal, octal or shortened numbers, or with a trailing dot.
    #[error("an IPv4 address is written as four decimal numbers, such as 192.0.2.1")]
    NumericName,
    /// An IPv6 address that does not parse, or one with a zone.
    #[error("an IPv6 address is written without a zone, such as [2001:db8::1]")]
    Ipv6,
    /// A port that is not a decimal number from 1 to 65535.
    #[error("a port is a number from 1 to 65535")]
    Port,
}

impl Host {
    /// Parses the host of a request: an ASCII name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// Names in other scripts arrive in punycode (`xn--`), as every HTTP client sends them.
    ///
    /// # Errors
    ///
    /// Fails for every other spelling, such as `0x7f.1`, `2130706433`, `[fe80::1%eth0]`, or `exa%6dple.com`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Some(rest) = text.strip_prefix('[') {
            let address = rest.strip_suffix(']').ok_or(HostError::Ipv6)?;
            let address: Ipv6Addr = address.parse().map_err(|_| HostError::Ipv6)?;
            return Ok(Self::Address(IpAddr::V6(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if name.len() > LONGEST_NAME {
            return Err(HostError::Length);
        }
        for label in name.split('.') {
            if label.is_empty() || label.len() > LONGEST_LABEL {
                return Err(HostError::Length);
            }
            if !label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            {
                return Err(HostError::Character);
            }
        }
        if ends_in_number(&name) {
            let address: Ipv4Addr = text.parse().map_err(|_| HostError::NumericName)?;
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        Ok(Self::Name(name))
    }

    /// Parses the host of a setting: as [`Host::parse`], and names in any script, and IPv6 without brackets.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a host.
    pub fn parse_setting(text: &str) -> Result<Self, HostError> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self::Address(IpAddr::V6(address)));
        }
        if text.is_ascii() {
            return Self::parse(text);
        }
        // Only letters, digits and marks of other scripts: a URL's own delimiters are ASCII, refused by `parse`.
        let is_plain =
            |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_') || !c.is_ascii();
        if !text.chars().all(is_plain) {
            return Err(HostError::Character);
        }
        let url = Url::parse(&format!("http://{text}/")).map_err(|_| HostError::Character)?;
        match Self::parse(url.host_str().unwrap_or_default())? {
            // Digits of other scripts.
            Self::Address(_) => Err(HostError::NumericName),
            name => Ok(name),
        }
    }

    /// Returns whether the name or address means this machine.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => address.to_canonical().is_loopback(),
        }
    }

    /// Formats the host with a port, as in a `Host` field or a `CONNECT` request.
    pub fn with_port(&self, port: u16) -> String {
        format!("{self}:{port}")
    }
}

/// The form of a URL: IPv6 addresses in brackets.
impl Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Splits `host` or `host:port`, with IPv6 addresses in brackets.
///
/// # Errors
///
/// Fails if the host or the port does not parse.
pub fn split_authority(text: &str) -> Result<(Host, Option<u16>), HostError> {
    let (host, port) = split_port(text)?;
    Ok((Host::parse(host)?, port))
}

/// Splits a port from the text of a host. The host is not checked.
///
/// # Errors
///
/// Fails if the port does not parse.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<u16>), HostError> {
    let after_brackets = text.rfind(']').map_or(0, |end| end + 1);
    match text[after_brackets..].split_once(':') {
        None => Ok((text, None)),
        Some((before, port)) => {
            Ok((&text[..after_brackets + before.len()], Some(parse_port(port)?)))
        }
    }
}

/// Parses a port in its only spelling: no sign, no leading zero.
fn parse_port(text: &str) -> Result<u16, HostError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain).ok_or(HostError::Port)
}

/// Returns whether resolvers would read the name as a number: its last label is decimal, octal or hexadecimal.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_hexadecimal = last
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    is_hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::tests::cases;

    fn name(text: &str) -> Result<Host, HostError> {
        Ok(Host::Name(text.to_owned()))
    }

    #[test]
    fn names_have_one_form() {
        for text in ["Example.COM", "example.com.", "EXAMPLE.com"] {
            assert_eq!(Host::parse(text), name("example.com"), "{text}");
        }
        assert_eq!(Host::parse("a_b.1password.com"), name("a_b.1password.com"));
        assert_eq!(Host::parse("xn--bcher-kva.example"), name("xn--bcher-kva.example"));
        assert_eq!(Host::parse("0xzz"), name("0xzz"));
    }

    #[test]
    fn odd_spellings_of_addresses_are_refused() {
        for text in [
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "127.0.0.01",
            "127.0.0.1.",
            "1.2.3.4.5",
            "256.0.0.1",
            "example.0x",
            "a.1",
            "0X7F.1",
        ] {
            assert_eq!(Host::parse(text), Err(HostError::NumericName), "{text}");
        }
        for text in ["[fe80::1%eth0]", "[::1", "[]", "[1.2.3.4]", "[::1]x", "[[::1]]"] {
            assert_eq!(Host::parse(text), Err(HostError::Ipv6), "{text}");
        }
    }

    #[test]
    fn other_characters_are_refused() {
        for text in [
            "exa%6dple.com",
            "a@b.com",
            "a b",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a:b",
            "bücher.example",
            "a\0b",
            "example。com",
            "*.example.com",
            "１２７.0.0.1",
        ] {
            assert_eq!(Host::parse(text), Err(HostError::Character), "{text}");
        }
        for text in ["a..b", ".a", "a..", &"a".repeat(64), &"a.".repeat(128)] {
            assert_eq!(Host::parse(text), Err(HostError::Length), "{text}");
        }
        assert_eq!([".", ""].map(Host::parse), [Err(HostError::Empty), Err(HostError::Empty)]);
    }

    #[test]
    fn settings_may_be_written_in_any_script() {
        assert_eq!(Host::parse_setting("Bücher.example"), name("xn--bcher-kva.example"));
        assert_eq!(Host::parse_setting("::1"), Ok(Host::Address("::1".parse().unwrap())));
        assert_eq!(Host::parse_setting("１２７.0.0.1"), Err(HostError::NumericName));
        for text in ["é/x", "é@x", "é:80", "é?", "é%41"] {
            assert_eq!(Host::parse_setting(text), Err(HostError::Character), "{text}");
        }
    }

    #[test]
    fn ports_have_one_spelling() {
        assert_eq!(split_authority("a.b:80"), Ok((Host::Name("a.b".into()), Some(80))));
        assert_eq!(
            split_authority("[::1]:443"),
            Ok((Host::Address("::1".parse().unwrap()), Some(443)))
        );
        for text in ["a:", "a:+80", "a:080", "a:0", "a:65536", "a:8 0", "a:80:80", "::1"] {
            assert!(split_authority(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(cases(300))]

        #[test]
        fn a_parsed_host_is_its_own_text(text in "\\PC{0,20}|[a-zA-Z0-9.:%x\\[\\]-]{0,20}|[0-9]{1,3}(\\.[0-9]{1,4}){0,4}") {
            for host in [Host::parse(&text), Host::parse_setting(&text)].into_iter().flatten() {
                prop_assert_eq!(Host::parse(&host.to_string()), Ok(host.clone()));
                if let Host::Name(name) = &host {
                    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
                    prop_assert!(name.chars().all(is_plain) && name.parse::<IpAddr>().is_err());
                }
            }
        }

        /// The system's own parser of odd addresses agrees that none of the names is one.
        #[test]
        fn no_name_is_an_address_for_the_system(text in "(0[xX])?[0-9a-f]{0,9}(\\.(0x)?[0-9a-f]{0,4}){0,4}\\.?") {
            if let Ok(Host::Name(name)) = Host::parse(&text) {
                let name = std::ffi::CString::new(name).unwrap();
                let mut address = libc::in_addr { s_addr: 0 };
                // SAFETY: both pointers are valid for the call.
                let is_address = unsafe { inet_aton(name.as_ptr(), &raw mut address) } != 0;
                prop_assert!(!is_address, "{name:?}");
            }
        }
    }

    unsafe extern "C" {
        fn inet_aton(text: *const libc::c_char, address: *mut libc::in_addr) -> libc::c_int;
    }
}
