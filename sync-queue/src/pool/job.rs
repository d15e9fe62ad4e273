//! One job: its closure, then its result, and the word that says which.
//!
//! # State
//!
//! | phase | the slot holds | who may touch it |
//! |---|---|---|
//! | `PENDING` | the closure | who changes the phase |
//! | `RUNNING` | nothing | who made it `RUNNING` |
//! | `CANCELLED`, then `NOTIFIED` | the closure until it is dropped | who made it `CANCELLED` |
//! | `RETURNED`, `PANICKED`, `BROKEN` | the result | the handle; if that was gone before (`DETACHED`), who finished |
//!
//! Above the phase three flags: `SLEEPERS` (somebody may sleep on the word; legal to be set in
//! vain, never taken back), `LISTENERS` (the list is not empty), `DETACHED` (the handle is gone).
//!
//! # Invariants
//!
//! P1. The phase leaves `PENDING` once, by a compare-exchange; whoever did it has the slot. P2. It
//! leaves `RUNNING` once, by an addition of its owner, which finds out in the same step who has to
//! be told. P3. From then on the slot is the handle's, or, if `DETACHED` was set before, the
//! finisher's, who empties it.
//!
//! # Memory orderings
//!
//! The phase is changed with Release and read with Acquire: what the closure did, or who cancelled
//! it had done before, happens before whatever follows a look that finds the job done. A change of
//! it acquires nothing: the closure came with the job, through the queue or the handle, and what
//! the flags stand for is found through the list's lock or is a futex. But who changes `CANCELLED`
//! into `NOTIFIED` has found the job done, and calls who listens. All changes are
//! read-modify-writes, hence in one order, and continue the release sequences of those before them.

use core::any::Any;
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sync_core::Mutex;
use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use sync_core::primitive::cell::UnsafeCell;
use sync_core::primitive::futex::{self, Deadline};
use sync_core::primitive::thread;

use crate::pool::error::JobError;
use crate::queue::simple::SimpleQueue;

pub(super) const PENDING: u32 = 0;
pub(super) const RUNNING: u32 = 1;
pub(super) const CANCELLED: u32 = 2;
pub(super) const NOTIFIED: u32 = 3;
pub(super) const RETURNED: u32 = 4;
pub(super) const PANICKED: u32 = 5;
pub(super) const BROKEN: u32 = 6;
pub(super) const PHASE: u32 = 7;
const SLEEPERS: u32 = 8;
const LISTENERS: u32 = 16;
const DETACHED: u32 = 32;

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Nobody has begun it.
    Pending,
    /// A worker runs it.
    Running,
    /// It was cancelled before anybody began it.
    Cancelled,
    /// It has a result.
    Returned,
    /// It panicked.
    Panicked,
    /// It was never run: the initializer of a worker panicked.
    Broken,
}

/// Somebody who wants to know.
pub(super) enum Listener {
    /// `on_done`: called when the job is done or cancelled.
    Callback(Box<dyn FnOnce(JobStatus) + Send>),
    /// `wait`, `as_completed`: the number is put into the queue when the job is done, or a worker
    /// has met a cancelled one.
    Bell(Arc<SimpleQueue<usize>>, usize),
}

/// What does not depend on the types of closure and result.
pub(super) struct Core {
    state: AtomicU32,
    /// The number of the thread that runs the job.
    runner: AtomicU64,
    /// The pool's number.
    pub(super) pool: u64,
    listeners: Mutex<Vec<Listener>>,
}

impl Core {
    pub(super) fn phase(&self) -> u32 {
        // Acquire: pairs with the Release in `finish` and `leave_pending`.
        self.state.load(Ordering::Acquire) & PHASE
    }

    /// Whether the calling thread is the one that runs the job.
    pub(super) fn runs_here(&self) -> bool {
        // Relaxed: only a thread that wrote its own number can find it.
        self.phase() == RUNNING && self.runner.load(Ordering::Relaxed) == thread::id().get()
    }

    /// Leaves `PENDING` for `phase` (P1).
    fn leave_pending(&self, phase: u32) -> Option<u32> {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & PHASE == PENDING {
            // Release: who finds the job cancelled sees what came before that. See "Memory
            // orderings".
            match self.state.compare_exchange_weak(
                state,
                state | phase,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(state),
                Err(now) => state = now,
            }
        }
        None
    }

    /// Leaves `RUNNING` for `phase` (P2).
    fn finish(&self, phase: u32) -> u32 {
        // Release: pairs with the Acquire of whoever finds the job done. An addition keeps the
        // flags that are set meanwhile.
        self.state.fetch_add(phase - RUNNING, Ordering::Release)
    }

    /// Wakes those who sleep, calls those who listen. `was`: the state that was left.
    fn tell(&self, was: u32, phase: u32) {
        if was & SLEEPERS != 0 {
            futex::wake_all(&raw const self.state);
        }
        if was & LISTENERS != 0 {
            self.call(phase);
        }
    }

