//! A record by cell: all contestants of one workload, thread count and metric.

use super::record::{Record, Row};
use crate::compare::report::higher_is_better;
use crate::compare::stats::{Ratio, Verdict};
use crate::compare::subject::OURS;

/// Ratios closer to 1 than this are level, whatever the intervals: no one chooses a lock for 3 %.
pub const LEVEL: f64 = 0.03;

/// All contestants of one workload, thread count and metric.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    /// The primitive's stem.
    pub primitive: &'a str,
    /// The workload, with the metric's suffix.
    pub workload: &'a str,
    /// The number of threads.
    pub threads: usize,
    /// The unit.
    pub unit: &'a str,
    /// Our row.
    pub ours: &'a Row,
    /// The peers' rows, best first. Not empty.
    pub peers: Vec<&'a Row>,
}

impl<'a> Cell<'a> {
    /// The peer with the best median.
    pub fn best(&self) -> &'a Row {
        self.peers[0]
    }

    /// The row of std, if std takes part.
    pub fn std(&self) -> Option<&'a Row> {
        self.peers.iter().copied().find(|row| row.peer == "std")
    }

    /// How much of the peer's cost is ours: below 1, ours is better, for every unit.
    ///
    /// The record has an interval for each median. The interval of the ratio is the widest that
    /// they allow, so it errs towards "level".
    pub fn ratio(&self, peer: &Row) -> Ratio {
        let quotient = |a: f64, b: f64| if a == b { 1.0 } else { a / b };
        let ratio = Ratio {
            median: quotient(self.ours.median, peer.median),
            low: quotient(self.ours.low, peer.high),
            high: quotient(self.ours.high, peer.low),
        };
        if higher_is_better(self.unit) { ratio.inverse() } else { ratio }
    }

    /// The verdict against the best peer.
    pub fn verdict(&self) -> Verdict {
        verdict(&self.ratio(self.best()))
    }

    /// `<primitive>/<workload>/<threads>`.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.primitive, self.workload, self.threads)
    }

    /// Whether an interval is so wide that the median says little: the machine was busy.
    pub fn is_noisy(&self) -> bool {
        [self.ours, self.best()].iter().any(|row| row.high > 2.0 * row.low)
    }
}

/// The verdict on a ratio of costs, with a zone around 1 that is level.
pub fn verdict(ratio: &Ratio) -> Verdict {
    if (ratio.median - 1.0).abs() <= LEVEL { Verdict::Tie } else { ratio.verdict() }
}

/// The cells of a record in its order. A cell without ours or without a peer is left out.
pub fn cells(record: &Record) -> Vec<Cell<'_>> {
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in &record.rows {
        let key = |row: &Row| (row.primitive.clone(), row.workload.clone(), row.threads);
        match groups.iter_mut().find(|group| key(group[0]) == key(row)) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups
        .into_iter()
        .filter_map(|group| {
            let ours = group.iter().copied().find(|row| row.peer == OURS)?;
            let mut peers: Vec<_> = group.into_iter().filter(|row| row.peer != OURS).collect();
            peers.sort_by(|a, b| a.median.total_cmp(&b.median));
            if higher_is_better(&ours.unit) {
                peers.reverse();
            }
            (!peers.is_empty()).then_some(Cell {
                primitive: &ours.primitive,
                workload: &ours.workload,
                threads: ours.threads,
                unit: &ours.unit,
                ours,
                peers,
            })
        })
        .collect()
}

/// The geometric mean of positive finite numbers; `None` if there are none.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let logs: Vec<_> =
        values.into_iter().filter(|v| v.is_finite() && *v > 0.0).map(f64::ln).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn row(peer: &str, unit: &str, median: f64, spread: f64) -> Row {
        Row {
            id: format!("mutex/w/{peer}/1"),
            primitive: "mutex".into(),
            workload: "w".into(),
            peer: peer.into(),
            threads: 1,
            unit: unit.into(),
            median,
            low: median / spread,
            high: median * spread,
            samples: 9,
        }
    }

    fn record(rows: Vec<Row>) -> Record {
        Record {
            machine: "2 x P".into(),
            rustc: String::new(),
            commit: None,
            date: String::new(),
            peers: BTreeMap::new(),
            rows,
        }
    }

    #[test]
    fn the_best_peer_comes_first_in_both_directions() {
        let time = record(vec![
            row("std", "ns/op", 30.0, 1.01),
            row(OURS, "ns/op", 20.0, 1.01),
            row("spin", "ns/op", 10.0, 1.01),
        ]);
        let cell = &cells(&time)[0];
        assert_eq!((cell.best().peer.as_str(), cell.verdict()), ("spin", Verdict::Loss));
        assert_eq!(verdict(&cell.ratio(cell.std().unwrap())), Verdict::Win);
        let index = record(vec![
            row(OURS, "Jain's index", 0.9, 1.01),
            row("std", "Jain's index", 0.3, 1.01),
            row("spin", "Jain's index", 0.6, 1.01),
        ]);
        let cell = &cells(&index)[0];
        assert_eq!((cell.best().peer.as_str(), cell.verdict()), ("spin", Verdict::Win));
    }

    #[test]
    fn wide_intervals_and_small_differences_are_level() {
        for (ours, spread) in [(20.0, 1.5), (10.2, 1.001)] {
            let rows = vec![row(OURS, "ns/op", ours, spread), row("std", "ns/op", 10.0, spread)];
            assert_eq!(cells(&record(rows))[0].verdict(), Verdict::Tie);
        }
    }

    #[test]
    fn without_a_peer_there_is_no_cell() {
        assert!(cells(&record(vec![row(OURS, "ns/op", 1.0, 1.0)])).is_empty());
        assert!(cells(&record(vec![row("std", "ns/op", 1.0, 1.0)])).is_empty());
    }

    #[test]
    fn means() {
        assert_eq!(geometric_mean([]), None);
        assert!((geometric_mean([1.0, 4.0, f64::INFINITY]).unwrap() - 2.0).abs() < 1e-12);
    }
}
