//! Replaces a path inside a text: whole paths only, in every notation used by tools.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Replaces all spellings of the user's checkout in a text by another path.
#[derive(Clone, Debug)]
pub struct PathReplacement {
    /// Search texts and replacements, the longest first.
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An occurrence of the replaced directory in a text.
#[derive(Clone, Copy, Debug)]
pub struct PathMatch<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
    /// The other directory.
    pub replacement: &'a [u8],
}

impl PathMatch<'_> {
    /// Returns the text before the occurrence.
    pub fn before(&self) -> &[u8] {
        &self.text[..self.start]
    }

    /// Returns the whole path as written, as far as no delimiter of shells or programming languages ends the path.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.text[self.start..self.end + self.rest().len()]).into_owned()
    }

    /// Returns the whole path in the other directory; `None` if `..` leads out of the directory.
    pub fn path(&self) -> Option<PathBuf> {
        let rest = Path::new(OsStr::from_bytes(self.rest()));
        let mut path = PathBuf::from(OsStr::from_bytes(self.replacement));
        let mut depth = 0;
        for part in rest.components() {
            match part {
                Component::ParentDir if depth == 0 => return None,
                Component::ParentDir => {
                    depth -= 1;
                    path.pop();
                }
                Component::Normal(name) => {
                    depth += 1;
                    path.push(name);
                }
                _ => {}
            }
        }
        Some(path)
    }

    fn rest(&self) -> &[u8] {
        let rest = &self.text[self.end..];
        if !rest.starts_with(b"/") {
            return &[];
        }
        let ends =
            |byte: &u8| byte.is_ascii_whitespace() || b"\"'`:;,|&()<>[]{}*?$\\#".contains(byte);
        &rest[..rest.iter().position(ends).unwrap_or(rest.len())]
    }
}

impl PathReplacement {
    /// Creates a replacement of `from`, all spellings of the directory (as given, and without symbolic
    /// links), by `to`.
    pub fn new<P: AsRef<Path>>(from: &[P], to: &Path) -> Self {
        let to = trimmed(to);
        let mut pairs = Vec::new();
        for from in from {
            let from = trimmed(from.as_ref());
            // Every path is in the root of the file system.
            if from.is_empty() || from == to {
                continue;
            }
            let encoded = (url_encoded(&from), url_encoded(&to));
            pairs.push((from.clone(), to.clone()));
            if encoded.0 != from {
                pairs.push(encoded);
            }
        }
        pairs.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        pairs.dedup();
        Self { pairs }
    }

    /// Replaces all occurrences; `None` without any. Idempotent.
    pub fn apply(&self, text: &[u8]) -> Option<Vec<u8>> {
        self.apply_with(text, |found| Some(found.replacement.to_vec()))
    }

    /// Replaces the occurrences for which `choose` returns a text; `None` without any.
    pub fn apply_with(
        &self,
        text: &[u8],
        mut choose: impl FnMut(&PathMatch<'_>) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let mut result: Option<Vec<u8>> = None;
        let (mut at, mut copied) = (0, 0);
        while at < text.len() {
            match self.found(text, at) {
                Some((length, to)) => {
                    let found = to.map(|replacement| PathMatch {
                        text,
                        start: at,
                        end: at + length,
                        replacement,
                    });
                    if let Some(to) = found.and_then(|found| choose(&found)) {
                        let result = result.get_or_insert_with(Vec::new);
                        result.extend_from_slice(&text[copied..at]);
                        result.extend_from_slice(&to);
                        copied = at + length;
                    }
                    at += length;
                }
                None => at += 1,
            }
        }
        let mut result = result?;
        result.extend_from_slice(&text[copied..]);
        Some(result)
    }

    /// Maps a path of the user's checkout to the copy; `None` for any other path, including paths in the
    /// copy.
    pub fn path(&self, path: &Path) -> Option<PathBuf> {
        if self.pairs.iter().any(|(_, to)| path.starts_with(OsStr::from_bytes(to))) {
            return None;
        }
        self.pairs.iter().find_map(|(from, to)| {
            let below = path.strip_prefix(OsStr::from_bytes(from)).ok()?;
            let to = Path::new(OsStr::from_bytes(to));
            // Joining an empty path would add a slash.
            Some(if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) })
        })
    }

    /// Returns the match at a position and the replacement: `None` if the text already has `to` there, which
    /// may begin with the replaced path.
    fn found(&self, text: &[u8], at: usize) -> Option<(usize, Option<&[u8]>)> {
        let here = &text[at..];
        let is_path = |path: &[u8]| {
            here.starts_with(path)
                && begins_a_path(&text[..at])
                && here.get(path.len()).is_none_or(|next| !is_name_byte(*next))
        };
        if let Some((_, to)) =
            self.pairs.iter().find(|(from, to)| to.len() > from.len() && is_path(to))
        {
            return Some((to.len(), None));
        }
        let (from, to) = self.pairs.iter().find(|(from, _)| is_path(from))?;
        Some((from.len(), Some(to)))
    }
}

