//! What landed: each phase with its commit, its files and its patch, folded.

use maud::{Markup, html};

use super::missing;
use crate::phase::words::short_commit;
use crate::report::figure_words::counted;
use crate::report::story::{PhaseStory, RunReport};
use crate::workspace::ChangedFile;

/// Maximum number of listed files of a phase.
const FILES: usize = 40;

/// Renders the landed phases.
pub fn section(report: &RunReport) -> Markup {
    let landed = |(_, phase): &(usize, &PhaseStory)| phase.has_landed();
    let all: Vec<(usize, &PhaseStory)> = report.phases.iter().enumerate().filter(landed).collect();
    html! {
        @if all.is_empty() { p.none { "Nothing has landed." } }
        @if let Some(facts) = &report.run.facts {
            @if !all.is_empty() {
                p.sub {
                    "On branch " code { (facts.branch) } ". Review with "
                    code { "git log -p " (short_commit(&facts.base_commit)) ".." (facts.branch) } "."
                }
            }
        }
        @for (at, phase) in all { (entry(at, phase)) }
    }
}

fn entry(at: usize, phase: &PhaseStory) -> Markup {
    html! {
        details.l {
            summary {
                b { (phase.id) } " "
                span.n { (phase.own_name()) } " "
                span.m {
                    @match &phase.change {
                        Some(change) => { (change.size()) }
                        None => { "no change recorded" }
                    }
                }
            }
            p.sub {
                @if let Some(commit) = &phase.commit { "commit " code { (commit) } " · " }
                a href={ "#p" (at) } { "attempts" }
            }
            @if let Some(change) = &phase.change {
                (files(&change.files))
                @if let Some(patch) = &change.patch {
                    details.x {
                        summary { "Patch" (missing(patch)) }
                        pre.text { (patch.text) }
                    }
                }
            }
        }
    }
}

fn files(files: &[ChangedFile]) -> Markup {
    let more = files.len().saturating_sub(FILES);
    html! {
        ul.files {
            @for file in files.iter().take(FILES) {
                li {
                    code { (file.path) } " "
                    @match (file.added, file.removed) {
                        (Some(added), Some(removed)) => {
                            span.add { "+" (added) } " " span.del { "-" (removed) }
                        }
                        _ => { small { "binary" } }
                    }
                }
            }
            @if more > 0 { li { "and " (counted(more as u64, "file")) " more" } }
        }
    }
}
