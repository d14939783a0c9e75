//! What a release consists of: the licenses of dependencies, the parts of the package, the workflows.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_yaml::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names in `Cargo.toml` under a heading, each at the start of a line.
fn names_below<'a>(toml: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let (_, rest) = toml.split_once(heading).unwrap();
    let section = rest.split("\n[").next().unwrap();
    section.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect()
}

#[test]
fn the_license_file_has_every_linked_crate_and_its_text() {
    let output = Command::new("python3")
        .args(["scripts/licenses.py", "x86_64-unknown-linux-gnu"])
        .env("CARGO_NET_OFFLINE", "true")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = String::from_utf8(output.stdout).unwrap();
    let toml = text("Cargo.toml");
    let listed = |name: &str| file.lines().any(|line| line.starts_with(&format!("{name} ")));
    for name in names_below(&toml, "\n[dependencies]\n") {
        // One dependency has another name in the program.
        let name = if name == "serde_yaml" { "serde_yaml_ng" } else { name };
        assert!(listed(name), "{name} is not listed");
    }
    for name in ["insta", "proptest"] {
        assert!(!listed(name), "{name} is for tests only");
    }
    for text in ["Apache License", "Permission is hereby granted", "faiss-sys", "libsqlite3-sys"] {
        assert!(file.contains(text), "{text} is missing");
    }
}

/// `scripts/dist.sh` makes what the package takes from `target/package`; the rest is in the repository.
#[test]
fn every_part_of_the_package_is_made_or_is_here() {
    let toml = text("Cargo.toml");
    let script = text("scripts/dist.sh");
    let (_, assets) = toml.split_once("\nassets = [\n").unwrap();
    let assets = assets.split("\n]").next().unwrap();
    let sources: Vec<&str> = assets.lines().map(|line| line.split('"').nth(1).unwrap()).collect();
    assert!(sources.len() >= 8, "{sources:?}");
    for source in sources {
        match source.strip_prefix("target/package/") {
            Some(made) => {
                let directory = made.split('/').next().unwrap();
                assert!(script.contains(&format!("$stage/{directory}")), "{source}");
            }
            None => assert!(root().join(source).exists(), "{source}"),
        }
    }
}

/// The commands of the workflows' steps.
fn steps(name: &str) -> Vec<String> {
    let workflow: Value = serde_yaml::from_str(&text(name)).expect(name);
    let jobs = workflow["jobs"].as_mapping().unwrap().values();
    let steps = jobs.flat_map(|job| job["steps"].as_sequence().unwrap().clone());
    steps.filter_map(|step| Some(step["run"].as_str()?.to_owned())).collect()
}

#[test]
fn workflows_call_the_same_commands_as_a_developer() {
    let ci = steps(".github/workflows/ci.yml");
    assert!(ci.iter().any(|step| step == ".ci/run"), "{ci:?}");
    let release = steps(".github/workflows/release.yml");
    assert!(release.iter().any(|step| step.contains("make dist DIST=dist")), "{release:?}");
    let makefile = text("Makefile");
    for target in ["dist", "image", "test-dist", "book", "picture"] {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
    }
    let called =
        ["scripts/dist.sh", "scripts/image.sh", "scripts/picture.sh", "tests/dist/in_chroot.sh"];
    let in_containers = ["packaging/worker.sh", "packaging/compose/seed.sh"];
    for script in called {
        assert!(makefile.contains(&format!("./{script}")), "{script}");
    }
    for script in called.into_iter().chain(in_containers) {
        let syntax = Command::new("bash").arg("-n").arg(root().join(script)).status().unwrap();
        assert!(syntax.success(), "{script}");
    }
}

#[test]
fn the_image_copies_what_its_script_puts_together() {
    let (image, script) = (text("Dockerfile"), text("scripts/image.sh"));
    let copies = image.lines().filter(|line| line.starts_with("COPY "));
    let sources = copies.flat_map(str::split_whitespace);
    let staged: Vec<&str> = sources.filter_map(|word| word.strip_prefix("target/image/")).collect();
    assert!(staged.contains(&"autopack") && staged.len() > 3, "{staged:?}");
    for file in staged {
        assert!(script.contains(&format!("\"$stage/{file}\"")), "{file}");
    }
}

#[test]
fn dist_deletes_no_directory_that_it_did_not_fill() {
    let own = tempfile::tempdir().unwrap();
    fs::write(own.path().join("thesis.txt"), "years").unwrap();
    let tools = tempfile::tempdir().unwrap();
    crate::support::executable(&tools.path().join("cargo-deb"), "#!/bin/sh\nexit 1\n");
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(root().join("scripts/dist.sh"))
        .arg(own.path())
        .env("PATH", path)
        .env("AUTOPACK_DIST_BINARY", "/nonexistent/autopack")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("no earlier release"), "{told}");
    assert_eq!(fs::read_to_string(own.path().join("thesis.txt")).unwrap(), "years");
}

#[test]
fn the_release_job_can_run_again_for_the_same_tag() {
    let release = steps(".github/workflows/release.yml");
    let step = release.iter().find(|step| step.contains("gh release")).unwrap();
    let at = tempfile::tempdir().unwrap();
    let gh = "#!/bin/sh\ncase $2 in\nview) test -e made;;\n\
              create) test ! -e made && touch made;;\nupload) echo \"$@\" >>uploads;;\nesac\n";
    crate::support::executable(&at.path().join("bin/gh"), gh);
    let path = format!("{}/bin:{}", at.path().display(), std::env::var("PATH").unwrap());
    for _ in 0..2 {
        let mut sh = Command::new("sh");
        sh.args(["-ec", step]).current_dir(at.path()).env("PATH", &path);
        assert!(sh.env("GITHUB_REF_NAME", "v1.2.3").status().unwrap().success(), "{step}");
    }
    let uploads = fs::read_to_string(at.path().join("uploads")).unwrap();
    assert_eq!(uploads.matches("v1.2.3 --clobber").count(), 2, "{uploads}");
}

/// The picture is a drawing of a real drain: well-formed, with its last lines.
#[test]
fn the_picture_of_the_readme_shows_a_drain() {
    let picture = text("docs/demo/picture.svg");
    let mut reader = quick_xml::Reader::from_str(&picture);
    loop {
        if let quick_xml::events::Event::Eof = reader.read_event().unwrap() {
            break;
        }
    }
    for part in ["$ autopack drain", "landed", "autopack merge demo"] {
        assert!(picture.contains(part), "{part}");
    }
    assert!(text("README.md").contains("](docs/demo/picture.svg)"));
}
