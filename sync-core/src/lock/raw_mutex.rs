//! The lock inside [`Mutex`](crate::Mutex): four bytes, one compare-and-swap to take it and one to
//! release it.
//!
//! # Source
//!
//! The three-state futex mutex of Drepper, "Futexes Are Tricky" (mutex 3), as in `std` today, with
//! one more bit that bounds how long other threads can overtake a waiter. The bit is the starvation
//! mode of Go's `sync.Mutex`, without its strict hand-off: strict hand-off costs a context switch
//! for each critical section, 6 to 10 times the throughput, so it is used for one acquisition at a
//! time, and only after a thread has waited for [`STARVATION_THRESHOLD`].
//!
//! # States
//!
//! | bits | meaning | legal to be stale? |
//! |---|---|---|
//! | `LOCKED` | a thread holds the lock | no |
//! | `WAITERS` | a thread may sleep on the word | may be set without a sleeper (costs one system call); never clear while a thread sleeps and no wake is on its way to it |
//! | `STARVING` | the next acquisition belongs to a thread that has slept | may be set without such a thread (costs one `STARVATION_THRESHOLD`); only ever set together with `WAITERS` |
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `0` | acquire | `L` | |
//! | `W` | acquire | `LW` | |
//! | `WS` | acquire by a thread that slept | `LW` | |
//! | `WS` | `try_lock` | `LWS` | |
//! | `WS` | a newcomer arrives | `WS` | it sleeps, at most `STARVATION_THRESHOLD`, and counts as a thread that slept |
//! | `L..` | a waiter arrives | `LW..` | it sleeps |
//! | `L..` | a thread that slept for `STARVATION_THRESHOLD` in all fails again | `LWS` | it sleeps |
//! | `L` | release | `0` | |
//! | `LW` | release | `0` | wake one |
//! | `LWS` | release | `WS` | wake one |
//!
//! # Invariants
//!
//! 1. **Exclusion.** `LOCKED` is set by the acquirer's compare-and-swap from a value without it,
//!    and cleared by its release only.
//! 2. **No swallowed wake.** A thread that has slept acquires with `WAITERS` set, and sleeps again
//!    only after it has set `WAITERS` in a locked word. Either way a later release wakes the next
//!    waiter. So a wake that a thread consumed is passed on, whether the thread gets the lock now,
//!    or loses it to another thread and then gives up.
//! 3. **No sleep on a free lock.** A thread sleeps only while the word has the value that it read:
//!    locked, or reserved by `STARVING`. A sleep on a reserved word ends by itself.
//! 4. **Wake after free.** A release is one atomic operation; after it only the address of the word
//!    is used. The lock may be gone by then.
//! 5. **No thread sleeps on a free lock** for longer than [`STARVATION_THRESHOLD`]: a release that
//!    wakes a task wakes a thread as well, since the task takes the lock at its next poll only, and
//!    the thread may be the one that polls it.
//! 6. **Bounded overtaking.** From the moment a waiter sets `STARVING`, no newcomer gets the lock
//!    before a thread that has slept (`try_lock` excepted).
//!
//! # Orderings
//!
//! Acquire on the compare-and-swap that sets `LOCKED`: pairs with the Release of the
//! compare-and-swap that clears it, so a holder sees the writes of the holder before it. Everything
//! else is Relaxed: setting `WAITERS` or `STARVING` publishes nothing. No sleeper is missed because
//! the futex itself compares the word (rule 1 of the futex module) and because the whole state is
//! one word.
//!
//! # What was tried and not adopted
//!
//! **Two bytes instead of one word:** one byte for the lock and one for waiters. The release is
//! a plain store of the lock's byte and then a load of the other, and a waiter calls
//! `membarrier` before it sleeps. Against the word on two processors of a Xeon, as a factor of
//! throughput: uncontended 1.6 (9.3 ns instead of 14.8), contended without hold 5.0 to 5.4 with
//! 2 to 16 threads; but with holds of 1 us and no gap, four threads on two processors, 0.56 to
//! 0.69, and a barrier for each third to fifth acquisition there. A variant in which the flags
//! stay until a contended phase is over wakes a thread at each release: 0.53. It was not
//! adopted, for three reasons: the loss where there are more threads than processors; invariant
//! 4 fails, since the release reads the waiters' byte after it gave the lock up, so that "the
//! last user frees it" is a use after free; and `unlock` can no longer say that no thread held
//! the lock. It also needs Linux's `membarrier`, whose cost on many processors was not
//! measured.
//!
//! **Looks at growing intervals** (250 ns doubled up to 2 us): a little faster without hold, 0.76
//! with holds of 1 us, because the free lock lies idle until the next look. The interval is
//! constant therefore, and a time, so that it means the same on every processor.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::lock::raw_lock::RawLock;
use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::futex::{self, Channel, Deadline};
use crate::primitive::steps::{self, Sleep, Step, Steps};
use crate::primitive::{const_new, hint::Looks, time::Stopwatch};
use crate::sealed::Sealed;