fn trimmed(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    bytes[..end].to_vec()
}

/// In `/mnt/home/u/app`, the prefix `/mnt` keeps `/home/u/app` from being a path; `file://` and `-I` do not.
fn begins_a_path(before: &[u8]) -> bool {
    let is_part = |byte: &u8| is_name_byte(*byte) || *byte == b'/';
    let run = before.iter().rev().take_while(|byte| is_part(byte)).count();
    let run = &before[before.len() - run..];
    match run {
        [] => true,
        _ if run.iter().all(|byte| *byte == b'/') => {
            // `sqlite:////a/b` has an absolute path behind the third slash.
            before.ends_with(b"://") || before.ends_with(b":///")
        }
        _ => run.starts_with(b"-") && !run.contains(&b'/'),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'-' | b'.' | b'%' | b'+' | b'~')
        || byte >= 0x80
}

fn url_encoded(path: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(path.len());
    for byte in path {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                encoded.push(*byte);
            }
            _ => encoded.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replaced(text: &str, from: &[&str], to: &str) -> String {
        let replaced = PathReplacement::new(from, Path::new(to)).apply(text.as_bytes());
        replaced.map_or(text.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn whole_paths_are_replaced_in_every_spelling() {
        let to = |text: &str| replaced(text, &["/home/u/my app", "/h/app/"], "/slots/a 0");
        assert_eq!(to("#!/h/app/.venv/bin/python"), "#!/slots/a 0/.venv/bin/python");
        assert_eq!(to("/h/app\n/h/app/src\n"), "/slots/a 0\n/slots/a 0/src\n");
        assert_eq!(
            to("{\"url\": \"file:///home/u/my%20app\"}"),
            "{\"url\": \"file:///slots/a%200\"}"
        );
        assert_eq!(to("file:///h/app"), "file:///slots/a 0");
        assert_eq!(to("'/home/u/my app/src':\"/h/app\""), "'/slots/a 0/src':\"/slots/a 0\"");
        assert_eq!(to("A=/h/app:/h/app/b"), "A=/slots/a 0:/slots/a 0/b");
        assert_eq!(to("-I/h/app/include -c=/h/app"), "-I/slots/a 0/include -c=/slots/a 0");
        let replacement = PathReplacement::new(&["/h/app/"], Path::new("/s"));
        assert_eq!(replacement.path(Path::new("/h/app")), Some("/s".into()));
        assert_eq!(replacement.path(Path::new("/h/app/a/b")), Some("/s/a/b".into()));
        assert_eq!(replacement.path(Path::new("/h/application")), None);
    }

    #[test]
    fn other_paths_are_unchanged() {
        for text in
            ["/h/app2/x", "/h/app-old", "/mnt/h/app/x", "/h/application", "x/h/app", "/h/app.bak"]
        {
            assert_eq!(replaced(text, &["/h/app"], "/s"), text);
        }
        assert_eq!(replaced("/x", &["/"], "/s"), "/x");
    }

    proptest! {
        #[test]
        fn replacing_twice_is_replacing_once(
            text in "(/a|/b|/a/b|/ab|[ :\"x]|file://){0,12}",
            to in "(/a/s|/b|/a/b/c|/s)",
        ) {
            let once = replaced(&text, &["/a", "/a/b"], &to);
            // A path in the replacement stays.
            prop_assert_eq!(replaced(&once, &["/a", "/a/b"], &to), once);
        }
    }
}
