//! `fix-phases`: repairs the specs of queued phases and lists the repairs.

use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

use super::autofix_limits::fixer;
use super::output::repair_kinds::RepairKinds;
use super::output::table::counted;
use super::propose_scopes::{self, ProposalReport};
use super::run_choice::{Targets, TargetsArg};
use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::phase::repair::is_ignored_setting;
use crate::phase::words::quoted;
use crate::progress::{LabeledPage, printable_lines, screen, shown_message, shown_phase};
use crate::store::{RepairCounts, RepairedPhase};

/// Repair the specs of queued phases
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    targets: TargetsArg,
    /// Change nothing; with -v, show a diff of each spec
    #[arg(long)]
    dry_run: bool,
    /// Propose the scopes of phases that name no path, within the budgets
    #[arg(long, conflicts_with = "dry_run")]
    propose: bool,
    /// Also open the CI files, manifests and hooks that proposals for issues leave out; name phases to choose
    #[arg(long, requires = "propose")]
    accept: bool,
    /// Print {examined, changed, unfixable, phases}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let settings = &context.config()?.settings;
    let fix = fixer(settings, &context.workspace()?);
    if !args.dry_run {
        open_database::migrate_server(context).await?;
    }
    let store = open_database::open_existing(context).await?;
    let targets = args.targets.choose(&store, context).await?;
    if !targets.phases.is_empty() && !args.propose {
        return Err(Failure::new("specs are repaired a run at a time")
            .hint("name the run, or propose the scope of the phase with --propose")
            .exit(Exit::Usage));
    }
    let mut shown = FixOutput {
        json: args.json,
        dry_run: args.dry_run,
        each: context.global.verbose > 0,
        only_proposes: !targets.phases.is_empty(),
        ..FixOutput::default()
    };
    let mut on = |repaired| shown.take(repaired, context);
    let mut counts = RepairCounts::default();
    match &targets {
        // A proposal repairs its phase itself.
        Targets { phases, .. } if !phases.is_empty() => {}
        Targets { runs, .. } if runs.is_empty() => {
            counts = store.repair_queued(None, &fix, args.dry_run, &mut on).await?;
        }
        Targets { runs, .. } => {
            for run in runs {
                counts.add(store.repair_queued(Some(run), &fix, args.dry_run, &mut on).await?);
            }
        }
    }
    let report = match args.propose {
        true => Some(propose_scopes::propose(context, &store, &targets, args.accept).await?),
        false => None,
    };
    store.close().await;
    let exit = report.as_ref().map_or(Exit::Done, ProposalReport::exit);
    shown.finish(counts, report, context)?;
    Ok(exit)
}

/// Output of the command: with `-v` text per phase at once; counts or JSON at the end.
#[derive(Default)]
struct FixOutput {
    json: bool,
    dry_run: bool,
    /// Whether each phase is shown.
    each: bool,
    /// Whether no phase is examined.
    only_proposes: bool,
    phases: Vec<FixedPhase>,
    summary: RepairSummary,
    /// First output error; repairs continue.
    failure: Option<Failure>,
}

#[derive(Serialize)]
struct FixedPhase {
    run_id: String,
    phase_id: String,
    fixes: Vec<String>,
    defaults: Vec<String>,
    unfixable: Option<String>,
    needs_scope: bool,
}

impl FixOutput {
    fn take(&mut self, repaired: RepairedPhase, context: &Context) {
        let is_shown = !repaired.fixes.is_empty() || repaired.unfixable.is_some();
        if !self.json && self.each && is_shown && self.failure.is_none() {
            self.failure = context.out.text(&text(&repaired, self.dry_run)).err();
        }
        self.summary.add(&repaired);
        if self.json {
            self.phases.push(FixedPhase {
                run_id: repaired.run_id.to_string(),
                phase_id: repaired.phase_id.to_string(),
                fixes: repaired.fixes,
                defaults: repaired.defaults,
                unfixable: repaired.unfixable,
                needs_scope: repaired.needs_scope,
            });
        }
    }

