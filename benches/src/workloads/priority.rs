//! Priority queues: a `BinaryHeap` under a mutex with a condition variable, which is what one
//! that is written without one.
//!
//! * `one-thread-<n>`: put and get in one thread, over `n` items;
//! * `mpmc-<capacity>`: four producers, four consumers; every item with a priority of its own.
//!
//! The heap under the mutex is std's, and not stable; ours keeps equals in the order they came.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// Operations that a workload needs of a queue that returns the lowest item first.
pub trait Priority: Sync + Send + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// A new queue; without a capacity it is unbounded.
    fn new(capacity: Option<usize>) -> Self;
    /// Puts, waiting for room.
    fn put(&self, item: u64);
    /// Gets the lowest, waiting for one.
    fn get(&self) -> u64;
}

impl Priority for sync_queue::PriorityQueue<u64> {
    const PEER: &'static str = OURS;

    fn new(capacity: Option<usize>) -> Self {
        capacity.map_or_else(Self::unbounded, Self::bounded)
    }

    #[inline]
    fn put(&self, item: u64) {
        self.put(item).expect("it is not shut down");
    }

    #[inline]
    fn get(&self) -> u64 {
        self.get().expect("it is not shut down")
    }
}

/// Std's heap, mutex and condition variables.
#[derive(Debug)]
pub struct Heap {
    items: Mutex<BinaryHeap<Reverse<u64>>>,
    capacity: usize,
    not_empty: Condvar,
    not_full: Condvar,
}

impl Priority for Heap {
    const PEER: &'static str = "binaryheap";

    fn new(capacity: Option<usize>) -> Self {
        let items = Mutex::new(BinaryHeap::with_capacity(capacity.unwrap_or(0)));
        Self {
            items,
            capacity: capacity.unwrap_or(usize::MAX),
            not_empty: Condvar::new(),
            not_full: Condvar::new(),
        }
    }

    fn put(&self, item: u64) {
        let items = self.items.lock().expect("no thread panics");
        let mut items = self
            .not_full
            .wait_while(items, |items| items.len() == self.capacity)
            .expect("no thread panics");
        items.push(Reverse(item));
        drop(items);
        self.not_empty.notify_one();
    }

    fn get(&self) -> u64 {
        let items = self.items.lock().expect("no thread panics");
        let mut items =
            self.not_empty.wait_while(items, |items| items.is_empty()).expect("no thread panics");
        let Reverse(item) = items.pop().expect("it was not empty");
        drop(items);
        if self.capacity != usize::MAX {
            self.not_full.notify_one();
        }
        item
    }
}

/// A different number for every index, in no order.
fn scattered(index: u64) -> u64 {
    index.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Put and get over `n` items that stay inside: each get returns the lowest item that is there.
fn one_thread<P: Priority>(inside: u64) -> Contestant {
    shapes::custom(P::PEER, move || {
        let queue = P::new(None);
        let (mut next, mut put, mut got) = (0, 0_u64, 0_u64);
        for _ in 0..inside {
            queue.put(scattered(next));
            put = put.wrapping_add(scattered(next));
            next += 1;
        }
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let start = std::time::Instant::now();
            for _ in 0..ops {
                queue.put(scattered(next));
                put = put.wrapping_add(scattered(next));
                next += 1;
                got = got.wrapping_add(queue.get());
            }
            let elapsed = start.elapsed();
            // The items inside, taken out in order and put back.
            let left: Vec<u64> = (0..inside).map(|_| queue.get()).collect();
            let in_order = left.is_sorted();
            let sum = left.iter().fold(got, |sum, item| sum.wrapping_add(*item));
            left.into_iter().for_each(|item| queue.put(item));
            if !in_order {
                return Err("items came out of order".to_owned());
            }
            expect(put, sum)?;
            Ok(Outcome::timed(ops, elapsed))
        }
    })
}

fn many<P: Priority>(producers: u64, consumers: u64, capacity: Option<usize>) -> Contestant {
    shapes::custom(P::PEER, move || {
        move |length: Length| {
            let Length::Ops(items) = length else { return Err("measured in operations".into()) };
            let items = items.div_ceil(producers * consumers) * producers * consumers;
            let queue = Arc::new(P::new(capacity));
            let sums = Mutex::new(0_u64);
            let run = run_team((producers + consumers) as usize, Length::Ops(items), |member| {
                let index = member.index as u64;
                if index < producers {
                    (0..items / producers)
                        .for_each(|n| queue.put(scattered(n * producers + index)));
                    return 0;
                }
                let sum =
                    (0..items / consumers).fold(0_u64, |sum, _| sum.wrapping_add(queue.get()));
                let mut all = sums.lock().expect("no thread panics");
                *all = all.wrapping_add(sum);
                items / consumers
            });
            let put = (0..items).fold(0_u64, |sum, n| sum.wrapping_add(scattered(n)));
            expect(put, sums.into_inner().expect("no thread panics"))?;
            Ok(Outcome::timed(run.ops(), run.elapsed))
        }
    })
}

/// All workloads of the priority queue.
pub fn workloads() -> Vec<Workload> {
    type Ours = sync_queue::PriorityQueue<u64>;
    let mut all = Vec::new();
    for inside in [0, 1_000] {
        all.push(Workload::single(
            "priority",
            format!("one-thread-{inside}"),
            vec![one_thread::<Ours>(inside), one_thread::<Heap>(inside)],
        ));
    }
    for (name, capacity) in [("mpmc-64", Some(64)), ("mpmc-unbounded", None)] {
        let contestants = vec![many::<Ours>(4, 4, capacity), many::<Heap>(4, 4, capacity)];
        all.push(Workload::team("priority", name, 8, contestants).paced_by_ops());
    }
    all
}
