//! A closure that runs once, on the first thread that calls: four bytes, and one load per call
//! after it has run.
//!
//! # Source
//!
//! The futex `Once` of `std`, with its behaviour and names.
//!
//! # States
//!
//! | state | meaning |
//! |---|---|
//! | `INCOMPLETE` | no closure has begun |
//! | `RUNNING` | one thread runs its closure |
//! | `POISONED` | the last closure panicked |
//! | `COMPLETE` | a closure has returned; final |
//!
//! Each state but the last can have the bit `QUEUED`: a thread may sleep on the word. It may be set
//! without a sleeper (costs one system call). It is never clear while a thread sleeps.
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `INCOMPLETE`, `POISONED` and forced | call | `RUNNING`, `QUEUED` stays | runs the closure |
//! | `POISONED` and not forced | call, wait | the same | panics |
//! | `RUNNING` | call | `RUNNING \| QUEUED` | sleeps |
//! | any but `COMPLETE` | wait | `.. \| QUEUED` | sleeps |
//! | `RUNNING` | the closure returned | `COMPLETE` | wakes all if `QUEUED` |
//! | `RUNNING` | the closure panicked | `POISONED` | wakes all if `QUEUED` |
//!
//! # Invariants
//!
//! 1. **One at a time.** `RUNNING` is set by the compare-and-swap of the thread that runs its
//!    closure, and left by that thread only.
//! 2. **Final.** The state never leaves `COMPLETE`, so a thread that has seen it needs no second
//!    load.
//! 3. **No sleeper is forgotten.** The change to `RUNNING` keeps `QUEUED`; every change out of
//!    `RUNNING` clears it and wakes all sleepers, which load the state again.
//! 4. **Wake after free.** The change out of `RUNNING` is one swap; after it only the address of
//!    the word is used.
//!
//! # Orderings
//!
//! The swap to `COMPLETE` is a Release and pairs with the Acquire of the load that sees it: every
//! thread that observes `COMPLETE` sees the writes of the closure. The same holds for `POISONED`
//! and the next closure. Setting `QUEUED` is Relaxed: it publishes nothing.

use core::cell::Cell;
use core::fmt;

use crate::diagnostics::instrument::{Attempt, Instrument};
use crate::diagnostics::lock_kind::LockKind;
use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::futex::{self, Channel};
use crate::primitive::steps::{Sleep, Step, Steps, Waiting};
use crate::primitive::{const_new, hint::Looks};

const INCOMPLETE: u32 = 0;
const RUNNING: u32 = 1;
const POISONED: u32 = 2;
const COMPLETE: u32 = 3;
const STATE: u32 = 3;
const QUEUED: u32 = 4;

const POISONED_ONCE: &str = "a closure of this Once has panicked before";

/// Runs a closure once, whatever the number of threads that call. The other threads wait until it
/// has run.
///
/// It behaves like [`std::sync::Once`], has the same four bytes, and is checked by models. To keep
/// a value, use [`OnceLock`](crate::OnceLock) or [`LazyLock`](crate::LazyLock).
///
/// A closure that calls the same `Once` again waits for itself, forever.
///
/// # Examples
///
/// ```
/// use sync_core::Once;
///
/// static BEGIN: Once = Once::new();
///
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| BEGIN.call_once(|| println!("printed once")));
///     }
/// });
/// assert!(BEGIN.is_completed());
/// ```
///
/// # Memory ordering
///
/// Everything that the closure did happens before the return of every
/// [`call_once`](Self::call_once) and [`wait`](Self::wait), and before everything that follows an
/// [`is_completed`](Self::is_completed) that returned `true`.
///
/// # Source of the algorithm
///
/// The algorithm of `std`; the state table and the invariants are at the top of `once.rs`.
pub struct Once {
    state: AtomicU32,
    instrument: Instrument,
}

/// The state of a [`Once`]: `parking_lot`'s `OnceState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnceStatus {
    /// No closure has begun.
    New,
    /// The last closure panicked.
    Poisoned,
    /// A thread runs its closure.
    InProgress,
    /// A closure has returned.
    Done,
}

