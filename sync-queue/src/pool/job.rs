//! One job: its closure, then its result, and the word that records which of them it holds.
//!
//! # State
//!
//! | phase | the slot holds | the thread that may touch it |
//! |---|---|---|
//! | `PENDING` | the closure | the one that changes the phase |
//! | `RUNNING` | nothing | the one that made it `RUNNING` |
//! | `CANCELLED`, then `NOTIFIED` | the closure until it is taken out | the one that made it `CANCELLED` |
//! | `BROKEN`, `LAPSED` | the same | the one that made it so |
//! | `RETURNED`, `PANICKED` | the result | the handle's owner; after `DETACHED`, see P3 |
//!
//! Above the phase there are flags:
//!
//! | flag | meaning |
//! |---|---|
//! | `SLEEPERS` | a thread may sleep on the word; may be stale, never cleared |
//! | `LISTENERS` | the list may hold listeners; may be stale, never cleared |
//! | `CALLBACKS` | one of them is a callback of the user's; may be stale, never cleared |
//! | `DETACHED` | the handle is gone |
//! | `ENDING` | set while `RUNNING`: the closure has ended, and only library code lies between this and the end of the phase |
//!
//! # Invariants
//!
//! P1. The phase leaves `PENDING` once, by a compare-exchange. The thread that succeeds owns the
//! slot. The closure in it carries the job's place in a limited backlog, which is free again when
//! the closure is taken out: by a worker, by a thread that helps, or by one that cancels.
//!
//! P2. The phase leaves `RUNNING` once, by an addition of the slot's owner. The same step returns
//! to the owner whether threads sleep or listen.
//!
//! P3. After `RUNNING` the slot belongs to the handle. If `DETACHED` was set before `ENDING` (or
//! before the end of the phase, where no `ENDING` is set), it belongs to the thread that ended the
//! phase, which empties it. A handle that goes between `ENDING` and the end of the phase waits for
//! the end and empties the slot itself.
//!
//! P4. No user code runs between `ENDING` and the end of the phase. So a worker knows at `ENDING`
//! whether user code is left for it to run: if not, it counts itself free before any thread can
//! learn that the job is done; if so (a callback, the drop of a detached result), it counts itself
//! free after that code. A callback that is added between the two is called by the thread that adds
//! it.
//!
//! P5. State changes and wake-ups come before user code, and user code runs through
//! [`user_code`]: a callback, a closure or a result that panics when it is called or dropped skips
//! nothing. Where many jobs end at once (a shutdown, a broken pool), all of them are settled before
//! user code of any of them runs: a callback of one may wait for another.
//!
//! P6. The thread that ends a job calls the callbacks that were added before the end. A thread that
//! changes `CANCELLED` into `NOTIFIED` reports to waits for several jobs and calls nothing.
//!
//! # Memory orderings
//!
//! The phase is changed with Release and read with Acquire: what the closure did, or what the
//! cancelling thread had done before, happens before whatever follows a look that finds the job
//! done. A change of it acquires nothing: the closure came with the job, through the queue or the
//! handle, and what the flags stand for is found through the list's lock or is a futex. But the
//! thread that changes `CANCELLED` into `NOTIFIED` has found the job done, and calls listeners. All
//! changes are read-modify-writes, hence in one order, and continue the release sequences of those
//! before them.

use core::any::Any;
use core::fmt;
use core::pin::Pin;
use core::task::Waker;
use std::sync::Arc;
use std::time::Instant;

use sync_core::Mutex;
use sync_core::fork::ProcessMark;
use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use sync_core::primitive::cell::UnsafeCell;
use sync_core::primitive::futex::task::Waiter;
use sync_core::primitive::futex::{self, Channel, Deadline};
use sync_core::primitive::sync::Arc as ModelledArc;
use sync_core::primitive::thread;
use sync_core::user_code::{self, Payload};

use crate::pool::error::JobError;
use crate::pool::queued::{BacklogPlace, CountFree, Queued, Run};
use crate::queue::simple::SimpleQueue;
use crate::wait::spin::Backoff;

