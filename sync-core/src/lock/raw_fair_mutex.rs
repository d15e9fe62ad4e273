//! The lock inside [`FairMutex`](crate::FairMutex): first come, first served, handed from one
//! thread to the next.
//!
//! # Source
//!
//! The queue of stack nodes of MCS locks, each waiter asleep on a word of its own, with the switch
//! interval of CPython's interpreter lock: one that has waited for an interval asks the holder to
//! let it in. In CPython the releaser waits until the asker has the lock, which went wrong when the
//! asker was gone (gh-96387, gh-104341, gh-118745); here the lock is handed over by the release
//! itself and nobody waits for anybody's answer.
//!
//! # State
//!
//! | word | meaning |
//! |---|---|
//! | `state` | `LOCKED`: somebody holds it. `QUEUED`: the queue is not empty; only ever with `LOCKED` |
//! | `asked` | 1: the first in the queue has waited for an interval without a change of holder |
//! | `queue_lock` | guards `queue`, for the few instructions of a change to it; no user code and no sleep under it |
//! | a node's `granted` | 1: its thread holds the lock |
//! | `queue.until` | when the first may ask: an interval after the holder got the lock, as far as the queue knows |
//!
//! | from | event | to | and then |
//! |---|---|---|---|
//! | `0` | acquire | `L` | |
//! | `L`, `LQ` | acquire | `LQ` | joins the queue's end, sleeps on its node |
//! | `L` | release | `0` | |
//! | `LQ` | release, yield | `L` or `LQ` | takes the first off the queue and grants it the lock; a yield joins the end first |
//! | `LQ` | a waiter's time is up | `L` or `LQ` | it takes itself off the queue, and its request with it |
//! | `LQ` | its time is up, but it is off the queue already | the same | it waits for the grant, which is on its way, and has the lock |
//!
//! # Invariants
//!
//! 1. **Exclusion.** `LOCKED` goes from 0 by an acquirer's compare-and-swap; after that ownership
//!    passes by a grant, from the holder to one node, until a holder finds the queue empty.
//! 2. **A node is alive while it is in the queue, and until it is granted**: its thread leaves only
//!    with a grant, or after it took itself off the queue under the queue lock. After the grant
//!    only the address of the node is used.
//! 3. **`QUEUED` says what the queue says**, whenever nobody is inside the queue lock. So a release
//!    that finds no bit has nobody to grant to.
//! 4. **A request is somebody's**: `asked` is 1 only while the queue is not empty. It is lowered by
//!    every hand-over, and by the first in the queue when it leaves.
//! 5. **Wake after free.** The holder is done with the lock, the queue lock included, before it
//!    grants; the grant is one swap, and after it only an address is used.
//!
//! # Orderings
//!
//! Acquire on the compare-and-swap from 0, Release on the one to 0: one holder to the next. The
//! grant is a Release swap, the load that sees it an Acquire: the same, by hand-over. `queue` is
//! ordered by the queue lock. `QUEUED` changes under the queue lock and `asked` is a hint: Relaxed.

use core::fmt;
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
use crate::primitive::futex::{self, Deadline};
use crate::primitive::{cell::UnsafeCell, const_new, hint::Looks};
use crate::sealed::Sealed;

const LOCKED: u32 = 1;
const QUEUED: u32 = 2;

const WAITING: u32 = 0;
const GRANTED: u32 = 1;

/// One waiting thread, on its stack.
struct Node {
    granted: AtomicU32,
    /// The one behind; the node itself once it is off the queue to be granted. Belongs to the queue
    /// lock.
    next: UnsafeCell<*const Node>,
}

/// Those who wait, first to last. Belongs to the queue lock.
struct Queue {
    first: *const Node,
    last: *const Node,
    /// How often the lock was handed over, modulo 2^32.
    turns: u32,
    /// When the holder has had its interval: measured from the hand-over to it, or, where it came
    /// to a free lock, from when the first joined the queue. So one that waits behind others waits
    /// for an interval of each of them, and not for up to two.
    until: Option<Deadline>,
}

