//! The lock inside [`FairMutex`](crate::FairMutex): threads get it in the order in which they join
//! the queue, which they do after a spin of about 4 us of running time, and each holder hands it to
//! the next.
//!
//! # Source
//!
//! The queue of stack nodes of MCS locks, where each waiter sleeps on a word of its own, with the
//! switch interval of CPython's interpreter lock: a thread that has waited for an interval requests
//! that the holder yields. In CPython the releasing thread waits until the requesting thread has
//! the lock, which failed when the requesting thread was gone (gh-96387, gh-104341, gh-118745).
//! Here the release itself hands the lock over, and no thread waits for an answer.
//!
//! # State
//!
//! | word | meaning |
//! |---|---|
//! | `state` | `LOCKED`: a thread holds it. `QUEUED`: the queue is not empty; set only together with `LOCKED` |
//! | `yield_requested` | 1: the first in the queue has waited for an interval without a change of holder |
//! | `queue_lock` | guards `queue`, for the few instructions of a change to it; no user code and no sleep under it |
//! | a node's `granted` | 1: its thread holds the lock |
//! | `queue.until` | when the first waiter may request a yield: an interval after the holder got the lock, as far as the queue knows |
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `0` | acquire | `L` | |
//! | `L`, `LQ` | acquire | `LQ` | joins the end of the queue, sleeps on its node |
//! | `L` | release | `0` | |
//! | `LQ` | release, yield | `L` or `LQ` | takes the first node off the queue and grants it the lock; a yielding thread joins the end first |
//! | `LQ` | a waiter's time is up | `L` or `LQ` | it removes itself from the queue, and withdraws its request |
//! | `LQ` | its time is up, but it is off the queue already | the same | it waits for the grant, which is on its way, and then holds the lock |
//!
//! # Invariants
//!
//! 1. **Exclusion.** `LOCKED` goes from 0 by an acquirer's compare-and-swap; after that ownership
//!    passes by a grant, from the holder to one node, until a holder observes an empty queue.
//! 2. **A node is alive while it is in the queue, and until it is granted**: its thread leaves only
//!    with a grant, or after it removed itself from the queue under the queue lock. After the grant
//!    only the address of the node is used.
//! 3. **`QUEUED` is set exactly if the queue is not empty**, whenever no thread holds the queue
//!    lock. So a release that reads no `QUEUED` has no waiter to grant to.
//! 4. **A request has a waiter**: `yield_requested` is 1 only while the queue is not empty. Every
//!    hand-over clears it, and so does the first node in the queue when it leaves.
//! 5. **Wake after free.** The holder has stopped using the lock, including the queue lock, before
//!    it grants. The grant is one swap, and after it only an address is used.
//!
//! # Orderings
//!
//! Acquire on the compare-and-swap from 0 pairs with the Release on the compare-and-swap to 0: a
//! holder sees the writes of the holder before it. The grant is a Release swap, and pairs with the
//! Acquire load that sees it: the same guarantee for a hand-over. `queue` is ordered by the queue
//! lock. Changes of `QUEUED` are Relaxed because they are made under the queue lock and publish
//! nothing; `yield_requested` is Relaxed because it is a hint.

use core::fmt;
use core::marker::PhantomPinned;
use core::mem;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr;
use core::time::Duration;
use std::time::Instant;

use crate::lock::raw_lock::RawLock;
use crate::lock::raw_mutex::{NotLocked, RawMutex};
use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::futex::{self, Channel, Deadline};
use crate::primitive::steps::{self, Sleep, Step, Steps};
use crate::primitive::{cell::UnsafeCell, const_new, hint::Looks};
use crate::sealed::Sealed;

const LOCKED: u32 = 1;
const QUEUED: u32 = 2;

const WAITING: u32 = 0;
const GRANTED: u32 = 1;

/// One waiting thread, on its stack, or one waiting task, in its future.
struct Node {
    granted: AtomicU32,
    is_task: bool,
    /// The node behind this node; the node itself once it is off the queue to be granted. Protected
    /// by the queue lock.
    next: UnsafeCell<*const Node>,
}

/// The waiting threads, first to last. Protected by the queue lock.
struct Queue {
    first: *const Node,
    last: *const Node,
    /// The number of times that the lock was handed over, modulo 2^32.
    turns: u32,
    /// The end of the holder's interval. The interval starts at the hand-over to it, or, if it took
    /// a free lock, when the first waiter joined the queue. So a thread waits for one interval of
    /// each thread before it, and not for up to two.
    until: Option<Deadline>,
}

/// The number of turns when a thread joined the queue, and the time of its next request.
type Turn = (u32, Option<Deadline>);

