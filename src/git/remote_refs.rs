//! Refs of a remote: read, changed together or not at all, and fetched into refs of ours.
//!
//! A change names the value that the ref must have. git sends this value, and the server compares it while it holds the
//! ref's lock: of two changes with the same expected value, one fails.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::Result;
use super::remote_access::{QUESTION, RemoteAccess, RemoteAnswer};

/// Time limit for a push or a fetch. After it, the refs tell whether the push arrived.
const TRANSFER: Duration = Duration::from_secs(900);

/// A change of a ref, done only if the ref has the expected value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefChange {
    /// Full name.
    pub name: String,
    /// Expected value; `None`: there is no such ref.
    pub expected: Option<String>,
    /// New value; `None` deletes the ref.
    pub new: Option<String>,
}

impl RefChange {
    /// Creates a ref.
    pub fn create(name: &str, new: &str) -> Self {
        Self { name: name.to_owned(), expected: None, new: Some(new.to_owned()) }
    }

    /// Moves a ref.
    pub fn update(name: &str, expected: &str, new: &str) -> Self {
        let (expected, new) = (Some(expected.to_owned()), Some(new.to_owned()));
        Self { name: name.to_owned(), expected, new }
    }

    /// Deletes a ref.
    pub fn delete(name: &str, expected: &str) -> Self {
        Self { name: name.to_owned(), expected: Some(expected.to_owned()), new: None }
    }
}

impl RemoteAccess {
    /// Returns the values of refs by name. A name may end with `*`. Refs that the remote lacks are missing.
    ///
    /// # Errors
    /// If git cannot be run.
    pub(crate) async fn refs(
        &mut self,
        names: &[&str],
    ) -> Result<RemoteAnswer<BTreeMap<String, String>>> {
        let mut args = vec!["ls-remote".to_owned(), "--".to_owned(), self.place().to_owned()];
        args.extend(names.iter().map(|name| (*name).to_owned()));
        let answer = self.ask("read refs of the remote", &args, Some(QUESTION)).await?;
        Ok(answer.map(|answer| parse_refs(&String::from_utf8_lossy(&answer.output.stdout), names)))
    }

    /// Makes all of these changes, or none. A failed answer says nothing about the refs: the push may have arrived.
    ///
    /// # Errors
    /// If git cannot be run.
    pub(crate) async fn change_refs(
        &mut self,
        doing: &str,
        changes: &[RefChange],
    ) -> Result<RemoteAnswer<()>> {
        let mut args: Vec<String> = [
            "push",
            "--porcelain",
            "--atomic",
            "--no-verify",
            "--no-follow-tags",
            "--no-signed",
            "--recurse-submodules=no",
        ]
        .map(str::to_owned)
        .into();
        args.extend(changes.iter().map(|RefChange { name, expected, .. }| {
            format!("--force-with-lease={name}:{}", expected.as_deref().unwrap_or_default())
        }));
        args.extend(["--".to_owned(), self.place().to_owned()]);
        args.extend(changes.iter().map(|RefChange { name, new, .. }| {
            format!("{}:{name}", new.as_deref().unwrap_or_default())
        }));
        Ok(self.ask(doing, &args, Some(TRANSFER)).await?.map(drop))
    }

    /// Fetches a ref into a ref of ours. Touches no other ref, no tag and no `FETCH_HEAD`.
    ///
    /// # Errors
    /// If git cannot be run.
    pub(crate) async fn fetch_ref(&mut self, name: &str, into: &str) -> Result<RemoteAnswer<()>> {
        self.fetch_objects(&[format!("+{name}:{into}")]).await
    }

    /// Fetches objects that a partial clone lacks, each alone: no question about the commits that are here.
    ///
    /// # Errors
    /// If git cannot be run.
    pub(crate) async fn fetch_missing(&mut self, objects: &[String]) -> Result<RemoteAnswer<()>> {
        let mut args: Vec<String> = [
            "-c",
            "fetch.negotiationAlgorithm=noop",
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--refmap=",
            "--filter=blob:none",
            "--stdin",
            "--",
        ]
        .map(str::to_owned)
        .into();
        args.push(self.place().to_owned());
        let lines = objects.iter().map(|id| format!("{id}\n")).collect::<String>();
        let doing = "fetch missing files from the remote";
        Ok(self.ask_with(doing, &args, Some(TRANSFER), Some(&lines)).await?.map(drop))
    }

    /// Fetches refs or objects without other effects.
    ///
    /// # Errors
    /// If git cannot be run.
    pub(crate) async fn fetch_objects(&mut self, wanted: &[String]) -> Result<RemoteAnswer<()>> {
        let mut args: Vec<String> = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-prune",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--refmap=",
            "--",
        ]
        .map(str::to_owned)
        .into();
        args.push(self.place().to_owned());
        args.extend_from_slice(wanted);
        Ok(self.ask("fetch from the remote", &args, Some(TRANSFER)).await?.map(drop))
    }
}

/// Parses `git ls-remote`, whose patterns also match longer names with the same end.
fn parse_refs(text: &str, names: &[&str]) -> BTreeMap<String, String> {
    let is_wanted = |found: &str| {
        names.iter().any(|name| match name.strip_suffix('*') {
            Some(prefix) => found.starts_with(prefix),
            None => found == *name,
        })
    };
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    lines
        .filter(|(_, name)| is_wanted(name))
        .map(|(id, name)| (name.to_owned(), id.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_refs_are_read() {
        let text = "1\trefs/heads/a\n2\trefs/heads/x/refs/heads/a\n3\trefs/autopack/claims/r/p\n";
        let found = parse_refs(text, &["refs/heads/a", "refs/autopack/claims/r/*"]);
        let found: Vec<_> = found.iter().map(|(name, id)| format!("{name} {id}")).collect();
        assert_eq!(found, ["refs/autopack/claims/r/p 3", "refs/heads/a 1"]);
    }
}
