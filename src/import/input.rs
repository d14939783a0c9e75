//! The input of an import: a file, a directory, standard input or bytes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::phase::RunId;

use super::error::ImportError;
use super::input_directory::InputDirectory;
use super::source_place::SourcePosition;
use super::text_decoding;
use super::{json, json_text};

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
    json: OnceLock<Option<Value>>,
    json_items: OnceLock<Option<Vec<Value>>>,
    is_tracker: bool,
}

enum Content {
    /// A regular file and its first bytes: a database is never read whole.
    File {
        path: PathBuf,
        head: Vec<u8>,
    },
    Bytes(Vec<u8>),
    Directory(InputDirectory),
}

impl Input {
    /// Opens a file or a directory; `-` is standard input. Pipes and devices are read whole, because they can be read
    /// only once.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(super) fn open(file: &Path) -> Result<Self, ImportError> {
        let unreadable = |source| ImportError::Unreadable { name: name_of(file), source };
        if file.is_dir() {
            let directory = InputDirectory::open(file).map_err(unreadable)?;
            return Ok(Self::new(file, Content::Directory(directory)));
        }
        let mut bytes = Vec::new();
        let read = match file.as_os_str() == STDIN {
            true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| None),
            false => begin(file, &mut bytes),
        };
        let content = match read.map_err(unreadable)? {
            Some(path) => Content::File { path, head: bytes },
            None => Content::Bytes(bytes),
        };
        Ok(Self::new(file, content))
    }

    /// Wraps bytes; `file` gives the name.
    pub(super) fn of_bytes(file: &Path, bytes: &[u8]) -> Self {
        Self::new(file, Content::Bytes(bytes.to_owned()))
    }

    /// An input without content, for items of a tracker.
    pub(super) fn of_tracker(name: &str) -> Self {
        Self { is_tracker: true, name: name.to_owned(), ..Self::of_bytes(Path::new(name), b"") }
    }

    fn new(file: &Path, content: Content) -> Self {
        let stem = match &content {
            Content::Directory(_) => directory_run(file),
            _ if file.as_os_str() == STDIN => STDIN_RUN.to_owned(),
            _ => file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned(),
        };
        Self {
            name: name_of(file),
            stem: RunId::new(stem),
            extension: file.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()),
            content,
            text: OnceLock::new(),
            json: OnceLock::new(),
            json_items: OnceLock::new(),
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
            Content::Bytes(_) | Content::Directory(_) => None,
        }
    }

    /// The files, if the input is a directory.
    pub(super) fn directory(&self) -> Option<&InputDirectory> {
        match &self.content {
            Content::Directory(directory) => Some(directory),
            Content::File { .. } | Content::Bytes(_) => None,
        }
    }

    /// Name that is the same from every directory: a path relative to `workspace`, else absolute. Standard input and
    /// pipes have none.
    pub(super) fn origin(&self, workspace: Option<&Path>) -> String {
        let path = self.directory().map(InputDirectory::path).or_else(|| self.path());
        let Some(path) = path else {
            return if self.is_tracker { self.name.clone() } else { String::new() };
        };
        let Ok(path) = path.canonicalize() else { return self.name.clone() };
        let workspace = workspace.and_then(|workspace| workspace.canonicalize().ok());
        let inside = workspace.and_then(|workspace| path.strip_prefix(workspace).ok());
        inside.unwrap_or(&path).display().to_string()
    }

    /// The extension in lower case.
    pub(super) fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// The first bytes, at most 4 KiB of a file; none of a directory.
    pub(super) fn head(&self) -> &[u8] {
        match &self.content {
            Content::File { head, .. } => head,
            Content::Bytes(bytes) => bytes,
            Content::Directory(_) => &[],
        }
    }

    /// The whole text, decoded on first use.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not UTF-8 or UTF-16, or is a directory.
    pub(super) fn text(&self) -> Result<&str, ImportError> {
        if let Some(text) = self.text.get() {
            return Ok(text);
        }
        let decode = |bytes| text_decoding::decode(&self.name, bytes).map(Into::into);
        let text: String = match &self.content {
            Content::Bytes(bytes) => decode(bytes)?,
            Content::Directory(_) => {
                return Err(ImportError::malformed(&self.name, "is a directory"));
            }
            Content::File { path, .. } => {
                let unreadable =
                    |source| ImportError::Unreadable { name: self.name.clone(), source };
                decode(&std::fs::read(path).map_err(unreadable)?)?
            }
        };
        Ok(self.text.get_or_init(|| text))
    }

    /// The value of a text that is one JSON object or list, parsed on first use.
    pub(super) fn json(&self) -> Option<&Value> {
        let parse = || {
            let text = self.text().ok()?;
            // A large text of several values is left at the end of the first one.
            let is_json = text.trim_start().starts_with(['{', '[']) && json::is_complete(text);
            is_json.then(|| serde_json::from_str(&json_text::quote_names(text)).ok())?
        };
        self.json.get_or_init(parse).as_ref()
    }

    /// The items of a JSON list, of lists one after another, or of objects one after another, such as JSON Lines.
    pub(super) fn json_items(&self) -> Option<&[Value]> {
        match self.json() {
            Some(Value::Array(items)) => Some(items),
            Some(object) => Some(std::slice::from_ref(object)),
            None => self.json_items.get_or_init(|| json_text::items(self.text().ok()?)).as_deref(),
        }
    }

    /// Whether the first item of a list is wanted, or each item of a text that is not one list.
    pub(super) fn has_items(
        &self,
        in_list: impl Fn(&Value) -> bool,
        outside: impl Fn(&Value) -> bool,
    ) -> bool {
        match self.json() {
            Some(Value::Array(items)) => items.first().is_some_and(in_list),
            Some(object) => outside(object),
            // Other formats have large texts, too.
            None if self
                .text()
                .ok()
                .and_then(json_text::first_object)
                .is_none_or(|it| outside(&it)) =>
            {
                let items = self.json_items().unwrap_or_default();
                !items.is_empty() && items.iter().all(outside)
            }
            None => false,
        }
    }

    /// Positions of the items of lists, in the order of the text: of the list that is the whole text, and of the lists
    /// under `keys` in any object. Without `keys`, also of objects that follow each other.
    pub(super) fn item_places(&self, keys: &[&str]) -> ItemPlaces {
        let lines = self.text().map(|text| json_text::lines_of_items(text, keys));
        ItemPlaces { file: self.name.as_str().into(), lines: lines.unwrap_or_default().into_iter() }
    }

    /// Position for errors, counted from 1.
    pub(super) fn at_line(&self, line: usize) -> SourcePosition {
        SourcePosition::Line(self.name.as_str().into(), line)
    }
}

/// Positions of JSON items, in the order of the text.
pub(crate) struct ItemPlaces {
    file: Arc<str>,
    lines: std::vec::IntoIter<usize>,
}

impl ItemPlaces {
    /// Returns the position of the next item; without a line after the last.
    pub(super) fn next(&mut self) -> SourcePosition {
        match self.lines.next() {
            Some(line) => SourcePosition::Line(self.file.clone(), line),
            None => SourcePosition::File(self.file.clone()),
        }
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

/// Run of a directory: its name, also for `.` and for hidden directories.
fn directory_run(directory: &Path) -> String {
    let whole = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let name = whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy();
    name.trim_start_matches('.').to_owned()
}

fn name_of(file: &Path) -> String {
    match file.as_os_str() == STDIN {
        true => STDIN_NAME.to_owned(),
        false => file.display().to_string(),
    }
}
