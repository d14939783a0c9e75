//! Placeholders such as `{workspace}` in an agent's command.

use std::ffi::{OsStr, OsString};

pub(crate) type Values<'a> = [(&'a str, &'a OsStr)];

/// Fills placeholders in a single pass: values are never replaced again. Other braces stay.
pub(crate) fn fill(template: &str, values: &Values<'_>) -> OsString {
    let mut out = OsString::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        out.push(&rest[..at]);
        let here = &rest[at..];
        match values.iter().find(|(name, _)| here.starts_with(name)) {
            Some((name, value)) => {
                out.push(value);
                rest = &here[name.len()..];
            }
            None => {
                out.push("{");
                rest = &here[1..];
            }
        }
    }
    out.push(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once_and_other_braces_stay() {
        let values: [(&str, &OsStr); 2] =
            [("{prompt}", "say {workspace}".as_ref()), ("{workspace}", "/w".as_ref())];
        let filled = |template| fill(template, &values).into_string().unwrap();
        assert_eq!(filled("{workspace}/a.py"), "/w/a.py");
        assert_eq!(filled("x{prompt}{workspace}"), "xsay {workspace}/w");
        assert_eq!(filled("{\"a\":{}} {other} {"), "{\"a\":{}} {other} {");
    }
}
