//! A ring for one producer and one consumer (Lamport 1983), of capacity one.

use std::sync::Arc;

use super::checker::cell::UnsafeCell;
use super::checker::sync::atomic::{AtomicUsize, Ordering, Ordering::*};
use super::support::{fails_for_an_ordering, passes, run};

#[derive(Clone, Copy)]
struct Orderings {
    /// The producer publishes an element.
    tail_store: Ordering,
    /// The consumer looks for one.
    tail_load: Ordering,
    /// The consumer gives the slot back.
    head_store: Ordering,
    /// The producer looks for a free slot.
    head_load: Ordering,
}

const RIGHT: Orderings =
    Orderings { tail_store: Release, tail_load: Acquire, head_store: Release, head_load: Acquire };

struct Ring {
    slot: UnsafeCell<usize>,
    head: AtomicUsize,
    tail: AtomicUsize,
}

// SAFETY: the indices give the slot to one side at a time, or the checker says so.
unsafe impl Send for Ring {}
// SAFETY: the indices give the slot to one side at a time, or the checker says so.
unsafe impl Sync for Ring {}

impl Ring {
    fn push(&self, value: usize, orderings: Orderings) -> bool {
        let tail = self.tail.load(Relaxed);
        if tail != self.head.load(orderings.head_load) {
            return false;
        }
        // SAFETY: the slot is empty, so it is the producer's.
        self.slot.with_mut(|slot| unsafe { *slot = value });
        self.tail.store(tail + 1, orderings.tail_store);
        true
    }

    fn pop(&self, orderings: Orderings) -> Option<usize> {
        let head = self.head.load(Relaxed);
        if head == self.tail.load(orderings.tail_load) {
            return None;
        }
        // SAFETY: the slot is full, so it is the consumer's.
        let value = self.slot.with(|slot| unsafe { *slot });
        self.head.store(head + 1, orderings.head_store);
        Some(value)
    }
}

fn model(reversed: bool, orderings: Orderings) {
    let ring = Arc::new(Ring {
        slot: UnsafeCell::new(0),
        head: AtomicUsize::new(0),
        tail: AtomicUsize::new(0),
    });
    let consumer = ring.clone();
    run(
        reversed,
        vec![
            Box::new(move || {
                if ring.push(1, orderings) {
                    ring.push(2, orderings);
                }
            }),
            Box::new(move || {
                let popped: Vec<usize> = (0..2).filter_map(|_| consumer.pop(orderings)).collect();
                assert!([1, 2].starts_with(&popped), "popped {popped:?}");
            }),
        ],
    );
}

#[test]
fn right() {
    passes(|reversed| model(reversed, RIGHT));
}

#[test]
fn element_published_relaxed() {
    fails_for_an_ordering(&["race"], |reversed| {
        model(reversed, Orderings { tail_store: Relaxed, ..RIGHT })
    });
}

#[test]
fn element_looked_for_relaxed() {
    fails_for_an_ordering(&["race"], |reversed| {
        model(reversed, Orderings { tail_load: Relaxed, ..RIGHT })
    });
}

/// Loom 0.7.2 passes this one if the consumer is spawned first.
#[test]
fn slot_given_back_relaxed() {
    fails_for_an_ordering(&["race"], |reversed| {
        model(reversed, Orderings { head_store: Relaxed, ..RIGHT })
    });
}

#[test]
fn free_slot_looked_for_relaxed() {
    fails_for_an_ordering(&["race"], |reversed| {
        model(reversed, Orderings { head_load: Relaxed, ..RIGHT })
    });
}
