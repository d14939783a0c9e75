//! The questions of `init -i`, on a terminal. An empty answer takes what was found.

use std::io::{self, BufRead, Write};

use super::project_facts::{FoundAgent, FoundCommand, ProjectFacts};
use crate::agent::program_kinds;
use crate::failure::{Exit, Failure};

/// Answer that means none.
const NONE: &str = "none";

/// Asks for agent, CI command, setup and budget.
pub fn ask(facts: ProjectFacts) -> Result<ProjectFacts, Failure> {
    ask_on(facts, &mut io::stdin().lock(), &mut io::stderr().lock())
}

fn ask_on(
    mut facts: ProjectFacts,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> Result<ProjectFacts, Failure> {
    let mut dialog = Dialog { input, output };
    dialog.say("An empty answer takes the value in brackets.")?;
    let found = facts.agents.first().map(|agent| agent.name.clone());
    let kinds = program_kinds().join(", ");
    loop {
        let name = dialog.ask("agent", found.as_deref().unwrap_or(NONE))?;
        if let Some(at) = facts.agents.iter().position(|agent| agent.name == name) {
            let agent = facts.agents.remove(at);
            facts.agents.insert(0, agent);
            break;
        }
        if name == NONE {
            facts.agents.clear();
            break;
        }
        if program_kinds().contains(&name.as_str()) {
            let note = "not on PATH here".to_owned();
            facts.agents.insert(0, FoundAgent { name, model: None, note });
            break;
        }
        dialog.say(&format!("unknown agent; known: {kinds}, or {NONE}"))?;
    }
    facts.ci = dialog.ask_command("CI command", facts.ci)?;
    facts.setup = dialog.ask_command("setup, in each copy", facts.setup)?;
    loop {
        let dollars = dialog.ask("budget of a drain in dollars", NONE)?;
        match dollars.parse::<f64>() {
            Ok(amount) if amount > 0.0 && amount.is_finite() => facts.budget_usd = Some(amount),
            _ if dollars == NONE => {}
            _ => {
                dialog.say("expected a number above 0, such as 10")?;
                continue;
            }
        }
        break;
    }
    Ok(facts)
}

struct Dialog<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

impl Dialog<'_> {
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.output, "{text}")?)
    }

    /// Asks a question; an empty answer is the proposed one.
    fn ask(&mut self, question: &str, proposed: &str) -> Result<String, Failure> {
        write!(self.output, "{question} [{proposed}]: ")?;
        self.output.flush()?;
        let mut answer = String::new();
        if self.input.read_line(&mut answer)? == 0 {
            return Err(Failure::new("the input ended; nothing was written").exit(Exit::Usage));
        }
        let answer = answer.trim();
        Ok(if answer.is_empty() { proposed.to_owned() } else { answer.to_owned() })
    }

    fn ask_command(
        &mut self,
        question: &str,
        found: FoundCommand,
    ) -> Result<FoundCommand, Failure> {
        let proposed = match &found {
            FoundCommand::None => NONE.to_owned(),
            FoundCommand::Detected(command) | FoundCommand::Chosen(command) => command.clone(),
        };
        let answer = self.ask(question, &proposed)?;
        Ok(match answer {
            answer if answer == proposed => found,
            answer if answer == NONE => FoundCommand::None,
            answer => FoundCommand::Chosen(answer),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(answers: &str) -> Result<ProjectFacts, Failure> {
        let agent =
            FoundAgent { name: "codex".to_owned(), model: None, note: "found on PATH".to_owned() };
        let facts = ProjectFacts {
            agents: vec![agent],
            ci: FoundCommand::Detected("make test".to_owned()),
            ..ProjectFacts::default()
        };
        ask_on(facts, &mut answers.as_bytes(), &mut Vec::new())
    }

    #[test]
    fn empty_answers_take_what_was_found() {
        let facts = answered("\n\n\n\n").unwrap();
        assert_eq!(facts.agents[0].name, "codex");
        assert_eq!(facts.ci, FoundCommand::Detected("make test".to_owned()));
        assert_eq!((facts.setup, facts.budget_usd), (FoundCommand::None, None));
    }

    #[test]
    fn wrong_answers_are_asked_again() {
        let facts = answered("vim\nclaude\nmake check\nnpm ci\nmuch\n-1\n12.5\n").unwrap();
        assert_eq!(facts.agents[0].name, "claude");
        assert_eq!(facts.ci, FoundCommand::Chosen("make check".to_owned()));
        assert_eq!(facts.setup, FoundCommand::Chosen("npm ci".to_owned()));
        assert_eq!(facts.budget_usd, Some(12.5));
    }

    #[test]
    fn the_end_of_the_input_is_an_error() {
        assert_eq!(answered("\n").unwrap_err().exit_code(), 2);
    }
}
