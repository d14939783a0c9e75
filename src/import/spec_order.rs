//! The order of the tasks of a specification: which tasks each one waits for.

/// A task in its phase.
pub(super) struct TaskPlace<'a> {
    pub id: &'a str,
    /// Heading of the phase.
    pub phase: &'a str,
    /// Whether the phase is a user story.
    pub is_story: bool,
    /// Whether the task may run beside its neighbors.
    pub is_parallel: bool,
}

/// Takes tasks in order.
#[derive(Default)]
pub(super) struct SpecOrder {
    phase: String,
    is_story: bool,
    /// Last tasks of the phases that the current phase waits for.
    before: Vec<String>,
    /// Last tasks of the foundation: of the last phase that is no story.
    foundation: Vec<String>,
    /// Last tasks of the stories since then.
    stories: Vec<String>,
    /// The last task without `[P]` in the phase, and the tasks with it since then.
    serial: Option<String>,
    parallel: Vec<String>,
}

impl SpecOrder {
    /// Adds a task and returns the tasks it waits for.
    pub fn add(&mut self, task: TaskPlace<'_>) -> Vec<String> {
        if task.phase != self.phase {
            self.begin(&task);
        }
        let serial = || self.serial.iter().cloned().collect::<Vec<_>>();
        let start = || if self.serial.is_some() { serial() } else { self.before.clone() };
        if task.is_parallel {
            let waits_for = start();
            self.parallel.push(task.id.to_owned());
            return waits_for;
        }
        let waits_for = if self.parallel.is_empty() { start() } else { self.parallel.clone() };
        self.serial = Some(task.id.to_owned());
        self.parallel.clear();
        waits_for
    }

    fn begin(&mut self, task: &TaskPlace<'_>) {
        let serial = self.serial.take();
        let mut ends = std::mem::take(&mut self.parallel);
        if ends.is_empty() {
            ends.extend(serial);
        }
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

    fn waits(tasks: &[(&str, &str, bool, bool)]) -> Vec<String> {
        let mut order = SpecOrder::default();
        let mut waits = |(id, phase, is_story, is_parallel): &(&str, &str, bool, bool)| {
            let place = TaskPlace { id, phase, is_story: *is_story, is_parallel: *is_parallel };
            format!("{id}: {}", order.add(place).join(" "))
        };
        tasks.iter().map(&mut waits).collect()
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
