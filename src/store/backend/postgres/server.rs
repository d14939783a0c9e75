//! Connections to a Postgres server: how its URL is read, and its pools.

use std::fmt;
use std::io::ErrorKind;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Error};

use super::patience::Patience;
use super::session::BEGIN_READ;

/// Parameters of a URL, with the spellings of libpq and of sqlx. An unknown one may be misspelled: it is refused.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];
/// Parameters of libpq without effect here, in URLs that other programs use, too: autopack has time limits of its own.
const TIME_LIMITS: [&str; 6] = [
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
];

/// Longest wait of a task for a connection, while the server refuses connections or tasks of the same process use them. The
/// store waits longer, by trying again.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle connection is closed after this time: a server has a hundred by default, and many machines share them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Prepared statements that a connection keeps at the server, unless the URL says how many.
const PREPARED_STATEMENTS: usize = 100;
const STATEMENTS_PARAMETER: &str = "statement-cache-capacity";
/// Setting to which the first connection asks for a random value; it only serves `geqo`, the planner of large joins. If the
/// session has this value from its start, the server process was started for this connection. Connection poolers refuse or ignore
/// the setting, or execute `SET`; a process started for another client has another value.
const SETTING: &str = "geqo_seed";
/// Classes of errors that are not about a setting: wrong passwords, no such database, missing resources, a server that starts.
const OTHER_REFUSALS: [&str; 4] = ["28", "3D", "53", "57"];
/// Readers of a process.
pub const READERS: u32 = 4;

/// A Postgres server and a database there.
#[derive(Clone, Debug)]
pub struct Server {
    options: PgConnectOptions,
    name: Arc<str>,
    preparation: Preparation,
    /// How long operations wait for the server at first.
    patience: Duration,
}

/// Whether statements are prepared once for each connection. Behind a pooler, the next transaction may run in another server
/// process, which does not have the statement, or has another one of this name.
#[derive(Clone, Debug)]
pub enum Preparation {
    /// Never, as the URL says.
    Off,
    /// Once a server process was seen that belongs to one connection.
    Learned(Arc<AtomicBool>),
}

impl Server {
    /// Reads a URL. Parts that it leaves out come from libpq's variables (`PGHOST`, `PGPASSWORD`, `PGSSLMODE` and so on)
    /// and from the password file.
    ///
    /// # Errors
    /// What is wrong with the URL; never a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        // SQLAlchemy allows a driver after the scheme.
        let (scheme, rest) = url.split_once("://").ok_or("it has no ://")?;
        let scheme = scheme.split('+').next().unwrap_or(scheme);
        let rest = &without_time_limits(rest);
        let place = rest.split(['/', '?']).next().unwrap_or_default();
        if place.rsplit('@').next().is_some_and(|hosts| hosts.contains(',')) {
            return Err(
                "it names several hosts; write the one of the primary, or a name that follows it"
                    .to_owned(),
            );
        }
        if let Some((_, query)) = rest.split_once('?') {
            for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                let name = pair.split('=').next().unwrap_or(pair);
                if !PARAMETERS.contains(&name) && !name.starts_with("options[") {
                    return Err(format!("it has an unknown parameter {name:?}"));
                }
            }
        }
        // The parser's own errors may repeat parts of the URL.
        let capacity = capacity_in(rest)?;
        let options = PgConnectOptions::from_str(&format!("{scheme}://{rest}"))
            .map_err(|_| "it is no valid URL of a Postgres server".to_owned())?
            .statement_cache_capacity(capacity.unwrap_or(PREPARED_STATEMENTS))
            // Poolers refuse parameters that they do not know; values are exchanged in binary anyway.
            .extra_float_digits(None)
            .disable_statement_logging();
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("autopack"),
        };
        let options = without_brackets(options);
        let name = name_of(&options).into();
        let preparation = Preparation::new(capacity);
        Ok(Self { options, name, preparation, patience: Patience::OF_COMMANDS })
    }

    /// Returns the server, for operations that wait for it as long as a drain does.
    pub fn for_drain(self) -> Self {
        Self { patience: Patience::OF_DRAINS, ..self }
    }

    /// Returns how long operations wait for the server at first.
    pub fn patience(&self) -> Patience {
        Patience::new(self.patience)
    }

    /// Returns a single connection, within a transaction that reads; it ends with the connection.
    pub async fn connect(&self) -> Result<PgConnection, Error> {
        let Preparation::Learned(is_own) = &self.preparation else {
            return begun(self.options.connect().await?).await;
        };
        let value = format!("0.{}1", 1000 + fastrand::u32(..9000));
        let asking = self.options.clone().options([(SETTING, &value)]);
        let connection = match asking.connect().await {
            Err(error) if may_be_about_the_setting(&error) => self.options.connect().await?,
            connected => connected?,
        };
        let mut connection = begun(connection).await?;
        let asked = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_settings WHERE name = $1 AND setting = $2 AND source = 'client')",
        );
        let asked = asked.bind(SETTING).bind(value).persistent(false);
        is_own.store(asked.fetch_one(&mut connection).await?, Ordering::Relaxed);
        Ok(connection)
    }

    pub fn preparation(&self) -> Preparation {
        self.preparation.clone()
    }

    /// Returns a pool, whose connections are opened on first use.
    pub fn pool(&self, connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            // The first statement of a transaction tells as well, and saves a round trip.
            .test_before_acquire(false)
            .connect_lazy_with(self.options.clone())
    }
}

