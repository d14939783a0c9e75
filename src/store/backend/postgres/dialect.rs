//! The dialect of Postgres, as far as the common SQL of the store does not cover it. Functions that SQLite has and
//! Postgres lacks are in the schema: `max` of several numbers, `json_each`, `json_extract`, `json_type`.

/// Rewrites placeholders (`?` and `?1` become `$1`), and SQLite's `CROSS JOIN ... ON`, which fixes an order of joins.
pub fn statement(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len() + 16);
    let mut next = 1;
    let mut rest = sql;
    while let Some(at) = rest.find(['?', '\'', 'C']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = if let Some(literal) = rest.strip_prefix('\'') {
            let end = literal.find('\'').map_or(rest.len(), |end| end + 2);
            text.push_str(&rest[..end]);
            end
        } else if let Some(number) = rest.strip_prefix('?') {
            let digits = number.bytes().take_while(u8::is_ascii_digit).count();
            text.push('$');
            match digits {
                0 => {
                    text.push_str(&next.to_string());
                    next += 1;
                }
                _ => text.push_str(&number[..digits]),
            }
            digits + 1
        } else if rest.starts_with("CROSS JOIN") {
            text.push_str("JOIN");
            "CROSS JOIN".len()
        } else {
            text.push('C');
            1
        };
        rest = &rest[taken..];
    }
    text.push_str(rest);
    text
}

/// Postgres stores no NUL in a text, and reads none in JSON.
pub fn text(value: String) -> String {
    let value = if value.contains('\0') { value.replace('\0', "\u{fffd}") } else { value };
    if value.contains(r"\u0000") { without_escaped_nul(&value) } else { value }
}

fn without_escaped_nul(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        // A backslash and what it escapes, such as another backslash.
        let (taken, shown) = match rest.strip_prefix(r"\u0000") {
            Some(_) => (6, r"\ufffd"),
            None => {
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                (length, &rest[..length])
            }
        };
        text.push_str(shown);
        rest = &rest[taken..];
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_replaced_also_in_json() {
        for (given, stored) in [
            ("a\0b", "a\u{fffd}b"),
            (r#"{"a":"x\u0000y"}"#, r#"{"a":"x\ufffdy"}"#),
            (r#"{"a":"x\\u0000y"}"#, r#"{"a":"x\\u0000y"}"#),
            (r#"{"a":"x\\\u0000y"}"#, r#"{"a":"x\\\ufffdy"}"#),
            (r"ends with \u0000 and \", r"ends with \ufffd and \"),
        ] {
            assert_eq!(text(given.to_owned()), stored, "{given}");
        }
    }

    #[test]
    fn placeholders_are_numbered() {
        for (sqlite, postgres) in [
            ("SELECT ?", "SELECT $1"),
            ("VALUES (?, ?), (?, ?)", "VALUES ($1, $2), ($3, $4)"),
            ("WHERE a = ?2 AND b = ?10", "WHERE a = $2 AND b = $10"),
            ("WHERE a = '?' AND b = ?", "WHERE a = '?' AND b = $1"),
            ("WHERE a = 'it''s ?' AND b = ?", "WHERE a = 'it''s ?' AND b = $1"),
            ("a CROSS JOIN b ON ?1", "a JOIN b ON $1"),
            ("COUNT(*), é", "COUNT(*), é"),
            ("'open", "'open"),
        ] {
            assert_eq!(statement(sqlite), postgres);
        }
    }
}
