//! Files that a program needs in places that its view replaces: the program, its interpreter, its arguments and the
//! directories of `PATH` below the user's checkout, `/tmp` and `/run`.
//!
//! They are shown read-only at their own paths. Hidden paths are never shown, and in the checkout only paths that the
//! slot does not have.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::hidden_paths::HiddenPaths;
use super::path_expansion::{is_strictly_below, resolve_parent};
use super::view_place::{Machine, ViewPlace};
use super::{ViewPurpose, ViewRequest};
use crate::config::without_dots;
use crate::process::which::{self, ProgramLookup};

/// Maximum number of shown paths.
const MOST: usize = 100;
/// Maximum number of interpreters of interpreters.
const MOST_INTERPRETERS: usize = 4;
/// Maximum length of a `#!` line, in bytes (`BINPRM_BUF_SIZE`).
const SHEBANG: u64 = 256;
/// Programs whose argument after `-c` is a text of commands.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "busybox"];
/// Entries beside `bin` that belong to its programs.
const LIBRARIES: [&str; 7] =
    ["lib", "lib64", "libexec", "include", "pyvenv.cfg", "conda-meta", "share"];
/// Variables with paths of programs and certificates.
const VARIABLES: &[&str] = &[
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CONDA_PREFIX",
    "CURL_CA_BUNDLE",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "GOROOT",
    "JAVA_HOME",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NODE_EXTRA_CA_CERTS",
    "NODE_PATH",
    "NVM_DIR",
    "PIP_CERT",
    "PYTHONHOME",
    "PYTHONPATH",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "VIRTUAL_ENV",
];

/// A path to show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NeededPath {
    /// Where the program expects it.
    pub target: PathBuf,
    /// The file or directory, without links.
    pub source: PathBuf,
}

/// Finds the needed paths of a program.
pub(super) struct NeededPaths<'a> {
    place: &'a ViewPlace,
    machine: &'a Machine,
    hidden: &'a HiddenPaths,
    found: BTreeSet<NeededPath>,
}

/// Collects the needed paths of a program, without those that are visible anyway.
pub(super) fn needed_paths(
    place: &ViewPlace,
    machine: &Machine,
    hidden: &HiddenPaths,
    request: &ViewRequest<'_>,
) -> BTreeSet<NeededPath> {
    let mut needed = NeededPaths { place, machine, hidden, found: BTreeSet::new() };
    let is_setup = request.purpose == ViewPurpose::Setup;
    let path = place.variables.get(OsStr::new("PATH"));
    for directory in path.iter().flat_map(|path| std::env::split_paths(path)) {
        let is_installed_by_setup = is_setup && directory.starts_with(&place.checkout);
        if directory.is_absolute() && !is_installed_by_setup {
            needed.add_program_directory(&directory);
        }
    }
    let variables = VARIABLES.iter().filter_map(|name| place.variables.get(OsStr::new(name)));
    for value in variables.flat_map(|value| std::env::split_paths(value)) {
        // CI tests the commit: libraries of the checkout are not shown.
        if value.is_absolute() && !value.starts_with(&place.checkout) {
            needed.add(&value);
        }
    }
    if let Some((program, arguments)) = request.argv.split_first() {
        needed.add_named_program(program, path.map(OsString::as_os_str));
        for argument in arguments {
            needed.add_argument(argument, is_setup);
        }
        if SHELLS.iter().any(|shell| Path::new(program).file_name() == Some(OsStr::new(shell))) {
            let texts =
                arguments.iter().skip_while(|argument| !argument.as_bytes().ends_with(b"c"));
            texts.skip(1).for_each(|text| needed.add_words(text));
        }
    }
    // A path below another shown path comes with it.
    let all: Vec<PathBuf> = needed.found.iter().map(|path| path.target.clone()).collect();
    needed.found.retain(|path| {
        !all.iter()
            .any(|other| is_strictly_below(&path.target, other) && path.source == path.target)
    });
    needed.found
}

