//! Paths that a program must not read: autopack's own, keys and tokens of the user, and `sandbox.hide`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::path_expansion::{expand, resolve, resolve_parent};
use super::service_sockets::known_sockets;
use super::view_place::{Machine, ViewPlace};
use super::{ViewPurpose, ViewRequest};
use crate::git::path_bytes::to_bytes;
use crate::process::child_env::Env;

/// Keys, tokens and histories, below the home directory.
const SECRETS: &[&str] = &[
    ".1password",
    ".aliyun",
    ".aws",
    ".azure",
    ".bash_history",
    ".boto",
    ".cloudflared",
    ".colima",
    ".config/BraveSoftware",
    ".config/Code/User/globalStorage",
    ".config/Cursor/User/globalStorage",
    ".config/Signal",
    ".config/Slack",
    ".config/chromium",
    ".config/configstore",
    ".config/containers/auth.json",
    ".config/discord",
    ".config/doctl",
    ".config/gcloud",
    ".config/gh",
    ".config/git/credentials",
    ".config/glab-cli",
    ".config/google-chrome",
    ".config/hub",
    ".config/microsoft-edge",
    ".config/ngrok",
    ".config/op",
    ".config/opera",
    ".config/rclone",
    ".config/sops",
    ".config/vivaldi",
    ".databrickscfg",
    ".docker",
    ".fly",
    ".git-credentials",
    ".gnupg",
    ".ipython/profile_default/history.sqlite",
    ".kube",
    ".lesshst",
    ".lima",
    ".local/share/fish/fish_history",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".mozilla",
    ".my.cnf",
    ".mysql_history",
    ".netrc",
    ".node_repl_history",
    ".oci",
    ".orbstack",
    ".password-store",
    ".pgpass",
    ".psql_history",
    ".python_history",
    ".rediscli_history",
    ".s3cfg",
    ".snowflake",
    ".sqlite_history",
    ".ssh",
    ".subversion/auth",
    ".terraform.d/credentials.tfrc.json",
    ".thunderbird",
    ".var/app",
    ".vault-token",
    ".viminfo",
    ".wget-hsts",
    ".zsh_history",
    "snap/chromium",
    "snap/firefox",
];

/// Logins to package registries, below the home directory. Setup needs them.
const REGISTRY_LOGINS: &[&str] = &[
    ".bundle/config",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".config/composer/auth.json",
    ".config/pip",
    ".config/pypoetry/auth.toml",
    ".composer/auth.json",
    ".gem/credentials",
    ".gradle/gradle.properties",
    ".m2/settings.xml",
    ".npmrc",
    ".nuget/NuGet/NuGet.Config",
    ".pip",
    ".pypirc",
    ".yarnrc.yml",
];

/// Variables with the path of secret files, and the paths there; none means the path itself.
const SECRET_VARIABLES: &[(&str, &[&str])] = &[
    ("AWS_CONFIG_FILE", &[]),
    ("AWS_SHARED_CREDENTIALS_FILE", &[]),
    ("AZURE_CONFIG_DIR", &[]),
    ("CLOUDSDK_CONFIG", &[]),
    ("DOCKER_CONFIG", &[]),
    ("GH_CONFIG_DIR", &[]),
    ("GNUPGHOME", &[]),
    ("GOOGLE_APPLICATION_CREDENTIALS", &[]),
    ("KUBECONFIG", &[]),
    ("NETRC", &[]),
    ("PASSWORD_STORE_DIR", &[]),
    ("PGPASSFILE", &[]),
    ("REGISTRY_AUTH_FILE", &[]),
    ("VAULT_TOKEN_FILE", &[]),
    ("XAUTHORITY", &[]),
    (
        "XDG_CONFIG_HOME",
        &["gh", "gcloud", "git/credentials", "glab-cli", "hub", "op", "rclone", "sops"],
    ),
    ("XDG_DATA_HOME", &["keyrings", "kwalletd"]),
];

/// The same for logins to package registries.
const LOGIN_VARIABLES: &[(&str, &[&str])] = &[
    ("CARGO_HOME", &["credentials", "credentials.toml"]),
    ("COMPOSER_HOME", &["auth.json"]),
    ("GRADLE_USER_HOME", &["gradle.properties"]),
    ("NPM_CONFIG_USERCONFIG", &[]),
    ("PIP_CONFIG_FILE", &[]),
    ("XDG_CONFIG_HOME", &["pip", "pypoetry/auth.toml"]),
    ("npm_config_userconfig", &[]),
];

/// Files of the system that only root can read. The kernel's debugging files show what other programs do.
const ROOTS_SECRETS: &[&str] = &[
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/sys/fs/pstore",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/spool/at",
    "/var/spool/cron",
];

/// Endings of the files beside a SQLite database.
const DATABASE_ENDINGS: &[&str] = &["", "-wal", "-shm", "-journal", "-lock", ".lock"];

/// Paths that a program must not read, existing and without links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HiddenPaths {
    /// Paths of autopack, and other paths of the user's checkout. No setting shows them.
    ours: BTreeSet<PathBuf>,
    /// Paths that settings may show.
    secrets: BTreeSet<PathBuf>,
}

