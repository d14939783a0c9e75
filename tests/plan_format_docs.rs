//! `docs/plan-format.md` has the auto-fixer's table of other names; this test keeps both in step.

use autopack::phase::autofix::aliases::{ALIASES, Merge};

const DOCS: &str = include_str!("../docs/plan-format.md");

/// The table in the page's form: one row for a field, its other names in order.
fn table() -> String {
    let mut fields: Vec<&str> = ALIASES.iter().map(|alias| alias.field).collect();
    fields.dedup();
    let row = |field: &str| {
        let of_field: Vec<_> = ALIASES.iter().filter(|alias| alias.field == field).collect();
        let names: Vec<String> = of_field.iter().map(|alias| format!("`{}`", alias.name)).collect();
        let how = match of_field[0].merge {
            Merge::Fill => "fills",
            Merge::Add => "adds",
        };
        format!("| `{field}` | {} | {how} |\n", names.join(", "))
    };
    fields.into_iter().map(row).collect()
}

#[test]
fn the_page_prints_the_table_of_the_code() {
    let table = table();
    assert!(DOCS.contains(&table), "docs/plan-format.md lacks these rows:\n{table}");
}

#[test]
fn a_name_is_in_the_table_once_and_maps_to_one_kind_of_field() {
    for (at, alias) in ALIASES.iter().enumerate() {
        assert!(
            ALIASES.iter().skip(at + 1).all(|other| other.name != alias.name),
            "{}",
            alias.name
        );
        let same = ALIASES.iter().filter(|other| other.field == alias.field);
        assert!(same.into_iter().all(|other| other.merge == alias.merge), "{}", alias.field);
        assert!(ALIASES.iter().all(|other| other.field != alias.name), "{}", alias.name);
    }
}
