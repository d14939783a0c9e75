//! Sections of a prompt, and cutting them to a number of characters.

/// Priority for cutting sections from a prompt over the limit, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SectionPriority {
    /// Memories, last to first.
    Memories,
    /// Output of the last attempt; its end stays longest.
    Log,
    /// Messages of single tests, last to first; their names stay.
    Messages,
    /// Unknown fields of the spec.
    Extra,
    /// Acceptance criteria.
    Criteria,
    /// The description.
    Description,
    /// Never cut.
    Never,
}

const ORDER: [SectionPriority; 6] = [
    SectionPriority::Memories,
    SectionPriority::Log,
    SectionPriority::Messages,
    SectionPriority::Extra,
    SectionPriority::Criteria,
    SectionPriority::Description,
];

/// Minimum length of a section; a shorter section is dropped.
const LEAST: usize = 200;
const LEFT_OUT: &str = "... left out: the prompt would be too long ...";

/// A heading and its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    cut: SectionPriority,
    heading: String,
    body: String,
    /// Whether the body is untrusted text, shown verbatim.
    quoted: bool,
}

impl Section {
    /// Creates a section of autopack's own text.
    pub fn new(cut: SectionPriority, heading: &str, body: String) -> Self {
        let heading = if heading.is_empty() { String::new() } else { format!("## {heading}") };
        Self { cut, heading, body, quoted: false }
    }

    /// Creates a section of untrusted text below the given headings.
    pub fn quoted(cut: SectionPriority, heading: String, body: &str) -> Self {
        Self { cut, heading, body: body.trim().to_owned(), quoted: true }
    }

    fn is_empty(&self) -> bool {
        self.body.trim().is_empty()
    }

    fn render(&self) -> String {
        let body = if self.quoted { fenced(&self.body) } else { self.body.trim_end().to_owned() };
        match self.heading.as_str() {
            "" => body,
            heading => format!("{heading}\n\n{body}"),
        }
    }

    /// Shortens the section by at least `surplus` characters, possibly to nothing.
    fn shrink(&mut self, surplus: usize) {
        let count = self.body.chars().count();
        let note = LEFT_OUT.chars().count() + 2;
        let keep = count.saturating_sub(surplus + note);
        self.body = match self.cut {
            _ if keep < LEAST => String::new(),
            SectionPriority::Log => {
                let tail: String = self.body.chars().skip(count - keep).collect();
                format!("{LEFT_OUT}\n{tail}")
            }
            _ => {
                let head: String = self.body.chars().take(keep).collect();
                format!("{head}\n{LEFT_OUT}")
            }
        };
    }
}

/// Joins all non-empty sections, with at most `max_chars` characters.
pub fn fit(mut sections: Vec<Section>, max_chars: usize) -> String {
    for cut in ORDER {
        for at in (0..sections.len()).rev() {
            let surplus = joined(&sections).chars().count().saturating_sub(max_chars);
            if surplus == 0 {
                break;
            }
            if sections[at].cut == cut && !sections[at].is_empty() {
                sections[at].shrink(surplus);
            }
        }
    }
    let text = joined(&sections);
    match text.chars().count() <= max_chars {
        true => text,
        false => cut_off(&text, max_chars),
    }
}

fn joined(sections: &[Section]) -> String {
    let rendered = sections.iter().filter(|section| !section.is_empty()).map(Section::render);
    let mut text = rendered.collect::<Vec<_>>().join("\n\n");
    text.push('\n');
    text
}

/// Cuts the text if the uncuttable sections alone exceed the limit.
fn cut_off(text: &str, max_chars: usize) -> String {
    let keep = max_chars.saturating_sub(LEFT_OUT.chars().count() + 2);
    let whole = format!("{}\n{LEFT_OUT}\n", text.chars().take(keep).collect::<String>());
    whole.chars().take(max_chars).collect()
}

/// Encloses the text in a fence longer than any fence inside.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{}\n{fence}", text.trim_end())
}
