//! A disk that fills during any write and frees again: the drain waits, reports it, and resumes by itself. Nothing is
//! lost.
//!
//! The disk is a small tmpfs in a mount namespace of the test's own. The test is skipped where that is not permitted.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::sizes::{is_long, jobs, size, summary};
use super::testbed::{Testbed, backlog};
use crate::support::dice::Dice;
use crate::support::{Project, skip};

/// Space that a drain of a small project needs, and a little more.
const DISK_MB: u64 = 24;

const PAGE: u64 = 4096;
/// Free space so small that the drain considers the disk full.
const SOON_FULL: u64 = 1 << 20;

/// Files on the small disk.
#[derive(Clone, Copy, Debug)]
enum DiskContents {
    /// Database, slots, attempts.
    Autopack,
    /// The database, attempts, the user's objects and refs.
    Project,
}

struct Mounted(PathBuf);

impl Mounted {
    fn on(place: &Path) -> Self {
        std::fs::create_dir_all(place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_MB}m"), "tmpfs"]).arg(place);
        assert!(mount.status().unwrap().success());
        Self(place.to_owned())
    }

    /// Fills the disk until this many KiB are free, or a little less, while the drain goes on writing. Works by halves:
    /// a request for more than is available takes all space for a moment and gives it back, which would look like a
    /// full disk that nobody can observe afterwards.
    fn fill(&self, kib: u64) {
        let ballast = std::fs::File::create(self.ballast()).unwrap();
        let mut size = 0;
        loop {
            let over = self.left().saturating_sub(kib << 10);
            if over < PAGE {
                return;
            }
            let more = if over > SOON_FULL { over / 2 } else { over };
            if nix::fcntl::posix_fallocate(&ballast, size, more.cast_signed()).is_ok() {
                size += more.cast_signed();
            }
        }
    }

