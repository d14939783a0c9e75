//! The files that a phase may change, by the memory's index of the repository: hints for an agent, and a proposal where
//! no agent can answer.

use crate::agent;
use crate::config::AgentSettings;
use crate::memory::file_ranking::{RankedFile, RankingInput, rank_files};
use crate::memory::{Collection, EntryFilter, Query};
use crate::phase::proposal::answer::{AnsweredPath, ProposedAnswer};
use crate::phase::proposal::tree_files::TreeFiles;
use crate::phase::proposal::{Confidence, PathRole};
use crate::phase::{FixedSpec, RunId, proposal::proposal_text};
use crate::prompt::{ScopeQuestion, compose_scope_question};

use super::{AttemptError, DrainContext};

/// Chunks looked up in the memory.
const CHUNKS: usize = 60;
/// Commits of the history looked at.
const COMMITS: usize = 400;
/// Files of a proposal by the memory alone.
const MOST_PROPOSED: usize = 10;
/// Files that may be related, in a question.
const HINTS: usize = 15;
/// Share of the best score that a proposed file has at least.
const LEAST_SHARE: f32 = 0.35;
/// Score of a file named in the text.
const NAMED: f32 = 2.0;

impl DrainContext {
    /// Returns the files of a commit.
    ///
    /// # Errors
    /// If git fails.
    pub async fn tree_files(&self, commit: &str) -> Result<TreeFiles, AttemptError> {
        let tree = self.repo.tree(commit).await?;
        Ok(TreeFiles::new(tree.paths().map(str::to_owned), tree.links().map(str::to_owned)))
    }

    /// Returns the first question for the scope of a phase that has none, as the next claim asks. Creates no branch.
    /// `None`: the agent answers no questions, and the memory's index proposes.
    ///
    /// # Errors
    /// If git or the database fails.
    pub async fn preview_scope_question(
        &self,
        run: &RunId,
        spec: &FixedSpec,
        agent: &AgentSettings,
    ) -> Result<Option<String>, AttemptError> {
        if !agent::answers_questions(agent) {
            return Ok(None);
        }
        let commit = match self.store.run_facts(run).await? {
            Some(_) => self.repo.tip(run).await?.commit,
            None => self.repo.plan_branch(run, self.base.as_deref()).await?.base_commit,
        };
        let tree = self.tree_files(&commit).await?;
        let ranked = self.rank_likely_files(spec, &tree, &commit, false).await?;
        Ok(Some(self.scope_question(spec, &tree, &ranked, &[])))
    }

    /// Composes the question for a scope.
    pub(super) fn scope_question(
        &self,
        spec: &FixedSpec,
        tree: &TreeFiles,
        ranked: &[RankedFile],
        refused: &[String],
    ) -> String {
        let likely: Vec<String> = ranked.iter().take(HINTS).map(|file| file.path.clone()).collect();
        let protected = &self.settings.workspace.protected_paths;
        compose_scope_question(&ScopeQuestion { spec, tree, likely: &likely, protected, refused })
    }

    /// Ranks the files of a commit for a phase. With `updates_index` the memory's index of the repository is brought up to
    /// date first, once per drain: worth the time where no agent answers. Without the memory, paths and history decide.
    ///
    /// # Errors
    /// If git fails. Problems of the memory are only noted.
    pub(super) async fn rank_likely_files(
        &self,
        spec: &FixedSpec,
        tree: &TreeFiles,
        commit: &str,
        updates_index: bool,
    ) -> Result<Vec<RankedFile>, AttemptError> {
        let text = proposal_text(spec);
        if updates_index && self.memory.is_on() {
            self.file_index.get_or_init(|| self.index_files()).await;
        }
        let found = self.find_chunks(&text).await;
        let files: Vec<&str> = tree.files().collect();
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let history = self.repo.recent_changes(commit, COMMITS).await?;
        let input = RankingInput { text: &text, files: &files, found: &found, history: &history };
        Ok(rank_files(&input))
    }

    /// Returns the files of similar chunks, best first.
    async fn find_chunks(&self, text: &str) -> Vec<String> {
        if !self.memory.is_on() {
            return Vec::new();
        }
        let filter = EntryFilter { collections: vec![Collection::CodeDocs], run: None };
        let query = Query { text: text.to_owned(), filter, everywhere: false, limit: CHUNKS };
        match self.memory.search(&query).await {
            Ok(snippets) => snippets.into_iter().map(|snippet| snippet.source).collect(),
            Err(error) => {
                self.note_once(&format!("memory: {error}; scopes are proposed without it"));
                Vec::new()
            }
        }
    }

    async fn index_files(&self) {
        let indexed = match self.repo.files().await {
            Ok(paths) => {
                let indexed = self.memory.index(self.repo.root(), &paths).await;
                // The vectors of the new chunks.
                let synced = match indexed {
                    Ok(_) => self.memory.sync(&|_, _| {}).await.map(|_| ()),
                    Err(error) => Err(error),
                };
                synced.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = indexed {
            self.note_once(&format!("memory: cannot index the repository: {error}"));
        }
    }
}

/// Turns a ranking into a proposal: the files near the best score.
pub(super) fn answer_of_ranking(ranked: &[RankedFile]) -> ProposedAnswer {
    let best = ranked.first().map_or(0.0, |file| file.score);
    let near = ranked.iter().take(MOST_PROPOSED).filter(|file| file.score >= best * LEAST_SHARE);
    let paths = near.map(|file| AnsweredPath {
        path: file.path.clone(),
        role: PathRole::Scope,
        reason: Some(file.reason.to_owned()),
    });
    let confidence = if best >= NAMED { Confidence::Medium } else { Confidence::Low };
    ProposedAnswer { paths: paths.collect(), confidence: Some(confidence) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_near_the_best_are_proposed() {
        let file = |path: &str, score| RankedFile { path: path.to_owned(), score, reason: "r" };
        let ranked = [file("a.rs", 1.0), file("b.rs", 0.5), file("c.rs", 0.1)];
        let answer = answer_of_ranking(&ranked);
        let paths: Vec<&str> = answer.paths.iter().map(|path| path.path.as_str()).collect();
        assert_eq!((paths, answer.confidence), (vec!["a.rs", "b.rs"], Some(Confidence::Low)));
        let named = answer_of_ranking(&[file("a.rs", 2.5)]);
        assert_eq!(named.confidence, Some(Confidence::Medium));
        assert!(answer_of_ranking(&[]).paths.is_empty());
    }
}
