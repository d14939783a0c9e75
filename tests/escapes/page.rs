//! docs/escapes.md: made from the data of the attempts, and held by a test.

use std::fmt::Write as _;
use std::path::Path;

use super::attempt::{Attempt, Group, Mode, Role, WorksInOff, groups};

const START: &str = "\
# Escapes

This page lists every attempt of the escape suite, [tests/escapes](../tests/README.md), and what holds it. It is made from the data of the
suite; do not edit it. `INSTA_UPDATE=always cargo nextest run -E 'test(escapes::page)'` writes it anew. [Security](security.md) is the threat
model.

Agent, setup and CI make each attempt (or the ones named) in each mode of `sandbox.mode`. A test looks from outside whether it succeeded: a
changed file, a secret in the output, a process that ended, a message that arrived. In mode `off`, the suite checks that attempts
succeed: an attempt that always fails tests nothing.

| word | meaning |
|---|---|
| held | the attempt fails |
| **remains** | the attempt can succeed. [Namespaces' remainder](#namespaces-remainder) and [Landlock's remainder](#landlocks-remainder) have the reasons |
| no limit | in mode `off` the network is not limited: there is nothing to get around |
| allowed | a control: it must succeed |

Needs in parentheses are programs, paths, or abilities of the machine without which the attempt is skipped by name. `scopes` is Linux 6.12\nor later: before, Landlock has no rules for signals and abstract sockets.
";

fn page() -> String {
    let all = groups();
    let mut page = START.to_owned();
    page.push_str("\n## Summary\n\n| group | attempts | namespaces | landlock | off |\n|---|---|---|---|---|\n");
    let mut totals = [0; 4];
    for group in &all {
        let is_held = |a: &&Attempt, mode| word(group, a, mode) == "held";
        let held = |mode| group.attempts.iter().filter(|a| is_held(a, mode)).count();
        let row =
            [group.attempts.len(), held(Mode::Namespaces), held(Mode::Landlock), held(Mode::Off)];
        for (total, number) in totals.iter_mut().zip(row) {
            *total += number;
        }
        let [attempts, namespaces, landlock, off] = row;
        let anchor = anchor(&group.group);
        writeln!(
            page,
            "| [{}](#{anchor}) | {attempts} | {namespaces} held | {landlock} held | {off} held |",
            group.group
        )
        .unwrap();
    }
    let [attempts, namespaces, landlock, off] = totals;
    writeln!(page, "| all | {attempts} | {namespaces} held | {landlock} held | {off} held |")
        .unwrap();
    for group in &all {
        page.push_str(&table(group));
    }
    page.push_str(&remainder(&all, Mode::Namespaces, "Namespaces' remainder"));
    page.push_str(&remainder(&all, Mode::Landlock, "Landlock's remainder"));
    page
}

fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
}

fn table(group: &Group) -> String {
    let mut table = format!(
        "\n## {}\n\n| attempt | what it tries | namespaces | landlock | off |\n|---|---|---|---|---|\n",
        group.group
    );
    for attempt in &group.attempts {
        let [namespaces, landlock, off] =
            [Mode::Namespaces, Mode::Landlock, Mode::Off].map(|mode| word(group, attempt, mode));
        let title = attempt.title.replace('|', "\\|");
        let conditions = conditions(attempt);
        writeln!(
            table,
            "| `{}` | {title}{conditions} | {namespaces} | {landlock} | {off} |",
            attempt.id,
        )
        .unwrap();
    }
    table
}

/// What a mode does with an attempt.
fn word(group: &Group, attempt: &Attempt, mode: Mode) -> &'static str {
    if attempt.control {
        return "allowed";
    }
    match (attempt.remainder(mode), attempt.works_in_off) {
        (None, _) if mode == Mode::Off && group.limited => "no limit",
        (None, _) => "held",
        (Some(_), WorksInOff::Root) if mode == Mode::Off => "**remains** for root",
        (Some(_), _) => "**remains**",
    }
}

/// Who makes the attempt, and what it needs.
fn conditions(attempt: &Attempt) -> String {
    let mut parts = Vec::new();
    if attempt.roles.len() < Role::ALL.len() {
        let names: Vec<&str> = attempt.roles.iter().map(|role| role.name()).collect();
        parts.push(format!("by {}", names.join(" and ")));
    }
    if !attempt.needs.is_empty() {
        parts.push(format!("needs {}", attempt.needs.join(", ")));
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

/// What a mode does not hold, by reason.
fn remainder(all: &[Group], mode: Mode, title: &str) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for attempt in all.iter().flat_map(|group| &group.attempts) {
        let Some(reason) = attempt.remainder(mode) else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, ids)) => ids.push(&attempt.id),
            None => reasons.push((reason, vec![&attempt.id])),
        }
    }
    let mut text = format!("\n## {title}\n\n| reason | attempts |\n|---|---|\n");
    for (reason, ids) in reasons {
        let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
        writeln!(text, "| {reason} | {} |", ids.join(", ")).unwrap();
    }
    text
}

#[test]
fn the_page_lists_the_attempts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/escapes.md");
    let page = page();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(page.lines()).find(|(written, page)| written != page);
    assert!(
        written == page,
        "docs/escapes.md differs from the data, first in {differs:#?}; see its start"
    );
}
