//! Finds the dependency directories of the user's checkout needed in a copy of a commit.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::VENV_MARKER;
use super::path_patterns::sorted_names;
use crate::git::trees::Tree;
use crate::phase::dependency_inputs::is_python_manifest;

/// A directory or file created by a package manager, and its manifests.
struct InstallProduct {
    path: &'static str,
    manifests: &'static [&'static str],
}

const NODE: &[&str] = &["package.json"];

const PRODUCTS: &[InstallProduct] = &[
    InstallProduct { path: "node_modules", manifests: NODE },
    // Yarn's Plug'n'Play has these files instead of node_modules.
    InstallProduct { path: ".pnp.cjs", manifests: NODE },
    InstallProduct { path: ".pnp.loader.mjs", manifests: NODE },
    InstallProduct { path: ".yarn/cache", manifests: NODE },
    InstallProduct { path: ".yarn/unplugged", manifests: NODE },
    InstallProduct { path: ".yarn/install-state.gz", manifests: NODE },
    InstallProduct {
        path: "vendor",
        manifests: &["composer.json", "Gemfile", "gems.rb", "go.mod", "go.work", "Cargo.toml"],
    },
    InstallProduct { path: ".bundle", manifests: &["Gemfile", "gems.rb"] },
];

/// Dependencies needed by a checkout in addition to its commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DependencyDirectories {
    /// Paths relative to the top, in order: directories, and a few files next to them.
    pub found: Vec<String>,
    /// Symbolic links in the user's checkout: their targets may be shared with other projects. A link listed in
    /// `workspace.link` is copied all the same.
    pub symlinks: Vec<String>,
}

/// Returns the untracked dependency directories in the user's checkout at `root` for the projects of this commit:
/// next to each manifest, anywhere in the repository.
///
/// None of them contains files of the commit, is inside another, or is reached through a symbolic link.
pub fn find_dependency_directories(tree: &Tree, root: &Path) -> DependencyDirectories {
    let mut result = DependencyDirectories::default();
    for project in projects(tree) {
        if !is_real_directory(root, &project) {
            continue;
        }
        for path in candidates(tree, root, &project) {
            match fs::symlink_metadata(root.join(&path)) {
                Ok(found) if found.is_symlink() => result.symlinks.push(path),
                Ok(_) => result.found.push(path),
                Err(_) => {}
            }
        }
    }
    result.found.sort();
    result.symlinks.sort();
    result
}

/// Returns the dependency directory that contains an ignored path of the user's checkout, or is this path. A directory
/// may be listed as a whole, or by its entries.
pub fn dependencies_around(root: &Path, path: &str) -> Option<String> {
    let path = path.trim_end_matches('/');
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let is_product = |at: &str| {
        PRODUCTS.iter().any(|product| {
            let above = at.strip_suffix(product.path);
            above.is_some_and(|above| above.is_empty() || above.ends_with('/'))
        })
    };
    if let Some(end) = ends.into_iter().find(|end| is_product(&path[..*end])) {
        return Some(path[..end].to_owned());
    }
    let is_venv = |at: &str| root.join(at).join(VENV_MARKER).is_file();
    // An environment's own ignore file lists its entries.
    let above = path.rsplit_once('/').map(|(above, _)| above);
    [Some(path), above].into_iter().flatten().find(|at| is_venv(at)).map(str::to_owned)
}

/// Returns the directories with a manifest, always including the top.
fn projects(tree: &Tree) -> BTreeSet<String> {
    let mut projects = BTreeSet::from([String::new()]);
    // Every manifest is an input.
    for path in tree.inputs() {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let is_manifest = is_python_manifest(name)
            || PRODUCTS.iter().any(|product| product.manifests.contains(&name));
        if is_manifest && !is_inside_dependencies(directory) {
            projects.insert(directory.to_owned());
        }
    }
    projects
}

/// Whether the manifest belongs to a checked-in third-party project.
fn is_inside_dependencies(directory: &str) -> bool {
    directory.split('/').any(|name| matches!(name, "node_modules" | "site-packages" | "vendor"))
}

/// A symbolic link in the path could have another target in the copy than in the user's checkout, or leave the
/// checkout.
fn is_real_directory(root: &Path, project: &str) -> bool {
    let mut at = root.to_owned();
    project.split('/').filter(|part| !part.is_empty()).all(|part| {
        at.push(part);
        fs::symlink_metadata(&at).is_ok_and(|found| found.is_dir())
    })
}

