//! What the user sees of an error: its text, a hint, and the exit code of the program.
//!
//! Errors of the parts arrive here by `?`; what they mean for a phase was decided long before.

use std::fmt;

use anyhow::Error;

/// How the program ends. The codes are documented in `--help` and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and nothing failed.
    Done,
    /// Something is wrong with us: configuration, database, git, a health check.
    OurFailure,
    Usage,
    /// A drained run has a phase that is FAILED or blocked.
    PhasesFailed,
    /// `--stop-on-first-failure`, and there was one.
    StoppedAtFirstFailure,
    /// A failure that the next phase would meet too, or a spent budget.
    Systemic,
    Interrupted,
    Terminated,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::OurFailure => 1,
            Self::Usage => 2,
            Self::PhasesFailed => 3,
            Self::StoppedAtFirstFailure => 4,
            Self::Systemic => 5,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// An error on its way to the user. Made from any error by `?`; exit code 1 unless said otherwise.
///
/// Not an `Error` itself: nothing may wrap it, and nothing may decide on it.
#[derive(Debug)]
pub struct Failure {
    error: Error,
    hint: Option<String>,
    exit: Exit,
}

impl Failure {
    pub fn new(text: impl Into<String>) -> Self {
        Self { error: Error::msg(text.into()), hint: None, exit: Exit::OurFailure }
    }

    /// What to do next, in one line.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    pub fn exit_code(&self) -> u8 {
        if self.reader_is_gone() { Exit::Done.code() } else { self.exit.code() }
    }

    /// The one-line text without `error: `.
    pub fn text(&self) -> String {
        one_line(&self.error)
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The error itself, with what caused it.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Nobody reads what we write any more; there is nobody to tell.
    pub fn reader_is_gone(&self) -> bool {
        self.error.chain().any(|cause| cause.is::<ReaderGone>())
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None, exit: Exit::OurFailure }
    }
}

/// `.or_hint("...")` on a result: the error, and what to do about it.
pub trait OrHint<T> {
    fn or_hint(self, hint: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> OrHint<T> for Result<T, E> {
    fn or_hint(self, hint: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| error.into().hint(hint))
    }
}

/// The reader of our stdout went away, as `head` does. No error to anybody.
#[derive(Debug)]
pub struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output any more")
    }
}

impl std::error::Error for ReaderGone {}

/// The error and its causes in one line; a cause that the text before already ends with is not said twice.
pub fn one_line(error: &Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().trim().replace('\n', " ");
        match line.is_empty() {
            true => line = text,
            false if line.ends_with(&text) => {}
            false => line = format!("{line}: {text}"),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stand_on_one_line_and_once() {
        let cause = Error::msg("no such file");
        let error = cause.context("cannot read a.yaml: no such file").context("cannot import");
        let failure = Failure::from(error).hint("look there");
        assert_eq!(failure.text(), "cannot import: cannot read a.yaml: no such file");
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(failure.exit(Exit::Usage).exit_code(), 2);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert_eq!(Failure::from(Error::from(ReaderGone).context("x")).exit_code(), 0);
    }

    #[test]
    fn any_error_becomes_a_failure() {
        fn fails() -> Result<(), Failure> {
            Err(std::io::Error::other("disk")).or_hint("buy one")?;
            Ok(())
        }
        let failure = fails().unwrap_err();
        assert_eq!((failure.text().as_str(), failure.hint_text()), ("disk", Some("buy one")));
    }
}
