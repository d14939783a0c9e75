//! Chooses the command to install exactly the dependencies of a changed lock file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::VENV_MARKER;
use super::path_patterns::expand_pattern;
use crate::git::trees::Tree;
use crate::phase::dependency_inputs::is_requirements;

/// A command to run in a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallCommand {
    /// Directory relative to the top of the checkout, without a trailing slash; empty for the top.
    pub dir: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Changes to the environment: a value sets a variable, `None` removes it. They make the command install into the
    /// checkout and ask no questions.
    pub env: Vec<(&'static str, Option<&'static str>)>,
    /// The changed file that requires this install.
    pub because: String,
    family: PackageManagerFamily,
}

/// Package managers with the same directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PackageManagerFamily {
    Node,
    Python,
    /// `vendor`, `.bundle`.
    Vendor,
}

impl PackageManagerFamily {
    fn of_program(program: &str) -> Self {
        match program {
            "npm" | "pnpm" | "yarn" | "bun" => Self::Node,
            "composer" | "bundle" | "go" | "cargo" => Self::Vendor,
            _ => Self::Python,
        }
    }

    fn of_directory(path: &str) -> Self {
        let is_yarns = path.starts_with(".yarn/") || path.contains("/.yarn/");
        match path.rsplit('/').next().unwrap_or(path) {
            "node_modules" | ".pnp.cjs" | ".pnp.loader.mjs" => Self::Node,
            _ if is_yarns => Self::Node,
            "vendor" | ".bundle" => Self::Vendor,
            _ => Self::Python,
        }
    }
}

impl InstallCommand {
    /// Whether the command creates or removes this dependency directory, i.e. a directory of its package manager in
    /// its own directory or a subdirectory.
    pub fn owns(&self, path: &str) -> bool {
        let is_below = self.dir.is_empty()
            || path.strip_prefix(&self.dir).is_some_and(|rest| rest.starts_with('/'));
        is_below && PackageManagerFamily::of_directory(path) == self.family
    }

    /// Returns the command as typed by a person at the top of the checkout.
    pub fn line(&self) -> String {
        line(&self.dir, &self.argv)
    }
}

fn line(dir: &str, argv: &[String]) -> String {
    match dir {
        "" => argv.join(" "),
        dir => format!("cd {dir} && {}", argv.join(" ")),
    }
}

/// Consequence of a changed lock file or manifest for a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrozenInstall {
    /// Run this command in the checkout.
    Run(InstallCommand),
    /// No install command works.
    Missing {
        /// Message for people, with an example for `workspace.setup`.
        why: String,
    },
}

/// Returns the installs required by the changed paths in the checkout at `root` with the content of `tree`: one for
/// each directory and package manager. `has_program` tells whether a program is on the command's PATH. Cargo, Go and
/// Deno download dependencies by themselves, unless they are vendored.
pub fn choose_frozen_installs(
    tree: &Tree,
    root: &Path,
    changed: &[&str],
    has_program: &dyn Fn(&str) -> bool,
) -> Vec<FrozenInstall> {
    let mut found: BTreeMap<(String, String), FrozenInstall> = BTreeMap::new();
    for path in changed {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let here = root.join(dir);
        // Deleted: its replacement is among the changed paths too.
        if !here.join(name).is_file() {
            continue;
        }
        let Some(recipe) = recipe(tree, root, path) else { continue };
        let key = (recipe.dir.clone(), recipe.argv.join(" "));
        let install = match recipe.missing(has_program) {
            None => FrozenInstall::Run(recipe.command(path)),
            Some(what) => FrozenInstall::Missing {
                why: format!(
                    "{path} changed and {what}: set workspace.setup in autopack.yaml to the command that installs the \
                     dependencies, for example `{}`",
                    line(&recipe.dir, &recipe.argv)
                ),
            },
        };
        found.entry(key).or_insert(install);
    }
    found.into_values().collect()
}

type Variables = &'static [(&'static str, Option<&'static str>)];

struct Recipe {
    dir: String,
    argv: Vec<String>,
    env: Variables,
    /// Reason why the command cannot work here, regardless of the installed programs.
    lacks: Option<&'static str>,
}

impl Recipe {
    /// Builds a recipe for a person to run; autopack cannot run the command.
    fn lacking(dir: &str, argv: &[&str], lacks: &'static str) -> Option<Self> {
        Some(Self { lacks: Some(lacks), ..Self::new(dir, argv, &[])? })
    }

    fn new(dir: &str, argv: &[&str], env: Variables) -> Option<Self> {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        Some(Self { dir: dir.to_owned(), argv, env, lacks: None })
    }

    fn missing(&self, has_program: &dyn Fn(&str) -> bool) -> Option<String> {
        if let Some(lacks) = self.lacks {
            return Some(lacks.to_owned());
        }
        let program = self.argv.first()?;
        // A program in the checkout was already found there.
        (!program.contains('/') && !has_program(program))
            .then(|| format!("{program} is not on PATH"))
    }