fn candidates(tree: &Tree, root: &Path, project: &str) -> Vec<String> {
    let inside = |name: &str| match project {
        "" => name.to_owned(),
        _ => format!("{project}/{name}"),
    };
    let products = PRODUCTS.iter().filter(|product| {
        // Node looks for packages in every parent directory; other directories are only found with their manifest.
        (project.is_empty() && product.path == "node_modules")
            || product.manifests.iter().any(|name| tree.has_file(&inside(name)))
    });
    let mut paths: Vec<String> = products.map(|product| inside(product.path)).collect();
    let here = root.join(project);
    let text = |name: OsString| name.into_string().ok();
    // direnv nests them a level deeper.
    let layouts = sorted_names(&here.join(".direnv")).into_iter().filter_map(text);
    let venvs = sorted_names(&here).into_iter().filter_map(text);
    let venvs = venvs.chain(layouts.map(|name| format!(".direnv/{name}")));
    let is_venv = |name: &String| here.join(name).join(VENV_MARKER).is_file();
    paths.extend(venvs.filter(is_venv).map(|name| inside(&name)));
    paths.retain(|path| !tree.has_file(path) && !tree.has_directory(path));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree(paths: &[&str]) -> Tree {
        let listed: String = paths.iter().map(|path| format!("100644 blob 1\t{path}\0")).collect();
        Tree::parse(listed.as_bytes())
    }

    fn checkout(files: &[&str]) -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        for file in files {
            let path = temp.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        temp
    }

    #[test]
    fn each_project_has_its_own_dependency_directories() {
        let tree =
            tree(&["package.json", "packages/a/package.json", "api/pyproject.toml", "go/go.mod"]);
        let root = checkout(&[
            "node_modules/x/package.json",
            "packages/a/node_modules/y/package.json",
            "api/.venv/pyvenv.cfg",
            "api/env39/pyvenv.cfg",
            "api/.direnv/python-3.11/pyvenv.cfg",
            "go/vendor/modules.txt",
            "old/node_modules/z/package.json",
            "old/package.json",
            "other/vendor/x",
        ]);
        let found = find_dependency_directories(&tree, root.path());
        assert_eq!(
            found.found,
            [
                "api/.direnv/python-3.11",
                "api/.venv",
                "api/env39",
                "go/vendor",
                "node_modules",
                "packages/a/node_modules"
            ]
        );
        assert!(found.symlinks.is_empty());
    }

    #[test]
    fn a_project_in_a_subdirectory_may_have_its_environment_at_the_top() {
        let tree = tree(&["web/package.json", "api/requirements-dev.txt"]);
        let root = checkout(&["node_modules/x/y", "venv/pyvenv.cfg", "web/x", "api/y"]);
        assert_eq!(find_dependency_directories(&tree, root.path()).found, ["node_modules", "venv"]);
    }

    #[test]
    fn an_ignored_path_leads_to_its_dependency_directory() {
        let root = checkout(&["api/.venv/pyvenv.cfg", "web/node_modules/x/y", "gen/x"]);
        for (path, around) in [
            ("node_modules/", Some("node_modules")),
            ("web/node_modules/x/", Some("web/node_modules")),
            ("api/.venv/", Some("api/.venv")),
            ("api/.venv/pyvenv.cfg", Some("api/.venv")),
            (".yarn/cache/", Some(".yarn/cache")),
            ("gen/", None),
            ("my_vendor/", None),
        ] {
            assert_eq!(dependencies_around(root.path(), path).as_deref(), around, "{path}");
        }
    }

    #[test]
    fn tracked_and_linked_directories_are_skipped() {
        let tree = tree(&[
            "package.json",
            "node_modules/keep/package.json",
            "a/package.json",
            "b/package.json",
            "go.mod",
        ]);
        let root = checkout(&["node_modules/keep/node_modules/z/y", "elsewhere/node_modules/x/y"]);
        fs::create_dir(root.path().join("b")).unwrap();
        symlink("elsewhere", root.path().join("a")).unwrap();
        symlink("../elsewhere/node_modules", root.path().join("b/node_modules")).unwrap();
        let found = find_dependency_directories(&tree, root.path());
        assert!(found.found.is_empty(), "{found:?}");
        assert_eq!(found.symlinks, ["b/node_modules"]);
    }
}