impl NeededPaths<'_> {
    /// Adds an argument that is a path, or `--option=path`. For setup, only files: it may be about to create the
    /// directory.
    fn add_argument(&mut self, argument: &OsStr, only_files: bool) {
        let bytes = argument.as_bytes();
        let value = match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) if !bytes.starts_with(b"/") => &bytes[at + 1..],
            _ => bytes,
        };
        let path = Path::new(OsStr::from_bytes(value));
        if path.is_absolute() && !(only_files && path.is_dir()) {
            self.add(path);
        }
    }

    /// Adds the files named by the words of a shell's commands.
    fn add_words(&mut self, text: &OsStr) {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"'\"`;&|()<>=:,{}".contains(byte);
        for word in text.as_bytes().split(ends).filter(|word| word.starts_with(b"/")) {
            let path = Path::new(OsStr::from_bytes(word));
            if path.is_file() {
                self.add_program(path, 0);
            }
        }
    }

    /// Adds the program of a command line, found as by the kernel and by `execvp`.
    fn add_named_program(&mut self, program: &OsStr, path: Option<&OsStr>) {
        // A relative program may be in the slot, or in the user's checkout alone.
        for cwd in [&self.place.copy, &self.place.checkout] {
            if let ProgramLookup::Program(file) = which::find(program, cwd, path) {
                self.add_program(&without_dots(&file), 0);
            }
        }
    }

    /// Adds a program with its libraries, and the interpreter of a script.
    fn add_program(&mut self, program: &Path, level: usize) {
        let Ok(real) = program.canonicalize() else { return };
        for file in [program, &real] {
            match self.prefix_of(file.parent().unwrap_or(Path::new("/"))) {
                Some(prefix) => self.add(&prefix),
                None => self.add(file),
            }
        }
        if level == MOST_INTERPRETERS {
            return;
        }
        let Some(interpreter) = interpreter(&real) else { return };
        if interpreter.components().count() > 1 {
            self.add_program(&interpreter, level + 1);
        } else if let Some(path) = self.place.variables.get(OsStr::new("PATH"))
            && let ProgramLookup::Program(file) =
                which::find(interpreter.as_os_str(), &self.place.copy, Some(path))
        {
            self.add_program(&file, level + 1);
        }
    }

    fn add_program_directory(&mut self, directory: &Path) {
        match self.prefix_of(directory) {
            Some(prefix) => self.add(&prefix),
            None => self.add(directory),
        }
    }

    /// Returns the directory above `bin`, if it has libraries of the programs.
    fn prefix_of(&self, directory: &Path) -> Option<PathBuf> {
        let name = directory.file_name()?;
        let above = directory.parent()?;
        let real = above.canonicalize().ok()?;
        let is_replaced = self.is_replaced(above) || self.is_replaced(&real);
        if !is_replaced || self.is_too_much(above) || self.is_too_much(&real) {
            return None;
        }
        let is_modules = name == ".bin" && above.file_name()? == "node_modules";
        let has_libraries = (name == "bin" || name == "sbin")
            && LIBRARIES.iter().any(|library| above.join(library).exists());
        (is_modules || has_libraries).then(|| above.to_owned())
    }

    /// Adds a file or directory, at its own path and at the path without links.
    fn add(&mut self, path: &Path) {
        let path = without_dots(path);
        let Ok(source) = path.canonicalize() else { return };
        if self.hidden.contains(&source) || !(source.is_dir() || source.is_file()) {
            return;
        }
        for target in [resolve_parent(&path), path, source.clone()] {
            let is_temporary = self.machine.temporary.contains(&target);
            if !is_temporary && !self.is_replaced(&target) || self.hidden.contains(&target) {
                continue;
            }
            if source.is_dir() && (self.is_too_much(&target) || self.is_too_much(&source)) {
                self.add_files_of(&source, &target);
            } else {
                self.insert(target, source.clone());
            }
        }
    }

    /// Adds the programs of a directory that holds more, such as the checkout.
    fn add_files_of(&mut self, source: &Path, target: &Path) {
        let entries = fs::read_dir(source).into_iter().flatten().flatten();
        for entry in entries.take(10 * MOST) {
            let path = entry.path();
            let is_program = path
                .metadata()
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
            if let (true, Ok(real)) = (is_program, path.canonicalize())
                && self.is_replaced(&target.join(entry.file_name()))
                && !self.hidden.contains(&real)
            {
                self.insert(target.join(entry.file_name()), real);
            }
        }
    }

    fn insert(&mut self, target: PathBuf, source: PathBuf) {
        if self.found.len() < MOST {
            self.found.insert(NeededPath { target, source });
        }
    }

    /// Whether the view has something else at a path.
    fn is_replaced(&self, path: &Path) -> bool {
        let place = self.place;
        if is_strictly_below(path, &place.checkout) {
            return !place.is_users(path) && place.in_copy(path).is_none();
        }
        let is_home = place.home.as_ref().is_some_and(|home| path.starts_with(home));
        let mut replaced = self.machine.temporary.iter().chain([&self.machine.run]);
        !is_home && replaced.any(|at| is_strictly_below(path, at))
    }

    /// Whether a directory has more than programs: the checkout, the home directory, or the program's own temporary
    /// files.
    fn is_too_much(&self, directory: &Path) -> bool {
        let own = ["TMPDIR", "XDG_RUNTIME_DIR"].map(|name| self.place.path_variable(name));
        self.place.is_above(directory)
            || own.iter().flatten().any(|path| path.starts_with(directory))
            || self.machine.temporary.iter().any(|path| path.starts_with(directory))
    }
}

/// Returns the interpreter of a script, a path or the name given to `env`.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut line = Vec::new();
    File::open(script).ok()?.take(SHEBANG).read_to_end(&mut line).ok()?;
    let line = line.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let program = Path::new(OsStr::from_bytes(words.next()?));
    if program.file_name()? != "env" {
        return program.is_absolute().then(|| program.to_owned());
    }
    let name = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))?;
    Some(Path::new(OsStr::from_bytes(name)).to_owned())
}

#[cfg(test)]
#[path = "needed_paths_tests.rs"]
mod tests;