pub(super) const PENDING: u32 = 0;
pub(super) const RUNNING: u32 = 1;
pub(super) const CANCELLED: u32 = 2;
pub(super) const NOTIFIED: u32 = 3;
pub(super) const RETURNED: u32 = 4;
pub(super) const PANICKED: u32 = 5;
pub(super) const BROKEN: u32 = 6;
pub(super) const LAPSED: u32 = 7;
const PHASE: u32 = 7;
const SLEEPERS: u32 = 8;
const LISTENERS: u32 = 16;
const CALLBACKS: u32 = 32;
const DETACHED: u32 = 64;
const ENDING: u32 = 128;

/// The progress of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// No thread has begun it.
    Pending,
    /// A worker runs it.
    Running,
    /// It was cancelled before a thread began it.
    Cancelled,
    /// It has a result.
    Returned,
    /// It panicked.
    Panicked,
    /// It was never run: the initializer of a worker panicked.
    Broken,
    /// It was never run: it waited longer than it was submitted for.
    Lapsed,
}

/// The queue that a wait for several jobs listens on: the number of each job that is settled.
///
/// A checker sees this count: the thread that drops the last reference, the waiting one or the one
/// that ends a job, drops the queue, which is a part of what the models explore.
pub(super) type Settled = ModelledArc<SimpleQueue<usize>>;

/// A callback to call, or a queue to put a number into, when a job is over.
enum Listener {
    /// `on_done`: called when the job is done or cancelled.
    Callback(Box<dyn FnOnce(JobStatus) + Send>),
    /// `wait`, `as_completed`: the number is put into the queue when the job is done, or when a
    /// worker has taken a cancelled job.
    Settled(Settled, usize),
}

/// The part of a job that does not depend on the types of closure and result.
pub(super) struct Core {
    state: AtomicU32,
    /// The number of the thread that runs the job.
    runner: AtomicU64,
    /// The pool's number.
    pub(super) pool: u64,
    /// The process that the job was submitted in.
    process: ProcessMark,
    /// No thread begins the job after this.
    lapses: Option<Instant>,
    listeners: Mutex<Vec<Listener>>,
}

impl Core {
    pub(super) fn phase(&self) -> u32 {
        // Acquire: pairs with the Release in `finish` and `leave_pending`.
        self.state.load(Ordering::Acquire) & PHASE
    }

    /// Returns whether the calling thread runs the job.
    pub(super) fn runs_here(&self) -> bool {
        // Relaxed: only a thread that wrote its own number can find it.
        self.phase() == RUNNING && self.runner.load(Ordering::Relaxed) == thread::id().get()
    }

