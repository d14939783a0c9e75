//! Lines added to files treated as binary by git, and therefore missing in a patch.
//!
//! A NUL byte or an attribute (`*.lock -diff`) makes a file binary; text written into such a file
//! by an agent must still be searched.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::Slot;
use super::measure::MeasuredChange;
use crate::git::command::fields;
use crate::git::diff::diff_through_file;
use crate::git::error::Result;
use crate::git::path_bytes::from_bytes;
use crate::process::patch::{self, PatchLine};

/// First line of a binary file's content in a patch.
const HUNK: &[u8] = b"GIT binary patch\n";
/// Maximum size in bytes: git cannot compare larger files as text in reasonable time.
const LARGEST: u64 = 256 << 20;

impl Slot {
    /// Returns the change to binary files since `base`, as a patch of lines. NUL bytes are left out, so that text in
    /// UTF-16 is found too.
    ///
    /// # Errors
    /// If git fails.
    pub async fn binary_file_lines(
        &self,
        base: &str,
        measured: &MeasuredChange,
    ) -> Result<Vec<u8>> {
        if !measured.without_binary && !has_binaries(&measured.patch) {
            return Ok(Vec::new());
        }
        let git = &self.top.git;
        let trees = [base, measured.tree.as_str()];
        let listing = ["diff-tree", "-r", "-z", "--numstat", "--no-renames"];
        let listed = git.call("list binary files", listing).args(trees).bytes().await?;
        let binaries = fields(&listed).filter_map(|line| line.strip_prefix(b"-\t-\t"));
        let size = |path: &[u8]| fs::symlink_metadata(self.path().join(from_bytes(path)));
        let small = binaries.filter(|path| size(path).is_ok_and(|found| found.size() <= LARGEST));
        let paths: Vec<OsString> = small.map(|path| from_bytes(path).into()).collect();
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let file = self.top.git_dir.join("lines");
        let as_text =
            ["diff-tree", "-r", "-p", "--text", "--no-renames", "--no-ext-diff", "--no-textconv"];
        let mut lines = Vec::new();
        for some in paths.chunks(500) {
            let call = git.call("search binary files", as_text);
            let call = call.env("GIT_LITERAL_PATHSPECS", "1");
            let trees = trees.iter().chain(&["--"]).map(OsStr::new);
            let what = trees.chain(some.iter().map(OsString::as_os_str));
            let output = diff_through_file(&file, call, what).await?;
            lines.extend(output.into_iter().filter(|byte| *byte != 0));
        }
        Ok(lines)
    }
}

fn has_binaries(diff: &[u8]) -> bool {
    patch::lines(diff).any(|line| line == PatchLine::Header(HUNK))
}

/// Returns the patch without the content of binary files, because their content cannot be redacted.
pub fn strip_binaries(diff: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(diff.len());
    let mut within = false;
    let lines = diff.split_inclusive(|byte| *byte == b'\n').zip(patch::lines(diff));
    for (line, read) in lines {
        let begins = read == PatchLine::Header(HUNK);
        within = (within || begins) && !line.starts_with(b"diff --git ");
        match begins {
            true => kept.extend_from_slice(b"Binary files differ\n"),
            false if within => {}
            false => kept.extend_from_slice(line),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_hunks_are_cut_out_of_a_patch() {
        let text = "diff --git a/t b/t\n--- a/t\n+++ b/t\n@@ -0,0 +1 @@\n+GIT binary patch\n";
        let binary = "diff --git a/b b/b\nindex 0..1\nGIT binary patch\nliteral 4\nLc$@<O00001\n\nliteral 0\nHcmV?d00001\n\n";
        let cut = "diff --git a/b b/b\nindex 0..1\nBinary files differ\n";
        let cut_out = strip_binaries(format!("{text}{binary}{text}").as_bytes());
        assert_eq!(String::from_utf8(cut_out).unwrap(), format!("{text}{cut}{text}"));
        assert!(!has_binaries(text.as_bytes()) && has_binaries(binary.as_bytes()));
    }
}
