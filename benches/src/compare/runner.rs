//! Runs a workload: the self-check, calibration, then rounds in which all contestants take their
//! turn.
//!
//! The order is rotated from round to round, so that no contestant always runs first, or
//! always after the same other contestant.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::stats::{Estimate, LEAST_ROUNDS, Ratio};
use super::subject::{Length, NS_PER_OP, OURS, Outcome, Pace, Subject, Workload};

/// The result of one contestant's rounds under one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `<primitive>/<workload>/<peer>/<threads>`.
    pub id: String,
    /// The primitive's stem.
    pub primitive: &'static str,
    /// The workload, with the metric's suffix.
    pub workload: String,
    /// Threads.
    pub threads: usize,
    /// The contestant.
    pub peer: &'static str,
    /// The unit of the numbers.
    pub unit: &'static str,
    /// The median of the rounds, and its interval.
    pub estimate: Estimate,
    /// Our value divided by the peer's, round by round: below 1, ours has less of it.
    pub ours_to_peer: Ratio,
}

/// All contestants of one workload under one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Ours first.
    pub rows: Vec<Row>,
}

/// The result of a workload: its groups, and the complaints about contestants that failed their
/// self-check.
#[derive(Debug, Default)]
pub struct Findings {
    /// One group a metric.
    pub groups: Vec<Group>,
    /// Contestants that lost or doubled something; they have no rows.
    pub failures: Vec<String>,
}

struct Running {
    peer: &'static str,
    subject: Box<dyn Subject>,
    length: Length,
    /// By metric, then by round.
    values: Vec<Vec<f64>>,
    units: Vec<&'static str>,
}

/// How long the rounds of a workload may take together when their number is not given. A
/// machine that is busy with something else makes every round longer; then there are fewer.
const BUDGET: Duration = Duration::from_millis(1_500);

/// Runs a workload for `rounds` rounds, or for as many as the workload itself wants.
pub fn run(workload: &Workload, rounds: Option<usize>, watchdog: &Watchdog) -> Findings {
    let budget = if rounds.is_some() { Duration::MAX } else { BUDGET };
    let rounds = rounds.unwrap_or(workload.rounds).max(LEAST_ROUNDS);
    let mut findings = Findings::default();
    let mut running: Vec<Running> = Vec::new();
    for contestant in &workload.contestants {
        let id = workload.id("", contestant.peer);
        let mut subject = contestant.start();
        let ready = watchdog
            .guard(&id, || subject.check().and_then(|()| calibrate(&mut *subject, workload)));
        match ready {
            Ok(length) => running.push(Running {
                peer: contestant.peer,
                subject,
                length,
                values: vec![Vec::with_capacity(rounds); workload.metrics.len()],
                units: vec![NS_PER_OP; workload.metrics.len()],
            }),
            Err(what) => findings.failures.push(format!("{id}: {what}")),
        }
    }
    let begun = Instant::now();
    for round in 0..rounds {
        if round >= LEAST_ROUNDS && begun.elapsed() > budget {
            break;
        }
        let turns = running.len();
        for turn in 0..turns {
            let at = (round + turn) % turns;
            let id = workload.id("", running[at].peer);
            let Running { subject, length, .. } = &mut running[at];
            match watchdog.guard(&id, || subject.round(*length)) {
                Ok(outcome) => running[at].record(workload, &outcome),
                Err(what) => findings.failures.push(format!("{id}: {what}")),
            }
        }
        // A contestant that failed in this round is out; the others keep their rounds in step.
        running.retain(|one| one.values.iter().all(|values| values.len() == round + 1));
    }
    if running.first().is_some_and(|first| first.peer == OURS) {
        findings.groups =
            (0..workload.metrics.len()).map(|metric| group(workload, metric, &running)).collect();
    }
    findings
}

impl Running {
    fn record(&mut self, workload: &Workload, outcome: &Outcome) {
        let suffixes: Vec<_> = outcome.metrics.iter().map(|metric| metric.suffix).collect();
        assert_eq!(
            suffixes,
            workload.metrics,
            "a round of {} reports what its workload announces",
            workload.id("", self.peer)
        );
        for (at, metric) in outcome.metrics.iter().enumerate() {
            self.values[at].push(metric.value);
            self.units[at] = metric.unit;
        }
    }
}

fn group(workload: &Workload, metric: usize, running: &[Running]) -> Group {
    let suffix = workload.metrics[metric];
    let ours = &running[0].values[metric];
    let row = |one: &Running| Row {
        id: workload.id(suffix, one.peer),
        primitive: workload.primitive,
        workload: workload.row_name(suffix),
        threads: workload.threads,
        peer: one.peer,
        unit: one.units[metric],
        estimate: Estimate::of(&one.values[metric]),
        ours_to_peer: if one.peer == OURS {
            Ratio::ONE
        } else {
            Ratio::paired(ours, &one.values[metric])
        },
    };
    Group { rows: running.iter().map(row).collect() }
}

/// Finds out how many operations fill a round; warms up on the way.
fn calibrate(subject: &mut dyn Subject, workload: &Workload) -> Result<Length, String> {
    if workload.pace == Pace::Time {
        let length = Length::Time(workload.round);
        subject.round(length)?;
        return Ok(length);
    }
    let mut ops = workload.threads as u64 * 16;
    loop {
        let outcome = subject.round(Length::Ops(ops))?;
        if outcome.elapsed >= workload.round / 4 || ops > 1 << 40 {
            let rate = outcome.ops as f64 / outcome.elapsed.as_secs_f64().max(1e-9);
            return Ok(Length::Ops(((rate * workload.round.as_secs_f64()) as u64).max(1)));
        }
        ops *= 2;
    }
}

