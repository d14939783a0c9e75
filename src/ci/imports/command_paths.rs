//! Maps paths of the user's checkout in a CI command to CI's copy: `cd <checkout>`, `PYTHONPATH=<checkout>/src`,
//! `--rootdir=<checkout>`, in a shell line or a list of arguments.
//!
//! Paths are found in every spelling: absolute, below `~` or `$HOME`, with escaped characters, and through symbolic
//! links. Installed and built files (`.venv`, `target`) that the copy lacks stay the user's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::super::command_line;
use super::super::project_files::FOREIGN;
use crate::config::CommandLine;
use crate::process::child_env::Env;
use crate::process::{PathMatch, PathReplacement};

/// The user's checkout and a copy.
#[derive(Clone, Debug)]
pub struct CommandPaths {
    root: PathBuf,
    copy: PathBuf,
    replacement: PathReplacement,
}

/// Quotation around a position of a shell line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotation {
    None,
    Single,
    Double,
}

impl CommandPaths {
    /// Maps `checkout` to `copy`. `env` contains the home directory, for paths below it.
    pub fn new(checkout: &Path, env: &Env, copy: &Path) -> Self {
        let root = checkout.canonicalize().unwrap_or_else(|_| checkout.to_owned());
        let home = env.get(OsStr::new("HOME")).map(Path::new);
        let mut spellings = spellings(&[checkout, &root], home);
        let escaped = spellings.iter().map(|spelling| OsStr::from_bytes(&escaped(spelling)).into());
        let escaped: Vec<PathBuf> = escaped.collect();
        spellings.extend(escaped);
        let replacement = PathReplacement::new(&spellings, copy);
        Self { root, copy: copy.to_owned(), replacement }
    }

    /// Returns the command for the copy.
    pub fn in_command(&self, command: &CommandLine) -> CommandLine {
        match command {
            CommandLine::Shell(line) => CommandLine::Shell(self.in_shell_line(line)),
            CommandLine::Argv(argv) => {
                let line = command_line::shell_line(argv).map(|line| self.in_shell_line(line));
                let words = argv.len() - usize::from(line.is_some());
                let words = argv[..words].iter().map(|word| self.in_word(word));
                CommandLine::Argv(words.chain(line).collect())
            }
        }
    }

    pub fn in_word(&self, word: &str) -> String {
        self.replaced(word, |_, path| path.to_vec())
    }

    fn in_shell_line(&self, line: &str) -> String {
        self.replaced(line, |before, path| match quotation_after(before) {
            Quotation::None => escaped(Path::new(OsStr::from_bytes(path))),
            Quotation::Single => String::from_utf8_lossy(path).replace('\'', r"'\''").into_bytes(),
            Quotation::Double => with_backslashes(path, |byte| b"\"\\$`".contains(&byte)),
        })
    }

    /// Replaces paths; `written` returns the notation of a path behind the text.
    fn replaced(&self, text: &str, written: impl Fn(&[u8], &[u8]) -> Vec<u8>) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let links = self.links(text);
        for replacement in std::iter::once(&self.replacement).chain(&links) {
            let choose = |found: &PathMatch<'_>| {
                self.is_mapped(found).then(|| written(found.before(), found.replacement))
            };
            if let Some(changed) = replacement.apply_with(&bytes, choose) {
                bytes = changed;
            }
        }
        String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
    }

    /// Returns replacements of paths that lead into the checkout through symbolic links.
    fn links(&self, text: &str) -> Vec<PathReplacement> {
        let words = text.split(|c: char| c.is_whitespace() || "\"'`:=,;|&()<>".contains(c));
        // A quoted path, or an argument of a list, may contain spaces.
        let words = words.chain(text.split(['"', '\''])).chain(text.split(['=', ':', ',']));
        let paths = words.filter(|word| word.starts_with('/')).map(Path::new);
        let links = paths.filter_map(|path| {
            if path.starts_with(&self.root) || path.starts_with(&self.copy) {
                return None;
            }
            let above: Vec<&Path> = path.ancestors().collect();
            above.into_iter().rev().find_map(|link| {
                let real = link.canonicalize().ok()?;
                let below = real.strip_prefix(&self.root).ok()?;
                Some(PathReplacement::new(&[link], &self.copy.join(below)))
            })
        });
        links.collect()
    }

    fn is_mapped(&self, found: &PathMatch<'_>) -> bool {
        found.path().is_some_and(|path| {
            let below = path.strip_prefix(&self.copy).unwrap_or(&path);
            !is_made(below) || path.symlink_metadata().is_ok()
        })
    }
}

/// Whether a path below the checkout is installed or built, and no part of a commit.
pub(super) fn is_made(below: &Path) -> bool {
    below
        .iter()
        .filter_map(OsStr::to_str)
        .any(|name| FOREIGN.contains(&name) || matches!(name, ".venv" | ".autopack"))
}

/// Returns each path as written, and as a path below the home directory in the notations of shells and make.
pub(super) fn spellings(paths: &[&Path], home: Option<&Path>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = paths.iter().map(|path| (*path).to_owned()).collect();
    let real = home.and_then(|home| home.canonicalize().ok());
    for home in home.into_iter().chain(real.as_deref()).filter(|home| home.is_absolute()) {
        let below = paths.iter().filter_map(|path| path.strip_prefix(home).ok());
        let below = below.filter(|below| !below.as_os_str().is_empty());
        let homes = |below: &Path| {
            ["~", "$HOME", "${HOME}", "$(HOME)"].map(|home| Path::new(home).join(below))
        };
        all.extend(below.flat_map(homes));
    }
    all.sort();
    all.dedup();
    all
}

