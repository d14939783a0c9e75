//! Choice of the install for a changed lock file or manifest.

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

/// Returns a tree of all files, except those copied from the user's checkout.
fn tree(root: &Path) -> Tree {
    fn list(dir: &Path, prefix: &str, all: &mut String) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{prefix}{name}");
            match entry.path().is_dir() {
                true if name == "vendor" || name == ".venv" => {}
                true => list(&entry.path(), &format!("{path}/"), all),
                false => *all += &format!("100644 blob 1\t{path}\0"),
            }
        }
    }
    let mut all = String::new();
    list(root, "", &mut all);
    Tree::parse(all.as_bytes())
}

fn commands(root: &Path, changed: &[&str]) -> Vec<String> {
    choose_frozen_installs(&tree(root), root, changed, &|_| true)
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
fn a_missing_program_is_reported_with_a_sufficient_setup() {
    let root = checkout(&[("web/package-lock.json", "")]);
    let found = choose_frozen_installs(
        &tree(root.path()),
        root.path(),
        &["web/package-lock.json"],
        &|_| false,
    );
    let [FrozenInstall::Missing { why }] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        why,
        "web/package-lock.json changed and npm is not on PATH: set workspace.setup in autopack.yaml to the command \
         that installs the dependencies, for example `cd web && npm ci --no-audit --no-fund --prefer-offline`"
    );
}

#[test]
fn requirements_are_installed_only_into_the_checkouts_environment() {
    let root = checkout(&[("requirements.txt", "x"), ("requirements/dev.txt", "y")]);
    let changed = ["requirements.txt", "requirements/dev.txt", "requirements.in"];
    let installs = commands(root.path(), &changed);
    assert!(installs[0].contains("there is no .venv"), "{installs:?}");
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

#[test]
fn a_manifest_is_installed_by_the_lock_file_of_its_workspace() {
    let root = checkout(&[
        ("package.json", "{}"),
        ("pnpm-lock.yaml", ""),
        ("packages/a/package.json", "{}"),
        ("api/pyproject.toml", ""),
        ("api/uv.lock", ""),
        ("api/lib/pyproject.toml", ""),
        ("alone/setup.py", ""),
    ]);
    let pnpm = ": pnpm install --frozen-lockfile --prefer-offline";
    assert_eq!(commands(root.path(), &["packages/a/package.json", "package.json"]), [pnpm]);
    let uv = "api: uv sync --frozen --inexact";
    assert_eq!(commands(root.path(), &["api/lib/pyproject.toml", "api/uv.lock"]), [uv]);
    let installs = commands(root.path(), &["alone/setup.py"]);
    assert!(
        installs[0].contains("alone/setup.py changed and there is no lock file to install from")
            && installs[0].contains("workspace.setup")
            && installs[0].ends_with("`cd alone && .venv/bin/python -m pip install -e .`"),
        "{installs:?}"
    );
}

#[test]
fn untracked_vendored_dependencies_are_vendored_again() {
    let root = checkout(&[
        ("Cargo.lock", ""),
        ("vendor/serde/lib.rs", ""),
        ("go/go.mod", ""),
        ("go/vendor/modules.txt", ""),
        ("plain/Cargo.lock", ""),
    ]);
    let changed = ["Cargo.lock", "go/go.mod", "plain/Cargo.lock"];
    assert_eq!(
        commands(root.path(), &changed),
        [": cargo vendor --locked --quiet", "go: go mod vendor"]
    );
    let tracked = Tree::parse(b"100644 blob 1\tvendor/serde/lib.rs\0");
    assert!(choose_frozen_installs(&tracked, root.path(), &["Cargo.lock"], &|_| true).is_empty());
}

#[test]
fn an_install_owns_its_package_managers_directories_below() {
    let root = checkout(&[("web/package-lock.json", ""), ("uv.lock", "")]);
    let found = choose_frozen_installs(
        &tree(root.path()),
        root.path(),
        &["web/package-lock.json", "uv.lock"],
        &|_| true,
    );
    let owns = |index: usize, path: &str| match &found[index] {
        FrozenInstall::Run(command) => command.owns(path),
        FrozenInstall::Missing { why } => panic!("{why}"),
    };
    assert!(owns(1, "web/node_modules") && owns(1, "web/packages/a/node_modules"));
    assert!(!owns(1, "node_modules") && !owns(1, "website/node_modules") && !owns(1, "web/.venv"));
    assert!(owns(0, ".venv") && owns(0, "api/venv"));
    assert!(!owns(0, "web/node_modules") && !owns(0, "vendor"));
}
