//! Comparison of the ports published by a compose file with the configured ports.

use serde_yaml::Value;

use crate::config::QdrantSettings;

/// Checks `entries`, the list under `ports` in `file`.
///
/// # Errors
/// A single line with the port published instead and the remedy.
pub fn check(file: &str, entries: &[Value], settings: &QdrantSettings) -> Result<(), String> {
    let published: Vec<PortMapping> =
        entries.iter().map(|entry| published(entry, settings)).collect();
    for port in ports(settings) {
        if published.iter().any(|one| one.serves(&port)) {
            continue;
        }
        let there = published.iter().find_map(|one| one.at(port.inside));
        let there = there.map_or("no port".to_owned(), |outside| format!("port {outside}"));
        let Port { inside, outside, variable, key } = port;
        return Err(format!(
            "{file} publishes Qdrant's port {inside} at {there}, not {outside}; write \"127.0.0.1:${{{variable}:-{inside}}}:{inside}\" under ports there, or correct {key}"
        ));
    }
    Ok(())
}

/// A port of Qdrant, with the configured port outside the container and the config key.
struct Port {
    inside: u16,
    outside: u16,
    variable: &'static str,
    key: &'static str,
}

fn ports(settings: &QdrantSettings) -> [Port; 2] {
    [
        Port {
            inside: 6333,
            outside: settings.port,
            variable: "AUTOPACK_QDRANT_PORT",
            key: "memory.qdrant.port",
        },
        Port {
            inside: 6334,
            outside: settings.grpc_port,
            variable: "AUTOPACK_QDRANT_GRPC_PORT",
            key: "memory.qdrant.grpc_port",
        },
    ]
}

/// Returns the variables for the published ports of the shipped compose file.
pub fn variables(settings: &QdrantSettings) -> impl Iterator<Item = (&'static str, String)> {
    ports(settings).into_iter().map(|port| (port.variable, port.outside.to_string()))
}

/// Ports published by an entry under `ports`.
enum PortMapping {
    Known {
        inside: u16,
        outside: u16,
    },
    /// Ranges, and variables known only to compose; assumed to be correct.
    Unclear,
}

impl PortMapping {
    fn serves(&self, port: &Port) -> bool {
        match self {
            Self::Known { inside, outside } => (*inside, *outside) == (port.inside, port.outside),
            Self::Unclear => true,
        }
    }

    fn at(&self, port: u16) -> Option<u16> {
        match self {
            Self::Known { inside, outside } => (*inside == port).then_some(*outside),
            Self::Unclear => None,
        }
    }
}

/// Parses an entry: `[IP:]OUTSIDE:INSIDE[/tcp]`, or a map of `target` and `published`.
fn published(entry: &Value, settings: &QdrantSettings) -> PortMapping {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let pair = match entry {
        Value::Mapping(map) => (
            map.get("published").and_then(text).unwrap_or_default(),
            map.get("target").and_then(text).unwrap_or_default(),
        ),
        entry => {
            let filled = fill(&text(entry).unwrap_or_default(), settings);
            let filled = filled.split('/').next().unwrap_or_default().to_owned();
            let mut parts = filled.rsplit(':').map(str::to_owned);
            let inside = parts.next().unwrap_or_default();
            (parts.next().unwrap_or_default(), inside)
        }
    };
    match (fill(&pair.0, settings).parse(), fill(&pair.1, settings).parse()) {
        (Ok(outside), Ok(inside)) => PortMapping::Known { inside, outside },
        _ => PortMapping::Unclear,
    }
}

/// Substitutes autopack's variables in the forms known to compose; other variables stay unchanged.
fn fill(text: &str, settings: &QdrantSettings) -> String {
    let mut filled = text.to_owned();
    for (variable, value) in variables(settings) {
        for start in [format!("${{{variable}:-"), format!("${{{variable}-")] {
            while let Some(from) = filled.find(&start)
                && let Some(length) = filled[from..].find('}')
            {
                filled.replace_range(from..=from + length, &value);
            }
        }
        filled = filled.replace(&format!("${{{variable}}}"), &value);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_published_ports_are_reported_before_any_start() {
        let settings = QdrantSettings { port: 7333, grpc_port: 7334, ..QdrantSettings::default() };
        let checked = |ports: &str, settings: &QdrantSettings| {
            let entries: Vec<Value> = serde_yaml::from_str(ports).unwrap();
            check("docker-compose.yml", &entries, settings)
        };
        for fits in [
            "['127.0.0.1:7333:6333', '7334:6334/tcp']",
            "['127.0.0.1:${AUTOPACK_QDRANT_PORT:-6333}:6333', '${AUTOPACK_QDRANT_GRPC_PORT-6334}:6334']",
            "[{target: 6333, published: 7333}, {target: 6334, published: '${AUTOPACK_QDRANT_GRPC_PORT}'}]",
            "['127.0.0.1:${OTHER}:6333', '7334:6334']",
            "['7333-7334:6333-6334']",
        ] {
            assert_eq!(checked(fits, &settings), Ok(()), "{fits}");
        }
        let fixed = "['127.0.0.1:6333:6333', '127.0.0.1:6334:6334']";
        let why = checked(fixed, &settings).unwrap_err();
        assert!(
            why.starts_with(
                "docker-compose.yml publishes Qdrant's port 6333 at port 6333, not 7333; "
            ),
            "{why}"
        );
        let why = checked("['7333:6333']", &settings).unwrap_err();
        assert!(why.contains("6334 at no port, not 7334"), "{why}");
        assert_eq!(checked(fixed, &QdrantSettings::default()), Ok(()));
    }
}
