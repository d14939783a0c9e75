//! The trait of import formats.

use std::future::{Future, ready};
use std::pin::Pin;

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
pub(super) use super::input::Input;

/// A format of backlogs. Formats copy specs and never repair them.
pub(crate) trait Format: Sync {
    /// Name, unique; also the directory of its fixtures.
    fn name(&self) -> &'static str;

    /// The format in the words of `import --list-formats`.
    fn description(&self) -> Description;

    /// Returns whether the input has this format. Never fails: an unreadable input is not recognized.
    fn recognize(&self, input: &Input) -> Recognition;

    /// The directory that the format reads; `None` if it reads files only.
    fn directory(&self) -> Option<DirectoryLayout> {
        None
    }

    /// Adds the phases of the input, each as a spec with the keys of docs/plan-format.md. Errors of single items go to
    /// [`PlanDraftBuilder::fail`], to be reported together.
    ///
    /// # Errors
    ///
    /// If the input cannot be understood at all. No other format is tried then.
    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError>;

    /// Like [`read`](Self::read), for formats that read the file by themselves.
    fn read_file<'a>(&'a self, input: &'a Input, draft: &'a mut PlanDraftBuilder) -> Reading<'a> {
        Box::pin(ready(self.read(input, draft)))
    }
}

/// A directory that a format reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectoryLayout {
    /// Usual path of the directory in a repository.
    pub usual: &'static str,
    /// Files that identify it, for messages.
    pub files: &'static str,
}

/// A format as described to people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Description {
    /// Usual names of the files: `.taskmaster/tasks/tasks.json`.
    pub files: &'static str,
    /// Content by which the format is recognized, a noun phrase.
    pub content: &'static str,
    /// Words in every text of the format, to find the formats nearest to an unrecognized text.
    pub words: &'static [&'static str],
}

/// Future of [`Format::read_file`].
pub(crate) type Reading<'a> = Pin<Box<dyn Future<Output = Result<(), ImportError>> + 'a>>;

/// How sure a format is. The first certain format reads the input, else the first possible format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recognition {
    No,
    Possible,
    Certain,
}
