//! The private /dev of a view: the harmless devices, terminals of its own, and shared memory.

use std::fs::{self, DirBuilder};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use nix::errno::Errno;

use super::mount_calls::{Restrictions, attach, copy_tree, new_file_system, open_exact, temporary};
use super::step_error::{Step, StepError};

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Devices of the machine, open before /dev is covered.
pub(super) struct Devices {
    top: OwnedFd,
    devices: Vec<(&'static str, OwnedFd)>,
    terminals: Option<OwnedFd>,
}

impl Devices {
    pub fn collect() -> Result<Self, StepError> {
        let top = temporary(c"755").step("create /dev")?;
        let mut devices = Vec::new();
        for name in DEVICES {
            let path = Path::new("/dev").join(name);
            match copy_tree(&path) {
                // Containers without a terminal have no /dev/tty.
                Err(Errno::ENOENT) => {}
                copied => devices.push((name, copied.step_at("open", &path)?)),
            }
        }
        let options =
            [(c"newinstance", None), (c"ptmxmode", Some(c"666")), (c"mode", Some(c"620"))];
        let restrictions = Restrictions { no_devices: false, no_programs: true };
        // Programs without a pseudo-terminal work, too.
        let terminals = new_file_system(c"devpts", &options, restrictions).ok();
        Ok(Self { top, devices, terminals })
    }

    pub fn attach(self) -> Result<(), StepError> {
        let dev = Path::new("/dev");
        let at = open_exact(dev).step_at("open", dev)?;
        attach(self.top.as_fd(), at.as_fd()).step_at("mount", dev)?;
        for (name, device) in self.devices {
            let path = dev.join(name);
            fs::File::create_new(&path).step_at("create", &path)?;
            let at = open_exact(&path).step_at("open", &path)?;
            attach(device.as_fd(), at.as_fd()).step_at("mount", &path)?;
        }
        for (name, to) in LINKS {
            let path = dev.join(name);
            symlink(to, &path).step_at("create", &path)?;
        }
        let shared = dev.join("shm");
        DirBuilder::new().create(&shared).step_at("create", &shared)?;
        // Not by the builder: the mask of this process would apply.
        nix::sys::stat::fchmodat(
            nix::fcntl::AT_FDCWD,
            &shared,
            nix::sys::stat::Mode::from_bits_truncate(0o1777),
            nix::sys::stat::FchmodatFlags::FollowSymlink,
        )
        .step_at("open", &shared)?;
        if let Some(terminals) = self.terminals {
            let path = dev.join("pts");
            DirBuilder::new().mode(0o755).create(&path).step_at("create", &path)?;
            let at = open_exact(&path).step_at("open", &path)?;
            attach(terminals.as_fd(), at.as_fd()).step_at("mount", &path)?;
        }
        Ok(())
    }
}
