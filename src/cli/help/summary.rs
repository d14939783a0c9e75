//! The list of pages, `docs/SUMMARY.md`: parts, titles and files. Shared with `build.rs`, which packs the pages.

/// An entry of the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Heading above the entry.
    pub part: &'a str,
    /// Title of the page.
    pub title: &'a str,
    /// File, relative to `docs`.
    pub path: &'a str,
}

/// Returns the entries in order. Indented entries are in the book only, not in the binary.
pub fn entries(summary: &str) -> Vec<Entry<'_>> {
    let mut part = "";
    let mut entries = Vec::new();
    for line in summary.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            part = heading;
        }
        let link = line.strip_prefix("- [").and_then(|link| link.strip_suffix(')'));
        if let Some((title, path)) = link.and_then(|link| link.split_once("](")) {
            entries.push(Entry { part, title, path });
        }
    }
    entries
}
