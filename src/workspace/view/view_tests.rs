//! Tests of whole views, on a machine made of a temporary directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::fake_machine::{FakeMachine, script};
use super::*;

/// A desktop: the checkout and the slots below the home directory.
fn desktop() -> FakeMachine {
    let mut fake =
        FakeMachine::with_slots("/home/u/app", "/home/u", "/home/u/.local/state/autopack");
    for directory in [
        ".ssh",
        ".config/gh",
        ".config/pip",
        ".cargo/registry",
        ".cache/pip",
        ".local/share",
        "app/.git/objects/info",
        "app/node_modules/x",
        "app/.autopack/attempts/1",
        "app/.autopack/python",
    ] {
        fs::create_dir_all(fake.at("home/u").join(directory)).unwrap();
    }
    fs::write(fake.at("home/u/.npmrc"), "").unwrap();
    fs::write(fake.at("home/u/.cargo/credentials.toml"), "").unwrap();
    let git = fake.place().copy.join(".git");
    fs::create_dir_all(git.join("objects/info")).unwrap();
    fs::write(git.join("objects/info/alternates"), "/x\n").unwrap();
    fs::write(git.join("info/exclude"), "").unwrap();
    fake.set("XDG_RUNTIME_DIR", "/run/user/1000");
    fake
}