    /// Returns whether the job was submitted in this process.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.process.is_current()
    }

    /// Returns whether the threads that could finish the job are in a process that this one was
    /// forked from.
    pub(super) fn is_left_behind(&self) -> bool {
        !self.process.is_current() && !is_done(self.phase())
    }

    /// Leaves `PENDING` for `phase` (P1). Returns the state that was left.
    fn leave_pending(&self, phase: u32) -> Option<u32> {
        // Relaxed: the exchange below compares it.
        let mut state = self.state.load(Ordering::Relaxed);
        while state & PHASE == PENDING {
            // Release: a thread that finds the job cancelled sees what came before that. See
            // "Memory orderings".
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

    /// Leaves `RUNNING` for `phase` (P2). Returns the state that was left.
    fn finish(&self, phase: u32) -> u32 {
        // Release: pairs with the Acquire of the thread that finds the job done. An addition keeps
        // the flags that are set meanwhile.
        self.state.fetch_add(phase - RUNNING, Ordering::Release)
    }

    /// Returns whether it is too late to begin the job.
    fn has_lapsed(&self) -> bool {
        self.lapses.is_some_and(|lapses| Instant::now() >= lapses)
    }

    /// Wakes the threads that sleep, and reports to waits for several jobs; runs no user code.
    /// `was`: the state that was left.
    fn wake_and_report(&self, was: u32) {
        if was & SLEEPERS != 0 {
            futex::wake_all(&raw const self.state);
        }
        // As in `notify`.
        if was & LISTENERS != 0 && self.process.is_current() {
            let mut queues = Vec::new();
            let mut all = self.listeners.lock();
            for listener in core::mem::take(&mut *all) {
                match listener {
                    Listener::Callback(_) => all.push(listener),
                    Listener::Settled(settled, number) => queues.push((settled, number)),
                }
            }
            drop(all);
            for (settled, number) in queues {
                settled.put(number);
            }
        }
    }

    /// Wakes the threads that sleep, then calls the listeners. `was`: the state that was left.
    fn notify(&self, was: u32, phase: u32) {
        if was & SLEEPERS != 0 {
            futex::wake_all(&raw const self.state);
        }
        // In the child of a fork the list's lock may be held by a thread of the parent, and the
        // listeners are the parent's.
        if was & LISTENERS != 0 && self.process.is_current() {
            self.call_listeners(phase);
        }
    }

    #[cold]
    fn call_listeners(&self, phase: u32) {
        let mut callbacks = Vec::new();
        let mut queues = Vec::new();
        {
            let mut all = self.listeners.lock();
            for listener in core::mem::take(&mut *all) {
                match listener {
                    Listener::Callback(f) => callbacks.push(f),
                    // A cancelled job is settled when a worker takes it.
                    Listener::Settled(..) if phase == CANCELLED => all.push(listener),
                    Listener::Settled(settled, number) => queues.push((settled, number)),
                }
            }
        }
        for (settled, number) in queues {
            settled.put(number);
        }
        let mut callbacks = callbacks.into_iter();
        // The process is compared before each call: a callback may fork and return in the child.
        while self.process.is_current() {
            let Some(f) = callbacks.next() else { return };
            // The panic hook reports a panic, and the other callbacks are called too.
            user_code::run_and_forget_panic(|| f(status(phase)));
        }
        // They are the parent's.
        core::mem::forget(callbacks);
    }

    /// Calls `f` once the job is done or cancelled: by the thread that ends it, or here and now.
    pub(super) fn on_done(&self, f: Box<dyn FnOnce(JobStatus) + Send>) {
        if !self.process.is_current() {
            // The list is the parent's. A job that is not done never will be.
            let phase = self.phase();
            if is_done(phase) {
                user_code::run_and_forget_panic(|| f(status(phase)));
            }
            return;
        }
        let mut all = self.listeners.lock();
        // Either the thread that ends the job finds the flags, and this entry once it gets the
        // lock; or the end is found here. Acquire: pairs with the Release in `finish`: a callback
        // that is called here sees what the job did.
        let mut state = self.state.fetch_or(LISTENERS | CALLBACKS, Ordering::Acquire);
        if !is_done(state & PHASE) && state & ENDING == 0 {
            all.push(Listener::Callback(f));
            return;
        }
        drop(all);
        state = self.wait_ended(state);
        user_code::run_and_forget_panic(|| f(status(state & PHASE)));
    }

    /// Puts `number` into `settled` once the job is settled; at once if it is.
    pub(super) fn report_when_settled(&self, settled: &Settled, number: usize) {
        let mut all = self.listeners.lock();
        // Acquire: as in `on_done`.
        let state = self.state.fetch_or(LISTENERS, Ordering::Acquire);
        if is_settled(state & PHASE) {
            settled.put(number);
        } else {
            all.push(Listener::Settled(ModelledArc::clone(settled), number));
        }
    }

    /// Takes `settled` out of the list, if it is still in it.
    pub(super) fn forget(&self, settled: &Settled) {
        // In the child of a fork the lock may be held by a thread of the parent.
        if self.process.is_current() {
            self.listeners.lock().retain(|listener| match listener {
                Listener::Settled(other, _) => !ModelledArc::ptr_eq(other, settled),
                Listener::Callback(_) => true,
            });
        }
    }

    /// Waits for the few instructions between `ENDING` and the end of the phase. Returns the state.
    fn wait_ended(&self, mut state: u32) -> u32 {
        let mut backoff = Backoff::new();
        while !is_done(state & PHASE) {
            backoff.turn();
            // Acquire: as in `phase`.
            state = self.state.load(Ordering::Acquire);
        }
        state
    }

    /// Announces a sleeper. Returns the word to sleep on, or `None` if the job is done.
    fn announce_sleeper(&self) -> Option<u32> {
        loop {
            // Acquire: as in `phase`.
            let state = self.state.load(Ordering::Acquire);
            if is_done(state & PHASE) {
                return None;
            }
            // Relaxed: the flag is found by the read-modify-write that ends the job, in whatever
            // order.
            if state & SLEEPERS != 0
                || self
                    .state
                    .compare_exchange(state, state | SLEEPERS, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
            {
                return Some(state | SLEEPERS);
            }
        }
    }

    /// Registers a task that is woken when the job is done. Returns `false` if the job is done.
    pub(super) fn register(&self, waiter: Pin<&Waiter>, waker: &Waker) -> bool {
        while let Some(state) = self.announce_sleeper() {
            if waiter.start(&self.state, state, Channel::ALL, waker) {
                return true;
            }
        }
        false
    }

    /// Sleeps until the job is done. Returns `false` if the time is up first.
    pub(super) fn wait(&self, deadline: Option<Deadline>) -> bool {
        while let Some(state) = self.announce_sleeper() {
            if !futex::wait_maybe(&self.state, state, deadline) {
                return is_done(self.phase());
            }
        }
        true
    }
}

impl Drop for Core {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.state);
    }
}

