//! Services of this machine in a list of hosts, such as a model server: programs do not ask a proxy for them.

use super::host_list::HostList;

/// Parses the hosts of a limited network, and returns the ports of this machine among them.
///
/// # Errors
///
/// What is wrong with the first entry that is not a host.
pub fn parse_hosts(hosts: &[String]) -> Result<(HostList, Vec<u16>), String> {
    let ports: Vec<u16> = hosts.iter().filter_map(|host| own_port(host)).collect();
    // Addresses may be asked for through the proxy all the same; `localhost` is a name only here.
    let is_name = |host: &&String| host.starts_with("localhost:") && own_port(host).is_some();
    let listed: Vec<String> = hosts.iter().filter(|host| !is_name(host)).cloned().collect();
    Ok((HostList::parse(&listed)?, ports))
}

/// Returns the port of a listed host that is this machine.
fn own_port(host: &str) -> Option<u16> {
    let (name, port) = host.rsplit_once(':')?;
    ["localhost", "127.0.0.1", "[::1]"].contains(&name).then(|| port.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_host_may_be_a_service_of_this_machine() {
        let ports = ["127.0.0.1:8000", "localhost:11434", "[::1]:1", "[::1]", "localhost", "a.b:2"];
        let ports: Vec<u16> = ports.iter().filter_map(|host| own_port(host)).collect();
        assert_eq!(ports, [8000, 11434, 1]);
    }

    #[test]
    fn localhost_with_a_port_is_no_host_for_the_proxy() {
        let parse = |hosts: &[&str]| {
            parse_hosts(&hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())
        };
        let (list, ports) = parse(&["localhost:11434", "127.0.0.1:80", "example.com"]).unwrap();
        assert_eq!(ports, [11434, 80]);
        assert!(list.allows("example.com", 443) && list.allows("127.0.0.1", 80));
        assert!(parse(&["localhost"]).unwrap_err().contains("`sandbox.ports`"));
    }
}
