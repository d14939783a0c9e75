//! Sockets of services on the machine, such as Docker: a program that reaches them is not confined by its view.
//!
//! Sockets in `/run` are never shown, because little of `/run` is; others are hidden by name. `sandbox.sockets` shows
//! single sockets.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::path_expansion::resolve;
use super::view_place::Machine;
use crate::process::child_env::Env;

/// Sockets outside of `/run`, and directories with sockets.
const KNOWN: [&str; 8] = [
    "/var/lib/incus/unix.socket",
    "/var/lib/lxd/unix.socket",
    "/var/lib/mysql/mysql.sock",
    "/var/lib/pcp/tmp",
    "/var/snap/docker/common",
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/spool/postfix",
    "/mnt/wslg",
];

/// Directories of `/run` that hold no services: NixOS's programs and drivers, and drives of the user.
const PLAIN_DIRECTORIES: [&str; 6] =
    ["booted-system", "current-system", "media", "opengl-driver", "opengl-driver-32", "wrappers"];

/// Directories of `/run` with the addresses of name servers, replaced as a whole by their services.
const RESOLVER_DIRECTORIES: [&str; 4] = ["connman", "netconfig", "resolve", "resolvconf"];

/// Returns sockets outside of `/run`: well-known sockets, and the sockets named by variables.
pub(super) fn known_sockets(machine: &Machine, env: &Env) -> Vec<PathBuf> {
    let named = env.values().flat_map(|value| paths_in(value)).filter(|path| {
        fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
            && !resolve(path).starts_with(&machine.run)
    });
    let known = KNOWN.iter().map(PathBuf::from).chain(named.map(Path::to_owned));
    known.chain(open_sockets(machine)).collect()
}

/// Returns the sockets that programs have bound outside of `/run` and the temporary directories, whose sockets are never
/// shown. Sockets bound under a relative path, or later, are not known.
fn open_sockets(machine: &Machine) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = socket_paths(&machine.sockets).map(PathBuf::from).collect();
    let is_covered = |path: &Path| {
        path.starts_with(&machine.run) || machine.temporary.iter().any(|at| path.starts_with(at))
    };
    found.retain(|path| !is_covered(path));
    found.sort();
    found.dedup();
    found
}

/// Parses `/proc/net/unix` (proc_net(5)): the eighth field is the path of a bound socket; abstract names begin with `@`.
fn socket_paths(text: &str) -> impl Iterator<Item = &str> {
    let path = |line: &'_ str| {
        let start = line.find(" /")?;
        // The seven fields before have no slash.
        Some(start + 1)
    };
    text.lines().skip(1).filter_map(move |line| Some(&line[path(line)?..]))
}

/// Returns the absolute paths in a variable: `/run/x`, `unix:///run/x`, `unix:path=/run/x,guid=1;unix:..`.
fn paths_in(value: &OsStr) -> impl Iterator<Item = &Path> {
    let parts = value.as_bytes().split(|byte| b",;".contains(byte));
    parts.filter_map(|part| {
        let start = [&b"unix:path="[..], b"unix://", b"unix:"]
            .iter()
            .find_map(|prefix| part.strip_prefix(*prefix))
            .unwrap_or(part);
        let is_socket_path = start.starts_with(b"/") && start.len() < 256 && !start.contains(&b':');
        is_socket_path.then(|| Path::new(OsStr::from_bytes(start)))
    })
}

/// Returns the entries of `/run` to leave out.
pub(super) fn omitted_in_run(machine: &Machine) -> Vec<PathBuf> {
    let entries = fs::read_dir(&machine.run).into_iter().flatten().flatten();
    let mut omitted: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let is_plain = PLAIN_DIRECTORIES.iter().any(|plain| name == *plain);
            // Links may lead to a directory left out.
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            !is_plain && !is_file || name == "autopack"
        })
        .map(|entry| entry.file_name().into())
        .collect();
    omitted.sort();
    omitted
}

