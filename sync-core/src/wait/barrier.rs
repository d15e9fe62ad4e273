//! A barrier: threads wait for each other, again and again. It adds sixteen bytes to the action.
//!
//! # Source
//!
//! The interface is Python's `threading.Barrier`: an action, [`abort`](Barrier::abort),
//! [`reset`](Barrier::reset), timeouts and an arrival index. The algorithm is a counter with a
//! generation in one word, so that every step is one compare-and-swap, and a second word, the bell,
//! on which threads sleep. Two points differ from Python, where they are observed defects. The
//! outcome belongs to the cycle, so a cycle that completed has succeeded for every member, whatever
//! is called afterwards. And no lock is held while the action runs, so the action may call every
//! method but `wait`, and an `abort` from within it takes effect.
//!
//! Barriers between processes (sync-ipc) are another algorithm: any party may be killed, and a
//! count cannot be corrected for it. There, each party has a cell with its identity.
//!
//! # States
//!
//! The word is `generation` (32 bits), `arrivals` (29), `SLEEPERS` (1) and the phase (2).
//!
//! | phase | meaning | `arrivals` counts |
//! |---|---|---|
//! | `FILLING` | members arrive | the members that wait |
//! | `ACTING` | all members have arrived, the last runs the action | all members |
//! | `BROKEN` | broken until a reset | the members of the broken cycle that have not left yet |
//! | `DRAINING` | reset, members of the broken cycle are leaving | the members of the broken cycle that have not left yet |
//!
//! | from | event | to |
//! |---|---|---|
//! | `FILLING` n | a member arrives, not the last | `FILLING` n + 1 |
//! | `FILLING`, all but one | the last member arrives, no action | next generation, `FILLING` 0, ring |
//! | `FILLING`, all but one | the last member arrives | `ACTING` |
//! | `ACTING` | the action returns | next generation, `FILLING` 0, ring |
//! | `ACTING` | the action panics | `BROKEN`, one less, ring |
//! | `FILLING`, `ACTING` | a member's time is up | `BROKEN`, one less, ring |
//! | `FILLING`, `ACTING`, `DRAINING` | abort | `BROKEN`, ring |
//! | `FILLING` n > 0, `ACTING`, `BROKEN` n > 0 | reset | `DRAINING`, ring |
//! | `BROKEN` 0 | reset | next generation, `FILLING` 0 |
//! | `FILLING` n, `ACTING` n | a member that is a task is dropped | the same phase, n - 1 |
//! | `BROKEN` n | a member leaves | `BROKEN` n - 1 |
//! | `DRAINING` n > 1 | a member leaves | `DRAINING` n - 1 |
//! | `DRAINING` 1 | a member leaves | next generation, `FILLING` 0, ring |
//! | `BROKEN` | a thread arrives | the same: it fails |
//! | `ACTING`, `DRAINING` | a thread arrives | the same: it waits for the next generation |
//!
//! `SLEEPERS` means that a thread may sleep on the bell. It may be set without a sleeper (costs one
//! system call). Every change that rings (increments the bell and wakes all) clears it, and rings
//! only if it was set.
//!
//! # Invariants
//!
//! 1. **The outcome is the cycle's.** A generation ends in one of two ways: it completes, or it is
//!    broken and all its members leave before the generation changes. So a member that sees another
//!    generation has succeeded, and a member that sees `BROKEN` or `DRAINING` in its own generation
//!    has not. No later event can change that.
//! 2. **Lockstep.** Only the last member to arrive completes a generation, after the action
//!    returned.
//! 3. **No waiter is left asleep.** A waiter reads the bell, then the state. It sleeps on the
//!    bell's value only if the state does not end its wait and `SLEEPERS` is set. A thread that
//!    changes the state rings afterwards if `SLEEPERS` was set. So either the waiter saw the
//!    change, or it read the bell before it rang.
//! 4. The last access of a call to the barrier is to ring. The bell is a word of the barrier, and
//!    its value is used, not only its address: like every `&self`, it outlives the call. A waiting
//!    member touches nothing after it saw the end of its cycle.
//!
//! Known limit: a member that does not run for exactly 2^32 completed cycles, or for exactly 2^32
//! rings between its load of the bell and its sleep, would be misled. At a million a second that is
//! more than an hour without running.
//!
//! # Orderings
//!
//! Release on every arrival, Acquire and Release on the change to the next generation, Acquire on
//! the load that ends a wait: writes of any member before its arrival are visible to every member
//! afterwards, and to the action. All changes of the state are read-modify-writes, which continue
//! the release sequences of the changes before. Release and Acquire on the bell, for invariant 3: a
//! thread that sees the new bell sees the new state.

