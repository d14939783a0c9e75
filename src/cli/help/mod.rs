//! `help`: the help of a command, or a page of the book, from the binary.

mod book;
mod inline_text;
mod page_blocks;
mod page_text;
mod summary;
mod table_text;

use std::io::{IsTerminal, stdout};

use clap::Command;

use super::{Context, paged_output};
use crate::config::suggestion::nearest;
use crate::failure::{Exit, Failure};
use crate::progress::screen;
use book::{Book, Page};

/// Width of a page in a pipe, and its greatest width on a terminal.
const COLUMNS: usize = 80;

/// Most pages named in a hint.
const HINTS: usize = 6;

/// Show the help of a command, or a page of the book
///
/// Without a word, lists the pages. A command's name shows the help of the command. On a terminal, a page goes through
/// $PAGER, or `less`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A page of the list, or the words of a command
    #[arg(value_name = "TOPIC|COMMAND")]
    words: Vec<String>,
    /// Do not use a pager
    #[arg(long)]
    no_pager: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let book = Book::open()?;
    let columns = screen::output_columns().map_or(COLUMNS, |columns| columns.clamp(40, COLUMNS));
    let text = match args.words.as_slice() {
        [] => list(&book, columns),
        words if names_command(words) => return show_command(words, &book, context),
        words => match book.find(&words.join("-")).or_else(|| book.about(&words.join(" "))) {
            Some(page) => page_text::render(&book, page, columns),
            None => return Err(explain_unknown(words, &book)),
        },
    };
    match stdout().is_terminal() && !args.no_pager {
        true => paged_output::show(text.as_bytes(), context).await?,
        false => context.out.text(&text)?,
    }
    Ok(Exit::Done)
}

/// Checks whether the words name a command, or begin with one.
fn names_command(words: &[String]) -> bool {
    super::command().find_subcommand(&words[0]).is_some_and(|found| !found.is_hide_set())
}

/// Prints what `--help` prints, and the page about the command.
fn show_command(words: &[String], book: &Book, context: &Context) -> Result<Exit, Failure> {
    let line = ["autopack".to_owned()].into_iter().chain(words.iter().cloned());
    let parsed = super::command().try_get_matches_from(line.chain(["--help".to_owned()]));
    match parsed {
        Err(error) if error.use_stderr() => Err(Failure::new(one_line(&error))
            .hint(format!("`autopack {} --help` lists its commands", words[0]))
            .exit(Exit::Usage)),
        Err(error) => {
            // Best effort, as for `--help`.
            let _ = error.print();
            if let Some(page) = book.page_about(&words[0]) {
                context.out.line(format_args!("Page: see `autopack help {}`", page.topic))?;
            }
            Ok(Exit::Done)
        }
        Ok(_) => Err(Failure::new(format!("`{}` is no command", words.join(" ")))),
    }
}

/// Returns the message of a usage error.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    message.trim_start_matches("error: ").replace('\n', " ")
}

/// Lists the pages by part.
fn list(book: &Book, columns: usize) -> String {
    let width = book.pages().iter().map(|page| page.topic.len()).max().unwrap_or_default();
    let mut text = "Pages of the book: autopack help TOPIC\n".to_owned();
    let mut part = "";
    for page in book.pages() {
        if page.part != part {
            part = &page.part;
            text += &format!("\n{part}\n");
        }
        let indent = width + 4;
        let title = crate::progress::wrap(&page.title, columns.saturating_sub(indent).max(20));
        let title = title.join(&format!("\n{:indent$}", ""));
        text += &format!("  {:width$}  {title}\n", page.topic);
    }
    text + "\nCommands: `autopack --help`, `autopack help COMMAND`\n"
}

fn explain_unknown(words: &[String], book: &Book) -> Failure {
    let given = words.join(" ");
    let failure = Failure::new(format!("there is no page or command {given:?}")).exit(Exit::Usage);
    let command = super::command();
    let visible = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let verbs = visible.map(Command::get_name);
    let topics = book.pages().iter().map(|page| page.topic.as_str());
    let known: Vec<&str> = topics.chain(verbs).collect();
    let mentions: Vec<&Page> = book.pages().iter().filter(|page| page.mentions(&given)).collect();
    let named = mentions.iter().take(HINTS).map(|page| page.topic.as_str());
    let pages = named.collect::<Vec<_>>().join(", ");
    let near = nearest(&words.join("-"), &known).map(|near| format!("did you mean {near:?}?"));
    failure.hint(match (near, pages.is_empty()) {
        (Some(near), true) => near,
        (Some(near), false) => format!("{near} pages about {given:?}: {pages}"),
        (None, false) => format!("pages about {given:?}: {pages}"),
        (None, true) => "`autopack help` lists the pages".to_owned(),
    })
}
