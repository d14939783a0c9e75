//! Formats a proposal of `telemetry calibrate` as text and as JSON.

use serde_json::{Value, json};

use crate::cli::calibration_in_force::InForce;
use crate::cli::output::table::{counted, table};
use crate::progress::printable;
use crate::telemetry::held_out::{Errors, Whose};
use crate::telemetry::{Calibration, Coefficients, Proposal};

/// Relative difference below which numbers count as equal.
const SAME: f64 = 0.005;

pub(super) fn text(
    proposal: &Proposal,
    before: &InForce,
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
    if let (Some(against), Some(number)) = (&proposal.against, before.number()) {
        text += &format!(
            "\n{} since calibration {number}: {:.1} % with it, {:.1} % with the new one\n",
            counted(against.samples as u64, "sample"),
            against.in_force,
            against.learnt
        );
    }
    for whose in groups(proposal, before) {
        text += &numbers(&whose, proposal, before);
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
    let row = |(whose, errors): (&Whose, &Errors)| {
        let held = proposal.held_back.contains(whose);
        vec![
            name(whose),
            errors.samples.to_string(),
            format!("{:.1} %", errors.shipped),
            format!("{:.1} %", errors.learnt),
            if held { "worse: stays as shipped".to_owned() } else { String::new() },
        ]
    };
    let rows = proposal.errors.iter().map(row).collect();
    table(&["GROUP", "SAMPLES", "SHIPPED", "LEARNED", ""], &[1, 2, 3], rows)
}

/// Returns the overall group and all groups with own numbers, before or after.
fn groups(proposal: &Proposal, before: &InForce) -> Vec<Whose> {
    let of = |calibration: &Calibration| -> Vec<Whose> {
        let groups = calibration.groups.iter();
        groups
            .map(|group| match &group.model {
                None => Whose::Agent(group.agent.clone()),
                Some(model) => Whose::Model(group.agent.clone(), model.clone()),
            })
            .collect()
    };
    let mut all = vec![Whose::All];
    all.extend(of(&proposal.calibration));
    all.extend(of(&before.calibration));
    all.sort();
    all.dedup();
    all
}

fn lookup<'a>(calibration: &'a Calibration, whose: &Whose) -> &'a Coefficients {
    match whose {
        Whose::All => &calibration.all,
        Whose::Agent(agent) => calibration.coefficients(Some(agent), None),
        Whose::Model(agent, model) => calibration.coefficients(Some(agent), Some(model)),
    }
}

/// Formats the numbers that would change, or nothing.
fn numbers(whose: &Whose, proposal: &Proposal, before: &InForce) -> String {
    let shipped = Coefficients::default();
    let [was, is] = [&before.calibration, &proposal.calibration].map(|c| lookup(c, whose));
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
    format!("\n{}\n\n{}", name(whose), table(&headers, &[1, 2, 3], rows))
}

/// Formats tokens as integers and factors with two decimals.
fn number(value: f64) -> String {
    if value >= 20.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn name(whose: &Whose) -> String {
    match whose {
        Whose::All => "all".to_owned(),
        Whose::Agent(agent) => printable(agent),
        Whose::Model(agent, model) => printable(&format!("{agent}, {model}")),
    }
}

pub(super) fn json(
    proposal: &Proposal,
    before: &InForce,
    refused: Option<&str>,
    applied: Option<u32>,
) -> Value {
    let errors: Vec<Value> = proposal.errors.iter().map(|(w, e)| error(w, e, proposal)).collect();
    json!({
        "samples": { "whole": proposal.known, "cut_off": proposal.bounds },
        "errors": errors,
        "since_before": proposal.against.map(|against| json!({
            "samples": against.samples,
            "before_smape_percent": against.in_force,
            "learnt_smape_percent": against.learnt,
        })),
        "before": { "version": before.number(), "numbers": before.calibration },
        "after": { "version": applied, "numbers": proposal.calibration },
        "refused": refused,
        "applied": applied.is_some(),
    })
}

fn error(whose: &Whose, errors: &Errors, proposal: &Proposal) -> Value {
    let (agent, model) = match whose {
        Whose::All => (None, None),
        Whose::Agent(agent) => (Some(agent), None),
        Whose::Model(agent, model) => (Some(agent), Some(model)),
    };
    json!({
        "agent": agent,
        "model": model,
        "samples": errors.samples,
        "shipped_smape_percent": errors.shipped,
        "learnt_smape_percent": errors.learnt,
        "held_back": proposal.held_back.contains(whose),
    })
}
