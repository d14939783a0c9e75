//! Logging to stderr: levels, text and JSON formats, span fields, and redaction of secrets.
//!
//! Each event is a line, printed above the live view if present. `--help` documents the levels. Results go to
//! stdout instead.

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use console::style;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use crate::cli::{Global, LogFormat};
use crate::config::{Config, Env};
use crate::process::Redactor;
use crate::progress::{printable, screen, shown_id, wrap};

/// Secrets to redact in all lines, set before the first line is logged.
static SECRETS: Mutex<Secrets> =
    Mutex::new(Secrets { env: None, keys: Vec::new(), held: Vec::new(), redactor: None });

struct Secrets {
    env: Option<Env>,
    /// Names of key variables in the configuration.
    keys: Vec<String>,
    /// Secrets in the configuration itself.
    held: Vec<(OsString, OsString)>,
    /// Built on first use, because many commands log nothing.
    redactor: Option<Redactor>,
}

impl Secrets {
    fn redactor(&mut self) -> &Redactor {
        let Self { env, keys, held, redactor } = self;
        redactor.get_or_insert_with(|| {
            let env = env.as_ref().map(|env| env.all().clone()).unwrap_or_default();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            Redactor::with_key_variables(env.into_iter().chain(held.iter().cloned()), &keys)
        })
    }
}

/// Starts logging. Called once, before any output.
pub(crate) fn start(global: &Global, env: Env) {
    secrets(|secrets| secrets.env = Some(env));
    let lines = Lines { format: global.log_format, detailed: global.verbose > 0 };
    // A second subscriber exists only in tests.
    let _ = Registry::default().with(lines.with_filter(filter(global))).try_init();
}

/// Adds the key variables and secrets of the configuration.
pub(crate) fn add_secrets(config: &Config) {
    secrets(|secrets| {
        secrets.keys = config.key_variables().into_iter().map(str::to_owned).collect();
        secrets.held = config.variables_held();
        secrets.redactor = None;
    });
}

/// Redacts secrets in the text.
pub(crate) fn redact(text: &str) -> String {
    secrets(|secrets| secrets.redactor().redact(text).into_owned())
}

/// Writes a line to stderr.
pub(crate) fn write(line: &str) {
    let line = redact(line);
    screen::above(|| {
        // A closed stderr cannot be reported.
        let _ = writeln!(io::stderr().lock(), "{line}");
    });
}

fn secrets<T>(act: impl FnOnce(&mut Secrets) -> T) -> T {
    act(&mut SECRETS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Builds the level filter.
///
/// Notes to the user have level `info` and are always shown, except with `-q`. `genai` (provider responses) and `h2`
/// (raw traffic) are never shown. In text format, the end of a drain is omitted, because stdout has it already.
fn filter(global: &Global) -> Targets {
    let (others, ours) = match (global.quiet, global.verbose) {
        (true, _) => (Level::ERROR, Level::ERROR),
        (false, 0) => (Level::WARN, Level::WARN),
        (false, 1) => (Level::WARN, Level::INFO),
        (false, 2) => (Level::WARN, Level::DEBUG),
        (false, _) => (Level::DEBUG, Level::TRACE),
    };
    let messages = if global.quiet { Level::ERROR } else { ours.max(Level::INFO) };
    let mut filter = Targets::new()
        .with_default(others)
        .with_target("autopack", ours)
        .with_target("autopack::cli", messages)
        .with_target(crate::progress::NOTES, messages);
    for silent in ["genai", "h2"] {
        filter = filter.with_target(silent, tracing::level_filters::LevelFilter::OFF);
    }
    if global.log_format == LogFormat::Text {
        filter =
            filter.with_target(crate::progress::ENDS, tracing::level_filters::LevelFilter::OFF);
    }
    filter
}

/// Tracing layer that writes events as lines.
struct Lines {
    format: LogFormat,
    /// Whether lines include time, level and fields.
    detailed: bool,
}

/// Fields of a span, stored in its extensions.
struct Fields(Map<String, Value>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Map::new();
        attributes.record(&mut Collect(&mut fields));
        span.extensions_mut().insert(Fields(fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(Fields(fields)) = span.extensions_mut().get_mut() {
            values.record(&mut Collect(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Map::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(Fields(of_span)) = span.extensions().get() {
                fields.extend(of_span.clone());
            }
        }
        event.record(&mut Collect(&mut fields));
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        write(&match self.format {
            LogFormat::Json => json_line(level, target, fields),
            LogFormat::Text => self.text_line(level, fields),
        });
    }
}

/// Formats an event as a flat JSON object; fields common to all events come first.
pub(crate) fn json_line(level: Level, target: &str, mut fields: Map<String, Value>) -> String {
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), Timestamp::now().to_string().into());
    line.insert("level".to_owned(), level.as_str().into());
    line.insert("target".to_owned(), target.into());
    line.insert("message".to_owned(), fields.remove("message").unwrap_or_else(|| "".into()));
    line.extend(fields);
    Value::Object(line).to_string()
}

impl Lines {
    fn text_line(&self, level: Level, mut fields: Map<String, Value>) -> String {
        let message = fields.remove("message").map(|message| plain(&message)).unwrap_or_default();
        // A process runs a single drain, so its id matters only in JSON logs of several drains.
        fields.remove("drain");
        if self.detailed {
            let time = Timestamp::now().strftime("%H:%M:%S%.3f");
            let fields: String = fields
                .iter()
                .map(|(name, value)| format!(" {name}={}", format_value(name, value)))
                .collect();
            return printable(&format!("{time} {level:5} {message}{fields}")).trim_end().to_owned();
        }
        let word = match level {
            Level::ERROR => format!("{} ", style("error:").for_stderr().red().bold()),
            Level::WARN => format!("{} ", style("warning:").for_stderr().yellow().bold()),
            _ => String::new(),
        };
        let of = match (fields.get("run"), fields.get("phase")) {
            (Some(run), Some(phase)) => {
                format!("{}/{}: ", format_value("run", run), format_value("phase", phase))
            }
            _ => String::new(),
        };
        let line = format!("{word}{}", printable(&format!("{of}{message}")));
        // A terminal would break words.
        match screen::error_columns() {
            Some(columns) => wrap(&line, columns).join("\n"),
            None => line,
        }
    }
}

/// Shortens ids, because each line has them and some are very long.
fn format_value(name: &str, value: &Value) -> String {
    if matches!(name, "run" | "phase") { shown_id(&plain(value)) } else { plain(value) }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Collects fields as JSON values.
struct Collect<'a>(&'a mut Map<String, Value>);

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
