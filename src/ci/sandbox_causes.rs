//! What the sandbox refused a program, found in its output.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// Most paths in a message.
const SHOWN: usize = 3;

/// Lines with the error of a read-only file system, as written by the C library, Python, Node.js, Go and Java.
static READ_ONLY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)read-only file ?system|\bEROFS\b").expect("the pattern is constant")
});
/// Mounts, in the words of mount(8), bubblewrap, unshare(1) and runc.
static MOUNT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\bmount|make / slave|pivot_root").expect("the pattern is constant")
});
static NOT_PERMITTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)operation not permitted|permission denied|\bEPERM\b")
        .expect("the pattern is constant")
});
/// An absolute path, in quotes or up to a delimiter.
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"["'`‘](/[^"'`’\n]+)["'`’]|(?:^|[\s:=(])(/[^\s"'`:;,()]+)"#)
        .expect("the pattern is constant")
});

/// Returns the paths that could not be written on a read-only file system, outside of the checkout, as they are written
/// in the configuration: `~/.gradle`.
pub fn find_read_only_paths(output: &str, checkout: &Path, home: Option<&Path>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in output.lines().filter(|line| READ_ONLY.is_match(line)) {
        let paths = PATH.captures_iter(line).filter_map(|groups| groups.get(1).or(groups.get(2)));
        // The last path of a line is the file; before it may stand the program.
        let Some(path) = paths.last().map(|path| Path::new(path.as_str())) else { continue };
        if path.starts_with(checkout) {
            continue;
        }
        let place = place_of(path, home);
        if !found.contains(&place) {
            found.push(place);
        }
    }
    found.truncate(SHOWN);
    found
}

/// Whether a program was refused to mount, as bubblewrap and rootless containers do.
fn is_mount_refused(output: &str) -> bool {
    let mut lines = output.lines();
    lines.any(|line| MOUNT.is_match(line) && NOT_PERMITTED.is_match(line))
}

/// Adds the keys that allow what the sandbox refused, according to the output.
pub fn name_sandbox_keys(
    why: String,
    output: &str,
    checkout: &Path,
    home: Option<&Path>,
) -> String {
    let why = match is_mount_refused(output) {
        true => format!("{why}; the sandbox refuses mounts: set sandbox.allow_mounts: true"),
        false => why,
    };
    let paths = find_read_only_paths(output, checkout, home);
    if paths.is_empty() {
        return why;
    }
    let paths = paths.join(", ");
    format!("{why}; EROFS on {paths}: the sandbox keeps it read-only; set sandbox.write: [{paths}]")
}

/// Returns the directory to make writable: an application's own directory below HOME, else the parent.
fn place_of(path: &Path, home: Option<&Path>) -> String {
    if let Some(below) = home.and_then(|home| path.strip_prefix(home).ok()) {
        let parts: Vec<String> =
            below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let is_shared =
            matches!(parts.first().map(String::as_str), Some(".config" | ".local" | ".cache"));
        let most = match parts.first().map(String::as_str) {
            Some(".local") => 3,
            _ if is_shared => 2,
            _ => 1,
        };
        let kept = parts.len().min(most);
        return format!("~/{}", parts[..kept].join("/"));
    }
    path.parent().unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_mounts_name_their_key() {
        let named =
            |output: &str| name_sandbox_keys("CI fails".into(), output, Path::new("/w"), None);
        for output in [
            "bwrap: Failed to make / slave: Operation not permitted",
            "mount: /tmp/x: permission denied.",
            "unshare: cannot change root filesystem propagation: mount: Operation not permitted",
        ] {
            assert!(named(output).ends_with("set sandbox.allow_mounts: true"), "{output}");
        }
        assert_eq!(named("mounted\nOperation not permitted"), "CI fails");
    }

    #[test]
    fn errors_of_many_programs_name_their_paths() {
        let find = |output: &str| {
            find_read_only_paths(output, Path::new("/home/me/app"), Some(Path::new("/home/me")))
        };
        for (output, expected) in [
            ("touch: cannot touch '/home/me/.gradle/x': Read-only file system", "~/.gradle"),
            (
                "OSError: [Errno 30] Read-only file system: '/home/me/.cache/foo/bar'",
                "~/.cache/foo",
            ),
            ("Error: EROFS: read-only file system, open '/srv/data/x.db'", "/srv/data"),
            ("open /home/me/.local/share/app/x: read-only file system", "~/.local/share/app"),
            (
                "java.nio.file.FileSystemException: /opt/tool/lock: Read-only file system",
                "/opt/tool",
            ),
            ("sh: 1: cannot create /var/lib/x: Read-only file system", "/var/lib"),
        ] {
            assert_eq!(find(output), [expected], "{output}");
        }
        assert!(find("cannot touch '/home/me/app/x': Read-only file system\nall fine").is_empty());
        let why = name_sandbox_keys(
            "CI fails".into(),
            "mkdir: cannot create directory ‘/home/me/.m2’: Read-only file system",
            Path::new("/w"),
            Some(Path::new("/home/me")),
        );
        assert_eq!(
            why,
            "CI fails; EROFS on ~/.m2: the sandbox keeps it read-only; set sandbox.write: [~/.m2]"
        );
    }
}