impl Preparation {
    fn new(capacity: Option<usize>) -> Self {
        match capacity {
            Some(0) => Self::Off,
            Some(_) | None => Self::Learned(Arc::default()),
        }
    }

    /// Returns whether statements are prepared.
    pub fn is_on(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Learned(is_own) => is_own.load(Ordering::Relaxed),
        }
    }

    /// From now on, no statement is prepared: a server process did not have one as it should.
    pub fn turn_off(&self) {
        if let Self::Learned(is_own) = self {
            is_own.store(false, Ordering::Relaxed);
        }
    }
}

fn without_time_limits(url: &str) -> String {
    let Some((place, query)) = url.split_once('?') else { return url.to_owned() };
    let is_kept = |pair: &&str| !TIME_LIMITS.contains(&pair.split('=').next().unwrap_or(pair));
    let pairs: Vec<&str> = query.split('&').filter(is_kept).collect();
    format!("{place}?{}", pairs.join("&"))
}

/// Returns the number of prepared statements in the parameters of a URL.
fn capacity_in(url: &str) -> Result<Option<usize>, String> {
    let (_, query) = url.split_once('?').unwrap_or_default();
    let query = query.split('#').next().unwrap_or_default();
    let mut values = query.split('&').filter_map(|pair| {
        pair.strip_prefix(STATEMENTS_PARAMETER).and_then(|rest| rest.strip_prefix('='))
    });
    let bad = |_| format!("its {STATEMENTS_PARAMETER} is no number");
    values.next_back().map(|value| value.parse().map_err(bad)).transpose()
}

/// Begins a transaction that reads.
async fn begun(mut connection: PgConnection) -> Result<PgConnection, Error> {
    sqlx::raw_sql(BEGIN_READ).execute(&mut connection).await?;
    Ok(connection)
}

fn may_be_about_the_setting(error: &Error) -> bool {
    match error {
        Error::Database(why) => {
            let code = why.code().unwrap_or_default();
            !OTHER_REFUSALS.iter().any(|class| code.starts_with(class))
        }
        Error::Protocol(_) => true,
        Error::Io(why) => {
            matches!(why.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
        }
        _ => false,
    }
}

/// The URL without password and parameters.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Server {}

/// Returns options whose IPv6 address is looked up as an address: the parser keeps the brackets of the URL.
fn without_brackets(options: PgConnectOptions) -> PgConnectOptions {
    let host = options.get_host();
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(str::to_owned) {
        Some(address) => options.host(&address),
        None => options,
    }
}

fn name_of(options: &PgConnectOptions) -> String {
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None if options.get_host().contains(':') => {
            format!("[{}]:{}", options.get_host(), options.get_port())
        }
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    format!("postgres://{user}@{place}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_has_no_password() {
        for (url, name) in [
            (
                "postgres://me:hunter2@db.example:6432/team?sslmode=require",
                "postgres://me@db.example:6432/team",
            ),
            ("postgresql+asyncpg://me:x@h/d", "postgres://me@h:5432/d"),
            ("postgres://me@%2Fvar%2Frun/d", "postgres://me@/var/run/d"),
            ("postgres:///d?host=/run/pg&user=u", "postgres://u@/run/pg/d"),
            ("postgres://me@[::1]:5555/d", "postgres://me@[::1]:5555/d"),
            ("postgres://me@h/d?hostaddr=::1", "postgres://me@[::1]:5432/d"),
            ("postgres://me@h/d?connect_timeout=3&keepalives=1", "postgres://me@h:5432/d"),
        ] {
            assert_eq!(Server::parse(url).unwrap().to_string(), name, "{url}");
        }
    }

    #[test]
    fn the_url_may_say_whether_statements_are_prepared() {
        for (parameters, expected) in [
            ("", true),
            ("?sslmode=disable", true),
            ("?statement-cache-capacity=0", false),
            ("?statement-cache-capacity=0#x", false),
            ("?sslmode=disable&statement-cache-capacity=20", true),
        ] {
            let server = Server::parse(&format!("postgres://h/d{parameters}")).unwrap();
            let may_be_on = matches!(server.preparation(), Preparation::Learned(_));
            assert_eq!(may_be_on, expected, "{parameters}");
            assert!(!server.preparation().is_on(), "the server was not asked");
        }
        let why = Server::parse("postgres://h/d?statement-cache-capacity=many").unwrap_err();
        assert_eq!(why, "its statement-cache-capacity is no number");
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        for url in [
            "postgres://me:hunter2@h/d?sslmod=require",
            "postgres://me:hunter2@h/d?sslmode=hunter2",
            "postgres://me:hunter2@h:port/d",
            "postgres://me:hunter2@[/d",
            "postgres://me:hunter2@one:5432,two:5432/d",
            "postgres://me:hunter2@one,two?user=me",
            "postgres://me:hunter2@h/d?target_session_attrs=read-only",
        ] {
            let why = Server::parse(url).unwrap_err();
            assert!(!why.contains("hunter2"), "{url}: {why}");
        }
    }
}
