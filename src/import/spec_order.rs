//! The order of the tasks of a specification: the dependencies of each task.
//!
//! Where a phase ends with many parallel tasks, each task of the next phase would wait for each parallel task. Instead,
//! one parallel task waits for the others, and the next phase waits for this task only.

/// A task in a phase.
pub(super) struct TaskPlace<'a> {
    pub id: &'a str,
    /// Heading of the phase.
    pub phase: &'a str,
    /// Whether the phase is a user story.
    pub is_story: bool,
    /// Whether the task may run beside its neighbors.
    pub is_parallel: bool,
    /// Whether the text of another task names this task as a dependency.
    pub is_named: bool,
}

/// Most parallel tasks at the end of a phase before one of them waits for the others.
const PARALLEL: usize = 50;

/// Returns the dependencies of each task. `tasks` are in order.
pub(super) fn waits(tasks: &[TaskPlace<'_>]) -> Vec<Vec<String>> {
    let mut order = SpecOrder::default();
    tasks.iter().for_each(|task| order.add(task));
    order.waits
}

/// Takes tasks in order.
#[derive(Default)]
struct SpecOrder {
    waits: Vec<Vec<String>>,
    phase: String,
    is_story: bool,
    /// Last tasks of the phases required by the current phase.
    before: Vec<String>,
    /// Last tasks of the foundation, the last phase that is no story.
    foundation: Vec<String>,
    /// Last tasks of the stories since then.
    stories: Vec<String>,
    /// The last task without `[P]` in the phase, and the later tasks with `[P]`.
    serial: Option<String>,
    parallel: Vec<String>,
    /// The last parallel task allowed to wait for the others, by position in `waits` and in `parallel`.
    join: Option<(usize, usize)>,
}

impl SpecOrder {
    fn add(&mut self, task: &TaskPlace<'_>) {
        if task.phase != self.phase {
            self.begin(task);
        }
        let start = match &self.serial {
            Some(serial) => vec![serial.clone()],
            None => self.before.clone(),
        };
        if task.is_parallel {
            // A task that another one names might wait for itself.
            if !task.is_named {
                self.join = Some((self.waits.len(), self.parallel.len()));
            }
            self.parallel.push(task.id.to_owned());
            self.waits.push(start);
            return;
        }
        let parallel = std::mem::take(&mut self.parallel);
        self.join = None;
        self.waits.push(if parallel.is_empty() { start } else { parallel });
        self.serial = Some(task.id.to_owned());
    }

    /// The tasks at the end of the phase.
    fn ends(&mut self) -> Vec<String> {
        let (serial, join) = (self.serial.take(), self.join.take());
        let mut ends = std::mem::take(&mut self.parallel);
        if ends.is_empty() {
            ends.extend(serial);
        }
        match join {
            Some((task, end)) if ends.len() > PARALLEL => {
                let last = ends.remove(end);
                self.waits[task] = ends;
                vec![last]
            }
            _ => ends,
        }
    }

    fn begin(&mut self, task: &TaskPlace<'_>) {
        let ends = self.ends();
        match self.is_story {
            true => self.stories.extend(ends),
            false if ends.is_empty() => {}
            false => {
                self.foundation = ends;
                self.stories.clear();
            }
        }
        self.before = match task.is_story {
            true => self.foundation.clone(),
            false if self.stories.is_empty() => self.foundation.clone(),
            false => std::mem::take(&mut self.stories),
        };
        task.phase.clone_into(&mut self.phase);
        self.is_story = task.is_story;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(tasks: &[(&'static str, &'static str, bool, bool)]) -> Vec<String> {
        let place =
            |(id, phase, is_story, is_parallel): &(&'static str, &'static str, bool, bool)| {
                let (is_story, is_parallel) = (*is_story, *is_parallel);
                TaskPlace { id, phase, is_story, is_parallel, is_named: false }
            };
        let waits = super::waits(&tasks.iter().map(place).collect::<Vec<_>>());
        tasks
            .iter()
            .zip(waits)
            .map(|((id, ..), waits)| format!("{id}: {}", waits.join(" ")))
            .collect()
    }

    #[test]
    fn one_of_many_parallel_tasks_joins_the_others() {
        let ids: Vec<(String, &str)> =
            (0..200).map(|n| (format!("T{n}"), if n < 100 { "a" } else { "b" })).collect();
        let mut tasks = Vec::new();
        for (id, phase) in &ids {
            let is_named = id == "T99";
            tasks.push(TaskPlace { id, phase, is_story: false, is_parallel: true, is_named });
        }
        let waits = super::waits(&tasks);
        assert_eq!(waits[98].len(), 99);
        assert!(!waits[98].contains(&"T98".to_owned()));
        assert!(waits[..98].iter().all(Vec::is_empty) && waits[99].is_empty());
        assert!(waits[100..].iter().all(|waits| waits == &["T98"]));
    }

    #[test]
    fn tasks_wait_for_the_tasks_before_them_in_the_phase() {
        let tasks = [
            ("1", "a", false, false),
            ("2", "a", false, true),
            ("3", "a", false, true),
            ("4", "a", false, false),
            ("5", "a", false, false),
            ("6", "a", false, true),
        ];
        assert_eq!(waits(&tasks), ["1: ", "2: 1", "3: 1", "4: 2 3", "5: 4", "6: 5"]);
    }

    #[test]
    fn stories_wait_for_the_foundation_and_the_end_for_all_stories() {
        let tasks = [
            ("1", "setup", false, true),
            ("2", "setup", false, true),
            ("3", "foundation", false, false),
            ("4", "us1", true, true),
            ("5", "us1", true, false),
            ("6", "us2", true, true),
            ("7", "us2", true, true),
            ("8", "polish", false, true),
            ("9", "more", false, false),
        ];
        assert_eq!(
            waits(&tasks),
            ["1: ", "2: ", "3: 1 2", "4: 3", "5: 4", "6: 3", "7: 3", "8: 5 6 7", "9: 8"]
        );
    }
}