    #[cold]
    fn call(&self, phase: u32) {
        let ripe = {
            let mut all = self.listeners.lock();
            // Bells wait for a worker to meet a cancelled job.
            let (keep, ripe) = all
                .drain(..)
                .partition(|listener| phase == CANCELLED && matches!(listener, Listener::Bell(..)));
            *all = keep;
            ripe
        };
        Self::call_all(ripe, phase);
    }

    fn call_all(ripe: Vec<Listener>, phase: u32) {
        for listener in ripe {
            match listener {
                // Its panic is nobody's business here: the hook has reported it, and the others are
                // to be called too.
                Listener::Callback(f) => drop(catch_unwind(AssertUnwindSafe(|| f(status(phase))))),
                Listener::Bell(queue, number) => queue.put(number),
            }
        }
    }

    /// Adds a listener, or calls it if what it waits for has happened.
    pub(super) fn listen(&self, listener: Listener) {
        let done: fn(u32) -> bool = match listener {
            Listener::Callback(_) => is_done,
            Listener::Bell(..) => is_settled,
        };
        let mut all = self.listeners.lock();
        // Either who finishes finds the flag, and this entry once it gets the lock; or its phase is
        // found here. Acquire: pairs with the Release in `finish`: what is called here sees what
        // the job did.
        let phase = self.state.fetch_or(LISTENERS, Ordering::Acquire) & PHASE;
        if done(phase) {
            drop(all);
            Self::call_all(vec![listener], phase);
        } else {
            all.push(listener);
        }
    }

    /// Sleeps until the job is done, or `false`: the time is up.
    pub(super) fn wait(&self, deadline: Option<Deadline>) -> bool {
        loop {
            // Acquire: as in `phase`.
            let state = self.state.load(Ordering::Acquire);
            if is_done(state & PHASE) {
                return true;
            }
            // Relaxed: the flag is found by the read-modify-write that finishes the job, in
            // whatever order.
            if state & SLEEPERS == 0
                && self
                    .state
                    .compare_exchange(state, state | SLEEPERS, Ordering::Relaxed, Ordering::Relaxed)
                    .is_err()
            {
                continue;
            }
            if !futex::wait_maybe(&self.state, state | SLEEPERS, deadline) {
                return is_done(self.phase());
            }
        }
    }
}

/// As `is_done` of Python's futures: a cancelled job counts.
pub(super) fn is_done(phase: u32) -> bool {
    phase >= CANCELLED
}

/// As `wait` of Python's futures: a cancelled job counts once a worker has met it.
pub(super) fn is_settled(phase: u32) -> bool {
    phase >= NOTIFIED
}

pub(super) fn status(phase: u32) -> JobStatus {
    match phase {
        PENDING => JobStatus::Pending,
        RUNNING => JobStatus::Running,
        CANCELLED | NOTIFIED => JobStatus::Cancelled,
        RETURNED => JobStatus::Returned,
        PANICKED => JobStatus::Panicked,
        _ => JobStatus::Broken,
    }
}

enum Slot<F, R> {
    Job(F),
    Empty,
    Returned(R),
    Panicked(Box<dyn Any + Send>),
}

pub(super) struct Job<F, R> {
    core: Core,
    slot: UnsafeCell<Slot<F, R>>,
}

// SAFETY: the slot is touched by one thread at a time (P1-P3), to which closure and result are
// handed over; the rest is Sync.
unsafe impl<F: Send, R: Send> Send for Job<F, R> {}
// SAFETY: as above.
unsafe impl<F: Send, R: Send> Sync for Job<F, R> {}

/// A job, as the workers see it.
pub(super) trait Run: Send + Sync {
    /// Runs the job unless that was done or cancelled. `before_telling` is called when the closure
    /// has ended and before anybody knows.
    fn run(&self, before_telling: &dyn Fn());

    /// Gives the job up.
    fn cancel(&self) -> bool;

    /// Says to those who `wait` that a cancelled job will not come back.
    fn notify_cancelled(&self);

    /// Ends the job without running it: its pool is broken.
    fn fail(&self);
}

/// A job, as its handle sees it.
pub(super) trait Outcome<R>: Run {
    fn core(&self) -> &Core;

    /// The result of a job that is done.
    fn take(&self) -> Result<R, JobError>;

    /// The handle goes away.
    fn detach(&self);
}

impl<F, R> Job<F, R> {
    pub(super) fn new(pool: u64, job: F) -> Self {
        let core = Core {
            state: AtomicU32::new(PENDING),
            runner: AtomicU64::new(0),
            pool,
            listeners: Mutex::new(Vec::new()),
        };
        Self { core, slot: UnsafeCell::new(Slot::Job(job)) }
    }

    /// # Safety
    ///
    /// The slot is the caller's (P1-P3).
    unsafe fn replace(&self, new: Slot<F, R>) -> Slot<F, R> {
        // SAFETY: as the caller says.
        self.slot.with_mut(|slot| unsafe { core::mem::replace(&mut *slot, new) })
    }

    /// Takes the closure back, if nobody has begun it.
    pub(super) fn take_back(&self) -> Option<F> {
        self.core.leave_pending(NOTIFIED)?;
        // SAFETY: the phase left PENDING here (P1).
        match unsafe { self.replace(Slot::Empty) } {
            Slot::Job(job) => Some(job),
            _ => None,
        }
    }
}