#[test]
fn a_desktop() {
    let mut fake = desktop();
    fake.write = vec!["~/shared".into(), "~/missing".into()];
    fs::create_dir(fake.at("home/u/shared")).unwrap();
    script(&fake.at("home/u/app/agent.py"), "");
    let argv = ["python3".into(), OsString::from(fake.at("home/u/app/agent.py"))];
    let attempt = fake.at("home/u/app/.autopack/attempts/1");
    let guard = fake.at("home/u/app/.autopack/python");
    let links = [LinkedDirectory {
        path: "node_modules".into(),
        source: fake.at("home/u/app/node_modules"),
    }];
    let request = ViewRequest {
        argv: &argv,
        attempt_dir: Some(&attempt),
        python_guard: Some(&guard),
        links: &links,
        ..fake.request()
    };
    let view = fake.prepare(&request);
    insta::assert_snapshot!(fake.lines(&view), @r"
    mirror /run in memory without [user]
    rw /tmp from /home/u/.local/state/autopack/app/app-0.view/ci/tmp
    separate mirror /home/u in /home/u/.local/state/autopack/app/app-0.view/ci/home without [.npmrc .ssh]
    rw /var/tmp from /home/u/.local/state/autopack/app/app-0.view/ci/var-tmp
    overlay /home/u/.cache in /home/u/.local/state/autopack/app/app-0.view/ci/over/HASH/upper
    overlay /home/u/.cargo in /home/u/.local/state/autopack/app/app-0.view/ci/over/HASH/upper
    overlay /home/u/.config in /home/u/.local/state/autopack/app/app-0.view/ci/over/HASH/upper
    mirror /home/u/.local in /home/u/.local/state/autopack/app/app-0.view/ci/mirror/HASH without []
    rw /home/u/app from /home/u/.local/state/autopack/app/app-0
    rw /home/u/shared
    rw /run/autopack/attempt from /home/u/app/.autopack/attempts/1
    ro /run/autopack/python from /home/u/app/.autopack/python
    rw /run/user/1000 from /home/u/.local/state/autopack/app/app-0.view/ci/runtime
    hide /home/u/.cargo/credentials.toml
    hide /home/u/.config/gh
    hide /home/u/.config/pip
    overlay /home/u/.local/share in /home/u/.local/state/autopack/app/app-0.view/ci/over/HASH/upper
    mirror /home/u/.local/state in /home/u/.local/state/autopack/app/app-0.view/ci/mirror/HASH without [autopack]
    ro /home/u/app/agent.py
    overlay /home/u/app/node_modules in /home/u/.local/state/autopack/app/app-0.view/ci/link/HASH/upper
    ro /run/autopack/objects/0 from /home/u/app/.git/objects
    ro /home/u/app/.git/info/exclude from /home/u/.local/state/autopack/app/app-0.view/ci/files/exclude
    ro /home/u/app/.git/objects/info/alternates from /home/u/.local/state/autopack/app/app-0.view/ci/files/alternates-0
    ");
    let left: Vec<_> = view.placeholders.paths().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(left, ["agent.py", "node_modules"]);
    assert_eq!(
        view.notes,
        [format!("sandbox.write: {} does not exist", fake.at("home/u/missing").display())]
    );
    let written =
        |name: &str| fs::read_to_string(fake.place().private.join("ci/files").join(name)).unwrap();
    assert_eq!(written("exclude"), "*.log\n\n/agent.py\n");
    let alternates = written("alternates-0");
    assert_eq!(alternates, format!("{}/0\n", fake.at("run/autopack/objects").display()));
}

#[test]
fn setup_sees_registry_logins_and_without_overlays_directories_are_mirrored() {
    let mut fake = desktop();
    (fake.purpose, fake.has_overlays) = (ViewPurpose::Setup, false);
    insta::assert_snapshot!(fake.lines(&fake.prepare(&fake.request())), @r"
    mirror /run in memory without [user]
    rw /tmp from /home/u/.local/state/autopack/app/app-0.view/ci/tmp
    mirror /home/u in /home/u/.local/state/autopack/app/app-0.view/ci/home without [.ssh]
    rw /var/tmp from /home/u/.local/state/autopack/app/app-0.view/ci/var-tmp
    mirror /home/u/.cache in /home/u/.local/state/autopack/app/app-0.view/ci/mirror/HASH without []
    mirror /home/u/.cargo in /home/u/.local/state/autopack/app/app-0.view/ci/mirror/HASH without []
    mirror /home/u/.config in /home/u/.local/state/autopack/app/app-0.view/ci/mirror/HASH without [gh]
    mirror /home/u/.local in /home/u/.local/state/autopack/app/app-0.view/ci/mirror/HASH without []
    rw /home/u/app from /home/u/.local/state/autopack/app/app-0
    rw /run/user/1000 from /home/u/.local/state/autopack/app/app-0.view/ci/runtime
    mirror /home/u/.local/share in /home/u/.local/state/autopack/app/app-0.view/ci/mirror/HASH without []
    mirror /home/u/.local/state in /home/u/.local/state/autopack/app/app-0.view/ci/mirror/HASH without [autopack]
    ro /run/autopack/objects/0 from /home/u/app/.git/objects
    ro /home/u/app/.git/objects/info/alternates from /home/u/.local/state/autopack/app/app-0.view/ci/files/alternates-0
    ");
}

#[test]
fn a_checkout_and_a_home_below_the_temporary_directory() {
    let mut fake = FakeMachine::with("/tmp/t/app", "/tmp/t/home");
    script(&fake.at("tmp/t/bin/agent"), "#!/bin/sh\n");
    fs::create_dir_all(fake.at("tmp/t/own")).unwrap();
    fs::create_dir_all(fake.at("tmp/t/home/.ssh")).unwrap();
    fake.set("PATH", "/tmp/t/bin:/usr/bin");
    fake.set("TMPDIR", "/tmp/t/own");
    let request = fake.request();
    insta::assert_snapshot!(fake.lines(&fake.prepare(&request)), @r"
    mirror /run in memory without [user]
    hide /slots
    rw /tmp from /slots/app/app-0.view/ci/tmp
    rw /var/tmp from /slots/app/app-0.view/ci/var-tmp
    rw /tmp/t/app from /slots/app/app-0
    ro /tmp/t/bin
    separate mirror /tmp/t/home in /slots/app/app-0.view/ci/home without [.ssh]
    ");
    assert!(fake.at("slots/app/app-0.view/ci/tmp/t/own").is_dir());
}

#[test]
fn a_home_in_the_checkout_or_missing_or_the_checkout_itself() {
    let fake = FakeMachine::with("/app", "/app/.home");
    fs::create_dir_all(fake.at("app/.home/.ssh")).unwrap();
    let lines = fake.lines(&fake.prepare(&fake.request()));
    assert!(
        lines.contains("mirror /app/.home in /slots/app/app-0.view/ci/home without [.ssh]"),
        "{lines}"
    );
    let own = fake.at("slots/app/app-0/.home");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("tracked"), "").unwrap();
    let lines = fake.lines(&fake.prepare(&fake.request()));
    assert!(!lines.contains("/app/.home"), "{lines}");
    let mut fake = FakeMachine::with("/home/u", "/home/u");
    fs::create_dir_all(fake.at("home/u/.cache")).unwrap();
    let lines = fake.lines(&fake.prepare(&fake.request()));
    assert!(!lines.contains("mirror /home"), "{lines}");
    for home in ["/", "relative", "/nonexistent"] {
        fake.env.insert("HOME".into(), home.into());
        assert!(!fake.lines(&fake.prepare(&fake.request())).contains("mirror /home"), "{home}");
    }
}

#[test]
fn links_are_hidden_with_their_targets_and_settings_show_parts() {
    let mut fake = FakeMachine::new();
    for directory in ["data/ssh", "home/u/.aws/sso", "home/u/.docker", "home/u/secret/part"] {
        fs::create_dir_all(fake.at(directory)).unwrap();
    }
    symlink(fake.at("data/ssh"), fake.at("home/u/.ssh")).unwrap();
    symlink(fake.at("app/netrc"), fake.at("home/u/.netrc")).unwrap();
    fs::write(fake.at("app/netrc"), "").unwrap();
    fake.hide = vec!["~/secret".into()];
    fake.show = vec!["~/.aws".into(), "~/secret/part".into()];
    fake.write = vec!["~/.docker".into()];
    insta::assert_snapshot!(fake.lines(&fake.prepare(&fake.request())), @r"
    rw /app from /slots/app/app-0
    mirror /run in memory without [user]
    hide /slots
    rw /tmp from /slots/app/app-0.view/ci/tmp
    hide /data/ssh
    separate mirror /home/u in /slots/app/app-0.view/ci/home without [.netrc .ssh secret]
    rw /var/tmp from /slots/app/app-0.view/ci/var-tmp
    rw /home/u/.docker
    ro /home/u/secret/part
    ");
}

#[test]
fn a_database_is_hidden_with_its_files() {
    let fake = FakeMachine::new();
    for file in [
        "home/u/db/a.db",
        "home/u/db/a.db-wal",
        "home/u/b.db",
        "home/u/b.db-wal",
        "data/c.db",
        "data/x",
    ] {
        fs::create_dir_all(fake.at(file).parent().unwrap()).unwrap();
        fs::write(fake.at(file), "").unwrap();
    }
    let lines = |path: &str| {
        let database = fake.at(path);
        fake.lines(&fake.prepare(&ViewRequest { database: Some(&database), ..fake.request() }))
    };
    assert!(lines("home/u/db/a.db").contains("without [db]"));
    assert!(lines("home/u/b.db").contains("without [b.db b.db-wal]"));
    assert!(lines("data/c.db").contains("hide /data/c.db"));
}

#[test]
fn other_paths_of_the_checkout_are_hidden() {
    let mut fake = FakeMachine::new();
    fs::create_dir_all(fake.at("data/alias")).unwrap();
    fs::create_dir_all(fake.at("var/all/app")).unwrap();
    let table = [("/", "/"), ("/app", "/data/alias"), ("/", "/var/all")].map(|(root, point)| {
        let (root, point) = match root {
            "/" => (fake.top.clone(), fake.at(point)),
            root => (fake.at(root), fake.at(point)),
        };
        format!("1 1 8:1 {} {} rw - ext4 /dev/x rw", root.display(), point.display())
    });
    fake.machine.mounts = mount_aliases::MountTable::parse(table.join("\n").as_bytes());
    let lines = fake.lines(&fake.prepare(&fake.request()));
    for expected in ["hide /data/alias", "hide /var/all/app"] {
        assert!(lines.contains(expected), "{lines}");
    }
}

#[test]
fn landlock_leaves_out_the_checkout_and_secrets() {
    let fake = desktop();
    let attempt = fake.at("home/u/app/.autopack/attempts/1");
    let request =
        ViewRequest { mode: ViewMode::Landlock, attempt_dir: Some(&attempt), ..fake.request() };
    let view = fake.prepare(&request);
    let below = |paths: &[crate::process::wire_string::WirePath]| {
        let own = paths.iter().filter(|path| path.as_path().starts_with(&fake.top));
        own.map(|path| fake.short(path.as_path())).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(below(&view.spec.landlock.readable), @r"
    /etc
    /home/u/.cache
    /home/u/.cargo/registry
    /home/u/.local/share
    /home/u/app/.git/objects
    /tmp
    /var
    ");
    insta::assert_snapshot!(below(&view.spec.landlock.writable), @r"
    /home/u/.local/state/autopack/app/app-0
    /home/u/.local/state/autopack/app/app-0.view/ci/cache/go-build
    /home/u/.local/state/autopack/app/app-0.view/ci/cache/gradle
    /home/u/.local/state/autopack/app/app-0.view/ci/cache/npm
    /home/u/.local/state/autopack/app/app-0.view/ci/cache/uv
    /home/u/.local/state/autopack/app/app-0.view/ci/runtime
    /home/u/.local/state/autopack/app/app-0.view/ci/tmp
    /home/u/app/.autopack/attempts/1
    /tmp
    /var/tmp
    ");
    insta::assert_snapshot!(below(&view.spec.landlock.listable), @r"
    
    /home
    /home/u
    /home/u/.cargo
    /home/u/.config
    /home/u/.local
    /home/u/.local/state
    /run
    ");
    let names: BTreeMap<_, _> = view.environment.into_iter().collect();
    assert_eq!(names[&OsString::from("TMPDIR")], fake.place().private.join("ci/tmp"));
}

#[test]
fn files_named_by_variables_are_hidden() {
    let mut fake = FakeMachine::new();
    for file in ["data/kube", "data/pip.conf", "data/conf/gh/hosts.yml"] {
        script(&fake.at(file), "");
    }
    fake.set("KUBECONFIG", "/data/kube:/data/missing:/dev/null");
    fake.set("PIP_CONFIG_FILE", "/data/pip.conf");
    fake.set("XDG_CONFIG_HOME", "/data/conf");
    let lines = |fake: &FakeMachine| fake.lines(&fake.prepare(&fake.request()));
    for expected in ["hide /data/kube", "hide /data/pip.conf", "hide /data/conf/gh"] {
        assert!(lines(&fake).contains(expected), "{}", lines(&fake));
    }
    fake.purpose = ViewPurpose::Setup;
    assert!(!lines(&fake).contains("pip.conf"));
    let all = fake.prepare(&fake.request()).spec.mounts;
    assert!(!all.iter().any(|mount| mount.target().starts_with("/dev")));
}

#[test]
fn below_a_hidden_home_of_root_the_checkout_is_shown() {
    let mut fake = FakeMachine::with("/home/u/w/app", "/data/home");
    fake.hide = vec![fake.text("/home/u")];
    let view = fake.prepare(&fake.request());
    let lines = fake.lines(&view);
    let shell = lines.lines().find(|line| line.starts_with("ro /home/u from")).unwrap();
    assert!(shell.contains("files/shell-"), "{lines}");
    assert!(lines.contains("rw /home/u/w/app from /slots/app/app-0"), "{lines}");
}

#[tokio::test]
async fn a_slot_of_a_repository() {
    let temp = tempfile::tempdir().unwrap();
    let top = temp.path().canonicalize().unwrap();
    let (root, home) = (top.join("app"), top.join("home"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&home).unwrap();
    fs::write(root.join("a.txt"), "a\n").unwrap();
    let text =
        "git init -q . && git add a.txt && git -c user.name=a -c user.email=a@b commit -qm a";
    let mut git = std::process::Command::new("sh");
    git.args(["-c", text]).current_dir(&root).env("GIT_CONFIG_GLOBAL", "/dev/null");
    assert!(git.status().unwrap().success());
    let repo = Repo::discover(&root).await.unwrap();
    let repo = repo.with_slots_dir(Some(top.join("slots").to_str().unwrap()));
    let mut slot = repo.acquire_slot().await.unwrap();
    let commit = repo.resolve("HEAD").await.unwrap().unwrap();
    let settings = crate::config::WorkspaceSettings::default();
    slot.reset(&commit, &settings).await.unwrap();
    slot.reset_ci(&commit, &settings).await.unwrap();
    let env: Env = [("HOME".into(), home.into()), ("PATH".into(), "/usr/bin".into())].into();
    for (side, shown) in [(Side::Agent, 2), (Side::Ci, 3)] {
        let fake = FakeMachine::new();
        let request = ViewRequest { env: &env, ..fake.request() };
        let view = prepare(&repo, &slot, side, &request).unwrap();
        assert_eq!(view.spec.inside(slot.path_of(side)), root);
        assert_eq!(view.spec.inside(&repo.objects_dir()), Path::new(OBJECTS).join("0"));
        for mount in &view.spec.mounts {
            if let Mount::Bind { source, target, .. } = mount {
                assert!(source.as_path().exists(), "{mount:?}");
                let real = target.as_path().canonicalize();
                assert!(real.is_err() || real.unwrap() == target.as_path(), "{mount:?}");
            }
        }
        let objects = view
            .spec
            .mounts
            .iter()
            .filter(|mount| mount.target().parent() == Some(Path::new(OBJECTS)));
        assert_eq!(objects.count(), shown, "{:#?}", view.spec.mounts);
        assert!(view.placeholders.paths().next().is_none());
    }
}
