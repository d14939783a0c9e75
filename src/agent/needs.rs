//! What each agent needs of the machine, and how it behaves in a view.

use std::ffi::OsStr;

use super::adapters::{self, Adapter, Runner};
use super::providers;
use super::runner::own_sandbox::OwnSandbox;
use crate::config::{AgentSettings, ProgramAgentSettings};
use crate::process::child_env::Env;
use crate::process::view::spec::ViewMode;

pub use crate::process::view::agent_needs::{AgentNeeds, CloudNeeds, CredentialFile, HomeVariable};

/// Returns what an agent needs of the machine. A `command` or `replay` agent may start any known agent, so it needs the
/// same as all of them; the built-in agent runs in autopack itself and needs nothing.
pub fn needs(settings: &AgentSettings) -> AgentNeeds {
    match Runner::of(settings) {
        Ok(Runner::Program(adapter, settings)) => {
            let mut needs = adapter.needs();
            if adapter.takes_any_provider() {
                providers::limit_hosts(&mut needs, settings.model.as_deref());
            }
            needs
        }
        Ok(Runner::Command(_) | Runner::Replay(_)) => needs_of_all(),
        Ok(Runner::Builtin(_)) | Err(_) => AgentNeeds::default(),
    }
}

/// Returns the needs of all known agents together.
pub fn needs_of_all() -> AgentNeeds {
    let mut all = AgentNeeds::default();
    for adapter in adapters::ADAPTERS {
        all.add(&adapter.needs());
    }
    all
}

/// Adds the variables for an agent in a view of namespaces, unless the user sets them.
pub fn add_view_env(settings: &AgentSettings, env: &mut Env) {
    let own = match settings {
        AgentSettings::Program { settings, .. } => Some(&settings.env),
        AgentSettings::Command(settings) => Some(&settings.env),
        AgentSettings::Replay(_) | AgentSettings::Builtin(_) => None,
    };
    for (name, value) in needs(settings).view_env {
        let is_users = own.is_some_and(|own| own.contains_key(name));
        if !is_users && !env.contains_key(OsStr::new(name)) {
            env.insert(name.into(), value.into());
        }
    }
}

/// The place in which an agent runs, for its own sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentPlace {
    /// How the view is built.
    pub mode: ViewMode,
    /// Whether autopack runs as root.
    pub is_root: bool,
    /// Whether a program in the view can create a user namespace, as in `unshare -Ur true`.
    pub nests: bool,
    /// Whether the view can have overlays.
    pub has_overlays: bool,
}

impl AgentPlace {
    /// Whether a sandbox made of namespaces works here. Landlock refuses mounts, and root's view has no privileges
    /// left for them. `needs` are the agent's.
    pub(crate) fn allows_namespaces(self, needs: &AgentNeeds) -> bool {
        match self.mode {
            ViewMode::Off => true,
            ViewMode::Landlock => false,
            ViewMode::Namespaces => {
                !self.is_root && self.nests && (self.has_overlays || !needs.separate_tmp)
            }
        }
    }
}

/// Decides about an agent's own sandbox in a place. `env` is the agent's environment.
pub fn own_sandbox(settings: &AgentSettings, env: &Env, place: AgentPlace) -> OwnSandbox {
    match Runner::of(settings) {
        Ok(Runner::Program(adapter, settings)) => own_sandbox_of(adapter, settings, env, place),
        _ => OwnSandbox::default(),
    }
}

/// Whether an agent runs commands in a sandbox of its own in this place.
pub fn keeps_own_sandbox(settings: &AgentSettings, env: &Env, place: AgentPlace) -> bool {
    match Runner::of(settings) {
        Ok(Runner::Program(adapter, settings)) => {
            place.allows_namespaces(&adapter.needs()) && adapter.uses_own_sandbox(settings, env)
        }
        _ => false,
    }
}

