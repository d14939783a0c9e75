//! Tests of ending an agent by the stream, and of the outcome.

use super::*;
use crate::agent::adapters::claude;

fn limited() -> Signal {
    Signal::Held(Fault { status: Some(429), ..Fault::default() })
}

/// Returns the seconds until the agent would be ended.
fn left(stream: &Stream) -> Option<u64> {
    Some((stream.deadline()? - Instant::now()).as_secs_f64().ceil() as u64)
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_until_progress_or_timeout() {
    let mut stream = Stream::new(&claude::Claude, AttemptBudget::default(), QUIET);
    assert_eq!(left(&stream), None);
    stream.take(limited());
    assert_eq!(left(&stream), Some(RATE_LIMIT_GRACE.as_secs()));
    stream.take(Signal::Text("on we go".to_owned()));
    assert_eq!(left(&stream), None);
    stream.take(limited());
    assert!(matches!(
        stream.outcome(JobEnd::Stopped, true, ""),
        Outcome::RateLimited { until: None, .. }
    ));
}

#[tokio::test]
async fn signals_after_the_final_message_are_ignored() {
    let mut stream = Stream::new(
        &claude::Claude,
        AttemptBudget { tokens: Some(1), ..Default::default() },
        QUIET,
    );
    stream.take(Signal::Finished(Finish::default()));
    assert_eq!(left(&stream), Some(QUIET.as_secs()));
    stream.take(Signal::Total(crate::agent::runner::signal::ReportedUsage {
        tokens: crate::phase::Tokens { input: Some(9), ..Default::default() },
        ..Default::default()
    }));
    assert_eq!(stream.outcome(JobEnd::Stopped, true, ""), Outcome::Finished);
}

fn tool(id: &str, purpose: Purpose) -> Signal {
    let (id, key, words) = (id.to_owned(), "k".to_owned(), "w".to_owned());
    Signal::Tool(super::super::signal::ToolUse { id, key, words, purpose })
}

fn result(id: &str) -> Signal {
    Signal::Result(super::super::signal::ToolResult::new(id, ""))
}

fn dismissed(signals: Vec<Signal>) -> Stream {
    let mut stream = Stream::new(&claude::Claude, AttemptBudget::default(), QUIET);
    signals.into_iter().for_each(|signal| drop(stream.take(signal)));
    stream.last_activity -= QUIET;
    stream.dismiss();
    stream
}

#[tokio::test]
async fn a_working_subagent_delays_the_end() {
    let mut stream = Stream::new(&claude::Claude, AttemptBudget::default(), QUIET);
    stream.take(tool("1", Purpose::Subagent));
    stream.take(Signal::Finished(Finish::default()));
    assert_eq!(left(&stream), None);
    stream.take(result("1"));
    assert_eq!(left(&stream), None, "a tool result arrived, so the agent keeps working");
    stream.take(Signal::Finished(Finish::default()));
    assert_eq!(left(&stream), Some(QUIET.as_secs()));
    stream.take(Signal::SubagentStarted("2".to_owned()));
    assert_eq!(left(&stream), None);
    stream.take(Signal::SubagentEnded("2".to_owned()));
    assert_eq!(left(&stream), Some(QUIET.as_secs()));
}

#[tokio::test]
async fn any_stream_output_delays_the_end() {
    let mut stream = dismissed(vec![Signal::Finished(Finish::default())]);
    assert!(stream.lingered());
    assert_eq!(stream.outcome(JobEnd::Stopped, true, ""), Outcome::Finished);
    let mut stream = Stream::new(&claude::Claude, AttemptBudget::default(), QUIET);
    stream.take(Signal::Finished(Finish::default()));
    stream.last_activity -= QUIET;
    stream.note_activity();
    assert!(!stream.dismiss(), "there was a last-moment event");
    assert!(!stream.lingered());
}

#[tokio::test]
async fn an_agent_working_when_ended_never_passes() {
    for work in [
        Signal::Text("on we go".to_owned()),
        tool("1", Purpose::Work),
        Signal::SubagentStarted("2".to_owned()),
    ] {
        let mut stream = dismissed(vec![Signal::Finished(Finish::default())]);
        stream.take(work);
        stream.take(Signal::Finished(Finish::default()));
        assert!(!stream.lingered());
        assert!(matches!(stream.outcome(JobEnd::Stopped, true, ""), Outcome::Failed { .. }));
    }
}
