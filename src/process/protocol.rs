//! Messages between the drain and a supervisor: a JSON value per line, over a socket.

use std::ffi::OsString;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::view::ViewSpec;
use super::wire_string::WireString;

/// The first line from the drain: the program to start. The environment is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "WireSpec", into = "WireSpec")]
pub(super) struct ProgramSpec {
    pub argv: Vec<OsString>,
    pub cwd: OsString,
    pub env: Vec<(OsString, OsString)>,
    pub view: Option<Arc<ViewSpec>>,
    /// Whether the last of the supervisor's files is the socket for the listeners of a view with a limited network.
    pub has_listeners: bool,
    /// Whether the program becomes the foreground of the terminal.
    pub is_foreground: bool,
}

#[derive(Serialize, Deserialize)]
struct WireSpec {
    argv: Vec<WireString>,
    cwd: WireString,
    env: Vec<(WireString, WireString)>,
    view: Option<Arc<ViewSpec>>,
    has_listeners: bool,
    is_foreground: bool,
}

impl From<ProgramSpec> for WireSpec {
    fn from(
        ProgramSpec { argv, cwd, env, view, has_listeners, is_foreground }: ProgramSpec,
    ) -> Self {
        let env = env.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self {
            argv: argv.into_iter().map(WireString::from).collect(),
            cwd: cwd.into(),
            env: env.collect(),
            view,
            has_listeners,
            is_foreground,
        }
    }
}

impl From<WireSpec> for ProgramSpec {
    fn from(WireSpec { argv, cwd, env, view, has_listeners, is_foreground }: WireSpec) -> Self {
        let env = env.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self {
            argv: argv.into_iter().map(OsString::from).collect(),
            cwd: cwd.into(),
            env: env.collect(),
            view,
            has_listeners,
            is_foreground,
        }
    }
}

/// Any later line from the drain. The end of the socket is an order too: the drain died.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Ask the tree to end; kill the rest after the grace.
    End { grace_ms: u64 },
    /// Kill the tree.
    Kill,
}

/// Reports from the supervisor, in this order: any of the first four, then `Leader`, then `Done`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SupervisorMessage {
    Started {
        pid: i32,
    },
    NotFound,
    CannotStart {
        errno: Option<i32>,
        message: String,
    },
    /// The view cannot be built.
    NoView {
        why: String,
    },
    Leader(Leader),
    Done {
        swept: u32,
    },
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leader {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// An order arrived before the end.
    pub ordered: bool,
}

pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message)
        .expect("these messages have no maps and no floats, so JSON can represent them");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;
    use crate::process::view::ViewMode;

    #[test]
    fn every_system_string_survives_the_protocol() {
        let non_utf8 = || OsString::from_vec(b"\xff/\xfe".to_vec());
        let spec = ProgramSpec {
            argv: vec!["".into(), "\u{e9}\n\"".into(), non_utf8()],
            cwd: non_utf8(),
            env: vec![("NAME".into(), non_utf8()), (non_utf8(), "value".into())],
            view: Some(Arc::new(ViewSpec::new(ViewMode::Namespaces))),
            has_listeners: true,
            is_foreground: false,
        };
        assert_eq!(serde_json::from_slice::<ProgramSpec>(&line(&spec)).unwrap(), spec);
    }
}
