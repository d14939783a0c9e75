//! Collects the history from independent witnesses: the append-only attempts, a log of every move written by a database
//! trigger, the branch, and files left by agents.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use autopack::phase::RunId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, FromRow};

use super::testbed::Testbed;
use super::users::Users;
use crate::support::process::bearing;

/// Everything that the checker reads.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub phases: Vec<Phase>,
    /// By phase, in the order of their numbers.
    pub attempts: Vec<Attempt>,
    /// In chronological order.
    pub moves: Vec<Move>,
    /// autopack's commits on the branches.
    pub commits: Vec<Commit>,
    /// Trees that CI tested; `None` if its CI does not tell.
    pub tested: Option<BTreeSet<String>>,
    /// Positions taken in the merge queue.
    pub positions: Vec<Position>,
    /// Members of the merge queue, and refs of it, still there.
    pub queued: Vec<String>,
    /// Owners still listed.
    pub owners: Vec<String>,
    /// Agents that met another one at work on the same phase.
    pub doubles: Vec<String>,
    pub integrity: Vec<String>,
    pub fsck: Vec<String>,
    pub processes: Vec<String>,
    /// Differences in the user's files and settings.
    pub changes: Vec<String>,
    /// The clock was never set, so times of attempts can be compared.
    pub steady_clock: bool,
}

#[derive(Clone, Debug, FromRow)]
pub struct Phase {
    pub id: i64,
    pub phase_id: String,
    pub state: String,
    /// Counted attempts.
    pub attempts: i64,
    pub crashes: i64,
    pub executions: i64,
    pub commit_id: Option<String>,
    /// Unmet dependencies as counted in the store, and as computed from the phases.
    pub unmet: i64,
    pub really_unmet: i64,
}

#[derive(Clone, Debug, FromRow)]
pub struct Attempt {
    pub phase: i64,
    pub attempt: i64,
    pub owner: String,
    pub started_at: i64,
    pub ended_at: Option<i64>,
    pub outcome: Option<String>,
    pub landing_commit: Option<String>,
}

#[derive(Clone, Debug, FromRow)]
pub struct Move {
    pub phase: i64,
    pub was: String,
    pub is: String,
    pub was_owner: Option<String>,
    pub is_owner: Option<String>,
}

/// A position in the merge queue, with the last commit made for it.
#[derive(Clone, Debug, FromRow)]
pub struct Position {
    pub position: i64,
    pub commit_id: String,
}

/// Newest first.
#[derive(Clone, Debug)]
pub struct Commit {
    pub run: String,
    pub id: String,
    pub tree: String,
    pub phase: String,
    pub attempt: String,
}

pub const PHASES: &str =
    "SELECT p.id, p.phase_id, p.state, p.attempts, p.crashes, p.executions, p.commit_id, p.unmet,
        (SELECT COUNT(*) FROM dependencies d JOIN phases n ON n.id = d.needs
          WHERE d.phase = p.id AND n.state NOT IN ('COMPLETE', 'SKIPPED')) AS really_unmet
     FROM phases p ORDER BY p.id";
pub const ATTEMPTS: &str =
    "SELECT phase, attempt, owner, started_at, ended_at, outcome, landing_commit
     FROM attempts ORDER BY phase, attempt";
pub const MOVES: &str =
    "SELECT phase, was, \"is\", was_owner, is_owner FROM torture_moves ORDER BY id";
pub const POSITIONS: &str = "SELECT position, commit_id FROM torture_positions";
pub const QUEUED: &str = "SELECT 'position ' || position FROM queue_members";
pub const OWNERS: &str = "SELECT owner FROM owners";

/// Adds triggers that log each change of a state or an owner, and each commit in the merge queue.
pub fn keep_moves(database: &Path) {
    block_on(async {
        let mut db = connect(database).await;
        let log = "CREATE TABLE IF NOT EXISTS torture_moves (
                id INTEGER PRIMARY KEY, phase INTEGER, was TEXT, 'is' TEXT, was_owner TEXT, is_owner TEXT);
            CREATE TRIGGER IF NOT EXISTS torture_log AFTER UPDATE ON phases
              WHEN OLD.state IS NOT NEW.state OR OLD.owner IS NOT NEW.owner
            BEGIN
              INSERT INTO torture_moves (phase, was, 'is', was_owner, is_owner)
              VALUES (OLD.id, OLD.state, NEW.state, OLD.owner, NEW.owner);
            END;
            CREATE TABLE IF NOT EXISTS torture_positions (position INTEGER PRIMARY KEY, commit_id TEXT);
            CREATE TRIGGER IF NOT EXISTS torture_queue AFTER UPDATE OF commit_id ON queue_members
            BEGIN
              INSERT INTO torture_positions (position, commit_id) VALUES (NEW.position, NEW.commit_id)
              ON CONFLICT (position) DO UPDATE SET commit_id = excluded.commit_id;
            END";
        sqlx::raw_sql(log).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    });
}

