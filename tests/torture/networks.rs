//! Network namespaces as hosts: each has its own address, host name, boot, and clocks.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::support::preload::Clock;
use crate::support::skip;

/// A bridge of this machine with a namespace for each host; removed when dropped.
pub struct Network {
    bridge: String,
    /// This machine's address on the bridge.
    pub address: Ipv4Addr,
    pub hosts: Vec<Namespace>,
}

/// A host of the network.
pub struct Namespace {
    name: String,
    boot: PathBuf,
    clock: Clock,
    _dir: TempDir,
}

impl Network {
    /// A network with a host for each of these wall clocks, given as seconds from the true time. Without root, `ip` or a C
    /// compiler the test is skipped.
    #[track_caller]
    pub fn with_clocks(clocks: &[i64]) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skip("network-namespaces", "only root adds network namespaces");
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let bridge = format!("ap{}x{number}", std::process::id());
        let address = free_address(std::process::id() * 7 + number);
        let mut network = Self { bridge, address, hosts: Vec::new() };
        for (index, clock) in clocks.iter().enumerate() {
            let host = Namespace::new(&format!("{}h{index}", network.bridge), *clock, index)?;
            network.hosts.push(host);
        }
        match network.connect() {
            Ok(()) => Some(network),
            Err(why) => {
                skip("network-namespaces", why);
                None
            }
        }
    }

    /// Host names.
    pub fn names(&self) -> Vec<&str> {
        self.hosts.iter().map(|host| host.name.as_str()).collect()
    }

    fn connect(&self) -> Result<(), String> {
        let Self { bridge, address, hosts } = self;
        ip(&format!("link add {bridge} type bridge"))?;
        ip(&format!("addr add {address}/24 dev {bridge}"))?;
        ip(&format!("link set {bridge} up"))?;
        for (index, Namespace { name, .. }) in hosts.iter().enumerate() {
            let [a, b, c, _] = address.octets();
            ip(&format!("netns add {name}"))?;
            ip(&format!("link add {name} type veth peer name eth0 netns {name}"))?;
            ip(&format!("link set {name} master {bridge} up"))?;
            ip(&format!("-n {name} addr add {a}.{b}.{c}.{}/24 dev eth0", 10 + index))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &self.hosts {
            let _ = ip(&format!("netns del {}", host.name));
        }
        let _ = ip(&format!("link del {}", self.bridge));
    }
}

impl Namespace {
    fn new(name: &str, shift: i64, index: usize) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::built_in(dir.path())?;
        clock.set(shift);
        // Hosts started at different times.
        clock.set_boot(1_000 * (index as i64 + 1));
        let boot = dir.path().join("boot_id");
        std::fs::write(&boot, format!("{name}-boot\n")).unwrap();
        Some(Self { name: name.to_owned(), boot, clock, _dir: dir })
    }

    /// The command, on this host.
    pub fn command(&self, command: &Command) -> Command {
        const ENTER: &str = "hostname \"$1\" && mount --bind \"$2\" /proc/sys/kernel/random/boot_id \
                             && export LD_PRELOAD=\"$3\" TEST_CLOCK=\"$4\" && shift 4 && exec \"$@\"";
        let mut entered = Command::new("nsenter");
        entered.arg(format!("--net=/run/netns/{}", self.name));
        entered.args(["unshare", "--uts", "--mount", "sh", "-c", ENTER, "sh", &self.name]);
        entered.arg(&self.boot).arg(&self.clock.library).arg(&self.clock.file);
        entered.arg(command.get_program()).args(command.get_args()).env_clear();
        entered.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        entered.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
        entered
    }
}

/// An address that no interface here has, of the network for benchmarks (RFC 2544).
fn free_address(start: u32) -> Ipv4Addr {
    let listed = Command::new("ip").args(["-o", "-4", "addr"]).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let listed = listed.unwrap_or_default();
    let address = |n: u32| Ipv4Addr::new(198, 18 + (n / 256 % 2) as u8, (n % 256) as u8, 1);
    (start..start + 512)
        .map(address)
        .find(|address| !listed.contains(&format!(" {address}/")))
        .unwrap()
}

fn ip(words: &str) -> Result<(), String> {
    let mut ip = Command::new("ip");
    let output = ip.args(words.split(' ')).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
