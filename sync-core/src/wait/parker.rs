//! A token that one thread waits for and other threads give.
//!
//! # Source
//!
//! `std::thread::park` with its token, as an object that can be passed around, as in crossbeam; the
//! three states are those of `std` on futexes.
//!
//! # States
//!
//! | word | meaning |
//! |---|---|
//! | `EMPTY` | no token |
//! | `PARKED` | no token, and the owner may sleep on the word |
//! | `TOKEN` | the token is there |
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `TOKEN` | park | `EMPTY` | it returns |
//! | `EMPTY` | park | `PARKED` | sleep |
//! | `PARKED` | the owner's time is up | `EMPTY` | |
//! | `EMPTY`, `TOKEN` | unpark | `TOKEN` | |
//! | `PARKED` | unpark | `TOKEN` | wake one |
//!
//! # Invariants
//!
//! 1. Only the owner parks, so at most one thread sleeps on the word, and only it takes the token.
//! 2. A park returns `true` with the token taken, or `false` without: the word is `EMPTY` in both
//!    cases. No token is lost in between, because the last step of a park that timed out is a swap
//!    that returns whether the token was there.
//! 3. **Wake after free.** An unpark is one atomic operation; after it only the address of the word
//!    is used. (The `Arc` keeps the word alive anyway.)
//!
//! There is no spinning: a token rarely arrives within the time that a wake-up costs, and between
//! two threads that alternate, a spin that just fails doubles the time of a turn.
//!
//! # Orderings
//!
//! Release on the swap of an unpark; it pairs with the Acquire on the operation that takes the
//! token. An unpark writes even where the token is present, so the thread that takes it sees
//! everything that happened before *every* earlier unpark.

use core::fmt;
use core::marker::PhantomData;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::futex::{self, Channel, Deadline};
use crate::primitive::steps::{Sleep, Step, Steps, Waiting};

const EMPTY: u32 = 0;
const TOKEN: u32 = 1;
const PARKED: u32 = u32::MAX;

/// Waits for a token that an [`Unparker`] gives. At most one token is kept. A parker belongs to one
/// thread at a time.
///
/// # Examples
///
/// ```
/// use sync_core::Parker;
///
/// let parker = Parker::new();
/// let unparker = parker.unparker().clone();
/// std::thread::spawn(move || unparker.unpark());
/// parker.park();
/// ```
///
/// # Memory ordering
///
/// Everything that happened before an [`unpark`](Unparker::unpark) happens before the return of the
/// park that takes its token, also if the token was already there.
///
/// # Source of the algorithm
///
/// `std::thread::park`; the state table and the invariants are at the top of `parker.rs`.
pub struct Parker {
    unparker: Unparker,
    /// Makes the type `!Sync` (invariant 1).
    one_owner: PhantomData<core::cell::Cell<()>>,
}

/// Gives the token that a [`Parker`] waits for. It may be cloned and sent to any thread.
#[derive(Clone)]
pub struct Unparker {
    word: Arc<AtomicU32>,
}

impl UnwindSafe for Parker {}
impl RefUnwindSafe for Parker {}

impl Parker {
    /// Creates a parker without a token.
    #[must_use]
    pub fn new() -> Self {
        Self {
            unparker: Unparker { word: Arc::new(AtomicU32::new(EMPTY)) },
            one_owner: PhantomData,
        }
    }

    /// Sleeps until there is a token, and takes it.
    #[inline]
    pub fn park(&self) {
        self.park_by(|| None);
    }

    /// Like [`park`](Self::park), for at most `timeout`. Returns whether it took a token. A timeout
    /// too long for the clock means forever.
    #[inline]
    pub fn park_timeout(&self, timeout: Duration) -> bool {
        self.park_by(|| Deadline::after(timeout))
    }

    /// Like [`park_timeout`](Self::park_timeout), until `deadline` at most. A deadline in the past
    /// still takes a token that is there.
    #[inline]
    pub fn park_deadline(&self, deadline: Instant) -> bool {
        self.park_by(|| Deadline::at(deadline))
    }

