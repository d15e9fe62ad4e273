//! The queue of Michael and Scott (PODC 1996), without reuse of nodes.

use std::sync::{Arc, Mutex};

use super::checker::cell::UnsafeCell;
use super::checker::sync::atomic::{AtomicUsize, Ordering, Ordering::*};
use super::support::{fails, fails_for_an_ordering, passes, run};

#[derive(Clone, Copy)]
struct Variant {
    /// Publishes a new node.
    link: Ordering,
    /// Reads a link before its node is looked into.
    follow: Ordering,
    /// Links by an exchange, so that two enqueues cannot take the same place.
    link_exchanges: bool,
    /// Takes by an exchange, so that two dequeues cannot take the same node.
    take_exchanges: bool,
}

const RIGHT: Variant =
    Variant { link: Release, follow: Acquire, link_exchanges: true, take_exchanges: true };

struct Node {
    next: AtomicUsize,
    value: UnsafeCell<usize>,
}

/// Node 0 is the first dummy; as a link, 0 is the end.
struct Queue {
    head: AtomicUsize,
    tail: AtomicUsize,
    nodes: [Node; 3],
}

// SAFETY: a value is written before its node is linked, and only read after.
unsafe impl Send for Queue {}
// SAFETY: a value is written before its node is linked, and only read after.
unsafe impl Sync for Queue {}

impl Queue {
    fn new() -> Arc<Self> {
        let node = || Node { next: AtomicUsize::new(0), value: UnsafeCell::new(0) };
        let nodes = [node(), node(), node()];
        Arc::new(Queue { head: AtomicUsize::new(0), tail: AtomicUsize::new(0), nodes })
    }

    fn enqueue(&self, number: usize, variant: Variant) {
        // SAFETY: the node is ours until it is linked.
        self.nodes[number].value.with_mut(|value| unsafe { *value = number });
        loop {
            let tail = self.tail.load(Acquire);
            let next = &self.nodes[tail].next;
            match next.load(variant.follow) {
                0 => {
                    let linked = match variant.link_exchanges {
                        true => next.compare_exchange(0, number, variant.link, Relaxed).is_ok(),
                        false => {
                            next.store(number, variant.link);
                            true
                        }
                    };
                    if linked {
                        // Failing means that another thread has helped.
                        let _ = self.tail.compare_exchange(tail, number, Release, Relaxed);
                        return;
                    }
                }
                behind => {
                    let _ = self.tail.compare_exchange(tail, behind, Release, Relaxed);
                }
            }
        }
    }

    fn dequeue(&self, variant: Variant) -> Option<usize> {
        loop {
            let head = self.head.load(Acquire);
            let tail = self.tail.load(Acquire);
            match self.nodes[head].next.load(variant.follow) {
                0 => return None,
                next if head == tail => {
                    let _ = self.tail.compare_exchange(tail, next, Release, Relaxed);
                }
                next => {
                    // SAFETY: it was written before it was linked, and no thread writes it again.
                    let value = self.nodes[next].value.with(|value| unsafe { *value });
                    let taken = match variant.take_exchanges {
                        true => self.head.compare_exchange(head, next, Release, Relaxed).is_ok(),
                        false => {
                            self.head.store(next, Release);
                            true
                        }
                    };
                    if taken {
                        return Some(value);
                    }
                }
            }
        }
    }
}

type Taken = Arc<Mutex<Vec<usize>>>;

fn take(queue: &Queue, variant: Variant, taken: &Taken) {
    let value = queue.dequeue(variant);
    taken.lock().expect("no panic while it is held").extend(value);
}

fn check(queue: &Queue, variant: Variant, taken: &Taken) {
    let mut all = std::mem::take(&mut *taken.lock().expect("no panic while it is held"));
    all.extend(std::iter::from_fn(|| queue.dequeue(variant)));
    all.sort_unstable();
    assert_eq!(all, [1, 2], "an element is lost or taken twice");
}

/// Two producers.
fn enqueues(reversed: bool, variant: Variant) {
    let queue = Queue::new();
    let (one, other) = (queue.clone(), queue.clone());
    run(
        reversed,
        vec![
            Box::new(move || one.enqueue(1, variant)),
            Box::new(move || other.enqueue(2, variant)),
        ],
    );
    check(&queue, variant, &Taken::default());
}

/// A producer and a consumer.
fn hand_over(reversed: bool, variant: Variant) {
    let (queue, taken) = (Queue::new(), Taken::default());
    let (producer, consumer, into) = (queue.clone(), queue.clone(), taken.clone());
    run(
        reversed,
        vec![
            Box::new(move || (1..=2).for_each(|number| producer.enqueue(number, variant))),
            Box::new(move || {
                take(&consumer, variant, &into);
                let first = into.lock().expect("no panic while it is held").first().copied();
                assert!(first.is_none_or(|value| value == 1), "2 came before 1");
            }),
        ],
    );
    check(&queue, variant, &taken);
}

/// Two consumers.
fn dequeues(reversed: bool, variant: Variant) {
    let (queue, taken) = (Queue::new(), Taken::default());
    (1..=2).for_each(|number| queue.enqueue(number, variant));
    let (one, other) = (queue.clone(), queue.clone());
    let (mine, theirs) = (taken.clone(), taken.clone());
    run(
        reversed,
        vec![
            Box::new(move || take(&one, variant, &mine)),
            Box::new(move || take(&other, variant, &theirs)),
        ],
    );
    check(&queue, variant, &taken);
}

#[test]
fn right() {
    passes(|reversed| enqueues(reversed, RIGHT));
    passes(|reversed| hand_over(reversed, RIGHT));
    passes(|reversed| dequeues(reversed, RIGHT));
}

#[test]
fn linked_relaxed() {
    fails_for_an_ordering(&["race"], |reversed| {
        hand_over(reversed, Variant { link: Relaxed, ..RIGHT })
    });
}

#[test]
fn followed_relaxed() {
    fails_for_an_ordering(&["race"], |reversed| {
        hand_over(reversed, Variant { follow: Relaxed, ..RIGHT })
    });
}

#[test]
fn linked_by_a_store() {
    fails(&["lost"], |reversed| enqueues(reversed, Variant { link_exchanges: false, ..RIGHT }));
}

#[test]
fn taken_by_a_store() {
    fails(&["taken twice"], |reversed| {
        dequeues(reversed, Variant { take_exchanges: false, ..RIGHT })
    });
}