const LOCKED: u32 = 1;
const WAITERS: u32 = 2;
const STARVING: u32 = 4;

/// The time for which a waiter lets other threads overtake it. A hand-off costs a context switch (a
/// few microseconds), so one per millisecond is cheap.
const STARVATION_THRESHOLD: Duration = Duration::from_millis(1);

/// A mutual exclusion lock without data and without a guard: Python's `threading.Lock`.
///
/// Any thread may release it, not only the one that took it. For a lock that protects data, use
/// [`Mutex`](crate::Mutex).
///
/// ```
/// use sync_core::RawMutex;
///
/// let signal = RawMutex::new();
/// signal.lock();
/// std::thread::scope(|scope| {
///     scope.spawn(|| signal.unlock().unwrap()); // another thread may release it
///     signal.lock();
/// });
/// assert!(signal.is_locked());
/// signal.unlock().unwrap();
/// assert!(signal.unlock().is_err(), "it is free already");
/// ```
#[doc(alias = "Lock")]
#[doc(alias = "allocate_lock")]
pub struct RawMutex {
    state: AtomicU32,
}

impl RawMutex {
    const_new! {
        /// Creates a free lock.
        pub const fn new() -> Self {
            Self { state: AtomicU32::new(0) }
        }
    }

    /// Takes the lock; sleeps until it is free.
    ///
    /// # Memory ordering
    ///
    /// Everything that happened before an [`unlock`](Self::unlock) happens before the return of the
    /// `lock` that follows it.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn lock(&self) {
        if !self.try_fast() {
            self.lock_contended_forever();
        }
    }

    /// Takes the lock if it is free at this moment, even if another thread has waited for long:
    /// only [`lock`](Self::lock) and the timed calls let that thread go first.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn try_lock(&self) -> bool {
        self.try_fast() || self.try_contended()
    }

    /// Takes the lock, or gives up after `timeout`: `false`. A timeout too long for the clock means
    /// forever.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn try_lock_for(&self, timeout: Duration) -> bool {
        self.try_fast() || self.lock_contended(Deadline::after(timeout))
    }

    /// Takes the lock, or gives up at `deadline`: `false`. A deadline in the past still takes a
    /// lock that is free.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn try_lock_until(&self, deadline: Instant) -> bool {
        self.try_fast() || self.lock_contended(Deadline::at(deadline))
    }

    /// Releases the lock; any thread may release it.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if no thread holds it; nothing is changed.
    ///
    /// # Memory ordering
    ///
    /// Everything that happened before an `unlock` happens before the return of the
    /// [`lock`](Self::lock) that follows it.
    #[inline]
    #[doc(alias = "release")]
    pub fn unlock(&self) -> Result<(), NotLocked> {
        // Release: pairs with the Acquire of the next acquisition.
        match self.state.compare_exchange(LOCKED, 0, Release, Relaxed) {
            Ok(_) => Ok(()),
            Err(seen) => self.unlock_contended(seen, 0),
        }
    }

    /// Returns whether a thread holds the lock. A snapshot: it may have changed before the call
    /// returns.
    #[inline]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        // Relaxed: a snapshot; no data is read because of it.
        self.state.load(Relaxed) & LOCKED != 0
    }

    /// Makes the lock free, whichever thread held it: for the child of a `fork`, where the holder
    /// does not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the lock or anything it protects, and no guard of it
    /// may still be released.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self) {
        // Relaxed: no other thread uses it (the caller's promise).
        self.state.store(0, Relaxed);
    }

    #[inline]
    fn try_fast(&self) -> bool {
        // Acquire: pairs with the Release in `unlock` and `unlock_contended`.
        self.state.compare_exchange(0, LOCKED, Acquire, Relaxed).is_ok()
    }

    /// Attempts once, and also takes a free lock that has other bits set. It ignores a reservation:
    /// a caller that is refused here does not come back, so it could not detect a stale one.
    #[cold]
    fn try_contended(&self) -> bool {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        while state & LOCKED == 0 {
            // Acquire: as in `try_fast`. Keep the other bits: the waiters they stand for still
            // wait.
            match self.state.compare_exchange(state, state | LOCKED, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
        false
    }

    /// Like [`lock_contended`](Self::lock_contended) without a deadline: the caller's fast path
    /// then has no argument to lay out on its stack.
    #[cold]
    fn lock_contended_forever(&self) -> bool {
        self.lock_contended(None)
    }

    /// Takes the lock, and sleeps as long as it is not free. Returns `false` if the deadline
    /// passed.
    #[cold]
    fn lock_contended(&self, deadline: Option<Deadline>) -> bool {
        steps::run(self.acquiring(), deadline).is_some()
    }

    /// Returns an acquisition on the slow path, for a thread or a task.
    #[inline]
    pub(crate) fn acquiring(&self) -> Acquiring<'_> {
        Acquiring { lock: self, waiting: None, slept: false, is_task: false }
    }

    /// Ends a wait whose time is up: takes the lock if it is free after all.
    ///
    /// It consumed no wake (rule 3 of the futex module) and announced itself before it slept, so it
    /// owes no thread a wake. But a reservation may have been its own, and no other thread may be
    /// there to use it up: it clears the reservation.
    fn leave(&self) -> bool {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        loop {
            let taken = state & LOCKED == 0;
            let next = (state | LOCKED) & !STARVING;
            if next == state {
                return false;
            }
            // Acquire: as in `try_fast`. A thread that only clears the reservation would not need
            // it.
            match self.state.compare_exchange(state, next, Acquire, Relaxed) {
                Ok(_) => return taken,
                Err(seen) => state = seen,
            }
        }
    }

    /// Spins for a moment on a lock that no thread sleeps on, and returns the last value read.
    fn spin(&self, looks: &mut Looks) -> u32 {
        loop {
            // Relaxed: the compare-and-swap that follows compares it.
            let state = self.state.load(Relaxed);
            // Where other threads sleep already, a spinning thread would only overtake them.
            if state != LOCKED || !looks.turn() {
                return state;
            }
        }
    }

    /// Releases a lock whose word has more bits than `LOCKED`. `reserve` is `STARVING` to let a
    /// sleeper in, or 0.
    #[cold]
    fn unlock_contended(&self, mut state: u32, reserve: u32) -> Result<(), NotLocked> {
        while state & LOCKED != 0 {
            let free = match state & WAITERS {
                0 => 0,
                // The woken thread sets `WAITERS` again, so without a reservation all bits can be
                // cleared.
                _ => match (state & STARVING) | reserve {
                    0 => 0,
                    reserved => WAITERS | reserved,
                },
            };
            // Release: pairs with the Acquire of the next acquisition.
            match self.state.compare_exchange(state, free, Release, Relaxed) {
                Ok(_) => {
                    if state & WAITERS != 0 {
                        // Invariant 4: from here on only the address is used.
                        futex::wake_for_lock(&raw const self.state, Channel::ALL);
                    }
                    return Ok(());
                }
                Err(seen) => state = seen,
            }
        }
        Err(NotLocked)
    }
}

