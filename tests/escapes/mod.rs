//! Escapes: what an agent, setup and CI try in order to leave their view, in each mode.
//!
//! The attempts are data below `attempts/`. `runner.py` makes them in one child of a drain, `world.py` stands in for
//! what is outside, and `evidence` looks from outside which of them succeeded. docs/escapes.md is made from the same data.

mod attempt;
mod evidence;
mod leftovers;
mod outside;
mod page;
mod snapshot;
mod suite;
mod world;

use std::collections::BTreeSet;

use attempt::{Mode, Role, groups};
use suite::{Network, escape};

#[test]
fn an_agent_in_namespaces() {
    escape(Mode::Namespaces, &[Role::Agent], Network::Open);
}

#[test]
fn setup_in_namespaces() {
    escape(Mode::Namespaces, &[Role::Setup], Network::Open);
}

#[test]
fn ci_in_namespaces() {
    escape(Mode::Namespaces, &[Role::Ci], Network::Open);
}

#[test]
fn an_agent_in_landlock() {
    escape(Mode::Landlock, &[Role::Agent], Network::Open);
}

#[test]
fn setup_in_landlock() {
    escape(Mode::Landlock, &[Role::Setup], Network::Open);
}

#[test]
fn ci_in_landlock() {
    escape(Mode::Landlock, &[Role::Ci], Network::Open);
}

#[test]
fn an_agent_without_a_view() {
    escape(Mode::Off, &[Role::Agent], Network::Open);
}

#[test]
fn setup_without_a_view() {
    escape(Mode::Off, &[Role::Setup], Network::Open);
}

#[test]
fn ci_without_a_view() {
    escape(Mode::Off, &[Role::Ci], Network::Open);
}

#[test]
fn everyone_in_namespaces_with_listed_hosts() {
    escape(Mode::Namespaces, &Role::ALL, Network::Hosts);
}

#[test]
fn everyone_in_namespaces_without_a_network() {
    escape(Mode::Namespaces, &Role::ALL, Network::Deny);
}

#[test]
fn everyone_in_landlock_with_listed_hosts() {
    escape(Mode::Landlock, &Role::ALL, Network::Hosts);
}

#[test]
fn everyone_in_landlock_without_a_network() {
    escape(Mode::Landlock, &Role::ALL, Network::Deny);
}

/// Where nothing limits the network.
#[test]
fn everyone_without_a_view_on_the_network() {
    escape(Mode::Off, &Role::ALL, Network::Open);
}

#[test]
fn namespaces_hold_every_attempt() {
    let all = groups();
    let mut ids = BTreeSet::new();
    for attempt in all.iter().flat_map(|group| &group.attempts) {
        assert!(ids.insert(&attempt.id), "{} is there twice", attempt.id);
        assert_eq!(attempt.remainder(Mode::Namespaces), None, "{}", attempt.id);
        attempt.script();
    }
    assert!(ids.len() >= 150, "{}", ids.len());
}

/// Each of the seven has attempts to plant a hook, an MCP server, and instructions.
#[test]
fn every_agents_state_is_attacked() {
    let all = groups();
    let ids: Vec<&str> =
        all.iter().flat_map(|group| &group.attempts).map(|a| a.id.as_str()).collect();
    for agent in ["claude", "codex", "opencode", "gemini", "goose", "aider", "mini-swe-agent"] {
        for what in ["mcp", "instructions"] {
            assert!(ids.contains(&format!("{agent}-{what}").as_str()), "{agent} {what}");
        }
        let hooks = ["hook", "plugin"].map(|what| format!("{agent}-{what}"));
        assert!(hooks.iter().any(|hook| ids.contains(&hook.as_str())), "{agent} hook");
    }
}
