//! Files shipped beside the program agree with the program.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use autopack::config::{AgentSettings, EmbedderSettings, env};
use serde_yaml::Value;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_key_and_variable_is_documented() {
    let documented = text("docs/configuration.md");
    let mut keys = BTreeSet::new();
    for (name, text) in autopack::config::shipped() {
        collect("", &serde_yaml::from_str(text).expect(name), &mut keys);
    }
    for sample in AgentSettings::samples(&autopack::agent::program_kinds()) {
        collect("", &serde_yaml::to_value(sample).expect("plain data"), &mut keys);
    }
    for sample in EmbedderSettings::samples() {
        collect("memory.embedder.", &serde_yaml::to_value(sample).expect("plain data"), &mut keys);
    }
    keys.extend(env::OVERRIDES.iter().map(|entry| entry.variable.to_owned()));
    keys.extend([env::CONFIG_DIR, env::DATABASE_URL, env::SHARED_DATABASE_URL].map(str::to_owned));
    let missing: Vec<_> =
        keys.iter().filter(|key| !documented.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "not in docs/configuration.md: {missing:?}");
}

fn collect(prefix: &str, value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Mapping(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let key = key.as_str().expect("keys are text");
                let path = format!("{prefix}{key}");
                match value.is_mapping() {
                    true => collect(&format!("{path}."), value, keys),
                    false => drop(keys.insert(path)),
                }
            }
        }
        _ => drop(keys.insert(prefix.trim_end_matches('.').to_owned())),
    }
}

#[test]
fn the_compose_file_runs_the_image_of_the_memory_on_this_machine_only() {
    let compose: Value = serde_yaml::from_str(&text("docker-compose.yml")).expect("YAML");
    let service = &compose["services"]["qdrant"];
    let image = autopack::config::QdrantSettings::default().image;
    assert_eq!(service["image"].as_str(), Some(image.as_str()));
    let ports = service["ports"].as_sequence().expect("ports");
    assert!(
        ports.iter().all(|port| port.as_str().is_some_and(|port| port.starts_with("127.0.0.1:")))
    );
    assert_eq!(service["labels"]["autopack.service"].as_str(), Some("qdrant"));
    assert_eq!(service["volumes"][0].as_str(), Some("qdrant_storage:/qdrant/storage"));
    assert_eq!(
        compose["volumes"]["qdrant_storage"]["name"].as_str(),
        Some("autopack_qdrant_storage")
    );
}

#[test]
fn the_compose_file_of_workers_has_the_same_qdrant_no_password_and_no_open_port() {
    let file = text("compose.workers.yml");
    let workers: Value = serde_yaml::from_str(&file).expect("YAML");
    let memory: Value = serde_yaml::from_str(&text("docker-compose.yml")).expect("YAML");
    for key in ["image", "healthcheck"] {
        assert_eq!(workers["services"]["qdrant"][key], memory["services"]["qdrant"][key], "{key}");
    }
    let services = workers["services"].as_mapping().expect("services");
    assert!(services.values().all(|service| service.get("ports").is_none()));
    // Compose ends with a message where the variable is missing or empty.
    let passwords: Vec<&str> = file.lines().filter(|line| line.contains("PASSWORD: ")).collect();
    assert_eq!(passwords.len(), 2, "{passwords:?}");
    assert!(passwords.iter().all(|line| line.contains(": ${AUTOPACK_POSTGRES_PASSWORD:?")));
}
