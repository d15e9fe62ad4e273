//! The end of a word that tasks wait on.
//!
//! A future that is forgotten (`mem::forget`, a circle of `Arc`s) never leaves the table: its
//! memory stays as it is, because it is pinned, but the object that it borrowed may be dropped. The
//! waiter would stand in the table under the address of whatever comes next, and take a wake of
//! that object. So each object with a word that tasks wait on calls [`retire`] when it is dropped:
//! no task that lives can wait on it then, since its future would borrow the object.
//!
//! An object that is moved, or forgotten itself, after a future of it was forgotten, does not call
//! `retire` at the address at which the future waited. That is what the documentation of
//! `sync_core::task` excludes.

use super::{AtomicU32, BATCH, Bucket, Channel, Relaxed, table};
use crate::fork::ProcessMark;
use crate::user_code;

/// Removes the waiters of forgotten futures from the table. Called with each word that tasks wait
/// on, when its object is dropped. Only the address is used.
///
/// In a process in which no task has waited it is one load.
#[inline]
pub fn retire(word: *const AtomicU32) {
    // No model forgets a future, and each load is a step of a model.
    if crate::primitive::MODELLED {
        return;
    }
    let address = word.addr();
    if let Some(table) = table::existing() {
        let bucket = table.bucket(address);
        // Relaxed: the registration happened before the end of the future's borrow, and so before
        // the drop of the object.
        if bucket.waiting.load(Relaxed) != 0 {
            bucket.remove_all(address);
        }
    }
}

/// A word that is retired when it is dropped, for a type that cannot have a destructor itself.
#[derive(Debug)]
pub struct Word(pub AtomicU32);

impl Drop for Word {
    #[inline]
    fn drop(&mut self) {
        retire(&raw const self.0);
    }
}

impl Bucket {
    /// Takes all waiters of the address out, and drops their wakers.
    #[cold]
    fn remove_all(&self, address: usize) {
        let process = ProcessMark::current();
        loop {
            let mut wakers = [const { None }; BATCH];
            let taken = self.lock().take(address, Channel::ALL, u64::MAX, &mut wakers);
            // Relaxed: as in `call`.
            self.waiting.fetch_sub(taken, Relaxed);
            // User code: the lock is not held (invariant 4).
            let mut wakers = wakers.into_iter();
            while let Some(waker) = wakers.next() {
                user_code::dispose(waker);
                if !process.is_current() {
                    // It has forked, and this is the child: the table is the parent's.
                    core::mem::forget(wakers);
                    return;
                }
            }
            if taken < BATCH {
                return;
            }
        }
    }
}
