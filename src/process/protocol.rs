//! What the drain and a supervisor say to each other: one JSON value a line, over a socket.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

/// The first line from the drain: what to start. The environment is the child's whole one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub argv: Vec<OsString>,
    pub cwd: OsString,
    pub env: Vec<(OsString, OsString)>,
}

/// Any later line from the drain. The end of the socket is an order too: the drain died.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Ask the tree to end; kill what is left after the grace.
    End { grace_ms: u64 },
    /// Kill the tree.
    Kill,
}

/// From the supervisor, in this order: one of the first three, then `Leader`, then `Done`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    Started { pid: i32 },
    NotFound,
    CannotStart { errno: Option<i32>, message: String },
    Leader(Leader),
    Done { swept: u32 },
}

/// How the program itself ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leader {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// An order came while it still ran.
    pub ordered: bool,
}

pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message)
        .expect("these messages hold nothing that JSON cannot say: no maps, no floats");
    line.push(b'\n');
    line
}
