//! Hazard pointers (Michael 2004): a reader announces the node that it is about to use; the thread
//! that has replaced the node frees it only if no reader has announced it.

use std::sync::Arc;

use super::checker::cell::UnsafeCell;
use super::checker::sync::atomic::{AtomicUsize, Ordering, Ordering::*, fence};
use super::support::{fails, fails_for_an_ordering, passes, run};

#[derive(Clone, Copy)]
struct Variant {
    /// Between the announcement and the second look at the pointer.
    reader_fence: Option<Ordering>,
    /// Whether there is a second look.
    validated: bool,
    /// Between replacing the node and looking for announcements.
    scan_fence: Option<Ordering>,
    /// Withdraws the announcement.
    clear: Ordering,
    /// Looks for announcements.
    scan: Ordering,
    /// Publishes the new node.
    publish: Ordering,
}

const RIGHT: Variant = Variant {
    reader_fence: Some(SeqCst),
    validated: true,
    scan_fence: Some(SeqCst),
    clear: Release,
    scan: Acquire,
    publish: Release,
};

/// Nodes are 1 and 2; 0 announces nothing.
struct Shared {
    current: AtomicUsize,
    hazard: AtomicUsize,
    nodes: [UnsafeCell<usize>; 2],
}

// SAFETY: a node is written before it is published and after no thread can reach it, or the checker
// says so.
unsafe impl Send for Shared {}
// SAFETY: a node is written before it is published and after no thread can reach it, or the checker
// says so.
unsafe impl Sync for Shared {}

const FREED: usize = usize::MAX;

fn optional(ordering: Option<Ordering>) {
    if let Some(ordering) = ordering {
        fence(ordering);
    }
}

impl Shared {
    fn read(&self, variant: Variant) {
        // Relaxed: the fence below makes an acquire of it.
        let node = self.current.load(Relaxed);
        self.hazard.store(node, Relaxed);
        optional(variant.reader_fence);
        // Protected only if it is still current. One attempt is enough for a model.
        if !variant.validated || self.current.load(Acquire) == node {
            // SAFETY: the announcement keeps it from being freed.
            let value = self.nodes[node - 1].with(|value| unsafe { *value });
            assert_eq!(value, node, "a node that is freed, or not there yet");
        }
        self.hazard.store(0, variant.clear);
    }

    fn replace(&self, node: usize, variant: Variant) {
        // SAFETY: not published yet.
        self.nodes[node - 1].with_mut(|value| unsafe { *value = node });
        let old = self.current.swap(node, variant.publish);
        optional(variant.scan_fence);
        if self.hazard.load(variant.scan) != old {
            // SAFETY: no thread has announced it, and no thread finds it any more.
            self.nodes[old - 1].with_mut(|value| unsafe { *value = FREED });
        }
    }
}

fn model(reversed: bool, variant: Variant) {
    let nodes = [UnsafeCell::new(1), UnsafeCell::new(0)];
    let shared =
        Arc::new(Shared { current: AtomicUsize::new(1), hazard: AtomicUsize::new(0), nodes });
    let reader = shared.clone();
    run(
        reversed,
        vec![Box::new(move || shared.replace(2, variant)), Box::new(move || reader.read(variant))],
    );
}

const REASON: &[&str] = &["race", "freed"];

#[test]
fn right() {
    passes(|reversed| model(reversed, RIGHT));
}

#[test]
fn announced_without_a_fence() {
    fails(REASON, |reversed| model(reversed, Variant { reader_fence: None, ..RIGHT }));
}

#[test]
fn announced_with_a_fence_too_weak() {
    fails_for_an_ordering(REASON, |reversed| {
        model(reversed, Variant { reader_fence: Some(AcqRel), ..RIGHT })
    });
}

#[test]
fn not_validated() {
    fails(REASON, |reversed| model(reversed, Variant { validated: false, ..RIGHT }));
}

#[test]
fn scanned_without_a_fence() {
    fails(REASON, |reversed| model(reversed, Variant { scan_fence: None, ..RIGHT }));
}

#[test]
fn withdrawn_relaxed() {
    fails_for_an_ordering(REASON, |reversed| model(reversed, Variant { clear: Relaxed, ..RIGHT }));
}

#[test]
fn scanned_relaxed() {
    fails_for_an_ordering(REASON, |reversed| model(reversed, Variant { scan: Relaxed, ..RIGHT }));
}

#[test]
fn published_relaxed() {
    fails_for_an_ordering(REASON, |reversed| {
        model(reversed, Variant { publish: Relaxed, ..RIGHT })
    });
}
