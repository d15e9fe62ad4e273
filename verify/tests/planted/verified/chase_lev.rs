//! The work-stealing deque of Chase and Lev (SPAA 2005), with the orderings of Lê, Pop, Cohen and
//! Zappa Nardelli (PPoPP 2013).

use std::sync::{Arc, Mutex};

use super::checker::sync::atomic::{AtomicUsize, Ordering, Ordering::*, fence};
use super::support::{fails, fails_for_an_ordering, passes, run};

#[derive(Clone, Copy)]
struct Variant {
    /// Before the new bottom is stored: publishes the element.
    push_fence: Option<Ordering>,
    /// Between the owner's claim of the bottom and its look at the top.
    take_fence: Option<Ordering>,
    /// Between a thief's look at the top and its look at the bottom.
    steal_fence: Option<Ordering>,
    /// How a thief looks at the bottom.
    steal_bottom: Ordering,
    /// Whether the owner competes for the last element.
    last_exchanges: bool,
}

const RIGHT: Variant = Variant {
    push_fence: Some(Release),
    take_fence: Some(SeqCst),
    steal_fence: Some(SeqCst),
    steal_bottom: Acquire,
    last_exchanges: true,
};

/// Indices start at 1, so that the owner's `bottom - 1` is a number.
struct Deque {
    top: AtomicUsize,
    bottom: AtomicUsize,
    slots: [AtomicUsize; 2],
}

fn optional(ordering: Option<Ordering>) {
    if let Some(ordering) = ordering {
        fence(ordering);
    }
}

impl Deque {
    fn new() -> Arc<Self> {
        let slots = [AtomicUsize::new(0), AtomicUsize::new(0)];
        Arc::new(Deque { top: AtomicUsize::new(1), bottom: AtomicUsize::new(1), slots })
    }

    fn push(&self, value: usize, variant: Variant) {
        let bottom = self.bottom.load(Relaxed);
        assert!(bottom - self.top.load(Acquire) < 2, "the models never fill it");
        self.slots[bottom % 2].store(value, Relaxed);
        optional(variant.push_fence);
        self.bottom.store(bottom + 1, Relaxed);
    }

    fn take(&self, variant: Variant) -> Option<usize> {
        let bottom = self.bottom.load(Relaxed) - 1;
        self.bottom.store(bottom, Relaxed);
        optional(variant.take_fence);
        let top = self.top.load(Relaxed);
        if top > bottom {
            self.bottom.store(bottom + 1, Relaxed);
            return None;
        }
        let value = self.slots[bottom % 2].load(Relaxed);
        if top < bottom {
            return Some(value);
        }
        let ours = match variant.last_exchanges {
            true => self.top.compare_exchange(top, top + 1, SeqCst, Relaxed).is_ok(),
            false => {
                self.top.store(top + 1, SeqCst);
                true
            }
        };
        self.bottom.store(bottom + 1, Relaxed);
        ours.then_some(value)
    }

    fn steal(&self, variant: Variant) -> Option<usize> {
        let top = self.top.load(Acquire);
        optional(variant.steal_fence);
        let bottom = self.bottom.load(variant.steal_bottom);
        if top >= bottom {
            return None;
        }
        let value = self.slots[top % 2].load(Relaxed);
        self.top.compare_exchange(top, top + 1, SeqCst, Relaxed).is_ok().then_some(value)
    }
}

/// The owner pushes two elements and takes twice; a thief steals twice.
fn model(reversed: bool, variant: Variant) {
    let (deque, got) = (Deque::new(), Arc::new(Mutex::new(Vec::new())));
    let (owner, thief) = (deque.clone(), deque.clone());
    let (mine, theirs) = (got.clone(), got.clone());
    run(
        reversed,
        vec![
            Box::new(move || {
                owner.push(1, variant);
                owner.push(2, variant);
                for _ in 0..2 {
                    let value = owner.take(variant);
                    mine.lock().expect("no panic while it is held").extend(value);
                }
            }),
            Box::new(move || {
                for _ in 0..2 {
                    let value = thief.steal(variant);
                    theirs.lock().expect("no panic while it is held").extend(value);
                }
            }),
        ],
    );
    let mut got = std::mem::take(&mut *got.lock().expect("no panic while it is held"));
    got.extend(std::iter::from_fn(|| deque.take(variant)));
    got.sort_unstable();
    assert_eq!(got, [1, 2], "an element is lost, taken twice or read too early");
}

const REASON: &[&str] = &["taken twice"];

#[test]
fn right() {
    passes(|reversed| model(reversed, RIGHT));
}

#[test]
fn pushed_without_a_fence() {
    fails(REASON, |reversed| model(reversed, Variant { push_fence: None, ..RIGHT }));
}

#[test]
fn taken_without_a_fence() {
    fails(REASON, |reversed| model(reversed, Variant { take_fence: None, ..RIGHT }));
}

#[test]
fn taken_with_a_fence_too_weak() {
    fails_for_an_ordering(REASON, |reversed| {
        model(reversed, Variant { take_fence: Some(AcqRel), ..RIGHT })
    });
}

#[test]
fn stolen_without_a_fence() {
    fails_for_an_ordering(REASON, |reversed| {
        model(reversed, Variant { steal_fence: None, ..RIGHT })
    });
}

#[test]
fn bottom_looked_at_relaxed() {
    fails_for_an_ordering(REASON, |reversed| {
        model(reversed, Variant { steal_bottom: Relaxed, ..RIGHT })
    });
}

#[test]
fn last_element_taken_by_a_store() {
    fails(REASON, |reversed| model(reversed, Variant { last_exchanges: false, ..RIGHT }));
}
