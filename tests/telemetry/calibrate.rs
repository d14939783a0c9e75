//! `telemetry calibrate`: shown, applied, undone, refused; and its effect on drains.

use autopack::telemetry::Calibration;
use serde_json::{Value, json};

use super::generator::{Random, WORLDS, World, samples};
use super::{exported, holding};
use crate::support::Project;

const CALIBRATE: [&str; 2] = ["telemetry", "calibrate"];

fn calibrate(project: &Project, args: &[&str]) -> Value {
    project.json(CALIBRATE.iter().chain(args).chain(&["--json"]))
}

#[tokio::test]
async fn a_dry_calibration_shows_changes_and_stores_none() {
    let project = holding(&samples(&WORLDS[3], 120, &mut Random::of(8))).await;
    let ran = project.autopack(CALIBRATE).succeeded();
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    insta::assert_snapshot!(ran.stdout);
    let shown = calibrate(&project, &[]);
    assert_eq!((&shown["applied"], &shown["before"]["version"]), (&json!(false), &json!(null)));
    let all = &shown["errors"][0];
    assert!(all["learnt_smape_percent"].as_f64() < all["shipped_smape_percent"].as_f64());
}

#[tokio::test]
async fn calibrations_are_applied_and_undone_by_version() {
    let project = holding(&samples(&WORLDS[1], 80, &mut Random::of(8))).await;
    let undo = || calibrate(&project, &["--undo"]);
    assert_eq!(undo(), json!({"undone": null, "active": null}));
    let first = calibrate(&project, &["--apply"]);
    assert_eq!((&first["applied"], &first["after"]["version"]), (&json!(true), &json!(1)));
    let again = project.autopack(["telemetry", "calibrate", "--apply"]).exited(1);
    assert!(
        again.stderr.contains("the result is the same as the active calibration 1"),
        "{again:#?}"
    );

    super::execute(&project, "DELETE FROM samples WHERE id % 2 = 0").await;
    let second = calibrate(&project, &["--apply"]);
    assert_eq!((&second["before"]["version"], &second["after"]["version"]), (&json!(1), &json!(2)));
    assert_eq!(second["before"]["numbers"], first["after"]["numbers"]);
    assert_eq!(undo(), json!({"undone": 2, "active": 1}));
    let third = calibrate(&project, &["--apply"]);
    assert_eq!(third["after"]["version"], 3);
    assert_eq!(undo(), json!({"undone": 3, "active": 1}), "not the one that was undone");
    assert_eq!(undo(), json!({"undone": 1, "active": null}));
    let ran = project.autopack(["telemetry", "calibrate", "--undo"]).succeeded();
    assert_eq!(ran.stdout, "nothing to undo: the shipped estimator is active\n");
}

#[tokio::test]
async fn a_calibration_without_improvement_is_refused() {
    let few = holding(&samples(&WORLDS[1], 3, &mut Random::of(8))).await;
    let ran = few.autopack(["telemetry", "calibrate", "--apply"]).exited(1);
    assert!(ran.stderr.contains("nothing was applied: there are 3 samples"), "{ran:#?}");
    few.autopack(CALIBRATE).succeeded();
    let one = holding(&samples(&WORLDS[1], 1, &mut Random::of(8))).await;
    let ran = one.autopack(CALIBRATE).succeeded();
    assert!(ran.stdout.contains("there is 1 sample with a known output"), "{ran:#?}");

    let right = holding(&samples(&WORLDS[0], 60, &mut Random::of(8))).await;
    let ran = right.autopack(["telemetry", "calibrate", "--apply"]).exited(1);
    assert!(ran.stderr.contains("no reason to differ from the shipped numbers"), "{ran:#?}");
    assert_eq!(calibrate(&right, &["--undo"]), json!({"undone": null, "active": null}));

    let unknown = right.autopack(["telemetry", "calibrate", "--run-id", "nope"]).exited(1);
    assert!(unknown.stderr.contains("existing runs: simulated"), "{unknown:#?}");
}