fn own_sandbox_of(
    adapter: &dyn Adapter,
    settings: &ProgramAgentSettings,
    env: &Env,
    place: AgentPlace,
) -> OwnSandbox {
    if place.allows_namespaces(&adapter.needs()) {
        return OwnSandbox::default();
    }
    let Some(args) = adapter.without_own_sandbox(settings, env) else {
        return OwnSandbox::default();
    };
    let (kind, shown) = (adapter.kind(), args.join(" "));
    let why = match place.mode {
        ViewMode::Landlock => "it does not work in a view of Landlock rules",
        _ if place.is_root => "it does not work in root's view",
        _ if place.nests => "it does not work without overlays",
        _ => "the view allows no further namespaces",
    };
    let note = format!(
        "{kind}: its own sandbox is off ({shown}), because {why}; autopack's view limits it"
    );
    OwnSandbox { is_kept: false, note: Some(note), args }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::agent::adapters::program_kinds;
    use crate::config::CommandAgentSettings;

    fn program(kind: &str, settings: ProgramAgentSettings) -> AgentSettings {
        AgentSettings::Program { kind: kind.to_owned(), settings }
    }

    fn plain(kind: &str) -> AgentSettings {
        program(kind, ProgramAgentSettings::default())
    }

    fn with_model(kind: &str, model: &str) -> AgentSettings {
        program(
            kind,
            ProgramAgentSettings {
                model: Some(model.to_owned()),
                ..ProgramAgentSettings::default()
            },
        )
    }

    fn place(mode: ViewMode, is_root: bool, nests: bool) -> AgentPlace {
        AgentPlace { mode, is_root, nests, has_overlays: true }
    }

    #[test]
    fn every_path_of_state_is_below_home() {
        let all = needs_of_all();
        let inside =
            |path: &str| !path.is_empty() && !path.starts_with('/') && !path.contains("..");
        let below = |path: &str| {
            all.directories
                .iter()
                .any(|top| path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/')))
        };
        assert!(
            all.directories.iter().chain(&all.files).chain(&all.secrets).all(|path| inside(path))
        );
        for path in all.sessions.iter().chain(&all.records) {
            assert!(below(path), "{path} is in no directory of state");
        }
        for file in &all.credentials {
            assert!(below(file.path) && file.path.ends_with(".json"), "{}", file.path);
            let is_session = |top: &str| file.path.starts_with(&format!("{top}/"));
            assert!(!all.sessions.iter().any(|top| is_session(top)), "{}", file.path);
        }
    }

    #[test]
    fn each_agent_names_its_state_hosts_and_variables() {
        for kind in program_kinds() {
            let needs = needs(&plain(kind));
            assert!(!needs.directories.is_empty(), "{kind}");
            assert!(!needs.hosts.is_empty() && !needs.env.is_empty(), "{kind}");
        }
    }

    #[test]
    fn a_command_agent_may_start_any_agent() {
        let settings = AgentSettings::Command(CommandAgentSettings {
            command: vec!["agent".to_owned()],
            prompt: Default::default(),
            timeout_seconds: 1,
            idle_timeout_seconds: 1,
            env: BTreeMap::new(),
            env_pass: Vec::new(),
        });
        assert_eq!(needs(&settings), needs_of_all());
        assert!(needs(&settings).directories.contains(&".codex"));
    }

    #[test]
    fn the_model_limits_the_hosts() {
        let hosts = |model: &str| needs(&with_model("aider", model)).needed_hosts(&Env::new());
        assert_eq!(hosts("openrouter/anthropic/claude"), ["openrouter.ai"]);
        assert!(hosts("unknown/model").len() > 10);
        let bedrock = needs(&with_model("opencode", "amazon-bedrock/claude"));
        assert!(bedrock.secret_variables(&Env::new()).contains(&"AWS_SECRET_ACCESS_KEY"));
        let own = needs(&with_model("opencode", "anthropic/claude"));
        assert!(own.hosts.contains(&"models.dev"), "the agent's own hosts stay");
    }

    #[test]
    fn codex_gives_up_its_sandbox_where_namespaces_do_not_nest() {
        let decide = |settings: &AgentSettings, place| own_sandbox(settings, &Env::new(), place);
        let codex = plain("codex");
        let nested = place(ViewMode::Namespaces, false, true);
        assert_eq!(decide(&codex, nested), OwnSandbox::default());
        assert_eq!(decide(&codex, place(ViewMode::Off, true, false)), OwnSandbox::default());
        for refused in [
            place(ViewMode::Namespaces, true, true),
            place(ViewMode::Namespaces, false, false),
            place(ViewMode::Landlock, false, true),
            AgentPlace { has_overlays: false, ..nested },
        ] {
            let off = decide(&codex, refused);
            assert_eq!(off.args, ["-s", "danger-full-access"], "{refused:?}");
            assert!(!off.is_kept && off.note.is_some());
            assert_eq!(decide(&plain("goose"), refused), OwnSandbox::default());
        }
        let users = program(
            "codex",
            ProgramAgentSettings {
                extra_args: vec!["--sandbox".to_owned(), "read-only".to_owned()],
                ..ProgramAgentSettings::default()
            },
        );
        assert!(decide(&users, place(ViewMode::Namespaces, true, false)).is_kept);
    }

    #[test]
    fn the_decision_about_the_sandbox_is_in_the_arguments() {
        let args = |kind: &str, own_sandbox: OwnSandbox| {
            let input = adapters::ArgumentInput {
                settings: &ProgramAgentSettings::default(),
                session: None,
                prompt_file: "/prompt.md".as_ref(),
                deliverables: &[],
                scratch: "/scratch".as_ref(),
                file: "/scratch/account".as_ref(),
                own_sandbox: &own_sandbox,
            };
            adapters::find(kind).unwrap().command(&input).args.join(" ")
        };
        let off = |args: &[&str]| OwnSandbox {
            is_kept: false,
            note: None,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        };
        assert!(args("codex", OwnSandbox::default()).ends_with(" -s workspace-write"));
        let full = args("codex", off(&["-s", "danger-full-access"]));
        assert_eq!(full, "exec --json --skip-git-repo-check -s danger-full-access");
        assert!(args("claude", off(&["--settings", "{}"])).ends_with(" --settings {}"));
    }

    #[test]
    fn claudes_sandbox_is_turned_off_only_if_it_is_on() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::from([("HOME".into(), home.path().into())]);
        let decide = || own_sandbox(&plain("claude"), &env, place(ViewMode::Landlock, false, true));
        assert!(decide().is_kept);
        std::fs::create_dir(home.path().join(".claude")).unwrap();
        let file = home.path().join(".claude/settings.json");
        std::fs::write(&file, r#"{"sandbox": {"enabled": true}}"#).unwrap();
        assert_eq!(decide().args, ["--settings", r#"{"sandbox":{"enabled":false}}"#]);
        std::fs::write(&file, r#"{"sandbox": {"enabled": false}}"#).unwrap();
        assert!(decide().is_kept);
    }

    #[test]
    fn a_view_is_a_sandbox_for_claude_unless_the_user_says_otherwise() {
        let added = |settings: &AgentSettings, mut env: Env| {
            add_view_env(settings, &mut env);
            env.get(OsStr::new("IS_SANDBOX")).cloned()
        };
        assert_eq!(added(&plain("claude"), Env::new()), Some("1".into()));
        assert_eq!(
            added(&plain("claude"), Env::from([("IS_SANDBOX".into(), "0".into())])),
            Some("0".into())
        );
        assert_eq!(added(&plain("codex"), Env::new()), None);
    }
}