/// As `done` of Python's futures: a cancelled job counts.
pub(super) fn is_done(phase: u32) -> bool {
    phase >= CANCELLED
}

/// As `wait` of Python's futures: a cancelled job counts once a worker has taken it.
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
        BROKEN => JobStatus::Broken,
        LAPSED => JobStatus::Lapsed,
        _ => unreachable!("no job has phase {phase}"),
    }
}

enum Slot<F, R> {
    Job(F, Option<BacklogPlace>),
    Empty,
    Ended(Result<R, Payload>),
}

/// A job with a handle.
pub(super) struct Job<F, R> {
    core: Core,
    slot: UnsafeCell<Slot<F, R>>,
}

// SAFETY: the slot is touched by one thread at a time (P1-P3), to which closure and result are
// handed over; the rest is Sync.
unsafe impl<F: Send, R: Send> Send for Job<F, R> {}
// SAFETY: the slot is touched by one thread at a time (P1-P3); the rest is Sync.
unsafe impl<F: Send, R: Send> Sync for Job<F, R> {}

/// The payload that ends, in the child of a fork, a job that its poll has forked.
pub(super) struct LeftBehind;

/// A job, as its handle sees it.
trait Outcome<R>: Send + Sync {
    fn core(&self) -> &Core;

    /// Runs the job here if it is pending.
    fn run_here(&self);

    /// The job, without the type of its result.
    fn untyped(self: Arc<Self>) -> Arc<dyn RunHere>;

    fn cancel(&self) -> bool;

    fn notify_cancelled(&self);

    /// The result of a job that is done; `None` if it was taken before.
    ///
    /// # Safety
    ///
    /// The job is `RETURNED` or `PANICKED`, and its slot is the caller's (P3).
    unsafe fn take(&self) -> Option<Result<R, Payload>>;
}

/// A job that a thread may run on behalf of its owner.
pub(super) trait RunHere: Send + Sync {
    /// Runs the job here if it is pending.
    fn run_here(&self);
}

/// The one handle of a job. Its result is this owner's.
pub(super) struct Owner<R>(Arc<dyn Outcome<R>>);

impl<R> Owner<R> {
    pub(super) fn core(&self) -> &Core {
        self.0.core()
    }

    pub(super) fn cancel(&self) -> bool {
        self.0.cancel()
    }

    /// Runs the job in the calling thread if it is pending.
    pub(super) fn run_here(&self) {
        self.0.run_here();
    }