/// Ends the process when a contestant hangs, and names it: a lost wake-up must not look like
/// a slow machine.
#[derive(Debug)]
pub struct Watchdog {
    shared: Arc<(Mutex<Watched>, Condvar)>,
}

#[derive(Debug, Default)]
struct Watched {
    /// The running contestant, and since when it runs.
    now: Option<(String, Instant)>,
    over: bool,
}

impl Watchdog {
    /// Longest time that a single round may take. Rounds are planned to take milliseconds.
    const LIMIT: Duration = Duration::from_secs(60);

    /// Starts to watch.
    pub fn start() -> Self {
        let shared: Arc<(Mutex<Watched>, Condvar)> = Arc::default();
        let watched = Arc::clone(&shared);
        thread::spawn(move || {
            let (watched, bell) = &*watched;
            let mut state = watched.lock().unwrap_or_else(PoisonError::into_inner);
            while !state.over {
                if let Some((id, since)) = &state.now
                    && since.elapsed() > Self::LIMIT
                {
                    // Not `eprintln!`, whose text a test keeps for itself until it ends; this one
                    // never does.
                    let seconds = Self::LIMIT.as_secs();
                    let _ = writeln!(
                        io::stderr(),
                        "error: {id} hangs: a single round has not ended after {seconds} seconds"
                    );
                    std::process::exit(1);
                }
                state = bell
                    .wait_timeout(state, Duration::from_secs(1))
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        });
        Self { shared }
    }

    /// Does something under the watchdog's eyes.
    pub fn guard<R>(&self, id: &str, f: impl FnOnce() -> R) -> R {
        let (watched, _) = &*self.shared;
        watched.lock().unwrap_or_else(PoisonError::into_inner).now =
            Some((id.to_owned(), Instant::now()));
        let result = f();
        watched.lock().unwrap_or_else(PoisonError::into_inner).now = None;
        result
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let (watched, bell) = &*self.shared;
        watched.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::subject::{Contestant, Metric};

    /// A contestant whose clock is made up: `ns` an operation, and twice that in its second metric.
    fn made_up(peer: &'static str, ns: u64) -> Contestant {
        Contestant::new(peer, move || {
            move |length: Length| {
                let Length::Ops(ops) = length else { unreachable!("paced by operations") };
                let mut outcome = Outcome::timed(ops, Duration::from_nanos(ops * ns));
                outcome.metrics.push(Metric {
                    suffix: "twice",
                    unit: "us",
                    value: 2.0 * ns as f64,
                });
                Ok(outcome)
            }
        })
    }

    #[test]
    fn medians_and_ratios_are_those_of_the_rounds() {
        let workload = Workload::single(
            "mutex",
            "made-up",
            vec![made_up(OURS, 10), made_up("std", 30), made_up("fast", 5)],
        )
        .reporting(&["", "twice"]);
        let findings = run(&workload, Some(7), &Watchdog::start());
        assert!(findings.failures.is_empty());
        let [main, twice] = &findings.groups[..] else { panic!("two metrics") };
        let ids: Vec<_> = main.rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["mutex/made-up/ours/1", "mutex/made-up/std/1", "mutex/made-up/fast/1"]);
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
        assert!(
            near(main.rows[1].estimate.median, 30.0)
                && near(main.rows[1].ours_to_peer.median, 1.0 / 3.0),
            "{main:?}"
        );
        assert!(near(main.rows[2].ours_to_peer.high, 2.0), "{main:?}");
        assert_eq!(
            (twice.rows[1].id.as_str(), twice.rows[1].unit),
            ("mutex/made-up-twice/std/1", "us")
        );
        assert!(near(twice.rows[1].estimate.median, 60.0));
    }

    #[test]
    fn the_order_rotates_and_everybody_has_every_round() {
        use std::cell::RefCell;
        use std::rc::Rc;
        let log: Rc<RefCell<Vec<&str>>> = Rc::default();
        let logging = |peer: &'static str| {
            let log = Rc::clone(&log);
            Contestant::new(peer, move || {
                let log = Rc::clone(&log);
                move |length: Length| {
                    let Length::Ops(ops) = length else { unreachable!("paced by operations") };
                    log.borrow_mut().push(peer);
                    // So long that the first try of the calibration fills the round.
                    Ok(Outcome::timed(ops, Duration::from_secs(1)))
                }
            })
        };
        run(
            &Workload::single("mutex", "order", vec![logging(OURS), logging("b"), logging("c")]),
            Some(6),
            &Watchdog::start(),
        );
        // Check and calibration of each, then the rounds.
        let log = log.borrow();
        let (warm, rounds) = log.split_at(6);
        assert_eq!(warm, [OURS, OURS, "b", "b", "c", "c"]);
        let firsts: Vec<_> = rounds.chunks(3).map(|round| round[0]).collect();
        assert_eq!(firsts, [OURS, "b", "c", OURS, "b", "c"]);
    }

    #[test]
    fn a_contestant_that_loses_something_is_out_and_named() {
        let broken = |peer: &'static str| {
            Contestant::new(peer, || |_: Length| Err::<Outcome, _>("lost one".to_owned()))
        };
        let workload = Workload::single("mutex", "broken", vec![made_up(OURS, 1), broken("std")])
            .reporting(&["", "twice"]);
        let findings = run(&workload, Some(6), &Watchdog::start());
        assert_eq!(findings.failures, ["mutex/broken/std/1: lost one"]);
        assert_eq!(findings.groups[0].rows.len(), 1);
        let ours = Workload::single("mutex", "broken", vec![broken(OURS), made_up("std", 1)])
            .reporting(&["", "twice"]);
        let findings = run(&ours, Some(6), &Watchdog::start());
        assert!(findings.groups.is_empty(), "without ours there is no comparison");
        assert_eq!(findings.failures.len(), 1);
    }
}
