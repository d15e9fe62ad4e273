//! The lock inside [`Mutex`](crate::Mutex): four bytes, one compare-and-swap in, one out.
//!
//! # Source
//!
//! The three-state futex mutex of Drepper, "Futexes Are Tricky" (mutex 3), as `std` has it today,
//! with one more bit that bounds how long a waiter can be overtaken. The bit is the starvation mode
//! of Go's `sync.Mutex`, without its strict hand-off: strict hand-off costs a context switch for
//! each critical section, 6 to 10 times the throughput, so it is used for one acquisition at a time
//! and only once somebody has waited for [`STARVATION_THRESHOLD`].
//!
//! # States
//!
//! | bits | meaning | legal to be stale? |
//! |---|---|---|
//! | `LOCKED` | somebody holds the lock | no |
//! | `WAITERS` | somebody may sleep on the word | may be set without a sleeper (costs one system call); never clear with one that no wake is on its way to |
//! | `STARVING` | the next acquisition belongs to a thread that has slept | may be set without such a thread (costs one `STARVATION_THRESHOLD`); only ever set together with `WAITERS` |
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `0` | acquire | `L` | |
//! | `W` | acquire | `LW` | |
//! | `WS` | acquire by one that slept | `LW` | |
//! | `WS` | `try_lock` | `LWS` | |
//! | `WS` | a newcomer arrives | `WS` | it sleeps, at most `STARVATION_THRESHOLD`, and counts as one that slept |
//! | `L..` | a waiter arrives | `LW..` | it sleeps |
//! | `L..` | one that slept for `STARVATION_THRESHOLD` in all fails again | `LWS` | it sleeps |
//! | `L` | release | `0` | |
//! | `LW` | release | `0` | wake one |
//! | `LWS` | release | `WS` | wake one |
//!
//! # Invariants
//!
//! 1. **Exclusion.** `LOCKED` is set by the acquirer's compare-and-swap from a value without it,
//!    and cleared by its release only.
//! 2. **No swallowed wake.** Whoever has slept acquires with `WAITERS` set, and sleeps again only
//!    after it has set `WAITERS` in a locked word: either way there is a release to come that wakes
//!    the next. So a wake that a thread consumed is passed on, whether it gets the lock now, or
//!    loses it to another and then gives up.
//! 3. **Nobody sleeps on a free lock.** A thread sleeps only while the word has the value it saw:
//!    locked, or reserved by `STARVING`; the second kind of sleep ends by itself.
//! 4. **Wake after free.** A release is one atomic operation; after it only the address is used.
//!    The lock may be gone by then.
//! 5. **Bounded overtaking.** From the moment a waiter sets `STARVING`, no newcomer gets in before
//!    one that has slept (`try_lock` excepted).
//!
//! # Orderings
//!
//! Acquire on the compare-and-swap that sets `LOCKED`: pairs with the Release of the one that
//! clears it. Everything else is Relaxed: setting `WAITERS` or `STARVING` publishes nothing, and
//! that the sleeper is not missed rests on the futex's own comparison (rule 1 of the futex module)
//! and on all of this being one word.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::lock::raw_lock::RawLock;
use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::futex::{self, Deadline};
use crate::primitive::{const_new, hint::Looks, time::Stopwatch};
use crate::sealed::Sealed;

const LOCKED: u32 = 1;
const WAITERS: u32 = 2;
const STARVING: u32 = 4;