use core::time::Duration;
use core::{fmt, mem, ptr};
use std::time::Instant;

use crate::primitive::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::primitive::const_new;
use crate::primitive::futex::{self, Channel, Deadline, Word};
use crate::primitive::hint::Spin;
use crate::primitive::steps::{self, Sleep, Step, Steps, Waiting};
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

/// Returns the state in another phase, without sleepers.
const fn into_phase(state: u64, phase: u64) -> u64 {
    (state & !(PHASE | SLEEPERS)) | phase
}

/// Returns the next generation, without members.
const fn turned(state: u64) -> u64 {
    (state & !(GENERATION - 1)).wrapping_add(GENERATION)
}

/// Lets a fixed number of threads wait for each other, again and again: Python's
/// `threading.Barrier`.
///
/// The last thread to arrive may run an action before any thread goes on
/// ([`with_action`](Self::with_action)). A wait that times out breaks the barrier for all threads,
/// because the others wait for a thread that has gone; so does [`abort`](Self::abort).
/// [`reset`](Self::reset) repairs it.
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
/// Everything that a member did before its `wait` happens before the action, and before the return
/// of every member's `wait`.
///
/// # Source of the algorithm
///
/// A counter with a generation in one word; the state table and the invariants are at the top of
/// `barrier.rs`.
pub struct Barrier<A = NoAction> {
    state: AtomicU64,
    bell: Word,
    parties: u32,
    action: A,
}

/// The action of a barrier when all threads have arrived. Sealed: a closure, no action, or one of
/// the two as [`Timed`].
pub trait Action: Sealed {
    /// Whether there is no action.
    #[doc(hidden)]
    const NOTHING: bool = false;

    #[doc(hidden)]
    fn run(&self);

    /// Returns the time limit of a wait without a time of its own.
    #[doc(hidden)]
    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// Any action: a barrier with it is one type whatever its action is, for a field of a struct.
///
/// ```
/// use sync_core::{AnyAction, Barrier};
///
/// struct Phases {
///     barrier: Barrier<AnyAction>,
/// }
///
/// let action: AnyAction = Box::new(|| println!("a phase ends"));
/// let phases = Phases { barrier: Barrier::new(1).with_action(action) };
/// phases.barrier.wait().unwrap();
/// ```
pub type AnyAction = Box<dyn Fn() + Send + Sync>;

/// The action of a barrier that has none.
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
    /// The highest number of threads that can wait for each other.
    pub const MAX_PARTIES: u32 = (GENERATION / ARRIVAL - 1) as u32;

    const_new! {
        /// Creates a barrier for `parties` threads.
        ///
        /// # Panics
        ///
        /// If `parties` is zero, or more than [`MAX_PARTIES`](Self::MAX_PARTIES). In a constant
        /// this is a compile error.
        #[track_caller]
        pub const fn new(parties: u32) -> Self {
            assert!(parties > 0, "a barrier without parties");
            assert!(parties <= Self::MAX_PARTIES, "more parties than a barrier can count");
            let state = AtomicU64::new(FILLING);
            Self { state, bell: Word(AtomicU32::new(0)), parties, action: NoAction }
        }
    }

    const_new! {
        /// Adds an action, which the last thread to arrive runs before any thread goes on.
        ///
        /// The action may call every method of the barrier but the waits: they would wait for the
        /// action itself. If it panics, the panic continues in the thread that ran it, and the
        /// barrier breaks.
        pub const fn with_action<F: Fn()>(self, action: F) -> Barrier<F> {
            // SAFETY: `self` is forgotten, so that it is moved.
            let state = unsafe { ptr::read(&self.state) };
            // SAFETY: `self` is forgotten, so that the field is moved out once.
            let bell = unsafe { ptr::read(&self.bell) };
            let parties = self.parties;
            mem::forget(self);
            Barrier { state, bell, parties, action }
        }
    }
}

impl<A: Action> Barrier<A> {
    /// Adds a time limit for [`wait`](Self::wait).
    pub fn with_timeout(self, timeout: Duration) -> Barrier<Timed<A>> {
        Barrier {
            state: self.state,
            bell: self.bell,
            parties: self.parties,
            action: Timed { action: self.action, timeout },
        }
    }

