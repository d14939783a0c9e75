//! Relocates a copied dependency directory, such as `.venv` or `node_modules`: absolute paths of the user's
//! checkout become paths of the copy.
//!
//! Without relocation, `.venv/bin/pytest` starts the Python of the checkout, an editable install
//! imports the checkout's sources, and a shim of pnpm looks for packages there.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::DirectoryKind;
use super::path_patterns::expand_pattern;
use crate::process::PathReplacement;

/// Maximum size of a rewritten file, in bytes; scripts and install records are smaller.
const MAX_FILE: u64 = 8 * 1024 * 1024;
/// Number of leading bytes checked for a NUL byte, the sign of a binary file.
const SNIFFED_BYTES: usize = 8 * 1024;
/// Maximum length of a `#!` line accepted by the kernel, in bytes (`BINPRM_BUF_SIZE` less the end; 256 since Linux 5.1).
const MAX_SHEBANG: usize = 250;

/// Patterns of files and links with absolute paths in a Python virtual environment.
const VENV: &[&str] = &[
    "pyvenv.cfg",
    "bin/*",
    "lib*/*/site-packages/*.pth",
    "lib*/*/site-packages/*.egg-link",
    "lib*/*/site-packages/*.py",
    "lib*/*/site-packages/*.dist-info/direct_url.json",
    "lib*/*/site-packages/*.dist-info/RECORD",
    "lib*/*/site-packages/*.egg-info/*",
    "lib*/*/site-packages/*",
];
/// The same in `node_modules`, as written by npm, pnpm and Yarn.
const NODE_MODULES: &[&str] = &[
    ".bin/*",
    ".modules.yaml",
    ".pnpm-workspace-state.json",
    ".pnpm-workspace-state-v1.json",
    ".package-lock.json",
    ".yarn-state.yml",
    "*/node_modules/.bin/*",
    "@*/*/node_modules/.bin/*",
    ".pnpm/node_modules/.bin/*",
    ".pnpm/*/node_modules/*/node_modules/.bin/*",
    ".pnpm/*/node_modules/@*/*/node_modules/.bin/*",
    "*",
    "@*/*",
];
/// The same in directories of other package managers, such as Composer and Bundler.
const OTHER: &[&str] = &[
    "config",
    "bin/*",
    "composer/*.php",
    "composer/installed.json",
    "autoload.php",
    "bundle/ruby/*/bin/*",
    "*",
    "*/*",
];

/// Result of a relocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relocation {
    /// Number of changed files and symbolic links.
    pub changed: usize,
}

/// Relocates the copied dependency directory `dir`: rewrites symbolic links, and the text files in which package
/// managers store paths. A second call changes nothing.
///
/// # Errors
///
/// Fails if a file or link with a path of the checkout cannot be replaced.
pub fn relocate(dir: &Path, replacement: &PathReplacement) -> io::Result<Relocation> {
    let mut done = Relocation::default();
    let Ok(metadata) = fs::symlink_metadata(dir) else { return Ok(done) };
    if !metadata.is_dir() {
        return Ok(done);
    }
    let patterns = match DirectoryKind::of(dir) {
        DirectoryKind::NodeModules => NODE_MODULES,
        DirectoryKind::Venv => VENV,
        DirectoryKind::Other => OTHER,
    };
    for pattern in patterns {
        // Broad patterns such as `*` apply only to symbolic links.
        let only_links =
            pattern.ends_with('*') && !pattern.contains("bin/") && !pattern.contains(".egg-info");
        for path in expand_pattern(dir, pattern) {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let changed = if metadata.is_symlink() {
                relocate_link(&path, replacement)?
            } else if metadata.is_file() && metadata.len() <= MAX_FILE && !only_links {
                relocate_file(&path, metadata.permissions(), replacement)?
            } else {
                false
            };
            done.changed += usize::from(changed);
        }
    }
    Ok(done)
}