/// An acquisition of a [`RawMutex`] on the slow path.
pub(crate) struct Acquiring<'a> {
    lock: &'a RawMutex,
    /// The clock is read only when it is needed: a clock read between the load and the attempt
    /// takes longer than a critical section, and other threads take the free lock meanwhile.
    waiting: Option<Stopwatch>,
    slept: bool,
    is_task: bool,
}

impl<'a> Steps<'a> for Acquiring<'a> {
    type Output = ();

    fn as_task(&mut self) {
        self.is_task = true;
    }

    fn step(&mut self, _: bool) -> Step<'a, ()> {
        let lock = self.lock;
        let mut looks = if self.is_task { Looks::none() } else { Looks::new() };
        let mut state = lock.spin(&mut looks);
        loop {
            if state & LOCKED == 0 && (self.slept || state & STARVING == 0) {
                // Invariant 2: a thread that slept leaves `WAITERS` set for the threads that may
                // still sleep. Its reservation is used up.
                let taken = if self.slept { LOCKED | WAITERS } else { state | LOCKED };
                // Acquire: as in `try_fast`.
                match lock.state.compare_exchange(state, taken, Acquire, Relaxed) {
                    Ok(_) => return Step::Done(()),
                    Err(_) => {
                        // Lost to another thread: spin on while turns are left. A futex call here
                        // would nearly always observe a changed word.
                        state = lock.spin(&mut looks);
                        continue;
                    }
                }
            }
            let (announced, limit) = if state & LOCKED == 0 {
                // Reserved for a thread that slept, which is awake already or is being woken. If it
                // is gone, this sleep ends by itself.
                (state, Deadline::after(STARVATION_THRESHOLD))
            } else {
                let waiting = self.waiting.get_or_insert_with(Stopwatch::start);
                let reserve =
                    if self.slept && waiting.has_run(STARVATION_THRESHOLD) { STARVING } else { 0 };
                let announced = state | WAITERS | reserve;
                if announced != state {
                    if let Err(seen) =
                        // Relaxed: an announcement publishes nothing, and the futex compares the
                        // word.
                        lock.state.compare_exchange(state, announced, Relaxed, Relaxed)
                    {
                        state = seen;
                        continue;
                    }
                }
                (announced, None)
            };
            self.slept = true;
            return Step::Sleep(Sleep {
                word: &lock.state,
                expected: announced,
                channel: Channel::ALL,
                limit,
            });
        }
    }

    fn leave(&mut self) -> Option<()> {
        self.lock.leave().then_some(())
    }

    fn undo(&mut self, (): ()) {
        let released = self.lock.unlock();
        debug_assert!(released.is_ok(), "taken by `leave`");
    }
}