    /// The job, for another thread to run.
    pub(super) fn to_run_elsewhere(&self) -> Arc<dyn RunHere> {
        Arc::clone(&self.0).untyped()
    }

    /// Reports to the threads that `wait` that a cancelled job will not come back.
    pub(super) fn notify_cancelled(&self) {
        self.0.notify_cancelled();
    }

    /// The result, or this owner again if the job is not done.
    pub(super) fn take(self) -> Result<Result<R, JobError>, Self> {
        match self.core().phase() {
            PENDING | RUNNING => Err(self),
            CANCELLED | NOTIFIED => Ok(Err(JobError::Cancelled)),
            BROKEN => Ok(Err(JobError::Broken)),
            LAPSED => Ok(Err(JobError::Lapsed)),
            // SAFETY: the job is finished, and this is its one owner (P3).
            _ => match unsafe { self.0.take() } {
                Some(Ok(result)) => Ok(Ok(result)),
                Some(Err(payload)) if payload.is::<LeftBehind>() => Ok(Err(JobError::Forked)),
                Some(Err(payload)) => Ok(Err(JobError::Panicked(payload))),
                None => unreachable!("P3: the result stays until the handle's owner takes it"),
            },
        }
    }
}

impl<R> Drop for Owner<R> {
    fn drop(&mut self) {
        let core = self.core();
        let mut phase = core.phase();
        if !is_done(phase) {
            // Either the thread that ends the job finds the flag in time and empties the slot, or
            // it is this thread's (P3). Acquire: pairs with the Release in `finish`.
            let was = core.state.fetch_or(DETACHED, Ordering::Acquire);
            if !is_done(was & PHASE) && was & ENDING == 0 {
                return;
            }
            // The child of a fork does not wait for a thread of its parent.
            if core.is_left_behind() {
                return;
            }
            phase = core.wait_ended(was) & PHASE;
        }
        if matches!(phase, RETURNED | PANICKED) {
            // SAFETY: the job is finished, and this was its one owner (P3).
            user_code::dispose(unsafe { self.0.take() });
        }
    }
}

impl<F, R> Job<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    /// A job, and its one entry for the backlog.
    pub(super) fn new(
        (pool, process): (u64, ProcessMark),
        job: F,
        place: Option<BacklogPlace>,
        lapses: Option<Instant>,
    ) -> (Arc<Self>, Queued) {
        let core = Core {
            state: AtomicU32::new(PENDING),
            runner: AtomicU64::new(0),
            pool,
            process,
            lapses,
            listeners: Mutex::new(Vec::new()),
        };
        let job = Arc::new(Self { core, slot: UnsafeCell::new(Slot::Job(job, place)) });
        (Arc::clone(&job), Queued { job })
    }

    /// The handle of a job that was accepted.
    ///
    /// # Safety
    ///
    /// Called once for each job.
    pub(super) unsafe fn into_owner(self: Arc<Self>) -> Owner<R> {
        Owner(self)
    }

    /// Takes the closure back, if no thread has begun it.
    pub(super) fn take_back(&self) -> Option<F> {
        self.core.leave_pending(NOTIFIED)?;
        // SAFETY: the phase left PENDING here (P1).
        Some(unsafe { self.take_closure() })
    }

    /// # Safety
    ///
    /// The slot is the caller's (P1-P3).
    unsafe fn replace(&self, new: Slot<F, R>) -> Slot<F, R> {
        // SAFETY: the caller promises it (`# Safety`).
        self.slot.with_mut(|slot| unsafe { core::mem::replace(&mut *slot, new) })
    }

    /// # Safety
    ///
    /// The caller made the phase leave PENDING, and takes the closure for the first time (P1).
    unsafe fn take_closure(&self) -> F {
        // SAFETY: the caller promises it (`# Safety`).
        match unsafe { self.replace(Slot::Empty) } {
            Slot::Job(job, place) => {
                drop(place);
                job
            }
            Slot::Empty | Slot::Ended(_) => {
                unreachable!("P1: the slot of a pending job holds the closure")
            }
        }
    }

    fn run_counted(&self, free: CountFree<'_>) {
        let free = free.unwrap_or(&|| ());
        if self.core.has_lapsed() && self.give_up(LAPSED) {
            free();
            return;
        }
        if self.core.leave_pending(RUNNING).is_none() {
            self.notify_cancelled();
            free();
            return;
        }
        // Relaxed: see `runs_here`.
        self.core.runner.store(thread::id().get(), Ordering::Relaxed);
        // SAFETY: the phase left PENDING here (P1).
        let job = unsafe { self.take_closure() };
        let result = user_code::run(job);
        let phase = if result.is_ok() { RETURNED } else { PANICKED };
        // Relaxed: it hands nothing over. See P4.
        let ending = self.core.state.fetch_or(ENDING, Ordering::Relaxed);
        let user_code_left = ending & (CALLBACKS | DETACHED) != 0;
        if !user_code_left {
            free();
        }
        // SAFETY: the phase is RUNNING, by this thread (P2).
        let _ = unsafe { self.replace(Slot::Ended(result)) };
        let was = self.core.finish(phase);
        let detached = if ending & DETACHED != 0 {
            // SAFETY: the handle went before ENDING (P3).
            unsafe { self.take() }
        } else {
            None
        };
        self.core.notify(was, phase);
        if user_code_left {
            user_code::dispose(detached);
            free();
        }
    }

    /// Ends a pending job in `phase`.
    fn give_up(&self, phase: u32) -> bool {
        let Some(was) = self.core.leave_pending(phase) else { return false };
        // SAFETY: the phase left PENDING here (P1).
        let job = unsafe { self.take_closure() };
        self.core.notify(was, phase);
        user_code::dispose(job);
        true
    }
}

