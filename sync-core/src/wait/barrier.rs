//! Barriers: threads that wait for each other, again and again; sixteen bytes beside the action.
//!
//! # Source
//!
//! The interface is Python's `threading.Barrier`: an action, [`abort`](Barrier::abort),
//! [`reset`](Barrier::reset), timeouts and an arrival index. The algorithm is a counter with a
//! generation in one word, so that every step is one compare-and-swap, and a second word as the
//! bell that sleepers sleep on. What differs from Python, whose rows on this are observed defects:
//! the outcome belongs to the cycle, so a cycle that completed has succeeded for every member of
//! it, whatever is called afterwards; and no lock is held while the action runs, so it may call
//! every method but `wait`, and an `abort` from within it counts.
//!
//! # States
//!
//! The word is `generation` (32 bits), `arrivals` (29), `SLEEPERS` (1) and the phase (2).
//!
//! | phase | meaning | `arrivals` are |
//! |---|---|---|
//! | `FILLING` | members arrive | those that wait |
//! | `ACTING` | all have arrived, the last runs the action | all of them |
//! | `BROKEN` | broken, until somebody resets it | members of the broken cycle that have not left yet |
//! | `DRAINING` | reset, members of the broken cycle are leaving | the same |
//!
//! | from | event | to |
//! |---|---|---|
//! | `FILLING` n | one arrives, not the last | `FILLING` n + 1 |
//! | `FILLING`, all but one | the last arrives, no action | next generation, `FILLING` 0, ring |
//! | `FILLING`, all but one | the last arrives | `ACTING` |
//! | `ACTING` | the action returns | next generation, `FILLING` 0, ring |
//! | `ACTING` | the action panics | `BROKEN`, one less, ring |
//! | `FILLING`, `ACTING` | a member's time is up | `BROKEN`, one less, ring |
//! | `FILLING`, `ACTING`, `DRAINING` | abort | `BROKEN`, ring |
//! | `FILLING` n > 0, `ACTING`, `BROKEN` n > 0 | reset | `DRAINING`, ring |
//! | `BROKEN` 0 | reset | next generation, `FILLING` 0 |
//! | `BROKEN` n | a member leaves | `BROKEN` n - 1 |
//! | `DRAINING` n > 1 | a member leaves | `DRAINING` n - 1 |
//! | `DRAINING` 1 | a member leaves | next generation, `FILLING` 0, ring |
//! | `BROKEN` | one arrives | the same: it fails |
//! | `ACTING`, `DRAINING` | one arrives | the same: it waits for the next generation |
//!
//! `SLEEPERS` says that somebody may sleep on the bell. It may be set without a sleeper (costs one
//! system call). Every change that rings clears it, and rings only if it was set.
//!
//! # Invariants
//!
//! 1. **The outcome is the cycle's.** A generation ends in one of two ways: it completes, or it is
//!    broken and every one of its members leaves before the generation turns. So a member that sees
//!    another generation has succeeded, and one that sees `BROKEN` or `DRAINING` in its own has
//!    not; no later event can change that.
//! 2. **Lockstep.** The generation turns by completion only in the hands of the last arriver, after
//!    the action returned.
//! 3. **Nobody is left behind.** A sleeper reads the bell, then the state; only if that is not the
//!    end of its wait, and `SLEEPERS` is set, it sleeps on the bell's value. Who changes the state
//!    rings afterwards if `SLEEPERS` was set. So either the sleeper saw the change, or it read the
//!    bell before it rang.
//! 4. The last thing a call does with the barrier is to ring. The bell is a word of the barrier,
//!    and not only its address is used: like every `&self`, it outlives the call. A member that
//!    waits touches nothing after it saw its cycle end.
//!
//! A member that is held up for exactly 2^32 completed cycles, or a sleeper for exactly 2^32 rings
//! between its look at the bell and its sleep, would be misled. At a million a second that is more
//! than an hour without running.
//!
//! # Orderings
//!
//! Release on every arrival, Acquire and Release on the change that turns the generation, Acquire
//! on the look that ends a wait: what any member wrote before it arrived, every member sees
//! afterwards, and the action too. All changes of the state are read-modify-writes, which continue
//! the release sequences of those before. Release and Acquire on the bell, for invariant 3: who
//! sees the new bell sees the new state.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::primitive::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::primitive::const_new;
use crate::primitive::futex::{self, Deadline};
use crate::primitive::hint::Spin;
use crate::sealed::Sealed;