impl Sealed for RawMutex {}

// SAFETY: invariant 1, and the Acquire of each acquisition pairs with the Release of each release.
unsafe impl RawLock for RawMutex {
    #[inline]
    fn acquire(&self, deadline: Option<Deadline>) -> bool {
        self.try_fast()
            || match deadline {
                None => self.lock_contended_forever(),
                Some(_) => self.lock_contended(deadline),
            }
    }

    #[inline]
    fn try_acquire(&self) -> bool {
        self.try_lock()
    }

    #[inline]
    fn acquire_at_once(&self) -> bool {
        self.try_fast()
    }

    #[inline]
    unsafe fn release(&self) {
        let released = self.unlock();
        debug_assert!(released.is_ok(), "a guard was dropped over a lock that is free");
    }

    #[cold]
    unsafe fn release_fair(&self) {
        // `WAITERS` may be stale, and a reservation without a waiter makes the next thread wait for
        // `STARVATION_THRESHOLD`. Where the system reports that it woke a thread or a task, the
        // lock is reserved for that waiter. If it gives up meanwhile, invariant 3 still holds.
        //
        // The release below wakes once more. It has to: the waiter that was woken here may look at
        // the word before the release, and sleeps on the held lock again. (The models of
        // `task::fair` fail without either wake.)
        // Relaxed: a hint.
        let state = self.state.load(Relaxed);
        let woken = state & WAITERS != 0 && futex::wake(&raw const self.state, 1) > 0;
        let released = self.unlock_contended(state, if woken { STARVING } else { 0 });
        debug_assert!(released.is_ok(), "a guard was dropped over a lock that is free");
    }

    #[inline]
    unsafe fn bump(&self) {
        // Relaxed: a hint. A waiter that is missed now is seen by the next bump, or by the release.
        if self.state.load(Relaxed) & WAITERS != 0 {
            // SAFETY: passed on to the caller.
            unsafe { self.release_fair() };
            self.acquire(None);
        }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        RawMutex::is_locked(self)
    }
}

impl Drop for RawMutex {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.state);
    }
}

impl Default for RawMutex {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_locked() { "locked" } else { "unlocked" };
        f.debug_struct("RawMutex").field("state", &format_args!("{state}")).finish()
    }
}

/// The error of the release of a lock that no thread holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLocked;

impl fmt::Display for NotLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is not locked")
    }
}

impl core::error::Error for NotLocked {}
