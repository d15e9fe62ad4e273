//! The two ways to print what was found: a table for people, one JSON object a line for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::runner::{Group, Row};
use super::stats::{Ratio, Verdict};
use super::subject::OURS;
use crate::machine::Machine;

/// One line of JSON for a row. A number that is not finite is `null`.
pub fn json_line(row: &Row) -> String {
    json!({
        "id": row.id,
        "primitive": row.primitive,
        "workload": row.workload,
        "threads": row.threads,
        "peer": row.peer,
        "unit": row.unit,
        "median": number(row.estimate.median),
        "low": number(row.estimate.low),
        "high": number(row.estimate.high),
        "samples": row.estimate.samples,
        "ours_to_peer": number(row.ours_to_peer.median),
        "ours_to_peer_low": number(row.ours_to_peer.low),
        "ours_to_peer_high": number(row.ours_to_peer.high),
    })
    .to_string()
}

/// Six significant digits of a number; `null` if it is not finite.
pub fn number(value: f64) -> Value {
    // Six significant digits: more would be noise.
    let rounded = format!("{value:.5e}").parse::<f64>().unwrap_or(f64::NAN);
    serde_json::Number::from_f64(rounded).map_or(Value::Null, Value::Number)
}

/// The lines above the table.
pub fn header(machine: &Machine) -> String {
    format!(
        "{machine}\n\
         Median of alternating rounds. \"ours is\" = ours divided by the peer, median of the\n\
         paired rounds with its 95 % interval: below 1, ours takes less. * = the best peer.\n"
    )
}

/// The table of one workload under one metric.
pub fn table(group: &Group, cores: usize) -> String {
    let Some(ours) = group.rows.first() else { return String::new() };
    let best = best_peer(group);
    let mut text = String::new();
    let threads = match ours.threads {
        1 => "1 thread".to_owned(),
        n if n > cores => format!("{n} threads on {cores} cores"),
        n => format!("{n} threads"),
    };
    let better = if higher_is_better(ours.unit) { ", more is better" } else { "" };
    let _ =
        writeln!(text, "\n{}/{}   {threads}, {}{better}", ours.primitive, ours.workload, ours.unit);
    for row in &group.rows {
        let star = if best.is_some_and(|best| best.peer == row.peer) { '*' } else { ' ' };
        let median = figure(row.estimate.median);
        let _ = write!(text, "  {star} {:<18}{median:>12}", row.peer);
        if row.peer != OURS {
            let ratio = row.ours_to_peer;
            let _ = write!(
                text,
                "   ours is {:>6} [{}, {}]",
                figure(ratio.median),
                figure(ratio.low),
                figure(ratio.high)
            );
            let _ = write!(text, "  {}", word(verdict(&ratio, row.unit)));
        }
        text.push('\n');
    }
    text
}

/// The peer with the best median.
pub fn best_peer(group: &Group) -> Option<&Row> {
    let peers = group.rows.iter().filter(|row| row.peer != OURS);
    if group.rows.first().is_some_and(|row| higher_is_better(row.unit)) {
        peers.max_by(|a, b| a.estimate.median.total_cmp(&b.estimate.median))
    } else {
        peers.min_by(|a, b| a.estimate.median.total_cmp(&b.estimate.median))
    }
}

/// Of Jain's index alone, more is better.
pub fn higher_is_better(unit: &str) -> bool {
    unit == "Jain's index"
}

fn verdict(ours_to_peer: &Ratio, unit: &str) -> Verdict {
    if higher_is_better(unit) { ours_to_peer.inverse().verdict() } else { ours_to_peer.verdict() }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Win => "better",
        Verdict::Tie => "same",
        Verdict::Loss => "WORSE",
    }
}

/// Three or four significant digits, without an exponent.
pub fn figure(value: f64) -> String {
    match value {
        v if !v.is_finite() => "-".to_owned(),
        v if v >= 1000.0 => format!("{v:.0}"),
        v if v >= 100.0 => format!("{v:.1}"),
        v if v >= 10.0 => format!("{v:.2}"),
        v if v >= 0.1 || v == 0.0 => format!("{v:.3}"),
        v => format!("{v:.5}"),
    }
}

/// How often ours was better, the same and worse, against std and against the best peer.
#[derive(Debug, Default)]
pub struct Score {
    std: [usize; 3],
    best: [usize; 3],
    losses: Vec<String>,
}