impl History {
    /// Collects the history of a project in which nothing runs any more.
    pub fn of(testbed: &Testbed) -> Self {
        let project = &testbed.project;
        let mut history = block_on(Self::stored(&testbed.database()));
        for run in &testbed.runs {
            history.commits.extend(commits(&|args| project.git(args), run));
        }
        history.take_steps(testbed.steps());
        let refs = project.git(["for-each-ref", "--format=%(refname)", "refs/autopack/queue"]);
        history.queued.extend(refs.lines().map(str::to_owned));
        history.fsck = fsck(testbed.git_command());
        history.processes = bearing(&project.outside("").display().to_string());
        history.changes = testbed.before.changes(&Users::of(project));
        history.steady_clock = true;
        history
    }

    /// Takes the log of agents and CI.
    pub fn take_steps(&mut self, steps: Vec<String>) {
        let tested: BTreeSet<String> =
            steps.iter().filter_map(|step| Some(step.strip_prefix("ci ")?.to_owned())).collect();
        self.tested = (!tested.is_empty()).then_some(tested);
        self.doubles = steps.into_iter().filter(|step| step.starts_with("double")).collect();
    }

    async fn stored(database: &Path) -> Self {
        let mut db = connect(database).await;
        let mut integrity: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut db).await.unwrap();
        integrity.retain(|line| line != "ok");
        let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut db).await.unwrap();
        integrity.extend(strays.iter().map(|_| "a row refers to a row that is not there".into()));
        let history = Self {
            phases: sqlx::query_as(PHASES).fetch_all(&mut db).await.unwrap(),
            attempts: sqlx::query_as(ATTEMPTS).fetch_all(&mut db).await.unwrap(),
            moves: sqlx::query_as(MOVES).fetch_all(&mut db).await.unwrap(),
            positions: sqlx::query_as(POSITIONS).fetch_all(&mut db).await.unwrap(),
            queued: sqlx::query_scalar(QUEUED).fetch_all(&mut db).await.unwrap(),
            owners: sqlx::query_scalar(OWNERS).fetch_all(&mut db).await.unwrap(),
            integrity,
            ..Self::default()
        };
        db.close().await.unwrap();
        history
    }
}

/// Commits with autopack's trailers, from the branch and from side branches; `git` is git in their repository.
pub fn commits(git: &dyn Fn(&[&str]) -> String, run: &str) -> Vec<Commit> {
    let name = RunId::new(run).file_name();
    let patterns = [format!("refs/heads/autopack/{name}"), format!("refs/autopack/runs/{name}")];
    let refs = git(&["for-each-ref", "--format=%(refname)", &patterns[0], &patterns[1]]);
    if refs.is_empty() {
        return Vec::new();
    }
    let format = "--format=%H%x00%T%x00%(trailers:key=Autopack-Phase,valueonly,separator=%x2C)%x00\
                  %(trailers:key=Autopack-Attempt,valueonly,separator=%x2C)";
    let log =
        git(&["log", "--topo-order", format].into_iter().chain(refs.lines()).collect::<Vec<_>>());
    let commit = |line: &str| {
        let [id, tree, phase, attempt] = line.split('\0').collect::<Vec<_>>()[..] else {
            panic!("not a commit: {line:?}")
        };
        let text = |text: &str| text.to_owned();
        Commit {
            run: text(run),
            id: text(id),
            tree: text(tree),
            phase: text(phase),
            attempt: text(attempt),
        }
    };
    log.lines().map(commit).filter(|commit| !commit.attempt.is_empty()).collect()
}

/// Unreferenced objects are not damage.
pub fn fsck(mut git: Command) -> Vec<String> {
    let output = git.args(["fsck", "--full", "--no-dangling"]).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let lines = String::from_utf8_lossy(&text).into_owned();
    let harmless = |line: &str| line.starts_with("Checking ") || line.starts_with("notice: ");
    let mut bad: Vec<String> =
        lines.lines().filter(|line| !harmless(line)).map(str::to_owned).collect();
    if !output.status.success() {
        bad.push(format!("git fsck ended with {}", output.status));
    }
    bad
}

pub async fn connect(database: &Path) -> SqliteConnection {
    let wait = std::time::Duration::from_secs(60);
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(wait);
    SqliteConnection::connect_with(&options).await.unwrap()
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
