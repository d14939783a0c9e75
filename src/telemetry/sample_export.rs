//! Export formats of a sample: a JSON object or a CSV row. Pure; the caller selects samples and destination.
//!
//! The fields and their order are a contract with scripts (docs/telemetry.md).

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::sample_figures::EstimateFigures;
use crate::phase::{Sample, UnixMs};

/// Field names, in order, as a CSV row.
pub const CSV_HEADER: &str = "run_id,phase_id,attempt,timestamp,category,complexity,deliverable_count,deliverables,\
     predicted_output_tokens,actual_output_tokens,input_tokens,cache_read_tokens,cost_usd,agent,model,success,truncated,\
     stop_reason,failure_kind,smape_percent,waste_ratio,underestimated,agent_ms,ci_ms";

/// The fields of a sample, in the order of the export. Unknown values are null.
#[derive(Serialize)]
struct ExportRecord<'a> {
    run_id: &'a str,
    phase_id: &'a str,
    attempt: Option<u32>,
    timestamp: String,
    category: &'a str,
    complexity: &'a str,
    deliverable_count: usize,
    deliverables: &'a [String],
    predicted_output_tokens: Option<u64>,
    actual_output_tokens: Option<u64>,
    input_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    cost_usd: Option<f64>,
    agent: Option<&'a str>,
    model: Option<&'a str>,
    success: bool,
    truncated: bool,
    stop_reason: Option<&'a str>,
    failure_kind: Option<&'a str>,
    smape_percent: Option<f64>,
    waste_ratio: Option<f64>,
    underestimated: Option<bool>,
    agent_ms: Option<u64>,
    ci_ms: Option<u64>,
}

/// Appends the sample as a line of NDJSON.
///
/// # Errors
/// The sample cannot be serialized.
pub fn ndjson_line(sample: &Sample, to: &mut String) -> Result<(), serde_json::Error> {
    *to += &serde_json::to_string(&ExportRecord::from(sample))?;
    to.push('\n');
    Ok(())
}

/// Appends the sample as a CSV record (RFC 4180): CRLF at the end, unknown values empty, deliverables as a JSON list.
///
/// # Errors
/// The sample cannot be serialized.
pub fn csv_line(sample: &Sample, to: &mut String) -> Result<(), serde_json::Error> {
    let record = serde_json::to_value(ExportRecord::from(sample))?;
    for (at, value) in record.as_object().into_iter().flat_map(Map::values).enumerate() {
        if at > 0 {
            to.push(',');
        }
        quoted(&field(value), to);
    }
    *to += "\r\n";
    Ok(())
}

fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        // Without the `.0` of a whole number in JSON.
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, |number| number.to_string())
        }
        other => other.to_string(),
    }
}

/// Appends a field by RFC 4180, section 2: quoted when containing a comma, a quote, or a line break; quotes are
/// doubled.
fn quoted(field: &str, to: &mut String) {
    if !field.contains([',', '"', '\r', '\n']) {
        return to.push_str(field);
    }
    to.push('"');
    *to += &field.replace('"', "\"\"");
    to.push('"');
}

fn rfc3339(at: UnixMs) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |time| time.to_string())
}

impl<'a> From<&'a Sample> for ExportRecord<'a> {
    fn from(sample: &'a Sample) -> Self {
        let figures = EstimateFigures::of(sample);
        Self {
            run_id: sample.run_id.as_str(),
            phase_id: sample.phase_id.as_str(),
            attempt: sample.attempt,
            timestamp: rfc3339(sample.timestamp),
            category: &sample.category,
            complexity: &sample.complexity,
            deliverable_count: sample.deliverables.len(),
            deliverables: &sample.deliverables,
            predicted_output_tokens: sample.predicted_output_tokens,
            actual_output_tokens: sample.actual_output_tokens,
            input_tokens: sample.input_tokens,
            cache_read_tokens: sample.cache_read_tokens,
            cost_usd: sample.cost_usd,
            agent: sample.agent.as_deref(),
            model: sample.model.as_deref(),
            success: sample.success,
            truncated: sample.truncated,
            stop_reason: sample.stop_reason.as_deref(),
            failure_kind: sample.failure_kind.as_deref(),
            smape_percent: figures.smape_percent,
            waste_ratio: figures.waste_ratio,
            underestimated: figures.underestimated,
            agent_ms: sample.agent_ms,
            ci_ms: sample.ci_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::{PhaseId, RunId};

    fn sample() -> Sample {
        Sample {
            run_id: RunId::new("r"),
            phase_id: PhaseId::new("a \"b\", c\nd"),
            attempt: Some(2),
            timestamp: UnixMs(1_769_817_600_500),
            category: "=1+1".to_owned(),
            complexity: "low".to_owned(),
            deliverables: vec!["a.rs".to_owned(), "b, \"c\".rs".to_owned()],
            description_chars: None,
            existing_bytes: None,
            predicted_output_tokens: Some(100),
            actual_output_tokens: Some(300),
            input_tokens: None,
            cache_read_tokens: Some(0),
            cost_usd: Some(0.25),
            agent: Some("claude".to_owned()),
            model: None,
            success: true,
            truncated: false,
            stop_reason: None,
            failure_kind: None,
            agent_ms: Some(5),
            ci_ms: None,
            number: 1,
        }
    }

    #[test]
    fn json_line_has_every_field_in_header_order() {
        let mut line = String::new();
        ndjson_line(&sample(), &mut line).unwrap();
        let value: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
        let names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names.join(","), CSV_HEADER);
        insta::assert_snapshot!(line.trim_end(), @r#"{"run_id":"r","phase_id":"a \"b\", c\nd","attempt":2,"timestamp":"2026-01-31T00:00:00.5Z","category":"=1+1","complexity":"low","deliverable_count":2,"deliverables":["a.rs","b, \"c\".rs"],"predicted_output_tokens":100,"actual_output_tokens":300,"input_tokens":null,"cache_read_tokens":0,"cost_usd":0.25,"agent":"claude","model":null,"success":true,"truncated":false,"stop_reason":null,"failure_kind":null,"smape_percent":100.0,"waste_ratio":0.3333333333333333,"underestimated":true,"agent_ms":5,"ci_ms":null}"#);
    }

    #[test]
    fn csv_line_quotes_special_characters() {
        let mut line = String::new();
        csv_line(&sample(), &mut line).unwrap();
        assert_eq!(
            line,
            "r,\"a \"\"b\"\", c\nd\",2,2026-01-31T00:00:00.5Z,=1+1,low,2,\
             \"[\"\"a.rs\"\",\"\"b, \\\"\"c\\\"\".rs\"\"]\",100,300,,0,0.25,claude,,true,false,,,100,\
             0.3333333333333333,true,5,\r\n"
        );
    }

    #[test]
    fn truncated_sample_has_only_a_lower_bound() {
        let cut =
            |actual| Sample { truncated: true, actual_output_tokens: Some(actual), ..sample() };
        let unknown = EstimateFigures::default();
        assert_eq!(EstimateFigures::of(&cut(90)), unknown);
        assert_eq!(
            EstimateFigures::of(&cut(110)),
            EstimateFigures { underestimated: Some(true), ..unknown }
        );
        assert_eq!(
            EstimateFigures::of(&Sample { actual_output_tokens: None, ..sample() }),
            unknown
        );
    }
}