// SAFETY: `next` is protected by the queue lock.
unsafe impl Send for Node {}

/// A first come, first served lock without data and without a guard.
///
/// Any thread may release it, not only the one that took it. For a lock that protects data, and for
/// the purpose of this lock, see [`FairMutex`](crate::FairMutex).
///
/// ```
/// use sync_core::RawFairMutex;
///
/// let lock = RawFairMutex::new();
/// lock.lock();
/// assert!(!lock.try_lock() && !lock.should_yield());
/// lock.unlock().unwrap();
/// assert!(lock.unlock().is_err(), "it is free already");
/// ```
pub struct RawFairMutex {
    state: AtomicU32,
    yield_requested: AtomicU32,
    queue_lock: RawMutex,
    queue: UnsafeCell<Queue>,
    interval: Duration,
}

// SAFETY: the pointers in the queue point to nodes that live (invariant 2), and are used under the
// queue lock.
unsafe impl Send for RawFairMutex {}
// SAFETY: the pointers in the queue point to nodes that live (invariant 2), and are used under the
// queue lock; everything else is atomic.
unsafe impl Sync for RawFairMutex {}

// No user code runs under the queue lock, so no panic leaves the queue half changed.
impl UnwindSafe for RawFairMutex {}
impl RefUnwindSafe for RawFairMutex {}

impl RawFairMutex {
    /// The interval of [`new`](Self::new), CPython's: 5 ms.
    pub const INTERVAL: Duration = Duration::from_millis(5);

    const_new! {
        /// Creates a free lock with an interval of 5 ms.
        pub const fn new() -> Self {
            Self::with_interval(Self::INTERVAL)
        }
    }

    const_new! {
        /// Creates a free lock. A thread that has waited for `interval` without a change of holder
        /// requests that the holder [yields](Self::should_yield). With an interval too long for the
        /// clock, no thread requests it.
        pub const fn with_interval(interval: Duration) -> Self {
            Self {
                state: AtomicU32::new(0),
                yield_requested: AtomicU32::new(0),
                queue_lock: RawMutex::new(),
                queue: UnsafeCell::new(Queue {
                    first: ptr::null(),
                    last: ptr::null(),
                    turns: 0,
                    until: None,
                }),
                interval,
            }
        }
    }

    /// Takes the lock; sleeps until it is this thread's turn.
    ///
    /// # Memory ordering
    ///
    /// Everything that happened before an [`unlock`](Self::unlock) or
    /// [`yield_now`](Self::yield_now) happens before the return of the `lock` that follows it.
    #[doc(alias = "acquire")]
    #[inline]
    pub fn lock(&self) {
        if !self.try_lock() {
            self.lock_contended_forever();
        }
    }

