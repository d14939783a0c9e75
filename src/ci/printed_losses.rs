//! Finds tests that passed on the base and do not pass now, by the names printed by their runner. Pure.

use std::collections::BTreeMap;

use super::results::PrintedTests;

/// Printed tests by stream, such as a package of a workspace.
type Streams = BTreeMap<String, PrintedTests>;

/// Returns the lost names, each after the label of its stream. A name printed by another stream for the first time has
/// moved there. If a stream with more passed tests prints no names, tests may have moved to this stream: then only the
/// counts decide.
pub fn find(now: &Streams, base: &Streams) -> Vec<String> {
    let passed_before = |label: &String| base.get(label).map_or(0, |stream| stream.passed);
    let took_in = |(label, stream): (&String, &PrintedTests)| {
        stream.names.is_none() && stream.passed > passed_before(label)
    };
    if now.iter().any(took_in) {
        return Vec::new();
    }
    let mut lost = Vec::new();
    for (label, before) in base {
        let Some(names) = &before.names else { continue };
        let is_there = |name: &String| match now.get(label).map(|stream| &stream.names) {
            Some(Some(names)) => names.contains(name),
            Some(None) => true,
            None => false,
        };
        let gone = names.iter().filter(|name| !is_there(name) && !has_moved(name, now, base));
        lost.extend(gone.map(|name| labeled(label, name)));
    }
    lost
}

/// Whether another stream prints this name now and did not on the base.
fn has_moved(name: &str, now: &Streams, base: &Streams) -> bool {
    let prints = |streams: &Streams, label: &String| {
        let names = streams.get(label).and_then(|stream| stream.names.as_ref());
        names.is_some_and(|names| names.contains(name))
    };
    now.keys().any(|label| prints(now, label) && !prints(base, label))
}

fn labeled(label: &str, name: &str) -> String {
    if label.is_empty() { name.to_owned() } else { format!("{label}: {name}") }
}

/// Keeps only names printed in a second run of the same tree too.
pub fn steady(first: &mut Streams, again: &Streams) {
    for (label, stream) in first {
        let names = again.get(label).and_then(|again| again.names.as_ref());
        stream.passed = stream.passed.min(again.get(label).map_or(0, |again| again.passed));
        stream.names = match (stream.names.take(), names) {
            (Some(first), Some(again)) => Some(&first & again),
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(all: &[(&str, u64, Option<&str>)]) -> Streams {
        let stream = |names: Option<&str>, passed| {
            let names = names.map(|names| names.split_whitespace().map(str::to_owned).collect());
            PrintedTests { passed, names }
        };
        all.iter()
            .map(|(label, passed, names)| ((*label).to_owned(), stream(*names, *passed)))
            .collect()
    }

    fn lost(base: &[(&str, u64, Option<&str>)], now: &[(&str, u64, Option<&str>)]) -> Vec<String> {
        find(&streams(now), &streams(base))
    }

    #[test]
    fn more_tests_elsewhere_do_not_make_up_for_those_that_are_gone() {
        let base = [("app", 2, Some("add zero")), ("core", 0, Some(""))];
        assert_eq!(
            lost(&base, &[("app", 1, Some("add")), ("core", 3, Some("a b c"))]),
            ["app: zero"]
        );
        assert_eq!(lost(&base, &[("core", 3, Some("a b c"))]), ["app: add", "app: zero"]);
        assert_eq!(lost(&[("", 2, Some("a b"))], &[("", 2, Some("a c"))]), ["b"]);
    }

    #[test]
    fn moved_tests_and_quieter_runners_are_no_loss() {
        let base = [("app", 2, Some("add zero")), ("core", 1, Some("mul"))];
        for now in [
            &[("app", 2, Some("add zero")), ("core", 2, Some("mul div"))][..],
            &[("app", 1, Some("add")), ("core", 2, Some("mul zero"))],
            &[("@calc/app", 2, Some("add zero")), ("core", 1, Some("mul"))],
            &[("app", 2, None), ("core", 1, None)],
            &[("app", 1, Some("add")), ("core", 2, None)],
            &[("all", 3, None)],
        ] {
            assert_eq!(lost(&base, now), [""; 0], "{now:?}");
        }
        assert_eq!(lost(&[("app", 2, None)], &[]), [""; 0]);
    }

    #[test]
    fn names_that_come_and_go_by_themselves_are_dropped() {
        let mut base = streams(&[("app", 2, Some("add at-1712")), ("core", 1, Some("x"))]);
        steady(&mut base, &streams(&[("app", 2, Some("add at-1713"))]));
        assert_eq!(base, streams(&[("app", 2, Some("add")), ("core", 0, None)]));
    }
}