impl HiddenPaths {
    /// Collects the hidden paths of a program.
    pub fn collect(place: &ViewPlace, machine: &Machine, request: &ViewRequest<'_>) -> Self {
        let mut hidden = Self::default();
        for path in ours(place, request) {
            hidden.ours.extend(machine.mounts.aliases(&path));
            hidden.ours.insert(path);
        }
        hidden.ours.extend(machine.mounts.aliases(&place.checkout));
        hidden.ours.retain(|path| !place.checkout.starts_with(path) && path.parent().is_some());
        let home = place.home.as_deref();
        // The slot has the files of the checkout: those are not the user's secrets.
        let is_elsewhere = |path: &Path| !path.starts_with(&place.checkout) || place.is_users(path);
        let is_home = |path: &Path| home.is_some_and(|home| home.starts_with(path));
        for path in default_paths(place, machine, request.purpose) {
            hidden.add_secret(&path, machine, |path| is_elsewhere(path) && !is_home(path));
        }
        for text in request.settings.hide {
            let path = expand(text, home, &place.checkout);
            path.iter().for_each(|path| hidden.add_secret(path, machine, |_| true));
        }
        request.hide.iter().for_each(|path| hidden.add_secret(path, machine, |_| true));
        hidden.secrets.retain(|path| path.parent().is_some() && *path != place.checkout);
        for text in request.settings.show.iter().chain(request.settings.sockets) {
            let path = expand(text, home, &place.checkout);
            path.iter().for_each(|path| hidden.show_tree(path));
        }
        request.show.iter().for_each(|path| hidden.show_tree(path));
        for text in request.settings.write {
            if let Some(path) = expand(text, home, &place.checkout) {
                hidden.secrets.remove(&resolve(&path));
            }
        }
        hidden
    }

    /// Adds an existing path and, if it is a link, its target.
    fn add_secret(&mut self, path: &Path, machine: &Machine, is_meant: impl Fn(&Path) -> bool) {
        if fs::symlink_metadata(path).is_err() {
            return;
        }
        for path in [resolve(path), resolve_parent(path)] {
            if is_meant(&path) {
                self.secrets.extend(machine.mounts.aliases(&path));
                self.secrets.insert(path);
            }
        }
    }

    fn show_tree(&mut self, path: &Path) {
        let (link, real) = (resolve_parent(path), resolve(path));
        self.secrets.retain(|hidden| !hidden.starts_with(&link) && !hidden.starts_with(&real));
    }

    /// Whether a path is hidden, or below a hidden directory.
    pub fn contains(&self, path: &Path) -> bool {
        self.has_ours(path) || path.ancestors().any(|at| self.secrets.contains(at))
    }

    /// Whether a path is hidden whatever the settings say.
    pub fn has_ours(&self, path: &Path) -> bool {
        path.ancestors().any(|at| self.ours.contains(at))
    }

    /// Returns all paths, parents first.
    pub fn all(&self) -> BTreeSet<PathBuf> {
        self.ours.union(&self.secrets).cloned().collect()
    }
}

/// Returns autopack's own paths outside of the checkout. The checkout itself is covered by the slot.
fn ours(place: &ViewPlace, request: &ViewRequest<'_>) -> Vec<PathBuf> {
    let mut ours = vec![place.slots.clone()];
    ours.extend(place.git_dirs.iter().cloned());
    ours.push(place.autopack.clone());
    if let Some(database) = request.database {
        ours.extend(database_paths(&resolve(database), place));
    }
    ours.retain(|path| !path.starts_with(&place.checkout) && fs::symlink_metadata(path).is_ok());
    ours
}

/// Returns the directory of a database that has nothing else, or the files of the database.
fn database_paths(database: &Path, place: &ViewPlace) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (database.parent(), database.file_name()) else {
        return Vec::new();
    };
    let is_shared = place.checkout.starts_with(directory)
        || place.home.as_ref().is_some_and(|home| home.starts_with(directory));
    let begins_alike = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            to_bytes(Path::new(&entry.file_name())).starts_with(name.as_encoded_bytes())
        })
    };
    if !is_shared && fs::read_dir(directory).is_ok_and(|mut found| found.all(begins_alike)) {
        return vec![directory.to_owned()];
    }
    let file = |ending: &&str| {
        let mut file = database.as_os_str().to_owned();
        file.push(ending);
        PathBuf::from(file)
    };
    DATABASE_ENDINGS.iter().map(file).collect()
}

fn default_paths(place: &ViewPlace, machine: &Machine, purpose: ViewPurpose) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    // HOME may be another directory than the user's own.
    let homes: BTreeSet<&PathBuf> = place.home.iter().chain(&machine.home).collect();
    for home in homes {
        paths.extend(SECRETS.iter().map(|below| home.join(below)));
        if purpose != ViewPurpose::Setup {
            paths.extend(REGISTRY_LOGINS.iter().map(|below| home.join(below)));
        }
    }
    paths.extend(named_paths(SECRET_VARIABLES, &place.variables));
    if purpose != ViewPurpose::Setup {
        paths.extend(named_paths(LOGIN_VARIABLES, &place.variables));
    }
    paths.extend(known_sockets(machine, &place.variables));
    if machine.uid == 0 {
        paths.extend(ROOTS_SECRETS.iter().map(PathBuf::from));
        paths.extend(host_keys());
    }
    paths
}

/// Returns the absolute paths in variables; a variable may be a list.
fn named_paths(variables: &[(&str, &[&str])], env: &Env) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for (name, below) in variables {
        let Some(value) = env.get(OsStr::new(name)) else { continue };
        // `/dev/null` stands for no file.
        let is_meant = |path: &PathBuf| path.is_absolute() && (path.is_file() || path.is_dir());
        for path in std::env::split_paths(value).filter(is_meant) {
            match below.is_empty() {
                true => paths.push(path),
                false => paths.extend(below.iter().map(|below| path.join(below))),
            }
        }
    }
    paths
}

/// Returns the private keys of the machine's SSH server.
fn host_keys() -> Vec<PathBuf> {
    let entries = fs::read_dir("/etc/ssh").into_iter().flatten().flatten();
    let keys = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
        name.starts_with(b"ssh_host_") && name.ends_with(b"_key")
    });
    keys.collect()
}
