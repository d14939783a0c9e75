//! Applies the hunks of a patch to a file's text.

use super::file_lines::{Line, Lines};
use super::nearest_lines::nearest;
use super::{Hunk, HunkLine, Refusal};

/// Applies all hunks or none. Unchanged lines keep the file's own text, whatever trailing spaces the patch
/// shows.
pub(super) fn apply(before: &str, hunks: &[Hunk]) -> Result<String, Refusal> {
    let mut file = Lines::of(before);
    let mut ended = file.is_ended();
    let ending = file.ending();
    let (mut cursor, mut moved) = (0, 0_isize);
    for (number, hunk) in hunks.iter().enumerate() {
        let old = old_lines(hunk);
        let at = place(&file.lines, hunk, &old, cursor, moved)
            .map_err(|why| Refusal(format!("hunk {} of {}: {why}", number + 1, hunks.len())))?;
        let new = new_lines(&file.lines[at..at + old.len()], hunk, ending);
        let reaches_end = at + old.len() == file.lines.len();
        if reaches_end && (hunk.old_unended || hunk.new_unended) {
            ended = !hunk.new_unended;
        }
        cursor = at + new.len();
        moved += new.len() as isize - old.len() as isize;
        file.lines.splice(at..at + old.len(), new);
    }
    let after = file.into_text(ended);
    match after == before {
        true => Err(Refusal::new("the patch changes nothing")),
        false => Ok(after),
    }
}

fn old_lines(hunk: &Hunk) -> Vec<&str> {
    let old = |line| match line {
        &HunkLine::Keep(ref text) | &HunkLine::Drop(ref text) => Some(text.as_str()),
        HunkLine::Add(_) => None,
    };
    hunk.lines.iter().filter_map(old).collect()
}

fn new_lines(old: &[Line], hunk: &Hunk, end: &'static str) -> Vec<Line> {
    let mut old = old.iter();
    let mut new = Vec::new();
    for line in &hunk.lines {
        match line {
            HunkLine::Keep(_) => new.extend(old.next().cloned()),
            HunkLine::Drop(_) => drop(old.next()),
            HunkLine::Add(text) => new.push(Line { text: text.clone(), end }),
        }
    }
    new
}

/// Finds the place of a hunk: after the previous hunk, and at the line number in case of several matches.
fn place(
    file: &[Line],
    hunk: &Hunk,
    old: &[&str],
    cursor: usize,
    moved: isize,
) -> Result<usize, Refusal> {
    let from = below(file, hunk, cursor)?;
    let hint = hunk.at.map(|at| at.saturating_add_signed(moved));
    if old.is_empty() {
        return Ok(insertion(file, hunk, hint, from));
    }
    let exact: fn(&str, &str) -> bool = |a, b| a == b;
    let loose: fn(&str, &str) -> bool = |a, b| a.trim_end() == b.trim_end();
    for same in [exact, loose] {
        let mut found = matches(file, old, from, same);
        let last = file.len().checked_sub(old.len()).filter(|last| found.contains(last));
        if let Some(last) = last.filter(|_| hunk.at_end) {
            return Ok(last);
        }
        if let Some(hint) = hint {
            found.sort_by_key(|at| at.abs_diff(hint));
            found.truncate(1);
        }
        match found.as_slice() {
            [] => {}
            [at] => return Ok(*at),
            [at, ..] if !hunk.below.is_empty() => return Ok(*at),
            many => {
                let lines: Vec<String> = many.iter().map(|at| (at + 1).to_string()).collect();
                return Err(Refusal(format!(
                    "its lines are found {} times, at lines {}; show more lines around the change",
                    many.len(),
                    lines.join(", ")
                )));
            }
        }
    }
    Err(not_found(file, old))
}

fn matches(file: &[Line], old: &[&str], from: usize, same: fn(&str, &str) -> bool) -> Vec<usize> {
    let Some(last) = file.len().checked_sub(old.len()) else { return Vec::new() };
    let fits = |at: &usize| file[*at..].iter().zip(old).all(|(line, old)| same(&line.text, old));
    (from..=last).filter(fits).collect()
}

/// Returns the position after the lines named as context above the hunk.
fn below(file: &[Line], hunk: &Hunk, cursor: usize) -> Result<usize, Refusal> {
    let mut from = cursor;
    for above in &hunk.below {
        let is = |line: &Line| line.text.trim() == above.trim();
        match file[from..].iter().position(is) {
            Some(at) => from += at + 1,
            None => return Err(Refusal(format!("there is no line {above:?} after line {from}"))),
        }
    }
    Ok(from)
}

