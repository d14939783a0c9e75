//! A Docker engine for one test at a time, with images built here from the stand-in Qdrant.

#![allow(clippy::disallowed_methods, reason = "tests start the real programs")]

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Command, Output};

use autopack::config::QdrantSettings;
use autopack::memory::autostart::{Autostart, CONTAINER, VOLUME};
use tempfile::TempDir;

use super::qdrant::{free_port, program};
use super::skip;

const OURS: &str = "autopack-test/";

pub fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().expect("the docker command")
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A lock across test processes, and a clean engine before and after.
pub struct Engine {
    _lock: fs::File,
    dir: TempDir,
    /// The volume existed before the test, so it must be kept.
    keeps_volume: bool,
    pub image: String,
    /// An image whose containers end at once.
    pub exits: String,
}

impl Engine {
    /// `None` without a usable engine: the test is skipped.
    #[track_caller]
    pub fn get() -> Option<Self> {
        let lock = fs::File::create(std::env::temp_dir().join("autopack-test-docker.lock"));
        let lock = lock.unwrap();
        lock.lock().unwrap();
        if let Some(why) = unusable() {
            let required = std::env::var("AUTOPACK_TEST_DOCKER").is_ok_and(|value| value == "1");
            assert!(!required, "AUTOPACK_TEST_DOCKER=1, but {why}");
            skip("docker", why);
            return None;
        }
        let version = version();
        let engine = Self {
            _lock: lock,
            dir: TempDir::new().unwrap(),
            keeps_volume: docker(&["volume", "inspect", VOLUME]).status.success(),
            image: format!("{OURS}qdrant-stand-in:{version}"),
            exits: format!("{OURS}exits-at-once:{version}"),
        };
        engine.clean();
        engine.make_images();
        Some(engine)
    }

    /// Removes only what tests created; `unusable` made sure that there is nothing else.
    pub fn clean(&self) {
        let _ = fs::remove_file(self.dir.path().join("docker-compose.yml"));
        docker(&["rm", "-f", CONTAINER]);
        for id in text(&docker(&["ps", "-aq", "--filter", "label=autopack.service"])).lines() {
            docker(&["rm", "-f", id]);
        }
        // Compose names its project after the directory.
        let name = self.dir.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let project = name.replace(|c: char| !c.is_ascii_alphanumeric(), "");
        docker(&["network", "rm", &format!("{project}_default")]);
        if !self.keeps_volume {
            docker(&["volume", "rm", "-f", VOLUME]);
        }
    }

    /// Builds images from just the program and the libraries it is linked with.
    fn make_images(&self) {
        let there = |image: &String| docker(&["image", "inspect", image]).status.success();
        if there(&self.image) && there(&self.exits) {
            return;
        }
        let root = self.dir.path().join("image");
        copy(&program(), &root.join("stand-in"));
        let linked = Command::new("ldd").arg(program()).output().unwrap();
        for library in text(&linked).split_whitespace().filter(|word| word.starts_with('/')) {
            copy(Path::new(library), &root.join(&library[1..]));
        }
        let archive = self.dir.path().join("image.tar");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".");
        assert!(tar.status().unwrap().success());
        let commands =
            [r#"CMD ["/stand-in"]"#.to_owned(), r#"CMD ["/stand-in","--exit","3"]"#.to_owned()];
        for (image, command) in [&self.image, &self.exits].into_iter().zip(&commands) {
            let made = docker(&["import", "-c", command, archive.to_str().unwrap(), image]);
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
    }

    pub fn settings(&self, image: &str) -> QdrantSettings {
        settings(image)
    }

    pub fn autostart(&self, image: &str) -> Autostart {
        Autostart {
            settings: settings(image),
            workspace: self.dir.path().to_owned(),
            docker_host: std::env::var("DOCKER_HOST").ok(),
        }
    }

    pub fn write_compose(&self, text: &str) {
        fs::write(self.dir.path().join("docker-compose.yml"), text).unwrap();
    }

    /// Asserts that the container is reachable on this machine only, uses the volume, and has autopack's label.
    pub fn assert_safe(&self, container: &str, settings: &QdrantSettings) {
        let inspect = |format: &str| text(&docker(&["inspect", "-f", format, container]));
        let bound = text(&docker(&["port", container]));
        let mut bound: Vec<&str> = bound.lines().collect();
        bound.sort_unstable();
        let wanted = [
            format!("6333/tcp -> 127.0.0.1:{}", settings.port),
            format!("6334/tcp -> 127.0.0.1:{}", settings.grpc_port),
        ];
        assert_eq!(bound, wanted);
        let mounts = inspect("{{range .Mounts}}{{.Name}} {{.Destination}};{{end}}");
        assert_eq!(mounts, format!("{VOLUME} /qdrant/storage;"));
        assert_eq!(inspect(r#"{{index .Config.Labels "autopack.service"}}"#), "qdrant");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.clean();
    }
}

/// Reason why tests must not use the engine on this machine.
fn unusable() -> Option<String> {
    let there = Command::new("docker").arg("info").output();
    if !there.is_ok_and(|answer| answer.status.success()) {
        return Some("no Docker engine answers here".to_owned());
    }
    let list = |filter: &str| {
        text(&docker(&["ps", "-a", "--filter", filter, "--format", "{{.Image}} {{.Names}}"]))
    };
    let both = [list("label=autopack.service"), list(&format!("name=^{CONTAINER}$"))].join("\n");
    let real = both.lines().find(|line| !line.is_empty() && !is_of_a_test(line))?;
    Some(format!("the engine here runs a real memory ({real}), which a test would remove"))
}

/// Whether a container uses one of the tests' images, possibly under the name of a test registry.
fn is_of_a_test(container: &str) -> bool {
    container.starts_with(OURS) || container.starts_with("127.0.0.1:")
}

/// A different stand-in gets a different image.
fn version() -> String {
    let mut hasher = DefaultHasher::new();
    fs::read(program()).unwrap().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

/// Settings with unused ports, and a timeout that holds even on a busy machine.
pub fn settings(image: &str) -> QdrantSettings {
    QdrantSettings {
        host: "127.0.0.1".into(),
        port: free_port(),
        grpc_port: free_port(),
        image: image.into(),
        autostart_timeout_seconds: 30,
        ..QdrantSettings::default()
    }
}
