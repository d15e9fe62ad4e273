//! The usual subjects, ready made. Each takes plain functions, is compiled once for every peer, and
//! does not box what it times.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::subject::{Contestant, Length, Metric, Outcome, Subject};
use crate::usage::Usage;

/// A loop in one thread: `ops(&state, n)` does `n` operations, `verify(&state)` says how many have
/// been done since the state was made.
pub fn looping<S: 'static>(
    peer: &'static str,
    make: impl Fn() -> S + 'static,
    ops: impl Fn(&S, u64) + Copy + 'static,
    verify: impl Fn(&S) -> u64 + Copy + 'static,
) -> Contestant {
    Contestant::new(peer, move || {
        let state = make();
        let mut done = 0;
        move |length: Length| {
            let Length::Ops(n) = length else {
                return Err("a loop is measured in operations".into());
            };
            let start = Instant::now();
            ops(black_box(&state), n);
            let elapsed = start.elapsed();
            done += n;
            expect(done, verify(&state))?;
            Ok(Outcome::timed(n, elapsed))
        }
    })
}

/// Threads that all do the same to one object: `op(&state, thread)` is one operation,
/// `verify(&state)` says how many have been done.
pub fn team<S: Sync + 'static>(
    peer: &'static str,
    threads: usize,
    make: impl Fn() -> S + 'static,
    op: impl Fn(&S, usize) + Sync + Copy + 'static,
    verify: impl Fn(&S) -> u64 + Copy + 'static,
) -> Contestant {
    Contestant::new(peer, move || {
        let state = make();
        let mut before = 0;
        move |length: Length| {
            let run = run_team(threads, length, |member| {
                let mut done = 0;
                while member.goes_on(done) {
                    op(black_box(&state), member.index);
                    done += 1;
                }
                done
            });
            before += run.ops();
            expect(before, verify(&state))?;
            Ok(Outcome::timed(run.ops(), run.elapsed))
        }
    })
}

/// A subject from a function, where the ready-made ones do not fit.
pub fn custom<S: Subject + 'static>(
    peer: &'static str,
    start: impl Fn() -> S + 'static,
) -> Contestant {
    Contestant::new(peer, start)
}

/// The check that all shapes end with.
///
/// # Errors
///
/// When the numbers differ.
pub fn expect(done: u64, seen: u64) -> Result<(), String> {
    if done == seen { Ok(()) } else { Err(format!("{done} operations were done, {seen} are seen")) }
}

/// A thread of a team.
#[derive(Debug)]
pub struct Member<'a> {
    /// Its number, from 0.
    pub index: usize,
    limit: u64,
    over: &'a AtomicBool,
}

impl Member<'_> {
    /// Whether to do another operation after `done` ones.
    #[inline]
    pub fn goes_on(&self, done: u64) -> bool {
        // Relaxed: only a hint to stop; the results meet in the join.
        done < self.limit && !self.over.load(Ordering::Relaxed)
    }

    /// How many operations are this member's share, if the round is measured in operations.
    pub fn share(&self) -> u64 {
        self.limit
    }
}

/// The result of a team's run.
#[derive(Debug)]
pub struct TeamRun {
    /// The number of operations that each thread's function returned.
    pub done: Vec<u64>,
    /// From the first start to the last end.
    pub elapsed: Duration,
    /// The resources that the process used meanwhile.
    pub usage: Usage,
}

impl TeamRun {
    /// All operations.
    pub fn ops(&self) -> u64 {
        self.done.iter().sum()
    }

    /// Jain's index of the threads' shares: 1 when all got the same, 1/n when one got everything.
    pub fn jain(&self) -> f64 {
        jain(&self.done)
    }

    /// Processor time an operation, as a metric.
    pub fn cpu(&self) -> Metric {
        Metric {
            suffix: "cpu",
            unit: "cpu ns/op",
            value: self.usage.cpu.as_secs_f64() * 1e9 / self.ops().max(1) as f64,
        }
    }