const PHASE: u64 = 3;
const FILLING: u64 = 0;
const ACTING: u64 = 1;
const BROKEN: u64 = 2;
const DRAINING: u64 = 3;
const SLEEPERS: u64 = 4;
const ARRIVAL: u64 = 8;
const GENERATION: u64 = 1 << 32;

const fn phase(state: u64) -> u64 {
    state & PHASE
}

const fn arrivals(state: u64) -> u32 {
    (state % GENERATION / ARRIVAL) as u32
}

const fn generation(state: u64) -> u64 {
    state / GENERATION
}

/// The state in another phase, with nobody asleep any more.
const fn into_phase(state: u64, phase: u64) -> u64 {
    (state & !(PHASE | SLEEPERS)) | phase
}

/// The next generation, empty.
const fn turned(state: u64) -> u64 {
    (state & !(GENERATION - 1)).wrapping_add(GENERATION)
}

/// Lets a fixed number of threads wait for each other, again and again: Python's
/// `threading.Barrier`.
///
/// An action may run in the last to arrive before anybody goes on
/// ([`with_action`](Self::with_action)). A wait that times out breaks the barrier for all, because
/// the others wait for one who has gone; so does [`abort`](Self::abort). [`reset`](Self::reset)
/// repairs it.
///
/// # Examples
///
/// ```
/// use sync_core::Barrier;
///
/// let barrier = Barrier::new(3).with_action(|| println!("all here"));
/// std::thread::scope(|scope| {
///     for _ in 0..3 {
///         scope.spawn(|| {
///             let place = barrier.wait().unwrap();
///             assert!(place.index() < 3);
///         });
///     }
/// });
/// ```
///
/// # Memory ordering
///
/// What any member did before its `wait` happens before the action, and before the return of every
/// member's `wait`.
///
/// # Source of the algorithm
///
/// A counter with a generation in one word; state table and invariants stand at the top of
/// `barrier.rs`.
pub struct Barrier<A = NoAction> {
    state: AtomicU64,
    bell: AtomicU32,
    parties: u32,
    action: A,
}

/// What a barrier does when all have arrived. Sealed: a closure, nothing, or one of them [`Timed`].
pub trait Action: Sealed {
    /// Whether there is nothing to be done.
    #[doc(hidden)]
    const NOTHING: bool = false;

    #[doc(hidden)]
    fn run(&self);

    /// How long a wait without a time of its own lasts.
    #[doc(hidden)]
    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// A barrier without an action.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAction;

/// An action, or none, with the time limit of [`Barrier::with_timeout`].
#[derive(Clone, Copy, Debug)]
pub struct Timed<A> {
    action: A,
    timeout: Duration,
}

impl Sealed for NoAction {}
impl Action for NoAction {
    const NOTHING: bool = true;

    #[inline]
    fn run(&self) {}
}

impl<F: Fn()> Sealed for F {}
impl<F: Fn()> Action for F {
    fn run(&self) {
        self();
    }
}

impl<A: Action> Sealed for Timed<A> {}
impl<A: Action> Action for Timed<A> {
    const NOTHING: bool = A::NOTHING;

    fn run(&self) {
        self.action.run();
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.timeout)
    }
}

impl Barrier {
    /// The most threads that can wait for each other.
    pub const MAX_PARTIES: u32 = (GENERATION / ARRIVAL - 1) as u32;

