//! The stand-in as a program, for tests that need a process or an image: `qdrant_stand_in [--exit CODE] [--address
//! 0.0.0.0] [--rest 6333] [--grpc 6334] [--storage FILE] [--until-stdin-ends]`.
//!
//! Like the real one, it takes keys from `QDRANT__SERVICE__API_KEY` and `QDRANT__SERVICE__READ_ONLY_API_KEY`, keeps its
//! points in `/qdrant/storage` if this directory exists, and panics if another server uses the directory.

#![allow(clippy::disallowed_methods, reason = "a program for tests exits on request")]

#[path = "qdrant/mod.rs"]
mod qdrant;

use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    if let Some(code) = value("--exit") {
        eprintln!("the stand-in exits as configured");
        std::process::exit(code.parse().unwrap_or(1));
    }
    let address = value("--address").unwrap_or_else(|| "0.0.0.0".to_owned());
    let rest = value("--rest").unwrap_or_else(|| "6333".to_owned());
    let grpc = value("--grpc").unwrap_or_else(|| "6334".to_owned());
    let mounted = std::path::Path::new("/qdrant/storage").is_dir();
    let file = value("--storage").or(mounted.then(|| "/qdrant/storage/points".to_owned()));
    let state = match file.map(|file| qdrant::State::stored_in(file.as_ref())) {
        Some(Ok(state)) => state,
        Some(Err(error)) => {
            // The real one's message, with the start of its trace.
            eprintln!(
                "ERROR qdrant::startup: Panic occurred in file lib/storage/src/content_manager/consensus/consensus_wal.rs at line 36: Can't open Collections meta Wal: Os {{ code: 11, kind: {:?}, message: \"Resource temporarily unavailable\" }}",
                error.kind()
            );
            eprintln!("   0: qdrant::startup::setup_panic_hook");
            std::process::exit(101);
        }
        None => qdrant::State::default(),
    };
    let key = |name: &str| std::env::var(name).ok().filter(|key| !key.is_empty());
    *state.api_key.lock().unwrap() = key("QDRANT__SERVICE__API_KEY");
    *state.read_only_api_key.lock().unwrap() = key("QDRANT__SERVICE__READ_ONLY_API_KEY");
    let rest = TcpListener::bind(format!("{address}:{rest}")).await?;
    let grpc = TcpListener::bind(format!("{address}:{grpc}")).await?;
    println!("ready");
    // PID 1 of a container has no default handler for SIGTERM.
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let tied = arguments.iter().any(|argument| argument == "--until-stdin-ends");
    tokio::select! {
        () = qdrant::serve(grpc, rest, Arc::new(state)) => {}
        _ = terminated.recv() => {}
        () = stdin_ended(), if tied => {}
    }
    // Exit here: otherwise the runtime would wait for the thread that reads stdin.
    std::process::exit(0)
}

/// Returns when the process at the other end of the pipe has ended.
async fn stdin_ended() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 64];
    while stdin.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}
