//! Health checks of the machine: free disk space and the git version.

use std::path::Path;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::time::timeout;

use super::Finding;
use crate::workspace::{self, OLDEST_GIT};

const MIB: u128 = 1024 * 1024;
/// Minimum free space in bytes: the database must be writable.
const TOO_LITTLE: u128 = 100 * MIB;
/// Recommended free space in bytes: about a slot with its build caches.
const LITTLE: u128 = 2048 * MIB;

const GIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks the free space of the file system.
pub fn check_disk(dir: &Path) -> Finding {
    match statvfs(dir) {
        // Integer widths differ between systems; u128 holds any product.
        Ok(stat) => {
            check_free_space(u128::from(stat.blocks_available()) * u128::from(stat.fragment_size()))
        }
        Err(error) => Finding::warn(
            format!("cannot read the free space of {}: {}", dir.display(), error.desc()),
            "check it with `df`",
        ),
    }
}

fn check_free_space(free: u128) -> Finding {
    let detail = match free / MIB {
        mib if mib < 10 * 1024 => format!("{mib} MiB free"),
        mib => format!("{} GiB free", mib / 1024),
    };
    let hint = "free disk space; `autopack gc` removes unneeded data";
    match free {
        free if free < TOO_LITTLE => Finding::fail(detail, hint),
        free if free < LITTLE => Finding::warn(detail, hint),
        _ => Finding::ok(detail),
    }
}

/// Checks the git version used by autopack.
pub async fn check_git(dir: &Path) -> Finding {
    let version = match timeout(GIT_TIMEOUT, workspace::git_version(dir)).await {
        Ok(version) => version.map_err(|error| error.to_string()),
        Err(_) => Err(format!("git did not report its version within {} s", GIT_TIMEOUT.as_secs())),
    };
    check_version(version)
}

fn check_version(version: Result<String, String>) -> Finding {
    let hint = format!("install git {}.{} or newer", OLDEST_GIT.0, OLDEST_GIT.1);
    let line = match version.as_deref() {
        Ok(line) => line,
        Err(why) => return Finding::fail(why, hint),
    };
    match parse_version(line) {
        Some(version) if version < OLDEST_GIT => Finding::fail(line, hint),
        Some(_) => Finding::ok(line),
        None => Finding::warn(format!("cannot read the version in {line:?}"), hint),
    }
}

fn parse_version(line: &str) -> Option<(u32, u32)> {
    let mut parts = line.strip_prefix("git version ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn little_free_space_warns_and_no_free_space_fails() {
        assert_eq!(check_free_space(LITTLE * 100), Finding::ok("200 GiB free"));
        assert_eq!(check_free_space(LITTLE - 1).status, Status::Warn);
        assert_eq!(check_free_space(TOO_LITTLE - 1).status, Status::Fail);
        assert_eq!(check_free_space(TOO_LITTLE - 1).detail, "99 MiB free");
        assert_eq!(check_disk(Path::new("/nowhere/at/all")).status, Status::Warn);
    }

    #[test]
    fn old_git_versions_fail() {
        let status = |line: &str| check_version(Ok(line.to_owned())).status;
        assert_eq!(status("git version 2.39.5 (Apple Git-154)"), Status::Ok);
        assert_eq!(status("git version 3.0.0"), Status::Ok);
        assert_eq!(status("git version 2.37.9"), Status::Fail);
        assert_eq!(status("hub 1"), Status::Warn);
        assert_eq!(check_version(Err("there is no git".to_owned())).status, Status::Fail);
    }
}
