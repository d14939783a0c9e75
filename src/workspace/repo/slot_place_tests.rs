//! Location of slots, and refused places.

use super::*;

fn settings(state: Option<&Path>, home: Option<&Path>) -> LocationSettings {
    let own = |path: Option<&Path>| path.map(Path::to_owned);
    LocationSettings { slots_dir: None, state_home: own(state), home: own(home) }
}

#[test]
fn slots_are_in_the_state_directory_under_the_checkouts_name() {
    let temp = tempfile::tempdir().unwrap();
    let top = temp.path().canonicalize().unwrap();
    let (one, two) = (top.join("a/my app"), top.join("b/my app"));
    fs::create_dir_all(&one).unwrap();
    fs::create_dir_all(&two).unwrap();
    let state = settings(Some(&top.join("state")), None);
    let first = SlotLocation::choose(&one, &state).unwrap();
    let second = SlotLocation::choose(&two, &state).unwrap();
    assert!(first.dir.starts_with(top.join("state/autopack")) && first.dir.is_dir());
    assert!(first.name.starts_with("my-app-"), "{first:?}");
    // Same name, different place: programs that use a directory's name must not collide.
    assert_ne!(first.checkout(0).file_name(), second.checkout(0).file_name());
    let home = settings(Some(Path::new("relative")), Some(&top));
    let place = SlotLocation::choose(&one, &home).unwrap();
    assert!(place.dir.starts_with(top.join(".local/state/autopack")), "{place:?}");
}

#[test]
fn a_slot_in_a_work_tree_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let top = temp.path().canonicalize().unwrap();
    let root = top.join("repo");
    for directory in ["repo/.git", "other/.git", "plain"] {
        fs::create_dir_all(top.join(directory)).unwrap();
    }
    std::os::unix::fs::symlink(top.join("other"), top.join("link")).unwrap();
    for (wanted, refused) in [
        (".autopack/slots", Some("inside the checkout")),
        ("../other/deep/slots", Some("inside the git repository")),
        ("../link/slots", Some("inside the git repository")),
        ("../plain/slots", None),
    ] {
        let chosen =
            LocationSettings { slots_dir: Some(wanted.to_owned()), ..settings(None, None) };
        match (SlotLocation::choose(&root, &chosen), refused) {
            (Ok(place), None) => assert!(place.dir.starts_with(top.join("plain/slots"))),
            (Err(error), Some(why)) => {
                let message = error.to_string();
                assert!(
                    message.contains(why) && message.contains("workspace.slots_dir"),
                    "{message}"
                );
            }
            (other, _) => panic!("{wanted}: {other:?}"),
        }
    }
    assert!(!top.join("other/deep").exists() && !root.join(".autopack").exists());
}

#[test]
fn all_paths_of_a_slot_are_found_and_none_of_another() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("x-12345678");
    let place = SlotLocation { home: temp.path().to_owned(), dir, name: "x-1234".to_owned() };
    for name in ["1", "1.git", "1-ci", "1-ci.git", "1.stuck.0", "12", "12-ci"] {
        fs::create_dir_all(place.dir.join(format!("x-1234-{name}"))).unwrap();
    }
    assert_eq!(place.of_slot(1).unwrap().len(), 5);
    assert_eq!(place.of_slot(12).unwrap().len(), 2);
    assert_eq!(git_dir_of(&place.checkout(1)), place.dir.join("x-1234-1.git"));
}

#[test]
fn a_private_directory_open_to_others_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let (own, link) = (temp.path().join("own"), temp.path().join("link"));
    create_private_directory(&own).unwrap();
    create_private_directory(&own).unwrap();
    std::os::unix::fs::symlink(&own, &link).unwrap();
    assert!(create_private_directory(&link).unwrap_err().contains("not a directory of yours"));
    fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    assert!(create_private_directory(&own).unwrap_err().contains("open to other users"));
}

#[test]
fn network_and_fuse_file_systems_are_recognized() {
    // FUSE, NFS and 9p; SMB as an unsigned 32-bit number, and sign-extended.
    for remote in [0x6573_5546, 0x6969, 0x0102_1997, 0xFF53_4D42, 0xFFFF_FFFF_FF53_4D42] {
        assert!(is_remote_kind(remote), "{remote:x}");
    }
    // ext4, tmpfs, overlay, btrfs, XFS.
    for local in [0xEF53, 0x0102_1994, 0x794C_7630, 0x9123_683E, 0x5846_5342] {
        assert!(!is_remote_kind(local), "{local:x}");
    }
    assert!(!is_remote(Path::new("/nonexistent")));
}

#[test]
fn another_file_system_is_refused_only_for_the_state_directory() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().canonicalize().unwrap();
    // A file system of the kernel, never on a disk.
    let place = SlotLocation::under(PathBuf::from("/proc/autopack"), &root);
    let refused = place.refusal(&root, LocationOrigin::State);
    assert_eq!(
        refused.as_deref(),
        Some("/proc/autopack is on another file system than the checkout")
    );
    assert_eq!(place.refusal(&root, LocationOrigin::Setting), None);
    assert_eq!(place.refusal(&root, LocationOrigin::Temporary), None);
}

#[test]
fn without_a_home_the_place_is_in_var_tmp() {
    let temp = tempfile::tempdir().unwrap();
    let relative = Path::new("relative");
    for (state, home) in [(None, None), (Some(relative), Some(relative))] {
        assert_eq!(settings(state, home).state(), None);
        let place = SlotLocation::choose(temp.path(), &settings(state, home)).unwrap();
        let own = format!("/var/tmp/{OURS}-{}", geteuid());
        assert!(place.dir.is_dir() && place.dir.starts_with(own), "{place:?}");
        fs::remove_dir(&place.dir).unwrap();
    }
}