/// How long a waiter lets others overtake it. A hand-off costs a context switch (a few
/// microseconds), so one per millisecond is cheap.
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
        /// A free lock.
        pub const fn new() -> Self {
            Self { state: AtomicU32::new(0) }
        }
    }

    /// Takes the lock; sleeps until it is free.
    ///
    /// # Memory ordering
    ///
    /// What happened before an [`unlock`](Self::unlock) happens before the return of the `lock`
    /// that follows it.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn lock(&self) {
        if !self.try_fast() {
            self.lock_contended_for_ever();
        }
    }

    /// Takes the lock if it is free at this moment, even if somebody has waited for long: only
    /// [`lock`](Self::lock) and the timed calls stand back then.
    #[inline]
    pub fn try_lock(&self) -> bool {
        self.try_fast() || self.try_contended()
    }

    /// Takes the lock, or gives up after `timeout`: `false`. A timeout too long for the clock means
    /// forever.
    #[inline]
    pub fn try_lock_for(&self, timeout: Duration) -> bool {
        self.try_fast() || self.lock_contended(Deadline::after(timeout))
    }

    /// Takes the lock, or gives up at `deadline`: `false`. A deadline in the past still takes a
    /// lock that is free.
    #[inline]
    pub fn try_lock_until(&self, deadline: Instant) -> bool {
        self.try_fast() || self.lock_contended(Deadline::at(deadline))
    }

    /// Gives the lock back; any thread may.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if nobody holds it; nothing is changed.
    ///
    /// # Memory ordering
    ///
    /// What happened before an `unlock` happens before the return of the [`lock`](Self::lock) that
    /// follows it.
    #[inline]
    #[doc(alias = "release")]
    pub fn unlock(&self) -> Result<(), NotLocked> {
        // Release: pairs with the Acquire of the next acquisition.
        match self.state.compare_exchange(LOCKED, 0, Release, Relaxed) {
            Ok(_) => Ok(()),
            Err(seen) => self.unlock_contended(seen, 0),
        }
    }

    /// Whether somebody holds the lock. A snapshot: it may have changed before the call returns.
    #[inline]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        // Relaxed: an observation that carries no right to anything.
        self.state.load(Relaxed) & LOCKED != 0
    }

    /// Makes the lock free, whoever held it: for the child of a `fork`, where the holder does not
    /// exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the lock or anything it protects, and no guard of it
    /// may still be released.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self) {
        self.state.store(0, Relaxed);
    }

    #[inline]
    fn try_fast(&self) -> bool {
        // Acquire: pairs with the Release in `unlock` and `unlock_contended`.
        self.state.compare_exchange(0, LOCKED, Acquire, Relaxed).is_ok()
    }

    /// One attempt that also takes a free lock with bits left over. It ignores a reservation,
    /// because nobody who is refused here comes back to find out that it was stale.
    #[cold]
    fn try_contended(&self) -> bool {
        let mut state = self.state.load(Relaxed);
        while state & LOCKED == 0 {
            // Acquire: as in `try_fast`. The other bits stay: whom they speak of is still there.
            match self.state.compare_exchange(state, state | LOCKED, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
        false
    }

    /// As [`lock_contended`](Self::lock_contended) without a deadline: the caller's fast path then
    /// has no argument to lay out on its stack.
    #[cold]
    fn lock_contended_for_ever(&self) -> bool {
        self.lock_contended(None)
    }

    /// Takes the lock, sleeping as long as it must; `false` if the deadline passed.
    #[cold]
    fn lock_contended(&self, deadline: Option<Deadline>) -> bool {
        let mut looks = Looks::new();
        let mut state = self.spin(&mut looks);
        // The watch starts when it is needed: a clock read between the look and the attempt takes
        // longer than a critical section, and the free lock is lost again.
        let mut waiting = None;
        let mut slept = false;
        loop {
            if state & LOCKED == 0 && (slept || state & STARVING == 0) {
                // Invariant 2: one that slept leaves `WAITERS` behind for those who may sleep on.
                // Its reservation is used up.
                let taken = if slept { LOCKED | WAITERS } else { state | LOCKED };
                // Acquire: as in `try_fast`.
                match self.state.compare_exchange(state, taken, Acquire, Relaxed) {
                    Ok(_) => return true,
                    Err(_) => {
                        // Lost to another thread: spin on while looks are left. A futex call here
                        // would nearly always find the word changed.
                        state = self.spin(&mut looks);
                        continue;
                    }
                }
            }
            if state & LOCKED == 0 {
                // Reserved for one that slept, who is awake already or being woken. Should it be
                // gone, this sleep ends by itself.
                let turn = Deadline::after(STARVATION_THRESHOLD).into_iter().chain(deadline).min();
                futex::wait_maybe(&self.state, state, turn);
            } else {
                let waiting = waiting.get_or_insert_with(Stopwatch::start);
                let reserve =
                    if slept && waiting.has_run(STARVATION_THRESHOLD) { STARVING } else { 0 };
                let announced = state | WAITERS | reserve;
                if announced != state {
                    if let Err(seen) =
                        self.state.compare_exchange(state, announced, Relaxed, Relaxed)
                    {
                        state = seen;
                        continue;
                    }
                }
                if !futex::wait_maybe(&self.state, announced, deadline) {
                    return self.leave();
                }
            }
            slept = true;
            looks = Looks::new();
            state = self.spin(&mut looks);
        }
    }

    /// The end of a wait whose time is up: takes the lock if it is free after all.
    ///
    /// It consumed no wake (rule 3 of the futex module) and announced itself before it slept, so it
    /// owes nobody a wake; but a reservation may have been its own, with nobody else there to use
    /// it up.
    fn leave(&self) -> bool {
        let mut state = self.state.load(Relaxed);
        loop {
            let taken = state & LOCKED == 0;
            let next = (state | LOCKED) & !STARVING;
            if next == state {
                return false;
            }
            // Acquire: as in `try_fast`; more than a thread that only clears the reservation needs.
            match self.state.compare_exchange(state, next, Acquire, Relaxed) {
                Ok(_) => return taken,
                Err(seen) => state = seen,
            }
        }
    }

    /// Waits a moment for a lock that nobody sleeps on, and returns what it saw last.
    fn spin(&self, looks: &mut Looks) -> u32 {
        loop {
            let state = self.state.load(Relaxed);
            // Where others sleep already, a spinner would only overtake them.
            if state != LOCKED || !looks.turn() {
                return state;
            }
        }
    }

    /// Releases a lock whose word says more than `LOCKED`. `reserve` is `STARVING` to let one in
    /// that sleeps, or 0.
    #[cold]
    fn unlock_contended(&self, mut state: u32, reserve: u32) -> Result<(), NotLocked> {
        while state & LOCKED != 0 {
            let free = match state & WAITERS {
                0 => 0,
                // The one who is woken sets `WAITERS` again, so without a reservation all of it can
                // go.
                _ => match (state & STARVING) | reserve {
                    0 => 0,
                    reserved => WAITERS | reserved,
                },
            };
            // Release: pairs with the Acquire of the next acquisition.
            match self.state.compare_exchange(state, free, Release, Relaxed) {
                Ok(_) => {
                    if state & WAITERS != 0 {
                        // Invariant 4: from here on only the address.
                        futex::wake_one(&raw const self.state);
                    }
                    return Ok(());
                }
                Err(seen) => state = seen,
            }
        }
        Err(NotLocked)
    }
}

impl Sealed for RawMutex {}

// SAFETY: invariant 1, and the pairing of the Acquire and Release orderings above.
unsafe impl RawLock for RawMutex {
    #[inline]
    fn acquire(&self, deadline: Option<Deadline>) -> bool {
        self.try_fast()
            || match deadline {
                None => self.lock_contended_for_ever(),
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
        // `WAITERS` may be stale, and a reservation for nobody makes the next one wait for
        // `STARVATION_THRESHOLD`. Where the system says that it woke somebody, there is one to
        // reserve the lock for; should that one give up meanwhile, invariant 3 still holds.
        let state = self.state.load(Relaxed);
        let somebody = state & WAITERS != 0 && futex::wake(&raw const self.state, 1) > 0;
        let released = self.unlock_contended(state, if somebody { STARVING } else { 0 });
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

/// A lock was to be released that nobody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLocked;

impl fmt::Display for NotLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is not locked")
    }
}

impl core::error::Error for NotLocked {}
