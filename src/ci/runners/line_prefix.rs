//! Splits off labels put before each line by workspaces, task runners and containers: `packages/app test: # pass 2`.
//! Pure.

const MOST_BYTES: usize = 120;
const MOST_WORDS: usize = 6;
/// Ends of labels: `pkg: `, `[pkg]: `, `[pkg] `, `app-1  | `, `pkg > `, and GNU parallel's tab.
const ENDS: [&str; 5] = [": ", "| ", "] ", "> ", "\t"];
/// Log levels, not labels.
const LEVELS: [&str; 9] =
    ["debug", "error", "info", "log", "note", "trace", "warn", "warning", "fatal"];

/// Returns each possible split of a line into label and rest, the shortest label first.
pub fn splits(line: &str) -> impl Iterator<Item = (String, &str)> {
    let starts = line.char_indices().map(|(at, _)| at).take_while(|at| *at < MOST_BYTES);
    starts.filter_map(move |at| {
        let end = ENDS.iter().find(|end| line[at..].starts_with(**end))?;
        Some((label(&line[..at + end.len()])?, &line[at + end.len()..]))
    })
}

/// Removes end, brackets and time of day from a label; `None` if the text looks like a sentence.
fn label(text: &str) -> Option<String> {
    if text.contains(['"', '\'', ',', ';', '=', '{', '}']) {
        return None;
    }
    let words = text.split_whitespace().filter(|word| !is_time(word));
    let label = words.collect::<Vec<_>>().join(" ");
    let label = label.trim_matches(['[', ']', ':', '|', '>', ' ']);
    let is_level = LEVELS.iter().any(|level| label.eq_ignore_ascii_case(level));
    let words = label.split(' ').count();
    (!is_level && words <= MOST_WORDS).then(|| label.to_owned())
}

/// `12:00:01`, `[2026-01-01T12:00:01.123Z]`
fn is_time(word: &str) -> bool {
    let word = word.trim_matches(['[', ']', ':', '|']);
    word.contains(':')
        && word
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, ':' | '.' | '-' | '+' | 'T' | 'Z'))
}

/// Reads a package manager's announcement of the following output: `> @calc/app@1.0.0 test`, `> nx run app:test`.
pub fn heading(line: &str) -> Option<String> {
    let words: Vec<&str> = line.strip_prefix("> ")?.split(' ').collect();
    match words.as_slice() {
        ["nx", "run", task] => Some((*task).to_owned()),
        [package, script] | [package, script, _] => {
            let (name, version) = package.rsplit_once('@')?;
            let is_version =
                version.is_empty() || version.starts_with(|c: char| c.is_ascii_digit());
            (is_version && !name.is_empty()).then(|| format!("{name} {script}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_every_kind_are_split_off() {
        for (line, label) in [
            ("packages/app test: # pass 2", "packages/app test"),
            ("packages/app test:unit: # pass 2", "packages/app test:unit"),
            ("[@calc/app]: # pass 2", "@calc/app"),
            ("[app] # pass 2", "app"),
            ("[0] # pass 2", "0"),
            ("@calc/app:test: # pass 2", "@calc/app:test"),
            ("@calc/app: # pass 2", "@calc/app"),
            ("app-1  | # pass 2", "app-1"),
            ("12:00:01 web.1   | # pass 2", "web.1"),
            ("[12:00:01.250] # pass 2", ""),
            ("app\t# pass 2", "app"),
        ] {
            let found: Vec<_> = splits(line).filter(|(_, rest)| *rest == "# pass 2").collect();
            assert_eq!(found.len(), 1, "{line}");
            assert_eq!(found[0].0, label, "{line}");
        }
        let nested = splits("app-1  | packages/app test: # pass 2").last().unwrap();
        assert_eq!(nested.0, "app-1 | packages/app test");
    }

    #[test]
    fn sentences_and_levels_of_a_log_are_no_labels() {
        for line in [
            "expected 'a, b': # pass 2",
            "INFO: # pass 2",
            "[warn] # pass 2",
            "one two three four five six seven: # pass 2",
            "# pass 2",
        ] {
            assert_eq!(splits(line).count(), 0, "{line}");
        }
    }

    #[test]
    fn package_managers_announce_scripts() {
        assert_eq!(heading("> @calc/app@1.0.0 test").as_deref(), Some("@calc/app test"));
        assert_eq!(heading("> calc@ test /tmp/pn").as_deref(), Some("calc test"));
        assert_eq!(heading("> nx run app:test").as_deref(), Some("app:test"));
        for line in ["> node --test", "> pnpm --recursive test", "> a@b", "@calc/app@1.0.0 test"] {
            assert_eq!(heading(line), None, "{line}");
        }
    }
}