    fn command(&self, because: &str) -> InstallCommand {
        InstallCommand {
            dir: self.dir.clone(),
            argv: self.argv.clone(),
            env: self.env.to_vec(),
            because: because.to_owned(),
            family: self.argv.first().map_or(PackageManagerFamily::Python, |program| {
                PackageManagerFamily::of_program(program)
            }),
        }
    }
}

const NPM: &[&str] = &["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"];
const PNPM: &[&str] = &["pnpm", "install", "--frozen-lockfile", "--prefer-offline"];
const YARN_CLASSIC: &[&str] = &["yarn", "install", "--frozen-lockfile", "--non-interactive"];
const YARN: &[&str] = &["yarn", "install", "--immutable"];
const BUN: &[&str] = &["bun", "install", "--frozen-lockfile", "--backend=copyfile"];
// Other packages the user installed into the environment, such as a test runner, stay.
const UV: &[&str] = &["uv", "sync", "--frozen", "--inexact"];
const POETRY: &[&str] = &["poetry", "install", "--no-interaction"];
const PDM: &[&str] = &["pdm", "sync", "--non-interactive"];
const PIPENV: &[&str] = &["pipenv", "sync", "--dev"];
const COMPOSER: &[&str] = &["composer", "install", "--no-interaction", "--no-progress"];
const BUNDLE: &[&str] = &["bundle", "install"];
const GO_VENDOR: &[&str] = &["go", "mod", "vendor"];
const CARGO_VENDOR: &[&str] = &["cargo", "vendor", "--locked", "--quiet"];

/// Lock files in order of preference; the first existing file is used.
const NODE_LOCKS: &[&str] = &[
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
];
const PYTHON_LOCKS: &[&str] = &["uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"];
const NO_LOCK: &str = "there is no lock file to install from";

// An environment active in the user's shell is the user's, not the copy's.
const IN_PROJECT: Variables = &[
    ("POETRY_VIRTUALENVS_IN_PROJECT", Some("true")),
    ("VIRTUAL_ENV", None),
    ("CONDA_PREFIX", None),
];
const PDM_HERE: Variables = &[("PDM_IGNORE_ACTIVE_VENV", Some("1")), ("VIRTUAL_ENV", None)];
const PIPENV_HERE: Variables =
    &[("PIPENV_VENV_IN_PROJECT", Some("1")), ("PIPENV_IGNORE_VIRTUALENVS", Some("1"))];
// Hard links to a store would be shared with the user's checkout.
const UV_HERE: Variables = &[
    ("UV_PROJECT_ENVIRONMENT", Some(".venv")),
    ("VIRTUAL_ENV", None),
    ("UV_LINK_MODE", Some("copy")),
];
const PNPM_HERE: Variables = &[
    ("npm_config_package_import_method", Some("clone-or-copy")),
    ("pnpm_config_package_import_method", Some("clone-or-copy")),
];
const YARN_HERE: Variables = &[("YARN_NM_MODE", Some("classic"))];
// Otherwise gems would be installed for the whole machine.
const BUNDLE_HERE: Variables =
    &[("BUNDLE_FROZEN", Some("true")), ("BUNDLE_PATH", Some("vendor/bundle"))];
const PIP_HERE: Variables = &[("PIP_NO_INPUT", Some("1")), ("UV_LINK_MODE", Some("copy"))];

fn recipe(tree: &Tree, root: &Path, path: &str) -> Option<Recipe> {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let here = root.join(dir);
    match name {
        "package-lock.json" | "npm-shrinkwrap.json" => Recipe::new(dir, NPM, &[]),
        "pnpm-lock.yaml" => Recipe::new(dir, PNPM, PNPM_HERE),
        "yarn.lock" if is_modern_yarn(&here) => Recipe::new(dir, YARN, YARN_HERE),
        "yarn.lock" => Recipe::new(dir, YARN_CLASSIC, &[]),
        "bun.lock" | "bun.lockb" => Recipe::new(dir, BUN, &[]),
        "uv.lock" => Recipe::new(dir, UV, UV_HERE),
        "poetry.lock" => Recipe::new(dir, POETRY, IN_PROJECT),
        "pdm.lock" => Recipe::new(dir, PDM, PDM_HERE),
        "Pipfile.lock" => Recipe::new(dir, PIPENV, PIPENV_HERE),
        "composer.lock" => Recipe::new(dir, COMPOSER, &[]),
        "Gemfile.lock" | "gems.locked" => Recipe::new(dir, BUNDLE, BUNDLE_HERE),
        // Go refuses a vendor directory out of step with go.mod; a tracked vendor directory is the agent's to update.
        "go.mod" if is_vendored(tree, root, dir, "vendor/modules.txt") => {
            Recipe::new(dir, GO_VENDOR, &[])
        }
        "Cargo.lock" if is_vendored(tree, root, dir, "vendor") => {
            Recipe::new(dir, CARGO_VENDOR, &[])
        }
        "pylock.toml" => requirements(root, dir, name),
        // A workspace has its lock file at its top, above its members.
        "package.json" | "pnpm-workspace.yaml" => by_lock(tree, root, dir, NODE_LOCKS)
            .or_else(|| Recipe::lacking(dir, &["npm", "install"], NO_LOCK)),
        "pyproject.toml" => by_lock(tree, root, dir, PYTHON_LOCKS).or_else(|| from_source(dir)),
        "setup.py" | "setup.cfg" => from_source(dir),
        "Pipfile" => by_lock(tree, root, dir, &["Pipfile.lock"])
            .or_else(|| Recipe::lacking(dir, &["pipenv", "install", "--dev"], NO_LOCK)),
        "composer.json" => by_lock(tree, root, dir, &["composer.lock"])
            .or_else(|| Recipe::lacking(dir, &["composer", "install"], NO_LOCK)),
        "Gemfile" | "gems.rb" => by_lock(tree, root, dir, &["Gemfile.lock", "gems.locked"])
            .or_else(|| Recipe::lacking(dir, &["bundle", "install"], NO_LOCK)),
        _ if is_requirements(path) && name.ends_with(".txt") => requirements(root, dir, name),
        _ => None,
    }
}

