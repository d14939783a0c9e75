//! Recognition of paths by their letters alone.

use super::{components_of, file_name, has_pair};

/// How much a token resembles a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A slash and an extension, a well-known name or a wildcard; or a directory with its `/`.
    Firm,
    /// A file name without a slash: `main.py`, `Makefile`, `.env`.
    FileName,
    /// No slash, and an unknown extension: `os.path`, `data.xyz`.
    Dotted,
    /// A slash only: `src/foo`, `and/or`.
    Slashed,
    /// Any other word.
    Word,
}

/// Classifies a token. `token` has `/` between its components and neither white space nor quotes.
pub fn shape(token: &str) -> Shape {
    // A path outside the repository must not count as a word, so that the phase is refused instead of the
    // path overlooked.
    let climbs = || has_pair(token, b"..") && components_of(token).any(|part| part == b"..");
    if token.starts_with("~/") || token.as_bytes().contains(&0) || climbs() {
        return Shape::Firm;
    }
    shape_of_normal(token)
}

/// Classifies a token that neither leaves the repository nor has a NUL character.
pub(super) fn shape_of_normal(token: &str) -> Shape {
    if !token.contains(|c: char| c.is_alphanumeric() || matches!(c, '*' | '?')) {
        return Shape::Word;
    }
    let name = file_name(token);
    if token.ends_with('/') {
        // `w/` means "with".
        return if token.len() > 2 { Shape::Firm } else { Shape::Word };
    }
    let slashed = name.len() < token.len();
    let extension = extension(name).filter(|_| !is_product(name));
    match extension {
        Some(_) if slashed => Shape::Firm,
        Some(extension) if is_known(extension) || name.starts_with('.') => Shape::FileName,
        Some(_) => Shape::Dotted,
        None if is_well_known(name) => {
            if slashed {
                Shape::Firm
            } else {
                Shape::FileName
            }
        }
        None if slashed && name.contains('*') => Shape::Firm,
        None if slashed && !is_idiom(token) => Shape::Slashed,
        None => Shape::Word,
    }
}

/// Returns the text after the last dot if possible as an extension; for a dot file, its name.
pub fn extension(name: &str) -> Option<&str> {
    let dot = name.bytes().rposition(|b| b == b'.')?;
    let (stem, extension) = (&name[..dot], &name[dot + 1..]);
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'?' | b'_' | b'-');
    let telling = |b: u8| b.is_ascii_alphabetic() || b == b'*';
    let named =
        stem.is_empty() || stem.contains(|c: char| c.is_alphanumeric() || "*?])}_".contains(c));
    let length = if stem.is_empty() { 2..=24 } else { 1..=16 };
    (named
        && length.contains(&extension.len())
        && extension.bytes().all(fits)
        && extension.bytes().any(telling))
    .then_some(extension)
}

/// Checks whether a path contains a wildcard.
pub fn has_wildcard(path: &str) -> bool {
    match path.bytes().find(|byte| matches!(byte, b'*' | b'?' | b'{')) {
        None => false,
        Some(b'{') => {
            path.contains(['*', '?'])
                || path.split_once('{').is_some_and(|(_, rest)| {
                    rest.split_once('}').is_some_and(|(choices, _)| choices.contains(','))
                })
        }
        Some(_) => true,
    }
}

/// Names of files without an extension, sorted.
const NAMES: [&str; 33] = [
    "AUTHORS",
    "BUILD",
    "Brewfile",
    "CHANGELOG",
    "CODEOWNERS",
    "CONTRIBUTING",
    "COPYING",
    "Caddyfile",
    "Containerfile",
    "Dockerfile",
    "Doxyfile",
    "GNUmakefile",
    "Gemfile",
    "HISTORY",
    "INSTALL",
    "Jenkinsfile",
    "Justfile",
    "LICENSE",
    "MAINTAINERS",
    "Makefile",
    "NEWS",
    "NOTICE",
    "Pipfile",
    "Podfile",
    "Procfile",
    "README",
    "Rakefile",
    "SECURITY",
    "Tiltfile",
    "Vagrantfile",
    "WORKSPACE",
    "justfile",
    "makefile",
];

fn is_well_known(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}

/// Product names that end like file names.
fn is_product(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "asp.net",
        "backbone.js",
        "chart.js",
        "d3.js",
        "ember.js",
        "express.js",
        "next.js",
        "node.js",
        "nuxt.js",
        "react.js",
        "socket.io",
        "three.js",
        "vue.js",
        ".net",
    ];
    NAMES.iter().any(|product| name.eq_ignore_ascii_case(product))
}

/// Words with a slash that are not paths.
fn is_idiom(token: &str) -> bool {
    const IDIOMS: [&str; 12] = [
        "a/b",
        "and/or",
        "ci/cd",
        "client/server",
        "either/or",
        "i/o",
        "input/output",
        "n/a",
        "read/write",
        "tcp/ip",
        "ui/ux",
        "yes/no",
    ];
    IDIOMS.iter().any(|idiom| token.eq_ignore_ascii_case(idiom))
}

/// Checks for extensions that make a name without a slash a file name in any context.
fn is_known(extension: &str) -> bool {
    let lower = || extension.bytes().map(|b| b.to_ascii_lowercase());
    EXTENSIONS.binary_search_by(|known| known.bytes().cmp(lower())).is_ok()
}

/// Known extensions, sorted.
const EXTENSIONS: [&str; 113] = [
    "adoc",
    "astro",
    "avsc",
    "bash",
    "bat",
    "bazel",
    "bib",
    "c",
    "cc",
    "cfg",
    "cjs",
    "clj",
    "cmake",
    "cmd",
    "conf",
    "cpp",
    "cs",
    "csproj",
    "css",
    "csv",
    "cts",
    "cxx",
    "dart",
    "db",
    "dockerfile",
    "env",
    "erl",
    "ex",
    "example",
    "exs",
    "feature",
    "fs",
    "gitignore",
    "go",
    "gql",
    "gradle",
    "graphql",
    "groovy",
    "h",
    "hcl",
    "hpp",
    "hs",
    "htm",
    "html",
    "ini",
    "ipynb",
    "java",
    "jl",
    "jpg",
    "js",
    "json",
    "json5",
    "jsonc",
    "jsonl",
    "jsx",
    "kt",
    "kts",
    "less",
    "lock",
    "log",
    "lua",
    "m",
    "md",
    "mdx",
    "mjs",
    "mk",
    "ml",
    "mod",
    "mts",
    "nix",
    "pdf",
    "php",
    "pl",
    "plist",
    "png",
    "po",
    "prisma",
    "properties",
    "proto",
    "ps1",
    "py",
    "pyi",
    "pyx",
    "r",
    "rb",
    "rs",
    "rst",
    "sass",
    "scala",
    "scss",
    "sh",
    "sql",
    "sqlite",
    "sum",
    "svelte",
    "svg",
    "swift",
    "tex",
    "tf",
    "tfvars",
    "toml",
    "ts",
    "tsx",
    "txt",
    "typed",
    "vue",
    "wasm",
    "xml",
    "xsd",
    "yaml",
    "yml",
    "zig",
    "zsh",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bisected_lists_are_sorted() {
        assert!(EXTENSIONS.is_sorted() && NAMES.is_sorted());
        assert!(is_known("YML") && is_known("zig") && !is_known("path"));
    }
}
