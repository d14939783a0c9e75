//! Invariants of reading agents' output, for property tests and the fuzzer.

use std::path::Path;
use std::time::Duration;

use super::adapters::{ADAPTERS, Adapter};
use super::runner::event::AttemptBudget;
use super::runner::result_file;
use super::runner::stream::Stream;
use crate::phase::Usage;
use crate::process::JobEnd;

/// Reads an output as every kind of agent's stream, and as a result file.
pub fn stream(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    ADAPTERS.iter().for_each(|adapter| read(*adapter, &text));
    let result = result_file::parse(&text);
    is_sound(&result.usage);
}

/// Reads edits and answers in the notations of models and providers.
pub fn edits(input: &[u8]) {
    super::builtin::invariants::bytes(input);
}

/// Reads all channels to the end.
fn read(adapter: &'static dyn Adapter, text: &str) {
    let mut reader = adapter.reader(Path::new("/slot"));
    let budget = AttemptBudget { tokens: Some(1), cost_usd: Some(0.1), wall_time: None };
    let mut stream = Stream::new(adapter, budget, crate::agent::runner::stream::QUIET);
    reader.resume(text);
    for line in text.lines() {
        let signals = [reader.line(line), reader.error_line(line)].concat();
        signals.into_iter().for_each(|signal| drop(stream.take(signal)));
    }
    reader.file(text).into_iter().for_each(|signal| drop(stream.take(signal)));
    stream.out_of_time(Duration::ZERO);
    stream.outcome(JobEnd::Exited(0), false, text);
    let kept = stream.last_lines("");
    assert!(kept.lines().count() <= 60 && stream.notes().len() <= 20);
    is_sound(&stream.usage());
}

/// Checks that the store can add up the usage.
fn is_sound(usage: &Usage) {
    assert!(usage.cost_usd.is_none_or(|cost| cost.is_finite() && cost >= 0.0), "{usage:?}");
    let counts = [
        usage.tokens.input,
        usage.tokens.output,
        usage.tokens.cache_read,
        usage.tokens.cache_write,
    ];
    assert!(counts.iter().flatten().all(|count| i64::try_from(*count).is_ok()), "{usage:?}");
}
