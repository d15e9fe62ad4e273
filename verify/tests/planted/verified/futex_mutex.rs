//! The mutex of "Futexes are tricky" (Drepper 2011): 0 unlocked, 1 locked, 2 locked and a thread
//! may sleep.

use std::sync::Arc;

use super::checker::cell::UnsafeCell;
use super::checker::futex;
use super::checker::sync::atomic::{AtomicU32, Ordering, Ordering::*};
use super::support::{fails, fails_for_an_ordering, passes, run};

#[derive(Clone, Copy)]
pub(super) struct Variant {
    lock: Ordering,
    unlock: Ordering,
    /// The value that the slow path leaves in the word: 2 means that a thread may sleep.
    contended: u32,
    /// The value that a sleeper expects.
    expected: u32,
    /// Whether an unlock wakes.
    wakes: bool,
    /// Whether a sleeper tries again after it woke, or takes the lock for its own.
    retries: bool,
}

pub(super) const RIGHT: Variant = Variant {
    lock: Acquire,
    unlock: Release,
    contended: 2,
    expected: 2,
    wakes: true,
    retries: true,
};

pub(super) struct Mutex {
    word: AtomicU32,
    variant: Variant,
}

impl Mutex {
    pub(super) fn new(variant: Variant) -> Self {
        Mutex { word: AtomicU32::new(0), variant }
    }

    pub(super) fn lock(&self) {
        let Variant { lock, contended, expected, retries, .. } = self.variant;
        if self.word.compare_exchange(0, 1, lock, Relaxed).is_ok() {
            return;
        }
        while self.word.swap(contended, lock) != 0 {
            futex::wait(&self.word, expected);
            if !retries {
                return;
            }
        }
    }

    pub(super) fn unlock(&self) {
        if self.word.swap(0, self.variant.unlock) == 2 && self.variant.wakes {
            futex::wake(&raw const self.word, 1);
        }
    }
}

struct Shared {
    mutex: Mutex,
    count: UnsafeCell<usize>,
}

// SAFETY: the mutex gives the count to one thread at a time, or the checker says so.
unsafe impl Send for Shared {}
// SAFETY: the mutex gives the count to one thread at a time, or the checker says so.
unsafe impl Sync for Shared {}

fn model(reversed: bool, variant: Variant) {
    let shared = Arc::new(Shared { mutex: Mutex::new(variant), count: UnsafeCell::new(0) });
    let increment = |shared: Arc<Shared>| -> Box<dyn FnOnce() + Send> {
        Box::new(move || {
            shared.mutex.lock();
            // SAFETY: under the lock.
            shared.count.with_mut(|count| unsafe { *count += 1 });
            shared.mutex.unlock();
        })
    };
    run(reversed, vec![increment(shared.clone()), increment(shared.clone())]);
    // SAFETY: the threads are joined.
    assert_eq!(shared.count.with(|count| unsafe { *count }), 2);
}

#[test]
fn right() {
    passes(|reversed| model(reversed, RIGHT));
}

#[test]
fn locked_relaxed() {
    fails(&["race"], |reversed| model(reversed, Variant { lock: Relaxed, ..RIGHT }));
}

#[test]
fn unlocked_relaxed() {
    fails_for_an_ordering(&["race"], |reversed| {
        model(reversed, Variant { unlock: Relaxed, ..RIGHT })
    });
}

/// The sleeper does not announce that it sleeps, so no thread wakes it.
#[test]
fn contention_not_recorded() {
    fails(&["deadlock"], |reversed| {
        model(reversed, Variant { contended: 1, expected: 1, ..RIGHT })
    });
}

#[test]
fn unlock_does_not_wake() {
    fails(&["deadlock"], |reversed| model(reversed, Variant { wakes: false, ..RIGHT }));
}

#[test]
fn woken_is_taken_for_locked() {
    fails(&["race"], |reversed| model(reversed, Variant { retries: false, ..RIGHT }));
}
