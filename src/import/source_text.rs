//! The texts of an input: a single text of a file or of standard input, several texts of a directory.

use std::path::Path;

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::input::Input;
use super::input_directory::InputFile;
use super::markdown::MarkdownText;
use super::source_place::SourcePosition;

/// A text with a name.
#[derive(Clone, Copy)]
pub(super) struct SourceText<'a> {
    /// Name for messages.
    pub name: &'a str,
    pub text: &'a str,
    /// The file on disk; `None` for standard input.
    pub on_disk: Option<&'a Path>,
}

impl<'a> SourceText<'a> {
    /// The text of an input other than a directory.
    ///
    /// # Errors
    /// The text cannot be read.
    pub fn of_input(input: &'a Input) -> Result<Self, ImportError> {
        Ok(Self { name: input.name(), text: input.text()?, on_disk: input.path() })
    }

    /// The text of a file of a directory.
    ///
    /// # Errors
    /// The text cannot be read.
    pub fn of_file(file: &'a InputFile) -> Result<Self, ImportError> {
        Ok(Self { name: file.name(), text: file.text()?, on_disk: Some(file.on_disk()) })
    }

    /// Position for errors, counted from 1.
    pub fn at_line(&self, line: usize) -> SourcePosition {
        SourcePosition::Line(self.name.into(), line)
    }

    /// Warns of lines similar to boxes, but without a valid box.
    pub fn warn_of_near_boxes(&self, markdown: &MarkdownText<'_>, draft: &mut PlanDraftBuilder) {
        for line in markdown.near_boxes() {
            let place = self.at_line(line);
            draft.warn(format!("{place}: looks like a box and is none; write `- [ ] text`"));
        }
    }

    /// Name of the directory with the file.
    pub fn directory_name(&self) -> Option<String> {
        let path = self.on_disk?.canonicalize().ok()?;
        Some(path.parent()?.file_name()?.to_string_lossy().into_owned())
    }

    /// Path from the workspace of a file beside this one, if the file exists.
    pub fn beside(&self, name: &str, draft: &PlanDraftBuilder) -> Option<String> {
        let path = self.on_disk?.with_file_name(name);
        path.is_file().then(|| draft.workspace_path(&path))?
    }
}

/// Whether a file name belongs to Markdown.
pub(super) fn is_markdown(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| matches!(extension, "md" | "markdown" | "mdx"))
}
