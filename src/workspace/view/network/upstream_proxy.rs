//! The proxies that autopack itself uses, from its own environment.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

use super::host_name::{Host, split_authority};
use crate::config::env::Env;

/// A proxy reached by plain HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamProxy {
    /// Host of the proxy.
    pub host: Host,
    /// Port of the proxy.
    pub port: u16,
    /// Value of `Proxy-Authorization`, if the URL has a user.
    authorization: Option<String>,
}

impl UpstreamProxy {
    /// Returns the header line with the proxy's credentials, or nothing.
    pub fn authorization_line(&self) -> String {
        self.authorization
            .as_ref()
            .map_or_else(String::new, |value| format!("Proxy-Authorization: {value}\r\n"))
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&url).map_err(|_| "is not a URL")?;
        if url.scheme() != "http" {
            return Err(
                "is not an http:// URL, the only kind of proxy that autopack can use for a limited network",
            );
        }
        let host =
            Host::parse(url.host_str().unwrap_or_default()).map_err(|_| "has no valid host")?;
        let user = (decode(url.username()), url.password().map(decode).unwrap_or_default());
        let has_user = !url.username().is_empty() || url.password().is_some();
        let authorization = has_user.then(|| {
            let pair = [&user.0[..], b":", &user.1].concat();
            format!("Basic {}", STANDARD.encode(pair))
        });
        Ok(Self { host, port: url.port().unwrap_or(80), authorization })
    }
}

/// Credentials are not shown.
impl fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamProxy({})", self.host.with_port(self.port))
    }
}

/// The proxies of the environment that autopack was started in, and the hosts that they are not used for.
///
/// autopack's own list is checked first. An upstream proxy resolves the names itself, so that autopack cannot
/// check for private addresses: the upstream proxy decides what a listed name means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamProxies {
    /// Proxy for tunnels: TLS, and every protocol on a listed port.
    pub tunnels: Option<UpstreamProxy>,
    /// Proxy for plain HTTP requests.
    pub plain: Option<UpstreamProxy>,
    direct: Vec<DirectHosts>,
}

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DirectHosts {
    All,
    /// A domain and its subdomains, or an address.
    Domain(Host, Option<u16>),
}

