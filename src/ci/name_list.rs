//! Lists of test names in messages. Pure.

use crate::phase::words::first_few;

/// Most names in a one-line message.
const NAMED: usize = 5;

/// Lists the first few names and the number of the others.
pub fn list_names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    first_few(&names.collect::<Vec<_>>(), NAMED)
}
