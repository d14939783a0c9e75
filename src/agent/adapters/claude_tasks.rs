//! Claude Code's tasks: which of what it runs beside itself are subagents, and which of those are still at work.
//!
//! It tells them in several ways, and versions differ: as `task_started`, `task_updated` and `task_notification`, as the whole
//! list of what runs in the background, and by the answer to the tool use that started them. Shells and monitors are tasks
//! too; they hold nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::agent::runner::signal::{Look, Signal};

/// More than these at once are not told apart.
const MOST: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// Subagents at work by their task's id, with the tool use that started them.
    open: BTreeMap<String, Option<String>>,
    /// Those of them that the last list of background tasks named.
    listed: BTreeSet<String>,
    /// Tool uses and tasks that are no subagents, whatever they are called later.
    shells: BTreeSet<String>,
    /// Tool uses that asked for a subagent in the background and were not answered yet.
    background: BTreeSet<String>,
}

impl Tasks {
    /// A line of type "system".
    pub fn event(&mut self, said: &Value) -> Vec<Signal> {
        match said.str("/subtype") {
            "task_started" => self.started(said),
            "task_notification" => self.ended(said),
            "task_updated" => match said.str("/patch/status") {
                "completed" | "failed" | "killed" | "stopped" | "cancelled" => self.ended(said),
                _ => Vec::new(),
            },
            "background_tasks_changed" => self.replaced(said.list("/tasks")),
            _ => Vec::new(),
        }
    }

    /// A line of an assistant: what it uses says later what a task is.
    pub fn uses(&mut self, said: &Value) {
        for part in said.list("/message/content") {
            let is_shell = ["Bash", "Monitor", "PowerShell"].contains(&part.str("/name"));
            let in_background = part.pointer("/input/run_in_background").and_then(Value::as_bool);
            match is_shell {
                true => remember(&mut self.shells, part.text("/id")),
                false if in_background == Some(true) => {
                    remember(&mut self.background, part.text("/id"));
                }
                false => {}
            }
        }
    }

    /// A line with results of tools: a subagent in the foreground has ended with it; one in the background has begun, and one
    /// that was waited for or stopped says so.
    pub fn results(&mut self, said: &Value) -> Vec<Signal> {
        let more = said.get("tool_use_result").unwrap_or(&Value::Null);
        let mut signals = Vec::new();
        for part in said.list("/message/content") {
            let Some(tool) = part.text("/tool_use_id") else { continue };
            let text = part.get("content").map(Value::to_string).unwrap_or_default();
            let in_background = self.background.remove(&tool)
                || more.get("isAsync").and_then(Value::as_bool).unwrap_or(false)
                || more.str("/status").ends_with("_launched")
                || text.contains("Async agent launched");
            if in_background && !self.shells.contains(&tool) {
                let known = self.open.values().any(|by| by.as_deref() == Some(tool.as_str()));
                let id = more.text("/agentId").or(more.text("/taskId"));
                signals.extend(match known {
                    true => None,
                    false => self.open(id.unwrap_or_else(|| tool.clone()), Some(tool)),
                });
            } else {
                signals.extend(self.close(|_, by| by == Some(tool.as_str())));
            }
        }
        let task = more.get("task").unwrap_or(more);
        if ["completed", "failed", "killed", "stopped"].contains(&task.str("/status")) {
            signals.extend(self.close(|id, _| id == task.str("/task_id")));
        }
        signals
    }

    fn started(&mut self, said: &Value) -> Vec<Signal> {
        let tool = said.text("/tool_use_id");
        let by_shell = tool.as_ref().is_some_and(|tool| self.shells.contains(tool));
        let Some(id) = said.text("/task_id").filter(|_| is_subagent(said) && !by_shell) else {
            remember(&mut self.shells, said.text("/task_id"));
            return Vec::new();
        };
        // It was known by its tool use alone until now.
        let mut signals = match &tool {
            Some(tool) => self.close(|id, _| id == tool),
            None => Vec::new(),
        };
        signals.extend(self.open(id, tool));
        signals
    }

    fn ended(&mut self, said: &Value) -> Vec<Signal> {
        let (id, tool) = (said.str("/task_id"), said.str("/tool_use_id"));
        let by_name = self.close(|open, by| {
            open == id || (!tool.is_empty() && (open == tool || by == Some(tool)))
        });
        let mut signals = match by_name.is_empty() && !self.shells.contains(id) {
            // One that is known by its tool use alone.
            true => self.close(|open, by| by == Some(open)),
            false => by_name,
        };
        if !tool.is_empty() {
            signals.push(Signal::SubagentEnded(tool.to_owned()));
        }
        signals
    }

    fn replaced(&mut self, tasks: &[Value]) -> Vec<Signal> {
        let agents = tasks.iter().filter(|task| is_subagent(task));
        let now: BTreeSet<String> = agents.filter_map(|task| task.text("/task_id")).collect();
        let gone: BTreeSet<String> = self.listed.difference(&now).cloned().collect();
        let mut signals = self.close(|id, _| gone.contains(id));
        for id in &now {
            if !self.open.contains_key(id) {
                signals.extend(self.open(id.clone(), None));
            }
        }
        self.listed = now;
        signals
    }

