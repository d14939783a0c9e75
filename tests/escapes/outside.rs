//! The outside: a project with everything around it that an escape could reach.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::attempt::Role;
use crate::support::Project;

/// Files of the home directory with a secret each, and the secret's name. Names starting with `agent-` are shown to
/// agents, names starting with `registry-` to setup.
const SECRETS: [(&str, &str); 57] = [
    (".ssh/id_rsa", "ssh"),
    (".gnupg/private-keys-v1.d/key.key", "gnupg"),
    (".aws/credentials", "aws"),
    (".azure/msal_token_cache.json", "azure"),
    (".config/gcloud/application_default_credentials.json", "gcloud"),
    (".kube/config", "kube"),
    (".docker/config.json", "docker"),
    (".config/gh/hosts.yml", "gh"),
    (".config/glab-cli/config.yml", "glab"),
    (".config/hub", "hub"),
    (".netrc", "netrc"),
    (".git-credentials", "git-credentials"),
    (".config/git/credentials", "git-credentials-xdg"),
    (".password-store/mail.gpg", "password-store"),
    (".local/share/keyrings/login.keyring", "keyring-file"),
    (".config/op/config", "op"),
    (".config/sops/age/keys.txt", "sops"),
    (".terraform.d/credentials.tfrc.json", "terraform"),
    (".vault-token", "vault"),
    (".pgpass", "pgpass"),
    (".my.cnf", "mysql"),
    (".config/rclone/rclone.conf", "rclone"),
    (".s3cfg", "s3cfg"),
    (".mozilla/firefox/profile/logins.json", "firefox"),
    (".config/google-chrome/Default/Login Data", "chrome"),
    (".config/chromium/Default/Cookies", "chromium"),
    (".config/Code/User/globalStorage/state.vscdb", "editor"),
    (".thunderbird/profile/key4.db", "thunderbird"),
    (".bash_history", "bash-history"),
    (".zsh_history", "zsh-history"),
    (".python_history", "python-history"),
    (".psql_history", "psql-history"),
    (".node_repl_history", "node-history"),
    (".npmrc", "registry-npm"),
    (".config/pip/pip.conf", "registry-pip"),
    (".pypirc", "registry-pypi"),
    (".cargo/credentials.toml", "registry-cargo"),
    (".gem/credentials", "registry-gem"),
    (".m2/settings.xml", "registry-maven"),
    (".gradle/gradle.properties", "registry-gradle"),
    (".yarnrc.yml", "registry-yarn"),
    (".config/composer/auth.json", "registry-composer"),
    (".claude/.credentials.json", "agent-claude"),
    (".claude/projects/-another-project/session.jsonl", "agent-claude-session"),
    (".codex/auth.json", "agent-codex"),
    (".gemini/oauth_creds.json", "agent-gemini"),
    (".local/share/opencode/auth.json", "agent-opencode"),
    (".config/goose/secrets.yaml", "agent-goose"),
    (".aider/oauth-keys.env", "agent-aider"),
    (".config/mini-swe-agent/.env", "agent-mini-swe-agent"),
    ("../hidden/secret", "hidden"),
    ("../parent/hidden/secret", "hidden-below"),
    ("../project/local.env", "checkout"),
    ("../project/src/ignored/local.env", "checkout-subdirectory"),
    ("../project/.autopack/attempts/other/one/1/agent.log", "attempts"),
    ("../state/autopack/other-1234abcd/other-1234-1/src/secret", "other-slot"),
    ("../state/autopack/other-1234abcd/other-1234-1-ci/src/secret", "other-slot-ci"),
];

/// Secrets that are in no file.
const HELD: [&str; 12] = [
    "abstract",
    "arguments",
    "database",
    "keyring",
    "open-file",
    "process",
    "shared-memory",
    "ssh-key",
    "temporary",
    "service-token",
    "model-key",
    "qdrant-key",
];

