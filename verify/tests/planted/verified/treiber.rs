//! A stack of nodes in an arena (Treiber 1986), its head tagged against ABA.

use std::sync::Arc;

use super::checker::cell::UnsafeCell;
use super::checker::sync::atomic::{AtomicUsize, Ordering, Ordering::*};
use super::support::{fails, fails_for_an_ordering, passes, run};

#[derive(Clone, Copy)]
struct Variant {
    /// Publishes a pushed node.
    push: Ordering,
    /// Reads the head before its node is looked into.
    pop: Ordering,
    /// Whether every push gives the head a new tag.
    tagged: bool,
}

const RIGHT: Variant = Variant { push: Release, pop: Acquire, tagged: true };

/// Nodes are numbered from 1; 0 is the end.
const TAG: usize = 16;

struct Node {
    next: AtomicUsize,
    value: UnsafeCell<usize>,
}

struct Stack {
    head: AtomicUsize,
    nodes: [Node; 2],
}

// SAFETY: a node's value belongs to the thread that has popped it, or has not pushed it yet.
unsafe impl Send for Stack {}
// SAFETY: a node's value belongs to the thread that has popped it, or has not pushed it yet.
unsafe impl Sync for Stack {}

impl Stack {
    fn new() -> Arc<Self> {
        let node = || Node { next: AtomicUsize::new(0), value: UnsafeCell::new(0) };
        Arc::new(Stack { head: AtomicUsize::new(0), nodes: [node(), node()] })
    }

    fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    fn push(&self, number: usize, variant: Variant) {
        // SAFETY: the node is ours until the exchange below succeeds.
        self.node(number).value.with_mut(|value| unsafe { *value = number });
        let mut head = self.head.load(Relaxed);
        loop {
            self.node(number).next.store(head % TAG, Relaxed);
            let tag = if variant.tagged { head / TAG + 1 } else { 0 };
            match self.head.compare_exchange(head, tag * TAG + number, variant.push, Relaxed) {
                Ok(_) => return,
                Err(newer) => head = newer,
            }
        }
    }

    fn pop(&self, variant: Variant) -> Option<usize> {
        let mut head = self.head.load(variant.pop);
        loop {
            let number = head % TAG;
            if number == 0 {
                return None;
            }
            let next = self.node(number).next.load(Relaxed);
            match self.head.compare_exchange(head, head - number + next, variant.pop, variant.pop) {
                Ok(_) => {
                    // SAFETY: the node is ours now.
                    self.node(number).value.with_mut(|value| unsafe {
                        assert_eq!(*value, number, "a node whose value is not there, or another's");
                    });
                    return Some(number);
                }
                Err(newer) => head = newer,
            }
        }
    }
}

/// One pushes two nodes, the other pops.
fn hand_over(reversed: bool, variant: Variant) {
    let stack = Stack::new();
    let (pusher, popper) = (stack.clone(), stack.clone());
    let popped = Arc::new(std::sync::Mutex::new(Vec::new()));
    let taken = popped.clone();
    run(
        reversed,
        vec![
            Box::new(move || (1..=2).for_each(|number| pusher.push(number, variant))),
            Box::new(move || {
                let number = popper.pop(variant);
                taken.lock().expect("no panic while it is held").extend(number);
            }),
        ],
    );
    let mut popped = std::mem::take(&mut *popped.lock().expect("no panic while it is held"));
    popped.extend(std::iter::from_fn(|| stack.pop(variant)));
    popped.sort_unstable();
    assert_eq!(popped, [1, 2], "a node is lost or there twice");
}

/// One pops while the other pops two nodes and pushes the first again.
fn reuse(reversed: bool, variant: Variant) {
    let stack = Stack::new();
    (1..=2).for_each(|number| stack.push(number, variant));
    let owned = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (one, other) = (stack.clone(), stack.clone());
    let (mine, theirs) = (owned.clone(), owned.clone());
    run(
        reversed,
        vec![
            Box::new(move || {
                let number = one.pop(variant);
                mine.lock().expect("no panic while it is held").extend(number);
            }),
            Box::new(move || {
                let (first, second) = (other.pop(variant), other.pop(variant));
                theirs.lock().expect("no panic while it is held").extend(second);
                first.into_iter().for_each(|number| other.push(number, variant));
            }),
        ],
    );
    let mut owned = std::mem::take(&mut *owned.lock().expect("no panic while it is held"));
    owned.extend(std::iter::from_fn(|| stack.pop(variant)));
    owned.sort_unstable();
    assert_eq!(owned, [1, 2], "a node is lost or has two owners");
}

#[test]
fn right() {
    passes(|reversed| hand_over(reversed, RIGHT));
    passes(|reversed| reuse(reversed, RIGHT));
}

#[test]
fn pushed_relaxed() {
    fails_for_an_ordering(&["race", "lost"], |reversed| {
        hand_over(reversed, Variant { push: Relaxed, ..RIGHT })
    });
}

#[test]
fn popped_relaxed() {
    fails(&["race", "lost"], |reversed| hand_over(reversed, Variant { pop: Relaxed, ..RIGHT }));
}

#[test]
fn aba() {
    fails(&["race", "two owners"], |reversed| reuse(reversed, Variant { tagged: false, ..RIGHT }));
}
