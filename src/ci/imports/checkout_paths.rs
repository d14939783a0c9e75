//! Finds absolute paths into the user's checkout in files that direct build tools: Go's `replace` and `use`, Cargo's
//! `path`, `paths` and `[patch]`, npm's `file:` and `link:`, pip's `-e`, tsconfig paths.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::ci_place::CiPlace;
use super::super::ci_plan::CiPlan;
use super::super::project_files::{FOREIGN, FOREIGN_PROJECTS};
use super::super::runners::go_workspace;
use super::build_tool::BuildTool;
use super::command_paths::is_made;

/// Search depth below CI's directory.
const DEPTH: usize = 6;
/// Files above this size are skipped: they are generated, and not of any kind read here.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// Keys of a Cargo configuration for programs and other files that are not sources.
const CARGO_TOOLS: [&str; 7] =
    ["ar", "linker", "runner", "rustc", "rustc-wrapper", "rustdoc", "target-dir"];

/// Describes the first such path in a file read by CI, with the remedy, for people.
pub fn find_checkout_path(place: &CiPlace<'_>, plan: &CiPlan) -> Option<String> {
    let (copy, checkout) = (place.dir.canonicalize().ok()?, place.workspace.canonicalize().ok()?);
    let checkout = Checkout { copy: &copy, root: &checkout };
    let here = copy.join(&plan.reported_from);
    for (tool, file) in files(place, plan, &copy, &here) {
        let Some((line, path)) = checkout.first_path(tool, &file) else { continue };
        let is_ours = file.starts_with(&copy);
        let shown = file.strip_prefix(&copy).unwrap_or(&file);
        let cure = match is_ours {
            true => "write a path relative to that file",
            false => "remove that line: the file is read for every project below its directory",
        };
        return Some(format!(
            "ci would test your checkout instead of the change: line {line} of {} names {}; {cure}",
            shown.display(),
            path.display()
        ));
    }
    None
}

/// Returns the build tools of this plan's command; all of them if unknown.
pub(super) fn tools(plan: &CiPlan) -> &'static [BuildTool] {
    plan.runner.map_or(&BuildTool::ALL, |runner| runner.build_tools())
}

fn files(
    place: &CiPlace<'_>,
    plan: &CiPlan,
    copy: &Path,
    here: &Path,
) -> Vec<(BuildTool, PathBuf)> {
    let mut found = Vec::new();
    let tools = tools(plan);
    if tools.contains(&BuildTool::Go) {
        found.extend(go_files(here).into_iter().map(|file| (BuildTool::Go, file)));
    }
    if tools.contains(&BuildTool::Cargo) {
        let above = copy.ancestors().skip(1).map(|dir| dir.join(".cargo"));
        let get = |name: &str| place.env.get(OsStr::new(name)).map(PathBuf::from);
        let home = get("CARGO_HOME").or_else(|| Some(get("HOME")?.join(".cargo")));
        let configs =
            above.chain(home).flat_map(|dir| [dir.join("config.toml"), dir.join("config")]);
        found.extend(configs.filter(|file| file.is_file()).map(|file| (BuildTool::Cargo, file)));
    }
    let mut see = |file: PathBuf| {
        let tool = tool_of(&file).filter(|tool| *tool != BuildTool::Go && tools.contains(tool));
        found.extend(tool.map(|tool| (tool, file)));
    };
    for dir in here.ancestors().skip(1).take_while(|dir| dir.starts_with(copy)) {
        walk(dir, 0, &mut see);
    }
    walk(here, DEPTH, &mut see);
    found
}

/// Returns the nearest `go.work` and its modules, else the nearest `go.mod`: Go reads no other files.
fn go_files(here: &Path) -> Vec<PathBuf> {
    let nearest =
        |name: &str| here.ancestors().map(|dir| dir.join(name)).find(|file| file.is_file());
    let Some(work) = nearest("go.work") else { return nearest("go.mod").into_iter().collect() };
    let text = fs::read_to_string(&work).unwrap_or_default();
    let top = work.parent().unwrap_or(here).to_owned();
    let modules = go_workspace::package_patterns(&text).into_iter().map(|pattern| {
        let module = pattern.trim_start_matches("./").trim_end_matches("...").trim_end_matches('/');
        top.join(module).join("go.mod")
    });
    let modules: Vec<PathBuf> = modules.filter(|file| file.is_file()).collect();
    std::iter::once(work.clone()).chain(modules).collect()
}

