//! Postgres servers of tests: a database at the shared server, or a server of the test's own that can be killed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::skip::skip;

/// A database, removed with the value.
pub struct Database {
    server: String,
    name: String,
}

/// A database at the server `AUTOPACK_TEST_POSTGRES`; without one, the test is skipped.
#[track_caller]
pub fn database() -> Option<Database> {
    let Ok(server) = std::env::var("AUTOPACK_TEST_POSTGRES") else {
        skip("postgres", "AUTOPACK_TEST_POSTGRES names no server");
        return None;
    };
    Some(Database::at(&server))
}

impl Database {
    /// Makes a database at a server.
    pub fn at(server: &str) -> Self {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let name = format!("autopack_suite_{}_{}", std::process::id(), time.as_nanos());
        execute(server, &format!("CREATE DATABASE {name}"));
        Self { server: server.to_owned(), name }
    }

    pub fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    /// The same, at another port of this machine.
    pub fn url_at(&self, port: u16) -> String {
        self.url_on((Ipv4Addr::LOCALHOST, port).into())
    }

    /// The same, at another address.
    pub fn url_on(&self, address: SocketAddr) -> String {
        format!("postgres://autopack@{address}/{}", self.name)
    }

    /// Port of the server.
    pub fn port(&self) -> u16 {
        let options: PgConnectOptions = self.server.parse().unwrap();
        options.get_port()
    }

    pub fn execute(&self, sql: &str) {
        execute(&self.url(), sql);
    }

    /// The rows of one text column.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        block_on(async {
            let mut connection = connect(&self.url()).await;
            let sql = AssertSqlSafe(sql.to_owned());
            let rows = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows
        })
    }
}

/// A connection that keeps its locks until the value is dropped.
pub struct Session {
    runtime: Runtime,
    connection: Option<PgConnection>,
}

impl Database {
    /// Opens a connection and runs statements there.
    pub fn session(&self, sql: &str) -> Session {
        let runtime = runtime();
        let connection = runtime.block_on(async {
            let mut connection = connect(&self.url()).await;
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
            connection
        });
        Session { runtime, connection: Some(connection) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = self.runtime.block_on(connection.close());
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server that the test killed is gone with its databases.
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let _ = block_on(async {
            let options: PgConnectOptions = self.server.parse().unwrap();
            let mut connection = options.connect().await?;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await
        });
    }
}

/// The writing transaction of a connection, as its client sends it.
#[derive(Default)]
pub struct WriteTransaction(Vec<u8>);

impl WriteTransaction {
    /// Takes the client's next bytes. Returns the text of the transaction if they end it with COMMIT.
    pub fn commit(&mut self, sent: &[u8]) -> Option<String> {
        let has = |word: &str| sent.windows(word.len()).any(|at| at == word.as_bytes());
        if has("pg_advisory_xact_lock") {
            self.0.clear();
        } else if self.0.is_empty() {
            return None;
        }
        self.0.extend(sent);
        // The end of the text tells it from READ COMMITTED.
        has("COMMIT\0").then(|| String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned())
    }
}

/// A server that belongs to one test.
pub struct OwnServer {
    dir: TempDir,
    programs: PathBuf,
    port: u16,
}

/// Starts a server of the test's own; skipped where the programs are missing.
#[track_caller]
pub fn own_server() -> Option<OwnServer> {
    let Some(programs) = programs() else {
        skip("postgres", "there is no initdb in /usr/lib/postgresql or on PATH");
        return None;
    };
    let dir = tempfile::Builder::new().prefix("autopack-pg-").tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = OwnServer { dir, programs, port };
    if is_root() {
        assert!(run(Command::new("chown").arg("postgres").arg(server.dir.path())));
    }
    let data = server.data();
    let mut initdb = server.command("initdb");
    initdb.args(["-U", "autopack", "--auth=trust", "--no-sync", "-D"]).arg(&data);
    assert!(run(&mut initdb), "initdb failed");
    server.start();
    Some(server)
}

impl OwnServer {
    pub fn url(&self) -> String {
        format!("postgres://autopack@127.0.0.1:{}/postgres", self.port)
    }

    pub fn start(&self) {
        let settings = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories= -c shared_buffers=16MB -c max_connections=300 \
             -c fsync=off -c full_page_writes=off",
            self.port
        );
        let mut start = self.command("pg_ctl");
        start.args(["-s", "-w", "-o", &settings, "-l"]).arg(self.dir.path().join("log"));
        start.arg("-D").arg(self.data()).arg("start");
        assert!(run(&mut start), "{}", fs::read_to_string(self.dir.path().join("log")).unwrap());
    }

    /// Starts the killed server as a standby, which accepts no writes.
    pub fn start_as_standby(&self) {
        fs::write(self.data().join("standby.signal"), "").unwrap();
        self.start();
    }

    /// Kills every process of the server with SIGKILL.
    pub fn kill(&self) {
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().trim().to_owned();
        // A stopped server starts no child unseen. A child that ends meanwhile needs no signal.
        signal(&pid, Signal::SIGSTOP);
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let all: Vec<&str> =
            std::iter::once(pid.as_str()).chain(children.split_whitespace()).collect();
        all.iter().for_each(|pid| signal(pid, Signal::SIGKILL));
        for pid in all {
            while Path::new(&format!("/proc/{pid}")).exists() && !is_zombie(pid) {
                std::thread::yield_now();
            }
        }
        // A dead server that nobody waited for still has its process id, and the next one would take it for alive.
        fs::remove_file(self.data().join("postmaster.pid")).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A program of the server, which refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        command.current_dir("/");
        command
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        run(stop.args(["-s", "-m", "immediate", "-D"]).arg(self.data()).arg("stop"));
    }
}

fn signal(pid: &str, signal: Signal) {
    let pid = Pid::from_raw(pid.parse().unwrap());
    match nix::sys::signal::kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("{signal} to {pid}: {error}"),
    }
}

fn is_zombie(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn run(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The directory of the server's programs; Debian keeps them off PATH.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut homes: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    homes.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    homes.splice(0..0, std::env::split_paths(&path));
    homes.into_iter().rev().find(|home| home.join("initdb").exists())
}

pub fn execute(url: &str, sql: &str) {
    block_on(async {
        let mut connection = connect(url).await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// Opens a connection.
pub async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    options.connect().await.unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    runtime().block_on(work)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
