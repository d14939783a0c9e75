//! Programs in views of their own: what they see, what they can write, and how they end.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::process::{LONG, job, marked, run, sh, unique};
use crate::support::skip;
use autopack::process::view::{Access, Mount, NetworkView, ViewMode, ViewSpec};
use autopack::process::{FinishedJob, Job, JobEnd, SpawnError};
use nix::sys::signal;
use nix::unistd::Pid;

/// The supervisor of the program with this mark: the parent of the first process of its view.
fn supervisor_of(mark: &str) -> Pid {
    let parents = marked(mark).into_iter().map(|stat| {
        let rest = stat.rsplit_once(") ").unwrap().1.to_owned();
        rest.split(' ').nth(1).unwrap().to_owned()
    });
    let parent = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line =
            status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
        (status.starts_with("Name:\tap-init"), line)
    };
    let supervisor = parents.map(|pid| parent(&pid)).find(|(is_first, _)| *is_first).unwrap().1;
    Pid::from_raw(supervisor.parse().unwrap())
}

/// A directory of the machine, and a view.
struct Place {
    at: tempfile::TempDir,
    mounts: Vec<Mount>,
}

impl Place {
    /// Returns `None` where namespaces are refused: the test is skipped.
    async fn new() -> Option<Self> {
        autopack::process::use_supervisor(env!("CARGO_BIN_EXE_autopack"));
        let works = autopack::process::view::probe(ViewMode::Namespaces).await;
        if let Err(why) = works {
            skip("namespaces", format_args!("{why}"));
            return None;
        }
        Some(Self { at: tempfile::tempdir().unwrap(), mounts: Vec::new() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.path().canonicalize().unwrap().join(name)
    }

    fn dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn bind(&mut self, source: &Path, target: &Path, access: Access) {
        self.mounts.push(Mount::Bind { source: source.into(), target: target.into(), access });
    }

    fn hide(&mut self, target: &Path) {
        self.mounts.push(Mount::Hide { target: target.into() });
    }

    fn spec(&self) -> ViewSpec {
        ViewSpec { mounts: self.mounts.clone(), ..ViewSpec::new(ViewMode::Namespaces) }
    }

    fn job(&self, script: &str) -> Job<'static> {
        Job { view: Some(Arc::new(self.spec())), ..sh(script, Path::new("/")) }
    }

    async fn sh(&self, script: &str) -> FinishedJob {
        run(self.job(script)).await.unwrap()
    }

    async fn lines(&self, script: &str) -> String {
        let ended = self.sh(script).await;
        format!("{}{}", ended.stdout.text(), ended.stderr.text())
    }
}

#[tokio::test]
async fn a_bind_shows_one_directory_at_the_path_of_another() {
    let Some(mut place) = Place::new().await else { return };
    let (slot, checkout) = (place.dir("slot"), place.dir("checkout"));
    fs::write(slot.join("file"), "slot\n").unwrap();
    fs::write(checkout.join("file"), "checkout\n").unwrap();
    fs::write(checkout.join("other"), "").unwrap();
    place.bind(&slot, &checkout, Access::ReadWrite);
    let at = checkout.display();
    let seen = place
        .lines(&format!(
            "cd {at}; pwd; cat file; ls; echo new > made; cat /proc/self/root{at}/file"
        ))
        .await;
    assert_eq!(seen, format!("{at}\nslot\nfile\nslot\n"));
    assert_eq!(fs::read_to_string(slot.join("made")).unwrap(), "new\n");
    assert!(!checkout.join("made").exists());
}

#[tokio::test]
async fn everything_else_is_read_only() {
    let Some(place) = Place::new().await else { return };
    let file = place.file("witness", "as it was");
    let seen = place
        .lines(&format!(
            "for to in {0} {0}.new /etc/autopack-test /usr/autopack-test; do echo x 2>&1 > $to || echo refused; done; \
             rm -f {0}; chmod 777 {0}; mkdir /etc/x; true",
            file.display()
        ))
        .await;
    assert_eq!(seen.matches("Read-only file system").count(), 4 + 3, "{seen}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "as it was");
    let ended = place.sh("echo a > /dev/shm/a && cat /dev/shm/a; echo b > /dev/null; head -c 1 /dev/zero | wc -c").await;
    assert_eq!(ended.stdout.text().replace(' ', ""), "a\n1\n");
}

#[tokio::test]
async fn hidden_paths_look_empty() {
    let Some(mut place) = Place::new().await else { return };
    let key = place.file("home/.ssh/id", "secret");
    let token = place.file("home/.netrc", "secret");
    place.hide(key.parent().unwrap());
    place.hide(&token);
    place.hide(&place.path("home/missing"));
    place.hide(&place.dir("other"));
    let home = place.path("home");
    let seen = place
        .lines(&format!("cd {}; ls -A .ssh ../other; cat .netrc; ls -A", home.display()))
        .await;
    assert_eq!(seen, "../other:\n\n.ssh:\n.netrc\n.ssh\n");
}

#[tokio::test]
async fn a_mirror_keeps_writes_to_itself() {
    let Some(mut place) = Place::new().await else { return };
    let home = place.dir("home");
    place.file("home/.bashrc", "rc\n");
    place.file("home/.config/app/settings", "settings\n");
    place.file("home/.cargo/bin/tool", "tool\n");
    symlink(".bashrc", home.join(".profile")).unwrap();
    place.file("home/left-out", "");
    let backing = place.dir("private");
    place.file("private/.own.json", "own\n");
    place.mounts.push(Mount::Mirror {
        target: (&home).into(),
        backing: Some((&backing).into()),
        skip: vec!["left-out".into()],
        is_separate: false,
    });
    place.hide(&backing);
    let script = format!(
        "cd {}; cat .profile .config/app/settings .own.json; ls -A; echo x > .new && cat .new; \
         echo x > .bashrc || echo refused; mv .own.json .moved && echo moved; rm -rf .cargo || echo kept",
        home.display()
    );
    let seen = place.lines(&script).await;
    for part in ["rc\nsettings\nown\n", "x\n", "refused\n", "moved\n", "kept\n"] {
        assert!(seen.contains(part), "{part:?} in {seen}");
    }
    assert!(!seen.contains("left-out"), "{seen}");
    assert!(!home.join(".new").exists() && home.join(".cargo/bin/tool").exists());
    assert_eq!(fs::read_to_string(backing.join(".new")).unwrap(), "x\n");
    // Empty mount points of the first view are no files of the program.
    assert!(
        place.lines(&script.replace("mv .own.json", "mv .moved")).await.contains("rc\nsettings\n")
    );
}

#[tokio::test]
async fn a_separate_mirror_has_pipes_and_sockets_of_its_own() {
    let Some(mut place) = Place::new().await else { return };
    if autopack::process::view::probe_overlay(place.at.path()).await.is_err() {
        return skip("overlays", "the kernel refuses them");
    }
    let home = place.dir("home:1");
    place.file("home:1/app/settings", "settings\n");
    let pipe = home.join("app/pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let server = std::os::unix::net::UnixListener::bind(home.join("app/socket")).unwrap();
    for listener in [reader.as_fd(), server.as_fd()] {
        let flags = nix::fcntl::OFlag::O_NONBLOCK;
        nix::fcntl::fcntl(listener, nix::fcntl::FcntlArg::F_SETFL(flags)).unwrap();
    }
    place.mounts.push(Mount::Mirror {
        target: (&home).into(),
        backing: Some((&place.dir("private")).into()),
        skip: Vec::new(),
        is_separate: true,
    });
    let script = format!(
        "cd {}; cat app/settings; ls app; echo x > app/settings; echo x > app/new; echo own > .own; cat .own;
         timeout 5 sh -c 'exec 3<>app/pipe; echo x >&3; read line <&3; echo \"read $line\"';
         python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"app/socket\")' || echo no server",
        home.display()
    );
    // Without Landlock, the mounts alone separate them.
    let spec = ViewSpec { allows_mounts: true, ..place.spec() };
    let ended =
        run(Job { view: Some(Arc::new(spec)), ..sh(&script, Path::new("/")) }).await.unwrap();
    let seen = format!("{}{}", ended.stdout.text(), ended.stderr.text());
    for part in ["settings\npipe\nsettings\nsocket\n", "own\n", "read x\n", "no server\n"] {
        assert!(seen.contains(part), "{part:?} in {seen}");
    }
    assert_eq!(seen.matches("Read-only file system").count(), 2, "{seen}");
    assert!((&reader).read(&mut [0; 8]).is_err(), "the pipe was written to");
    assert!(server.accept().is_err(), "the socket was reached");
}

#[tokio::test]
async fn a_named_pipe_of_the_machine_is_closed() {
    let Some(mut place) = Place::new().await else { return };
    let directory = place.dir("other");
    let pipe = directory.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let own = place.dir("own");
    place.bind(&own, &own, Access::ReadWrite);
    let script = format!(
        "cd {}; timeout 5 sh -c 'exec 3<>{}' && echo open; mkfifo p; exec 3<>p; echo x >&3; read line <&3; echo \"read $line\";
         mkdir a b; echo y > a/y; ln a/y b/y; mv a/y b/z; cat b/z; test b/y -ef b/z && echo same; echo z > /dev/null; echo done > /dev/stderr; unshare -Urm mount -t tmpfs none a && echo mounted",
        own.display(),
        pipe.display()
    );
    let mut seen = Vec::new();
    for allows_mounts in [false, true] {
        let spec = ViewSpec { allows_mounts, ..place.spec() };
        let job = Job { view: Some(Arc::new(spec)), ..sh(&script, Path::new("/")) };
        let ended = run(job).await.unwrap();
        seen.push(format!("{}{}", ended.stdout.text(), ended.stderr.text()));
        fs::remove_dir_all(&own).unwrap();
        fs::create_dir(&own).unwrap();
    }
    for text in &seen {
        assert!(text.contains("read x\ny\nsame\n") && text.contains("done\n"), "{text}");
    }
    let is = |word: &str| [seen[0].contains(word), seen[1].contains(word)];
    if !nix::unistd::geteuid().is_root() {
        assert_eq!(is("mounted\n"), [false, true], "{seen:?}");
    }
    assert_eq!(is("open\n"), [false, true], "{seen:?}");
}

#[tokio::test]
async fn an_overlay_shares_reads_and_keeps_writes() {
    let Some(mut place) = Place::new().await else { return };
    let cache = place.file("home/cache:1/package", "package\n").parent().unwrap().to_owned();
    place.mounts.push(Mount::Overlay {
        lower: (&cache).into(),
        upper: (&place.dir("upper")).into(),
        work: (&place.dir("work")).into(),
        target: (&cache).into(),
    });
    let script = "cat package; echo changed > package; cat package; echo y > new; ls";
    let seen = place.lines(&format!("cd {}; {script}", cache.display())).await;
    assert_eq!(seen, "package\nchanged\nnew\npackage\n");
    assert_eq!(fs::read_to_string(cache.join("package")).unwrap(), "package\n");
    assert!(!cache.join("new").exists());
    assert_eq!(fs::read_to_string(place.path("upper/new")).unwrap(), "y\n");
}

#[tokio::test]
async fn other_processes_are_out_of_reach() {
    let Some(place) = Place::new().await else { return };
    let mut victim = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = victim.id();
    let seen = place
        .lines(&format!("kill {pid} 2>/dev/null || echo no; cat /proc/{pid}/environ 2>/dev/null || echo no; ls /proc | grep -c '^[0-9]'; echo $$"))
        .await;
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[..2], ["no", "no"], "{seen}");
    // The first process, the shell, and the two of the pipe.
    assert!(lines[2].parse::<u32>().unwrap() <= 4, "{seen}");
    assert_eq!(lines[3], "2", "{seen}");
    assert!(victim.try_wait().unwrap().is_none());
    victim.kill().unwrap();
    victim.wait().unwrap();
}

#[tokio::test]
async fn ends_are_distinguished_as_without_a_view() {
    let Some(place) = Place::new().await else { return };
    assert_eq!(place.sh("exit 0").await.end, JobEnd::Exited(0));
    assert_eq!(place.sh("exit 143").await.end, JobEnd::Exited(143));
    assert_eq!(place.sh("kill -TERM $$").await.end, JobEnd::Signalled(15));
    assert_eq!(place.sh("kill -KILL $$").await.end, JobEnd::Signalled(9));
    for script in [
        "exec sleep 1000",
        "trap 'exit 0' TERM; while :; do sleep 0.01; done",
        "trap '' TERM; while :; do sleep 0.01; done",
    ] {
        let mut job = place.job(script);
        (job.timeout, job.grace) = (Duration::from_millis(200), Duration::from_millis(200));
        assert_eq!(run(job).await.unwrap().end, JobEnd::TimedOut, "{script}");
    }
    let mut job = place.job("exec sleep 1000");
    job.idle_timeout = Some(Duration::from_millis(300));
    assert_eq!(run(job).await.unwrap().end, JobEnd::Stalled);
    let mut fed = place.job("cat; echo err >&2");
    fed.stdin = Some(b"input".to_vec());
    let ended = run(fed).await.unwrap();
    assert_eq!((ended.stdout.text(), ended.stderr.text()), ("input".into(), "err\n".into()));
}

#[tokio::test]
async fn nothing_outlives_the_program() {
    let Some(place) = Place::new().await else { return };
    let mark = unique();
    let mut job = place.job("setsid sh -c 'trap \"\" TERM; sleep 1000 & sleep 1000' >/dev/null 2>&1 & (sleep 1000 &) ; echo up");
    job.env.insert("AUTOPACK_TEST_MARK".into(), (&mark).into());
    let ended = run(job).await.unwrap();
    assert_eq!((ended.end, ended.stdout.text().as_str()), (JobEnd::Exited(0), "up\n"));
    assert!(ended.swept >= 2, "{ended:?}");
    assert_eq!(marked(&mark), Vec::<String>::new());
}

#[tokio::test]
async fn the_end_of_the_supervisor_is_the_end_of_the_view() {
    let Some(place) = Place::new().await else { return };
    let mark = unique();
    let killed = Mutex::new(false);
    let on_line = |_, line: &str| {
        if line == "up" && !std::mem::replace(&mut *killed.lock().unwrap(), true) {
            signal::kill(supervisor_of(&mark), signal::Signal::SIGKILL).unwrap();
        }
    };
    let mut job = place.job("setsid sleep 1000 & echo up; sleep 1000");
    job.env.insert("AUTOPACK_TEST_MARK".into(), (&mark).into());
    job.on_line = Some(&on_line);
    let error = run(job).await.unwrap_err();
    assert!(matches!(error, SpawnError::SupervisorLost(_)), "{error}");
    for _ in 0..500 {
        if marked(&mark).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("left: {:?}", marked(&mark));
}

#[tokio::test]
async fn a_limited_network_has_only_the_listeners_of_autopack() {
    let Some(place) = Place::new().await else { return };
    let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut job = place.job(&format!(
        "python3 -c \"import socket; s = socket.create_connection(('127.0.0.1', 3128), 5); print(s.recv(9).decode())\"; \
         python3 -c \"import socket; socket.create_connection(('127.0.0.1', {port}), 5)\" 2>/dev/null || echo refused"
    ));
    let mut spec = place.spec();
    spec.network = NetworkView::Limited { ports: vec![3128, 5432] };
    job.view = Some(Arc::new(spec));
    let to = served.clone();
    job.on_listeners = Some(Arc::new(move |listeners| {
        for (port, listener) in listeners {
            to.lock().unwrap().push(port);
            if port == 3128 {
                std::thread::spawn(move || {
                    let (mut stream, _) = listener.accept().unwrap();
                    std::io::Write::write_all(&mut stream, b"hello").unwrap();
                });
            }
        }
    }));
    let ended = run(job).await.unwrap();
    assert_eq!(ended.stdout.text(), "hello\nrefused\n", "{}", ended.stderr.text());
    assert_eq!(*served.lock().unwrap(), [3128, 5432]);
}

#[tokio::test]
async fn a_program_cannot_undo_its_view() {
    let Some(mut place) = Place::new().await else { return };
    let secret = place.file("hidden/secret", "secret");
    place.hide(secret.parent().unwrap());
    let path = secret.display();
    let dir = secret.parent().unwrap().display();
    let tries = [
        format!("umount {dir}; cat {path}"),
        format!("umount -l {dir}; cat {path}"),
        format!("unshare -m umount {dir}; cat {path}"),
        format!("unshare -Um sh -c 'umount {dir}; cat {path}'"),
        format!("unshare -Urm sh -c 'umount -l {dir}; cat {path}'"),
        format!("cat /proc/1/root{path}; cat /proc/self/root{path}"),
        "mount -o remount,rw / && touch /etc/autopack-test && echo secret".to_owned(),
        "unshare -Urm sh -c 'mount -o remount,rw,bind /etc && touch /etc/autopack-test && echo secret'".to_owned(),
        "echo x > /proc/sys/kernel/hostname && echo secret".to_owned(),
        "nsenter -t 1 -m true && nsenter -t 1 -m touch /etc/autopack-test && echo secret".to_owned(),
    ];
    for script in tries {
        let ended = place.sh(&script).await;
        assert!(!ended.stdout.text().contains("secret"), "{script}: {}", ended.stdout.text());
    }
    assert!(!Path::new("/etc/autopack-test").exists());
}

#[tokio::test]
async fn a_program_that_cannot_start_is_reported() {
    let Some(place) = Place::new().await else { return };
    let with = |argv: &[&str], cwd: &str| Job {
        view: Some(Arc::new(place.spec())),
        ..job(argv, Path::new(cwd))
    };
    let missing = run(with(&["no-such-program"], "/")).await.unwrap_err();
    assert!(matches!(missing, SpawnError::NotFound { .. }), "{missing}");
    let nowhere = run(with(&["true"], "/no/such/place")).await.unwrap_err();
    assert!(
        nowhere.to_string().contains("the working directory /no/such/place does not exist"),
        "{nowhere}"
    );
    let text = place.file("text", "no program");
    fs::set_permissions(&text, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = run(with(&[text.to_str().unwrap()], "/")).await.unwrap_err();
    assert!(matches!(refused, SpawnError::CannotStart { .. }), "{refused}");
    let mut broken = place.spec();
    broken.mounts.push(Mount::Bind {
        source: "/no/such/source".into(),
        target: "/usr".into(),
        access: Access::ReadOnly,
    });
    let job = Job { view: Some(Arc::new(broken)), timeout: LONG, ..sh("true", Path::new("/")) };
    let error = run(job).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot build the view of sh: cannot open /no/such/source: ENOENT: No such file or directory"
    );
}

#[tokio::test]
async fn landlock_allows_what_is_listed() {
    autopack::process::use_supervisor(env!("CARGO_BIN_EXE_autopack"));
    if let Err(why) = autopack::process::view::probe(ViewMode::Landlock).await {
        skip("landlock", format_args!("{why}"));
        return;
    }
    let at = tempfile::tempdir().unwrap();
    let path = |name: &str| at.path().join(name);
    for name in ["own", "hidden"] {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("file"), name).unwrap();
    }
    let mut spec = ViewSpec::new(ViewMode::Landlock);
    let system = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/dev", "/proc"];
    spec.landlock.readable = system.iter().map(|path| (*path).into()).collect();
    spec.landlock.writable = vec![(&path("own")).into(), "/dev/null".into()];
    let script = format!(
        "cat {own}/file && echo new > {own}/new && echo wrote; cat {hidden}/file 2>/dev/null || echo unreadable; \
         (echo x > {hidden}/x) 2>/dev/null || echo unwritable; (echo x > /etc/autopack-test) 2>/dev/null || echo unwritable",
        own = path("own").display(),
        hidden = path("hidden").display()
    );
    let job = Job { view: Some(Arc::new(spec)), ..sh(&script, &path("own")) };
    let ended = run(job).await.unwrap();
    assert_eq!(
        ended.stdout.text(),
        "ownwrote\nunreadable\nunwritable\nunwritable\n",
        "{}",
        ended.stderr.text()
    );
}
