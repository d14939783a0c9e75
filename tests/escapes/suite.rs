//! Runs attempts in a drain, and compares what the outside shows with the data.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::attempt::{Attempt, Check, Group, Mode, Role, groups};
use super::evidence::{Evidence, Planned, logs, marks_outside, problem, results, witnesses};
use super::outside::Outside;
use super::snapshot::{differences, tree};
use super::world::World;
use crate::support::{Ran, skip};
use autopack::process::view::{ViewMode, probe};

/// What the network of a drain is limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Open,
    Deny,
    /// One host, which only the proxy that autopack itself uses knows.
    Hosts,
}

/// Whether autopack has views, and this machine the mode.
pub fn is_possible(mode: Mode, outside: &Outside) -> bool {
    if mode == Mode::Off {
        return true;
    }
    let shown = outside.project.autopack(["config", "show"]).stdout;
    if !shown.contains("sandbox.mode") {
        skip("sandbox", "this version has no views");
        return false;
    }
    let tried = match mode {
        Mode::Namespaces => ViewMode::Namespaces,
        _ => ViewMode::Landlock,
    };
    autopack::process::use_supervisor(env!("CARGO_BIN_EXE_autopack"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let works = runtime.block_on(probe(tried)).is_ok();
    if !works {
        skip(mode.name(), "the kernel refuses it");
    }
    works
}

/// Makes all attempts of some roles in a drain of this mode, and checks the results against the data.
///
/// # Panics
/// If an attempt succeeds that the data says is held, or does not succeed in mode `off` although the data says so.
pub fn escape(mode: Mode, roles: &[Role], network: Network) {
    let outside = Outside::new();
    if !is_possible(mode, &outside) {
        return;
    }
    let limited = roles.len() > 1;
    let groups: Vec<Group> = groups().into_iter().filter(|g| g.limited == limited).collect();
    let all: Vec<Planned> = roles
        .iter()
        .flat_map(|role| groups.iter().flat_map(|g| &g.attempts).map(move |a| (*role, a)))
        .filter(|(role, attempt)| attempt.roles.contains(role))
        .filter(|(_, attempt)| !attempt.control || network == Network::Hosts)
        .map(|(role, attempt)| plan(&outside, role, attempt))
        .collect();
    let of = |check: Check| move |planned: &&Planned| planned.attempt.check() == check;
    let victims: Vec<String> = all.iter().filter(of(Check::Victim)).map(Planned::name).collect();
    let secrets = json!(outside.secrets);
    let world = World::start(&outside.dir(), &outside.name, &victims, &secrets);
    let has = world.has.clone();
    let missing = |planned: &Planned| {
        let scopes = planned.attempt.scoped && mode == Mode::Landlock;
        let needs = planned.attempt.needs.iter().map(String::as_str);
        let mut needs = needs.chain(scopes.then_some("scopes"));
        needs.find(|need| !is_there(need, mode, &has)).map(str::to_owned)
    };
    let mut planned = Vec::new();
    for one in all {
        match missing(&one) {
            Some(need) => skip(&need, format_args!("escape attempt {}", one.name())),
            None => planned.push(one),
        }
    }
    write_plan(&outside, &world, &planned);
    let outside = with_project(outside, mode, network, roles, &world.facts);
    let before = witnesses(&planned);
    let skip_ours = |path: &Path| is_ours(&outside, path);
    let tree_before = tree(&outside.dir(), &skip_ours);
    let ran = drain(&outside);
    let attempts = outside.project.path(".autopack/attempts/run");
    let said = results(&attempts);
    assert!(!said.is_empty(), "no attempt was made: {ran:#?}\n{}", logs(&attempts));
    let found = marks_outside(&outside, roles[0]);
    let differs = differences(&tree_before, &tree(&outside.dir(), &skip_ours));
    let after: BTreeMap<String, _> = witnesses(&planned);
    let happened = world.end();
    unmount(&outside.dir());
    let evidence = Evidence { outside: &outside, found, happened, before, after };
    let mut problems = Vec::new();
    for one in &planned {
        let Some(said) = said.get(&one.name()) else {
            problems.push(format!("{}: no result", one.name()));
            continue;
        };
        let outcome = evidence.outcome(one, said);
        println!(
            "{} {}: {}",
            one.name(),
            if outcome.escape.is_some() { "escaped" } else { "held" },
            outcome.escape.as_deref().unwrap_or(&outcome.reason)
        );
        problems.extend(problem(one, mode, network, &outcome, &has));
    }
    if mode == Mode::Namespaces && !differs.is_empty() {
        problems.push(format!("changed outside: {differs:#?}"));
    }
    assert!(problems.is_empty(), "{mode:?} {roles:?} {network:?}: {problems:#?}\n{ran:#?}");
}

fn plan(outside: &Outside, role: Role, attempt: &Attempt) -> Planned {
    let mark = format!("mark-{}-{}-{:08x}", role.name(), attempt.id, fastrand::u32(..));
    let name = format!("{}-{}", role.name(), attempt.id);
    // Some use their witness otherwise than by a change.
    let (_, script) = attempt.script();
    let needed = script.contains("WITNESS") || attempt.witness.is_some();
    let witness = needed.then(|| outside.witness(attempt.witness.as_deref(), &name));
    Planned { attempt: attempt.clone(), role, mark, witness }
}

/// What `world.py` has to report: an installed program is not enough.
const REPORTED: [&str; 4] = ["sshd", "ssh-agent", "ssh-keygen", "tmux"];

fn is_there(need: &str, mode: Mode, has: &[String]) -> bool {
    let on_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(need).is_file())
    };
    match need {
        "scopes" if mode == Mode::Off => true,
        path if path.starts_with('/') && path != "/dev/shm" => Path::new(path).exists(),
        reported if REPORTED.contains(&reported) => has.iter().any(|has| has == need),
        _ => has.iter().any(|has| has == need) || on_path(),
    }
}

