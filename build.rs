//! Packs the relative relocations of a release binary (`DT_RELR`): 1 MB less of a file that each start maps.
//!
//! The C library that loads such a binary must know them: glibc 2.36 or later. Everywhere else the binary is linked as
//! before, also if it is built for another machine, whose C library is unknown here.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script has no config/env.rs and no process/"
)]

use std::env;
use std::process::Command;

/// First glibc that loads packed relocations.
const GLIBC: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_native = env::var("HOST").ok() == env::var("TARGET").ok();
    let is_glibc = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is("PROFILE", "release") && is_native && is_glibc && glibc() >= Some(GLIBC) {
        // Linkers that do not know the option warn and link as before.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Returns the version of this machine's C library, if it can be asked.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
