//! Health check of secret variables: which program would inherit which.

use std::collections::BTreeSet;

use super::Finding;
use crate::attempt::InheritedEnvironments;

/// Lists the variables of autopack's environment that look like secrets, by the program that would inherit them.
pub fn check_secret_variables(environments: &InheritedEnvironments) -> Finding {
    let mut withheld: BTreeSet<&str> = BTreeSet::new();
    let mut parts = Vec::new();
    for (program, env) in environments.all() {
        withheld.extend(env.withheld.iter().map(String::as_str));
        let secrets =
            if env.secrets.is_empty() { "none".to_owned() } else { env.secrets.join(", ") };
        parts.push(format!("{program}: {secrets}"));
    }
    let inherited = |name: &str| {
        environments.all().any(|(_, env)| env.secrets.iter().any(|secret| secret == name))
    };
    if parts.iter().all(|part| part.ends_with(": none")) && withheld.is_empty() {
        return Finding::ok("no secret variables are set");
    }
    withheld.retain(|name| !inherited(name));
    if !withheld.is_empty() {
        let names: Vec<&str> = withheld.into_iter().collect();
        parts.push(format!("nobody: {}", names.join(", ")));
    }
    Finding::ok(format!("secret variables for {}", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::process::child_env::SharedDatabase;

    fn detail(names: &[&str]) -> String {
        let yaml = "{agents: {mine: {kind: claude}}, workspace: {env_pass: [NPM_TOKEN]}}";
        let settings: Settings = serde_yaml::from_str(yaml).unwrap();
        let env = names.iter().map(|name| ((*name).into(), "value".into())).collect();
        let application = SharedDatabase::Application;
        let environments = InheritedEnvironments::new(&env, &settings, &[], application);
        check_secret_variables(&environments).detail
    }

    #[test]
    fn variables_are_listed_by_program() {
        assert_eq!(detail(&["PATH"]), "no secret variables are set");
        assert_eq!(
            detail(&["ANTHROPIC_API_KEY", "GITHUB_TOKEN", "NPM_TOKEN", "PATH"]),
            "secret variables for mine: ANTHROPIC_API_KEY; CI: none; setup: NPM_TOKEN; nobody: GITHUB_TOKEN"
        );
    }
}
