//! Purpose of a tool use: work, waiting, or a subagent. Waiting is recognized by the tool's name or the
//! command.

use serde_json::Value;

use super::signal::{JsonAccess, Purpose};

/// Tools that start another agent, by name.
const SUBAGENTS: [&str; 7] =
    ["task", "agent", "subagent", "delegate", "delegate_to_agent", "dispatch_agent", "spawn_agent"];
/// Parts of the names of tools that wait, or query background tasks.
const WAITS: [&str; 8] =
    ["wait", "sleep", "poll", "monitor", "status", "bashoutput", "taskoutput", "agentoutput"];
/// Endings of files written by running programs.
const LOGS: [&str; 3] = [".log", ".out", ".output"];
/// Commands that only wait or show progress.
const WAITING: [&str; 21] = [
    "sleep",
    "wait",
    "watch",
    "tail",
    "ps",
    "pgrep",
    "pidof",
    "jobs",
    "fg",
    "journalctl",
    "squeue",
    "sacct",
    "curl",
    "wget",
    "nc",
    "pg_isready",
    "uptime",
    "ss",
    "netstat",
    "lsof",
    "test",
];
/// Programs that query remote progress with the words in `ASKING`.
const REMOTE: [&str; 16] = [
    "gh",
    "glab",
    "kubectl",
    "docker",
    "podman",
    "docker-compose",
    "aws",
    "gcloud",
    "az",
    "flyctl",
    "fly",
    "heroku",
    "vercel",
    "systemctl",
    "helm",
    "argocd",
];
const ASKING: [&str; 14] = [
    "watch", "view", "status", "checks", "logs", "wait", "ps", "get", "describe", "inspect",
    "list", "show", "events", "top",
];
/// Commands that are no work beside waiting.
const BESIDE: [&str; 9] = ["cd", "echo", "printf", "true", "export", "set", "date", "clear", ":"];

/// Returns the purpose of a tool without a command.
pub(crate) fn purpose(name: &str, input: &Value) -> Purpose {
    // The name may have an extension's prefix: `summon__delegate`.
    let own = name.rsplit("__").next().unwrap_or(name).to_ascii_lowercase();
    let plain: String = own.chars().filter(char::is_ascii_alphanumeric).collect();
    if SUBAGENTS.contains(&own.as_str())
        || own.starts_with("subrecipe")
        || name.starts_with("subrecipe")
    {
        return Purpose::Subagent;
    }
    let looks_at_a_log = ["/file_path", "/filePath", "/path", "/absolute_path"].iter().any(|key| {
        let path = input.str(key);
        LOGS.iter().any(|ending| path.ends_with(ending))
    });
    let reads = ["read", "view", "open", "cat"].iter().any(|word| plain.starts_with(word));
    // An empty text to a running program asks for new output.
    let asks_a_terminal = plain == "writestdin" && input.str("/chars").is_empty();
    let background = plain.contains("background") && !plain.contains("run");
    match WAITS.iter().any(|word| plain.contains(word))
        || (reads && looks_at_a_log)
        || asks_a_terminal
        || background
    {
        true => Purpose::Wait,
        false => Purpose::Work,
    }
}

/// Returns the purpose of a shell command. `cargo test | tail` works; `tail -f build.log` waits.
pub(crate) fn purpose_of_command(command: &str) -> Purpose {
    let parts: Vec<Vec<&str>> = command
        .split(['\n', ';'])
        .flat_map(|part| part.split("&&"))
        .flat_map(|part| part.split("||"))
        .map(|part| first_of_pipe(part).collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
        .collect();
    let sleeps = parts.iter().any(|words| is(words, &["sleep", "wait", "watch"]));
    let asks = parts.iter().any(|words| is_waiting(words));
    let nothing_else = parts.iter().all(|words| is_waiting(words) || is(words, &BESIDE));
    match sleeps || (asks && nothing_else) {
        true => Purpose::Wait,
        false => Purpose::Work,
    }
}

/// Returns the words of a pipeline's first command, without prefixes of the shell or variables.
fn first_of_pipe(part: &str) -> impl Iterator<Item = &str> {
    const BEFORE: [&str; 12] =
        ["do", "done", "then", "else", "fi", "while", "until", "if", "!", "(", "{", "}"];
    let first = part.split('|').next().unwrap_or_default();
    first.split_whitespace().skip_while(|word| {
        let assigns = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        BEFORE.contains(word) || assigns || ["sudo", "command", "nohup"].contains(word)
    })
}

fn program<'a>(words: &[&'a str]) -> &'a str {
    words
        .first()
        .and_then(|word| word.rsplit('/').next())
        .unwrap_or_default()
        .trim_start_matches('(')
}