    const_new! {
        /// A barrier for so many threads.
        ///
        /// # Panics
        ///
        /// If that is zero, or more than [`MAX_PARTIES`](Self::MAX_PARTIES). In a constant that is
        /// an error of compilation.
        #[track_caller]
        pub const fn new(parties: u32) -> Self {
            assert!(parties > 0, "a barrier of nobody");
            assert!(parties <= Self::MAX_PARTIES, "more parties than a barrier can count");
            Self { state: AtomicU64::new(FILLING), bell: AtomicU32::new(0), parties, action: NoAction }
        }
    }

    const_new! {
        /// The barrier with an action that the last to arrive runs before anybody goes on.
        ///
        /// The action may call every method of the barrier but the waits, which would wait for
        /// itself. If it panics, the panic goes on in the thread that ran it, and the barrier
        /// breaks.
        pub const fn with_action<F: Fn()>(self, action: F) -> Barrier<F> {
            Barrier { state: self.state, bell: self.bell, parties: self.parties, action }
        }
    }
}

impl<A: Action> Barrier<A> {
    /// The barrier with a time limit for [`wait`](Self::wait).
    pub fn with_timeout(self, timeout: Duration) -> Barrier<Timed<A>> {
        Barrier {
            state: self.state,
            bell: self.bell,
            parties: self.parties,
            action: Timed { action: self.action, timeout },
        }
    }

    /// Waits until all have arrived, for at most the time of [`with_timeout`](Self::with_timeout),
    /// or forever without one.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] if the barrier is broken, or is broken or reset before the cycle has
    /// completed. A cycle that has completed has succeeded, whatever happens before this call
    /// returns.
    ///
    /// # Panics
    ///
    /// If this is the last thread to arrive and the action panics.
    pub fn wait(&self) -> Result<BarrierWaitResult, BrokenBarrier> {
        self.wait_deadline(self.action.timeout().and_then(Deadline::after))
    }

