//! `config show`: lists all settings with their origin.

use clap::Subcommand;
use console::style;
use serde_json::Value;

use super::{Context, DatabaseChoice};
use crate::config::{HiddenFile, Setting};
use crate::failure::{Exit, Failure};
use crate::process::Redactor;
use crate::progress::printable;

/// Show all settings and their origin
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show all settings in effect and their origin
    Show {
        /// Print a list of {key, value, origin}
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let Action::Show { json } = args.action;
    let config = context.config()?;
    for hidden in &config.hidden {
        tracing::warn!("{hidden}: {}", HiddenFile::REMEDY);
    }
    let mut settings = config.list();
    settings.push(database(&context.database()?));
    let redactor = context.redactor()?;
    for setting in &mut settings {
        redact(&mut setting.value, &redactor);
    }
    match json {
        true => context.out.json(&settings)?,
        false => context.out.text(&table(&settings))?,
    }
    Ok(Exit::Done)
}

/// Redacts secrets in any string, because command lines may contain keys.
fn redact(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => *text = redactor.redact(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(|value| redact(value, redactor)),
        Value::Object(fields) => fields.values_mut().for_each(|value| redact(value, redactor)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Formats the database URL as a setting.
fn database(choice: &DatabaseChoice) -> Setting {
    Setting {
        key: "database_url".to_owned(),
        value: without_password(&choice.url).into(),
        origin: choice.origin.to_string(),
    }
}

/// Hides credentials in a URL; an application's own DATABASE_URL may contain a password.
fn without_password(url: &str) -> String {
    let url = url.split('?').next().unwrap_or(url);
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // A password may contain an unescaped slash; a path of a file may contain an @.
    let authority = match scheme.starts_with("sqlite") {
        true => rest.find('/').unwrap_or(rest.len()),
        false => rest.len(),
    };
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://(hidden){}", &rest[at..]),
        None => url.to_owned(),
    }
}

/// Formats settings as columns. Values come last, because lists are long.
fn table(settings: &[Setting]) -> String {
    let width = |text: fn(&Setting) -> &str| settings.iter().map(|s| text(s).len()).max();
    let keys = width(|setting| &setting.key).unwrap_or(0);
    let origins = width(|setting| &setting.origin).unwrap_or(0);
    let line = |Setting { key, value, origin }: &Setting| {
        let value = printable(&value.to_string());
        format!("{key:keys$}  {}  {value}\n", style(format!("{origin:origins$}")).dim())
    };
    settings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_passwords_are_hidden() {
        assert_eq!(without_password("postgres://u:p@h/db"), "postgres://(hidden)@h/db");
        assert_eq!(without_password("postgres://h/db?password=p"), "postgres://h/db");
        assert_eq!(without_password("postgres://u:p/q@h/db"), "postgres://(hidden)@h/db");
        assert_eq!(without_password("sqlite:///a@b"), "sqlite:///a@b");
    }
}
