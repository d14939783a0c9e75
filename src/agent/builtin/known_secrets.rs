//! Secrets of a session: those known to the drain, and the model's key under any variable name.

use crate::process::Redactor;

/// Beginning of a redacted text.
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

    /// Returns the name of a secret added by a unified diff.
    pub(super) fn added_by(&self, diff: &str) -> Option<String> {
        let find = |redactor: &Redactor| redactor.find_in_patch(diff.as_bytes());
        find(&self.known).or_else(|| find(&self.key))
    }
}

pub(super) fn markers(text: &str) -> usize {
    text.matches(MARKER).count()
}