fn tool_of(file: &Path) -> Option<BuildTool> {
    let name = file.file_name()?.to_str()?;
    let starts = |start: &str, end: &str| name.starts_with(start) && name.ends_with(end);
    Some(match name {
        "go.mod" | "go.work" => BuildTool::Go,
        "Cargo.toml" => BuildTool::Cargo,
        "config.toml" | "config" if file.parent()?.ends_with(".cargo") => BuildTool::Cargo,
        "package.json"
        | "package-lock.json"
        | "pnpm-lock.yaml"
        | "pnpm-workspace.yaml"
        | "yarn.lock"
        | ".npmrc" => BuildTool::Node,
        _ if starts("tsconfig", ".json") || starts("jsconfig", ".json") => BuildTool::Node,
        "pyproject.toml" | "setup.cfg" | "Pipfile" | "pytest.ini" | "tox.ini" => BuildTool::Python,
        _ if starts("requirements", ".txt") || starts("constraints", ".txt") => BuildTool::Python,
        _ if name.ends_with(".pth") => BuildTool::Python,
        _ => return None,
    })
}

fn walk(dir: &Path, depth: usize, see: &mut dyn FnMut(PathBuf)) {
    let mut entries: Vec<fs::DirEntry> =
        fs::read_dir(dir).into_iter().flatten().flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.file_type() {
            Ok(kind) if kind.is_file() => see(entry.path()),
            // Cargo reads its configuration from every directory above.
            Ok(kind) if kind.is_dir() && name == ".cargo" => walk(&entry.path(), 0, see),
            Ok(kind) if kind.is_dir() && depth > 0 => {
                let is_other = name.starts_with('.')
                    || FOREIGN.contains(&name.as_str())
                    || FOREIGN_PROJECTS.contains(&name.as_str());
                if !is_other {
                    walk(&entry.path(), depth - 1, see);
                }
            }
            _ => {}
        }
    }
}

/// The user's checkout, with links in its path resolved.
struct Checkout<'a> {
    root: &'a Path,
    copy: &'a Path,
}

impl Checkout<'_> {
    /// Returns the first line with a path in the checkout, and the path.
    fn first_path(&self, tool: BuildTool, file: &Path) -> Option<(usize, PathBuf)> {
        let size = fs::metadata(file).map_or(u64::MAX, |metadata| metadata.len());
        let bytes = (size <= MOST_BYTES).then(|| fs::read(file).ok())??;
        let text = String::from_utf8_lossy(&bytes);
        text.lines().enumerate().find_map(|(at, line)| {
            let code = without_comment(tool, line);
            let key = code.split('=').next().unwrap_or_default().trim();
            if tool == BuildTool::Cargo && CARGO_TOOLS.contains(&key) {
                return None;
            }
            let path = absolute_paths(code).find(|path| self.holds(path))?;
            Some((at + 1, path))
        })
    }

    /// Whether a path is source code in the checkout. Installed and built files are excluded: they are not part of the
    /// change.
    fn holds(&self, path: &Path) -> bool {
        let known = path.ancestors().find_map(|known| Some((known, known.canonicalize().ok()?)));
        let Some((known, real)) = known else { return false };
        let whole = real.join(path.strip_prefix(known).unwrap_or(Path::new("")));
        let Ok(below) = whole.strip_prefix(self.root) else { return false };
        !is_made(below) && !whole.starts_with(self.copy)
    }
}

fn without_comment(tool: BuildTool, line: &str) -> &str {
    let sign = match tool {
        BuildTool::Go | BuildTool::Node => "//",
        BuildTool::Cargo | BuildTool::Python => "#",
    };
    match tool {
        BuildTool::Go => line.split(sign).next().unwrap_or_default(),
        _ if line.trim_start().starts_with(sign) => "",
        _ => line.split(&format!(" {sign}")).next().unwrap_or_default(),
    }
}