    /// Takes the lock if it is free at this moment. No thread waits for a free lock.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn try_lock(&self) -> bool {
        // Acquire: pairs with the Release in `unlock`.
        self.state.compare_exchange(0, LOCKED, Acquire, Relaxed).is_ok()
    }

    /// Takes the lock, or gives up after `timeout`: `false`. A timeout too long for the clock means
    /// forever.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn try_lock_for(&self, timeout: Duration) -> bool {
        self.try_lock() || self.lock_contended(Deadline::after(timeout))
    }

    /// Takes the lock, or gives up at `deadline`: `false`. A deadline in the past still takes a
    /// lock that is free.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn try_lock_until(&self, deadline: Instant) -> bool {
        self.try_lock() || self.lock_contended(Deadline::at(deadline))
    }

    /// Hands the lock to the first waiter, or makes it free if there is none. Any thread may
    /// release it.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if no thread holds it; nothing is changed.
    #[inline]
    #[doc(alias = "release")]
    pub fn unlock(&self) -> Result<(), NotLocked> {
        // Release: pairs with the Acquire in `try_lock`.
        match self.state.compare_exchange(LOCKED, 0, Release, Relaxed) {
            Ok(_) => Ok(()),
            Err(_) => self.hand_over(),
        }
    }

    /// Returns whether a thread has waited for the lock for an interval: one relaxed load, which
    /// the holder can call in a loop.
    #[inline]
    pub fn should_yield(&self) -> bool {
        // Relaxed: a hint. The hand-over that follows from it orders the data.
        self.yield_requested.load(Relaxed) != 0
    }

    /// Lets every thread in that waits now, and takes the lock again behind them. Returns whether a
    /// thread waited. The caller holds the lock.
    #[inline]
    pub fn yield_now(&self) -> bool {
        // Relaxed: a hint. The next call sees a thread that joins the queue a moment later.
        self.state.load(Relaxed) & QUEUED != 0 && self.yield_contended()
    }

    /// Returns the time that a thread waits before it requests that the holder yields.
    #[inline]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns whether a thread holds the lock. A snapshot: it may have changed before the call
    /// returns.
    #[inline]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        // Relaxed: a snapshot; no data is read because of it.
        self.state.load(Relaxed) & LOCKED != 0
    }

    /// Makes the lock free, whichever threads held it or waited: for the child of a `fork`, where
    /// they do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the lock or anything it protects, and no guard of it
    /// may still be released.
    pub unsafe fn reinit_after_fork(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.queue_lock.reinit_after_fork() };
        // Relaxed: no other thread uses it (the caller's promise).
        self.state.store(0, Relaxed);
        // Relaxed: no other thread uses it (the caller's promise).
        self.yield_requested.store(0, Relaxed);
        self.queue.with_mut(|queue| {
            // SAFETY: no other thread uses the lock (the caller's promise); the nodes belonged to
            // threads that are gone.
            let queue = unsafe { &mut *queue };
            (queue.first, queue.last, queue.until) = (ptr::null(), ptr::null(), None);
        });
    }

    /// Runs `f` on the queue, under the queue lock.
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        self.queue_lock.lock();
        // SAFETY: the queue lock is held, and `f` is a closure of this file, which does not call
        // this function again and does not panic.
        let result = self.queue.with_mut(|queue| f(unsafe { &mut *queue }));
        // SAFETY: this thread took the lock at the start of this function.
        unsafe { RawLock::release(&self.queue_lock) };
        result
    }

    /// Like [`lock_contended`](Self::lock_contended) without a deadline: the caller's fast path
    /// then has no argument to lay out on its stack.
    #[cold]
    fn lock_contended_forever(&self) -> bool {
        self.lock_contended(None)
    }

    #[cold]
    fn lock_contended(&self, deadline: Option<Deadline>) -> bool {
        steps::run(self.queueing(false), deadline).is_some()
    }

    /// Returns an acquisition on the slow path, for a thread or a task.
    #[inline]
    pub(crate) fn queueing(&self, is_task: bool) -> Queueing<'_> {
        Queueing { lock: self, node: Node::new(is_task), turn: None, pinned: PhantomPinned }
    }

    /// Joins the queue, unless the lock is free: then it takes the lock and returns `None`.
    fn join(&self, node: &Node) -> Option<Turn> {
        self.with_queue(|queue| {
            // Relaxed: the compare-and-swap that follows compares it.
            let mut state = self.state.load(Relaxed);
            loop {
                let next = if state == 0 { LOCKED } else { state | QUEUED };
                // Acquire: as in `try_lock`. To join the queue would not need it.
                match self.state.compare_exchange(state, next, Acquire, Relaxed) {
                    Ok(0) => return None,
                    Ok(_) => break,
                    Err(seen) => state = seen,
                }
            }
            if queue.first.is_null() {
                queue.until = Deadline::after(self.interval);
                self.request_for_a_task(node);
            }
            queue.push(node);
            Some((queue.turns, queue.until))
        })
    }

    /// Requests a yield on behalf of the node that is now the first in the queue, if it is a
    /// task's. A task has no clock, so it cannot do that itself after an interval. Called under the
    /// queue lock.
    fn request_for_a_task(&self, first: &Node) {
        if first.is_task {
            // Relaxed: a hint for the holder; it publishes nothing.
            self.yield_requested.store(1, Relaxed);
        }
    }

    /// Withdraws the request of the node that was the first, and makes the one of the node that is
    /// first now (invariant 4). Called under the queue lock.
    fn renew_request(&self, queue: &Queue) {
        // Relaxed: a hint, changed under the queue lock.
        self.yield_requested.store(0, Relaxed);
        // SAFETY: `first` is null or in the queue, and so lives (invariant 2).
        if let Some(first) = unsafe { queue.first.as_ref() } {
            self.request_for_a_task(first);
        }
    }

    /// Spins for a moment on a lock that has no queue; returns whether it took the lock.
    ///
    /// Threads get the lock in the order in which they join the queue. While there is a queue the
    /// lock is never free, so a spinning thread overtakes no queued thread, only other spinning
    /// threads. It joins the queue after about 4 us of running time: later by the clock, if it is
    /// preempted in its spin.
    fn spin(&self, mut looks: Looks) -> bool {
        loop {
            // Relaxed: a hint; `try_lock` acquires.
            match self.state.load(Relaxed) {
                0 if self.try_lock() => return true,
                state if state & QUEUED != 0 || !looks.turn() => return false,
                _ => {}
            }
        }
    }

    /// Waits in the queue, as a thread, until the node is granted.
    fn wait(&self, node: &Node, (mut turns, mut until): Turn) {
        let mut spin = Looks::new();
        while !node.is_granted() && spin.turn() {}
        while !node.is_granted() {
            if !futex::wait_maybe(&node.granted, WAITING, until) {
                (turns, until) = self.request_yield(node, turns);
            }
        }
    }

    /// Requests that the holder yields, if the node is the first and the holder has not changed
    /// since `turns`. Returns the time of the next request: none, if the next hand-over is to this
    /// node, which has made its request or is off the queue already.
    fn request_yield(&self, node: &Node, turns: u32) -> Turn {
        self.with_queue(|queue| {
            // SAFETY: `next` is protected by the queue lock.
            let called = node.next.with(|next| ptr::eq(unsafe { *next }, node));
            let again = if called {
                None
            } else if queue.turns != turns {
                queue.until
            } else if ptr::eq(queue.first, node) {
                // Relaxed: a hint for the holder; it publishes nothing.
                self.yield_requested.store(1, Relaxed);
                None
            } else {
                // The first node in the queue makes its request at this moment, so the turn after
                // it begins now.
                Deadline::after(self.interval)
            };
            (queue.turns, again)
        })
    }

    /// Ends a wait whose time is up: removes the node from the queue, unless the grant is on its
    /// way to it.
    fn leave(&self, node: &Node) -> bool {
        let left = self.with_queue(|queue| {
            let was_first = ptr::eq(queue.first, node);
            let left = queue.remove(node);
            if left && was_first {
                // Invariant 4: the request, if there was one, was this node's.
                self.renew_request(queue);
            }
            self.clear_queued_if_empty(queue);
            left
        });
        if left {
            return false;
        }
        while !node.is_granted() {
            futex::wait(&node.granted, WAITING);
        }
        true
    }

    /// Clears `QUEUED` if the queue is empty (invariant 3). Called under the queue lock.
    fn clear_queued_if_empty(&self, queue: &Queue) {
        if queue.first.is_null() {
            // Relaxed: it publishes nothing; the queue lock orders the queue.
            self.state.fetch_and(!QUEUED, Relaxed);
        }
    }

    /// Releases a lock that has waiters.
    #[cold]
    fn hand_over(&self) -> Result<(), NotLocked> {
        loop {
            let next = self.with_queue(|queue| {
                let next = queue.pop();
                if next.is_some() {
                    queue.until = Deadline::after(self.interval);
                    self.renew_request(queue);
                    self.clear_queued_if_empty(queue);
                }
                next
            });
            if let Some(next) = next {
                // SAFETY: the node was taken off the queue and is not granted yet, so it lives
                // (invariant 2).
                unsafe { Node::grant(next) };
                return Ok(());
            }
            // The last waiter gave up, or no thread holds the lock at all. Release: as in `unlock`.
            // Outside the queue lock, because nothing may be touched afterwards (invariant 5).
            match self.state.compare_exchange(LOCKED, 0, Release, Relaxed) {
                Ok(_) => return Ok(()),
                Err(0) => return Err(NotLocked),
                Err(_) => {}
            }
        }
    }

    #[cold]
    fn yield_contended(&self) -> bool {
        let node = Node::new(false);
        let next = self.with_queue(|queue| {
            let next = queue.pop()?;
            queue.until = Deadline::after(self.interval);
            queue.push(&node);
            self.renew_request(queue);
            Some((next, (queue.turns, queue.until)))
        });
        let Some((next, turn)) = next else { return false };
        // SAFETY: the node was taken off the queue and is not granted yet, so it lives (invariant
        // 2).
        unsafe { Node::grant(next) };
        self.wait(&node, turn);
        true
    }
}