    /// As [`wait`](Self::wait), for at most `timeout`. One too long for the clock means forever.
    ///
    /// If the time is up the barrier breaks. A thread that could not even arrive in that time,
    /// because an action was running or a reset had not been noticed by all, gives up and breaks
    /// nothing.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait); [`BrokenBarrier::timed_out`] says whether it was this call's time.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[doc(alias = "wait_timeout")]
    pub fn wait_for(&self, timeout: Duration) -> Result<BarrierWaitResult, BrokenBarrier> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// As [`wait_for`](Self::wait_for), until `deadline` at most. One in the past succeeds for the
    /// last to arrive and breaks the barrier for anybody else.
    ///
    /// # Errors
    ///
    /// As [`wait_for`](Self::wait_for).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_until(&self, deadline: Instant) -> Result<BarrierWaitResult, BrokenBarrier> {
        self.wait_deadline(Deadline::at(deadline))
    }

    /// Breaks the barrier: every wait fails, those that last and those to come, until
    /// [`reset`](Self::reset).
    pub fn abort(&self) {
        self.change(|state| match phase(state) {
            BROKEN => None,
            _ => Some(into_phase(state, BROKEN)),
        });
    }

    /// Fails the waits that last, and makes the barrier as new for those to come. Without any it
    /// only repairs a broken barrier.
    pub fn reset(&self) {
        self.change(|state| match (phase(state), arrivals(state)) {
            (FILLING, 0) | (DRAINING, _) => None,
            (BROKEN, 0) => Some(turned(state)),
            _ => Some(into_phase(state, DRAINING)),
        });
    }

    /// How many threads wait for each other.
    pub fn parties(&self) -> u32 {
        self.parties
    }

    /// How many wait at this moment; 0 while the barrier is broken, being reset, or full.
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> u32 {
        // Relaxed: an observation that carries no right to anything.
        let state = self.state.load(Relaxed);
        if phase(state) == FILLING { arrivals(state) } else { 0 }
    }

    /// Whether the barrier is broken.
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        // Relaxed: an observation that carries no right to anything.
        phase(self.state.load(Relaxed)) == BROKEN
    }

    /// Makes the barrier as new, with nobody waiting: for the child of a `fork`, where the threads
    /// that waited do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the barrier.
    pub unsafe fn reinit_after_fork(&self) {
        self.state.store(FILLING, Relaxed);
    }

    fn wait_deadline(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<BarrierWaitResult, BrokenBarrier> {
        let mut state = self.state.load(Relaxed);
        loop {
            match phase(state) {
                FILLING => {
                    let index = arrivals(state);
                    let last = index + 1 == self.parties;
                    let next = match last {
                        true if A::NOTHING => turned(state),
                        // Who sleeps already sleeps on: this is not the end of its wait.
                        true => (into_phase(state, ACTING) + ARRIVAL) | (state & SLEEPERS),
                        false => state + ARRIVAL,
                    };
                    // Release: what this member wrote, for the others. Acquire: what they wrote,
                    // for the last.
                    if let Err(seen) = self.state.compare_exchange(state, next, AcqRel, Relaxed) {
                        state = seen;
                        continue;
                    }
                    if !last {
                        return self.wait_for_the_rest(generation(state), index, deadline);
                    }
                    if A::NOTHING {
                        self.ring_after(state);
                    } else {
                        self.act()?;
                    }
                    return Ok(BarrierWaitResult { index, leader: true });
                }
                BROKEN => return Err(BrokenBarrier { timed_out: false }),
                // Full, or being emptied: the next generation is ours.
                _ => match self.watch(deadline, |state| matches!(phase(state), FILLING | BROKEN)) {
                    Some(seen) => state = seen,
                    None => return Err(BrokenBarrier { timed_out: true }),
                },
            }
        }
    }

    /// Runs the action and turns the generation, unless somebody broke the barrier meanwhile.
    fn act(&self) -> Result<(), BrokenBarrier> {
        /// Breaks the barrier if the action panics.
        struct Unwinding<'a, A: Action>(&'a Barrier<A>);
        impl<A: Action> Drop for Unwinding<'_, A> {
            fn drop(&mut self) {
                self.0.break_and_leave();
            }
        }
        let unwinding = Unwinding(self);
        self.action.run();
        core::mem::forget(unwinding);
        // Invariant 1: this member has not left, so the generation is still its own.
        let completed = self.change(|state| (phase(state) == ACTING).then_some(turned(state)));
        if !completed {
            self.leave();
            return Err(BrokenBarrier { timed_out: false });
        }
        Ok(())
    }

    /// Waits for the end of the cycle that this thread is a member of.
    fn wait_for_the_rest(
        &self,
        mine: u64,
        index: u32,
        deadline: Option<Deadline>,
    ) -> Result<BarrierWaitResult, BrokenBarrier> {
        let over = |state| generation(state) != mine || matches!(phase(state), BROKEN | DRAINING);
        let timed_out = match self.watch(deadline, over) {
            // Invariant 1.
            Some(state) if generation(state) != mine => {
                return Ok(BarrierWaitResult { index, leader: false });
            }
            Some(_) => {
                self.leave();
                false
            }
            None => {
                let mut broke = false;
                let left = self.change(|state| {
                    broke = matches!(phase(state), FILLING | ACTING);
                    match generation(state) == mine {
                        // Completed at the last moment.
                        false => None,
                        true if broke => Some(into_phase(state, BROKEN) - ARRIVAL),
                        true => Some(without_one(state)),
                    }
                });
                if !left {
                    return Ok(BarrierWaitResult { index, leader: false });
                }
                broke
            }
        };
        Err(BrokenBarrier { timed_out })
    }

    /// A member of a broken cycle leaves it.
    fn leave(&self) {
        self.change(|state| Some(without_one(state)));
    }

    /// The member that runs the action breaks the cycle, if nobody else has, and leaves it.
    fn break_and_leave(&self) {
        self.change(|state| match phase(state) {
            ACTING => Some(into_phase(state, BROKEN) - ARRIVAL),
            _ => Some(without_one(state)),
        });
    }

    /// Changes the state as `next` says and rings for those who sleep; `false` if `next` says that
    /// there is nothing to change.
    fn change(&self, mut next: impl FnMut(u64) -> Option<u64>) -> bool {
        // Acquire: a thread that finds its cycle completed here sees what its members wrote.
        let mut state = self.state.load(Acquire);
        while let Some(changed) = next(state) {
            // Release: a turn hands on what this thread wrote; what the other members wrote it
            // hands on because it continues their release sequences, for which it need not see that
            // itself. Who makes the change is promised nothing, hence no Acquire; who finds that
            // there is nothing to change has a success, hence Acquire where it looks.
            match self.state.compare_exchange(state, changed, Release, Acquire) {
                Ok(_) => {
                    // One that leaves a broken barrier leaves `SLEEPERS` to whoever turns the
                    // generation.
                    if changed & SLEEPERS == 0 {
                        self.ring_after(state);
                    }
                    return true;
                }
                Err(seen) => state = seen,
            }
        }
        false
    }

    /// Wakes those who slept in the state that this thread has just changed.
    #[inline]
    fn ring_after(&self, before: u64) {
        if before & SLEEPERS != 0 {
            // Release: pairs with the Acquire in `watch` (invariant 3).
            self.bell.fetch_add(1, Release);
            futex::wake_all(&raw const self.bell);
        }
    }

    /// Waits for a state of which `over` is true; `None` if the time is up first.
    fn watch(&self, deadline: Option<Deadline>, over: impl Fn(u64) -> bool) -> Option<u64> {
        let mut spin = Spin::new();
        loop {
            // Acquire: pairs with the Release of the change that ends the wait.
            let state = self.state.load(Acquire);
            if over(state) {
                return Some(state);
            }
            if !spin.turn() {
                break;
            }
        }
        loop {
            // Acquire: pairs with the Release in `ring_after`; the state that is read next is no
            // older than the bell (invariant 3).
            let bell = self.bell.load(Acquire);
            // Acquire: as above.
            let state = self.state.load(Acquire);
            if over(state) {
                return Some(state);
            }
            // Relaxed: it publishes nothing, and continues the release sequences.
            if state & SLEEPERS == 0
                && self.state.compare_exchange(state, state | SLEEPERS, Relaxed, Relaxed).is_err()
            {
                continue;
            }
            if !futex::wait_maybe(&self.bell, bell, deadline) {
                // Acquire: as above.
                let state = self.state.load(Acquire);
                return over(state).then_some(state);
            }
        }
    }
}