impl OnceStatus {
    /// Returns whether the last closure panicked.
    #[must_use]
    pub fn poisoned(self) -> bool {
        self == Self::Poisoned
    }

    /// Returns whether a closure has returned.
    #[must_use]
    pub fn done(self) -> bool {
        self == Self::Done
    }
}

/// The argument of a closure of [`Once::call_once_force`].
pub struct OnceState {
    poisoned: bool,
    /// The state of the `Once` after the closure returns.
    becomes: Cell<u32>,
}

impl Once {
    const_new! {
        /// Creates a `Once` whose closure has not run.
        pub const fn new() -> Self {
            Self { state: AtomicU32::new(INCOMPLETE), instrument: Instrument::new(LockKind::Once) }
        }
    }

    const_new! {
        /// Creates a `Once` whose closure counts as run.
        ///
        /// ```
        /// let once = sync_core::Once::new_completed();
        /// once.call_once(|| unreachable!());
        /// assert!(once.is_completed());
        /// ```
        pub const fn new_completed() -> Self {
            Self { state: AtomicU32::new(COMPLETE), instrument: Instrument::new(LockKind::Once) }
        }
    }

    /// Runs `f` unless a closure has run already. If another thread is running one, waits for that
    /// thread.
    ///
    /// # Panics
    ///
    /// If `f` panics; then the `Once` is poisoned, and every later call panics as well.
    /// [`call_once_force`](Self::call_once_force) runs its closure even then.
    #[inline]
    #[track_caller]
    pub fn call_once(&self, f: impl FnOnce()) {
        if !self.is_completed() {
            let mut f = Some(f);
            self.call(Some(POISONED_ONCE), &mut |_| f.take().expect("called once")());
        }
    }

    /// Like [`call_once`](Self::call_once), but runs `f` even if an earlier closure panicked, and
    /// passes that to `f`.
    #[inline]
    #[track_caller]
    pub fn call_once_force(&self, f: impl FnOnce(&OnceState)) {
        if !self.is_completed() {
            let mut f = Some(f);
            self.call(None, &mut |state| f.take().expect("called once")(state));
        }
    }

    /// Like [`call_once`](Self::call_once), with the message of the panic that follows a panic of
    /// an earlier closure.
    #[inline]
    #[track_caller]
    pub(crate) fn call_once_or(&self, poisoned: &'static str, f: impl FnOnce()) {
        if !self.is_completed() {
            let mut f = Some(f);
            self.call(Some(poisoned), &mut |_| f.take().expect("called once")());
        }
    }

    /// Returns the state. A snapshot: unless it is [`Done`](OnceStatus::Done), it may have changed
    /// before the call returns.
    ///
    /// ```
    /// use sync_core::{Once, OnceStatus};
    /// let once = Once::new();
    /// assert_eq!(once.state(), OnceStatus::New);
    /// once.call_once(|| assert_eq!(once.state(), OnceStatus::InProgress));
    /// assert_eq!(once.state(), OnceStatus::Done);
    /// ```
    pub fn state(&self) -> OnceStatus {
        // Acquire: as in `is_completed`.
        match self.state.load(Acquire) & STATE {
            INCOMPLETE => OnceStatus::New,
            RUNNING => OnceStatus::InProgress,
            POISONED => OnceStatus::Poisoned,
            _ => OnceStatus::Done,
        }
    }

    /// Returns whether a closure has run: one load.
    #[inline]
    pub fn is_completed(&self) -> bool {
        // Acquire: pairs with the Release of the swap to `COMPLETE`.
        self.state.load(Acquire) == COMPLETE
    }