/// A first come, first served lock without data and without a guard.
///
/// Any thread may release it, not only the one that took it. For a lock that protects data, and for
/// what this one is good for, see [`FairMutex`](crate::FairMutex).
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
    asked: AtomicU32,
    queue_lock: RawMutex,
    queue: UnsafeCell<Queue>,
    interval: Duration,
}

// SAFETY: the pointers in the queue are to nodes that live (invariant 2), used under the queue
// lock.
unsafe impl Send for RawFairMutex {}
// SAFETY: as above; everything else is atomic.
unsafe impl Sync for RawFairMutex {}

// Nothing of a user's runs under the queue lock, so no panic leaves the queue half changed.
impl UnwindSafe for RawFairMutex {}
impl RefUnwindSafe for RawFairMutex {}

impl RawFairMutex {
    /// The interval of [`new`](Self::new), CPython's: 5 ms.
    pub const INTERVAL: Duration = Duration::from_millis(5);

    const_new! {
        /// A free lock with an interval of 5 ms.
        pub const fn new() -> Self {
            Self::with_interval(Self::INTERVAL)
        }
    }

    const_new! {
        /// A free lock. One that has waited for `interval` without a change of holder asks the
        /// holder to [yield](Self::should_yield); with one too long for the clock, never.
        pub const fn with_interval(interval: Duration) -> Self {
            Self {
                state: AtomicU32::new(0),
                asked: AtomicU32::new(0),
                queue_lock: RawMutex::new(),
                queue: UnsafeCell::new(Queue { first: ptr::null(), last: ptr::null(), turns: 0, until: None }),
                interval,
            }
        }
    }

    /// Takes the lock; sleeps until it is this thread's turn.
    ///
    /// # Memory ordering
    ///
    /// What happened before an [`unlock`](Self::unlock) or [`yield_now`](Self::yield_now) happens
    /// before the return of the `lock` that follows it.
    #[inline]
    pub fn lock(&self) {
        if !self.try_lock() {
            self.lock_contended_for_ever();
        }
    }

    /// Takes the lock if it is free at this moment: then nobody waits for it either.
    #[inline]
    pub fn try_lock(&self) -> bool {
        // Acquire: pairs with the Release in `unlock`.
        self.state.compare_exchange(0, LOCKED, Acquire, Relaxed).is_ok()
    }

    /// Takes the lock, or gives up after `timeout`: `false`. A timeout too long for the clock means
    /// forever.
    #[inline]
    pub fn try_lock_for(&self, timeout: Duration) -> bool {
        self.try_lock() || self.lock_contended(Deadline::after(timeout))
    }

    /// Takes the lock, or gives up at `deadline`: `false`. A deadline in the past still takes a
    /// lock that is free.
    #[inline]
    pub fn try_lock_until(&self, deadline: Instant) -> bool {
        self.try_lock() || self.lock_contended(Deadline::at(deadline))
    }

    /// Gives the lock to the first who waits, or back; any thread may.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if nobody holds it; nothing is changed.
    #[inline]
    pub fn unlock(&self) -> Result<(), NotLocked> {
        // Release: pairs with the Acquire in `try_lock`.
        match self.state.compare_exchange(LOCKED, 0, Release, Relaxed) {
            Ok(_) => Ok(()),
            Err(_) => self.hand_over(),
        }
    }

    /// Whether somebody has waited for the lock for an interval: one relaxed load, for the holder
    /// to ask in a loop.
    #[inline]
    pub fn should_yield(&self) -> bool {
        // Relaxed: a hint; what follows from it is ordered by the hand-over.
        self.asked.load(Relaxed) != 0
    }

    /// Lets everybody in who waits now, and takes the lock again behind them; says whether anybody
    /// waited. The caller holds the lock.
    #[inline]
    pub fn yield_now(&self) -> bool {
        // Relaxed: whoever joins the queue a moment later is in time for the next call.
        self.state.load(Relaxed) & QUEUED != 0 && self.yield_contended()
    }

    /// How long one waits before it asks the holder to yield.
    #[inline]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Whether somebody holds the lock. A snapshot: it may have changed before the call returns.
    #[inline]
    pub fn is_locked(&self) -> bool {
        // Relaxed: an observation that carries no right to anything.
        self.state.load(Relaxed) & LOCKED != 0
    }