/// To be better than the shipped numbers is not enough if others are active: the comparison is with the active ones.
#[tokio::test]
async fn a_calibration_worse_than_the_active_one_is_refused() {
    let project = holding(&samples(&WORLDS[1], 80, &mut Random::of(8))).await;
    calibrate(&project, &["--apply"]);
    super::execute(&project, "DELETE FROM samples").await;
    let long_ago = World { agents: &[("claude", "m", 4.0)], ..WORLDS[1] };
    let mut later = samples(&WORLDS[1], 20, &mut Random::of(9));
    later.iter_mut().for_each(|sample| sample.timestamp.0 = 4_000_000_000_000);
    super::add(&project, &samples(&long_ago, 100, &mut Random::of(8))).await;
    super::add(&project, &later).await;
    let shown = calibrate(&project, &[]);
    let (all, since) = (&shown["errors"][0], &shown["since_before"]);
    assert!(
        all["learnt_smape_percent"].as_f64() < all["shipped_smape_percent"].as_f64(),
        "{shown}"
    );
    assert!(
        since["learnt_smape_percent"].as_f64() > since["before_smape_percent"].as_f64(),
        "{shown}"
    );
    let ran = project.autopack(["telemetry", "calibrate", "--apply"]).exited(1);
    assert!(ran.stderr.contains("worse than the active calibration: "), "{ran:#?}");
    assert!(ran.stdout.contains(" since calibration 1: "), "{ran:#?}");
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
}

/// The same number in the plan, in the record, and in budgets.
#[tokio::test]
async fn drains_use_the_active_calibration() {
    let mut learnt = samples(&WORLDS[1], 80, &mut Random::of(8));
    learnt.iter_mut().for_each(|sample| sample.agent = Some("fake".to_owned()));
    let more = "ci: {command: [\"true\"]}\n";
    let plan = json!({"phases": [{"phase_id": "p", "deliverables": ["src/a.rs", "README.md"]}]});
    let project = holding(&learnt).await.agent_with("write_deliverables()", more).plan(plan);
    let planned = |project: &Project| {
        project.json(["drain", "--dry-run", "--run-id", "run", "--json"])[0]["estimated_output_tokens"]
            .as_u64()
            .unwrap()
    };
    let shipped = planned(&project);
    calibrate(&project, &["--apply"]);
    let expected = planned(&project);
    assert!(expected > shipped * 3 / 2, "{expected} {shipped}");

    let tight = |tokens: u64| {
        let budget = format!("{more}executor: {{budgets: {{run: {{tokens: {tokens}}}}}}}\n");
        project_with(&project, &budget);
        project.drain()
    };
    let ran = tight(expected - 1).exited(5);
    assert!(ran.stdout.contains(&format!("is expected to take {expected}")), "{ran:#?}");
    tight(expected).succeeded();
    let sample = &exported(&project, &["--run-id", "run"])[0];
    assert_eq!(sample["predicted_output_tokens"], json!(expected));
}

fn project_with(project: &Project, more: &str) {
    let config = std::fs::read_to_string(project.path(".autopack/config/autopack.yaml")).unwrap();
    let agents = config.split("ci:").next().unwrap();
    project.write(".autopack/config/autopack.yaml", &format!("{agents}{more}"));
}

#[tokio::test]
async fn an_unreadable_calibration_is_reported_and_can_be_undone() {
    let project = holding(&samples(&WORLDS[1], 80, &mut Random::of(8))).await;
    calibrate(&project, &["--apply"]);
    super::execute(&project, "UPDATE calibrations SET coefficients = '{'").await;
    let ran = project.autopack(CALIBRATE).exited(1);
    assert!(ran.stderr.contains("cannot read calibration 1 of the database"), "{ran:#?}");
    assert!(ran.stderr.contains("hint: `autopack telemetry calibrate --undo`"), "{ran:#?}");
    assert_eq!(calibrate(&project, &["--undo"]), json!({"undone": 1, "active": null}));
}

/// Older and newer versions of the program read each other's numbers.
#[test]
fn unknown_numbers_are_ignored() {
    let text = json!({"all": {"scale": 2.0, "moon": 3.0}, "groups": []}).to_string();
    let read: Calibration = serde_json::from_str(&text).unwrap();
    let scale = read.all.named().next().unwrap();
    assert_eq!((scale.0, (scale.1 * 100.0_f64).round()), ("scale", 200.0));
}