/// Returns what `/run` has of the addresses of name servers: needed unless the network is limited.
pub(super) fn resolver_files(machine: &Machine) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let addresses = resolve(&machine.resolver);
    if let Ok(below) = addresses.strip_prefix(&machine.run) {
        let directory = addresses.parent().and_then(Path::file_name);
        let is_whole = below.components().count() > 1
            && directory
                .is_some_and(|name| RESOLVER_DIRECTORIES.iter().any(|known| name == *known));
        files.push(match addresses.parent() {
            Some(parent) if is_whole => parent.to_owned(),
            _ => addresses,
        });
    }
    // Accounts managed by systemd; for root, the service tells more than names.
    if machine.uid != 0 {
        files.push(machine.run.join("systemd/userdb"));
    }
    files.retain(|file| file.exists());
    files
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn machine(top: &Path) -> Machine {
        Machine {
            uid: 1000,
            run: top.join("run"),
            resolver: top.join("etc/resolv.conf"),
            ..Machine::default()
        }
    }

    #[test]
    fn sockets_named_by_variables_are_found_in_every_form() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        for name in ["ssh", "docker", "bus", "run"] {
            fs::create_dir(top.join(name)).unwrap();
        }
        let sockets = ["ssh/agent", "docker/sock", "bus/x", "run/y"].map(|name| top.join(name));
        let _listeners = sockets.each_ref().map(|path| UnixListener::bind(path).unwrap());
        fs::write(top.join("file"), "").unwrap();
        let text = |path: &str| top.join(path).to_str().unwrap().to_owned();
        let env: Env = [
            ("SSH_AUTH_SOCK", text("ssh/agent")),
            ("DOCKER_HOST", format!("unix://{}", text("docker/sock"))),
            ("DBUS", format!("unix:path={},guid=1;unix:abstract=x", text("bus/x"))),
            ("Z", text("run/y")),
            ("FILE", text("file")),
            ("PATH", format!("{}:/usr/bin", text("ssh"))),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        let found = known_sockets(&machine(&top), &env);
        let mut found = found[KNOWN.len()..].to_vec();
        found.sort();
        assert_eq!(
            found,
            [text("bus/x"), text("docker/sock"), text("ssh/agent")].map(PathBuf::from)
        );
    }

    #[test]
    fn bound_sockets_are_found_outside_of_private_directories() {
        let sockets = "Num       RefCount Protocol Flags    Type St Inode Path\n\
             0000: 00000002 00000000 00010000 0001 01 1 /srv/app/my socket\n\
             0000: 00000003 00000000 00000000 0001 03 2\n\
             0000: 00000002 00000000 00010000 0001 01 3 @/srv/abstract\n\
             0000: 00000002 00000000 00010000 0001 01 4 /run/docker.sock\n\
             0000: 00000002 00000000 00010000 0001 01 5 /tmp/tmux-0/default\n";
        let machine = Machine {
            run: "/run".into(),
            temporary: vec!["/tmp".into()],
            sockets: sockets.to_owned(),
            ..Machine::default()
        };
        assert_eq!(open_sockets(&machine), [PathBuf::from("/srv/app/my socket")]);
    }

    #[test]
    fn run_shows_files_and_name_servers() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        for directory in
            ["etc", "run/user/1000", "run/systemd/resolve", "run/media", "run/autopack"]
        {
            fs::create_dir_all(top.join(directory)).unwrap();
        }
        fs::write(top.join("run/utmp"), "").unwrap();
        fs::write(top.join("run/systemd/resolve/stub"), "").unwrap();
        symlink("../run/systemd/resolve/stub", top.join("etc/resolv.conf")).unwrap();
        let _docker = UnixListener::bind(top.join("run/docker.sock")).unwrap();
        let machine = machine(&top);
        let omitted = omitted_in_run(&machine);
        assert_eq!(omitted, ["autopack", "docker.sock", "systemd", "user"].map(PathBuf::from));
        assert_eq!(resolver_files(&machine), [top.join("run/systemd/resolve")]);
        fs::remove_file(top.join("etc/resolv.conf")).unwrap();
        fs::write(top.join("etc/resolv.conf"), "").unwrap();
        assert!(resolver_files(&machine).is_empty());
    }
}