fn is(words: &[&str], programs: &[&str]) -> bool {
    programs.contains(&program(words))
}

fn is_waiting(words: &[&str]) -> bool {
    let has = |word: &str| words[1..].contains(&word);
    let reads_a_log = || {
        let path =
            |word: &&str| LOGS.iter().any(|end| word.trim_matches(['"', '\'']).ends_with(end));
        is(words, &["cat", "head", "grep", "wc", "ls", "less", "stat"])
            && words[1..].iter().any(path)
    };
    match program(words) {
        "kill" => has("-0"),
        "[" | "[[" => true,
        "curl" | "wget" => !words.iter().any(|word| {
            ["-X", "--request", "-d", "--data", "-o", "-O", "--output", "-F", "-T"].contains(word)
        }),
        name if REMOTE.contains(&name) => ASKING.iter().any(|word| has(word)),
        name => WAITING.contains(&name) || reads_a_log(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn waiting_and_working_commands_are_distinguished() {
        for waits in [
            "sleep 30",
            "cd web && sleep 5 && cat build.log",
            "tail -n 20 /tmp/build.log",
            "tail -5 out.txt | grep done",
            "gh run watch 123",
            "gh pr checks 7 --json state",
            "kubectl get pods -n x | grep web",
            "docker compose logs --tail 5 web",
            "until curl -sf localhost:8080; do sleep 1; done",
            "while ! test -f done; do sleep 1; done",
            "ps aux | grep cargo",
            "kill -0 4242 && echo running",
            "cat build.log",
            "curl -s http://localhost:8080/health",
        ] {
            assert_eq!(purpose_of_command(waits), Purpose::Wait, "{waits}");
        }
        for works in [
            "",
            "cargo test 2>&1 | tail -20",
            "cat src/main.rs",
            "git status",
            "kill 4242",
            "gh pr create --title x",
            "docker build .",
            "curl -X POST http://localhost/x -d y",
            "make && tail -3 build.log",
            "ls -la",
        ] {
            assert_eq!(purpose_of_command(works), Purpose::Work, "{works}");
        }
    }

    #[test]
    fn tools_are_known_by_their_names() {
        let of = |name: &str, input: Value| purpose(name, &input);
        for name in ["BashOutput", "TaskOutput", "AgentOutputTool", "wait", "wait_agent", "Monitor"]
        {
            assert_eq!(of(name, json!({})), Purpose::Wait, "{name}");
        }
        assert_eq!(of("write_stdin", json!({"session_id": 1, "chars": ""})), Purpose::Wait);
        assert_eq!(of("write_stdin", json!({"session_id": 1, "chars": "y\n"})), Purpose::Work);
        assert_eq!(of("Read", json!({"file_path": "/tmp/tasks/b1.output"})), Purpose::Wait);
        assert_eq!(of("Read", json!({"file_path": "src/a.rs"})), Purpose::Work);
        for name in ["Task", "Agent", "task", "summon__delegate", "subrecipe__build"] {
            assert_eq!(of(name, json!({})), Purpose::Subagent, "{name}");
        }
        for name in ["TaskCreate", "TodoWrite", "Edit", "run_shell_command"] {
            assert_eq!(of(name, json!({})), Purpose::Work, "{name}");
        }
    }
}
