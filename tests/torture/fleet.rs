//! Several hosts with a clone each, which share a Postgres server and a bare remote; and the check of everything at the
//! end.

use std::process::Command;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;

use super::checker::complaints;
use super::drains::Running;
use super::history::{self, History, block_on, commits, fsck};
use super::testbed::{backlog, with_witness};
use super::users::Users;
use crate::support::Project;
use crate::support::clones::Remote;
use crate::support::postgres::{Database, OwnServer, connect};
use crate::support::process::bearing;

/// Logs each change of a state or an owner, and each commit in the merge queue.
const LOG: &str = r#"
CREATE TABLE public.torture_moves (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, phase BIGINT, was TEXT, "is" TEXT, was_owner TEXT, is_owner TEXT);
CREATE FUNCTION public.torture_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.torture_moves (phase, was, "is", was_owner, is_owner)
    VALUES (OLD.id, OLD.state, NEW.state, OLD.owner, NEW.owner);
    RETURN NULL;
END $$;
CREATE TRIGGER torture_log AFTER UPDATE ON autopack.phases FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.owner IS DISTINCT FROM NEW.owner)
    EXECUTE FUNCTION public.torture_log();
CREATE TABLE public.torture_hosts (host TEXT);
CREATE FUNCTION public.torture_host() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.torture_hosts (host) VALUES (NEW.host);
    RETURN NULL;
END $$;
CREATE TRIGGER torture_host AFTER INSERT ON autopack.owners FOR EACH ROW EXECUTE FUNCTION public.torture_host();
CREATE TABLE public.torture_positions (position BIGINT PRIMARY KEY, commit_id TEXT);
CREATE FUNCTION public.torture_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.torture_positions (position, commit_id) VALUES (NEW.position, NEW.commit_id)
    ON CONFLICT (position) DO UPDATE SET commit_id = excluded.commit_id;
    RETURN NULL;
END $$;
CREATE TRIGGER torture_queue AFTER UPDATE OF commit_id ON autopack.queue_members FOR EACH ROW
    WHEN (NEW.commit_id IS NOT NULL) EXECUTE FUNCTION public.torture_queue();
"#;

pub struct Fleet {
    pub database: Database,
    pub remote: Remote,
    witness: TempDir,
}

/// A clone of a fleet, with the state of its user before any drain.
pub struct Host {
    pub project: Project,
    before: Users,
}

impl Fleet {
    pub fn new(server: &OwnServer, remote: Remote) -> Self {
        let witness = tempfile::Builder::new().prefix("autopack fleet ").tempdir().unwrap();
        std::fs::write(witness.path().join("steps"), "").unwrap();
        Self { database: Database::at(&server.url()), remote, witness }
    }

    /// A host whose agent is this shell script, which can call `deliver`; `settings` are sections of the configuration.
    pub fn host(&self, agent: &str, settings: &str) -> Host {
        let settings = format!("workspace: {{remote: origin}}\n{settings}");
        // Agents and CI of all hosts write into one directory.
        let project = self.remote.clone_with(&[]).without_sandbox();
        let project = with_witness(project, self.witness.path(), agent, &settings);
        let project = project.env("AUTOPACK_DATABASE_URL", self.database.url());
        let before = Users::of(&project);
        Host { project, before }
    }

    /// Imports a backlog, as the run `run`.
    pub fn import(&self, host: Host, phases: u64) -> Host {
        let project = host.project.plan(backlog(phases));
        self.database.execute(LOG);
        Host { project, ..host }
    }

    /// Number of phases landed so far.
    pub fn landed(&self) -> u64 {
        match self.remote.git(&["for-each-ref", "refs/heads/autopack/run"]).is_empty() {
            true => 0,
            false => self.remote.landed().len() as u64,
        }
    }

    /// Host names of the drains so far, as the hosts registered them.
    pub fn host_names(&self) -> Vec<String> {
        self.database.texts("SELECT DISTINCT host FROM public.torture_hosts ORDER BY host")
    }

    /// Seconds between the earliest and the latest date of a landed commit.
    pub fn span_of_dates(&self) -> i64 {
        let log = self.remote.git(&["log", "--format=%ct", "main..autopack/run"]);
        let dates = || log.lines().map(|line| line.parse::<i64>().unwrap());
        dates().max().unwrap() - dates().min().unwrap()
    }

    /// Asserts that each of so many phases landed once with one counted attempt, and that no promise was broken.
    #[track_caller]
    pub fn check(&self, hosts: &[&Host], phases: u64, excuse: impl FnOnce(&mut History)) {
        let mut history = self.history(hosts);
        excuse(&mut history);
        let found = complaints(&history);
        assert!(found.is_empty(), "{} broken promises: {found:#?}", found.len());
        assert_eq!(history.commits.len() as u64, phases, "{:#?}", history.commits);
        assert_eq!(history.phases.len() as u64, phases);
        for phase in &history.phases {
            assert_eq!((phase.state.as_str(), phase.attempts), ("COMPLETE", 1), "{phase:#?}");
        }
        assert_eq!(self.remote.refs_of_claims(), "");
    }

    /// Reads the history after the last drain ended.
    fn history(&self, hosts: &[&Host]) -> History {
        let mut history = block_on(stored(&self.database.url()));
        history.commits = commits(&|args| self.remote.git(args), "run");
        let steps = std::fs::read_to_string(self.witness.path().join("steps")).unwrap();
        history.take_steps(steps.lines().map(str::to_owned).collect());
        let mut git = Command::new("git");
        git.arg("-C").arg(self.remote.path());
        history.fsck = fsck(git);
        for host in hosts {
            let project = &host.project;
            history.fsck.extend(fsck(project.git_command()));
            history.processes.extend(bearing(&project.outside("").display().to_string()));
            history.changes.extend(host.before.changes(&Users::of(project)));
        }
        history
    }
}

impl Host {
    /// Takes the user's state anew, after the test changed a setting.
    pub fn see_user(&mut self) {
        self.before = Users::of(&self.project);
    }

    /// The command of a drain.
    pub fn drain(&self, jobs: u64) -> Command {
        self.project.command(["drain", "--json", "--run-id=run", "--jobs", &jobs.to_string()])
    }

    /// Starts a drain, whose output is kept under this name.
    pub fn start(&self, command: Command, name: &str) -> Running {
        Running::start(command, self.project.outside(name))
    }
}

async fn stored(url: &str) -> History {
    let mut db = connect(url).await;
    let path = "SET search_path TO autopack, public";
    sqlx::raw_sql(path).execute(&mut db).await.unwrap();
    let texts = async |db: &mut PgConnection, sql: &'static str| -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(db).await.unwrap()
    };
    History {
        phases: sqlx::query_as(history::PHASES).fetch_all(&mut db).await.unwrap(),
        attempts: sqlx::query_as(history::ATTEMPTS).fetch_all(&mut db).await.unwrap(),
        moves: sqlx::query_as(history::MOVES).fetch_all(&mut db).await.unwrap(),
        positions: sqlx::query_as(history::POSITIONS).fetch_all(&mut db).await.unwrap(),
        queued: texts(&mut db, history::QUEUED).await,
        owners: texts(&mut db, history::OWNERS).await,
        ..History::default()
    }
}
