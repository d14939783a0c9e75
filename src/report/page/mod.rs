//! The page: a single self-contained file, readable without JavaScript.
//!
//! Style and script are files in this directory; the script only adds filters and zoom. All other content is a
//! `maud` template, whose values are escaped. The figures are included as the JSON of `telemetry summary --json`.

mod axis;
mod figure_table;
mod landings;
mod phases;
mod scatter;
mod timeline;

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::escape::json_in_script;
use super::run_verdict::verdict;
use super::story::RunReport;
use crate::failure::Failure;
use crate::phase::UnixMs;
use crate::phase::words::short_commit;
use phases::missing;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Sections of the page: id, and title in the navigation.
const SECTIONS: [(&str, &str); 7] = [
    ("failures", "Failures"),
    ("landed", "Landed"),
    ("figures", "Money and time"),
    ("time", "Timeline"),
    ("phases", "Phases"),
    ("groups", "Rates"),
    ("estimates", "Estimates"),
];

/// Renders the page.
pub fn render(report: &RunReport) -> Result<String, Failure> {
    let data = serde_json::to_string(&report.summary).context("cannot write JSON")?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (report.name) " · autopack" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(report))
                main {
                    section #failures { h2 { "Failures" } (phases::failures(report)) }
                    section #landed { h2 { "What landed" } (landings::section(report)) }
                    section #figures { h2 { "Money and time" } (figure_table::section(report)) }
                    section #time { h2 { "Timeline" } (zoom()) (timeline::section(report)) }
                    section #phases {
                        h2 { "Phases" }
                        (filter(report))
                        div #list { (phases::list(report)) }
                    }
                    section #groups {
                        h2 { "Rates, by category, agent and model" }
                        (figure_table::rates(report))
                        (figure_table::groups(report))
                    }
                    section #estimates { h2 { "Estimate against actual" } (scatter::section(report)) }
                }
                footer {
                    p.sub {
                        "The figures match " code { "autopack telemetry summary --json" }
                        " and are included as JSON in the element " code { "#summary" }
                        ". Rates have a Wilson interval at 95 %."
                    }
                }
                script type="application/json" id="summary" { (PreEscaped(json_in_script(&data))) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(page.into_string() + "\n")
}

fn header(report: &RunReport) -> Markup {
    html! {
        header {
            p.brand { "autopack run report" }
            h1 { (report.name) }
            p.verdict { (verdict(report).join(" · ")) }
            @if !report.end.is_empty() { p.end { (report.end.join("; ")) } }
            p.sub {
                @if let Some(facts) = &report.run.facts {
                    "branch " code { (facts.branch) } " from "
                    code { (short_commit(&facts.base_commit)) } " · "
                }
                "as of " (time(report.created_at))
                @if let Some(command) = &report.ci_command { " · CI: " code { (command) } }
            }
            nav aria-label="Sections" {
                @for (id, title) in SECTIONS { a href={ "#" (id) } { (title) } " " }
            }
        }
    }
}

/// Renders the zoom of the timeline; hidden without the script.
fn zoom() -> Markup {
    html! {
        p.tools #zoom hidden {
            button #zoom-out type="button" aria-label="Zoom out" { "−" } " "
            button #zoom-fit type="button" { "Fit" } " "
            button #zoom-in type="button" aria-label="Zoom in" { "+" }
        }
    }
}

/// Renders search and filters of the phases; hidden without the script.
fn filter(report: &RunReport) -> Markup {
    html! {
        form.tools #filter hidden role="search" {
            label.grow {
                "Search "
                input #search type="search" placeholder="name, message, log, patch" autocomplete="off"
                    spellcheck="false" aria-keyshortcuts="/";
            }
            " " (phases::filters(report)) " "
            button #toggle type="button" { "Open all" } " "
            output #found for="search state category" {}
        }
    }
}

/// Returns the content security policy: no requests, and no script except autopack's own.
fn policy() -> String {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash_of(STYLE),
        hash_of(SCRIPT)
    )
}

/// Returns the hash of an element's text in the format of a Content-Security-Policy.
fn hash_of(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// Formats a time in UTC to the second.
fn time(at: UnixMs) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| at.0.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_loads_no_external_resource() {
        for text in [STYLE, SCRIPT] {
            for word in ["http:", "https:", "url(", "@import", "innerHTML", "src=", "fetch("] {
                assert!(!text.contains(word), "{word}");
            }
        }
    }
}