    fn open(&mut self, id: String, tool: Option<String>) -> Option<Signal> {
        if self.open.len() >= MOST {
            return None;
        }
        self.open.insert(id.clone(), tool);
        Some(Signal::SubagentStarted(id))
    }

    fn close(&mut self, which: impl Fn(&str, Option<&str>) -> bool) -> Vec<Signal> {
        let (gone, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|(id, tool): &(String, Option<String>)| which(id, tool.as_deref()));
        self.open = open;
        let gone: BTreeMap<String, Option<String>> = gone;
        gone.into_keys().map(Signal::SubagentEnded).collect()
    }
}

fn remember(ids: &mut BTreeSet<String>, id: Option<String>) {
    if ids.len() < MOST {
        ids.extend(id);
    }
}

/// A task of an unknown kind may be one.
fn is_subagent(task: &Value) -> bool {
    let kind = task.str("/task_type");
    let ambient = task.get("ambient").and_then(Value::as_bool).unwrap_or(false);
    let other =
        ["bash", "shell", "monitor", "watch", "dream"].iter().any(|word| kind.contains(word));
    !ambient && !other
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(signals: Vec<Signal>) -> Vec<String> {
        let shown = |signal| match signal {
            Signal::SubagentStarted(id) => format!("+{id}"),
            Signal::SubagentEnded(id) => format!("-{id}"),
            other => panic!("{other:?}"),
        };
        signals.into_iter().map(shown).collect()
    }

    fn started(id: &str, tool: &str, kind: &str) -> Value {
        json!({"type": "system", "subtype": "task_started", "task_id": id, "tool_use_id": tool, "task_type": kind})
    }

    fn ended(id: &str) -> Value {
        json!({"type": "system", "subtype": "task_notification", "task_id": id, "status": "completed"})
    }

    #[test]
    fn subagents_are_told_from_shells() {
        let mut tasks = Tasks::default();
        assert_eq!(ids(tasks.event(&started("a", "t1", "local_agent"))), ["+a"]);
        assert_eq!(ids(tasks.event(&started("b", "t2", "local_bash"))), [""; 0]);
        assert_eq!(ids(tasks.event(&ended("b"))), [""; 0]);
        tasks.uses(
            &json!({"message": {"content": [{"type": "tool_use", "id": "t3", "name": "Bash"}]}}),
        );
        assert_eq!(ids(tasks.event(&started("c", "t3", ""))), [""; 0]);
        assert_eq!(ids(tasks.event(&json!({"subtype": "task_started", "task_id": "d"}))), ["+d"]);
        assert_eq!(ids(tasks.event(&ended("a"))), ["-a"]);
        let patch = |status: &str| json!({"subtype": "task_updated", "task_id": "d", "patch": {"status": status}});
        assert_eq!(ids(tasks.event(&patch("running"))), [""; 0]);
        assert_eq!(ids(tasks.event(&patch("killed"))), ["-d"]);
    }

    #[test]
    fn one_in_the_background_goes_on_after_its_tool_has_answered() {
        let answer = |tool: &str, text: &str, more: Value| {
            let part = json!({"type": "tool_result", "tool_use_id": tool, "content": text});
            json!({"message": {"content": [part]}, "tool_use_result": more})
        };
        let mut tasks = Tasks::default();
        tasks.event(&started("a", "t1", "local_agent"));
        let launched = json!({"isAsync": true, "status": "async_launched", "agentId": "a"});
        assert_eq!(ids(tasks.results(&answer("t1", "", launched))), [""; 0]);
        assert_eq!(ids(tasks.event(&ended("a"))), ["-a"]);
        // One that no event told of.
        let words = "Async agent launched successfully";
        assert_eq!(ids(tasks.results(&answer("t2", words, json!(null)))), ["+t2"]);
        assert_eq!(ids(tasks.event(&started("b", "t2", "local_agent"))), ["-t2", "+b"]);
        let waited = json!({"task": {"task_id": "b", "status": "completed"}});
        assert_eq!(ids(tasks.results(&answer("t3", "done", waited))), ["-b"]);
        // In the foreground its answer is its end.
        tasks.event(&started("c", "t4", "local_agent"));
        assert_eq!(ids(tasks.results(&answer("t4", "done", json!(null)))), ["-c"]);
    }

    #[test]
    fn the_list_of_what_runs_takes_the_place_of_the_one_before() {
        let list = |ids: &[&str]| {
            let task = |id: &&str| json!({"task_id": id, "task_type": if *id == "sh" { "local_bash" } else { "local_agent" }});
            json!({"subtype": "background_tasks_changed", "tasks": ids.iter().map(task).collect::<Vec<_>>()})
        };
        let mut tasks = Tasks::default();
        tasks.event(&started("front", "t", "local_agent"));
        assert_eq!(ids(tasks.event(&list(&["a", "sh"]))), ["+a"]);
        assert_eq!(ids(tasks.event(&list(&["b", "sh"]))), ["-a", "+b"]);
        assert_eq!(ids(tasks.event(&list(&[]))), ["-b"]);
        assert_eq!(ids(tasks.event(&ended("front"))), ["-front"]);
    }
}
