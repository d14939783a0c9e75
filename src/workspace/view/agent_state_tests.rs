//! What of an agent's state reaches the user, and what reaches the agent.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::TempDir;

use super::agent_logins::logins_to_hide;
use super::agent_state::{PreparedState, StateMethod, StateRequest};
use crate::process::child_env::Env;
use crate::process::view::agent_needs::{AgentNeeds, CredentialFile, HomeVariable};
use crate::process::view::spec::{Access, Mount};

const LOGIN: &str = r#"{"oauth":{"accessToken":"old","refreshToken":"r1","expiresAt":1,"scopes":["a"]},"mcp":{"x":{"url":"https://x","accessToken":"m1"}}}"#;
const RENEWED: &str = r#"{"oauth":{"accessToken":"new","refreshToken":"r2","expiresAt":2,"scopes":["a"]},"mcp":{"x":{"url":"https://x","accessToken":"m2"}}}"#;

/// A user with an agent: HOME, and the directories of a slot.
struct User {
    at: TempDir,
    needs: AgentNeeds,
    env: Env,
}

impl User {
    fn new() -> Self {
        let needs = AgentNeeds {
            directories: vec![".agent", ".config/agent"],
            files: vec![".agent.json"],
            credentials: vec![CredentialFile {
                path: ".agent/login.json",
                renewed: &["accessToken", "refreshToken", "expiresAt"],
            }],
            secrets: vec![".config/agent/secrets.yaml"],
            sessions: vec![".agent/sessions"],
            records: vec![".agent/history"],
            home_variables: vec![
                HomeVariable { name: "AGENT_HOME", directory: ".agent", below: "" },
                HomeVariable { name: "XDG_CONFIG_HOME", directory: ".config", below: "" },
            ],
            ..AgentNeeds::default()
        };
        let user = Self { at: tempfile::tempdir().unwrap(), needs, env: Env::new() };
        for directory in ["home/.agent/hooks", "home/.agent/history", "home/.config/other", "app"] {
            fs::create_dir_all(user.path(directory)).unwrap();
        }
        user.write("home/.agent/login.json", LOGIN);
        user.write("home/.agent/settings.json", "{}");
        user.write("home/.agent.json", r#"{"mcpServers":{}}"#);
        user
    }

    fn path(&self, path: &str) -> PathBuf {
        fs::canonicalize(self.at.path()).unwrap().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn prepare_in(&self, slot: &str, method: StateMethod) -> PreparedState {
        PreparedState::prepare(&StateRequest {
            needs: &self.needs,
            env: &self.env,
            home: &self.path("home"),
            method,
            private: &self.path(slot).join("state"),
            private_home: &self.path(slot).join("home"),
            sessions: &self.path("sessions"),
            checkout: &self.path("app"),
        })
        .unwrap()
    }

    fn prepare(&self) -> PreparedState {
        self.prepare_in("slot", StateMethod::Overlays)
    }

    /// All files below HOME with their content.
    fn home(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut directories = vec![self.path("home")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() && !path.is_symlink() {
                    true => directories.push(path),
                    false => files.push((path.clone(), fs::read(&path).unwrap_or_default())),
                }
            }
        }
        files.sort();
        files
    }
}

fn target_of(mounts: &[Mount], target: &Path) -> usize {
    let found = mounts.iter().position(|mount| mount.target() == target);
    found.unwrap_or_else(|| panic!("no mount at {}: {mounts:#?}", target.display()))
}

#[test]
fn state_is_an_overlay_with_kept_sessions() {
    let user = User::new();
    let state = user.prepare();
    let mounts = &state.mounts.mounts;
    let overlay = &mounts[target_of(mounts, &user.path("home/.agent"))];
    let Mount::Overlay { lower, upper, work, .. } = overlay else { panic!("{overlay:?}") };
    assert_eq!(lower.as_path(), user.path("home/.agent"));
    assert!(upper.as_path().is_dir() && work.as_path().is_dir());
    assert_eq!(upper.as_path().parent(), work.as_path().parent());
    // The mount point exists in the overlay.
    assert!(upper.as_path().join("sessions").is_dir());
    let sessions = &mounts[target_of(mounts, &user.path("home/.agent/sessions"))];
    let kept = user.path("sessions/.agent/sessions");
    assert_eq!(
        *sessions,
        Mount::Bind {
            source: (&kept).into(),
            target: user.path("home/.agent/sessions").into(),
            access: Access::ReadWrite
        }
    );
    // A missing directory, in a mirror of its parent that comes first.
    let parent = target_of(mounts, &user.path("home/.config"));
    assert!(matches!(mounts[parent], Mount::Mirror { .. }));
    assert!(parent < target_of(mounts, &user.path("home/.config/agent")));
    // The state file is the agent's own copy.
    assert_eq!(user.read("slot/home/.agent.json"), r#"{"mcpServers":{}}"#);
    assert_eq!(state.mounts.skip, [".agent.json.lock"]);

    fs::write(kept.join("s1"), "").unwrap();
    fs::write(user.path("slot/home/.agent.json"), "planted").unwrap();
    fs::write(upper.as_path().join("CLAUDE.md"), "planted").unwrap();
    let next = user.prepare();
    assert!(kept.join("s1").exists(), "sessions stay");
    assert_eq!(user.read("slot/home/.agent.json"), r#"{"mcpServers":{}}"#);
    assert!(!upper.as_path().join("CLAUDE.md").exists(), "each attempt starts anew");
    assert_eq!(next.mounts, state.mounts);
}

#[test]
fn a_renewed_login_is_taken_over_and_nothing_planted_is() {
    for method in [StateMethod::Overlays, StateMethod::Copies, StateMethod::LinkedHome] {
        let user = User::new();
        let before = user.home();
        let mut state = user.prepare_in("slot", method);
        let layer = match method {
            StateMethod::Overlays => user.path("slot/state/state-0/upper"),
            StateMethod::Copies => user.path("slot/state/state-0/own"),
            StateMethod::LinkedHome => user.path("slot/home/.agent"),
        };
        assert!(layer.is_dir(), "{method:?}");
        fs::create_dir_all(layer.join("hooks")).unwrap();
        fs::create_dir_all(layer.join("plugins/evil")).unwrap();
        for name in [
            "settings.json",
            "hooks/start.sh",
            ".mcp.json",
            "CLAUDE.md",
            "AGENTS.md",
            "config.toml",
            "plugins/evil/plugin.json",
            "commands.md",
        ] {
            fs::write(layer.join(name), "planted").unwrap();
        }
        fs::write(user.path("slot/home/.agent.json"), r#"{"mcpServers":{"evil":{}}}"#).unwrap();
        assert!(state.write_back().is_empty(), "{method:?}");
        assert_eq!(user.home(), before, "{method:?}");

        fs::write(layer.join("login.json"), RENEWED).unwrap();
        let notes = state.write_back();
        assert!(notes[0].contains("~/.agent/login.json: took over"), "{method:?} {notes:?}");
        assert_eq!(user.read("home/.agent/login.json"), RENEWED);
        let mode = fs::metadata(user.path("home/.agent/login.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let others = |files: Vec<(PathBuf, Vec<u8>)>| -> Vec<_> {
            files.into_iter().filter(|(path, _)| !path.ends_with("login.json")).collect()
        };
        assert_eq!(others(user.home()), others(before), "{method:?}");

        // A second renewal in the same attempt.
        fs::write(layer.join("login.json"), RENEWED.replace("new", "newer")).unwrap();
        assert_eq!(state.write_back().len(), 1);
        assert!(user.read("home/.agent/login.json").contains("newer"));
        assert!(state.write_back().is_empty());
    }
}

#[test]
fn only_values_of_a_login_are_taken() {
    let user = User::new();
    let mut state = user.prepare();
    let evil = r#"{"oauth":{"accessToken":"new","refreshToken":"a\nb","expiresAt":null,"scopes":["a","all"],
        "hook":"x"},"mcp":{"x":{"url":"https://evil","accessToken":""},"y":{"accessToken":"z"}},"env":{"LD_PRELOAD":"x"}}"#;
    fs::write(user.path("slot/state/state-0/upper/login.json"), evil).unwrap();
    assert_eq!(state.write_back().len(), 1);
    assert_eq!(user.read("home/.agent/login.json"), LOGIN.replace("old", "new"));
}

#[test]
fn a_login_that_changed_meanwhile_is_left() {
    let user = User::new();
    let mut state = user.prepare();
    fs::write(user.path("slot/state/state-0/upper/login.json"), RENEWED).unwrap();
    let own = LOGIN.replace("old", "own");
    user.write("home/.agent/login.json", &own);
    let notes = state.write_back();
    assert!(notes[0].contains("your file changed meanwhile"), "{notes:?}");
    assert_eq!(user.read("home/.agent/login.json"), own);

    // The same content, but another file.
    let mut state = user.prepare();
    fs::write(user.path("slot/state/state-0/upper/login.json"), RENEWED).unwrap();
    fs::remove_file(user.path("home/.agent/login.json")).unwrap();
    user.write("home/.agent/login.json", &own);
    assert!(state.write_back()[0].contains("changed meanwhile"));
    fs::remove_file(user.path("home/.agent/login.json")).unwrap();
    assert!(state.write_back()[0].contains("changed meanwhile"));
    assert!(!user.path("home/.agent/login.json").exists());
}

#[test]
fn a_login_where_none_was_is_left() {
    let user = User::new();
    fs::remove_file(user.path("home/.agent/login.json")).unwrap();
    let mut state = user.prepare();
    assert!(state.write_back().is_empty());
    fs::write(user.path("slot/state/state-0/upper/login.json"), RENEWED).unwrap();
    assert!(state.write_back()[0].contains("you had no such file"));
    assert!(!user.path("home/.agent/login.json").exists());
}

#[test]
fn files_that_are_no_logins_are_left() {
    let user = User::new();
    let new = user.path("slot/state/state-0/upper/login.json");
    let before = user.home();
    for broken in
        ["", "{", "[]", "null", "\u{feff}{}", &format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20))]
    {
        let mut state = user.prepare();
        fs::write(&new, broken).unwrap();
        assert_eq!(state.write_back().len(), 1, "{broken:.20}");
    }
    assert_eq!(user.home(), before);
}

#[test]
fn links_are_not_followed() {
    let user = User::new();
    user.write("outside.json", RENEWED);
    let upper = user.path("slot/state/state-0/upper");
    let before = user.home();

    let mut state = user.prepare();
    symlink(user.path("outside.json"), upper.join("login.json")).unwrap();
    assert!(state.write_back()[0].contains("it is a link"));

    let mut state = user.prepare();
    nix::unistd::mkfifo(&upper.join("login.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(state.write_back()[0].contains("not a regular file"));

    // In a HOME of links, the agent can replace the whole directory.
    let mut state = user.prepare_in("slot", StateMethod::LinkedHome);
    fs::rename(user.path("slot/home/.agent"), user.path("slot/home/gone")).unwrap();
    user.write("evil/login.json", RENEWED);
    symlink(user.path("evil"), user.path("slot/home/.agent")).unwrap();
    assert!(state.write_back()[0].contains("it is a link"));
    assert_eq!(user.home(), before);

    // The user's file is a link, or a directory above it became one.
    let mut state = user.prepare();
    fs::write(upper.join("login.json"), RENEWED).unwrap();
    fs::rename(user.path("home/.agent"), user.path("home/moved")).unwrap();
    symlink("moved", user.path("home/.agent")).unwrap();
    assert!(state.write_back()[0].contains("it is a link"));
    let mut state = user.prepare();
    fs::write(upper.join("login.json"), RENEWED).unwrap();
    fs::rename(user.path("home/moved/login.json"), user.path("home/moved/real.json")).unwrap();
    symlink("real.json", user.path("home/moved/login.json")).unwrap();
    assert!(state.write_back()[0].contains("it is a link"));
    assert!(user.prepare().write_back().is_empty());
    assert_eq!(user.read("home/moved/real.json"), LOGIN);
}

#[test]
fn the_first_of_several_workers_wins() {
    let user = User::new();
    let states: Vec<_> = (0..8)
        .map(|worker| {
            let state = user.prepare_in(&format!("slot{worker}"), StateMethod::Overlays);
            let new = user.path(&format!("slot{worker}/state/state-0/upper/login.json"));
            fs::write(new, RENEWED.replace("new", &format!("worker{worker}"))).unwrap();
            state
        })
        .collect();
    let threads: Vec<_> =
        states.into_iter().map(|mut state| thread::spawn(move || state.write_back())).collect();
    let notes: Vec<String> =
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let taken = notes.iter().filter(|note| note.contains("took over")).count();
    let left = notes.iter().filter(|note| note.contains("changed meanwhile")).count();
    assert_eq!((taken, left), (1, 7), "{notes:?}");
    assert!(user.read("home/.agent/login.json").contains("worker"));
    let files = fs::read_dir(user.path("home/.agent")).unwrap().count();
    assert_eq!(files, 4, "no temporary file is left");
}

#[test]
fn state_behind_a_link_is_covered_where_it_is() {
    let user = User::new();
    fs::create_dir(user.path("home/dotfiles")).unwrap();
    fs::rename(user.path("home/.agent"), user.path("home/dotfiles/agent")).unwrap();
    symlink("dotfiles/agent", user.path("home/.agent")).unwrap();
    let mut state = user.prepare();
    let mounts = &state.mounts.mounts;
    target_of(mounts, &user.path("home/dotfiles/agent"));
    target_of(mounts, &user.path("home/dotfiles/agent/sessions"));
    fs::write(user.path("slot/state/state-0/upper/login.json"), RENEWED).unwrap();
    assert!(state.write_back()[0].contains("took over"));
    assert_eq!(user.read("home/dotfiles/agent/login.json"), RENEWED);
}

#[test]
fn state_in_the_checkout_gets_a_place_in_home() {
    let user = User::new();
    fs::rename(user.path("home/.agent"), user.path("app/agent")).unwrap();
    symlink(user.path("app/agent"), user.path("home/.agent")).unwrap();
    let state = user.prepare();
    let mounts = &state.mounts.mounts;
    let overlay = &mounts[target_of(mounts, &user.path("home/.agent"))];
    assert!(
        matches!(overlay, Mount::Overlay { lower, .. } if lower.as_path() == user.path("app/agent"))
    );
    assert!(user.path("slot/home/.agent").is_dir(), "it covers the link");
    target_of(mounts, &user.path("home/.agent/sessions"));
}

#[test]
fn variables_move_state() {
    let mut user = User::new();
    fs::create_dir_all(user.path("moved/agent")).unwrap();
    user.write("elsewhere/login.json", LOGIN);
    user.env.insert("AGENT_HOME".into(), user.path("elsewhere").into());
    user.env.insert("XDG_CONFIG_HOME".into(), user.path("moved").into());
    let mut state = user.prepare();
    let mounts = &state.mounts.mounts;
    for place in ["elsewhere", "elsewhere/sessions", "moved/agent"] {
        target_of(mounts, &user.path(place));
    }
    fs::write(user.path("slot/state/state-0/upper/login.json"), RENEWED).unwrap();
    assert!(state.write_back()[0].contains("took over"));
    assert_eq!(user.read("elsewhere/login.json"), RENEWED);
    assert_eq!(user.read("home/.agent/login.json"), LOGIN);
}

#[test]
fn a_missing_place_outside_of_home_is_named() {
    let mut user = User::new();
    user.env.insert("AGENT_HOME".into(), "/nowhere/agent".into());
    let state = user.prepare();
    assert!(state.notes[0].contains("~/.agent cannot be made private"), "{:?}", state.notes);
}

#[test]
fn a_home_of_links_has_private_state() {
    let mut user = User::new();
    user.env.insert("XDG_CONFIG_HOME".into(), user.path("home/.config").into());
    user.env.insert("AGENT_HOME".into(), user.path("home/.agent").into());
    user.write("home/.bashrc", "");
    user.write("home/.agent.json.lock", "");
    user.write("home/.agent/history/h1", "");
    let state = user.prepare_in("slot", StateMethod::LinkedHome);
    let home = user.path("slot/home");
    assert_eq!(fs::read_link(home.join(".bashrc")).unwrap(), user.path("home/.bashrc"));
    assert_eq!(fs::read_link(home.join(".config/other")).unwrap(), user.path("home/.config/other"));
    let session = home.join(".agent/sessions");
    assert_eq!(fs::read_link(session).unwrap(), user.path("sessions/.agent/sessions"));
    assert!(home.join(".agent/settings.json").is_file() && home.join(".config/agent").is_dir());
    assert!(!home.join(".agent/history").exists() && !home.join(".agent.json.lock").exists());
    assert_eq!(
        state.environment,
        [
            ("HOME".into(), Some(home.clone().into())),
            ("AGENT_HOME".into(), Some(home.join(".agent").into())),
            ("XDG_CONFIG_HOME".into(), Some(home.join(".config").into())),
        ]
    );
    let sources = state.mounts.mounts.iter().map(|mount| match mount {
        Mount::Bind { source, access: Access::ReadWrite, .. } => source.as_path().to_owned(),
        other => panic!("{other:?}"),
    });
    assert_eq!(sources.collect::<Vec<_>>(), [home, user.path("sessions")]);
}

#[test]
fn state_and_logins_of_other_agents_are_hidden() {
    let user = User::new();
    user.write("home/.config/agent/secrets.yaml", "");
    let home = user.path("home");
    let hidden = |own: &AgentNeeds| logins_to_hide(&user.needs, own, &home, &user.env);
    assert!(hidden(&user.needs).is_empty());
    let files = [".agent/login.json", ".config/agent/secrets.yaml", ".agent.json"];
    let all = [files[0], files[1], files[2], ".agent", ".config/agent"];
    assert_eq!(hidden(&AgentNeeds::default()), all.map(|path| home.join(path)));
}
