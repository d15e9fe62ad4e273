//! A flag of four bytes that threads wait for: Python's `threading.Event`.
//!
//! The algorithm, its states, invariants and orderings are in [`raw_event`], which processes use
//! too. Here is what threads and tasks add: how they sleep, and how they are woken.
//! [`AutoResetEvent`](crate::AutoResetEvent) is the event of Windows that releases one waiter.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::primitive::atomic::{AtomicU32, Ordering::Relaxed};
use crate::primitive::const_new;
use crate::primitive::futex::{self, Channel, Deadline};
use crate::primitive::steps::{self, Sleep, Step, Steps, Waiting};
use crate::wait::raw_event::{self, Home};

/// A flag that threads wait for: Python's `threading.Event`.
///
/// While it is set, every wait returns at once, after one load. [`set`](Self::set) releases every
/// waiter, also if [`clear`](Self::clear) follows at once. Without waiters `set` makes no system
/// call.
///
/// # Examples
///
/// ```
/// use sync_core::Event;
///
/// static READY: Event = Event::new();
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| READY.set());
///     READY.wait();
/// });
/// assert!(READY.is_set());
/// ```
///
/// # Memory ordering
///
/// Everything that happened before a `set` happens before the return of every wait that it ends,
/// and before the return of every [`is_set`](Self::is_set), wait or `clear` that observes the event
/// set by it or by a later `set`.
///
/// # Source of the algorithm
///
/// A flag with a generation in a futex word; the state table and the invariants are at the top of
/// `raw_event.rs`.
pub struct Event {
    word: AtomicU32,
}

impl Event {
    const_new! {
        /// Creates an event that is not set.
        pub const fn new() -> Self {
            Self { word: AtomicU32::new(0) }
        }
    }

    /// Sets the event and releases every thread that waits for it.
    #[inline]
    pub fn set(&self) {
        raw_event::set(&self.word, &ThisProcess);
    }

    /// Makes the event unset. If it was set, the threads that were waiting are still released.
    #[inline]
    pub fn clear(&self) {
        raw_event::clear(&self.word, &ThisProcess);
    }

    /// Returns whether the event is set: one load.
    #[inline]
    #[doc(alias = "isSet")]
    pub fn is_set(&self) -> bool {
        raw_event::is_set(&self.word, &ThisProcess)
    }

    /// Sleeps until the event is set; returns at once if it is.
    #[inline]
    pub fn wait(&self) {
        if !self.is_set() {
            self.wait_unset(None);
        }
    }

    /// Like [`wait`](Self::wait), for at most `timeout`. Returns `false` if the event was not set
    /// in that time. A timeout too long for the clock means forever.
    ///
    /// `true` means that the event was set, even if it was cleared since.
    #[inline]
    #[doc(alias = "wait_for")]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.is_set() || self.wait_unset(Deadline::after(timeout))
    }

    /// The former name of [`wait_timeout`](Self::wait_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_for(&self, timeout: Duration) -> bool {
        self.wait_timeout(timeout)
    }

    /// Like [`wait_timeout`](Self::wait_timeout), until `deadline` at most. With a deadline in the
    /// past it returns whether the event is set.
    #[inline]
    #[doc(alias = "wait_until")]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.is_set() || self.wait_unset(Deadline::at(deadline))
    }

    /// The former name of [`wait_deadline`](Self::wait_deadline), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_until(&self, deadline: Instant) -> bool {
        self.wait_deadline(deadline)
    }

    #[cold]
    fn wait_unset(&self, deadline: Option<Deadline>) -> bool {
        steps::run(self.waiting(), deadline).is_some()
    }

    /// Waits until the event is set, as a task.
    ///
    /// Cancel-safe: a wait that is dropped has no effect.
    ///
    /// ```
    /// use sync_core::{Event, task::block_on};
    ///
    /// static READY: Event = Event::new();
    /// std::thread::spawn(|| READY.set());
    /// block_on(READY.wait_async());
    /// ```
    #[inline]
    pub async fn wait_async(&self) {
        if !self.is_set() {
            Waiting::new(self.waiting()).await;
        }
    }

    /// Returns a wait on the slow path, for a thread or a task.
    #[inline]
    pub(crate) fn waiting(&self) -> Unset<'_> {
        Unset { word: &self.word, wait: raw_event::Unset::new() }
    }

    /// Makes the event unset, without waiters: for the child of a `fork`, where the threads that
    /// waited do not exist any more. Without this call the child keeps the flag of the parent.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the event.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self) {
        // Relaxed: no other thread uses it (the caller's promise).
        self.word.store(0, Relaxed);
    }
}

/// The memory of this process: its threads and tasks are woken.
struct ThisProcess;

impl Home for ThisProcess {
    #[inline(always)]
    fn wake_all(&self, word: *const AtomicU32) {
        futex::wake_all(word);
    }
}

/// A wait for an [`Event`] on the slow path.
pub(crate) struct Unset<'a> {
    word: &'a AtomicU32,
    wait: raw_event::Unset,
}

impl<'a> Steps<'a> for Unset<'a> {
    type Output = ();

    fn step(&mut self, _: bool) -> Step<'a, ()> {
        match self.wait.step(self.word, &ThisProcess) {
            None => Step::Done(()),
            Some(expected) => {
                let channel = Channel::ALL;
                Step::Sleep(Sleep { word: self.word, expected, channel, limit: None })
            }
        }
    }

    fn leave(&mut self) -> Option<()> {
        self.wait.is_over(self.word, &ThisProcess).then_some(())
    }

    fn undo(&mut self, (): ()) {}
}

impl Drop for Event {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.word);
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_set() { "set" } else { "unset" };
        f.debug_struct("Event").field("state", &format_args!("{state}")).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{AtomicU32, Event, Relaxed};
    use crate::wait::raw_event::{GENERATION, WAITERS};

    /// Generations are compared for equality only, so the counter may wrap around.
    #[test]
    fn the_generation_comes_round() {
        let last = u32::MAX / GENERATION * GENERATION;
        let event = Event { word: AtomicU32::new(last) };
        for _ in 0..3 {
            thread::scope(|scope| {
                let waits = scope.spawn(|| event.wait());
                while event.word.load(Relaxed) & WAITERS == 0 {
                    thread::yield_now();
                }
                event.set();
                event.clear();
                waits.join().unwrap();
            });
        }
        assert!(event.word.load(Relaxed) < last);
    }
}
