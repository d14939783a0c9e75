//! Invariants of configuration files with arbitrary content, for property tests and the fuzzer.

use super::load::read_text;
use super::memory_settings::MemoryFile;
use super::schema::{Document, Problem, value_of};
use super::settings::Settings;
use super::validate;

/// Reads the text as each of the two files.
pub fn bytes(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    file::<Settings>(&text, &validate::settings);
    file::<MemoryFile>(&text, &|file| validate::memory(&file.memory));
}

/// Checks that an accepted file survives a round trip, and that an error names the file.
fn file<D: Document + PartialEq + std::fmt::Debug>(
    text: &str,
    validate: &dyn Fn(&D) -> Result<(), Problem>,
) {
    match read_text::<D>(D::FILE, text, validate) {
        Ok(document) => {
            let written = serde_yaml::to_string(&value_of(&document)).expect("plain data");
            let again = read_text::<D>(D::FILE, &written, validate);
            assert_eq!(again.map_err(|error| error.to_string()), Ok(document), "{written}");
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with(&format!("cannot read {}: ", D::FILE)), "{message}");
        }
    }
}