    /// Waits until all threads have arrived, for at most the time of
    /// [`with_timeout`](Self::with_timeout), or forever without one.
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
        self.wait_by(self.action.timeout().and_then(Deadline::after))
    }

    /// Like [`wait`](Self::wait), for at most `timeout`. A timeout too long for the clock means
    /// forever.
    ///
    /// If the time is up, the barrier breaks. A thread that could not arrive in that time, because
    /// an action was running or some members had not left after a reset, gives up and breaks
    /// nothing.
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](Self::wait); [`BrokenBarrier::timed_out`] returns whether this call's
    /// time was up.
    ///
    /// # Panics
    ///
    /// Like [`wait`](Self::wait).
    #[doc(alias = "wait_for")]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWaitResult, BrokenBarrier> {
        self.wait_by(Deadline::after(timeout))
    }

    /// The former name of [`wait_timeout`](Self::wait_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_for(&self, timeout: Duration) -> Result<BarrierWaitResult, BrokenBarrier> {
        self.wait_timeout(timeout)
    }

    /// Like [`wait_timeout`](Self::wait_timeout), until `deadline` at most. A deadline in the past
    /// succeeds for the last thread to arrive, and breaks the barrier in any other thread.
    ///
    /// # Errors
    ///
    /// Like [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Panics
    ///
    /// Like [`wait`](Self::wait).
    #[doc(alias = "wait_until")]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<BarrierWaitResult, BrokenBarrier> {
        self.wait_by(Deadline::at(deadline))
    }

    /// The former name of [`wait_deadline`](Self::wait_deadline), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_until(&self, deadline: Instant) -> Result<BarrierWaitResult, BrokenBarrier> {
        self.wait_deadline(deadline)
    }

    /// Waits until all threads and tasks have arrived, as a task. The time limit of
    /// [`with_timeout`](Self::with_timeout) is for threads.
    ///
    /// Cancel-safe: a wait that is dropped leaves the barrier as if it had not arrived, and breaks
    /// nothing; a later member gets its index. If all had arrived already, the cycle completes.
    ///
    /// ```
    /// use sync_core::{Barrier, task::block_on};
    ///
    /// let barrier = Barrier::new(2);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| barrier.wait().unwrap());
    ///     block_on(barrier.wait_async()).unwrap();
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// Like [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// Like [`wait`](Self::wait).
    pub async fn wait_async(&self) -> Result<BarrierWaitResult, BrokenBarrier> {
        loop {
            match self.arrive()? {
                Arrival::Passed(result) => return Ok(result),
                Arrival::Member { mine, index } => {
                    let member = Member { barrier: self, mine };
                    let over = move |state| is_over(state, mine);
                    let state = Waiting::new(self.watching(over)).await;
                    core::mem::forget(member);
                    return self.after_the_cycle(state, mine, index);
                }
                Arrival::Busy => {
                    Waiting::new(self.watching(is_open)).await;
                }
            }
        }
    }

    /// Breaks the barrier: every current and later wait fails, until [`reset`](Self::reset).
    pub fn abort(&self) {
        self.change(|state| match phase(state) {
            BROKEN => None,
            _ => Some(into_phase(state, BROKEN)),
        });
    }

    /// Fails the current waits, and makes the barrier as new for later waits. Without current waits
    /// it only repairs a broken barrier.
    pub fn reset(&self) {
        self.change(|state| match (phase(state), arrivals(state)) {
            (FILLING, 0) | (DRAINING, _) => None,
            (BROKEN, 0) => Some(turned(state)),
            _ => Some(into_phase(state, DRAINING)),
        });
    }

    /// Returns the number of threads that wait for each other.
    pub fn parties(&self) -> u32 {
        self.parties
    }

    /// Returns the number of threads that wait at this moment; 0 while the barrier is broken, being
    /// reset, or full.
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> u32 {
        // Relaxed: a snapshot; no data is read because of it.
        let state = self.state.load(Relaxed);
        if phase(state) == FILLING { arrivals(state) } else { 0 }
    }

    /// Returns whether the barrier is broken.
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        // Relaxed: a snapshot; no data is read because of it.
        phase(self.state.load(Relaxed)) == BROKEN
    }

    /// Makes the barrier as new, without waiters: for the child of a `fork`, where the threads that
    /// waited do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the barrier.
    pub unsafe fn reinit_after_fork(&self) {
        // Relaxed: no other thread uses it (the caller's promise).
        self.state.store(FILLING, Relaxed);
    }

    fn wait_by(&self, deadline: Option<Deadline>) -> Result<BarrierWaitResult, BrokenBarrier> {
        loop {
            match self.arrive()? {
                Arrival::Passed(result) => return Ok(result),
                Arrival::Member { mine, index } => {
                    return self.wait_for_the_rest(mine, index, deadline);
                }
                Arrival::Busy => {
                    if steps::run(self.watching(is_open), deadline).is_none() {
                        return Err(BrokenBarrier { timed_out: true });
                    }
                }
            }
        }
    }

    /// Arrives, if the barrier lets members arrive. The last member runs the action and completes
    /// the cycle.
    #[inline]
    fn arrive(&self) -> Result<Arrival, BrokenBarrier> {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        loop {
            match phase(state) {
                FILLING => {
                    let index = arrivals(state);
                    let last = index + 1 == self.parties;
                    let next = match last {
                        true if A::NOTHING => turned(state),
                        // Sleepers sleep on: this change is not the end of their wait, so
                        // `SLEEPERS` stays.
                        true => (into_phase(state, ACTING) + ARRIVAL) | (state & SLEEPERS),
                        false => state + ARRIVAL,
                    };
                    // Release: publishes this member's writes to the other members. Acquire: the
                    // last member must see the writes of all others.
                    if let Err(seen) = self.state.compare_exchange(state, next, AcqRel, Relaxed) {
                        state = seen;
                        continue;
                    }
                    if !last {
                        return Ok(Arrival::Member { mine: generation(state), index });
                    }
                    if A::NOTHING {
                        self.ring_after(state);
                    } else {
                        self.act()?;
                    }
                    return Ok(Arrival::Passed(BarrierWaitResult { index, leader: true }));
                }
                BROKEN => return Err(BrokenBarrier { timed_out: false }),
                // Full, or being emptied: the caller joins the next generation.
                _ => return Ok(Arrival::Busy),
            }
        }
    }

    /// Runs the action and starts the next generation, unless another thread broke the barrier
    /// meanwhile.
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
        let over = move |state| is_over(state, mine);
        let timed_out = match steps::run(self.watching(over), deadline) {
            Some(state) => return self.after_the_cycle(state, mine, index),
            None => {
                let mut broke = false;
                let left = self.change(|state| {
                    broke = matches!(phase(state), FILLING | ACTING);
                    match generation(state) == mine {
                        // The cycle completed at the last moment.
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

    /// Returns the outcome of a cycle that was seen to be over, and leaves it if it is broken.
    fn after_the_cycle(
        &self,
        state: u64,
        mine: u64,
        index: u32,
    ) -> Result<BarrierWaitResult, BrokenBarrier> {
        // Invariant 1: another generation is a success.
        if generation(state) != mine {
            return Ok(BarrierWaitResult { index, leader: false });
        }
        self.leave();
        Err(BrokenBarrier { timed_out: false })
    }

    /// Leaves a broken cycle, as one of its members.
    fn leave(&self) {
        self.change(|state| Some(without_one(state)));
    }

    /// Breaks the cycle, if no other thread has, and leaves it. Called by the member that runs the
    /// action.
    fn break_and_leave(&self) {
        self.change(|state| match phase(state) {
            ACTING => Some(into_phase(state, BROKEN) - ARRIVAL),
            _ => Some(without_one(state)),
        });
    }

    /// Changes the state to the result of `next` and rings for the sleepers. Returns `false` if
    /// `next` returns that there is nothing to change.
    fn change(&self, mut next: impl FnMut(u64) -> Option<u64>) -> bool {
        // Acquire: pairs with the Release of the change. A thread that observes here that its cycle
        // has completed must see the writes of its members.
        let mut state = self.state.load(Acquire);
        while let Some(changed) = next(state) {
            // Release: a change of generation publishes this thread's writes. It publishes the
            // writes of the other members because it continues their release sequences, for which
            // this thread need not see these writes. A thread that makes the change is promised
            // nothing, hence no Acquire on success. A thread that observes that there is nothing to
            // change has succeeded, hence Acquire on failure and on the first load.
            match self.state.compare_exchange(state, changed, Release, Acquire) {
                Ok(_) => {
                    // A member that leaves a broken barrier keeps `SLEEPERS`: the thread that
                    // starts the next generation rings.
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

    /// Wakes the threads that slept in the state that this thread has just changed.
    #[inline]
    fn ring_after(&self, before: u64) {
        if before & SLEEPERS != 0 {
            // Release: pairs with the Acquire in `Watching` (invariant 3).
            self.bell.0.fetch_add(1, Release);
            futex::wake_all(&raw const self.bell.0);
        }
    }

    /// Returns a wait for a state of which `over` is true, for a thread or a task.
    fn watching<F: Fn(u64) -> bool>(&self, over: F) -> Watching<'_, A, F> {
        Watching { barrier: self, over, slept: false }
    }
}

/// The result of an arrival.
enum Arrival {
    /// The caller was the last member, and the cycle has completed.
    Passed(BarrierWaitResult),
    /// The caller is a member, and waits for the others.
    Member { mine: u64, index: u32 },
    /// No member can arrive at this moment.
    Busy,
}

/// Returns whether members may arrive, or never will.
fn is_open(state: u64) -> bool {
    matches!(phase(state), FILLING | BROKEN)
}

/// Returns whether the cycle of the generation `mine` is over.
fn is_over(state: u64, mine: u64) -> bool {
    generation(state) != mine || matches!(phase(state), BROKEN | DRAINING)
}

/// A wait for a state of which `over` is true.
struct Watching<'a, A, F> {
    barrier: &'a Barrier<A>,
    over: F,
    slept: bool,
}

impl<'a, A, F: Fn(u64) -> bool> Steps<'a> for Watching<'a, A, F> {
    type Output = u64;

    fn as_task(&mut self) {
        // No spin.
        self.slept = true;
    }

    fn step(&mut self, _: bool) -> Step<'a, u64> {
        let Barrier { state: word, bell: Word(bell), .. } = self.barrier;
        let mut spin = Spin::new();
        while !self.slept {
            // Acquire: pairs with the Release of the change that ends the wait.
            let state = word.load(Acquire);
            if (self.over)(state) {
                return Step::Done(state);
            }
            self.slept = !spin.turn();
        }
        loop {
            // Acquire: pairs with the Release in `ring_after`; the state that is read next is no
            // older than the bell (invariant 3).
            let expected = bell.load(Acquire);
            // Acquire: as for the first load: pairs with the Release of the change that ends the
            // wait.
            let state = word.load(Acquire);
            if (self.over)(state) {
                return Step::Done(state);
            }
            // Relaxed: the announcement publishes nothing, and it continues the release sequences.
            if state & SLEEPERS == 0
                && word.compare_exchange(state, state | SLEEPERS, Relaxed, Relaxed).is_err()
            {
                continue;
            }
            let channel = Channel::ALL;
            return Step::Sleep(Sleep { word: bell, expected, channel, limit: None });
        }
    }

    fn leave(&mut self) -> Option<u64> {
        // Acquire: as for the first load: pairs with the Release of the change that ends the wait.
        let state = self.barrier.state.load(Acquire);
        (self.over)(state).then_some(state)
    }

    fn undo(&mut self, _: u64) {}
}

/// A member that waits as a task. Its drop takes the member out of its cycle.
struct Member<'a, A: Action> {
    barrier: &'a Barrier<A>,
    mine: u64,
}

impl<A: Action> Drop for Member<'_, A> {
    fn drop(&mut self) {
        self.barrier.change(|state| match phase(state) {
            // The cycle completed at the last moment.
            _ if generation(state) != self.mine => None,
            // While the action runs the number of members is not used, unless the cycle breaks.
            FILLING | ACTING => Some(state - ARRIVAL),
            _ => Some(without_one(state)),
        });
    }
}

/// Returns the state after a member of a broken cycle has left.
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

/// The place of a thread among the threads that passed the barrier together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    index: u32,
    leader: bool,
}

impl BarrierWaitResult {
    /// Returns the position of this thread in the order of arrival in its cycle, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Returns whether this thread arrived last, and ran the action.
    pub fn is_leader(&self) -> bool {
        self.leader
    }
}

/// The error of a wait: the barrier is broken, or was reset while this thread waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrier {
    timed_out: bool,
}

impl BrokenBarrier {
    /// Returns whether this call's own time was up.
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

    /// Generations are compared for equality only, so the counter may wrap around.
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
