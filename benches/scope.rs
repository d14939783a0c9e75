//! Scope proposals: how many of the files that a commit changed are among twice as many proposed, for the commits of this
//! repository in `tests/fixtures/scope_benchmark.jsonl`, on the tree before each. The weights of the ranking are chosen on
//! the older commits; the newer ones are held out.

use std::fs;
use std::path::Path;
use std::process::Command;

use autopack::config::{MemorySettings, QdrantSettings};
use autopack::memory::file_ranking::{RankingInput, rank_files};
use autopack::memory::{
    AutostartPermission, Collection, EntryFilter, Memory, MemoryLocation, Query,
};
use autopack::phase::proposal::answer::read_answer;
use autopack::phase::proposal::check::ProposalRules;
use autopack::phase::proposal::tree_files::TreeFiles;
use autopack::phase::proposal::{Origin, PastChange};
use autopack::phase::protected::ProtectedPaths;
use autopack::process::Redactor;
use serde::Deserialize;

use super::scale::Scale;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/scope_benchmark.jsonl");
/// As in the product.
const CHUNKS: usize = 60;
const COMMITS: usize = 400;
/// The scripted agent names this many of ten touched files, and as many files chosen at random as it misses.
const QUALITY: usize = 7;

#[derive(Deserialize)]
struct Task {
    parent: String,
    title: String,
    body: String,
    changed: Vec<String>,
}

/// Of three commits in order of time, the older two choose the weights.
const OLDER_OF_THREE: usize = 2;

/// Recall by part of the history.
struct SplitRecall {
    name: String,
    older: Recall,
    held_out: Recall,
}

impl SplitRecall {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), older: Recall::default(), held_out: Recall::default() }
    }

    fn add(&mut self, is_older: bool, proposed: &[&str], wanted: &[&str]) {
        let part = if is_older { &mut self.older } else { &mut self.held_out };
        part.add(proposed, wanted);
    }

    fn row(&self) -> String {
        format!("| {} | {} | {} |\n", self.name, self.older.cells(), self.held_out.cells())
    }
}

/// Found and wanted files.
#[derive(Default)]
struct Recall {
    found: usize,
    wanted: usize,
    shares: f64,
    tasks: usize,
}

impl Recall {
    fn add(&mut self, proposed: &[&str], wanted: &[&str]) {
        let most = wanted.len() * 2;
        let found = proposed.iter().take(most).filter(|file| wanted.contains(file)).count();
        self.found += found;
        self.wanted += wanted.len();
        self.shares += found as f64 / wanted.len() as f64;
        self.tasks += 1;
    }

    fn cells(&self) -> String {
        let files = self.found as f64 / self.wanted.max(1) as f64;
        let tasks = self.shares / self.tasks.max(1) as f64;
        format!("{:.0}% | {:.0}%", files * 100.0, tasks * 100.0)
    }
}

pub fn section(scale: &Scale) -> String {
    let text = fs::read_to_string(FIXTURE).expect("the fixture");
    let mut tasks: Vec<Task> =
        text.lines().map(|line| serde_json::from_str(line).expect("a task")).collect();
    let known = |task: &Task| git(Path::new(root()), &["cat-file", "-e", &task.parent]).is_some();
    tasks.retain(known);
    if scale.quick {
        tasks.truncate(20);
    }
    // Oldest first: the index follows the history.
    tasks.reverse();
    let directory = tempfile::tempdir().expect("a directory");
    let clone = directory.path().join("repository");
    let clone_text = clone.display().to_string();
    git(Path::new(root()), &["clone", "-q", "--shared", "--no-checkout", root(), &clone_text])
        .expect("a clone");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut memory = SplitRecall::new("the memory: full text, vectors, paths and history");
    let mut paths_only = SplitRecall::new("the same without the memory: paths and history");
    let mut agent = SplitRecall::new(format!(
        "a scripted agent that names {QUALITY} of 10 changed files, through the reader and the rules"
    ));
    let older = tasks.len() * OLDER_OF_THREE / 3;
    let index = runtime.block_on(open_memory(&clone));
    for (number, task) in tasks.iter().enumerate() {
        git(&clone, &["checkout", "-q", "--force", "--detach", &task.parent]).expect("a checkout");
        let is_older = number < older;
        let tree = tree_of(&clone, &task.parent);
        let wanted: Vec<&str> =
            task.changed.iter().map(String::as_str).filter(|file| tree.has_file(file)).collect();
        if wanted.is_empty() {
            continue;
        }
        let history = history_of(&clone, &task.parent);
        let question = format!("{}\n{}", task.title, task.body);
        let files: Vec<&str> = tree.files().collect();
        let found = runtime.block_on(search(&index, &clone, &files, &question));
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        for (recall, found) in [(&mut memory, found.as_slice()), (&mut paths_only, &[])] {
            let input = RankingInput { text: &question, files: &files, found, history: &history };
            let ranked = rank_files(&input);
            let proposed: Vec<&str> = ranked.iter().map(|file| file.path.as_str()).collect();
            recall.add(is_older, &proposed, &wanted);
        }
        let proposed = scripted_agent(number, &wanted, &files, &tree);
        let proposed: Vec<&str> = proposed.iter().map(String::as_str).collect();
        agent.add(is_older, &proposed, &wanted);
    }
    runtime.block_on(index.close());
    format!(
        "{} commits of this repository: title and body are the task, the tree is the one before. Recall of the changed files with twice as\n\
         many files proposed as the commit changed: of all files, and the mean over commits. Added files are left out. The older {}\n\
         commits had a part in the choice of the ranking's weights, the newer {} are held out.\n\n\
         | proposed by | older: of all files | mean | held out: of all files | mean |\n|---|---|---|---|---|\n{}{}{}",
        memory.older.tasks + memory.held_out.tasks,
        memory.older.tasks,
        memory.held_out.tasks,
        memory.row(),
        paths_only.row(),
        agent.row(),
    )
}