/// Other files, with text that means something to their programs.
const FILES: [(&str, &str); 41] = [
    ("home/.bashrc", "alias ll='ls -l'\n"),
    ("home/.bash_aliases", "alias gs='git status'\n"),
    ("home/.bash_logout", "clear\n"),
    ("home/.profile", "umask 022\n"),
    ("home/.xprofile", "umask 022\n"),
    ("home/.gitconfig", "[user]\n\tname = Tester\n"),
    ("home/.ssh/known_hosts", "localhost ssh-ed25519 AAAA\n"),
    ("home/.local/bin/tool", "#!/bin/sh\n"),
    ("home/.claude/settings.json", "{\"permissions\": {}}\n"),
    ("home/.claude/CLAUDE.md", "# notes\n"),
    ("home/.claude.json", "{\"projects\": {}, \"numStartups\": 7}\n"),
    ("home/.codex/config.toml", "model = \"gpt-5\"\n"),
    ("home/.codex/AGENTS.md", "# notes\n"),
    ("home/.config/opencode/opencode.json", "{\"mcp\": {}}\n"),
    ("home/.cache/opencode/node_modules/plugin/index.js", "export {}\n"),
    ("home/.local/share/opencode/bin/server", "#!/bin/sh\n"),
    ("home/.gemini/settings.json", "{\"theme\": \"x\"}\n"),
    ("home/.gemini/GEMINI.md", "# notes\n"),
    ("home/.config/goose/config.yaml", "GOOSE_MODEL: x\n"),
    ("home/.local/share/goose/sessions/one.jsonl", "{}\n"),
    ("home/.aider.conf.yml", "dark-mode: true\n"),
    ("home/.config/mini-swe-agent/default.yaml", "agent: {}\n"),
    ("home/.cargo/registry/src/index/crate/lib.rs", "//\n"),
    ("home/.cargo/git/db/repo/config", "[core]\n"),
    ("home/.cargo/bin/cargo", "#!/bin/sh\n"),
    ("home/.npm/_cacache/content", "cached\n"),
    ("home/.cache/pip/wheel", "cached\n"),
    ("home/.cache/pip/other", "cached\n"),
    ("home/.cache/uv/archive/module.py", "cached\n"),
    ("home/.cache/go-build/00/object", "cached\n"),
    ("home/go/pkg/mod/module/main.go", "package main\n"),
    ("home/.local/share/pnpm/store/v3/file", "cached\n"),
    ("home/.m2/repository/artifact.jar", "cached\n"),
    ("home/.gradle/caches/modules/jar", "cached\n"),
    ("elsewhere/file", "elsewhere\n"),
    ("other-checkout/src/file", "other\n"),
    ("project/local-linked", "linked\n"),
    ("project/node_modules/package/index.js", "module.exports = 1\n"),
    ("project/.venv/lib/python3/site-packages/module.py", "\n"),
    ("project/bin-of-user/tool", "#!/bin/sh\n"),
    ("project/movable/file", "x\n"),
];

/// Paths of the checkout that are not committed.
const IGNORED: &str =
    "local*\nignored/\nnode_modules/\n.venv/\nwitness-*\nmovable*\nbin-of-user/\nplanted*\n";

pub struct Outside {
    pub project: Project,
    pub secrets: BTreeMap<String, String>,
    /// A name that no other outside has.
    pub name: String,
}

impl Outside {
    pub fn new() -> Self {
        let name = format!("escape-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let secret = |what: &&str| {
            let text = format!("escape-secret-{what}-{:016x}", fastrand::u64(..));
            ((*what).to_owned(), text)
        };
        let configuration = "configuration";
        let named = SECRETS.iter().map(|(_, what)| what).chain(&HELD).chain([&configuration]);
        let secrets: BTreeMap<String, String> = named.map(secret).collect();
        let project = Project::bare_folder_in(&place()).with_repository();
        let project = project.file(".gitignore", IGNORED).file("src/kept.txt", "kept\n");
        let outside = Self { project: project.commit("files"), secrets, name };
        outside.make_files();
        outside.make_repositories();
        outside
    }

    pub fn dir(&self) -> PathBuf {
        self.project.root().parent().unwrap().to_owned()
    }

