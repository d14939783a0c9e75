//! The text of a new configuration file: short, with comments for what was not found.

use super::project_facts::{FoundAgent, FoundCommand, ProjectFacts};

/// Formats the configuration file, at most 25 lines. `schema` is the file of the JSON Schema, for editors.
pub fn format_config(facts: &ProjectFacts, schema: &str) -> String {
    let mut lines = vec![
        format!("# yaml-language-server: $schema={schema}"),
        "# Settings of autopack for this repository; every key is optional. All keys,".to_owned(),
        "# with their meaning: `autopack schema config`. Values now: `autopack config show`."
            .to_owned(),
    ];
    lines.extend(agents(&facts.agents));
    match &facts.ci {
        FoundCommand::None => lines.extend(
            ["ci:", "  # command: make test   # none was found: only deliverables are checked"]
                .map(str::to_owned),
        ),
        FoundCommand::Detected(command) => {
            lines.push("ci:".to_owned());
            lines.push(format!(
                "  # command: {}   # detected; a command here replaces it",
                text(command)
            ));
        }
        FoundCommand::Chosen(command) => {
            lines.push("ci:".to_owned());
            lines.push(format!("  command: {}", text(command)));
        }
    }
    let setup = match &facts.setup {
        FoundCommand::Chosen(command) => Some(command),
        FoundCommand::None | FoundCommand::Detected(_) => None,
    };
    if setup.is_some() || !facts.link.is_empty() {
        lines.push("workspace:".to_owned());
    }
    if let Some(command) = setup {
        lines.push(format!("  setup: {}   # in each copy, before agents and CI", text(command)));
    }
    if !facts.link.is_empty() {
        let paths: Vec<String> = facts.link.iter().map(|path| text(path)).collect();
        let paths = paths.join(", ");
        lines.push(format!("  link: [{paths}]   # copied from your checkout; agents can read it"));
    }
    lines.extend(["executor:", "  budgets:"].map(str::to_owned));
    lines.push(match facts.budget_usd {
        Some(dollars) => {
            format!("    drain: {{cost_usd: {dollars}}}   # a drain stops when it is spent")
        }
        None => "    # drain: {cost_usd: 10, tokens: 2000000}   # a drain stops when one is spent"
            .to_owned(),
    });
    lines.join("\n") + "\n"
}

/// Agents listed at most; `autopack health` shows the others.
const AGENTS: usize = 7;

fn agents(found: &[FoundAgent]) -> Vec<String> {
    let Some(first) = found.first() else {
        return [
            "agents:",
            "  # default: claude",
            "  # claude: {kind: claude}   # or another kind of docs/agents.md",
        ]
        .map(str::to_owned)
        .into();
    };
    let mut lines = vec!["agents:".to_owned(), format!("  default: {}", first.name)];
    lines.extend(found.iter().take(AGENTS).map(|FoundAgent { name, model, note }| {
        let model = model.as_ref().map(|model| format!(", model: {}", text(model)));
        format!("  {name}: {{kind: {name}{}}}   # {note}", model.unwrap_or_default())
    }));
    lines
}

/// Quotes a text for YAML.
fn text(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    match value.chars().all(plain)
        && value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '.')
    {
        true => value.to_owned(),
        // JSON is YAML.
        false => serde_json::Value::from(value).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn agent(name: &str) -> FoundAgent {
        FoundAgent { name: name.to_owned(), model: None, note: "1.2.3, found on PATH".to_owned() }
    }

    fn parsed(text: &str) -> Settings {
        assert!(text.lines().count() <= 25, "{text}");
        let value: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
        let entries = value.as_mapping().unwrap().clone();
        let given = entries.into_iter().filter(|(_, value)| !value.is_null());
        let given: serde_yaml::Mapping =
            given.map(|(key, value)| (key, strip_nulls(value))).collect();
        serde_yaml::from_value(given.into()).unwrap()
    }

    /// Keys without a value mean the default, as in [`crate::config::load`].
    fn strip_nulls(value: serde_yaml::Value) -> serde_yaml::Value {
        match value {
            serde_yaml::Value::Mapping(entries) => serde_yaml::Value::Mapping(
                entries.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            ),
            value => value,
        }
    }

    #[test]
    fn a_file_without_findings_has_only_defaults() {
        assert_eq!(parsed(&format_config(&ProjectFacts::default(), "x.json")), Settings::default());
    }

    #[test]
    fn everything_found_fits_25_lines_and_is_read_back() {
        let kinds = ["claude", "codex", "opencode", "gemini", "goose", "aider", "mini-swe-agent"];
        let facts = ProjectFacts {
            agents: kinds.map(agent).to_vec(),
            ci: FoundCommand::Chosen("make \"all\": # test".to_owned()),
            setup: FoundCommand::Chosen("npm ci && cd x".to_owned()),
            link: vec![".env".to_owned()],
            budget_usd: Some(7.5),
        };
        let text = format_config(&facts, "x.json");
        let settings = parsed(&text);
        assert_eq!(settings.agents.default.as_deref(), Some("claude"));
        assert_eq!(settings.agents.named.len(), 7);
        assert_eq!(settings.workspace.link, [".env"]);
        assert_eq!(settings.executor.budgets.drain.cost_usd, Some(7.5));
        let command = crate::config::CommandLine::Shell("make \"all\": # test".to_owned());
        assert_eq!(settings.ci.command, Some(command));
    }
}
