//! Kind of a file, derived from the path alone. Pure.

/// Kind of a deliverable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Source code.
    Code,
    /// Tests.
    Tests,
    /// Documentation.
    Docs,
    /// Configuration.
    Config,
    /// A directory or a glob: several files.
    Several,
}

impl Kind {
    /// All kinds, in the order of their coefficients.
    pub const ALL: [Self; 5] = [Self::Code, Self::Tests, Self::Docs, Self::Config, Self::Several];
}

/// Returns the kind of a path.
pub fn kind(path: &str) -> Kind {
    if path.ends_with('/') || path.contains(['*', '?']) {
        return Kind::Several;
    }
    let lower = path.to_ascii_lowercase();
    let (directory, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "md" | "rst" | "txt" | "adoc" => Kind::Docs,
        "yaml" | "yml" | "json" | "toml" | "ini" | "cfg" | "env" | "lock" | "conf" => Kind::Config,
        _ if name.starts_with('.') || extension.is_empty() => Kind::Config,
        _ if is_test(directory, name) => Kind::Tests,
        _ => Kind::Code,
    }
}

fn is_test(directory: &str, name: &str) -> bool {
    let in_tests =
        directory.split('/').any(|dir| matches!(dir, "tests" | "test" | "__tests__" | "spec"));
    in_tests
        || name.starts_with("test_")
        || ["_test.", ".test.", ".spec."].iter().any(|mark| name.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_is_derived_from_the_path() {
        for (path, expected) in [
            ("src/a.py", Kind::Code),
            ("tests/test_a.py", Kind::Tests),
            ("src/App.test.tsx", Kind::Tests),
            ("pkg/a_test.go", Kind::Tests),
            ("docs/GUIDE.md", Kind::Docs),
            ("tests/README.md", Kind::Docs),
            ("config/a.yaml", Kind::Config),
            ("Makefile", Kind::Config),
            (".gitignore", Kind::Config),
            ("src/auth/", Kind::Several),
            ("src/*.py", Kind::Several),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
    }
}
