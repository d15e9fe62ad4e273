//! The record in the formats of other dashboards. Pure functions of the record, with golden tests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::record::Record;
use crate::compare::report::higher_is_better;

/// github-action-benchmark's `customSmallerIsBetter`: `[{name, unit, value, range, extra}]`.
///
/// Rows of which more is better are left out: the format has one direction for all.
pub fn github_action(record: &Record) -> Value {
    let extra = format!("{}; {}; {}", record.machine, record.rustc, record.date);
    let rows = record.rows.iter().filter(|row| !higher_is_better(&row.unit));
    rows.map(|row| {
        json!({
            "name": row.id,
            "unit": row.unit,
            "value": row.median,
            "range": format!("{} .. {}", row.low, row.high),
            "extra": extra,
        })
    })
    .collect()
}

/// Bencher's metric format: `{name: {measure: {value, lower_value, upper_value}}}`.
pub fn bencher(record: &Record) -> Value {
    let rows = record.rows.iter().map(|row| {
        let bounds = json!({
            "value": row.median, "lower_value": row.low, "upper_value": row.high,
        });
        (row.id.clone(), json!({ measure(&row.unit): bounds }))
    });
    json!(rows.collect::<BTreeMap<_, _>>())
}

/// Bencher's slug of a unit: lower case, words joined by `-`.
fn measure(unit: &str) -> String {
    let lower = unit.to_lowercase();
    let parts = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::record::Row;

    fn record() -> Record {
        let row = |id: &str, unit: &str, median: f64| Row {
            id: id.into(),
            primitive: "mutex".into(),
            workload: id.split('/').nth(1).unwrap().into(),
            peer: id.split('/').nth(2).unwrap().into(),
            threads: 4,
            unit: unit.into(),
            median,
            low: median - 0.25,
            high: median + 0.5,
            samples: 25,
        };
        Record {
            machine: "2 x P, linux".into(),
            rustc: "rustc 1.0".into(),
            commit: Some("abc".into()),
            date: "2026-01-02".into(),
            peers: BTreeMap::new(),
            rows: vec![
                row("mutex/wait/ours/4", "ns/op", 7.77),
                row("mutex/wait-fairness/ours/4", "Jain's index", 0.75),
            ],
        }
    }

    #[test]
    fn the_format_of_github_action_benchmark() {
        let golden = json!([{
            "name": "mutex/wait/ours/4",
            "unit": "ns/op",
            "value": 7.77,
            "range": "7.52 .. 8.27",
            "extra": "2 x P, linux; rustc 1.0; 2026-01-02",
        }]);
        assert_eq!(github_action(&record()), golden);
    }

    #[test]
    fn the_format_of_bencher() {
        let golden = json!({
            "mutex/wait/ours/4": {
                "ns-op": { "value": 7.77, "lower_value": 7.52, "upper_value": 8.27 },
            },
            "mutex/wait-fairness/ours/4": {
                "jain-s-index": { "value": 0.75, "lower_value": 0.5, "upper_value": 1.25 },
            },
        });
        assert_eq!(bencher(&record()), golden);
    }
}
