//! Shows a long text on a terminal, through the user's pager.

use super::Context;
use crate::failure::Failure;
use crate::process::pager;

/// Shows a text in the pager. Without a pager, the text is printed.
pub(super) async fn show(text: &[u8], context: &Context) -> Result<(), Failure> {
    let env = context.env.all();
    match pager::choose(context.env.pager(), env) {
        Some(pager) if !context.env.is_dumb() => Ok(pager::show(&pager, env, text).await?),
        _ => context.out.bytes(text),
    }
}