impl Score {
    /// Counts a group.
    pub fn add(&mut self, group: &Group) {
        let slot = |row: &Row| verdict(&row.ours_to_peer, row.unit) as usize;
        if let Some(std) = group.rows.iter().find(|row| row.peer == "std") {
            self.std[slot(std)] += 1;
        }
        if let Some(best) = best_peer(group) {
            self.best[slot(best)] += 1;
            if slot(best) == Verdict::Loss as usize {
                self.losses.push(format!(
                    "{} ({} times {})",
                    group.rows[0].id,
                    figure(best.ours_to_peer.median),
                    best.peer
                ));
            }
        }
    }

    /// The last lines of the table.
    pub fn summary(&self) -> String {
        let line = |of: [usize; 3]| format!("better {}, same {}, worse {}", of[0], of[1], of[2]);
        let mut text = format!(
            "\nours against std:           {}\nours against the best peer: {}\n",
            line(self.std),
            line(self.best)
        );
        if !self.losses.is_empty() {
            text.push_str("worse than the best peer in:\n");
            for loss in &self.losses {
                let _ = writeln!(text, "  {loss}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::stats::Estimate;

    fn row(peer: &'static str, unit: &'static str, median: f64, ratio: f64) -> Row {
        Row {
            id: format!("mutex/uncontended/{peer}/1"),
            primitive: "mutex",
            workload: "uncontended".to_owned(),
            threads: 1,
            peer,
            unit,
            estimate: Estimate { median, low: median * 0.9, high: median * 1.1, samples: 9 },
            ours_to_peer: Ratio { median: ratio, low: ratio * 0.9, high: ratio * 1.1 },
        }
    }

    #[test]
    fn a_json_line_has_exactly_the_named_keys() {
        let line = json_line(&row("std", "ns/op", 5.600_000_123, 1.2));
        let value: Value = serde_json::from_str(&line).unwrap();
        let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let mut named = [
            "id",
            "primitive",
            "workload",
            "threads",
            "peer",
            "unit",
            "median",
            "low",
            "high",
            "samples",
            "ours_to_peer",
            "ours_to_peer_low",
            "ours_to_peer_high",
        ];
        named.sort_unstable();
        assert_eq!(keys, named);
        assert_eq!(
            (value["id"].as_str(), value["threads"].as_u64()),
            (Some("mutex/uncontended/std/1"), Some(1))
        );
        assert_eq!(
            (value["median"].as_f64(), value["ours_to_peer"].as_f64()),
            (Some(5.6), Some(1.2))
        );
        assert_eq!((value["low"].as_f64(), value["high"].as_f64()), (Some(5.04), Some(6.16)));
        assert_eq!(value["ours_to_peer_low"].as_f64(), Some(1.08));
        assert_eq!(value["samples"].as_u64(), Some(9));
        assert!(!line.contains('\n'));
        let infinite: Value =
            serde_json::from_str(&json_line(&row("std", "us", 1.0, f64::INFINITY))).unwrap();
        assert_eq!(infinite["ours_to_peer"], Value::Null);
    }

    #[test]
    fn the_table_marks_the_best_peer_and_the_worse_ones() {
        let group = Group {
            rows: vec![
                row(OURS, "ns/op", 10.0, 1.0),
                row("std", "ns/op", 20.0, 0.5),
                row("spin", "ns/op", 5.0, 2.0),
            ],
        };
        let text = table(&group, 2);
        let line = |peer: &str| text.lines().find(|line| line.contains(peer)).unwrap().to_owned();
        assert!(line("std").contains("ours is  0.500 [0.450, 0.550]  better"), "{text}");
        assert!(line("spin").contains('*') && line("spin").ends_with("WORSE"), "{text}");
        let mut score = Score::default();
        score.add(&group);
        assert!(
            score.summary().contains("std:           better 1, same 0, worse 0"),
            "{}",
            score.summary()
        );
        assert!(
            score.summary().contains("mutex/uncontended/ours/1 (2.000 times spin)"),
            "{}",
            score.summary()
        );
    }

    #[test]
    fn of_fairness_more_is_better() {
        let unit = "Jain's index";
        let group = Group {
            rows: vec![
                row(OURS, unit, 0.9, 1.0),
                row("std", unit, 0.3, 3.0),
                row("spin", unit, 0.6, 1.5),
            ],
        };
        assert_eq!(best_peer(&group).unwrap().peer, "spin");
        assert_eq!(table(&group, 2).matches("better").count(), 3, "two verdicts and the header");
    }
}
