//! Manifests and lock files by name: what `workspace.setup` works on.

/// Whether a path of the repository is a manifest or lock file of a package manager, in whatever folder.
pub fn is_setup_input(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    NAMES.contains(&name)
        || (name.contains("requirements") && name.ends_with(".txt"))
        || [".gemspec", ".csproj", ".gradle", ".gradle.kts"].iter().any(|end| name.ends_with(end))
}

const NAMES: &[&str] = &[
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
    ".yarnrc.yml",
    "bun.lock",
    "bun.lockb",
    ".npmrc",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile",
    "Pipfile.lock",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "go.mod",
    "go.sum",
    "go.work",
    "composer.json",
    "composer.lock",
    "Gemfile",
    "Gemfile.lock",
    "mix.exs",
    "mix.lock",
    "pom.xml",
    ".gitmodules",
    ".tool-versions",
];