/// The state after a member of a broken cycle has left.
const fn without_one(state: u64) -> u64 {
    match (phase(state), arrivals(state)) {
        (DRAINING, 1) => turned(state),
        _ => state - ARRIVAL,
    }
}

impl<A: Action> fmt::Debug for Barrier<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Barrier");
        match self.is_broken() {
            true => out.field("state", &format_args!("broken")),
            false => out.field("waiting", &self.waiting()),
        };
        out.field("parties", &self.parties).finish()
    }
}

/// A place among those who passed the barrier together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    index: u32,
    leader: bool,
}

impl BarrierWaitResult {
    /// Which one this thread was to arrive in its cycle, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Whether this thread arrived last, and ran the action.
    pub fn is_leader(&self) -> bool {
        self.leader
    }
}

/// The barrier is broken, or was reset while this thread waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrier {
    timed_out: bool,
}

impl BrokenBarrier {
    /// Whether it was this call's own time that was up.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }
}

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.timed_out {
            "the others did not arrive at the barrier in time"
        } else {
            "the barrier is broken"
        })
    }
}

impl core::error::Error for BrokenBarrier {}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{Barrier, GENERATION};

    /// A generation is compared for being the same and nothing else, so it may come round.
    #[test]
    fn the_generation_comes_round() {
        let barrier = Barrier::new(2);
        barrier.state.store(u64::MAX / GENERATION * GENERATION, super::Relaxed);
        thread::scope(|scope| {
            let body = || (0..3).for_each(|_| assert!(barrier.wait().is_ok()));
            scope.spawn(body);
            body();
        });
        assert!(barrier.state.load(super::Relaxed) < 10 * GENERATION);
    }
}