fn from_source(dir: &str) -> Option<Recipe> {
    Recipe::lacking(dir, &[".venv/bin/python", "-m", "pip", "install", "-e", "."], NO_LOCK)
}

/// Chooses by the lock file of a manifest in `dir`: the nearest in its directory or a parent.
fn by_lock(tree: &Tree, root: &Path, dir: &str, locks: &[&str]) -> Option<Recipe> {
    let mut at = Some(dir);
    while let Some(directory) = at {
        for lock in locks {
            let path = match directory {
                "" => (*lock).to_owned(),
                _ => format!("{directory}/{lock}"),
            };
            if tree.has_file(&path) {
                return recipe(tree, root, &path);
            }
        }
        at = parent(directory);
    }
    None
}

/// Whether the lock file was written by Yarn 2 or later.
fn is_modern_yarn(here: &Path) -> bool {
    let lock = fs::read_to_string(here.join("yarn.lock")).unwrap_or_default();
    here.join(".yarnrc.yml").is_file() || lock.lines().any(|line| line == "__metadata:")
}

/// Whether an untracked path is present, so was copied from the user's checkout.
fn is_vendored(tree: &Tree, root: &Path, dir: &str, name: &str) -> bool {
    let path = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
    root.join(&path).exists() && !tree.has_file(&path) && !tree.has_directory(&path)
}

/// Installs a requirements file, but only into the checkout's own environment: any other belongs to the user.
fn requirements(root: &Path, dir: &str, name: &str) -> Option<Recipe> {
    // The nearest environment, in the directory of the requirements file or a parent.
    let mut at = Some(dir);
    while let Some(directory) = at {
        for venv in [".venv", "venv", "env"] {
            let own = root.join(directory).join(venv);
            let is_own = fs::symlink_metadata(&own).is_ok_and(|found| found.is_dir())
                && own.join(VENV_MARKER).is_file();
            if is_own && own.join("bin/python").exists() {
                return Some(install_list(&own, directory, venv, dir, name));
            }
        }
        at = parent(directory);
    }
    // A project without its own environment uses a shared environment; autopack must not change it.
    let argv = ["python3 -m venv .venv && .venv/bin/python -m pip install -r", name];
    Recipe::lacking(dir, &argv, "there is no .venv in your checkout to install into")
}

fn install_list(own: &Path, directory: &str, venv: &str, dir: &str, name: &str) -> Recipe {
    let list = match dir.strip_prefix(directory).map(|below| below.trim_matches('/')) {
        Some("") | None => name.to_owned(),
        Some(below) => format!("{below}/{name}"),
    };
    let python = format!("{venv}/bin/python");
    let has_pip = expand_pattern(own, "lib/*/site-packages/pip").iter().any(|pip| pip.is_dir());
    let argv = match has_pip {
        true => [&python, "-m", "pip", "install", "--disable-pip-version-check", "-r", &list]
            .map(str::to_owned)
            .to_vec(),
        // uv creates environments without pip.
        false => {
            ["uv", "pip", "install", "--python", &python, "-r", &list].map(str::to_owned).to_vec()
        }
    };
    Recipe { dir: directory.to_owned(), argv, env: PIP_HERE, lacks: None }
}

fn parent(directory: &str) -> Option<&str> {
    match directory.rsplit_once('/') {
        Some((above, _)) => Some(above),
        None if directory.is_empty() => None,
        None => Some(""),
    }
}

#[cfg(test)]
#[path = "frozen_install_tests.rs"]
mod tests;