    /// Waits until a closure has run.
    ///
    /// # Panics
    ///
    /// If a closure panicked.
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        if !self.is_completed() {
            self.sleep(Some(POISONED_ONCE));
        }
    }

    /// Like [`wait`](Self::wait), but if a closure panicked, waits on for a later
    /// [`call_once_force`](Self::call_once_force).
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn wait_force(&self) {
        if !self.is_completed() {
            self.sleep(None);
        }
    }

    /// Like [`call_once`](Self::call_once), with `wait` in the place of the sleep: it returns the
    /// next state, or `None` to give up. Returns `false` then. `poisoned` is the message of the
    /// panic, or that of `call_once`.
    #[track_caller]
    pub(crate) fn call_once_by(
        &self,
        poisoned: Option<&'static str>,
        f: impl FnOnce(),
        wait: impl Fn(Changed<'_>) -> Option<u32>,
    ) -> bool {
        let mut f = Some(f);
        let poisoned = poisoned.unwrap_or(POISONED_ONCE);
        let mut call = |_: &OnceState| f.take().expect("called once")();
        self.is_completed()
            || self.call_by(Some(poisoned), &mut call, |state| wait(self.changed(state)))
    }

    /// Like [`call_once_force`](Self::call_once_force), with `wait` as in
    /// [`call_once_by`](Self::call_once_by).
    #[track_caller]
    pub(crate) fn call_once_force_by(
        &self,
        f: impl FnOnce(&OnceState),
        wait: impl Fn(Changed<'_>) -> Option<u32>,
    ) -> bool {
        let mut f = Some(f);
        let mut call = |state: &OnceState| f.take().expect("called once")(state);
        self.is_completed() || self.call_by(None, &mut call, |state| wait(self.changed(state)))
    }

    #[cold]
    #[track_caller]
    fn call(&self, poisoned: Option<&'static str>, f: &mut dyn FnMut(&OnceState)) {
        let attempt = self.instrument.attempt(|| self.is_running());
        // Acquire, also on the failure of the exchange: as in `call_by`.
        let mut state = self.state.load(Acquire);
        // Most calls that come here are the first one. They go no further: the wait of the others
        // needs registers and a jump table that the first call need not pay for.
        if state == INCOMPLETE {
            match self.state.compare_exchange(INCOMPLETE, RUNNING, Acquire, Acquire) {
                Ok(_) => {
                    attempt.ended(true);
                    return self.run(INCOMPLETE, f);
                }
                Err(seen) => state = seen,
            }
        }
        self.call_contended(attempt, state, poisoned, f);
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn call_contended(
        &self,
        attempt: Attempt<'_>,
        state: u32,
        poisoned: Option<&'static str>,
        f: &mut dyn FnMut(&OnceState),
    ) {
        self.call_from(attempt, state, poisoned, f, |state| Some(self.queue(state)));
    }

    /// Runs `f`, for the thread that has set `RUNNING` in the place of the state `before`.
    #[inline]
    fn run(&self, before: u32, f: &mut dyn FnMut(&OnceState)) {
        let mut running = Running { once: self, becomes: POISONED };
        let asked =
            OnceState { poisoned: before & STATE == POISONED, becomes: Cell::new(COMPLETE) };
        f(&asked);
        running.becomes = asked.becomes.get();
    }

    /// Runs `f` unless a closure has run. While another thread runs one, `wait` returns the next
    /// state; if it returns `None`, the result is `false`.
    #[inline]
    #[track_caller]
    fn call_by(
        &self,
        poisoned: Option<&'static str>,
        f: &mut dyn FnMut(&OnceState),
        wait: impl Fn(u32) -> Option<u32>,
    ) -> bool {
        let attempt = self.instrument.attempt(|| self.is_running());
        // Acquire, also on the failure of the exchanges: pairs with the Release of the swap in
        // `Running::drop`.
        let state = self.state.load(Acquire);
        self.call_from(attempt, state, poisoned, f, wait)
    }

    /// The rest of [`call_by`](Self::call_by), with the state that was loaded last.
    #[inline]
    #[track_caller]
    fn call_from(
        &self,
        mut attempt: Attempt<'_>,
        mut state: u32,
        poisoned: Option<&'static str>,
        f: &mut dyn FnMut(&OnceState),
        wait: impl Fn(u32) -> Option<u32>,
    ) -> bool {
        loop {
            match (state & STATE, poisoned) {
                (COMPLETE, _) => break,
                (POISONED, Some(message)) => panic_with(message),
                (INCOMPLETE | POISONED, _) => {
                    // Acquire: pairs with the Release of a closure that panicked; the next closure
                    // must see its writes. `QUEUED` stays (invariant 3).
                    if let Err(seen) = self.state.compare_exchange(
                        state,
                        RUNNING | (state & QUEUED),
                        Acquire,
                        Acquire,
                    ) {
                        state = seen;
                        continue;
                    }
                    attempt.ended(true);
                    self.run(state, f);
                    return true;
                }
                _ => {
                    attempt.waits();
                    match wait(state) {
                        Some(next) => state = next,
                        None => return attempt.has(false),
                    }
                }
            }
        }
        attempt.has(true)
    }

    #[cold]
    #[track_caller]
    fn sleep(&self, poisoned: Option<&'static str>) {
        self.wait_by(poisoned, |state| Some(self.queue(state)));
    }

    /// Waits until a closure has run, with `wait` as in [`call_once_by`](Self::call_once_by). Ends
    /// with a panic if a closure panicked and `panics`.
    #[track_caller]
    pub(crate) fn sleep_by(&self, panics: bool, wait: impl Fn(Changed<'_>) -> Option<u32>) -> bool {
        self.wait_by(panics.then_some(POISONED_ONCE), |state| wait(self.changed(state)))
    }

    #[inline]
    #[track_caller]
    fn wait_by(&self, poisoned: Option<&'static str>, wait: impl Fn(u32) -> Option<u32>) -> bool {
        let mut attempt = self.instrument.attempt(|| self.is_running());
        attempt.waits();
        // Acquire: as in `call_by`.
        let mut state = self.state.load(Acquire);
        loop {
            match (state & STATE, poisoned) {
                (COMPLETE, _) => break,
                (POISONED, Some(message)) => panic_with(message),
                _ => match wait(state) {
                    Some(next) => state = next,
                    None => return attempt.has(false),
                },
            }
        }
        attempt.has(true)
    }

    /// Returns the wait for the state after `state`.
    fn changed(&self, state: u32) -> Changed<'_> {
        Changed { once: self, state }
    }

    /// Waits until a closure has run, as a task; or, if `may_run`, until the caller is the one that
    /// makes the value: then it returns `Some`.
    pub(crate) async fn begin_async(&self, may_run: bool) -> Option<RunningTask<'_>> {
        Waiting::new(Beginning { once: self, may_run }).await
    }

    /// Returns whether a thread runs a closure. A snapshot: it may have changed before the call
    /// returns.
    fn is_running(&self) -> bool {
        // Relaxed: a snapshot; no data is read because of it.
        self.state.load(Relaxed) & STATE == RUNNING
    }

    /// Sleeps while the state is `state`, and returns the next state.
    fn queue(&self, state: u32) -> u32 {
        // Most closures are short, so the wait begins with a spin. A thread that sleeps already
        // shows that this closure is not short.
        let mut looks = Looks::new();
        while state == RUNNING && looks.turn() {
            // Acquire: as in `call_by`.
            let seen = self.state.load(Acquire);
            if seen != state {
                return seen;
            }
        }
        let announced = state | QUEUED;
        if announced != state {
            // Relaxed: an announcement publishes nothing. Acquire on failure: as in `call_by`.
            if let Err(seen) = self.state.compare_exchange(state, announced, Relaxed, Acquire) {
                return seen;
            }
        }
        futex::wait(&self.state, announced);
        // Acquire: as in `call_by`.
        self.state.load(Acquire)
    }
}

/// Stands for the running closure. Its drop writes how the closure ended, by a return or by
/// unwinding.
struct Running<'a> {
    once: &'a Once,
    becomes: u32,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.once.instrument.released();
        // Release: pairs with the Acquire of every thread that observes `COMPLETE` or `POISONED`.
        let state = self.once.state.swap(self.becomes, Release);
        if state & QUEUED != 0 {
            // Invariant 4: from here on only the address is used.
            futex::wake_all(&raw const self.once.state);
        }
    }
}

