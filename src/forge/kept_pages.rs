//! Pages of earlier answers with their ETags, in `.autopack/forge/`: an unchanged page is answered by 304 and read from
//! here. Pages hold no token.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::phase::words::hex;

/// Unused pages are removed after this time.
const KEPT_FOR: Duration = Duration::from_hours(60 * 24);

/// A page as answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptPage {
    /// The request.
    pub url: String,
    pub etag: String,
    /// Address of the next page.
    pub next: Option<String>,
    pub body: String,
}

/// The directory of kept pages. New pages are written at the end of a command, because a refused one changes nothing.
#[derive(Debug)]
pub(super) struct KeptPages {
    directory: PathBuf,
    new: Mutex<Vec<KeptPage>>,
}

impl KeptPages {
    /// Opens a directory, which is made when pages are written.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, new: Mutex::default() }
    }

    /// Returns the page of a request. An unreadable page is as good as none.
    pub fn find(&self, url: &str) -> Option<KeptPage> {
        let text = fs::read_to_string(self.file(url)).ok()?;
        serde_json::from_str(&text).ok().filter(|page: &KeptPage| page.url == url)
    }

    /// Keeps a page until [`write`](Self::write).
    pub fn keep(&self, page: KeptPage) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push(page);
    }

    /// Writes the new pages, and removes old ones. A full disk costs a request later, no more.
    pub fn write(&self) {
        let pages = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        self.remove_old();
        for page in pages {
            let file = self.file(&page.url);
            let written = fs::create_dir_all(&self.directory)
                .and_then(|()| fs::write(&file, serde_json::to_vec(&page)?));
            if let Err(error) = written {
                tracing::debug!("cannot keep a page in {}: {error}", file.display());
            }
        }
    }

    fn file(&self, url: &str) -> PathBuf {
        let name = hex(&Sha256::digest(url.as_bytes()));
        self.directory.join(format!("{}.json", &name[..32]))
    }

    fn remove_old(&self) {
        let entries = fs::read_dir(&self.directory).into_iter().flatten();
        for entry in entries.flatten() {
            let age = entry.metadata().and_then(|data| data.modified()).ok();
            let age = age.and_then(|time| SystemTime::now().duration_since(time).ok());
            if age.is_some_and(|age| age > KEPT_FOR) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_by_its_request() {
        let place = tempfile::tempdir().unwrap();
        let pages = KeptPages::new(place.path().join("forge"));
        let page = KeptPage {
            url: "https://x/1".to_owned(),
            etag: "\"a\"".to_owned(),
            next: None,
            body: "[]".to_owned(),
        };
        pages.keep(page.clone());
        assert_eq!(pages.find("https://x/1"), None, "not written yet");
        pages.write();
        assert_eq!(pages.find("https://x/1"), Some(page));
        assert_eq!(pages.find("https://x/2"), None);
    }
}
