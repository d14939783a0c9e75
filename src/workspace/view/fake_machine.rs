//! A machine made of a temporary directory, for tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::view_place::BorrowingGit;
use super::*;
use crate::process::view::spec::Access;

/// A machine below a temporary directory: the checkout `/app`, the slot `/slots/app/app-0`, the home `/home/u`.
#[derive(Debug)]
pub(super) struct FakeMachine {
    _temp: tempfile::TempDir,
    pub top: PathBuf,
    pub machine: Machine,
    pub env: Env,
    pub hide: Vec<String>,
    pub write: Vec<String>,
    pub show: Vec<String>,
    pub purpose: ViewPurpose,
    pub has_overlays: bool,
    pub checkout: &'static str,
    pub slots: &'static str,
}

/// Writes a program.
pub(super) fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl FakeMachine {
    pub fn new() -> Self {
        Self::with("/app", "/home/u")
    }

    pub fn with(checkout: &'static str, home: &'static str) -> Self {
        Self::with_slots(checkout, home, "/slots")
    }

    pub fn with_slots(checkout: &'static str, home: &'static str, slots: &'static str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        let at = |path: &str| top.join(path.trim_start_matches('/'));
        for directory in ["tmp", "var/tmp", "run/user/1000", "etc", checkout, home] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        fs::create_dir_all(at(slots).join("app/app-0/.git/info")).unwrap();
        let machine = Machine {
            uid: 1000,
            temporary: vec![at("tmp"), at("var/tmp")],
            run: at("run"),
            resolver: at("etc/resolv.conf"),
            ..Machine::default()
        };
        let mut fake = Self {
            _temp: temp,
            top,
            machine,
            env: Env::new(),
            hide: Vec::new(),
            write: Vec::new(),
            show: Vec::new(),
            purpose: ViewPurpose::Ci,
            has_overlays: true,
            checkout,
            slots,
        };
        fake.set("HOME", home);
        fake.set("PATH", "/usr/bin");
        fake
    }

    /// Returns a path on the real machine.
    pub fn at(&self, path: &str) -> PathBuf {
        self.top.join(path.trim_start_matches('/'))
    }

    /// Replaces the absolute paths of a text.
    pub fn text(&self, text: &str) -> String {
        let names = ["/tmp", "/app", "/home", "/run", "/slots", "/usr", "/var", "/etc", "/data"];
        let mut out = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let begins = !out.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
            if begins && names.iter().any(|name| rest.starts_with(name)) {
                out.push_str(self.top.to_str().unwrap());
            }
            let end =
                rest[first.len_utf8()..].find('/').map_or(rest.len(), |at| at + first.len_utf8());
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        out
    }

    /// Returns a path without the temporary directory.
    pub fn short(&self, path: &Path) -> String {
        let path = path.to_str().unwrap();
        path.strip_prefix(self.top.to_str().unwrap()).unwrap_or(path).to_owned()
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.into(), self.text(value).into());
    }

    pub fn place(&self) -> ViewPlace {
        let home = self.env.get(std::ffi::OsStr::new("HOME")).map(PathBuf::from);
        ViewPlace {
            checkout: self.at(self.checkout),
            copy: self.at(self.slots).join("app/app-0"),
            private: self.at(self.slots).join("app/app-0.view"),
            side: "ci",
            slots: self.at(self.slots),
            git_dirs: vec![self.at(self.checkout).join(".git")],
            autopack: self.at(self.checkout).join(".autopack"),
            borrowing: vec![BorrowingGit {
                below: ".git".into(),
                borrows: vec![self.at(self.checkout).join(".git/objects")],
            }],
            exclude: b"*.log\n".to_vec(),
            tree: None,
            home: home.map(|home| home.canonicalize().unwrap_or(home)),
            variables: self.env.clone(),
        }
    }

    pub fn request(&self) -> ViewRequest<'_> {
        ViewRequest {
            mode: ViewMode::Namespaces,
            purpose: self.purpose,
            is_read_only: false,
            private_files: PrivateFiles::StartAttempt,
            settings: SandboxPaths {
                write: &self.write,
                hide: &self.hide,
                show: &self.show,
                sockets: &[],
            },
            links: &[],
            has_new_links: false,
            env: &self.env,
            argv: &[],
            attempt_dir: None,
            python_guard: None,
            database: None,
            state: None,
            show: &[],
            hide: &[],
            write: &[],
            has_overlays: self.has_overlays,
            allows_mounts: false,
            limited_ports: None,
            scratch: None,
        }
    }

    pub fn prepare(&self, request: &ViewRequest<'_>) -> PreparedView {
        prepare_at(&self.place(), &self.machine, request).unwrap()
    }

    /// Describes the mounts of a view below the temporary directory, a line for each.
    pub fn lines(&self, view: &PreparedView) -> String {
        let own = view.spec.mounts.iter().filter(|mount| mount.target().starts_with(&self.top));
        let lines: Vec<String> = own.map(|mount| self.line(mount)).collect();
        let hash = regex::Regex::new("[0-9a-f]{12}").unwrap();
        hash.replace_all(&lines.join("\n"), "HASH").into_owned()
    }

    fn line(&self, mount: &Mount) -> String {
        let short = |path: &crate::process::wire_string::WirePath| self.short(path.as_path());
        match mount {
            Mount::Bind { source, target, access } => {
                let access = if *access == Access::ReadWrite { "rw" } else { "ro" };
                let from = if source == target {
                    String::new()
                } else {
                    format!(" from {}", short(source))
                };
                format!("{access} {}{from}", short(target))
            }
            Mount::Mirror { target, backing, skip, is_separate } => {
                let skip: Vec<_> =
                    skip.iter().map(|name| name.as_path().display().to_string()).collect();
                let backing = backing.as_ref().map_or("memory".to_owned(), short);
                let kind = if *is_separate { "separate mirror" } else { "mirror" };
                format!("{kind} {} in {backing} without [{}]", short(target), skip.join(" "))
            }
            Mount::Hide { target } => format!("hide {}", short(target)),
            Mount::Overlay { lower, upper, target, .. } => {
                let from =
                    if lower == target { String::new() } else { format!(" from {}", short(lower)) };
                format!("overlay {}{from} in {}", short(target), short(upper))
            }
        }
    }
}
