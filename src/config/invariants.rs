//! What holds for every configuration file, whatever is in it: for property tests and the fuzzer.

use super::load::read_text;
use super::memory_settings::MemoryFile;
use super::schema::{Document, Problem, value_of};
use super::settings::Settings;
use super::validate;

/// The text as each of the two files.
pub fn bytes(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    file::<Settings>(&text, &validate::settings);
    file::<MemoryFile>(&text, &|file| validate::memory(&file.memory));
}

/// What is taken can be written out and is taken again as the same; what is refused is named.
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
            let said = error.to_string();
            assert!(said.starts_with(&format!("cannot read {}: ", D::FILE)), "{said}");
        }
    }
}