fn escaped(path: &Path) -> Vec<u8> {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"_-./+%,:@=~${}()".contains(&byte) || byte >= 0x80
    };
    with_backslashes(path.as_os_str().as_bytes(), |byte| !is_plain(byte))
}

fn with_backslashes(text: &[u8], needs: impl Fn(u8) -> bool) -> Vec<u8> {
    let escape = |byte: &u8| if needs(*byte) { vec![b'\\', *byte] } else { vec![*byte] };
    text.iter().flat_map(escape).collect()
}

fn quotation_after(before: &[u8]) -> Quotation {
    let mut quotation = Quotation::None;
    let mut bytes = before.iter();
    while let Some(byte) = bytes.next() {
        quotation = match (quotation, byte) {
            (Quotation::None | Quotation::Double, b'\\') => {
                bytes.next();
                quotation
            }
            (Quotation::None, b'\'') => Quotation::Single,
            (Quotation::None, b'"') => Quotation::Double,
            (Quotation::Single, b'\'') | (Quotation::Double, b'"') => Quotation::None,
            _ => quotation,
        };
    }
    quotation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(checkout: &str, home: &str, copy: &str) -> CommandPaths {
        let env = Env::from([("HOME".into(), home.into())]);
        CommandPaths::new(Path::new(checkout), &env, Path::new(copy))
    }

    #[test]
    fn a_shell_line_names_the_copy_in_every_spelling() {
        let to = paths("/home/u/app", "/home/u", "/s/app-0-ci");
        for (line, expected) in [
            ("cd /home/u/app && make", "cd /s/app-0-ci && make"),
            ("PYTHONPATH=/home/u/app/src pytest", "PYTHONPATH=/s/app-0-ci/src pytest"),
            ("A=/x:/home/u/app/a:/home/u/app b", "A=/x:/s/app-0-ci/a:/s/app-0-ci b"),
            ("pytest --rootdir=/home/u/app", "pytest --rootdir=/s/app-0-ci"),
            ("cd ~/app; cd \"$HOME/app/x\"", "cd /s/app-0-ci; cd \"/s/app-0-ci/x\""),
            ("make D=${HOME}/app E='$(HOME)/app'", "make D=/s/app-0-ci E='/s/app-0-ci'"),
            ("ls /home/u/app2 /home/u/app-old /x/home/u/app", ""),
            ("ls ~/apple $HOME/app.bak ~/x/app", ""),
            ("/home/u/app/.venv/bin/python -m pytest", ""),
        ] {
            let expected = if expected.is_empty() { line } else { expected };
            let mapped = to.in_command(&CommandLine::Shell(line.to_owned()));
            assert_eq!(mapped, CommandLine::Shell(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn quotes_and_spaces_are_kept() {
        let to = paths("/h/my app", "/h", "/s/a 'b'-0");
        assert_eq!(to.in_shell_line("cd '/h/my app' && x"), r"cd '/s/a '\''b'\''-0' && x");
        assert_eq!(to.in_shell_line("cd \"/h/my app\"/b"), "cd \"/s/a 'b'-0\"/b");
        assert_eq!(to.in_shell_line(r"cd /h/my\ app/b"), r"cd /s/a\ \'b\'-0/b");
        assert_eq!(to.in_shell_line(r"cd ~/my\ app"), r"cd /s/a\ \'b\'-0");
        assert_eq!(to.in_word("--dir=/h/my app/b"), "--dir=/s/a 'b'-0/b");
    }

    #[test]
    fn the_line_of_a_shell_in_a_list_is_a_shell_line() {
        let to = paths("/h/app", "/h", "/s/a 0");
        let argv = |words: &[&str]| {
            CommandLine::Argv(words.iter().map(|word| (*word).to_owned()).collect())
        };
        let mapped = to.in_command(&argv(&["sh", "-c", "cd /h/app && x"]));
        assert_eq!(mapped, argv(&["sh", "-c", "cd /s/a\\ 0 && x"]));
        let mapped = to.in_command(&argv(&["/h/app/ci", "--dir", "/h/app"]));
        assert_eq!(mapped, argv(&["/s/a 0/ci", "--dir", "/s/a 0"]));
    }

    #[test]
    fn a_path_through_a_link_names_the_copy() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("app/src")).unwrap();
        std::os::unix::fs::symlink(top.join("app"), top.join("link")).unwrap();
        std::os::unix::fs::symlink(top.join("app/src"), top.join("deep")).unwrap();
        let to = CommandPaths::new(&top.join("app"), &Env::new(), Path::new("/s"));
        let top = top.display();
        let line = format!("cd {top}/link/src && PYTHONPATH=/x:{top}/deep/a pytest {top}/other");
        let expected = format!("cd /s/src && PYTHONPATH=/x:/s/src/a pytest {top}/other");
        assert_eq!(to.in_shell_line(&line), expected);
    }

    #[test]
    fn an_installed_program_stays_unless_the_copy_has_it() {
        let temp = tempfile::tempdir().unwrap();
        let copy = temp.path().join("copy");
        let to = CommandPaths::new(Path::new("/h/app"), &Env::new(), &copy);
        assert_eq!(to.in_word("/h/app/.venv/bin/python"), "/h/app/.venv/bin/python");
        std::fs::create_dir_all(copy.join(".venv/bin")).unwrap();
        std::fs::write(copy.join(".venv/bin/python"), "").unwrap();
        let expected = copy.join(".venv/bin/python").display().to_string();
        assert_eq!(to.in_word("/h/app/.venv/bin/python"), expected);
    }
}
