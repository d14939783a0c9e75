//! Files that run commands or choose dependencies: the text of other people's issues never opens them by itself.

use crate::phase::dependency_inputs::is_input;
use crate::phase::path::{file_name, parent};

/// Directories and files of CI services.
const CI: [&str; 14] = [
    ".github",
    ".gitlab-ci.yml",
    ".gitlab",
    ".circleci",
    ".travis.yml",
    ".buildkite",
    ".drone.yml",
    ".woodpecker",
    ".woodpecker.yml",
    ".forgejo",
    ".gitea",
    ".ci",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
];
/// The same, in any directory.
const CI_NAMES: [&str; 4] = ["Jenkinsfile", "appveyor.yml", ".appveyor.yml", "action.yml"];
/// Directories with hooks of git and of tools.
const HOOK_DIRECTORIES: [&str; 6] =
    [".husky", ".githooks", ".hooks", "git-hooks", "githooks", "hooks"];
/// Configurations of hooks.
const HOOK_NAMES: [&str; 6] = [
    ".pre-commit-config.yaml",
    ".pre-commit-hooks.yaml",
    "lefthook.yml",
    ".lefthook.yml",
    ".envrc",
    ".lintstagedrc",
];
/// Files whose commands a build or a test run starts.
const SCRIPTS: [&str; 15] = [
    "Makefile",
    "makefile",
    "GNUmakefile",
    "justfile",
    "Justfile",
    "Taskfile.yml",
    "Rakefile",
    "noxfile.py",
    "tox.ini",
    "build.rs",
    "Dockerfile",
    "docker-compose.yml",
    "compose.yaml",
    "conanfile.py",
    "CMakeLists.txt",
];

/// Directories and files with instructions, hooks or servers of coding agents, in any directory; lower case.
const AGENTS: [&str; 11] = [
    ".claude",
    ".codex",
    ".gemini",
    ".cursor",
    ".opencode",
    ".goose",
    ".aider.conf.yml",
    ".mcp.json",
    "agents.md",
    "claude.md",
    "gemini.md",
];
/// Directories of tools that run commands; lower case.
const TOOLS: [&str; 5] = [".cargo", ".vscode", ".devcontainer", ".mvn", "gradle"];
/// Programs and configurations that builds and tests run; lower case.
const TOOL_NAMES: [&str; 5] = ["gradlew", "gradlew.bat", "mvnw", "conftest.py", "sitecustomize.py"];
/// Manifests in lower case, for file systems that ignore case.
const INPUTS: [&str; 3] = ["cargo.toml", "cargo.lock", "gemfile"];

/// Returns what makes a file restricted, for a sentence.
pub fn restriction(path: &str) -> Option<&'static str> {
    let path = path.trim_end_matches('/');
    // Some file systems ignore case.
    let lower = path.to_lowercase();
    let name = file_name(path);
    let first = lower.split('/').next().unwrap_or(&lower);
    let mut parts = lower.split('/');
    if parts.any(|part| AGENTS.contains(&part)) {
        return Some("a file that directs agents");
    }
    if TOOLS.contains(&first) || TOOL_NAMES.contains(&file_name(&lower)) || is_tool_config(&lower) {
        return Some("a configuration of tools that runs code");
    }
    if CI.contains(&first) || CI_NAMES.contains(&name) {
        return Some("a file of CI");
    }
    if is_input(path) || is_input(&lower) || INPUTS.contains(&file_name(&lower)) {
        return Some("a manifest or lock file");
    }
    let directories = parent(path).unwrap_or_default();
    let is_hook = directories.split('/').chain([name]).any(|part| HOOK_DIRECTORIES.contains(&part));
    // Files of source code in a directory `hooks` are no hooks: `src/hooks/useAuth.ts`.
    if is_hook && !directories.contains("src") || HOOK_NAMES.contains(&name) {
        return Some("a hook");
    }
    let is_script = SCRIPTS.iter().any(|script| script.eq_ignore_ascii_case(name));
    is_script.then_some("a build script")
}

/// `vite.config.ts`, `jest.config.js` and the like: programs that tools run.
fn is_tool_config(path: &str) -> bool {
    [".config.js", ".config.ts", ".config.mjs", ".config.cjs", ".config.mts"]
        .iter()
        .any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_run_commands_are_restricted() {
        for (path, why) in [
            (".github/workflows/ci.yml", Some("a file of CI")),
            (".gitlab-ci.yml", Some("a file of CI")),
            ("tools/Jenkinsfile", Some("a file of CI")),
            ("package.json", Some("a manifest or lock file")),
            ("web/pnpm-lock.yaml", Some("a manifest or lock file")),
            ("pyproject.toml", Some("a manifest or lock file")),
            (".husky/pre-push", Some("a hook")),
            (".husky/", Some("a hook")),
            (".pre-commit-config.yaml", Some("a hook")),
            ("Makefile", Some("a build script")),
            ("crates/x/build.rs", Some("a build script")),
            ("Package.json", Some("a manifest or lock file")),
            ("MAKEFILE", Some("a build script")),
            (".claude/settings.json", Some("a file that directs agents")),
            ("docs/CLAUDE.md", Some("a file that directs agents")),
            (".cargo/config.toml", Some("a configuration of tools that runs code")),
            ("web/vite.config.ts", Some("a configuration of tools that runs code")),
            ("tests/conftest.py", Some("a configuration of tools that runs code")),
            ("src/hooks/useAuth.ts", None),
            ("src/github.rs", None),
            ("docs/ci.md", None),
        ] {
            assert_eq!(restriction(path), why, "{path}");
        }
    }
}
