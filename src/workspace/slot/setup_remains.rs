//! Inputs of `workspace.setup`, and results of setup that survive the next reset.

use std::path::PathBuf;

use globset::{GlobBuilder, GlobMatcher};
use sha2::{Digest, Sha256};

use super::untracked_removal::list_remaining;
use super::{Side, Slot};
use crate::git::command::fields;
use crate::git::error::{Context, Result, WorkspaceError};
use crate::git::path_bytes::{from_bytes, to_text};
use crate::phase::words::hex;
use crate::workspace::blocking_work::blocking;

/// Paths in a checkout after a setup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupRemains {
    /// Paths that survive a reset, relative to the top.
    pub kept: Vec<PathBuf>,
    /// Whether there is anything else, in the files or in the copy's git directory: a reset removes it.
    pub has_more: bool,
}

impl Slot {
    /// Returns the results of setup in a checkout.
    ///
    /// # Errors
    /// If the checkout was never reset, or cannot be read.
    pub async fn find_setup_remains(&self, side: Side) -> Result<SetupRemains> {
        let Some(contents) = self.contents_of(side) else {
            return Err(WorkspaceError::NotReset(self.number()));
        };
        let dir = self.checkout(side).dir.clone();
        let (tree, outside) = (contents.placed.tree.clone(), contents.outside.clone());
        let own_git = contents.own_git.clone();
        blocking(move || {
            let (kept, others) = list_remaining(&dir, &tree, &outside).doing("search", &dir)?;
            let has_more = others || !own_git.matches(&dir.join(".git"));
            let kept = kept.iter().map(|path| from_bytes(path).to_owned()).collect();
            Ok(SetupRemains { kept, has_more })
        })
        .await
    }

    /// Returns a key of the commit's files accepted by `is_input` or by a pattern; the key changes with their
    /// content.
    ///
    /// # Errors
    /// If a pattern is invalid, or git fails.
    pub async fn inputs_key(
        &self,
        side: Side,
        is_input: &(dyn Fn(&str) -> bool + Sync),
        more: &[String],
    ) -> Result<String> {
        let Some(contents) = self.contents_of(side) else {
            return Err(WorkspaceError::NotReset(self.number()));
        };
        let more: Vec<SetupInput> =
            more.iter().map(|text| SetupInput::new(text)).collect::<Result<_>>()?;
        let wanted = |path: &str| is_input(path) || more.iter().any(|input| input.is_for(path));
        let mut paths: Vec<&str> = contents.placed.tree.paths().filter(|p| wanted(p)).collect();
        paths.sort_unstable();
        let mut key = Sha256::new();
        if !paths.is_empty() {
            // Lists the whole index: the paths might be too long for a command line.
            let args = ["ls-files", "-s", "-z"];
            let git = &self.checkout(side).git;
            let listed = git.call("list the inputs of setup", args).bytes().await?;
            for field in fields(&listed) {
                let Some(tab) = field.iter().position(|b| *b == b'\t') else { continue };
                if paths.binary_search(&&*to_text(&field[tab + 1..])).is_ok() {
                    key.update(field);
                    key.update(b"\0");
                }
            }
        }
        Ok(hex(&key.finalize()))
    }
}

/// An entry of `workspace.setup_inputs`: a file, a directory with everything in it, or a pattern.
struct SetupInput {
    path: String,
    glob: GlobMatcher,
}

impl SetupInput {
    fn new(text: &str) -> Result<Self> {
        let path = text.trim_end_matches('/').trim_start_matches("./").to_owned();
        let glob = GlobBuilder::new(&path).literal_separator(true).build().map_err(|error| {
            let (key, why) =
                ("workspace.setup_inputs", format!("is not a pattern: {}", error.kind()));
            WorkspaceError::BadSetting { key, pattern: text.to_owned(), why }
        })?;
        Ok(Self { path, glob: glob.compile_matcher() })
    }

    fn is_for(&self, path: &str) -> bool {
        let within = path.strip_prefix(&self.path).is_some_and(|rest| rest.starts_with('/'));
        path == self.path || within || self.glob.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_a_file_a_directory_or_a_pattern() {
        for (input, path, is) in [
            ("tools/versions.txt", "tools/versions.txt", true),
            ("tools/", "tools/a/b", true),
            ("*.lock", "x.lock", true),
            ("*.lock", "a/x.lock", false),
            ("**/*.lock", "a/b/x.lock", true),
            ("tools", "toolset", false),
        ] {
            assert_eq!(SetupInput::new(input).unwrap().is_for(path), is, "{input} {path}");
        }
        assert!(SetupInput::new("a[").is_err());
    }
}
