//! `fix-phases`: repairs the specs of queued phases and lists the repairs.

use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

use super::autofix_limits::fixer;
use super::output::table::counted;
use super::run_choice::RunFilter;
use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::progress::{printable_lines, shown_id, shown_message};
use crate::store::{RepairCounts, RepairedPhase};

/// Repair the specs of queued phases
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunFilter,
    /// Change nothing; show a diff of each spec
    #[arg(long)]
    dry_run: bool,
    /// Print {examined, changed, unfixable, phases}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let settings = &context.config()?.settings;
    let fix = fixer(settings, &context.workspace()?);
    let store = open_database::open_existing(context).await?;
    let run = args.run.named(&store).await?;
    let mut shown = FixOutput { json: args.json, dry_run: args.dry_run, ..FixOutput::default() };
    let mut on = |repaired| shown.take(repaired, context);
    let counts = store.repair_queued(run.as_ref(), &fix, args.dry_run, &mut on).await?;
    store.close().await;
    shown.finish(counts, context)?;
    Ok(Exit::Done)
}

/// Output of the command: text per phase at once, JSON at the end.
#[derive(Default)]
struct FixOutput {
    json: bool,
    dry_run: bool,
    phases: Vec<FixedPhase>,
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
}

impl FixOutput {
    fn take(&mut self, repaired: RepairedPhase, context: &Context) {
        if !self.json && self.failure.is_none() {
            let is_shown = !repaired.fixes.is_empty() || repaired.unfixable.is_some();
            let text = if is_shown { text(&repaired, self.dry_run) } else { String::new() };
            self.failure = context.out.text(&text).err();
        }
        if self.json {
            self.phases.push(FixedPhase {
                run_id: repaired.run_id.to_string(),
                phase_id: repaired.phase_id.to_string(),
                fixes: repaired.fixes,
                defaults: repaired.defaults,
                unfixable: repaired.unfixable,
            });
        }
    }

    fn finish(self, counts: RepairCounts, context: &Context) -> Result<(), Failure> {
        let RepairCounts { examined, changed, unfixable } = counts;
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.json {
            let phases = self.phases;
            return context.out.json(&serde_json::json!({
                "examined": examined, "changed": changed, "unfixable": unfixable, "phases": phases
            }));
        }
        let would = if self.dry_run { "would change" } else { "changed" };
        context.out.line(format_args!(
            "examined {}, {would} {changed}, {unfixable} cannot be repaired",
            counted(examined, "queued phase")
        ))
    }
}

fn text(repaired: &RepairedPhase, dry_run: bool) -> String {
    let (run, phase) = (repaired.run_id.as_str(), repaired.phase_id.as_str());
    let name = format!("{}/{}", shown_id(run), shown_id(phase));
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
