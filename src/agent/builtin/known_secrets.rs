//! What is a secret here: what the drain knows as one, and the model's own key whatever its variable is called.

use crate::process::Redactor;

/// How redacted text begins.
pub(super) const MARKER: &str = "[redacted: ";

#[derive(Clone)]
pub(super) struct Secrets {
    known: Redactor,
    key: Redactor,
}

impl Secrets {
    pub(super) fn new(known: &Redactor, key: Option<&str>) -> Self {
        let key = key.map(|key| ("MODEL_KEY".into(), key.into()));
        Self { known: known.clone(), key: Redactor::new(key) }
    }

    pub(super) fn redact(&self, text: &str) -> String {
        let known = self.known.redact(text);
        self.key.redact(&known).into_owned()
    }

    /// The name of a secret that a unified diff adds.
    pub(super) fn added_by(&self, diff: &str) -> Option<String> {
        let find = |redactor: &Redactor| redactor.find_in_patch(diff.as_bytes());
        find(&self.known).or_else(|| find(&self.key))
    }
}

pub(super) fn markers(text: &str) -> usize {
    text.matches(MARKER).count()
}
