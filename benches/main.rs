//! `make bench`: the program's costs, measured on this machine and written into `docs/benchmarks.md`.
//!
//! A section is a subject and a file here. Each measures the real thing (the release binary, its library, a database on
//! a synced disk) and, in the same run, the usual alternatives if they are installed. No section needs the network, and
//! all files are in temporary directories that are removed afterwards.
//!
//! `cargo bench --bench whole -- [--write] [SECTION ...]`; `AUTOPACK_BENCH=quick` takes small sizes.

#![allow(clippy::disallowed_methods, reason = "a bench starts programs and reads its own variable")]

mod autofix;
mod claims;
mod drains;
mod landing;
mod linked_directory;
mod machine;
mod memory;
mod others;
mod page;
mod postgres;
mod process;
mod queue_models;
mod scale;
mod scope;
mod scratch;
mod several_hosts;
mod specs;
mod startup;
mod stats;
mod store;
mod views;

use page::Page;
use scale::Scale;

/// A name, and the function that measures the section and returns its text.
type Section = (&'static str, fn(&Scale) -> String);

/// In the order of the page.
const SECTIONS: [Section; 11] = [
    ("autofix", autofix::section),
    ("store", store::section),
    ("claims", claims::section),
    ("postgres", postgres::section),
    ("overhead", drains::section),
    ("landing", landing::section),
    ("hosts", several_hosts::section),
    ("startup", startup::section),
    ("views", views::section),
    ("memory", memory::section),
    ("scope", scope::section),
];

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let (options, wanted): (Vec<&String>, Vec<&String>) =
        args.iter().partition(|arg| arg.starts_with('-'));
    let known = |name: &str| SECTIONS.iter().any(|(section, _)| *section == name);
    if let Some(odd) = options.iter().find(|option| option.as_str() != "--write") {
        return Err(std::io::Error::other(format!("unknown option {odd}; there is --write")));
    }
    if let Some(odd) = wanted.iter().find(|name| !known(name)) {
        let names = SECTIONS.map(|(name, _)| name).join(", ");
        return Err(std::io::Error::other(format!("unknown section {odd}; there are {names}")));
    }
    // Otherwise the probe of a view would start this program as its supervisor, and no view would seem to work.
    autopack::process::use_supervisor(process::AUTOPACK);
    let scale = Scale::of_environment();
    let mut page = if options.is_empty() { Page::nowhere() } else { Page::open()? };
    for (name, section) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            eprintln!("bench: {name}");
            let started = std::time::Instant::now();
            let noise = machine::Noise::begin();
            let text = section(&scale);
            let how = noise.end(&scale, started.elapsed());
            page.put(name, &format!("{text}\n{how}\n"))?;
        }
    }
    Ok(())
}