    /// How often a thread went to sleep, an operation, as a metric.
    pub fn switches(&self) -> Metric {
        Metric {
            suffix: "switches",
            unit: "switches/op",
            value: self.usage.voluntary as f64 / self.ops().max(1) as f64,
        }
    }
}

/// Jain's fairness index.
pub fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|&x| x as f64).sum();
    let squares: f64 = shares.iter().map(|&x| (x as f64).powi(2)).sum();
    if squares == 0.0 { 1.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

/// Runs a team once: all begin together, and end when the length says.
///
/// # Panics
///
/// When a member does.
pub fn run_team(
    threads: usize,
    length: Length,
    body: impl Fn(&Member<'_>) -> u64 + Sync,
) -> TeamRun {
    let over = AtomicBool::new(false);
    let line = Barrier::new(threads + 1);
    let limit = match length {
        Length::Ops(ops) => ops.div_ceil(threads as u64),
        Length::Time(_) => u64::MAX,
    };
    let (over, line, body) = (&over, &line, &body);
    thread::scope(|scope| {
        let members: Vec<_> = (0..threads)
            .map(|index| {
                scope.spawn(move || {
                    let member = Member { index, limit, over };
                    line.wait();
                    let start = Instant::now();
                    let done = body(&member);
                    (done, start, Instant::now())
                })
            })
            .collect();
        let before = Usage::now();
        line.wait();
        if let Length::Time(time) = length {
            thread::sleep(time);
            // Relaxed: as in `goes_on`.
            over.store(true, Ordering::Relaxed);
        }
        let ended: Vec<_> = members
            .into_iter()
            .map(|member| member.join().expect("a member of the team panicked"))
            .collect();
        let usage = Usage::now().since(before);
        let first = ended.iter().map(|&(_, start, _)| start).min().expect("a team has members");
        let last = ended.iter().map(|&(_, _, end)| end).max().expect("a team has members");
        TeamRun {
            done: ended.into_iter().map(|(done, ..)| done).collect(),
            elapsed: last - first,
            usage,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn jain_is_one_for_equals_and_a_share_for_a_hog() {
        assert_eq!(jain(&[5, 5, 5, 5]), 1.0);
        assert_eq!(jain(&[8, 0, 0, 0]), 0.25);
        assert_eq!(jain(&[0, 0]), 1.0, "no thread got anything: no thread was treated worse");
    }

    #[test]
    fn a_team_does_its_share_and_is_counted() {
        let contestant = team(
            "std",
            3,
            || Mutex::new(0),
            |counter, _| *counter.lock().unwrap() += 1,
            |counter| *counter.lock().unwrap(),
        );
        let mut subject = contestant.start();
        assert_eq!(
            subject.round(Length::Ops(10)).unwrap().ops,
            12,
            "rounded up to the same share for all"
        );
        assert!(subject.round(Length::Time(Duration::from_millis(1))).is_ok());
    }

    #[test]
    fn a_lock_that_loses_updates_is_found() {
        // The "lock" forgets every hundredth operation.
        let forgetful = team(
            "none",
            2,
            || (AtomicU64::new(0), AtomicU64::new(0)),
            |(calls, kept), _| {
                let mine = calls.fetch_add(1, Ordering::Relaxed);
                kept.fetch_add(u64::from(mine % 100 != 99), Ordering::Relaxed);
            },
            |(_, kept)| kept.load(Ordering::Relaxed),
        );
        assert_eq!(
            forgetful.start().check(),
            Err("1000 operations were done, 990 are seen".into())
        );
        let looping = looping("none", || (), |_, _| {}, |_| 3);
        assert!(looping.start().check().is_err());
    }

    #[test]
    fn work_uses_the_processor() {
        let run = run_team(1, Length::Ops(1), |_| {
            crate::compare::work::Work::lasting(Duration::from_millis(20)).perform();
            1
        });
        assert!(run.usage.cpu > Duration::ZERO && run.cpu().value > 0.0, "{run:?}");
    }
}
