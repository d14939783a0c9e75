//! State and logins of agents, hidden from everything that is not the agent.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::child_env::Env;
use crate::process::view::agent_needs::AgentNeeds;

/// Returns the existing state directories and login files of agents in `all`, except those in `own`, without links.
pub fn logins_to_hide(all: &AgentNeeds, own: &AgentNeeds, home: &Path, env: &Env) -> Vec<PathBuf> {
    fn paths(needs: &AgentNeeds) -> impl Iterator<Item = &'static str> + '_ {
        let credentials = needs.credentials.iter().map(|file| file.path);
        let files = credentials.chain(needs.secrets.iter().chain(&needs.files).copied());
        files.chain(needs.directories.iter().copied())
    }
    // A directory with something of the agent's own stays.
    let is_own = |path: &str| paths(own).any(|own| Path::new(own).starts_with(path));
    paths(all)
        .filter(|path| !is_own(path))
        .filter_map(|path| fs::canonicalize(all.locate(path, home, env)).ok())
        .collect()
}
