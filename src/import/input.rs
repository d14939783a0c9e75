//! The input of an import: a file, standard input or bytes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::phase::RunId;

use super::error::ImportError;
use super::source_place::SourcePosition;
use super::text_decoding;

/// Name of standard input on the command line.
pub const STDIN: &str = "-";
const STDIN_NAME: &str = "standard input";
const STDIN_RUN: &str = "stdin";
/// Maximum size of [`Input::head`], in bytes.
const HEAD: u64 = 4096;

/// An input, read as far as needed.
pub(crate) struct Input {
    name: String,
    stem: RunId,
    extension: Option<String>,
    content: Content,
    text: OnceLock<String>,
    is_tracker: bool,
}

enum Content {
    /// A regular file and its first bytes: a database is never read whole.
    File {
        path: PathBuf,
        head: Vec<u8>,
    },
    Bytes(Vec<u8>),
}

impl Input {
    /// Opens `file`; `-` is standard input. Pipes and devices are read whole, because they can be read only once.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(super) fn open(file: &Path) -> Result<Self, ImportError> {
        let mut bytes = Vec::new();
        let read = match file.as_os_str() == STDIN {
            true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| None),
            false => begin(file, &mut bytes),
        };
        match read {
            Ok(path) => Ok(Self::new(file, path, bytes)),
            Err(source) => Err(ImportError::Unreadable { name: name_of(file), source }),
        }
    }

    /// Wraps bytes; `file` gives the name.
    pub(super) fn of_bytes(file: &Path, bytes: &[u8]) -> Self {
        Self::new(file, None, bytes.to_owned())
    }

    /// An input without content, for items of a tracker.
    pub(super) fn of_tracker(name: &str) -> Self {
        Self { is_tracker: true, name: name.to_owned(), ..Self::of_bytes(Path::new(name), b"") }
    }

    fn new(file: &Path, path: Option<PathBuf>, bytes: Vec<u8>) -> Self {
        let stem = match file.as_os_str() == STDIN {
            true => STDIN_RUN.into(),
            false => file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy(),
        };
        Self {
            name: name_of(file),
            stem: RunId::new(stem),
            extension: file.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()),
            content: match path {
                Some(path) => Content::File { path, head: bytes },
                None => Content::Bytes(bytes),
            },
            text: OnceLock::new(),
            is_tracker: false,
        }
    }

    /// Name for messages: the path, or "standard input".
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Name for notes of phases: of a file, without directories.
    pub(super) fn short_name(&self) -> String {
        let file = Path::new(&self.name).file_name().filter(|_| !self.is_tracker);
        file.map_or_else(|| self.name.clone(), |name| name.to_string_lossy().into_owned())
    }

    /// Run of phases that name none.
    pub(super) fn stem(&self) -> &RunId {
        &self.stem
    }

    /// The path of a regular file.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.content {
            Content::File { path, .. } => Some(path),
            Content::Bytes(_) => None,
        }
    }

    /// The extension in lower case.
    pub(super) fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// The first bytes, at most 4 KiB of a file.
    pub(super) fn head(&self) -> &[u8] {
        match &self.content {
            Content::File { head, .. } => head,
            Content::Bytes(bytes) => bytes,
        }
    }

    /// The whole text, decoded on first use.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not UTF-8 or UTF-16.
    pub(super) fn text(&self) -> Result<&str, ImportError> {
        if let Some(text) = self.text.get() {
            return Ok(text);
        }
        let decode = |bytes| text_decoding::decode(&self.name, bytes).map(Into::into);
        let text: String = match &self.content {
            Content::Bytes(bytes) => decode(bytes)?,
            Content::File { path, .. } => {
                let unreadable =
                    |source| ImportError::Unreadable { name: self.name.clone(), source };
                decode(&std::fs::read(path).map_err(unreadable)?)?
            }
        };
        Ok(self.text.get_or_init(|| text))
    }

    /// Position for errors, counted from 1.
    // Plans find their lines in the syntax; formats of lines use this.
    #[cfg_attr(not(test), expect(dead_code, reason = "for formats of lines"))]
    pub(super) fn at_line(&self, line: usize) -> SourcePosition {
        SourcePosition::Line(self.name.as_str().into(), line)
    }
}

/// Reads the beginning of a regular file and returns its path; reads anything else whole.
fn begin(file: &Path, bytes: &mut Vec<u8>) -> std::io::Result<Option<PathBuf>> {
    let is_regular = std::fs::metadata(file)?.is_file();
    let mut open = std::fs::File::open(file)?;
    match is_regular {
        true => open.take(HEAD).read_to_end(bytes)?,
        false => open.read_to_end(bytes)?,
    };
    Ok(is_regular.then(|| file.to_owned()))
}

fn name_of(file: &Path) -> String {
    match file.as_os_str() == STDIN {
        true => STDIN_NAME.to_owned(),
        false => file.display().to_string(),
    }
}