impl Node {
    fn new(is_task: bool) -> Self {
        Self { granted: AtomicU32::new(WAITING), is_task, next: UnsafeCell::new(ptr::null()) }
    }

    fn is_granted(&self) -> bool {
        // Acquire: pairs with the Release in `grant`.
        self.granted.load(Acquire) == GRANTED
    }

    /// Makes the node's thread the holder, and wakes it.
    ///
    /// # Safety
    ///
    /// The node lives, and the caller is the one that took it off the queue.
    unsafe fn grant(this: *const Self) {
        // SAFETY: the node lives (the caller's promise); the address is taken before the grant ends
        // its life.
        let granted = unsafe { &(*this).granted };
        let address = ptr::from_ref(granted);
        // Release: pairs with the Acquire in `is_granted`. A store would be enough; it is a swap
        // because the models' futex compares by a read-modify-write, and loom orders a plain store
        // after that only if it happens after it.
        granted.swap(GRANTED, Release);
        // Invariant 5: the node may be gone.
        futex::wake_one(address);
    }
}

/// The methods are called under the queue lock. Every node that they reach is in the queue, and so
/// lives (invariant 2).
impl Queue {
    fn push(&mut self, node: &Node) {
        // SAFETY: `next` is protected by the queue lock; `last` is in the queue.
        unsafe {
            node.next.with_mut(|next| *next = ptr::null());
            match self.last.as_ref() {
                Some(last) => last.next.with_mut(|next| *next = node),
                None => self.first = node,
            }
        }
        self.last = node;
    }

