//! Variables that make programs use the proxy.

use std::ffi::OsStr;

use crate::process::child_env::Env;

/// Variables with the proxy's URL.
///
/// curl, git, pip, cargo, Go, Node agents, wget and most libraries read one of the first six. The others win over
/// a proxy in the tool's own configuration file, which the program could not reach.
const PROXY_VARIABLES: [&str; 12] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "CARGO_HTTP_PROXY",
    "PIP_PROXY",
    "npm_config_proxy",
    "npm_config_https_proxy",
    "YARN_HTTP_PROXY",
    "YARN_HTTPS_PROXY",
];

/// Variables with the hosts that are reached without the proxy.
const DIRECT_VARIABLES: [&str; 3] = ["NO_PROXY", "no_proxy", "npm_config_noproxy"];
const DIRECT_HOSTS: &str = "localhost,127.0.0.1,::1";

/// Variables with options for the JVM of build tools. Unlike `JAVA_TOOL_OPTIONS`, they add no line to stderr.
const JVM_VARIABLES: [&str; 3] = ["MAVEN_OPTS", "GRADLE_OPTS", "SBT_OPTS"];

/// Returns the variables for a proxy on a port of 127.0.0.1.
pub fn variables(proxy_port: u16) -> Vec<(String, String)> {
    let url = format!("http://127.0.0.1:{proxy_port}");
    let proxies = PROXY_VARIABLES.map(|name| (name, url.as_str()));
    let direct = DIRECT_VARIABLES.map(|name| (name, DIRECT_HOSTS));
    // Node's own fetch ignores the others without it (Node 22.21 and 24).
    let switches = [("NODE_USE_ENV_PROXY", "1"), ("ELECTRON_GET_USE_PROXY", "1")];
    let all = proxies.into_iter().chain(direct).chain(switches);
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns the variables for JVM build tools, which read no proxy variable: `inherited` values with the proxy's
/// properties added.
pub fn jvm_variables(proxy_port: u16, inherited: &Env) -> Vec<(String, String)> {
    let mut options = Vec::new();
    for scheme in ["http", "https"] {
        options.push(format!("-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={proxy_port}"));
    }
    // The resolver of Maven 3.9 ignores the properties otherwise; of Maven 4 likewise.
    options.push("-Daether.connector.http.useSystemProperties=true".to_owned());
    options.push("-Daether.transport.http.useSystemProperties=true".to_owned());
    let options = options.join(" ");
    let with_options =
        |name: &str| match inherited.get(OsStr::new(name)).and_then(|own| own.to_str()) {
            Some(own) => (name.to_owned(), format!("{own} {options}")),
            None => (name.to_owned(), options.clone()),
        };
    JVM_VARIABLES.map(with_options).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_pointed_at_the_proxy() {
        let variables = variables(4321);
        let value = |name: &str| {
            let found = variables.iter().find(|(variable, _)| variable == name);
            found.map(|(_, value)| value.as_str())
        };
        for name in ["HTTPS_PROXY", "http_proxy", "ALL_PROXY", "npm_config_proxy"] {
            assert_eq!(value(name), Some("http://127.0.0.1:4321"), "{name}");
        }
        assert_eq!(value("NO_PROXY"), Some("localhost,127.0.0.1,::1"));
        assert_eq!(value("NODE_USE_ENV_PROXY"), Some("1"));
    }

    #[test]
    fn jvm_options_are_kept() {
        let env = [("MAVEN_OPTS".into(), "-Xmx1g".into())].into();
        let variables = jvm_variables(4321, &env);
        let (name, value) = &variables[0];
        assert_eq!(name, "MAVEN_OPTS");
        assert!(
            value.starts_with("-Xmx1g -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=4321 "),
            "{value}"
        );
    }
}