/// Relocates a symbolic link into the checkout, direct or through other links (as created by `npm link`).
fn relocate_link(path: &Path, replacement: &PathReplacement) -> io::Result<bool> {
    let target = fs::read_link(path)?;
    let through_links = || replacement.path(&path.canonicalize().ok()?);
    let Some(moved) = replacement.path(&target).or_else(through_links) else { return Ok(false) };
    fs::remove_file(path)?;
    symlink(moved, path)?;
    Ok(true)
}

/// Rewrites the paths in a text file. Creates a new file, because the old file may be a hard link into a shared
/// store. The new file gets the current time, so that Python detects outdated byte code even if the size stays
/// the same.
fn relocate_file(
    path: &Path,
    permissions: Permissions,
    replacement: &PathReplacement,
) -> io::Result<bool> {
    // Skip unreadable files: the user could not run them either.
    let Ok(text) = fs::read(path) else { return Ok(false) };
    if text.iter().take(SNIFFED_BYTES).any(|byte| *byte == 0) {
        return Ok(false);
    }
    let Some(moved) = replacement.apply(&text) else { return Ok(false) };
    let moved = with_short_shebang(moved);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".autopack-tmp");
    let temporary = path.with_file_name(name);
    fs::write(&temporary, moved)?;
    fs::set_permissions(&temporary, permissions)?;
    fs::rename(&temporary, path)?;
    remove_byte_code(path);
    Ok(true)
}

/// Removes the byte code of a rewritten Python file. Python compares times in whole seconds, so it would miss a
/// rewrite within the same second.
fn remove_byte_code(path: &Path) {
    let (Some(stem), Some(dir)) = (path.file_stem().and_then(|stem| stem.to_str()), path.parent())
    else {
        return;
    };
    if path.extension().is_some_and(|extension| extension == "py") {
        for compiled in expand_pattern(&dir.join("__pycache__"), &format!("{stem}.*")) {
            let _ = fs::remove_file(compiled);
        }
    }
}

