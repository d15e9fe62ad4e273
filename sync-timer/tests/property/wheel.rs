//! The wheel against a sorted list: the same steps on both, the same answers from both.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sync_timer::wheel::{Key, TimerWheel};

/// A naive wheel: a list sorted by deadline, then by insertion.
#[derive(Default)]
struct Naive {
    sorted: BTreeMap<(u64, u64), ()>,
    deadlines: BTreeMap<u64, u64>,
}

impl Naive {
    fn insert(&mut self, id: u64, deadline: u64) {
        self.sorted.insert((deadline, id), ());
        self.deadlines.insert(id, deadline);
    }

    fn remove(&mut self, id: u64) -> Option<u64> {
        let deadline = self.deadlines.remove(&id)?;
        self.sorted.remove(&(deadline, id));
        Some(id)
    }

    fn reschedule(&mut self, id: u64, deadline: u64) -> bool {
        let here = self.remove(id).is_some();
        if here {
            self.insert(id, deadline);
        }
        here
    }

    fn first(&self) -> Option<u64> {
        self.sorted.first_key_value().map(|(&(deadline, _), ())| deadline)
    }

    fn pop(&mut self, now: u64) -> Option<(u64, u64)> {
        let (&(deadline, id), ()) =
            self.sorted.first_key_value().filter(|((deadline, _), ())| *deadline <= now)?;
        self.remove(id);
        Some((deadline, id))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    InsertAt(u64),
    Remove(usize),
    Reschedule(usize, u64),
    Advance(u64),
    Jump,
    Observe,
    Pop,
}

struct Both {
    wheel: TimerWheel<u64>,
    naive: Naive,
    keys: Vec<Key>,
    now: u64,
}

impl Both {
    fn new() -> Self {
        Self { wheel: TimerWheel::new(), naive: Naive::default(), keys: Vec::new(), now: 0 }
    }

    fn insert(&mut self, deadline: u64) {
        let id = self.keys.len() as u64;
        self.keys.push(self.wheel.insert(deadline, id));
        self.naive.insert(id, deadline);
    }

    fn pop_all(&mut self) {
        while self.pop_one() {}
        // The wheel requests a wake-up in time, and the requested time moves on.
        let wake = self.wheel.next_wake();
        assert_eq!(wake.is_some(), self.naive.first().is_some());
        if let (Some(wake), Some(first)) = (wake, self.naive.first()) {
            assert!(wake <= first, "wakes at {wake}, the first is due at {first}");
            assert!(wake > self.now || first > self.now);
        }
    }

    fn pop_one(&mut self) -> bool {
        let popped = self.wheel.pop(self.now);
        assert_eq!(popped, self.naive.pop(self.now));
        assert!(popped.is_none_or(|(deadline, _)| deadline <= self.now), "early");
        popped.is_some()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Insert(after) => self.insert(self.now.saturating_add(after)),
            Step::InsertAt(deadline) => self.insert(deadline),
            Step::Remove(which) if !self.keys.is_empty() => {
                let id = which % self.keys.len();
                assert_eq!(self.wheel.remove(self.keys[id]), self.naive.remove(id as u64));
            }
            Step::Reschedule(which, after) if !self.keys.is_empty() => {
                let id = which % self.keys.len();
                let deadline = self.now.saturating_add(after);
                assert_eq!(
                    self.wheel.reschedule(self.keys[id], deadline),
                    self.naive.reschedule(id as u64, deadline)
                );
                assert_eq!(
                    self.wheel.deadline(self.keys[id]),
                    self.naive.deadlines.get(&(id as u64)).copied()
                );
            }
            Step::Remove(_) | Step::Reschedule(..) => {}
            Step::Advance(by) => {
                self.now = self.now.saturating_add(by);
                self.pop_all();
            }
            Step::Jump => {
                // To the very moment, and to the nanosecond before it.
                if let Some(first) = self.naive.first() {
                    self.now = self.now.max(first.saturating_sub(1));
                    self.pop_all();
                    self.now = self.now.max(first);
                    self.pop_all();
                }
            }
            Step::Observe => self.wheel.observe(self.now),
            Step::Pop => {
                self.pop_one();
            }
        }
        assert_eq!(self.wheel.len(), self.naive.deadlines.len());
    }
}

/// A time of any magnitude: near and far are equally likely.
fn span() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(bits, shift)| bits >> shift)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => span().prop_map(Step::Insert),
        1 => span().prop_map(Step::InsertAt),
        3 => any::<usize>().prop_map(Step::Remove),
        2 => (any::<usize>(), span()).prop_map(|(which, after)| Step::Reschedule(which, after)),
        2 => (span(), 10u32..40).prop_map(|(by, shift)| Step::Advance(by >> shift)),
        2 => Just(Step::Jump),
        1 => Just(Step::Observe),
        1 => Just(Step::Pop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Short stories, which shrink to the few steps that matter when one fails.
    #[test]
    fn wheel_is_a_sorted_list(steps in prop::collection::vec(step(), 1..200)) {
        let mut both = Both::new();
        for step in steps {
            both.step(step);
        }
        both.now = u64::MAX;
        both.pop_all();
        prop_assert!(both.wheel.is_empty());
    }
}

/// One long story: many timers alive at once, keys of many thousands gone ones tried again.
/// `SYNC_TIMER_STEPS` and `SYNC_TIMER_SEED` make it longer or repeat it; the seed is printed.
#[test]
fn wheel_is_a_sorted_list_over_a_long_life() {
    let from_environment =
        |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let steps = from_environment("SYNC_TIMER_STEPS").unwrap_or(if cfg!(debug_assertions) {
        200_000
    } else {
        2_000_000
    });
    let seed = from_environment("SYNC_TIMER_SEED")
        .unwrap_or_else(|| u64::from(std::process::id()) | 1 << 40);
    println!("SYNC_TIMER_SEED={seed} SYNC_TIMER_STEPS={steps}");
    let mut state = seed;
    let mut next = || {
        // Splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut both = Both::new();
    for _ in 0..steps {
        let magnitude = 14 + next() % 34;
        let span = next() >> (63 - magnitude);
        let step = match next() % 100 {
            0..48 => Step::Insert(span),
            48..50 => Step::InsertAt(span),
            50..75 => Step::Remove(next() as usize),
            75..90 => Step::Reschedule(next() as usize, span),
            90..97 => Step::Advance(span >> 12),
            97 => Step::Jump,
            98 => Step::Observe,
            _ => Step::Pop,
        };
        both.step(step);
    }
    both.now = u64::MAX;
    both.pop_all();
    assert!(both.wheel.is_empty());
}
