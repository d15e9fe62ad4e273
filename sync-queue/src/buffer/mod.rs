//! Buffers: containers for the items of a queue, behind the trait that the blocking layer uses. No
//! code in this folder sleeps.

pub(crate) mod array;
pub(crate) mod cursor;
pub(crate) mod fifo;
pub(crate) mod list;
pub(crate) mod locked;

use std::panic::resume_unwind;
use std::thread;

use sync_core::user_code;

/// Why an item was not pushed. The item is inside.
#[derive(Debug)]
pub(crate) enum PushError<T> {
    Full(T),
    Closed(T),
}

/// Why no item was popped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PopError {
    Empty,
    Closed,
}

/// No push succeeds any more. The item is inside, where a call took one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed<T = ()>(pub(crate) T);

/// Whether the change found threads of the opposite side parked. The caller wakes them at once: the
/// change consumed what announced them, so no other thread will.
#[must_use = "threads that are parked stay asleep unless the caller wakes them"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wake(pub(crate) bool);

/// Drops every item that `next` returns. If a destructor panics, the remaining items are dropped
/// all the same, and the first panic goes on afterwards; later panics are disposed of.
pub(crate) fn drop_each<T>(mut next: impl FnMut() -> Option<T>) {
    let mut first = None;
    while let Some(item) = next() {
        if let Err(payload) = user_code::run(|| drop(item)) {
            if first.is_none() && !thread::panicking() {
                first = Some(payload);
            } else {
                user_code::dispose_payload(payload);
            }
        }
    }
    if let Some(payload) = first {
        resume_unwind(payload);
    }
}

/// A vector with room for `capacity` elements.
///
/// # Panics
///
/// If there is not that much memory.
#[track_caller]
pub(crate) fn with_capacity<T>(capacity: usize) -> Vec<T> {
    let mut vec = Vec::new();
    match vec.try_reserve_exact(capacity) {
        Ok(()) => vec,
        Err(why) => panic!("no memory for a queue of {capacity} items: {why}"),
    }
}

/// A container of items. Every operation is one step in an order that all threads agree on.
pub(crate) trait Buffer<T> {
    fn push(&self, item: T) -> Result<Wake, PushError<T>>;

    fn pop(&self) -> Result<(T, Wake), PopError>;

    /// Whether [`push_fast`](Self::push_fast) and [`pop_fast`](Self::pop_fast) ever succeed.
    const HAS_FAST_PATH: bool = false;

    /// Pushes the item if that needs no loop and no call: `push` in its commonest case. A failure
    /// has no meaning.
    #[inline(always)]
    fn push_fast(&self, item: T) -> Result<Wake, T> {
        Err(item)
    }

    /// As [`push_fast`](Self::push_fast), for `pop`.
    #[inline(always)]
    fn pop_fast(&self) -> Option<(T, Wake)> {
        None
    }

    /// Atomically pushes a prefix of `items` and returns its length. `Ok(0)`: full.
    fn push_many(&self, items: &mut std::vec::IntoIter<T>) -> Result<(usize, Wake), Closed>;

    /// Atomically pops at least one item and at most `max`, and returns how many.
    fn pop_many(&self, out: &mut Vec<T>, max: usize) -> Result<(usize, Wake), PopError>;

    /// Pushes the item. If there is no room, evicts the item that the order gives up first, and
    /// returns it.
    fn force_push(&self, item: T) -> Result<(Option<T>, Wake), Closed<T>>;

    /// If a put would have to wait: sets the bit that `pop` returns as `Wake`, and returns `true`.
    fn set_putters_parked(&self) -> bool;

    /// If a get would have to wait: sets the bit that `push` returns as `Wake`, and returns `true`.
    fn set_getters_parked(&self) -> bool;

    /// Returns the number of places that pops have made room of next to those of their own items,
    /// since the last call.
    fn skipped(&self) -> usize {
        0
    }

    fn clear_putters_parked(&self);

    fn clear_getters_parked(&self);

    /// No push succeeds after this.
    fn close(&self);

    fn is_closed(&self) -> bool;

    /// Closes, and takes out what is inside; no pop succeeds after this. `taken` is called with the
    /// number of items before any user code runs.
    fn close_and_drain(&self, taken: impl FnOnce(usize)) -> Vec<T>;

    fn len(&self) -> usize;

    fn capacity(&self) -> Option<usize>;

    /// Returns the number of pushes that have succeeded so far.
    fn pushed(&self) -> u64;
}
