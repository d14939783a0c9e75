//! Remembers which files do not name the user's checkout.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::file_stamp::FileStamp;

/// Files known not to name the checkout, with their stamps.
#[derive(Debug, Default)]
pub struct SearchedFiles(Mutex<HashMap<PathBuf, FileStamp>>);

impl SearchedFiles {
    pub fn knows(&self, file: &Path, stamp: FileStamp) -> bool {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(file) == Some(&stamp)
    }

    pub fn note(&self, file: &Path, stamp: FileStamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(file.to_owned(), stamp);
    }
}