    fn finish(
        self,
        counts: RepairCounts,
        report: Option<ProposalReport>,
        context: &Context,
    ) -> Result<(), Failure> {
        let RepairCounts { examined, changed, unfixable, needs_scope } = counts;
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.json {
            let phases = self.phases;
            let mut value = serde_json::json!({
                "examined": examined, "changed": changed, "unfixable": unfixable,
                "needs_scope": needs_scope, "phases": phases
            });
            if let Some(report) = &report {
                value["proposals"] = report.as_json();
            }
            return context.out.json(&value);
        }
        let would = if self.dry_run { "would change" } else { "changed" };
        let verdict = format!(
            "examined {}, {would} {changed}, {unfixable} cannot be repaired",
            counted(examined, "queued phase")
        );
        let unproposed = if report.is_some() { 0 } else { needs_scope };
        let summary =
            self.summary.text(unproposed, screen::output_columns(), console::colors_enabled());
        let proposals = report.as_ref().map(ProposalReport::text).unwrap_or_default();
        let verdict = if self.only_proposes { String::new() } else { format!("{verdict}\n") };
        context.out.text(&format!("{verdict}{summary}{proposals}"))
    }
}

/// Width of the labels of a summary.
const LABEL: usize = 12;
/// Unfixable phases listed; the rest are counted.
const LISTED: usize = 8;

/// Repairs by kind, and the phases without a repair.
#[derive(Default)]
struct RepairSummary {
    kinds: RepairKinds,
    /// Phases with settings that have no effect, with the reason.
    ignored: Vec<String>,
    /// `RUN/PHASE` and the reason.
    unfixable: Vec<(String, String)>,
}

impl RepairSummary {
    fn add(&mut self, repaired: &RepairedPhase) {
        let ignored = repaired.fixes.iter().filter(|fix| is_ignored_setting(fix));
        self.ignored.extend(ignored.map(|fix| format!("{}: {fix}", name(repaired))));
        self.kinds.add(&repaired.fixes);
        if let Some(why) = &repaired.unfixable {
            self.unfixable.push((name(repaired), why.clone()));
        }
    }

    fn text(&self, needs_scope: u64, columns: Option<usize>, color: bool) -> String {
        let mut page = LabeledPage::new(LABEL, columns, color);
        for (n, (name, why)) in self.unfixable.iter().take(LISTED).enumerate() {
            let label = if n == 0 { "cannot run" } else { "" };
            page.message(label, &format!("{name}: cannot be repaired: {}", shown_message(why)));
        }
        if self.unfixable.len() > LISTED {
            page.prose("", &format!("… and {} more; -v lists each", self.unfixable.len() - LISTED));
        }
        if let Some((name, _)) = self.unfixable.first() {
            page.command("", &format!("repair a spec: autopack phases edit {}", quoted(name)));
        }
        if needs_scope > 0 {
            let (phases, get) = match needs_scope {
                1 => ("1 phase".to_owned(), "gets"),
                n => (format!("{n} phases"), "get"),
            };
            let text = format!("{phases} without a path {get} a proposed scope in the drain first");
            page.prose("scope", &text);
            page.command("", "propose now: autopack fix-phases --propose");
        }
        for (n, text) in self.ignored.iter().take(LISTED).enumerate() {
            page.message(if n == 0 { "ignored" } else { "" }, &shown_message(text));
        }
        if let Some(kinds) = self.kinds.describe() {
            page.prose("repairs", &format!("{kinds}; -v shows each"));
        }
        page.into_text()
    }
}

fn name(repaired: &RepairedPhase) -> String {
    shown_phase(&repaired.run_id, &repaired.phase_id, true)
}

fn text(repaired: &RepairedPhase, dry_run: bool) -> String {
    let name = name(repaired);
    let mut text = format!("{name}\n");
    for fix in &repaired.fixes {
        text += &format!("  {}\n", shown_message(fix));
    }
    if let Some(why) = &repaired.unfixable {
        text += &format!("  cannot be repaired: {}\n", shown_message(why));
    }
    if dry_run {
        text += &printable_lines(&diff(&name, &repaired.before, &repaired.after));
    }
    text
}

/// Returns a unified diff of both specs.
fn diff(name: &str, before: &Value, after: &Value) -> String {
    let [before, after] = [before, after].map(|spec| format!("{spec:#}\n"));
    let diff = TextDiff::from_lines(&before, &after);
    let mut unified = diff.unified_diff();
    unified.header(&format!("{name} before"), &format!("{name} after")).to_string()
}
