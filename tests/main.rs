//! All end-to-end tests and tests of the library, in one binary: linking takes longer than compiling.
//!
//! One file per subject. `support` has the builder of projects, fake agents, and stand-ins of servers.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start real programs in an environment of their own"
)]

mod agent_builtin;
mod agent_command;
mod agent_end;
mod agent_faults;
mod agent_limits;
mod agent_streams;
mod agent_verdicts;
mod architecture;
mod attempt_changes;
mod attempt_logs;
mod base_run;
mod branch;
mod checkout_in_view;
mod checkout_paths;
mod ci_checkout;
mod ci_environment;
mod ci_run;
mod cli_config;
mod cli_fix_phases;
mod cli_health;
mod cli_import;
mod cli_init;
mod cli_phases;
mod commands;
mod control;
mod database_url;
mod docs_links;
mod drain;
mod escapes;
mod evidence;
mod frozen_installs;
mod golden;
mod help_pages;
mod hidden_tests;
mod hostile;
mod hostile_agents;
mod import_circles;
mod import_plans;
mod import_python_db;
mod jobs;
mod limits;
mod log_terminal;
mod logs;
mod memory;
mod memory_docker;
mod memory_drain;
mod memory_qdrant;
mod memory_qdrant_keys;
mod memory_recall;
mod merge_verb;
mod mistakes;
mod notify;
mod older_workspace;
mod overlay_links;
mod overview;
mod owners;
mod plan_format_docs;
mod prices;
mod process_job;
mod process_tree;
mod process_view;
mod projects;
mod protected_paths;
mod python_backlog;
mod readme;
mod real_specs;
mod recovery;
mod repeats;
mod report;
mod report_page;
mod run_choice;
mod runbook;
mod schemas;
mod secret_variables;
mod shell_completion;
mod shipped;
mod slot_place;
mod support;
mod telemetry;
mod telemetry_summary;
mod time_window;
mod torture;
mod undo;
mod untrue_usage;
mod verify;
mod view;
mod whose_change;
mod workspace;
mod zero_configuration;
