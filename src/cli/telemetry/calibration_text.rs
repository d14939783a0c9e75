//! Formats a proposal of `telemetry calibrate` as text and as JSON.

use serde_json::{Value, json};

use crate::cli::calibration_in_force::VersionedCalibration;
use crate::cli::output::table::{counted, table};
use crate::progress::printable;
use crate::telemetry::held_out::{Errors, SampleGroup};
use crate::telemetry::{Calibration, Coefficients, Proposal};

/// Relative difference below which numbers count as equal.
const SAME: f64 = 0.005;

pub(super) fn text(
    proposal: &Proposal,
    before: &VersionedCalibration,
    refused: Option<&str>,
    applied: Option<u32>,
) -> String {
    let mut text = format!(
        "{} to learn from, and {} cut off (lower bounds)\n",
        counted(proposal.known as u64, "sample"),
        proposal.bounds
    );
    if !proposal.errors.is_empty() {
        text += "\nmean SMAPE on samples held out (0 % exact, 200 % worst)\n\n";
        text += &errors(proposal);
    }
    if let (Some(comparison), Some(number)) = (&proposal.comparison, before.number()) {
        text += &format!(
            "\n{} since calibration {number}: {:.1} % with it, {:.1} % with the new one\n",
            counted(comparison.samples as u64, "sample"),
            comparison.active,
            comparison.learned
        );
    }
    for group in groups(proposal, before) {
        text += &numbers(&group, proposal, before);
    }
    text.push('\n');
    text += &match (refused, applied) {
        (Some(why), _) => format!("nothing to apply:\n{why}\n"),
        (None, Some(version)) => format!(
            "calibration {version} is active from the next drain on; \
             revert it with `autopack telemetry calibrate --undo`\n"
        ),
        (None, None) => "better on held-out samples; use it with --apply\n".to_owned(),
    };
    text
}

fn errors(proposal: &Proposal) -> String {
    let row = |(group, errors): (&SampleGroup, &Errors)| {
        let held = proposal.held_back.contains(group);
        vec![
            name(group),
            errors.samples.to_string(),
            format!("{:.1} %", errors.shipped),
            format!("{:.1} %", errors.learned),
            if held { "worse: stays as shipped".to_owned() } else { String::new() },
        ]
    };
    let rows = proposal.errors.iter().map(row).collect();
    table(&["GROUP", "SAMPLES", "SHIPPED", "LEARNED", ""], &[1, 2, 3], rows)
}

/// Returns the overall group and all groups with own numbers, before or after.
fn groups(proposal: &Proposal, before: &VersionedCalibration) -> Vec<SampleGroup> {
    let of = |calibration: &Calibration| -> Vec<SampleGroup> {
        let groups = calibration.groups.iter();
        groups
            .map(|group| match &group.model {
                None => SampleGroup::Agent(group.agent.clone()),
                Some(model) => SampleGroup::Model(group.agent.clone(), model.clone()),
            })
            .collect()
    };
    let mut all = vec![SampleGroup::All];
    all.extend(of(&proposal.calibration));
    all.extend(of(&before.calibration));
    all.sort();
    all.dedup();
    all
}

fn lookup<'a>(calibration: &'a Calibration, group: &SampleGroup) -> &'a Coefficients {
    match group {
        SampleGroup::All => &calibration.all,
        SampleGroup::Agent(agent) => calibration.coefficients(Some(agent), None),
        SampleGroup::Model(agent, model) => calibration.coefficients(Some(agent), Some(model)),
    }
}

/// Formats the numbers that would change, or nothing.
fn numbers(group: &SampleGroup, proposal: &Proposal, before: &VersionedCalibration) -> String {
    let shipped = Coefficients::default();
    let [was, is] = [&before.calibration, &proposal.calibration].map(|c| lookup(c, group));
    let differ = |a: f64, b: f64| (a - b).abs() > SAME * a.abs();
    let rows: Vec<Vec<String>> = shipped
        .named()
        .zip(was.named().zip(is.named()))
        .filter(|((_, shipped), ((_, was), (_, is)))| differ(*shipped, *is) || differ(*was, *is))
        .map(|((name, shipped), ((_, was), (_, is)))| {
            vec![name.to_owned(), number(shipped), number(was), number(is)]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let before = before.number().map_or("NOW (SHIPPED)".to_owned(), |n| format!("NOW ({n})"));
    let headers = ["NUMBER", "SHIPPED", before.as_str(), "LEARNED"];
    format!("\n{}\n\n{}", name(group), table(&headers, &[1, 2, 3], rows))
}

/// Formats tokens as integers and factors with two decimals.
fn number(value: f64) -> String {
    if value >= 20.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn name(group: &SampleGroup) -> String {
    match group {
        SampleGroup::All => "all".to_owned(),
        SampleGroup::Agent(agent) => printable(agent),
        SampleGroup::Model(agent, model) => printable(&format!("{agent}, {model}")),
    }
}

pub(super) fn json(
    proposal: &Proposal,
    before: &VersionedCalibration,
    refused: Option<&str>,
    applied: Option<u32>,
) -> Value {
    let errors: Vec<Value> = proposal.errors.iter().map(|(w, e)| error(w, e, proposal)).collect();
    json!({
        "samples": { "whole": proposal.known, "cut_off": proposal.bounds },
        "errors": errors,
        "since_before": proposal.comparison.map(|comparison| json!({
            "samples": comparison.samples,
            "before_smape_percent": comparison.active,
            "learnt_smape_percent": comparison.learned,
        })),
        "before": { "version": before.number(), "numbers": before.calibration },
        "after": { "version": applied, "numbers": proposal.calibration },
        "refused": refused,
        "applied": applied.is_some(),
    })
}

fn error(group: &SampleGroup, errors: &Errors, proposal: &Proposal) -> Value {
    let (agent, model) = match group {
        SampleGroup::All => (None, None),
        SampleGroup::Agent(agent) => (Some(agent), None),
        SampleGroup::Model(agent, model) => (Some(agent), Some(model)),
    };
    json!({
        "agent": agent,
        "model": model,
        "samples": errors.samples,
        "shipped_smape_percent": errors.shipped,
        "learnt_smape_percent": errors.learned,
        "held_back": proposal.held_back.contains(group),
    })
}
