//! Paths as people write them and the parsed results.

use super::*;

fn inside(path: &str) -> String {
    match normalize(path, Some("/home/u/project")) {
        Ok(NormalizedPath::Inside(path)) => path,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn paths_come_out_relative_and_clean() {
    for (written, clean) in [
        ("src/a.py", "src/a.py"),
        ("src\\foo\\a.py", "src/foo/a.py"),
        ("./src//a.py", "src/a.py"),
        ("src/./a.py", "src/a.py"),
        ("docs/", "docs/"),
        ("docs//", "docs/"),
        ("src/../lib/a.py", "lib/a.py"),
        ("/home/u/project/src/a.py", "src/a.py"),
        ("../project/src/a.py", "src/a.py"),
        ("app/(auth)/[slug]/page.tsx", "app/(auth)/[slug]/page.tsx"),
        ("src/**/*.py", "src/**/*.py"),
        ("dögs/ünï.md", "dögs/ünï.md"),
    ] {
        assert_eq!(inside(written), clean);
    }
}

#[test]
fn paths_outside_the_repository_are_reported() {
    for (written, why) in [
        ("/etc/passwd", PathError::Absolute),
        ("/home/u/project2/a.py", PathError::Absolute),
        ("/home/u/project/../other/a.py", PathError::Absolute),
        ("../a.py", PathError::Parent),
        ("src/../../a.py", PathError::Parent),
        ("..\\..\\a.py", PathError::Parent),
        ("src/**/../a.py", PathError::Parent),
        ("C:\\dev\\a.py", PathError::Drive),
        ("C:a.py", PathError::Drive),
        ("~/a.py", PathError::Home),
        ("~root/a.py", PathError::Home),
        ("x/../~/a.py", PathError::Home),
        ("\\\\server\\share\\a.py", PathError::Absolute),
        ("a\0b.py", PathError::Nul),
    ] {
        assert_eq!(normalize(written, Some("/home/u/project")), Err(why), "{written}");
        assert!(normalize(written, None).is_err(), "{written}");
    }
}

#[test]
fn the_root_is_distinguished() {
    for root in [".", "./", "src/..", "/home/u/project", "/home/u/project/"] {
        assert_eq!(normalize(root, Some("/home/u/project")), Ok(NormalizedPath::Root), "{root}");
    }
}

#[test]
fn reserved_directories_are_found_at_any_depth() {
    for path in [".git", ".git/config", "vendor/x/.git/hooks/pre-commit", ".GIT/config"] {
        assert_eq!(reserved(path), Some(".git"), "{path}");
    }
    assert_eq!(reserved(".autopack/autopack.db"), Some(".autopack"));
    for path in [".gitignore", ".github/workflows/ci.yml", "src/git/a.py", ".autopackx"] {
        assert_eq!(reserved(path), None, "{path}");
    }
}

fn read(line: &str) -> entry::Entry {
    entry::read(line, entry::List::Deliverables, Some("/home/u/project"))
}

/// Entries with a single deliverable; `true` if words beside the path are kept.
#[test]
fn deliverables_are_found_in_what_people_write() {
    for (line, path, prose) in [
        ("src/a.py", "src/a.py", false),
        ("  src/a.py  ", "src/a.py", false),
        ("- src/a.py", "src/a.py", false),
        ("* `src/a.py`", "src/a.py", false),
        ("1. src/a.py", "src/a.py", false),
        ("- [ ] src/a.py", "src/a.py", false),
        ("\"src/a.py\"", "src/a.py", false),
        ("'src/a.py',", "src/a.py", false),
        ("**src/a.py**", "src/a.py", false),
        ("[a.py](src/a.py)", "src/a.py", false),
        ("<src/a.py>", "src/a.py", false),
        ("file.py (10+ tests)", "file.py", true),
        ("file.py(10+ tests)", "file.py", true),
        ("file.py - why", "file.py", true),
        ("file.py — why", "file.py", true),
        ("file.py: why", "file.py", true),
        ("`file.py` - why", "file.py", true),
        ("src/a.py:120-140", "src/a.py", true),
        ("tests/test_a.py::TestA::test_b", "tests/test_a.py", true),
        ("docs/a.md#usage", "docs/a.md", true),
        ("requirements.txt updated with x", "requirements.txt", true),
        ("src/x.py modifications (scan trigger)", "src/x.py", true),
        ("app/(auth)/[slug]/page.tsx", "app/(auth)/[slug]/page.tsx", false),
        ("app/(auth)/[slug]/page.tsx (the page)", "app/(auth)/[slug]/page.tsx", true),
        ("Extended src/a/b.py with enforcement methods", "src/a/b.py", true),
        ("Documentation in docs/DONE.md.", "docs/DONE.md", true),
        ("NEW: src/a.py", "src/a.py", true),
        ("tests/unit/ (100+ unit tests)", "tests/unit/", true),
        ("docs/", "docs/", false),
        ("src/foo", "src/foo", false),
        ("src/foo (the module)", "src/foo", true),
        ("Makefile", "Makefile", false),
        ("Dockerfile for the backend", "Dockerfile", true),
        (".gitignore", ".gitignore", false),
        (".env.example", ".env.example", false),
        ("alembic/versions/*_add.py migration", "alembic/versions/*_add.py", true),
        ("src/**/*.py", "src/**/*.py", false),
        ("src/{a,b}.py", "src/{a,b}.py", false),
        ("docs/Release Notes.md", "docs/Release Notes.md", false),
        ("`docs/Release Notes.md` - for users", "docs/Release Notes.md", true),
        ("src/$(touch pwned).txt", "src/$(touch pwned).txt", false),
        ("- `src/$(touch pwned).txt` (new)", "src/$(touch pwned).txt", true),
        ("app/(my group)/page.tsx - the page", "app/(my group)/page.tsx", true),
        ("[](auth)/[slug]/page.tsx", "[](auth)/[slug]/page.tsx", false),
        ("[the page](src/page.tsx)", "src/page.tsx", false),
        ("src/a.py(see b/c.py)", "src/a.py", true),
        ("src\\foo\\a.py (main)", "src/foo/a.py", true),
        ("dögs/ünï.md (ü)", "dögs/ünï.md", true),
    ] {
        let entry = read(line);
        assert_eq!(
            (entry.paths.as_slice(), entry.prose),
            ([path.to_owned()].as_slice(), prose),
            "{line}"
        );
    }
}

#[test]
fn several_paths_in_one_entry_are_all_taken() {
    for line in [
        "src/a.py, docs/b.md",
        "src/a.py docs/b.md",
        "src/a.py and docs/b.md",
        "- src/a.py; docs/b.md",
    ] {
        let entry = read(line);
        assert_eq!(
            (entry.paths.as_slice(), entry.prose),
            (["src/a.py".into(), "docs/b.md".into()].as_slice(), false),
            "{line}"
        );
    }
}

#[test]
fn a_note_behind_a_dash_loses_no_later_path() {
    for (line, paths) in [
        ("src/z.py — the thing, src/q.py", vec!["src/z.py", "src/q.py"]),
        ("src/z.py - the thing, with care, src/q.py", vec!["src/z.py", "src/q.py"]),
        ("src/z.py – new, setup.py", vec!["src/z.py", "setup.py"]),
        (
            "src/z.py: the thing, src/q.py - why, docs/a.md",
            vec!["src/z.py", "src/q.py", "docs/a.md"],
        ),
        ("docs/a.md: cover install, config.yaml", vec!["docs/a.md"]),
        ("src/z.py - calls src/q.py, and tests", vec!["src/z.py"]),
        ("src/z.py - faster, and smaller", vec!["src/z.py"]),
    ] {
        let entry = read(line);
        assert_eq!(
            (entry.paths.iter().map(String::as_str).collect(), entry.prose),
            (paths, true),
            "{line}"
        );
    }
}

#[test]
fn prose_is_no_path() {
    for line in [
        "Improved error messages throughout codebase",
        "sentence-transformers integration",
        "validate_semantic_embeddings() function",
        "Node.js integration",
        "CI/CD pipeline",
        "CI/CD",
        "and/or",
        "POST /runs/{run_id}/phases endpoint",
        "/health endpoint returns 200",
        "see https://example.com/docs/x.html",
        "https://example.com/docs/x.html",
        "version 1.2.3",
        "80% coverage",
        "works w/ Redis",
        "documentation",
    ] {
        let entry = read(line);
        assert!(
            entry.paths.is_empty() && entry.escapes.is_empty() && entry.prose,
            "{line}: {entry:?}"
        );
    }
}

#[test]
fn a_lone_name_in_a_sentence_is_only_a_hint() {
    let entry = read("Approval endpoint in main.py");
    assert_eq!((entry.paths.len(), entry.hint.as_deref()), (0, Some("main.py")));
}

#[test]
fn deleted_and_alternative_paths_are_only_mentions() {
    for (line, mentions) in [
        ("Delete src/old.py", vec!["src/old.py"]),
        ("src/old.py (removed)", vec!["src/old.py"]),
        ("src/old.py -> src/new.py", vec!["src/old.py", "src/new.py"]),
        ("Teach src/a.py what src/b.py knows", vec!["src/a.py", "src/b.py"]),
        ("All files under src/foo/", vec!["src/foo/"]),
    ] {
        let entry = read(line);
        assert_eq!(
            (entry.paths.len(), entry.mentions),
            (0, mentions.iter().map(|m| (*m).to_owned()).collect()),
            "{line}"
        );
    }
}

#[test]
fn entries_that_leave_the_repository_are_refused() {
    for line in [
        "/etc/passwd",
        "/etc/passwd (all users)",
        "../outside.py",
        "..",
        "../..",
        "src/../../outside.py - why",
        "Extended ../other/src/a.py with more",
        "C:\\dev\\x.py",
        "`C:/dev/x.py` (main)",
        "~/x.py",
        "~/.bashrc",
        ".git/config",
        ".git/hooks/pre-commit (a hook)",
        ".autopack/autopack.db",
        "a\0b.py",
    ] {
        let entry = read(line);
        assert!(entry.paths.is_empty() && entry.escapes.len() == 1, "{line}: {entry:?}");
    }
}

#[test]
fn the_workspaces_own_path_may_hold_spaces() {
    let read = |line| entry::read(line, entry::List::Deliverables, Some("/home/u/my project"));
    assert_eq!(read("/home/u/my project/src/a.py (main)").paths, ["src/a.py"]);
}

#[test]
fn lone_words_are_places_in_a_scope_only() {
    let scope = |line| entry::read(line, entry::List::Scope, None).paths;
    assert_eq!(scope("src"), ["src"]);
    assert_eq!(scope("src/foo module"), ["src/foo"]);
    assert!(scope("the whole backend").is_empty());
    assert!(read("src").paths.is_empty());
    for root in [".", "./", "*", "**", "**/*", "./*"] {
        assert!(scope(root).is_empty(), "{root}");
    }
}

/// `src/foo(the` would be half of a bracketed text, and no real path.
#[test]
fn half_a_bracket_is_no_path() {
    for line in ["src/foo(the module)", "src/$(touch pwned)", "src/$(touch the pwned).txt now"] {
        for list in [entry::List::Deliverables, entry::List::Scope] {
            let entry = entry::read(line, list, None);
            let cut = |path: &String| path.matches('(').count() != path.matches(')').count();
            assert!(!entry.paths.iter().chain(&entry.hint).any(cut), "{line}: {entry:?}");
            assert!(entry.prose, "{line}");
        }
    }
    let entry = read("write src/$(touch pwned) into pwned).txt");
    assert_eq!((entry.paths.len(), entry.hint), (0, None));
}

#[test]
fn git_may_be_named_where_it_is_not_written_to() {
    assert_eq!(entry::read(".git/", entry::List::Context, None).paths, [".git/"]);
}

#[test]
fn several_paths_in_one_entry_are_all_read() {
    for (line, paths, prose) in [
        ("src/r.py, src/s.py (new)", &["src/r.py", "src/s.py"][..], true),
        ("src/r.py (old); src/s.py (new)", &["src/r.py", "src/s.py"], true),
        ("src/r.py (a, b and c) and src/s.py (new)", &["src/r.py", "src/s.py"], true),
        ("- `src/r.py`, `src/s.py` - both new", &["src/r.py", "src/s.py"], true),
        ("src/r.py & src/s.py & docs/ (new)", &["src/r.py", "src/s.py", "docs/"], true),
        ("src/r.py + src/s.py", &["src/r.py", "src/s.py"], false),
        ("src/r.py, src/s.py, and README.md updated", &["src/r.py", "src/s.py", "README.md"], true),
        ("src/r.py - reads, src/s.py - writes", &["src/r.py", "src/s.py"], true),
        ("src/r.py: reads; src/s.py: writes", &["src/r.py", "src/s.py"], true),
        ("src/r.py(new),src/s.py(new)", &["src/r.py", "src/s.py"], true),
        ("src/old.py (removed), src/new.py (new)", &["src/new.py"], true),
        ("src/r.py updated, src/s.py added", &["src/r.py", "src/s.py"], true),
        // Prose stays prose.
        ("src/r.py (reads a.txt, b.txt)", &["src/r.py"], true),
        ("src/r.py - parser, lexer", &["src/r.py"], true),
        ("src/r.py, see src/s.py", &["src/r.py"], true),
        ("src/r.py - uses a.py, src/s.py", &["src/r.py"], true),
        ("src/{a,b}.py, src/c.py (new)", &["src/{a,b}.py", "src/c.py"], true),
        ("Join src/r.py and src/s.py there", &[], true),
        ("Delete src/r.py, src/s.py", &[], true),
    ] {
        let entry = read(line);
        assert_eq!(
            (entry.paths.as_slice(), entry.prose),
            (paths.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice(), prose),
            "{line}"
        );
    }
}