impl<F, R> Run for Job<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn run(&self, before_telling: &dyn Fn()) {
        if self.core.leave_pending(RUNNING).is_none() {
            before_telling();
            self.notify_cancelled();
            return;
        }
        // Relaxed: see `runs_here`.
        self.core.runner.store(thread::id().get(), Ordering::Relaxed);
        // SAFETY: the phase left PENDING here (P1).
        let Slot::Job(job) = (unsafe { self.replace(Slot::Empty) }) else { return };
        let (result, phase) = match catch_unwind(AssertUnwindSafe(job)) {
            Ok(result) => (Slot::Returned(result), RETURNED),
            Err(payload) => (Slot::Panicked(payload), PANICKED),
        };
        before_telling();
        // SAFETY: the phase is RUNNING, by this thread (P2).
        let _ = unsafe { self.replace(result) };
        let was = self.core.finish(phase);
        if was & DETACHED != 0 {
            // SAFETY: the handle is gone (P3).
            drop(unsafe { self.replace(Slot::Empty) });
        }
        self.core.tell(was, phase);
    }

    fn cancel(&self) -> bool {
        let Some(was) = self.core.leave_pending(CANCELLED) else {
            return matches!(self.core.phase(), CANCELLED | NOTIFIED);
        };
        // SAFETY: the phase left PENDING here (P1).
        drop(unsafe { self.replace(Slot::Empty) });
        self.core.tell(was, CANCELLED);
        true
    }

    fn notify_cancelled(&self) {
        let mut state = self.core.state.load(Ordering::Relaxed);
        while state & PHASE == CANCELLED {
            // Acquire: what is called from here sees what came before the cancelling. Nothing is
            // handed over, and what came before the cancelling stays released.
            match self.core.state.compare_exchange_weak(
                state,
                state + (NOTIFIED - CANCELLED),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return self.core.tell(state, NOTIFIED),
                Err(now) => state = now,
            }
        }
    }

    fn fail(&self) {
        match self.core.leave_pending(BROKEN) {
            Some(was) => {
                // SAFETY: the phase left PENDING here (P1).
                drop(unsafe { self.replace(Slot::Empty) });
                self.core.tell(was, BROKEN);
            }
            None => self.notify_cancelled(),
        }
    }
}

impl<F, R> Outcome<R> for Job<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn core(&self) -> &Core {
        &self.core
    }

    fn take(&self) -> Result<R, JobError> {
        match self.core.phase() {
            CANCELLED | NOTIFIED => Err(JobError::Cancelled),
            BROKEN => Err(JobError::Broken),
            // SAFETY: the job is finished and its handle, of which there is one, is the caller
            // (P3).
            _ => match unsafe { self.replace(Slot::Empty) } {
                Slot::Returned(result) => Ok(result),
                Slot::Panicked(payload) => Err(JobError::Panicked(payload)),
                Slot::Job(_) | Slot::Empty => Err(JobError::Cancelled),
            },
        }
    }

    fn detach(&self) {
        // Either the finisher finds the flag and empties the slot, which the handle then has not
        // touched; or it is this thread's. Acquire: pairs with the Release in `finish`: the result
        // is there.
        let was = self.core.state.fetch_or(DETACHED, Ordering::Acquire);
        if matches!(was & PHASE, RETURNED | PANICKED) {
            // SAFETY: as in `take` (P3).
            drop(unsafe { self.replace(Slot::Empty) });
        }
    }
}

/// A job without a handle: nobody asks for it, so there is nothing but the closure. Whoever takes
/// it out of the queue has it alone.
pub(super) struct Bare<F>(UnsafeCell<Option<F>>);

// SAFETY: the closure is touched by one thread at a time: by who put the job together, then by who
// took it out of the queue, to whom the queue hands it over.
unsafe impl<F: Send> Send for Bare<F> {}
// SAFETY: as above.
unsafe impl<F: Send> Sync for Bare<F> {}

impl<F> Bare<F> {
    pub(super) fn new(job: F) -> Self {
        Self(UnsafeCell::new(Some(job)))
    }

    /// # Safety
    ///
    /// The job is in no queue, and the caller is the one who took it out or did not put it in.
    pub(super) unsafe fn take(&self) -> Option<F> {
        // SAFETY: as the caller says.
        self.0.with_mut(|job| unsafe { (*job).take() })
    }
}

impl<F: FnOnce() + Send> Run for Bare<F> {
    fn run(&self, before_telling: &dyn Fn()) {
        // SAFETY: who runs a job has taken it out of the queue.
        if let Some(job) = unsafe { self.take() } {
            // The hook has reported a panic; there is nobody else to be told.
            drop(catch_unwind(AssertUnwindSafe(job)));
        }
        before_telling();
    }

    fn cancel(&self) -> bool {
        // SAFETY: as in `run`.
        drop(unsafe { self.take() });
        true
    }

    fn notify_cancelled(&self) {}

    fn fail(&self) {
        self.cancel();
    }
}

impl<F, R> fmt::Debug for Job<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", status(self.core.phase()))
    }
}