/// Makes a Python script start through the shell, as pip does, if its `#!` line became too long for the kernel.
fn with_short_shebang(text: Vec<u8>) -> Vec<u8> {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let line = &text[..end];
    let Some(program) = line.strip_prefix(b"#!") else { return text };
    let names_python =
        program.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.starts_with(b"python"));
    if line.len() <= MAX_SHEBANG || !names_python {
        return text;
    }
    let mut moved = b"#!/bin/sh\n'''exec' \"".to_vec();
    moved.extend_from_slice(program);
    moved.extend_from_slice(b"\" \"$0\" \"$@\"\n' '''");
    moved.extend_from_slice(&text[end..]);
    moved
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(dir: &Path, path: &str) -> String {
        fs::read_to_string(dir.join(path)).unwrap()
    }

    fn replacement(to: &str) -> PathReplacement {
        PathReplacement::new(&["/home/u/app"], Path::new(to))
    }

    #[test]
    fn a_virtual_environment_names_its_own_checkout() {
        let temp = tempfile::tempdir().unwrap();
        let (dir, packages) = (temp.path(), "lib/python3.11/site-packages");
        write(
            dir,
            "pyvenv.cfg",
            "home = /usr/bin\ncommand = /usr/bin/python3 -m venv /home/u/app/.venv\n",
        );
        write(dir, "bin/pytest", "#!/home/u/app/.venv/bin/python\nimport sys\n");
        fs::set_permissions(dir.join("bin/pytest"), Permissions::from_mode(0o755)).unwrap();
        write(dir, "bin/activate", "VIRTUAL_ENV=\"/home/u/app/.venv\"\nexport VIRTUAL_ENV\n");
        write(dir, &format!("{packages}/__editable__.x.pth"), "/home/u/app/src");
        write(
            dir,
            &format!("{packages}/__editable___x_finder.py"),
            "MAPPING = {'x': '/home/u/app/x'}\n",
        );
        write(dir, &format!("{packages}/__pycache__/__editable___x_finder.cpython-311.pyc"), "old");
        write(dir, &format!("{packages}/x.egg-link"), "/home/u/app\n.");
        write(
            dir,
            &format!("{packages}/x-1.dist-info/direct_url.json"),
            "{\"url\":\"file:///home/u/app\"}",
        );
        write(dir, &format!("{packages}/x/mod.py"), "DOC = '/home/u/app'\n");
        symlink("/home/u/app/src/y", dir.join(packages).join("y")).unwrap();
        let done = relocate(dir, &replacement("/s/0")).unwrap();
        assert_eq!(done.changed, 8);
        assert_eq!(read(dir, "bin/pytest"), "#!/s/0/.venv/bin/python\nimport sys\n");
        let mode = fs::metadata(dir.join("bin/pytest")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert!(read(dir, "pyvenv.cfg").contains("/s/0/.venv"));
        assert!(read(dir, "bin/activate").contains("\"/s/0/.venv\""));
        assert_eq!(read(dir, &format!("{packages}/__editable__.x.pth")), "/s/0/src");
        assert!(read(dir, &format!("{packages}/__editable___x_finder.py")).contains("'/s/0/x'"));
        assert!(
            !dir.join(packages).join("__pycache__/__editable___x_finder.cpython-311.pyc").exists()
        );
        assert_eq!(read(dir, &format!("{packages}/x.egg-link")), "/s/0\n.");
        assert!(
            read(dir, &format!("{packages}/x-1.dist-info/direct_url.json")).contains("file:///s/0")
        );
        assert!(
            read(dir, &format!("{packages}/x/mod.py")).contains("/home/u/app"),
            "a package's own text"
        );
        assert_eq!(fs::read_link(dir.join(packages).join("y")).unwrap(), Path::new("/s/0/src/y"));
        assert_eq!(relocate(dir, &replacement("/s/0")).unwrap().changed, 0);
    }

    #[test]
    fn shims_of_node_name_their_own_checkout_and_programs_stay_whole() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("node_modules");
        let shim =
            "#!/bin/sh\nexport NODE_PATH=\"/home/u/app/node_modules/.pnpm/x/node_modules\"\n";
        write(&dir, ".bin/x", shim);
        write(&dir, ".pnpm/x@1/node_modules/x/node_modules/.bin/y", shim);
        write(&dir, ".modules.yaml", "virtualStoreDir: /home/u/app/node_modules/.pnpm\n");
        write(&dir, ".bin/program", "\u{7f}ELF\0/home/u/app");
        symlink("/home/u/app/packages/core", dir.join("core")).unwrap();
        assert_eq!(relocate(&dir, &replacement("/s/0")).unwrap().changed, 4);
        assert!(read(&dir, ".bin/x").contains("\"/s/0/node_modules/.pnpm"));
        assert!(read(&dir, ".bin/program").contains("/home/u/app"));
        assert_eq!(fs::read_link(dir.join("core")).unwrap(), Path::new("/s/0/packages/core"));
    }

    #[test]
    fn a_link_into_the_checkout_through_another_link_is_relocated() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("app/packages/core")).unwrap();
        fs::create_dir_all(top.join("s/node_modules/@x")).unwrap();
        fs::create_dir(top.join("global")).unwrap();
        symlink(top.join("app/packages/core"), top.join("global/core")).unwrap();
        symlink("../../../global/core", top.join("s/node_modules/@x/core")).unwrap();
        symlink("../../global", top.join("s/node_modules/other")).unwrap();
        let replacement = PathReplacement::new(&[top.join("app")], &top.join("s"));
        assert_eq!(relocate(&top.join("s/node_modules"), &replacement).unwrap().changed, 1);
        let core = fs::read_link(top.join("s/node_modules/@x/core")).unwrap();
        assert_eq!(core, top.join("s/packages/core"));
    }

    #[test]
    fn a_first_line_that_grew_too_long_still_starts_python() {
        let long = format!("/s/{}/bin/python", "d".repeat(300));
        let text = with_short_shebang(format!("#!{long}\nprint()\n").into_bytes());
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, format!("#!/bin/sh\n'''exec' \"{long}\" \"$0\" \"$@\"\n' '''\nprint()\n"));
        assert_eq!(with_short_shebang(b"#!/bin/python\n".to_vec()), b"#!/bin/python\n");
    }
}