/// Stands for a future that makes the value. If it is dropped, unwinding or not, the `Once` is
/// incomplete again.
pub(crate) struct RunningTask<'a> {
    once: &'a Once,
    becomes: u32,
}

impl RunningTask<'_> {
    /// Makes the `Once` complete.
    pub(crate) fn complete(mut self) {
        self.becomes = COMPLETE;
    }
}

impl Drop for RunningTask<'_> {
    fn drop(&mut self) {
        // Release: as in `Running::drop`.
        if self.once.state.swap(self.becomes, Release) & QUEUED != 0 {
            // Invariant 4: from here on only the address is used.
            futex::wake_all(&raw const self.once.state);
        }
    }
}

/// The wait of a task for a [`Once`].
struct Beginning<'a> {
    once: &'a Once,
    may_run: bool,
}

impl<'a> Steps<'a> for Beginning<'a> {
    type Output = Option<RunningTask<'a>>;

    fn step(&mut self, _: bool) -> Step<'a, Self::Output> {
        let word = &self.once.state;
        // Acquire, also on the failure of the exchanges: as in `call_by`.
        let mut state = word.load(Acquire);
        loop {
            let runs = match state & STATE {
                COMPLETE => return Step::Done(None),
                INCOMPLETE | POISONED => self.may_run,
                _ => false,
            };
            // `QUEUED` stays (invariant 3).
            let next = if runs { RUNNING | (state & QUEUED) } else { state | QUEUED };
            if next != state {
                if let Err(seen) = word.compare_exchange(state, next, Acquire, Acquire) {
                    state = seen;
                    continue;
                }
            }
            if runs {
                return Step::Done(Some(RunningTask { once: self.once, becomes: INCOMPLETE }));
            }
            let (expected, channel) = (next, Channel::ALL);
            return Step::Sleep(Sleep { word, expected, channel, limit: None });
        }
    }

    /// All waiters are woken at once, so it owes no waiter a wake.
    fn leave(&mut self) -> Option<Self::Output> {
        None
    }

    fn undo(&mut self, _: Self::Output) {}
}

