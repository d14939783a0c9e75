//! The command that installs what a changed lock file asks for, and nothing beyond it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::VENV_MARKER;
use super::inputs::is_requirements;

/// A command to run in a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallCommand {
    /// Relative to the top of the checkout, without a slash at its end; empty for the top.
    pub dir: String,
    pub argv: Vec<String>,
    /// Over the environment: a value sets a variable, `None` takes it away. So it installs into the checkout and
    /// asks nothing.
    pub env: Vec<(&'static str, Option<&'static str>)>,
    /// The file whose change asks for it.
    pub because: String,
}

/// What a changed lock file means for a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrozenInstall {
    Run(InstallCommand),
    /// Nothing can be run: which `workspace.setup` is missing, for people.
    Missing {
        why: String,
    },
}

/// The installs that the changed paths ask for in the checkout at `root`, one for each directory and package manager.
/// `has_program` says whether a program is on the PATH that they will get. Cargo, Go and Deno fetch what they
/// need by themselves.
pub fn frozen_installs(
    root: &Path,
    changed: &[&str],
    has_program: &dyn Fn(&str) -> bool,
) -> Vec<FrozenInstall> {
    let mut found: BTreeMap<(String, String), FrozenInstall> = BTreeMap::new();
    for path in changed {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let here = root.join(dir);
        // Deleted: whatever replaced it has a path of its own among those that changed.
        if !here.join(name).is_file() {
            continue;
        }
        let Some(recipe) = recipe(root, dir, name, path) else { continue };
        let key = (recipe.dir.clone(), recipe.argv.join(" "));
        let install = match recipe.missing(has_program) {
            None => FrozenInstall::Run(recipe.command(path)),
            Some(what) => FrozenInstall::Missing {
                why: format!(
                    "{path} changed and {what}: set workspace.setup in autopack.yaml to the command that installs the \
                     dependencies{}",
                    recipe.example()
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
    /// Why it cannot work here, whatever programs there are.
    lacks: Option<&'static str>,
}

impl Recipe {
    fn new(dir: &str, argv: &[&str], env: Variables) -> Option<Self> {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        Some(Self { dir: dir.to_owned(), argv, env, lacks: None })
    }

    fn missing(&self, has_program: &dyn Fn(&str) -> bool) -> Option<String> {
        if let Some(lacks) = self.lacks {
            return Some(lacks.to_owned());
        }
        let program = self.argv.first()?;
        // One in the checkout was seen there.
        (!program.contains('/') && !has_program(program))
            .then(|| format!("{program} is not on PATH"))
    }

    fn example(&self) -> String {
        match self.dir.as_str() {
            "" => format!(", for example `{}`", self.argv.join(" ")),
            dir => format!(", for example `cd {dir} && {}`", self.argv.join(" ")),
        }
    }

    fn command(&self, because: &str) -> InstallCommand {
        InstallCommand {
            dir: self.dir.clone(),
            argv: self.argv.clone(),
            env: self.env.to_vec(),
            because: because.to_owned(),
        }
    }
}

const NPM: &[&str] = &["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"];
const PNPM: &[&str] = &["pnpm", "install", "--frozen-lockfile", "--prefer-offline"];
const YARN_CLASSIC: &[&str] = &["yarn", "install", "--frozen-lockfile", "--non-interactive"];
const YARN: &[&str] = &["yarn", "install", "--immutable"];
const BUN: &[&str] = &["bun", "install", "--frozen-lockfile"];
// What the user put into the environment besides, a test runner say, stays.
const UV: &[&str] = &["uv", "sync", "--frozen", "--inexact"];
const POETRY: &[&str] = &["poetry", "install", "--no-interaction"];
const PDM: &[&str] = &["pdm", "sync", "--non-interactive"];
const PIPENV: &[&str] = &["pipenv", "sync", "--dev"];
const COMPOSER: &[&str] = &["composer", "install", "--no-interaction", "--no-progress"];
const BUNDLE: &[&str] = &["bundle", "install"];
const GO_VENDOR: &[&str] = &["go", "mod", "vendor"];

// An environment that is active in the user's shell is the user's.
const IN_PROJECT: Variables = &[
    ("POETRY_VIRTUALENVS_IN_PROJECT", Some("true")),
    ("VIRTUAL_ENV", None),
    ("CONDA_PREFIX", None),
];
const PDM_HERE: Variables = &[("PDM_IGNORE_ACTIVE_VENV", Some("1")), ("VIRTUAL_ENV", None)];
const PIPENV_HERE: Variables =
    &[("PIPENV_VENV_IN_PROJECT", Some("1")), ("PIPENV_IGNORE_VIRTUALENVS", Some("1"))];
const UV_HERE: Variables = &[("UV_PROJECT_ENVIRONMENT", Some(".venv")), ("VIRTUAL_ENV", None)];
// Gems of the machine would be installed for everybody.
const BUNDLE_HERE: Variables =
    &[("BUNDLE_FROZEN", Some("true")), ("BUNDLE_PATH", Some("vendor/bundle"))];
const PIP_HERE: Variables = &[("PIP_NO_INPUT", Some("1"))];

fn recipe(root: &Path, dir: &str, name: &str, path: &str) -> Option<Recipe> {
    let here = root.join(dir);
    match name {
        "package-lock.json" | "npm-shrinkwrap.json" => Recipe::new(dir, NPM, &[]),
        "pnpm-lock.yaml" => Recipe::new(dir, PNPM, &[]),
        "yarn.lock" if is_modern_yarn(&here) => Recipe::new(dir, YARN, &[]),
        "yarn.lock" => Recipe::new(dir, YARN_CLASSIC, &[]),
        "bun.lock" | "bun.lockb" => Recipe::new(dir, BUN, &[]),
        "uv.lock" => Recipe::new(dir, UV, UV_HERE),
        "poetry.lock" => Recipe::new(dir, POETRY, IN_PROJECT),
        "pdm.lock" => Recipe::new(dir, PDM, PDM_HERE),
        "Pipfile.lock" => Recipe::new(dir, PIPENV, PIPENV_HERE),
        "composer.lock" => Recipe::new(dir, COMPOSER, &[]),
        "Gemfile.lock" | "gems.locked" => Recipe::new(dir, BUNDLE, BUNDLE_HERE),
        // Go refuses a vendor directory that does not agree with go.mod; where it is tracked, the agent's is judged.
        "go.mod" if is_untracked_vendor(root, &here) => Recipe::new(dir, GO_VENDOR, &[]),
        "pylock.toml" => requirements(root, dir, name),
        _ if is_requirements(path) && name.ends_with(".txt") => requirements(root, dir, name),
        _ => None,
    }
}

/// Yarn 2 and later write this into their lock file.
fn is_modern_yarn(here: &Path) -> bool {
    let lock = fs::read_to_string(here.join("yarn.lock")).unwrap_or_default();
    here.join(".yarnrc.yml").is_file() || lock.lines().any(|line| line == "__metadata:")
}

fn is_untracked_vendor(root: &Path, here: &Path) -> bool {
    let is_ignored = |dir: &Path| {
        let text = fs::read_to_string(dir.join(".gitignore")).unwrap_or_default();
        text.lines().any(|line| matches!(line.trim().trim_matches('/'), "vendor" | "vendor/*"))
    };
    here.join("vendor/modules.txt").is_file() && (is_ignored(here) || is_ignored(root))
}

/// Only into an environment that is the checkout's own: any other is the user's.
fn requirements(root: &Path, dir: &str, name: &str) -> Option<Recipe> {
    // The nearest environment, in the directory of the list or above it.
    let mut at = Some(dir);
    while let Some(folder) = at {
        for venv in [".venv", "venv", "env"] {
            let own = root.join(folder).join(venv);
            let is_own = fs::symlink_metadata(&own).is_ok_and(|found| found.is_dir())
                && own.join(VENV_MARKER).is_file();
            if is_own && own.join("bin/python").exists() {
                return Some(install_list(&own, folder, venv, dir, name));
            }
        }
        at = parent(folder);
    }
    // Without an environment of its own the project uses one that autopack must not change.
    let argv = ["python3 -m venv .venv && .venv/bin/python -m pip install -r", name];
    let mut recipe = Recipe::new(dir, &argv, &[])?;
    recipe.lacks = Some("there is no .venv in your checkout to install it into");
    Some(recipe)
}

fn install_list(own: &Path, folder: &str, venv: &str, dir: &str, name: &str) -> Recipe {
    let list = match dir.strip_prefix(folder).map(|below| below.trim_matches('/')) {
        Some("") | None => name.to_owned(),
        Some(below) => format!("{below}/{name}"),
    };
    let python = format!("{venv}/bin/python");
    let has_pip = super::expand(own, "lib/*/site-packages/pip").iter().any(|pip| pip.is_dir());
    let argv = match has_pip {
        true => [&python, "-m", "pip", "install", "--disable-pip-version-check", "-r", &list]
            .map(str::to_owned)
            .to_vec(),
        // uv makes environments without pip.
        false => {
            ["uv", "pip", "install", "--python", &python, "-r", &list].map(str::to_owned).to_vec()
        }
    };
    Recipe { dir: folder.to_owned(), argv, env: PIP_HERE, lacks: None }
}

fn parent(folder: &str) -> Option<&str> {
    match folder.rsplit_once('/') {
        Some((above, _)) => Some(above),
        None if folder.is_empty() => None,
        None => Some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout(files: &[(&str, &str)]) -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = temp.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        temp
    }

    fn commands(root: &Path, changed: &[&str]) -> Vec<String> {
        frozen_installs(root, changed, &|_| true)
            .into_iter()
            .map(|install| match install {
                FrozenInstall::Run(run) => format!("{}: {}", run.dir, run.argv.join(" ")),
                FrozenInstall::Missing { why } => why,
            })
            .collect()
    }

    #[test]
    fn each_lock_file_has_its_install_in_its_directory() {
        let root = checkout(&[
            ("package-lock.json", ""),
            ("npm-shrinkwrap.json", ""),
            ("web/pnpm-lock.yaml", ""),
            ("old/yarn.lock", "# yarn lockfile v1"),
            ("new/yarn.lock", "__metadata:\n  version: 8"),
            ("api/uv.lock", ""),
            ("Cargo.lock", ""),
            ("go.mod", ""),
            ("package.json", ""),
        ]);
        let changed = [
            "package-lock.json",
            "npm-shrinkwrap.json",
            "web/pnpm-lock.yaml",
            "old/yarn.lock",
            "new/yarn.lock",
            "api/uv.lock",
            "Cargo.lock",
            "go.mod",
            "package.json",
            "gone/poetry.lock",
        ];
        assert_eq!(
            commands(root.path(), &changed),
            [
                ": npm ci --no-audit --no-fund --prefer-offline",
                "api: uv sync --frozen --inexact",
                "new: yarn install --immutable",
                "old: yarn install --frozen-lockfile --non-interactive",
                "web: pnpm install --frozen-lockfile --prefer-offline",
            ]
        );
    }

    #[test]
    fn a_missing_program_is_named_with_the_setup_that_would_do() {
        let root = checkout(&[("web/package-lock.json", "")]);
        let found = frozen_installs(root.path(), &["web/package-lock.json"], &|_| false);
        let [FrozenInstall::Missing { why }] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            why,
            "web/package-lock.json changed and npm is not on PATH: set workspace.setup in autopack.yaml to the command \
             that installs the dependencies, for example `cd web && npm ci --no-audit --no-fund --prefer-offline`"
        );
    }

    #[test]
    fn requirements_go_into_an_environment_of_the_checkout_alone() {
        let root = checkout(&[("requirements.txt", "x"), ("requirements/dev.txt", "y")]);
        let changed = ["requirements.txt", "requirements/dev.txt", "requirements.in"];
        let said = commands(root.path(), &changed);
        assert!(said[0].contains("there is no .venv"), "{said:?}");
        let venv = ".venv/lib/python3.11/site-packages/pip/__init__.py";
        for (file, text) in [(".venv/pyvenv.cfg", ""), (".venv/bin/python", ""), (venv, "")] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let pip = ": .venv/bin/python -m pip install --disable-pip-version-check -r";
        assert_eq!(
            commands(root.path(), &changed),
            [format!("{pip} requirements.txt"), format!("{pip} requirements/dev.txt")]
        );
        fs::remove_dir_all(root.path().join(".venv/lib")).unwrap();
        let uv = ": uv pip install --python .venv/bin/python -r requirements.txt";
        assert_eq!(commands(root.path(), &["requirements.txt"]), [uv]);
    }
}
