//! `telemetry export`: writes samples page by page, in constant memory.

use clap::ValueEnum;

use super::sample_choice::SampleFilterArgs;
use crate::cli::{Context, open_database};
use crate::failure::Failure;
use crate::store::SampleFilter;
use crate::telemetry::sample_export::{CSV_HEADER, csv_line, ndjson_line};

/// Samples per page; memory holds a single page and its text.
const PAGE: u32 = 500;

/// Write the samples to standard output, oldest first
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: SampleFilterArgs,

    /// Only samples for calibration: landed and not cut off
    #[arg(long)]
    quality: bool,

    /// Lines of JSON objects, or CSV with a header
    #[arg(long, value_name = "FORMAT", default_value = "ndjson")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Ndjson,
    Csv,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let store = open_database::open_existing(context).await?;
    let filter =
        SampleFilter { runs: args.which.runs(), since: args.which.since(), quality: args.quality };
    store.require_sampled_runs(&filter.runs).await?;
    let mut text = match args.format {
        Format::Csv => format!("{CSV_HEADER}\r\n"),
        Format::Ndjson => String::new(),
    };
    let mut last = None;
    loop {
        let page = store.samples_page(&filter, last.as_ref(), PAGE).await?;
        for sample in &page {
            match args.format {
                Format::Ndjson => ndjson_line(sample, &mut text)?,
                Format::Csv => csv_line(sample, &mut text)?,
            }
        }
        context.out.text(&text)?;
        text.clear();
        last = page.into_iter().last();
        if last.is_none() {
            break;
        }
    }
    store.close().await;
    Ok(())
}