    /// Takes the first node off the queue: the next holder.
    fn pop(&mut self) -> Option<*const Node> {
        let first = self.first;
        // SAFETY: `next` is protected by the queue lock; `first` is null or in the queue.
        self.first = unsafe { first.as_ref() }?
            .next
            .with_mut(|next| unsafe { mem::replace(&mut *next, first) });
        if self.first.is_null() {
            self.last = ptr::null();
        }
        self.turns = self.turns.wrapping_add(1);
        Some(first)
    }

    /// Removes a node from any place in the queue. Returns `false` if it is not in the queue.
    fn remove(&mut self, node: &Node) -> bool {
        let mut before: *const Node = ptr::null();
        let mut at = self.first;
        // SAFETY: `next` is protected by the queue lock; `at` and `before` are null or in the
        // queue.
        unsafe {
            while let Some(here) = at.as_ref() {
                let behind = here.next.with(|next| *next);
                if ptr::eq(here, node) {
                    match before.as_ref() {
                        Some(before) => before.next.with_mut(|next| *next = behind),
                        None => self.first = behind,
                    }
                    if ptr::eq(self.last, node) {
                        self.last = before;
                    }
                    return true;
                }
                (before, at) = (at, behind);
            }
        }
        false
    }
}

/// An acquisition of a [`RawFairMutex`] on the slow path.
pub(crate) struct Queueing<'a> {
    lock: &'a RawFairMutex,
    node: Node,
    /// Set once the node is in the queue, or was granted.
    turn: Option<Turn>,
    pinned: PhantomPinned,
}

impl<'a> Steps<'a> for Queueing<'a> {
    type Output = ();

    fn step(&mut self, limit_passed: bool) -> Step<'a, ()> {
        let Self { lock, node, turn, pinned: PhantomPinned } = self;
        let (turns, until) = match *turn {
            Some((turns, _)) if limit_passed => lock.request_yield(node, turns),
            Some(turn) => turn,
            None => {
                let looks = || if node.is_task { Looks::none() } else { Looks::new() };
                if lock.spin(looks()) {
                    return Step::Done(());
                }
                let Some(joined) = lock.join(node) else { return Step::Done(()) };
                let mut spin = looks();
                while !node.is_granted() && spin.turn() {}
                joined
            }
        };
        *turn = Some((turns, until));
        if node.is_granted() {
            return Step::Done(());
        }
        let limit = if node.is_task { None } else { until };
        // SAFETY: the node is a part of `self`, which does not move before the wait has ended, and
        // the caller ends the sleep before that.
        let word = unsafe { &*ptr::from_ref(&node.granted) };
        Step::Sleep(Sleep { word, expected: WAITING, channel: Channel::ALL, limit })
    }

    fn leave(&mut self) -> Option<()> {
        self.turn.is_some_and(|_| self.lock.leave(&self.node)).then_some(())
    }

    fn undo(&mut self, (): ()) {
        let released = self.lock.unlock();
        debug_assert!(released.is_ok(), "granted while it left");
    }
}

impl Sealed for RawFairMutex {}

// SAFETY: invariant 1, and the Acquire of each acquisition pairs with the Release of each release
// or grant.
unsafe impl RawLock for RawFairMutex {
    #[inline]
    fn acquire(&self, deadline: Option<Deadline>) -> bool {
        self.try_lock()
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
        self.try_lock()
    }

    #[inline]
    unsafe fn release(&self) {
        let released = self.unlock();
        debug_assert!(released.is_ok(), "a guard was dropped over a lock that is free");
    }

    #[inline]
    unsafe fn release_fair(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.release() }
    }

    #[inline]
    unsafe fn bump(&self) {
        self.yield_now();
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.is_locked()
    }
}

impl Default for RawFairMutex {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawFairMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_locked() { "locked" } else { "unlocked" };
        f.debug_struct("RawFairMutex")
            .field("state", &format_args!("{state}"))
            .field("interval", &self.interval)
            .finish()
    }
}