    /// Makes the lock free, whoever held it or waited: for the child of a `fork`, where they do not
    /// exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the lock or anything it protects, and no guard of it
    /// may still be released.
    pub unsafe fn reinit_after_fork(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.queue_lock.reinit_after_fork() };
        self.state.store(0, Relaxed);
        self.asked.store(0, Relaxed);
        self.queue.with_mut(|queue| {
            // SAFETY: nobody else uses the lock, says the caller; the nodes were of threads that
            // are gone.
            let queue = unsafe { &mut *queue };
            (queue.first, queue.last, queue.until) = (ptr::null(), ptr::null(), None);
        });
    }

    /// Changes the queue, under the queue lock.
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        self.queue_lock.lock();
        // SAFETY: the queue lock is held, and `f` is of this file and does not call back. It does
        // not panic.
        let result = self.queue.with_mut(|queue| f(unsafe { &mut *queue }));
        // SAFETY: taken above, by this thread.
        unsafe { RawLock::release(&self.queue_lock) };
        result
    }

    /// As [`lock_contended`](Self::lock_contended) without a deadline: the caller's fast path then
    /// has no argument to lay out on its stack.
    #[cold]
    fn lock_contended_for_ever(&self) -> bool {
        self.lock_contended(None)
    }

    #[cold]
    fn lock_contended(&self, deadline: Option<Deadline>) -> bool {
        if self.spin() {
            return true;
        }
        let node = Node::new();
        let turn = self.with_queue(|queue| {
            let mut state = self.state.load(Relaxed);
            loop {
                let next = if state == 0 { LOCKED } else { state | QUEUED };
                // Acquire: as in `try_lock`; more than joining the queue needs.
                match self.state.compare_exchange(state, next, Acquire, Relaxed) {
                    Ok(0) => return None,
                    Ok(_) => break,
                    Err(seen) => state = seen,
                }
            }
            if queue.first.is_null() {
                queue.until = Deadline::after(self.interval);
            }
            queue.push(&node);
            Some((queue.turns, queue.until))
        });
        match turn {
            None => true,
            Some(turn) => self.wait(&node, turn, deadline),
        }
    }

    /// Spins for a moment on a lock that has no queue; returns whether it took the lock.
    ///
    /// Arrival order counts from joining the queue. While there is a queue the lock is never free,
    /// so a spinning thread overtakes no queued thread, only other spinning threads, and it joins
    /// the queue at most 4 us after its call.
    fn spin(&self) -> bool {
        let mut looks = Looks::new();
        loop {
            match self.state.load(Relaxed) {
                0 if self.try_lock() => return true,
                state if state & QUEUED != 0 || !looks.turn() => return false,
                _ => {}
            }
        }
    }

    /// Waits in the queue until the node is granted, or the time is up.
    fn wait(
        &self,
        node: &Node,
        (mut turns, mut until): (u32, Option<Deadline>),
        deadline: Option<Deadline>,
    ) -> bool {
        let mut spin = Looks::new();
        while !node.is_granted() && spin.turn() {}
        while !node.is_granted() {
            let alarm = until.into_iter().chain(deadline).min();
            if futex::wait_maybe(&node.granted, WAITING, alarm) {
                continue;
            }
            if deadline.is_some() && alarm == deadline {
                return self.leave(node);
            }
            (turns, until) = self.ask(node, turns);
        }
        true
    }

    /// Attempt the holder to yield, if the node is the first and there was no change of holder
    /// since `turns`. Says when to ask again: never, if the next hand-over is to this one, which
    /// has asked or is off the queue already.
    fn ask(&self, node: &Node, turns: u32) -> (u32, Option<Deadline>) {
        self.with_queue(|queue| {
            // SAFETY: `next` belongs to the queue lock.
            let called = node.next.with(|next| ptr::eq(unsafe { *next }, node));
            let again = if called {
                None
            } else if queue.turns != turns {
                queue.until
            } else if ptr::eq(queue.first, node) {
                // Relaxed: a hint.
                self.asked.store(1, Relaxed);
                None
            } else {
                // The first in the queue asks at this moment: the turn after that has begun just
                // now.
                Deadline::after(self.interval)
            };
            (queue.turns, again)
        })
    }

    /// The end of a wait whose time is up: off the queue, unless the lock is on its way here.
    fn leave(&self, node: &Node) -> bool {
        let left = self.with_queue(|queue| {
            let was_first = ptr::eq(queue.first, node);
            let left = queue.remove(node);
            if left && was_first {
                // Invariant 4: the request, if there was one, was this node's.
                self.asked.store(0, Relaxed);
            }
            self.say_if_empty(queue);
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

    /// Keeps `QUEUED` true to the queue (invariant 3). Under the queue lock.
    fn say_if_empty(&self, queue: &Queue) {
        if queue.first.is_null() {
            // Relaxed: it publishes nothing.
            self.state.fetch_and(!QUEUED, Relaxed);
        }
    }

    /// Releases a lock that is waited for.
    #[cold]
    fn hand_over(&self) -> Result<(), NotLocked> {
        loop {
            let next = self.with_queue(|queue| {
                let next = queue.pop();
                if next.is_some() {
                    queue.until = Deadline::after(self.interval);
                    self.asked.store(0, Relaxed);
                    self.say_if_empty(queue);
                }
                next
            });
            if let Some(next) = next {
                // SAFETY: taken off the queue and not granted yet, so it lives (invariant 2).
                unsafe { Node::grant(next) };
                return Ok(());
            }
            // The last waiter gave up; or nobody holds the lock at all. Release: as in `unlock`.
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
        let node = Node::new();
        let next = self.with_queue(|queue| {
            let next = queue.pop()?;
            queue.until = Deadline::after(self.interval);
            self.asked.store(0, Relaxed);
            queue.push(&node);
            Some((next, (queue.turns, queue.until)))
        });
        let Some((next, turn)) = next else { return false };
        // SAFETY: taken off the queue and not granted yet, so it lives (invariant 2).
        unsafe { Node::grant(next) };
        self.wait(&node, turn, None)
    }
}

impl Node {
    fn new() -> Self {
        Self { granted: AtomicU32::new(WAITING), next: UnsafeCell::new(ptr::null()) }
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
        // SAFETY: it lives, says the caller; the address is taken before the grant ends that.
        let granted = unsafe { &(*this).granted };
        let address = ptr::from_ref(granted);
        // Release: pairs with the Acquire in `is_granted`. A swap where a store would do: the
        // models' futex compares by a read-modify-write, and loom orders a plain store after that
        // only if it happens after it.
        granted.swap(GRANTED, Release);
        // Invariant 5: the node may be gone.
        futex::wake_one(address);
    }
}

/// Under the queue lock. Every node that it meets is in the queue, and so lives (invariant 2).
impl Queue {
    fn push(&mut self, node: &Node) {
        // SAFETY: `next` belongs to the queue lock; `last` is in the queue.
        unsafe {
            node.next.with_mut(|next| *next = ptr::null());
            match self.last.as_ref() {
                Some(last) => last.next.with_mut(|next| *next = node),
                None => self.first = node,
            }
        }
        self.last = node;
    }

    /// Takes the first off: the next holder.
    fn pop(&mut self) -> Option<*const Node> {
        let first = self.first;
        // SAFETY: `next` belongs to the queue lock; `first` is in the queue, if it is anything.
        self.first = unsafe { first.as_ref() }?
            .next
            .with_mut(|next| unsafe { mem::replace(&mut *next, first) });
        if self.first.is_null() {
            self.last = ptr::null();
        }
        self.turns = self.turns.wrapping_add(1);
        Some(first)
    }

    /// Takes a node off, wherever it is; `false` if it is not in the queue.
    fn remove(&mut self, node: &Node) -> bool {
        let mut before: *const Node = ptr::null();
        let mut at = self.first;
        // SAFETY: `next` belongs to the queue lock; `at` and `before` are in the queue, if they are
        // anything.
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

impl Sealed for RawFairMutex {}

// SAFETY: invariant 1, and the pairing of the Acquire and Release orderings above.
unsafe impl RawLock for RawFairMutex {
    #[inline]
    fn acquire(&self, deadline: Option<Deadline>) -> bool {
        self.try_lock()
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
