//! Reader of configuration files: locations, precedence and error messages.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::env::{Env, OverrideValue};
use super::hidden_files::{HiddenFile, has_settings};
use super::locate::line_of;
use super::memory_settings::MemoryFile;
use super::origin::{Origin, Origins};
use super::schema::{self, Document, KeyPath, Leaf, Problem, SchemaEntry};
use super::settings::Settings;
use super::suggestion::suggestion;
use super::{Config, ConfigError, parse_errors, validate};

/// Locations of configuration files, by precedence.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Directory from `--config-dir` or its variable; must exist.
    pub chosen: Option<PathBuf>,
    /// Root of the workspace.
    pub workspace: Option<PathBuf>,
}

/// Reads both files, even if the features configured there are switched off. `program_kinds` are the kinds of
/// agents with an adapter ([`agent::program_kinds`](crate::agent::program_kinds)).
///
/// # Errors
///
/// Fails if a file or variable cannot be read, has an unknown key or an invalid value.
pub fn load(places: &Places, env: &Env, program_kinds: &[&str]) -> Result<Config, ConfigError> {
    if let Some(dir) = places.chosen.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(ConfigError::NoSuchDirectory { dir: dir.clone() });
    }
    let mut origins = Origins::default();
    let mut files = Vec::new();
    let mut reader = Reader { env, program_kinds, origins: &mut origins, files: &mut files };
    let mut hidden = Vec::new();
    let settings = places.find::<Settings>(&mut hidden)?;
    let settings = reader.document(settings, validate::settings)?;
    let memory = places.find::<MemoryFile>(&mut hidden)?;
    let memory = reader.document(memory, |file: &MemoryFile| validate::memory(&file.memory))?;
    Ok(Config { settings, memory: memory.memory, files, hidden, origins })
}

/// Reads the files and keeps what was read.
struct Reader<'a> {
    env: &'a Env,
    program_kinds: &'a [&'a str],
    origins: &'a mut Origins,
    files: &'a mut Vec<PathBuf>,
}

impl Reader<'_> {
    /// Lays a file over the shipped defaults, and the environment over both.
    fn document<D: Document>(
        &mut self,
        file: Option<FileText>,
        validate: impl Fn(&D) -> Result<(), Problem>,
    ) -> Result<D, ConfigError> {
        let given =
            file.as_ref().map_or(Ok(Vec::new()), |file| file.leaves::<D>(self.program_kinds))?;
        let line = |path: &[String]| file.as_ref().and_then(|file| line_of(&file.text, path));
        let mut document = schema::lay_over(&D::default(), &given)
            .map_err(|problem| describe_problem(&problem, file.as_ref(), Origin::Shipped))?;
        if let Some(file) = &file {
            self.files.push(file.path.clone());
            for leaf in given {
                let origin = Origin::File { name: file.name.clone(), line: line(&leaf.path) };
                self.origins.record(leaf.path, origin);
            }
        }
        for OverrideValue { variable, leaf, is_addition } in
            self.env.overrides(|root| has_root::<D>(root))?
        {
            let origin = Origin::Variable(variable);
            let of_variable = |problem| describe_problem(&problem, None, origin.clone());
            let (leaf, origin) = match is_addition {
                false => (leaf, origin.clone()),
                true => {
                    // Alone, so that an invalid entry is the variable's.
                    let alone = schema::lay_over(&D::default(), std::slice::from_ref(&leaf));
                    alone.and_then(|alone| validate(&alone)).map_err(of_variable)?;
                    let below = Box::new(self.origins.of(&leaf.path));
                    (schema::append(&document, leaf), Origin::Addition { below, variable })
                }
            };
            document =
                schema::lay_over(&document, std::slice::from_ref(&leaf)).map_err(of_variable)?;
            self.origins.record(leaf.path, origin);
        }
        validate(&document).map_err(|problem| {
            let origin = self.origins.of(&problem.path);
            describe_problem(&problem, file.as_ref(), origin)
        })?;
        Ok(document)
    }
}