/// A wait for the state after `state`, for a thread that waits for something else as well.
pub(crate) struct Changed<'a> {
    once: &'a Once,
    state: u32,
}

impl<'a> Steps<'a> for Changed<'a> {
    type Output = u32;

    fn step(&mut self, _: bool) -> Step<'a, u32> {
        let word = &self.once.state;
        let announced = self.state | QUEUED;
        // Acquire, also on the failure of the exchange: as in `call_by`.
        let seen = word.load(Acquire);
        if seen != announced {
            if seen != self.state {
                return Step::Done(seen);
            }
            // Relaxed: an announcement publishes nothing.
            if let Err(seen) = word.compare_exchange(seen, announced, Relaxed, Acquire) {
                return Step::Done(seen);
            }
        }
        let (expected, channel) = (announced, Channel::ALL);
        Step::Sleep(Sleep { word, expected, channel, limit: None })
    }

    /// All waiters are woken at once, so it owes no waiter a wake.
    fn leave(&mut self) -> Option<u32> {
        None
    }

    fn undo(&mut self, _: u32) {}
}

#[cold]
#[track_caller]
fn panic_with(message: &'static str) -> ! {
    panic!("{message}");
}

impl OnceState {
    /// Returns whether the closure before this one panicked.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Makes the `Once` incomplete again after the closure returns: for a closure that could not
    /// make the value.
    pub(crate) fn did_not_happen(&self) {
        self.becomes.set(INCOMPLETE);
    }
}

impl Drop for Once {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.state);
    }
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: a snapshot for display.
        let state = match self.state.load(Relaxed) & STATE {
            INCOMPLETE => "incomplete",
            RUNNING => "running",
            POISONED => "poisoned",
            _ => "complete",
        };
        f.debug_struct("Once").field("state", &format_args!("{state}")).finish()
    }
}

impl fmt::Debug for OnceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceState").field("poisoned", &self.poisoned).finish()
    }
}
