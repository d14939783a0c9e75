//! The pages in the binary, deflated by `build.rs`.

use std::io::Read as _;

use anyhow::Context as _;
use clap::Command;
use flate2::read::DeflateDecoder;

use super::summary;
use crate::failure::Failure;

/// The summary, then the pages in its order, each ended by a zero byte.
const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/book.deflate"));

/// The pages of the book.
pub(super) struct Book {
    pages: Vec<Page>,
}

/// A page.
pub(super) struct Page {
    /// Name on the command line.
    pub(super) topic: String,
    /// Heading of the summary above the page.
    pub(super) part: String,
    /// Title in the summary.
    pub(super) title: String,
    /// File, relative to `docs`.
    pub(super) path: String,
    /// Markdown.
    pub(super) text: String,
}

impl Book {
    /// Unpacks the pages.
    pub(super) fn open() -> Result<Self, Failure> {
        let mut text = String::new();
        DeflateDecoder::new(PACKED)
            .read_to_string(&mut text)
            .context("cannot unpack the pages of this binary")?;
        let mut texts = text.split('\0');
        let summary = texts.next().unwrap_or_default();
        let command = crate::cli::command();
        let pages = summary::entries(summary).into_iter().zip(texts).map(|(entry, text)| Page {
            topic: topic(entry.path, &command),
            part: entry.part.to_owned(),
            title: entry.title.to_owned(),
            path: entry.path.to_owned(),
            text: text.to_owned(),
        });
        Ok(Self { pages: pages.collect() })
    }

    pub(super) fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// Returns the page with this name, or the only one with this start.
    pub(super) fn find(&self, name: &str) -> Option<&Page> {
        let name = name.to_lowercase();
        let exact = self.pages.iter().find(|page| page.topic == name);
        let mut starts = self.pages.iter().filter(|page| page.topic.starts_with(&name));
        exact.or_else(|| starts.next().filter(|_| starts.next().is_none()))
    }

    /// Returns the only page with all these words among its keywords, else the only one with them in its title.
    pub(super) fn about(&self, words: &str) -> Option<&Page> {
        let wanted = split_words(words);
        let only = |own: fn(&Page) -> Vec<String>| {
            let is_about = |page: &&Page| {
                let own = own(page);
                !wanted.is_empty() && wanted.iter().all(|word| own.contains(word))
            };
            let mut pages = self.pages.iter().filter(is_about);
            pages.next().filter(|_| pages.next().is_none())
        };
        only(Page::keywords).or_else(|| only(|page| split_words(&page.title)))
    }

    /// Returns the page with a command's name.
    pub(super) fn page_about(&self, verb: &str) -> Option<&Page> {
        self.find(&format!("{verb}{SUFFIX}"))
    }

    /// Returns the page of a link from a page.
    pub(super) fn linked(&self, from: &Page, link: &str) -> Option<&Page> {
        let link = link.split('#').next().unwrap_or_default();
        let mut path: Vec<&str> = from.path.split('/').collect();
        path.pop();
        for part in link.split('/') {
            match part {
                ".." => drop(path.pop()),
                part => path.push(part),
            }
        }
        let path = path.join("/");
        self.pages.iter().find(|page| page.path == path)
    }
}

impl Page {
    /// Checks whether the page has all these words.
    pub(super) fn mentions(&self, words: &str) -> bool {
        let text = self.text.to_lowercase();
        words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    /// Returns other words for the subject of the page, from the comment at its end.
    fn keywords(&self) -> Vec<String> {
        let list = self.text.lines().find_map(|line| line.strip_prefix(KEYWORDS));
        split_words(list.and_then(|list| list.strip_suffix(" -->")).unwrap_or_default())
    }
}

/// Begin of the comment with the keywords of a page.
const KEYWORDS: &str = "<!-- keywords: ";

/// Splits a text into its words, in lower case.
fn split_words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// End of the name of a page with the name of a command.
const SUFFIX: &str = "-page";

/// Returns the name of a page: its file's, or the directory's for `README.md`.
fn topic(path: &str, command: &Command) -> String {
    let path = path.trim_end_matches("/README.md").trim_end_matches(".md");
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    if command.find_subcommand(&name).is_some() { format!("{name}{SUFFIX}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_found_by_its_name_and_by_a_unique_start() {
        let book = Book::open().unwrap();
        assert!(book.pages().len() > 20);
        for page in book.pages() {
            assert_eq!(book.find(&page.topic).unwrap().path, page.path);
            assert!(page.text.starts_with("# "), "{}", page.path);
        }
        assert_eq!(book.find("GLOSS").unwrap().path, "glossary.md");
        assert!(book.find("").is_none(), "several pages start so");
    }

    #[test]
    fn a_page_is_found_by_its_keywords_and_the_words_of_its_title() {
        let book = Book::open().unwrap();
        let path = |words: &str| book.about(words).map(|page| page.path.as_str());
        assert_eq!(path("isolation"), Some("guides/confinement.md"));
        assert_eq!(path("Systemd cron"), Some("guides/schedule.md"));
        assert_eq!(path("xyzzy"), None);
        assert_eq!(path("configuration"), None, "two titles have the word");
        for page in book.pages() {
            for word in page.keywords() {
                assert_eq!(path(&word), Some(page.path.as_str()), "{word} belongs to two pages");
            }
        }
    }

    #[test]
    fn links_are_resolved_from_the_page_that_has_them() {
        let book = Book::open().unwrap();
        let path = |from: &str, link: &str| {
            let found = book.linked(book.find(from).unwrap(), link);
            found.map(|page| page.path.clone())
        };
        assert_eq!(path("glossary", "runbook.md#health").unwrap(), "runbook.md");
        assert_eq!(path("write-a-plan", "../runbook.md").unwrap(), "runbook.md");
        assert_eq!(path("glossary", "https://example.com"), None);
    }

    #[test]
    fn a_page_with_the_name_of_a_command_has_another_topic() {
        let of = |path: &str| topic(path, &crate::cli::command());
        assert_eq!(of("telemetry.md"), "telemetry-page");
        assert_eq!(of("adr/README.md"), "adr");
        assert_eq!(of("guides/monorepo.md"), "monorepo");
    }
}
