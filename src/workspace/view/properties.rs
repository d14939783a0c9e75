//! Properties of every view: parents are mounted first, nothing outside of the allowed places is writable, and hidden
//! paths are not shown.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::fake_machine::{FakeMachine, script};
use super::mount_list::{MountList, MountedPath};
use super::*;
use crate::process::view::spec::Access;

/// A layout of checkout and home directory, and settings.
fn machines() -> impl Strategy<Value = FakeMachine> {
    let layouts = [
        ("/app", "/home/u"),
        ("/home/u/app", "/home/u"),
        ("/home/u", "/home/u"),
        ("/tmp/t/app", "/tmp/t/home"),
        ("/tmp/app", "/home/u"),
        ("/app", "/app/.home"),
        ("/home/u/.local/share/app", "/home/u"),
        ("/run/media/u/app", "/home/u"),
    ];
    let path = "(/app|/home/u|/home/u/.ssh|/home/u/.cache/x|/tmp/x|/tmp|/run/user/1000|/data/a|/slots|/slots/app|/home|~|~/.config/gh|~/.config|local)";
    (
        prop::sample::select(layouts.to_vec()),
        prop::collection::vec(path, 0..3),
        prop::collection::vec(path, 0..3),
        prop::collection::vec(path, 0..2),
        prop::collection::vec(
            "(/tmp/x/bin|/app/bin|/home/u/bin|/run/user/1000/bin|/home/u/.ssh|/tmp)",
            0..3,
        ),
        "(/tmp/x|/data/a|/home/u|/app|/tmp|/run/user/1000)",
        any::<bool>(),
    )
        .prop_map(|(layout, write, hide, show, path, tmp, has_overlays)| {
            let mut fake = FakeMachine::with(layout.0, layout.1);
            for directory in [
                "data/a",
                "home/u/.config/gh",
                "home/u/.cache/x",
                "home/u/.local/share",
                "home/u/bin",
            ] {
                std::fs::create_dir_all(fake.at(directory)).unwrap();
            }
            for program in ["tmp/x/bin/a", "app/bin/b", "home/u/.ssh/id", "run/user/1000/bin/c"] {
                script(&fake.at(program), "#!/bin/sh\n");
            }
            let texts = |all: Vec<String>| all.iter().map(|text| fake.text(text)).collect();
            let (write, hide, show) = (texts(write), texts(hide), texts(show));
            (fake.write, fake.hide, fake.show) = (write, hide, show);
            fake.has_overlays = has_overlays;
            fake.set("PATH", &path.join(":"));
            fake.set("TMPDIR", &tmp);
            fake.set("GOCACHE", &tmp);
            fake
        })
}

fn is_at_or_below(path: &Path, all: &[PathBuf]) -> bool {
    all.iter().any(|at| path.starts_with(at))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_view_holds_its_rules(fake in machines()) {
        let place = fake.place();
        let attempt = fake.at("data/attempt");
        std::fs::create_dir_all(&attempt).unwrap();
        let request = ViewRequest { attempt_dir: Some(&attempt), ..fake.request() };
        let hidden = HiddenPaths::collect(&place, &fake.machine, &request);
        let view = fake.prepare(&request);
        let mounts = &view.spec.mounts;
        for (index, mount) in mounts.iter().enumerate() {
            for later in &mounts[index + 1..] {
                prop_assert!(later.target() != mount.target(), "twice: {:?}", mount);
                prop_assert!(!mount.target().starts_with(later.target()), "{:?} after {:?}", later, mount);
            }
        }
        let home = place.home.clone();
        let expanded = fake.write.iter().filter_map(|text| {
            path_expansion::expand(text, home.as_deref(), &place.checkout)
        });
        let written: Vec<PathBuf> = expanded.map(|path| path_expansion::resolve(&path)).collect();
        let own = [place.checkout.clone(), fake.machine.run.join("autopack/attempt")];
        let own = own.into_iter().chain(fake.machine.temporary.iter().cloned());
        let tmp = place.path_variable("TMPDIR");
        let allowed: Vec<PathBuf> = own.chain(written.iter().cloned()).chain(tmp).chain(home).collect();
        for mount in mounts {
            let Mount::Bind { source, target, access: Access::ReadWrite } = mount else { continue };
            prop_assert!(allowed.iter().any(|at| at == target.as_path()), "{:?}", mount);
            // What is written goes to the slot, to the attempt, or where the user said.
            let private = [place.private.clone(), place.copy.clone(), attempt.clone()];
            let is_private = is_at_or_below(source.as_path(), &private);
            prop_assert!(is_private || written.contains(&source.as_path().to_owned()), "{:?}", mount);
        }
        let mut list = MountList::default();
        mounts.iter().for_each(|mount| list.add(mount.clone()));
        for path in hidden.all() {
            let is_shown = match list.find(&path) {
                MountedPath::Nothing => false,
                MountedPath::Original => true,
                MountedPath::File(file) => file.starts_with(&path) || hidden.contains(&file)
                    && !file.starts_with(&place.slots),
            };
            prop_assert!(!is_shown, "{:?} is shown: {:#?}", path, mounts);
        }
        let is_users = matches!(list.find(&place.checkout), MountedPath::File(file) if file == place.copy);
        prop_assert!(is_users, "{:#?}", mounts);
    }
}