/// Writes what `runner.py` needs.
fn write_plan(outside: &Outside, world: &World, planned: &[Planned]) {
    let mut facts = outside.facts();
    let more = world.facts.as_object().unwrap().clone();
    facts.as_object_mut().unwrap().extend(more);
    let victims = facts.as_object_mut().unwrap().remove("victims").unwrap();
    facts["bystander"] = victims[""].clone();
    let mut attempts: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for one in planned {
        let (language, script) = one.attempt.script();
        let own = json!({"mark": one.mark, "witness": one.witness,
            "victim": victims.get(one.name()).unwrap_or(&victims[""])});
        let attempt = json!({"id": one.attempt.id, language: script, "facts": own});
        attempts.entry(one.role.name()).or_default().push(attempt);
    }
    let plan = json!({"deliverable": "src/one.txt", "facts": facts, "attempts": attempts});
    let directory = outside.project.beside("suite");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("plan.json"), plan.to_string()).unwrap();
    let runner = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/escapes/runner.py");
    fs::copy(runner, directory.join("runner.py")).unwrap();
}

/// Configuration, environment and plans.
fn with_project(
    mut outside: Outside,
    mode: Mode,
    network: Network,
    roles: &[Role],
    facts: &Value,
) -> Outside {
    let dir = outside.dir();
    let at = |below: &str| dir.join(below).display().to_string();
    let command = |role: Role| {
        json!(["python3", at("suite/runner.py"), at("suite/plan.json"), role.name()]).to_string()
    };
    let mut config = format!(
        "# {}\nagents:\n  default: fake\n  fake:\n    kind: command\n    command: {}\n\
         executor: {{max_attempts: 1}}\nci: {{command: {}}}\n",
        outside.secrets["configuration"],
        command(Role::Agent),
        command(Role::Ci)
    );
    if roles.contains(&Role::Setup) {
        let setup = command(Role::Setup);
        config += &format!("workspace: {{setup: {setup}, setup_inputs: [src/one.txt]}}\n");
    }
    if mode != Mode::Off {
        let network = match network {
            Network::Open => json!("allow"),
            Network::Deny => json!("deny"),
            Network::Hosts => json!(["allowed.test", "127.0.0.2"]),
        };
        let hide = json!([at("hidden"), at("parent/hidden")]);
        config +=
            &format!("sandbox: {{network: {network}, ci_network: {network}, hide: {hide}}}\n");
    }
    let secret = |what: &str| outside.secrets[what].clone();
    let decoy = format!("decoy {}", secret("database"));
    let (service, model, qdrant) =
        (secret("service-token"), secret("model-key"), secret("qdrant-key"));
    let socket = facts["ssh_agent"].as_str().map_or(at("run-user/ssh-agent"), str::to_owned);
    outside.project = outside
        .project
        .unset("TMPDIR")
        .unset("AUTOPACK_SANDBOX_WRITE")
        .env("AUTOPACK_SANDBOX_MODE", mode.name())
        .env("XDG_RUNTIME_DIR", at("run-user"))
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", at("run-user/bus")))
        .env("SSH_AUTH_SOCK", socket)
        .env("MY_SERVICE_TOKEN", service)
        .env("OPENAI_API_KEY", model)
        .env("AUTOPACK_QDRANT_API_KEY", qdrant)
        .config(&config)
        .plan(json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]}));
    if network == Network::Hosts {
        // autopack reaches listed hosts through it, by name.
        let proxy = format!("http://127.0.0.1:{}", facts["allowed_port"]);
        outside.project = outside.project.env("HTTPS_PROXY", &proxy).env("HTTP_PROXY", proxy);
    }
    let plan = dir.join("suite/decoy.json");
    let phases = json!({"phases": [{"phase_id": "decoy", "description": decoy,
        "deliverables": ["src/decoy.txt"]}]});
    fs::write(&plan, phases.to_string()).unwrap();
    let plan_path = plan.display().to_string();
    outside.project.autopack(["import", &plan_path, "--run-id", "decoy"]).succeeded();
    fs::remove_file(plan).unwrap();
    // The database has it now, and nothing else.
    let _ = fs::remove_file(dir.join("plan.json"));
    outside
}

/// Runs the drain, whose process id the attempts know.
fn drain(outside: &Outside) -> Ran {
    let autopack = outside.project.command(["drain", "--run-id", "run"]);
    let set = autopack.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut shell = Command::new("sh");
    shell.args(["-c", "export ESCAPE_DRAIN=$$; exec \"$0\" \"$@\""]).arg(autopack.get_program());
    shell.args(autopack.get_args()).env_clear().envs(set).current_dir(outside.project.root());
    shell.stdin(std::process::Stdio::null());
    Ran::of(shell.output().unwrap(), outside.project.root())
}

/// What autopack, git for it, or the suite itself writes.
fn is_ours(outside: &Outside, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix(outside.dir()) else { return false };
    let ours = [
        "suite",
        "state",
        "agent.py",
        "run-user",
        "project/.autopack",
        "project/.git/objects",
        "project/.git/refs",
        "project/.git/logs",
        "project/.git/packed-refs",
        "project/.git/info",
    ];
    ours.iter().any(|ours| below.starts_with(ours))
}

/// Removes mounts that attempts left.
fn unmount(dir: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let dir = dir.display().to_string().replace(' ', "\\040");
    for line in mounts.lines().filter(|line| line.contains(&dir)) {
        let point = line.split(' ').nth(4).unwrap_or_default().replace("\\040", " ");
        let _ = Command::new("umount").args(["-l", &point]).status();
    }
}