impl UpstreamProxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`; lower-case names win.
    ///
    /// # Errors
    ///
    /// Fails with the variable of a proxy that autopack cannot use. The value is not part of the message, because
    /// it may have a password.
    pub fn of_environment(env: &Env) -> Result<Self, String> {
        let value = |name: &str| {
            let names = [name.to_ascii_lowercase(), name.to_owned()];
            names.into_iter().find_map(|name| Some((env.key(&name)?, name)))
        };
        let proxy = |name: &str| match value(name).or_else(|| value("ALL_PROXY")) {
            None => Ok(None),
            Some((text, variable)) => match UpstreamProxy::parse(text.trim()) {
                Ok(proxy) => Ok(Some(proxy)),
                Err(reason) => Err(format!("{variable} {reason}")),
            },
        };
        let direct = value("NO_PROXY").map(|(text, _)| text).unwrap_or_default();
        Ok(Self {
            tunnels: proxy("HTTPS_PROXY")?,
            plain: proxy("HTTP_PROXY")?,
            direct: direct.split([',', ' ']).filter_map(DirectHosts::parse).collect(),
        })
    }

    /// Returns the proxy for a tunnel to a host, if any.
    pub fn for_tunnel(&self, host: &Host, port: u16) -> Option<&UpstreamProxy> {
        self.tunnels.as_ref().filter(|_| !self.is_direct(host, port))
    }

    /// Returns the proxy for a plain HTTP request to a host, if any.
    pub fn for_plain(&self, host: &Host, port: u16) -> Option<&UpstreamProxy> {
        self.plain.as_ref().filter(|_| !self.is_direct(host, port))
    }

    fn is_direct(&self, host: &Host, port: u16) -> bool {
        host.is_loopback() || self.direct.iter().any(|entry| entry.covers(host, port))
    }
}

impl DirectHosts {
    /// Entries that are no host, such as address ranges, are ignored.
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let text = text.trim_start_matches("*.").trim_start_matches('.');
        let (host, port) = match Host::parse_setting(text) {
            Ok(host) => (host, None),
            Err(_) => split_authority(text).ok()?,
        };
        Some(Self::Domain(host, port))
    }

    fn covers(&self, host: &Host, port: u16) -> bool {
        let Self::Domain(domain, only_port) = self else { return true };
        let is_below = match (domain, host) {
            (Host::Name(domain), Host::Name(name)) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('.')),
            (domain, host) => domain == host,
        };
        is_below && only_port.is_none_or(|only| only == port)
    }
}

/// Decodes `%41` to `A`. A `%` without two hexadecimal digits stays.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let escaped = digit(at + 1).zip(digit(at + 2)).filter(|_| byte == b'%');
        let escaped = escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        decoded.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<UpstreamProxies, String> {
        UpstreamProxies::of_environment(&Env::new(variables.iter().copied()))
    }

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn each_kind_of_request_has_its_proxy() {
        let found = proxies(&[
            ("HTTPS_PROXY", "http://ignored:1"),
            ("https_proxy", "http://proxy.corp:3128/"),
            ("ALL_PROXY", "10.0.0.1"),
        ]);
        let found = found.unwrap();
        let tunnels = found.for_tunnel(&host("example.com"), 443).unwrap();
        assert_eq!((tunnels.host.to_string(), tunnels.port), ("proxy.corp".to_owned(), 3128));
        assert_eq!(tunnels.authorization_line(), "");
        let plain = found.for_plain(&host("example.com"), 80).unwrap();
        assert_eq!((plain.host.to_string(), plain.port), ("10.0.0.1".to_owned(), 80));
        assert_eq!(proxies(&[]), Ok(UpstreamProxies::default()));
    }

    #[test]
    fn credentials_are_sent_and_not_shown() {
        let found = proxies(&[("https_proxy", "http://us%40er:p%3Ass@proxy:8080")]).unwrap();
        let proxy = found.tunnels.unwrap();
        let encoded = STANDARD.encode("us@er:p:ss");
        assert_eq!(proxy.authorization_line(), format!("Proxy-Authorization: Basic {encoded}\r\n"));
        assert_eq!(format!("{proxy:?}"), "UpstreamProxy(proxy:8080)");
        let error = proxies(&[("ALL_PROXY", "socks5://me:hush@proxy")]).unwrap_err();
        assert!(
            error.starts_with("ALL_PROXY is not an http:// URL") && !error.contains("hush"),
            "{error}"
        );
    }

    #[test]
    fn no_proxy_names_domains_addresses_and_ports() {
        let found = proxies(&[
            ("https_proxy", "proxy:3128"),
            ("no_proxy", ".corp.example, b.org:8443,*.c.org,10.0.0.5,fd00::1,10.0.0.0/8"),
        ]);
        let found = found.unwrap();
        for (name, port, is_direct) in [
            ("corp.example", 443, true),
            ("git.corp.example", 443, true),
            ("mycorp.example", 443, false),
            ("b.org", 8443, true),
            ("b.org", 443, false),
            ("x.c.org", 443, true),
            ("10.0.0.5", 443, true),
            ("10.0.0.6", 443, false),
            ("[fd00::1]", 443, true),
            ("localhost", 443, true),
            ("example.com", 443, false),
        ] {
            let proxy = found.for_tunnel(&host(name), port);
            assert_eq!(proxy.is_none(), is_direct, "{name}:{port}");
        }
        let all = proxies(&[("https_proxy", "proxy:3128"), ("no_proxy", "*")]).unwrap();
        assert_eq!(all.for_tunnel(&host("example.com"), 443), None);
    }

    #[test]
    fn percent_escapes_are_decoded() {
        assert_eq!(decode("a%41%4"), b"aA%4");
        assert_eq!(decode("%%41é"), "%Aé".as_bytes());
    }
}
