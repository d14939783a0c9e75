//! The page: a single self-contained file, readable without JavaScript.
//!
//! Frame, style and script are files in this directory; the script only adds filters and zoom. All shown
//! content is written here, escaped. The figures are included as the JSON of `telemetry summary --json`.

mod axis;
mod figure_table;
mod phases;
mod scatter;
mod timeline;

use anyhow::Context as _;
use sha2::{Digest, Sha256};

use super::escape::{Html, json_in_script};
use super::story::RunReport;
use crate::failure::Failure;
use crate::phase::UnixMs;
use crate::phase::words::short_commit;

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Renders the page.
pub fn render(report: &RunReport) -> Result<String, Failure> {
    let figures = serde_json::to_string(&report.summary).context("cannot write JSON")?;
    let parts = [
        ("run", Html(&report.name).to_string()),
        ("policy", policy()),
        ("style", STYLE.to_owned()),
        ("about", about(report)),
        ("figures", figure_table::section(report)),
        ("timeline", timeline::section(report)),
        ("estimates", scatter::section(report)),
        ("groups", figure_table::groups(report)),
        ("failures", phases::failures(report)),
        ("filters", phases::filters(report)),
        ("phases", phases::list(report)),
        ("data", json_in_script(&figures)),
        ("script", SCRIPT.to_owned()),
    ];
    Ok(fill(&parts))
}

/// Inserts each part at its placeholder in the frame. Inserted text is not searched for placeholders.
fn fill(parts: &[(&str, String)]) -> String {
    let mut pieces = FRAME.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").expect("the frame closes each name");
        let part = parts.iter().find(|(known, _)| *known == name);
        page += &part.expect("the frame names known parts alone").1;
        page += rest;
    }
    page
}

/// Returns the content security policy: no requests, and no script except autopack's own.
fn policy() -> String {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash_of(STYLE),
        hash_of(SCRIPT)
    )
}

/// Returns the hash of an element's text in the format of a Content-Security-Policy.
fn hash_of(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text.as_bytes())))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            out.push(if digit <= group.len() { DIGITS[value as usize] as char } else { '=' });
        }
    }
    out
}

fn about(report: &RunReport) -> String {
    let mut parts = Vec::new();
    if let Some(facts) = &report.run.facts {
        parts.push(format!(
            "branch <code>{}</code> from <code>{}</code>",
            Html(&facts.branch),
            Html(short_commit(&facts.base_commit))
        ));
    }
    parts.push(format!("as of {}", time(report.created_at)));
    let about = parts.join(" · ");
    match report.end.as_slice() {
        [] => about,
        lines => format!("{about}<br>{}", Html(&lines.join("; "))),
    }
}

/// Formats a time in UTC to the second.
fn time(at: UnixMs) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| at.0.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn base64_is_the_standards() {
        let all: Vec<String> =
            ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes())).into();
        assert_eq!(all, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    #[test]
    fn placeholders_in_parts_are_not_filled() {
        let names = FRAME.split("{{").skip(1).map(|piece| piece.split_once("}}").unwrap().0);
        let parts: Vec<(&str, String)> =
            names.map(|name| (name, "{{run}} {{none}}".to_owned())).collect();
        assert!(fill(&parts).contains("{{none}}"));
    }

    #[test]
    fn page_loads_no_external_resource() {
        for text in [FRAME, STYLE, SCRIPT] {
            for word in ["http:", "https:", "url(", "@import", "innerHTML", "src=", "fetch("] {
                assert!(!text.contains(word), "{word}");
            }
        }
    }
}
