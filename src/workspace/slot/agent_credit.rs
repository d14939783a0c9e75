//! The line of a landing commit that names the agent and its model. Both names may come from an agent's output: neither
//! can add a line.

use super::message_text::{one_line, trailer};

/// Longest model name, in characters.
const LONGEST_MODEL: usize = 100;

/// Line of a commit message that names the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentCredit {
    /// `Autopack-Agent: claude (model)`
    Trailer {
        /// Name of the agent in the configuration.
        agent: String,
        /// Model, as far as known.
        model: Option<String>,
    },
    /// `Co-authored-by: Claude (model) <address>`
    CoAuthor {
        /// Name of the program.
        name: &'static str,
        /// Address that the program uses for its own commits.
        address: &'static str,
        /// Model, as far as known.
        model: Option<String>,
    },
}

impl AgentCredit {
    /// Returns the line, without its end.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Trailer { agent, model } => {
                format!("Autopack-Agent: {}", trailer(&named(agent, model.as_deref())))
            }
            Self::CoAuthor { name, address, model } => {
                format!("Co-authored-by: {} <{address}>", named(name, model.as_deref()))
            }
        }
    }
}

/// Returns the name, with the model in parentheses. Characters with a meaning in an author line are left out.
fn named(agent: &str, model: Option<&str>) -> String {
    let is_plain = |c: &char| !matches!(c, '<' | '>' | '\u{2028}' | '\u{2029}');
    let model: String = one_line(model.unwrap_or_default()).chars().filter(is_plain).collect();
    match model.chars().take(LONGEST_MODEL).collect::<String>().trim() {
        "" => agent.to_owned(),
        model => format!("{agent} ({model})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(agent: &str, model: Option<&str>) -> String {
        AgentCredit::Trailer { agent: agent.to_owned(), model: model.map(str::to_owned) }.line()
    }

    #[test]
    fn a_credit_is_one_line_without_an_address_of_others() {
        assert_eq!(line("claude", Some("opus-4.5")), "Autopack-Agent: claude (opus-4.5)");
        assert_eq!(line("claude", None), "Autopack-Agent: claude");
        assert_eq!(line("claude", Some("\n\u{2028}<>")), "Autopack-Agent: claude");
        assert_eq!(line("a\nAutopack-Run: x", None), r#"Autopack-Agent: "a\nAutopack-Run: x""#);
        let model = Some("m> <x@y>\nCo-authored-by: X <x@y>".to_owned());
        let credit = AgentCredit::CoAuthor { name: "Claude", address: "noreply@a", model };
        let expected = "Co-authored-by: Claude (m x@y Co-authored-by: X x@y) <noreply@a>";
        assert_eq!(credit.line(), expected);
        let long = line("a", Some(&"é".repeat(200)));
        assert_eq!(long.chars().count(), "Autopack-Agent: a ()".len() + LONGEST_MODEL);
    }
}