fn root() -> &'static str {
    env!("CARGO_MANIFEST_DIR")
}

/// Runs git; `None` if it fails.
fn git(directory: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(directory).args(args).output().expect("git");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn open_memory(workspace: &Path) -> Memory {
    let qdrant = QdrantSettings { autostart: false, ..QdrantSettings::default() };
    let settings = MemorySettings { use_qdrant: false, qdrant, ..MemorySettings::default() };
    let location = MemoryLocation {
        workspace: workspace.to_owned(),
        autopack_dir: workspace.join(".autopack"),
        docker_host: None,
        provider_key: None,
        redactor: Redactor::formats_only(),
        repository: None,
    };
    let opened = Memory::open(&settings, &location, AutostartPermission::CheckOnly).await;
    opened.expect("the memory").memory
}

/// Brings the index up to date, and returns the files of similar chunks.
async fn search(memory: &Memory, root: &Path, files: &[&str], text: &str) -> Vec<String> {
    let paths: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
    memory.index(root, &paths).await.expect("an index");
    memory.sync(&|_, _| {}).await.expect("vectors");
    let filter = EntryFilter { collections: vec![Collection::CodeDocs], run: None };
    let query = Query { text: text.to_owned(), filter, everywhere: false, limit: CHUNKS };
    let found = memory.search(&query).await.expect("a search");
    found.into_iter().map(|snippet| snippet.source).collect()
}

fn tree_of(clone: &Path, commit: &str) -> TreeFiles {
    let listed = git(clone, &["ls-tree", "-r", "-z", "--full-tree", commit]).expect("a tree");
    let entries: Vec<(&str, &str)> =
        listed.split('\0').filter_map(|entry| entry.split_once('\t')).collect();
    let links = entries.iter().filter(|(facts, _)| facts.starts_with("120000"));
    TreeFiles::new(
        entries.iter().map(|(_, path)| (*path).to_owned()),
        links.map(|(_, path)| (*path).to_owned()),
    )
}

fn history_of(clone: &Path, commit: &str) -> Vec<PastChange> {
    let count = format!("--max-count={COMMITS}");
    let form = "--format=%x01%B%x02";
    let args = ["log", "--no-merges", "--no-renames", "--name-only", form, &count, commit, "--"];
    let text = git(clone, &args).expect("the history");
    let commits = text.split('\u{1}').filter_map(|commit| commit.split_once('\u{2}'));
    commits
        .map(|(message, files)| PastChange {
            message: message.trim().to_owned(),
            files: files.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect(),
        })
        .collect()
}

/// Answers like an agent of known quality, with the same choice in each run: the answer goes through the reader and the
/// rules for proposals.
fn scripted_agent(number: usize, wanted: &[&str], files: &[&str], tree: &TreeFiles) -> Vec<String> {
    let named: Vec<&str> = wanted
        .iter()
        .enumerate()
        .map(|(at, file)| match (number * 7 + at * 3) % 10 < QUALITY {
            true => *file,
            false => files[(number * 131 + at * 17) % files.len()],
        })
        .collect();
    let json = serde_json::json!({"deliverables": named, "confidence": 0.7});
    let answer = read_answer(&format!("These files:\n```json\n{json}\n```")).expect("an answer");
    let protected = ProtectedPaths::new(&[]);
    let rules = ProposalRules {
        tree,
        protected: &protected,
        workspace: None,
        is_from_tracker: false,
        own_protected: &[],
        read_only: &[],
    };
    let proposal = rules.check(&answer, Origin::Agent("scripted".to_owned())).expect("a proposal");
    proposal.paths.into_iter().map(|path| path.path).collect()
}
