//! Manifests and lock files, by name: a change to one of them asks for a new setup.

/// Whether a path of the repository is a manifest or lock file of a package manager, in whatever directory.
pub fn is_input(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    NAMES.contains(&name)
        || is_python_manifest(name)
        || is_requirements(path)
        || name.ends_with(".gemspec")
        || name.ends_with(".csproj")
        || name.ends_with(".fsproj")
        || name.ends_with(".gradle")
        || name.ends_with(".gradle.kts")
        || is_in_directory(path, ".yarn/patches")
        || is_in_directory(path, "patches") && name.ends_with(".patch")
}

/// Whether a file of this name makes its directory a Python project.
pub fn is_python_manifest(name: &str) -> bool {
    PYTHON.contains(&name) || is_requirements_name(name)
}

/// `requirements.txt`, `requirements-dev.in`, `dev-requirements.txt`, `requirements/dev.txt`.
pub fn is_requirements(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or(path);
    let is_list = name.ends_with(".txt") || name.ends_with(".in");
    is_requirements_name(name) || is_list && parts.next() == Some("requirements")
}

fn is_requirements_name(name: &str) -> bool {
    let stem = name.strip_suffix(".txt").or_else(|| name.strip_suffix(".in"));
    stem.is_some_and(|stem| {
        let stem = stem.to_ascii_lowercase();
        stem.starts_with("requirements") || stem.ends_with("requirements") || stem == "constraints"
    })
}

fn is_in_directory(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
        || path.contains(&format!("/{directory}/"))
}

const PYTHON: &[&str] = &[
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "Pipfile",
    "uv.toml",
    "environment.yml",
    "environment.yaml",
];

const NAMES: &[&str] = &[
    // Python's locks
    "uv.lock",
    "poetry.lock",
    "poetry.toml",
    "pdm.lock",
    "pylock.toml",
    "Pipfile.lock",
    "conda-lock.yml",
    ".python-version",
    // Node
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    ".pnpmfile.cjs",
    "yarn.lock",
    ".yarnrc",
    ".yarnrc.yml",
    "bun.lock",
    "bun.lockb",
    "lerna.json",
    ".npmrc",
    ".nvmrc",
    ".node-version",
    "deno.json",
    "deno.jsonc",
    "deno.lock",
    // Rust and Go
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain",
    "rust-toolchain.toml",
    "go.mod",
    "go.sum",
    "go.work",
    "go.work.sum",
    // PHP and Ruby
    "composer.json",
    "composer.lock",
    "Gemfile",
    "Gemfile.lock",
    "gems.rb",
    "gems.locked",
    ".ruby-version",
    // others
    "mix.exs",
    "mix.lock",
    "pubspec.yaml",
    "pubspec.lock",
    "pom.xml",
    "gradle.lockfile",
    "libs.versions.toml",
    "packages.lock.json",
    "Package.swift",
    "Package.resolved",
    "stack.yaml",
    "stack.yaml.lock",
    "conanfile.txt",
    "conanfile.py",
    "vcpkg.json",
    ".tool-versions",
    "mise.toml",
    "flake.lock",
    // what git itself brings along
    ".gitmodules",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_and_locks_are_inputs_wherever_they_are() {
        for path in [
            "package.json",
            "packages/a/package.json",
            "requirements.txt",
            "requirements-dev.txt",
            "dev-requirements.in",
            "requirements/base.txt",
            "api/Pipfile.lock",
            "x.gemspec",
            ".yarn/patches/a.patch",
            "web/patches/left-pad+1.0.0.patch",
        ] {
            assert!(is_input(path), "{path}");
        }
        for path in ["src/a.py", "package.json.md", "docs/requirements.md", "notes.txt", "base.txt"]
        {
            assert!(!is_input(path), "{path}");
        }
    }
}
