//! Running an agent that is a program: its start, its stream, its limits, what its end means.

pub mod agent_job;
pub mod agent_version;
pub mod command_template;
pub mod event;
pub mod fault;
pub mod loop_detection;
pub mod own_sandbox;
pub mod program;
pub mod provider_errors;
pub mod result_file;
pub mod signal;
pub mod slot_directories;
pub mod start_check;
pub mod stream;
pub mod tool_purpose;
pub mod tool_words;
pub mod usage_meter;
