//! Reader of unified diffs: hunks are read by their line counts, never by the look of a line.
//!
//! An added line `++ x` appears in a patch as `+++ x`, and a removed `-- x` as `--- x`: only the counts of
//! `@@ -a,b +c,d @@` distinguish them from headers. After a violation of its counts, a patch is read on from
//! the next line that can only be a header.

/// A line of a patch, line end included, without the sign for its role in a hunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchLine<'a> {
    /// Outside of hunks: `diff --git`, `index`, `---`, `+++`, `rename from`, binary data.
    Header(&'a [u8]),
    /// `@@ -a,b +c,d @@`.
    Hunk(&'a [u8]),
    /// A line only in the new file.
    Added(&'a [u8]),
    /// A line only in the old file.
    Removed(&'a [u8]),
    /// A line in both files.
    Context(&'a [u8]),
    /// `\ No newline at end of file`: refers to the previous line.
    NoNewline(&'a [u8]),
}

/// Returns every line of `patch`, in order.
pub fn lines(patch: &[u8]) -> impl Iterator<Item = PatchLine<'_>> {
    let mut left = RemainingLines::default();
    patch.split_inclusive(|byte| *byte == b'\n').map(move |line| left.read(line))
}

/// Remaining lines of a hunk, in the old and in the new file.
#[derive(Clone, Copy, Debug, Default)]
struct RemainingLines {
    old: u64,
    new: u64,
}

impl RemainingLines {
    fn read<'a>(&mut self, line: &'a [u8]) -> PatchLine<'a> {
        if line.first() == Some(&b'\\') {
            return PatchLine::NoNewline(line);
        }
        let within = match (self.old, self.new, line.first()) {
            (_, 1.., Some(b'+')) => Some((0, 1, PatchLine::Added(&line[1..]))),
            (1.., _, Some(b'-')) => Some((1, 0, PatchLine::Removed(&line[1..]))),
            (1.., 1.., Some(b' ')) => Some((1, 1, PatchLine::Context(&line[1..]))),
            // Some tools strip the space of an empty line.
            (1.., 1.., Some(b'\n' | b'\r')) => Some((1, 1, PatchLine::Context(line))),
            _ => None,
        };
        if let Some((old, new, read)) = within {
            (self.old, self.new) = (self.old - old, self.new - new);
            return read;
        }
        *self = Self::default();
        match counts(line) {
            Some(counts) => {
                *self = counts;
                PatchLine::Hunk(line)
            }
            None => PatchLine::Header(line),
        }
    }
}

/// Parses `@@ -a,b +c,d @@ function`; a missing count means 1.
fn counts(line: &[u8]) -> Option<RemainingLines> {
    let line = std::str::from_utf8(line.get(..line.len().min(120))?).ok().or_else(|| {
        // The text behind the second `@@` is arbitrary, and may be cut anywhere.
        std::str::from_utf8(line.split(|byte| *byte >= 0x80).next()?).ok()
    })?;
    let (ranges, _) = line.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let count = |range: &str| match range.split_once(',') {
        None => range.parse::<u64>().ok().map(|_| 1),
        Some((_, count)) => count.parse().ok(),
    };
    Some(RemainingLines { old: count(old)?, new: count(new)? })
}

/// Returns the path of a `diff --git a/x b/x` line; `None` for other headers.
pub fn path_of(header: &str) -> Option<&str> {
    let names = header.trim_end_matches(['\n', '\r']).strip_prefix("diff --git ")?;
    Some(names.rsplit_once(" b/").map_or(names, |(_, path)| path))
}

/// Returns the lines added by a patch. A `+` outside of hunks counts too: in git's patches only headers have
/// one, and in foreign patches a wrong count must hide nothing.
pub fn added(patch: &[u8]) -> Vec<u8> {
    let mut added = Vec::new();
    for line in lines(patch) {
        match line {
            PatchLine::Added(text) => added.extend_from_slice(text),
            PatchLine::Header(line) => {
                added.extend_from_slice(line.strip_prefix(b"+").unwrap_or_default())
            }
            _ => {}
        }
    }
    added
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// Line contents that look like parts of a patch.
    const CONTENTS: [&str; 26] = [
        "++ b/x",
        "-- a/x",
        "++",
        "--",
        "+",
        "-",
        "",
        " ",
        "@@",
        "@@ -1 +1 @@",
        "@ -1,2 +3,4 @@",
        "@@ -0,0 +9 @@ f",
        "diff --git a/x b/x",
        "iff --git a/x b/x",
        "index 0..1",
        "\\ No newline at end of file",
        "\\",
        "Binary files differ",
        "Binary files a/x and b/x differ",
        "GIT binary patch",
        "rename from a",
        "old mode 100644",
        "deleted file mode 100644",
        "++ /dev/null",
        "-- /dev/null",
        "é",
    ];
    const SECRET: &str = "the secret";

    /// Builds a hunk over a file with these lines: removed, kept and added.
    fn hunk(lines: &[(u8, String)], no_newline: bool, crlf: bool) -> String {
        let old = lines.iter().filter(|(sign, _)| *sign != b'+').count();
        let new = lines.iter().filter(|(sign, _)| *sign != b'-').count();
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = format!("@@ -1,{old} +1,{new} @@ fn x\n");
        for (sign, line) in lines {
            text += &format!("{}{line}{end}", char::from(*sign));
        }
        text + if no_newline { "\\ No newline at end of file\n" } else { "" }
    }

    fn line() -> impl Strategy<Value = (u8, String)> {
        let text = prop_oneof![select(&CONTENTS[..]).prop_map(str::to_owned), "[-+@\\\\ a-z]{0,8}"];
        (select(&b"+- "[..]), text)
    }

    proptest! {
        #[test]
        fn added_lines_are_found_in_any_patch(
            files in prop::collection::vec((prop::collection::vec(line(), 1..8), any::<bool>(), any::<bool>()), 1..4),
            at in any::<prop::sample::Index>(), within in any::<prop::sample::Index>(), before in select(&CONTENTS[..]),
        ) {
            let mut files = files;
            let file = at.index(files.len());
            let place = within.index(files[file].0.len() + 1);
            files[file].0.insert(place, (b'+', format!("{before}{SECRET}")));
            let mut patch = String::new();
            for (lines, no_newline, crlf) in &files {
                patch += "diff --git a/x b/x\nold mode 100644\nnew mode 100755\nindex 0..1\n--- a/x\n+++ b/x\n";
                patch += &hunk(lines, *no_newline, *crlf);
            }
            let expected: String = files.iter().flat_map(|(lines, _, crlf)| {
                lines.iter().filter(|(sign, _)| *sign == b'+')
                    .map(move |(_, line)| format!("{line}{}", if *crlf { "\r\n" } else { "\n" }))
            }).collect();
            let read: Vec<u8> = lines(patch.as_bytes()).filter_map(|line| match line {
                PatchLine::Added(text) => Some(text),
                _ => None,
            }).flatten().copied().collect();
            prop_assert_eq!(String::from_utf8(read).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_read_whole(patch in prop::collection::vec(any::<u8>(), 0..200), text in "([-+ @\\\\][-+ @,0-9\n]{0,6}\n){0,9}") {
            for patch in [patch.as_slice(), text.as_bytes()] {
                let whole: usize = lines(patch).map(|line| match line {
                    PatchLine::Header(l) | PatchLine::Hunk(l) | PatchLine::NoNewline(l) => l.len(),
                    PatchLine::Added(l) | PatchLine::Removed(l) | PatchLine::Context(l) => l.len(),
                }).sum();
                prop_assert!(whole <= patch.len());
            }
        }
    }

    #[test]
    fn a_rename_a_mode_and_a_hunk_without_counts_are_read() {
        let patch = "diff --git a/a b/b\nsimilarity index 90%\nrename from a\nrename to b\n--- a/a\n+++ b/b\n@@ -3 +3 @@ x\n-- y\n+++ z\n\
                     \\ No newline at end of file\ndiff --git a/c b/c\nold mode 100644\nnew mode 100755\n";
        let parsed: Vec<PatchLine> = lines(patch.as_bytes()).collect();
        assert_eq!(parsed[7], PatchLine::Removed(b"- y\n"));
        assert_eq!(parsed[8], PatchLine::Added(b"++ z\n"));
        assert_eq!(parsed[9], PatchLine::NoNewline(b"\\ No newline at end of file\n"));
        assert_eq!(parsed[10], PatchLine::Header(b"diff --git a/c b/c\n"));
        assert_eq!(path_of("diff --git a/a b/b\n"), Some("b"));
        assert_eq!(added(patch.as_bytes()), b"++ b/b\n++ z\n");
    }
}
