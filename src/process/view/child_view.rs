//! A program's job in terms of its view: paths of the machine become the paths that the program sees.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::spec::{Mount, ViewMode, ViewSpec};
use crate::process::PathReplacement;
use crate::process::job::{Job, ListenerObserver};

/// A view for the jobs of one attempt, with the connections to autopack.
#[derive(Clone)]
pub struct ChildView {
    spec: Arc<ViewSpec>,
    /// The longest source first.
    replacements: Vec<PathReplacement>,
    on_listeners: Option<ListenerObserver>,
    scratch: Option<PathBuf>,
}

impl ChildView {
    /// Creates a view. `on_listeners` serves the sockets of a limited network.
    pub fn new(spec: ViewSpec, on_listeners: Option<ListenerObserver>) -> Self {
        let mut moved: Vec<(&Path, &Path)> = spec.mounts.iter().filter_map(Mount::moved).collect();
        moved.sort_by_key(|(source, _)| std::cmp::Reverse(source.as_os_str().len()));
        let replacements =
            moved.iter().map(|(from, to)| PathReplacement::new(&[*from], to)).collect();
        Self { spec: Arc::new(spec), replacements, on_listeners, scratch: None }
    }

    /// Sets a directory outside of the view for files that the program leaves for autopack.
    #[must_use]
    pub fn with_scratch(mut self, scratch: Option<PathBuf>) -> Self {
        self.scratch = scratch;
        self
    }

    /// Returns the directory for files that the program leaves for autopack.
    pub fn scratch(&self) -> Option<&Path> {
        self.scratch.as_deref()
    }

    /// Returns the description of the view.
    pub fn spec(&self) -> &ViewSpec {
        &self.spec
    }

    /// Whether checkouts are seen at the path of the user's checkout.
    pub fn moves_checkouts(&self) -> bool {
        self.spec.mode == ViewMode::Namespaces
    }

    /// Returns where the program sees a path of the machine.
    pub fn inside(&self, path: &Path) -> PathBuf {
        self.spec.inside(path)
    }

    /// Runs a job in this view: replaces the paths in its arguments, environment and directory.
    #[must_use]
    pub fn enter<'a>(&self, mut job: Job<'a>) -> Job<'a> {
        job.cwd = self.inside(&job.cwd);
        for argument in &mut job.argv {
            self.replace(argument);
        }
        for value in job.env.values_mut() {
            self.replace(value);
        }
        job.view = Some(self.spec.clone());
        job.on_listeners.clone_from(&self.on_listeners);
        job
    }

    fn replace(&self, text: &mut OsString) {
        for replacement in &self.replacements {
            if let Some(changed) = replacement.apply(OsStr::as_bytes(text)) {
                *text = OsString::from_vec(changed);
            }
        }
    }
}

/// Runs a job in a view, if there is one.
#[must_use]
pub fn enter<'a>(view: Option<&ChildView>, job: Job<'a>) -> Job<'a> {
    match view {
        Some(view) => view.enter(job),
        None => job,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::spec::Access;
    use super::*;

    #[test]
    fn a_job_names_what_its_program_sees() {
        let bind = |source: &str, target: &str| Mount::Bind {
            source: source.into(),
            target: target.into(),
            access: Access::ReadWrite,
        };
        let spec = ViewSpec {
            mounts: vec![
                bind("/slots/app-1", "/home/me/app"),
                bind("/home/me/app/.autopack/attempts/1", "/run/autopack/attempt"),
            ],
            ..ViewSpec::new(ViewMode::Namespaces)
        };
        let env = [("LOG".into(), "/home/me/app/.autopack/attempts/1/log".into())].into();
        let argv = ["sh", "-c", "cd /slots/app-1/src && ls /slots/app-10"];
        let job = ChildView::new(spec, None).enter(Job::new(
            argv,
            "/slots/app-1/src",
            env,
            Duration::from_secs(1),
        ));
        assert_eq!(job.cwd, Path::new("/home/me/app/src"));
        assert_eq!(job.argv[2], "cd /home/me/app/src && ls /slots/app-10");
        assert_eq!(job.env[OsStr::new("LOG")], "/run/autopack/attempt/log");
    }
}
