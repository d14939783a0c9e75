//! Packs the pages of the book for `autopack help`, and the relative relocations of a release binary (`DT_RELR`): 1 MB less
//! of a file that each start maps.
//!
//! For packed relocations, the linker and the C library must both support them, and a version number of either is not enough:
//! mold 1.10 omits the mark that glibc requires, gold fails, and glibc before 2.36 refuses to start the program. So a small
//! program is linked with the same linker and started. If that fails, or the binary is for another machine, nothing is packed.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script has no config/env.rs and no process/"
)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::DeflateEncoder;

#[path = "src/cli/help/summary.rs"]
mod summary;

const PACKED: &str = "-Wl,-z,pack-relative-relocs";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(error) = pack_book() {
        println!("cargo::error=cannot pack the pages of docs/SUMMARY.md: {error}");
    }
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_native = env::var_os("HOST") == env::var_os("TARGET");
    let is_glibc = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is("PROFILE", "release") && is_native && is_glibc && starts_packed().unwrap_or(false) {
        println!("cargo::rustc-link-arg-bins={PACKED}");
    }
}

/// Writes the summary and its pages, each ended by a zero byte, as `src/cli/help/book.rs` reads them.
fn pack_book() -> io::Result<()> {
    let path = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("book.deflate");
    let mut packed = DeflateEncoder::new(fs::File::create(path)?, Compression::best());
    let mut pack = |name: &str| -> io::Result<String> {
        let file = format!("docs/{name}");
        println!("cargo::rerun-if-changed={file}");
        let text = fs::read_to_string(&file)
            .map_err(|error| io::Error::other(format!("{file}: {error}")))?;
        packed.write_all(text.as_bytes())?;
        packed.write_all(b"\0")?;
        Ok(text)
    };
    let list = pack("SUMMARY.md")?;
    for entry in summary::entries(&list) {
        pack(entry.path)?;
    }
    packed.finish().map(drop)
}

/// Returns whether a program with packed relocations can be linked and started here.
fn starts_packed() -> io::Result<bool> {
    let directory = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let (source, program) = (directory.join("packed.rs"), directory.join("packed"));
    fs::write(&source, "fn main() {}")?;
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    // A flag may choose the linker, as `-C link-arg=-fuse-ld=mold` does.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc.arg(format!("-Clink-arg={PACKED}")).arg(&source).arg("-o").arg(&program);
    let succeeds = |command: &mut Command| -> io::Result<bool> {
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
    };
    Ok(succeeds(&mut rustc)? && succeeds(&mut Command::new(&program))?)
}
