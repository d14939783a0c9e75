//! Errors for the user: text, hint, and exit code of the program.
//!
//! Errors of all modules are converted by `?`. Their effect on a phase was decided earlier.

use std::fmt;

use anyhow::Error;

/// Exit of the program. The codes are documented in `--help` and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success without failed phases.
    Done,
    /// A problem of autopack or its environment: configuration, database, git, a health check.
    OurFailure,
    /// Invalid command line.
    Usage,
    /// A drained run has a FAILED or blocked phase.
    PhasesFailed,
    /// A phase failed under `--stop-on-first-failure`.
    StoppedAtFirstFailure,
    /// The next phase would fail in the same way, or a budget is exhausted.
    Systemic,
    /// Interrupted by SIGINT.
    Interrupted,
    /// Terminated by SIGTERM.
    Terminated,
    /// The exit code of a user's program, not 0.
    Program(u8),
}

impl Exit {
    /// Returns the exit code.
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
            Self::Program(code) => code,
        }
    }
}

/// An error for the user, converted from any error by `?`. The exit code is 1 unless set.
///
/// Does not implement `Error`: must not be wrapped, and no decision may depend on the type.
#[derive(Debug)]
pub struct Failure {
    error: Error,
    hint: Option<String>,
    exit: Exit,
}

impl Failure {
    /// Creates an error from a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { error: Error::msg(text.into()), hint: None, exit: Exit::OurFailure }
    }

    /// Adds a hint: the action to take, in a single line.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint, if there is one.
    pub fn maybe_hint(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Puts words before the text. Hint and exit code stay.
    pub fn prefixed(self, words: &str) -> Self {
        let error = Error::msg(format!("{words} {}", self.text()));
        Self { error, ..self }
    }

    /// Sets the exit code.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Returns the exit code.
    pub fn exit_code(&self) -> u8 {
        if self.reader_is_gone() { Exit::Done.code() } else { self.exit.code() }
    }

    /// Returns the text in a single line, without `error: `.
    pub fn text(&self) -> String {
        one_line(&self.error)
    }

    /// Returns the hint.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the error with its causes.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Checks whether stdout lost its reader, so that no message can be shown.
    pub fn reader_is_gone(&self) -> bool {
        self.error.chain().any(|cause| cause.is::<ReaderGone>())
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None, exit: Exit::OurFailure }
    }
}

/// Adds a hint to a result with `.or_hint("...")`.
pub trait WithHint<T> {
    /// Adds the hint to an error.
    ///
    /// # Errors
    ///
    /// The error of the result itself.
    fn or_hint(self, hint: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> WithHint<T> for Result<T, E> {
    fn or_hint(self, hint: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| error.into().hint(hint))
    }
}

/// Error for a closed stdout, as with `head`. Not shown to the user.
#[derive(Debug)]
pub struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reader of the output is gone")
    }
}

impl std::error::Error for ReaderGone {}

/// Formats the error and its causes in a single line, without repeating a cause that ends the previous text.
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
    fn a_closed_output_is_not_a_failure() {
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
