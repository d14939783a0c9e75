//! `plan`: prints a prompt with which a language model writes a plan.

use super::Context;
use crate::failure::{Exit, Failure};
use crate::import::plan_template;

/// Print a prompt with which a language model writes a plan
///
/// Add your goal at the end, give the prompt to a model that knows your repository, and save its answer:
/// `(autopack plan --template; echo 'Add a REST API.') | claude -p > plan.yaml`. Then run `autopack import plan.yaml`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the prompt, with the plan format and an example
    #[arg(long, required = true)]
    template: bool,
}

pub async fn run(_args: Args, context: &Context) -> Result<Exit, Failure> {
    context.out.text(&plan_template::text())?;
    Ok(Exit::Done)
}