    fn write(&self, below: &str, text: &str) -> PathBuf {
        let path = self.project.beside(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn make_files(&self) {
        for (below, what) in SECRETS {
            let text = format!("{{\"token\": \"{}\"}}\n", self.secrets[what]);
            let below = Path::new("home").join(below);
            let at = self.write(below.to_str().unwrap(), &text);
            fs::set_permissions(at, fs::Permissions::from_mode(0o600)).unwrap();
        }
        for (below, text) in FILES {
            self.write(below, text);
        }
        let link = |to: &str, below: &str| {
            std::os::unix::fs::symlink(to, self.project.beside(below)).unwrap();
        };
        link("project", "alias");
        link(".ssh", "home/keys-link");
        let linked = self.project.path("local-linked");
        fs::hard_link(linked, self.project.beside("elsewhere/second-name")).unwrap();
        let ssh = fs::Permissions::from_mode(0o700);
        fs::set_permissions(self.project.beside("home/.ssh"), ssh).unwrap();
        let runtime = self.project.beside("run-user");
        fs::create_dir_all(&runtime).unwrap();
        fs::set_permissions(runtime, fs::Permissions::from_mode(0o700)).unwrap();
    }

    fn make_repositories(&self) {
        let project = &self.project;
        let (remote, other) = (project.beside("remote.git"), project.beside("other-checkout"));
        let (remote, other) = (remote.to_str().unwrap(), other.to_str().unwrap());
        project.git(["clone", "-q", "--bare", ".", remote]);
        project.git(["remote", "add", "origin", remote]);
        project.git(["init", "-q", "-b", "main", other]);
        project.git(["-C", other, "add", "-A"]);
        project.git(["-C", other, "commit", "-q", "-m", "other"]);
    }

    /// Makes a witness file for an attempt and returns it.
    pub fn witness(&self, directory: Option<&str>, attempt: &str) -> PathBuf {
        let below = match directory {
            Some(directory) => format!("{directory}/witness-{attempt}"),
            None => format!("witness/{attempt}/file"),
        };
        self.write(&below, "the witness of an attempt, longer than a mark; nothing changes it\n")
    }

    /// What attempts know: paths, never secrets.
    pub fn facts(&self) -> Value {
        let dir = self.dir();
        let at = |below: &str| dir.join(below);
        let inode = |below: &Path| {
            let meta = fs::metadata(dir.join(below)).unwrap();
            format!("{}:{}", meta.dev(), meta.ino())
        };
        let program = std::env::var_os("AUTOPACK_TEST_PROGRAM").map(PathBuf::from);
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_autopack").into());
        json!({
            "out": dir, "home": at("home"), "checkout": at("project"), "remote": at("remote.git"),
            "elsewhere": at("elsewhere"), "hidden": at("hidden"), "runtime": at("run-user"),
            "other_checkout": at("other-checkout"), "slots": at("state/autopack"),
            "other_slot": at("state/autopack/other-1234abcd/other-1234-1"),
            "database": at("project/.autopack/autopack.db"), "program": program,
            "checkout_inode": inode("project".as_ref()), "checkout_file": inode("project/local.env".as_ref()),
            "program_inode": inode(program.parent().unwrap()),
        })
    }

    /// Names of the secrets in a text that a role must not have.
    pub fn leaked(&self, role: Role, text: &str) -> Vec<&str> {
        let shown = |what: &str| match role {
            Role::Agent => what.starts_with("agent-") || what == "model-key",
            Role::Setup => what.starts_with("registry-"),
            Role::Ci => false,
        };
        let found = self
            .secrets
            .iter()
            .filter(|(what, secret)| !shown(what) && text.contains(secret.as_str()));
        found.map(|(what, _)| what.as_str()).collect()
    }
}

/// A directory that no view replaces by a private one, as it does with `/tmp`.
pub fn place() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let wanted = ["/srv".into(), "/opt".into(), home.join(".cache"), home];
    let usable = |directory: &&PathBuf| {
        let is_private = ["/tmp", "/var/tmp", "/root", "/run", "/dev"]
            .iter()
            .any(|private| directory.starts_with(private));
        !is_private && tempfile::tempdir_in(directory).is_ok()
    };
    wanted.iter().find(usable).cloned().unwrap_or_else(std::env::temp_dir)
}
