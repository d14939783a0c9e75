//! Environments that agents, CI and setup inherit from autopack, with secret variables by need.

use std::collections::{BTreeMap, BTreeSet};

use super::views::Views;
use crate::agent;
use crate::config::Settings;
use crate::process::child_env::{Env, InheritedEnv, SharedDatabase, is_provider_key};

/// Names in the line about withheld variables.
const MOST_NAMES: usize = 5;

/// Environments that agents, CI and setup inherit.
#[derive(Clone, Debug, Default)]
pub struct InheritedEnvironments {
    agents: BTreeMap<String, InheritedEnv>,
    /// Environment of CI.
    pub ci: InheritedEnv,
    /// Environment of setup and frozen installs.
    pub setup: InheritedEnv,
    /// Secret variables by the configuration.
    keys: Vec<String>,
}

impl InheritedEnvironments {
    /// Selects the environments from autopack's environment. `keys` are the variables with keys named by the
    /// configuration.
    pub fn new(env: &Env, settings: &Settings, keys: &[&str], database: SharedDatabase) -> Self {
        let select = |allowed: &[String]| InheritedEnv::select(env, database, keys, allowed);
        let agents = settings.agents.named.iter();
        Self {
            agents: agents
                .map(|(name, agent)| (name.clone(), select(&agent::secret_variables(agent, env))))
                .collect(),
            ci: select(&settings.ci.env_pass),
            setup: select(&settings.workspace.env_pass),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    /// Adds the variables of agents in a view of namespaces.
    #[must_use]
    pub fn in_view(mut self, views: &Views, settings: &Settings) -> Self {
        if views.moves_checkouts() {
            for (name, agent) in &settings.agents.named {
                if let Some(inherited) = self.agents.get_mut(name) {
                    agent::add_view_env(agent, &mut inherited.env);
                }
            }
        }
        self
    }

    /// Returns the environment of an agent. An unknown agent gets CI's.
    pub fn of_agent(&self, name: &str) -> &InheritedEnv {
        self.agents.get(name).unwrap_or(&self.ci)
    }

    /// Returns the agents, CI and setup with their environments; agents by name first.
    pub fn all(&self) -> impl Iterator<Item = (&str, &InheritedEnv)> {
        let agents = self.agents.iter().map(|(name, env)| (name.as_str(), env));
        agents.chain([("CI", &self.ci), ("setup", &self.setup)])
    }

    /// Describes in one line which secret variables are withheld from these agents, CI and setup. Keys of model
    /// providers are never meant for CI and setup, and are not told.
    pub fn describe_withheld(&self, agents: &[&str]) -> Option<String> {
        let of_agents: BTreeMap<&str, &InheritedEnv> =
            agents.iter().map(|name| (*name, self.of_agent(name))).collect();
        let names: BTreeSet<&str> = of_agents
            .values()
            .chain(&[&self.ci, &self.setup])
            .flat_map(|env| env.withheld.iter().map(String::as_str))
            .collect();
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for name in names {
            let Some(programs) = self.programs_without(name, &of_agents) else { continue };
            match groups.iter_mut().find(|(known, _)| *known == programs) {
                Some((_, names)) => names.push(name),
                None => groups.push((programs, vec![name])),
            }
        }
        let (mut shown, mut left) = (Vec::new(), MOST_NAMES);
        let all: usize = groups.iter().map(|(_, names)| names.len()).sum();
        for (programs, names) in groups {
            let names = &names[..names.len().min(left)];
            if !names.is_empty() {
                left -= names.len();
                shown.push(format!("{} from {programs}", names.join(", ")));
            }
        }
        let more = all.saturating_sub(MOST_NAMES);
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        (!shown.is_empty()).then(|| {
            format!("withheld secret variables: {} (env_pass passes them on)", shown.join("; "))
        })
    }

    /// Returns the programs from which a variable is withheld, as text; `None` if this is as usual.
    fn programs_without(
        &self,
        name: &str,
        agents: &BTreeMap<&str, &InheritedEnv>,
    ) -> Option<String> {
        let lacks = |env: &InheritedEnv| env.withheld.iter().any(|withheld| withheld == name);
        let without: Vec<&str> =
            agents.iter().filter(|(_, env)| lacks(env)).map(|(name, _)| *name).collect();
        let mut programs = match without.as_slice() {
            [] => Vec::new(),
            [one] => vec![format!("agent {one}")],
            all if all.len() == agents.len() => vec!["agents".to_owned()],
            some => vec![format!("agents {}", some.join(", "))],
        };
        if !is_provider_key(name) && !self.keys.iter().any(|key| key == name) {
            for (program, env) in [("CI", &self.ci), ("setup", &self.setup)] {
                programs.extend(lacks(env).then(|| program.to_owned()));
            }
        }
        let (last, rest) = programs.split_last()?;
        Some(match rest {
            [] => last.clone(),
            rest => format!("{} and {last}", rest.join(", ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environments(yaml: &str, names: &[&str], keys: &[&str]) -> InheritedEnvironments {
        let settings: Settings = serde_yaml::from_str(yaml).unwrap();
        let env = names.iter().map(|name| ((*name).into(), "value".into())).collect();
        InheritedEnvironments::new(&env, &settings, keys, SharedDatabase::Application)
    }

    const TWO: &str =
        "agents: {a: {kind: claude}, b: {kind: command, command: [x], env_pass: [MY_TOKEN]}}";

    #[test]
    fn each_program_inherits_what_it_needs() {
        let names = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "MY_TOKEN", "PATH", "EMBED_ACCESS"];
        let yaml = format!("{TWO}\nci: {{env_pass: ['MY_*']}}");
        let found = environments(&yaml, &names, &["EMBED_ACCESS"]);
        let secrets = |name: &str| found.of_agent(name).secrets.clone();
        assert_eq!(secrets("a"), ["ANTHROPIC_API_KEY"]);
        assert_eq!(secrets("b"), ["ANTHROPIC_API_KEY", "MY_TOKEN", "OPENAI_API_KEY"]);
        assert_eq!(
            (found.ci.secrets.clone(), found.setup.secrets.len()),
            (vec!["MY_TOKEN".to_owned()], 0)
        );
        assert!(found.all().all(|(_, env)| env.env.len() == env.secrets.len() + 1));
        assert_eq!(found.of_agent("none"), &found.ci);
    }

    #[test]
    fn the_line_names_variables_by_program() {
        let line = |names: &[&str], agents: &[&str]| {
            environments(TWO, names, &["EMBED_ACCESS"]).describe_withheld(agents)
        };
        assert_eq!(line(&["PATH", "ANTHROPIC_API_KEY"], &["a", "b"]), None);
        let text = |line: Option<String>| {
            let line = line.unwrap_or_default();
            let text = line.strip_prefix("withheld secret variables: ").unwrap().to_owned();
            text.strip_suffix(" (env_pass passes them on)").unwrap().to_owned()
        };
        assert_eq!(text(line(&["OPENAI_API_KEY"], &["a", "b"])), "OPENAI_API_KEY from agent a");
        assert_eq!(text(line(&["MY_TOKEN"], &["b"])), "MY_TOKEN from CI and setup");
        assert_eq!(text(line(&["EMBED_ACCESS"], &["a", "b"])), "EMBED_ACCESS from agents");
        assert_eq!(
            text(line(&["GITHUB_TOKEN", "NPM_TOKEN", "MY_TOKEN"], &["a", "b"])),
            "GITHUB_TOKEN, NPM_TOKEN from agents, CI and setup; MY_TOKEN from agent a, CI and setup"
        );
        let many = ["A_TOKEN", "B_TOKEN", "C_TOKEN", "D_TOKEN", "MY_TOKEN", "X_TOKEN", "Y_TOKEN"];
        assert_eq!(
            text(line(&many, &["b"])),
            "A_TOKEN, B_TOKEN, C_TOKEN, D_TOKEN, X_TOKEN from agent b, CI and setup; and 2 more"
        );
    }
}