/// Reads a text as a configuration file, without an environment.
#[cfg(any(test, fuzzing))]
pub(super) fn read_text<D: Document>(
    name: &str,
    text: &str,
    validate: impl Fn(&D) -> Result<(), Problem>,
) -> Result<D, ConfigError> {
    let file = FileText { path: name.into(), name: name.to_owned(), text: text.to_owned() };
    let (env, origins, files) = (&Env::default(), &mut Origins::default(), &mut Vec::new());
    Reader { env, program_kinds: &["codex"], origins, files }.document(Some(file), validate)
}

fn has_root<D: Document>(root: &str) -> bool {
    schema::value_of(&D::default()).get(root).is_some()
}

/// Converts a problem to an error, with its line in the file or the name of its variable.
fn describe_problem(problem: &Problem, file: Option<&FileText>, origin: Origin) -> ConfigError {
    if let (Origin::Variable(name), SchemaEntry::BadValue(why)) = (&origin, &problem.what) {
        return ConfigError::Variable { name, why: why.clone() };
    }
    let why = match &problem.what {
        SchemaEntry::UnknownKey(known) => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let (at, key) = (place(problem, file), problem.path.last().map_or("", |key| key));
            format!("unknown key {key:?}{at}; {}", suggestion(key, &known))
        }
        SchemaEntry::BadValue(why) => {
            format!("{}{} {why}", problem.path.join("."), place(problem, file))
        }
    };
    ConfigError::File { name: file.map_or_else(String::new, |file| file.name.clone()), why }
}

/// Returns ` at line 9`: the line of the key or of its nearest parent in the file.
fn place(problem: &Problem, file: Option<&FileText>) -> String {
    let Some(file) = file else { return String::new() };
    let path: &KeyPath = &problem.path;
    let line = (1..=path.len()).rev().find_map(|length| line_of(&file.text, &path[..length]));
    line.map_or_else(String::new, |line| format!(" at line {line}"))
}

/// A configuration file that exists.
struct FileText {
    path: PathBuf,
    /// Name for messages: relative to the workspace if inside.
    name: String,
    text: String,
}

impl FileText {
    fn leaves<D: Document>(&self, program_kinds: &[&str]) -> Result<Vec<Leaf>, ConfigError> {
        let refused = |why| ConfigError::File { name: self.name.clone(), why };
        let value: Value = serde_yaml::from_str(&self.text)
            .map_err(|error| refused(parse_errors::plain_syntax(&error.to_string())))?;
        if !matches!(value, Value::Mapping(_) | Value::Null) {
            return Err(refused("expected keys and values".to_owned()));
        }
        schema::leaves::<D>(&value, program_kinds)
            .map_err(|problem| describe_problem(&problem, Some(self), Origin::Shipped))
    }
}

impl Places {
    /// Reads the first file of this name; adds those that it hides.
    fn find<D: Document>(
        &self,
        hidden: &mut Vec<HiddenFile>,
    ) -> Result<Option<FileText>, ConfigError> {
        let workspace = self.workspace.as_deref();
        let directories = [
            self.chosen.clone(),
            workspace.map(|root| root.join(super::PRIVATE_DIRECTORY)),
            workspace.map(|root| root.join(super::SHARED_DIRECTORY)),
        ];
        let directories = directories.into_iter().flatten();
        let mut paths = directories.map(|directory| directory.join(D::FILE));
        while let Some(path) = paths.next() {
            let name = self.name(&path);
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let others = paths.filter(|other| has_settings(other, &path, D::SHIPPED));
                    let others = others.map(|other| self.name(&other));
                    hidden
                        .extend(others.map(|other| HiddenFile { name: other, read: name.clone() }));
                    return Ok(Some(FileText { path, name, text }));
                }
                // A project may have a file named `config`.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => return Err(ConfigError::File { name, why: error.to_string() }),
            }
        }
        Ok(None)
    }

    fn name(&self, path: &Path) -> String {
        let root = self.workspace.as_deref();
        let inside = root.and_then(|root| path.strip_prefix(root).ok());
        inside.unwrap_or(path).display().to_string()
    }
}