impl<F, R> Run for Job<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    unsafe fn run(&self, free: CountFree<'_>) {
        self.run_counted(free);
    }

    unsafe fn settle(&self, phase: u32) -> Option<u32> {
        let was = self.core.leave_pending(phase);
        match was {
            Some(was) => self.core.wake_and_report(was),
            None => self.notify_cancelled(),
        }
        was
    }

    unsafe fn clean_up(&self, was: u32, phase: u32) {
        // SAFETY: the phase left PENDING in `settle` (P1).
        let job = unsafe { self.take_closure() };
        if was & CALLBACKS != 0 && self.core.process.is_current() {
            self.core.call_listeners(phase);
        }
        user_code::dispose(job);
    }

    fn closure(&mut self) -> Option<Box<dyn Any>> {
        None
    }
}

impl<F, R> Outcome<R> for Job<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    fn core(&self) -> &Core {
        &self.core
    }

    fn run_here(&self) {
        if self.core.phase() == PENDING {
            self.run_counted(None);
        }
    }

    fn untyped(self: Arc<Self>) -> Arc<dyn RunHere> {
        self
    }

    fn cancel(&self) -> bool {
        self.give_up(CANCELLED) || matches!(self.core.phase(), CANCELLED | NOTIFIED)
    }

    fn notify_cancelled(&self) {
        // Relaxed: the exchange below compares it.
        let mut state = self.core.state.load(Ordering::Relaxed);
        while state & PHASE == CANCELLED {
            // Acquire: a wait that this ends sees what came before the cancelling. Nothing is
            // handed over, and what came before the cancelling stays released.
            match self.core.state.compare_exchange_weak(
                state,
                state + (NOTIFIED - CANCELLED),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return self.core.wake_and_report(state),
                Err(now) => state = now,
            }
        }
    }

    unsafe fn take(&self) -> Option<Result<R, Payload>> {
        // SAFETY: the caller promises it (`# Safety`).
        match unsafe { self.replace(Slot::Empty) } {
            Slot::Ended(result) => Some(result),
            Slot::Empty => None,
            Slot::Job(..) => unreachable!("P2: a finished job's closure was taken out to be run"),
        }
    }
}

impl<F, R> RunHere for Job<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    fn run_here(&self) {
        Outcome::run_here(self);
    }
}

impl<F, R> fmt::Debug for Job<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", status(self.core.phase()))
    }
}
