//! The generated parts of `docs/benchmarks.md`: each section is between its own two markers, so that other text is
//! kept, and a single section can be measured again.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::machine;

/// Destination of the sections: the page, or standard output only.
pub struct Page {
    file: Option<PathBuf>,
}

impl Page {
    pub fn nowhere() -> Self {
        Self { file: None }
    }

    /// Opens the page in the repository and describes the machine in it.
    pub fn open() -> io::Result<Self> {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
        let mut page = Self { file: Some(file) };
        page.put("machine", &machine::described())?;
        Ok(page)
    }

    pub fn put(&mut self, name: &str, text: &str) -> io::Result<()> {
        println!("{text}");
        let Some(file) = &self.file else { return Ok(()) };
        let page = fs::read_to_string(file)?;
        fs::write(file, replaced(&page, name, text).map_err(io::Error::other)?)
    }
}

/// Returns the page with another text between the markers of a section.
fn replaced(page: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- bench: {name} -->\n"), format!("<!-- end: {name} -->"));
    let missing = || format!("docs/benchmarks.md has no markers for {name}");
    let from = page.find(&begin).ok_or_else(missing)? + begin.len();
    let to = page[from..].find(&end).ok_or_else(missing)? + from;
    Ok(format!("{}{text}{}", &page[..from], &page[to..]))
}
