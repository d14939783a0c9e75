//! Finds a program like `execvp`, for messages before or after starting it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The search path of execvp(3) without a PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Result of searching for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramLookup {
    /// The file that would be started.
    Program(PathBuf),
    /// Only this file exists, and is not executable.
    NotExecutable(PathBuf),
    /// No file exists; these places were searched.
    Nowhere(Vec<PathBuf>),
}

/// Finds a program: a name with a slash is a path relative to `cwd`; any other name is searched in `path`.
pub fn find(program: &OsStr, cwd: &Path, path: Option<&OsStr>) -> ProgramLookup {
    if program.as_bytes().contains(&b'/') {
        return among(vec![cwd.join(program)], |file| file.to_owned());
    }
    let default = OsString::from(DEFAULT_PATH);
    let directories: Vec<PathBuf> = std::env::split_paths(path.unwrap_or(&default))
        // An empty entry is the current directory.
        .map(|directory| cwd.join(directory))
        .collect();
    among(directories, |directory| directory.join(program))
}

fn among(places: Vec<PathBuf>, file_at: impl Fn(&Path) -> PathBuf) -> ProgramLookup {
    let files: Vec<PathBuf> =
        places.iter().map(|place| file_at(place)).filter(|file| file.is_file()).collect();
    if let Some(program) = files.iter().find(|file| is_executable(file)) {
        return ProgramLookup::Program(program.clone());
    }
    match files.into_iter().next() {
        Some(file) => ProgramLookup::NotExecutable(file),
        None => ProgramLookup::Nowhere(places),
    }
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path, mode: u32) {
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_first_executable_of_the_path_wins() {
        let at = tempfile::tempdir().unwrap();
        let (a, b) = (at.path().join("a"), at.path().join("b"));
        for directory in [&a, &b] {
            std::fs::create_dir(directory).unwrap();
        }
        touch(&a.join("tool"), 0o644);
        touch(&b.join("tool"), 0o755);
        let path = std::env::join_paths([&a, &b]).unwrap();
        let find = |name: &str, path: &OsStr| find(name.as_ref(), at.path(), Some(path));
        assert_eq!(find("tool", &path), ProgramLookup::Program(b.join("tool")));
        assert_eq!(find("tool", a.as_os_str()), ProgramLookup::NotExecutable(a.join("tool")));
        assert_eq!(find("other", &path), ProgramLookup::Nowhere(vec![a.clone(), b.clone()]));
        assert_eq!(find("./b/tool", &path), ProgramLookup::Program(at.path().join("./b/tool")));
        assert_eq!(find("b", &path), ProgramLookup::Nowhere(vec![a, b]));
    }
}
