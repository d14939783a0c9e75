//! Claude Code's tasks: distinguishes subagents from other background tasks, and open from ended subagents.
//!
//! Tasks are reported in several ways, depending on the version: as `task_started`, `task_updated` and
//! `task_notification`, as a complete list of background tasks, and in the answer to the starting tool use.
//! Shells and monitors are tasks too, but do not delay the end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::agent::runner::signal::{JsonAccess, Signal};

/// Limit of tracked tasks; further tasks are ignored.
const MOST: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// Working subagents by task id, with the tool use that started them.
    open: BTreeMap<String, Option<String>>,
    /// Subagents in the last list of background tasks.
    listed: BTreeSet<String>,
    /// Tool uses and tasks known not to be subagents, whatever later lines call them.
    shells: BTreeSet<String>,
    /// Unanswered tool uses that started a background subagent.
    background: BTreeSet<String>,
}

impl Tasks {
    /// Reads a line of type "system".
    pub fn event(&mut self, event: &Value) -> Vec<Signal> {
        match event.str("/subtype") {
            "task_started" => self.started(event),
            "task_notification" => self.ended(event),
            "task_updated" => match event.str("/patch/status") {
                "completed" | "failed" | "killed" | "stopped" | "cancelled" => self.ended(event),
                _ => Vec::new(),
            },
            "background_tasks_changed" => self.replaced(event.list("/tasks")),
            _ => Vec::new(),
        }
    }

    /// Reads an assistant line: the tool uses determine the kinds of later tasks.
    pub fn uses(&mut self, event: &Value) {
        for part in event.list("/message/content") {
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

    /// Reads a line with tool results: a foreground subagent has ended, a background subagent has started,
    /// and a stopped or awaited subagent has a status.
    pub fn results(&mut self, event: &Value) -> Vec<Signal> {
        let more = event.get("tool_use_result").unwrap_or(&Value::Null);
        let mut signals = Vec::new();
        for part in event.list("/message/content") {
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

    fn started(&mut self, event: &Value) -> Vec<Signal> {
        let tool = event.text("/tool_use_id");
        let by_shell = tool.as_ref().is_some_and(|tool| self.shells.contains(tool));
        let Some(id) = event.text("/task_id").filter(|_| is_subagent(event) && !by_shell) else {
            remember(&mut self.shells, event.text("/task_id"));
            return Vec::new();
        };
        // Known only by the tool use until now.
        let mut signals = match &tool {
            Some(tool) => self.close(|id, _| id == tool),
            None => Vec::new(),
        };
        signals.extend(self.open(id, tool));
        signals
    }

    fn ended(&mut self, event: &Value) -> Vec<Signal> {
        let (id, tool) = (event.str("/task_id"), event.str("/tool_use_id"));
        let by_name = self.close(|open, by| {
            open == id || (!tool.is_empty() && (open == tool || by == Some(tool)))
        });
        let mut signals = match by_name.is_empty() && !self.shells.contains(id) {
            // Known only by the tool use.
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

/// A task of unknown kind may be a subagent.
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
    fn subagents_and_shells_are_distinguished() {
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
    fn a_background_subagent_continues_after_its_tool_result() {
        let answer = |tool: &str, text: &str, more: Value| {
            let part = json!({"type": "tool_result", "tool_use_id": tool, "content": text});
            json!({"message": {"content": [part]}, "tool_use_result": more})
        };
        let mut tasks = Tasks::default();
        tasks.event(&started("a", "t1", "local_agent"));
        let launched = json!({"isAsync": true, "status": "async_launched", "agentId": "a"});
        assert_eq!(ids(tasks.results(&answer("t1", "", launched))), [""; 0]);
        assert_eq!(ids(tasks.event(&ended("a"))), ["-a"]);
        // A subagent without events.
        let words = "Async agent launched successfully";
        assert_eq!(ids(tasks.results(&answer("t2", words, json!(null)))), ["+t2"]);
        assert_eq!(ids(tasks.event(&started("b", "t2", "local_agent"))), ["-t2", "+b"]);
        let waited = json!({"task": {"task_id": "b", "status": "completed"}});
        assert_eq!(ids(tasks.results(&answer("t3", "done", waited))), ["-b"]);
        // In the foreground, the answer is the end.
        tasks.event(&started("c", "t4", "local_agent"));
        assert_eq!(ids(tasks.results(&answer("t4", "done", json!(null)))), ["-c"]);
    }

    #[test]
    fn a_list_of_running_tasks_replaces_the_earlier_list() {
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