    /// Returns a wait for a token, for a thread that waits for something else as well.
    pub(crate) fn parking(&self) -> Parking<'_> {
        Parking { word: &self.unparker.word }
    }

    /// Waits until there is a token, as a task, and takes it.
    ///
    /// Cancel-safe: a wait that is dropped takes no token. It borrows the parker alone, so that no
    /// thread parks at the same time, and may be sent to another thread.
    ///
    /// ```
    /// use sync_core::{Parker, task::block_on};
    ///
    /// let mut parker = Parker::new();
    /// let unparker = parker.unparker().clone();
    /// std::thread::spawn(move || unparker.unpark());
    /// block_on(parker.park_async());
    /// ```
    pub async fn park_async(&mut self) {
        let word = &*self.unparker.word;
        // Acquire: pairs with the Release in `unpark`. Relaxed on failure: the steps look again.
        if word.compare_exchange(TOKEN, EMPTY, Acquire, Relaxed).is_err() {
            Waiting::new(Parking { word }).await;
        }
    }

    /// Returns the unparker of this parker.
    #[inline]
    pub fn unparker(&self) -> &Unparker {
        &self.unparker
    }

    #[inline]
    fn park_by(&self, deadline: impl FnOnce() -> Option<Deadline>) -> bool {
        // Acquire: pairs with the Release in `unpark`. Relaxed on failure: the thread then sleeps,
        // and a later step acquires.
        self.unparker.word.compare_exchange(TOKEN, EMPTY, Acquire, Relaxed).is_ok()
            || self.park_contended(deadline())
    }

    #[cold]
    fn park_contended(&self, deadline: Option<Deadline>) -> bool {
        let word = &*self.unparker.word;
        // Relaxed: it publishes nothing. If the token has come, the next step takes it.
        let _ = word.compare_exchange(EMPTY, PARKED, Relaxed, Relaxed);
        loop {
            // Relaxed: the swap that takes the token acquires.
            if word.load(Relaxed) == PARKED
                && futex::wait_maybe(word, PARKED, deadline)
                && word.load(Relaxed) == PARKED
            {
                continue;
            }
            // Acquire: pairs with the Release in `unpark` (invariant 2).
            return word.swap(EMPTY, Acquire) == TOKEN;
        }
    }
}

/// A wait for the token of a [`Parker`].
pub(crate) struct Parking<'a> {
    word: &'a AtomicU32,
}

impl<'a> Steps<'a> for Parking<'a> {
    type Output = ();

    fn step(&mut self, _: bool) -> Step<'a, ()> {
        let word = self.word;
        // Acquire: pairs with the Release in `unpark` (invariant 2). Relaxed on failure: it
        // publishes nothing, and a token that has come is taken by the next turn.
        loop {
            if word.compare_exchange(TOKEN, EMPTY, Acquire, Relaxed).is_ok() {
                return Step::Done(());
            }
            // Relaxed: to announce the sleep publishes nothing.
            if word.compare_exchange(EMPTY, PARKED, Relaxed, Relaxed) != Err(TOKEN) {
                let (expected, channel) = (PARKED, Channel::ALL);
                return Step::Sleep(Sleep { word, expected, channel, limit: None });
            }
        }
    }

    fn leave(&mut self) -> Option<()> {
        // Acquire: as in `step`.
        (self.word.swap(EMPTY, Acquire) == TOKEN).then_some(())
    }

    fn undo(&mut self, (): ()) {
        // The owner, which is this thread, does not sleep. Release: as in `unpark`; it passes on
        // what the swap in `leave` acquired.
        self.word.swap(TOKEN, Release);
    }
}

impl Unparker {
    /// Gives the token. A park in progress returns; otherwise the next park returns at once.
    #[inline]
    pub fn unpark(&self) {
        // Release: pairs with the Acquire of the park that takes the token.
        if self.word.swap(TOKEN, Release) == PARKED {
            // Invariant 3: from here on only the address is used.
            futex::wake_one(Arc::as_ptr(&self.word));
        }
    }
}

impl Drop for Parker {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(Arc::as_ptr(&self.unparker.word));
    }
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Parker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: a snapshot for display.
        f.debug_struct("Parker")
            .field("token", &(self.unparker.word.load(Relaxed) == TOKEN))
            .finish()
    }
}

impl fmt::Debug for Unparker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unparker").finish_non_exhaustive()
    }
}