/// Extracts quoted strings and words: `"/a b/c"`, `-e /a/c`, `file:///a/c`, `--dir=/a/c`.
fn absolute_paths(line: &str) -> impl Iterator<Item = PathBuf> {
    let quoted = line.split(['"', '\'', '`']).skip(1).step_by(2);
    let words = line.split(|c: char| c.is_whitespace() || "\"'`,()[]{}".contains(c));
    quoted.chain(words).filter_map(|text| {
        let start = ["git+file://", "file://", "file:", "link:", "portal:"]
            .iter()
            .find(|scheme| text.starts_with(**scheme))
            .map_or(0, |scheme| scheme.len());
        let text = text.get(start..)?;
        let text = if text.starts_with('/') { text } else { text.split_once('=')?.1 };
        (text.starts_with('/') && !text.starts_with("//"))
            .then(|| PathBuf::from(text.trim_end_matches(['*', ';', '/'])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_checkout_is_found_in_the_files_of_each_tool() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        let (root, copy) = (top.join("the checkout"), top.join("copy"));
        for dir in [root.join("lib"), copy.clone(), top.join("the checkout of another")] {
            fs::create_dir_all(dir).unwrap();
        }
        std::os::unix::fs::symlink(&root, top.join("link")).unwrap();
        let checkout = Checkout { root: &root, copy: &copy };
        let (lib, linked) =
            (root.join("lib").display().to_string(), top.join("link/lib").display().to_string());
        let other = top.join("the checkout of another").display().to_string();
        for (name, line, found) in [
            ("go.mod", format!("replace m/lib => \"{lib}\""), true),
            ("go.mod", format!("replace m/lib => {linked} // ours"), true),
            ("go.mod", format!("// replace m/lib => \"{lib}\""), false),
            ("go.mod", format!("replace m/lib => \"{other}\""), false),
            ("go.work", format!("\tuse {linked}"), true),
            ("Cargo.toml", format!("lib = {{ path = \"{lib}\" }}"), true),
            ("Cargo.toml", format!("lib = {{ git = \"file://{lib}\" }}"), true),
            ("Cargo.toml", format!("# lib = {{ path = \"{lib}\" }}"), false),
            (".cargo/config.toml", format!("paths = [\"{lib}\"]"), true),
            (".cargo/config.toml", format!("target-dir = \"{lib}\""), false),
            (".cargo/config.toml", format!("x = \"{lib}/target/debug\""), false),
            ("package.json", format!("    \"lib\": \"file:{lib}\","), true),
            ("package.json", format!("    \"lib\": \"link:{linked}\""), true),
            ("package.json", "    \"url\": \"https://example.com/lib\"".to_owned(), false),
            ("tsconfig.base.json", format!("\"@lib/*\": [\"{lib}/src/*\"]"), true),
            ("requirements-dev.txt", format!("-e {linked}"), true),
            ("requirements.txt", format!("lib @ file://{linked}"), true),
            ("pytest.ini", format!("addopts = --rootdir={linked}"), true),
            ("setup.cfg", format!("python = {linked}/.venv/bin/python"), false),
            ("lib.pth", linked.clone(), true),
        ] {
            let file = copy.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, format!("first\n{line}\n")).unwrap();
            let tool = tool_of(&file).unwrap();
            let seen = checkout.first_path(tool, &file).map(|(line, _)| line);
            assert_eq!(seen, found.then_some(2), "{name}: {line}");
        }
    }

    #[test]
    fn go_reads_the_nearest_workspace_with_its_modules_or_the_nearest_module() {
        let temp = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = temp.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let read = |dir: &str| -> Vec<String> {
            let files = go_files(&temp.path().join(dir));
            let shown =
                |file: &PathBuf| file.strip_prefix(temp.path()).unwrap().display().to_string();
            files.iter().map(shown).collect()
        };
        write("go.mod", "module m\n");
        write("examples/go.mod", "module e\n");
        write("a/x.go", "");
        assert_eq!(read(""), ["go.mod"]);
        assert_eq!(read("a"), ["go.mod"]);
        write("go.work", "use .\nuse ./a\n");
        assert_eq!(read("a"), ["go.work", "go.mod"]);
    }
}