/// Finds the place for a hunk of added lines only.
fn insertion(file: &[Line], hunk: &Hunk, hint: Option<usize>, from: usize) -> usize {
    match hint {
        _ if hunk.at_end => file.len(),
        Some(at) => at.clamp(from, file.len()),
        None if !hunk.below.is_empty() => from,
        None => file.len(),
    }
}

fn not_found(file: &[Line], old: &[&str]) -> Refusal {
    let text: Vec<&str> = file.iter().map(|line| line.text.as_str()).collect();
    let why = "its lines are not in the file";
    match nearest(&text.join("\n"), &old.join("\n")) {
        Some(near) => Refusal(format!("{why}. The nearest lines are:\n{near}")),
        None => Refusal(format!("{why}, and no lines are similar; read the file first")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunk(lines: &[&str]) -> Hunk {
        let line = |text: &&str| match text.split_at(1) {
            ("-", text) => HunkLine::Drop(text.to_owned()),
            ("+", text) => HunkLine::Add(text.to_owned()),
            (_, text) => HunkLine::Keep(text.to_owned()),
        };
        Hunk { lines: lines.iter().map(line).collect(), ..Hunk::default() }
    }

    #[test]
    fn hunks_apply_in_order_and_keep_what_they_do_not_touch() {
        let hunks = [hunk(&[" a", "-b", "+B"]), hunk(&["-d", "+D", "+E"])];
        assert_eq!(apply("a \nb\nc\nd", &hunks).unwrap(), "a \nB\nc\nD\nE");
        assert_eq!(apply("a\r\nb\r\nd\r\n", &hunks).unwrap(), "a\r\nB\r\nD\r\nE\r\n");
    }

    #[test]
    fn a_line_number_and_a_line_above_settle_what_is_ambiguous() {
        let text = "f\nx\ng\nx\n";
        assert!(apply(text, &[hunk(&["-x", "+y"])]).unwrap_err().0.contains("at lines 2, 4"));
        let numbered = Hunk { at: Some(3), ..hunk(&["-x", "+y"]) };
        assert_eq!(apply(text, &[numbered]).unwrap(), "f\nx\ng\ny\n");
        let named = Hunk { below: vec!["g".into()], ..hunk(&["-x", "+y"]) };
        assert_eq!(apply(text, &[named]).unwrap(), "f\nx\ng\ny\n");
        let nowhere = Hunk { below: vec!["h".into()], ..hunk(&["-x", "+y"]) };
        assert!(apply(text, &[nowhere]).unwrap_err().0.contains("no line \"h\""));
    }

    #[test]
    fn one_hunk_that_does_not_fit_refuses_all() {
        let hunks = [hunk(&["-a", "+A"]), hunk(&["-let x = 2;", "+z"])];
        let why = apply("a\nlet x = 1;\n", &hunks).unwrap_err().0;
        assert!(why.starts_with("hunk 2 of 2: its lines are not in the file"), "{why}");
        assert!(why.contains("2 | let x = 1;"), "{why}");
        // A different indentation is a different text.
        assert!(apply("  a\n", &[hunk(&["-a", "+b"])]).is_err());
    }

    #[test]
    fn a_hunk_at_the_end_that_is_longer_than_the_file_is_refused() {
        let at_end = || Hunk { at_end: true, ..hunk(&["-a", "-b"]) };
        for short in ["", "a\n", "b"] {
            let why = apply(short, &[at_end()]).unwrap_err().0;
            assert!(why.starts_with("hunk 1 of 1: its lines are not in the file"), "{why}");
        }
        assert_eq!(apply("a\nb\nc\na\nb\n", &[at_end()]).unwrap(), "a\nb\nc\n");
    }

    #[test]
    fn the_last_newline_comes_and_goes_as_the_patch_says() {
        let adds = Hunk { old_unended: true, ..hunk(&["-a", "+b"]) };
        assert_eq!(apply("a", &[adds]).unwrap(), "b\n");
        let takes = Hunk { new_unended: true, ..hunk(&["-a", "+b"]) };
        assert_eq!(apply("a\n", &[takes]).unwrap(), "b");
    }
}