    fn left(&self) -> u64 {
        let fs = nix::sys::statvfs::statvfs(&self.0).unwrap();
        fs.blocks_available() * fs.fragment_size()
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_at_any_write_and_frees_again() {
    assert_passes_where_mounted("torture::disk::fills");
}

#[test]
fn a_full_disk_during_the_agent_fails_no_phase_even_with_space_again() {
    assert_passes_where_mounted("torture::disk::frees_under_the_agent");
}

#[test]
fn a_disk_filled_by_attempts_is_freed_of_their_files() {
    assert_passes_where_mounted("torture::disk::is_filled_by_an_agent");
}

#[track_caller]
fn assert_passes_where_mounted(test: &str) {
    if !passes("torture::disk::mounts") {
        return skip("mounts", "this process cannot mount a tmpfs in a mount namespace of its own");
    }
    assert!(passes(test));
}

/// Runs a test in its own mount namespace, which ends with its last process.
fn passes(test: &str) -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    let Ok(ran) = unshare.args(["--exact", test, "--ignored", "--nocapture"]).output() else {
        return false;
    };
    let text = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    println!("{text}");
    // A filter that matches no test would pass, too.
    ran.status.success() && text.contains("1 passed")
}

#[test]
#[ignore = "run by another test in a mount namespace of its own"]
fn mounts() {
    let directory = tempfile::tempdir().unwrap();
    let mounted = Mounted::on(directory.path());
    mounted.fill(0);
}

#[test]
#[ignore = "run by another test in a mount namespace of its own"]
fn fills() {
    let mut dice = Dice::thrown();
    let (rounds, jobs, seed) = (size("FULL_DISKS", 5, 100), jobs(1), dice.seed());
    let waited: u64 = (0..rounds)
        .map(|round| {
            let place = if round % 3 == 2 { DiskContents::Project } else { DiskContents::Autopack };
            // From nothing to more than an attempt needs, so that each place that writes is hit.
            let kib =
                if is_long() { dice.below(1024) } else { [0, 8, 40, 200, 90][round as usize % 5] };
            u64::from(fill_once(place, kib, dice.below(5), jobs))
        })
        .sum();
    assert!(waited > 0, "no drain met a full disk");
    let text = format!(
        "{rounds} disks filled to within 0 to 1024 KiB, jobs {jobs}: {waited} drains waited for space and resumed without a restart, no phase lost"
    );
    summary("full disk, freed again", seed, &text);
}

/// A disk with the project on it, and with the slots, which must be outside the checkout.
fn on_small_disk(bare: &Project) -> (Mounted, String) {
    let disk = bare.outside("disk");
    let mounted = Mounted::on(&disk);
    std::fs::create_dir(disk.join("autopack")).unwrap();
    std::os::unix::fs::symlink(disk.join("autopack"), bare.path(".autopack")).unwrap();
    (mounted, slots_in(&disk.join("slots")))
}

fn slots_in(directory: &Path) -> String {
    format!("workspace: {{slots_dir: {directory:?}}}\n")
}

/// Whether the drain had to wait.
fn fill_once(place: DiskContents, kib: u64, after: u64, jobs: u64) -> bool {
    println!("{place:?} with {kib} KiB left after {after} agents");
    let bare = Project::bare_folder();
    let (mounted, settings) = match place {
        DiskContents::Autopack => on_small_disk(&bare),
        DiskContents::Project => (Mounted::on(&bare.root()), slots_in(&bare.outside("state"))),
    };
    let project = bare.with_repository();
    let testbed = Testbed::on(project, "deliver", &settings, jobs, backlog(8));
    let mut drain = testbed.start();
    let agents = || testbed.steps().iter().filter(|step| step.starts_with("agent")).count() as u64;
    assert!(drain.wait_until(|| agents() > after), "{}", drain.output());
    mounted.fill(kib);
    // The drain is either finished, or reports what it waits for.
    let waits = drain.wait_until(|| is_reported(&testbed));
    mounted.free();
    let over = drain.wait().exited(0);
    testbed.assert_all_complete();
    let history = testbed.check_after(|history| {
        history.changes.retain(|change| !change.starts_with("ballast"));
    });
    let counted =
        history.attempts.iter().filter(|a| a.outcome.as_deref() == Some("failed")).count();
    assert_eq!(counted, 0, "a full disk must not count as an attempt: {over:#?}");
    // The directory can be removed only when nothing is mounted in it.
    drop(mounted);
    waits
}

/// The agent could not write, but there is space again before its work is read.
#[test]
#[ignore = "run by another test in a mount namespace of its own"]
fn frees_under_the_agent() {
    let bare = Project::bare_folder();
    let (mounted, settings) = on_small_disk(&bare);
    let project = bare.with_repository();
    let (began, freed) = (project.outside("began"), project.outside("freed"));
    for fifo in [&began, &freed] {
        nix::unistd::mkfifo(fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    let body = format!(
        "if [ $AUTOPACK_ATTEMPT = 1 ]; then echo >{began:?}; read -r _ <{freed:?}; else deliver; fi"
    );
    let testbed = Testbed::on(project, &body, &settings, 1, backlog(1));
    // Too little for the agent, and enough for everything before and after it.
    mounted.fill(2048);
    let drain = testbed.start();
    std::fs::read(began).unwrap();
    mounted.free();
    std::fs::write(freed, "\n").unwrap();
    let over = drain.wait().exited(0);
    testbed.assert_all_complete();
    let history = testbed.check_after(|_| {});
    let outcomes: Vec<_> = history.attempts.iter().map(|a| a.outcome.as_deref()).collect();
    assert_eq!(outcomes, [Some("systemic"), Some("landed")], "{over:#?}");
    drop(mounted);
}

/// A single shortage is handled at once. Repeated shortages are waited for, so that agents are not paid all night.
#[test]
#[ignore = "run by another test in a mount namespace of its own"]
fn is_filled_by_an_agent() {
    for (attempts_that_fill, waits) in [(1, false), (99, true)] {
        let bare = Project::bare_folder();
        let (mounted, settings) = on_small_disk(&bare);
        let body = format!(
            "if [ $AUTOPACK_PHASE_ID = p00001 ] && [ $AUTOPACK_ATTEMPT -le {attempts_that_fill} ]; then\n\
             cat /dev/zero >junk; exit 1\nfi\ndeliver"
        );
        let testbed = Testbed::on(bare.with_repository(), &body, &settings, 1, backlog(3));
        let mut drain = testbed.start();
        assert_eq!(drain.wait_until(|| is_reported(&testbed)), waits, "{}", drain.output());
        let text = drain.output();
        assert!(text.contains("removed 1 slot not in use"), "{text}");
        let begun = testbed.steps().iter().filter(|step| step.starts_with("agent p00001")).count();
        assert_eq!(begun, if waits { 4 } else { 2 });
        match waits {
            true => assert!(drain.kill()),
            false => {
                drain.wait().exited(0);
                testbed.assert_all_complete();
                testbed.check_after(|_| {});
            }
        }
        drop(mounted);
    }
}

fn is_reported(testbed: &Testbed) -> bool {
    let output =
        std::fs::read_to_string(testbed.project.outside("drain-0.err")).unwrap_or_default();
    output.contains("waiting for space")
}
