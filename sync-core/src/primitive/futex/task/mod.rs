//! Tasks as waiters of a futex: the table that they wait in, and [`Waiter`], a place in it.
//!
//! This is the foundation of the asynchronous calls of the workspace and of waits that a token
//! cancels; only the queues have lists of their own, with the wakers in them. How to use it:
//!
//! 1. Pin a [`Waiter`] where the wait lives: in the future, or on the stack of a thread. Nothing is
//!    allocated for a wait. (The first wait of a process allocates the table.)
//! 2. Announce the waiter in the word of the primitive, as a thread does before it sleeps.
//! 3. Call [`Waiter::start`] with the announced value. `false`: the word has another value, nothing
//!    is registered, load it again. `true`: the waker is called after a wake chose this waiter.
//! 4. At each poll call [`Waiter::poll`]. `Ready`: a wake was consumed, and the waiter is idle
//!    again; load the word again, as after every futex wait.
//! 5. To give up call [`Waiter::cancel`], or drop the waiter. A wake that it had consumed already
//!    is passed on to the next waiter of the address. ([`Waiter::stop`] returns it to the caller in
//!    place of that.) Then do to the word what a thread does when its time is up.
//!
//! A wait on several words at once is several waiters with one waker. Start them one after the
//! other; if one of them returns `false`, or an object turns out to be ready, cancel the others. A
//! thread waits for several words in the same way, with the waker of `sync_core::task`.
//!
//! # Source
//!
//! The hash table of the Linux futex, in user space, with the place of a waiter in the waiter's own
//! memory as in `parking_lot_core` and in tokio's `Notify`.
//!
//! # States of a waiter
//!
//! | state | meaning | the waiter's memory belongs to |
//! |---|---|---|
//! | `IDLE` | it does not wait | its owner |
//! | `QUEUED` | it is in the list of its bucket | the bucket's lock |
//! | `CHOSEN` | a wake took it off the list; the waker was called or is about to be | its owner |
//!
//! # Invariants
//!
//! 1. **A waiter in a list lives.** It is pinned, and its drop takes it out under the bucket's
//!    lock. The thread that chooses a waiter takes the waker out and stores `CHOSEN` last; after
//!    that it does not touch the waiter.
//! 2. **No wake is missed.** A task counts itself in the bucket, and then compares the word under
//!    the bucket's lock. A releaser changes the word, and then loads the count. A SeqCst fence
//!    between the two steps of each makes sure that the releaser sees the count or the task sees
//!    the changed word. A releaser that saw the count takes the lock: it finds the task in the
//!    list, or the task takes the lock later and sees the changed word.
//! 3. **No wake is swallowed.** A wake chooses a waiter once. A chosen waiter that is dropped or
//!    cancelled wakes another waiter of its address and channel, a thread or a task.
//! 4. **No user code runs under a bucket's lock**: neither a waker nor its clone nor its drop.
//! 5. **Neither kind starves.** A wake of one goes to a thread unless the first task in the line
//!    was passed over already; then it goes to that task. So at most one thread goes before the
//!    first task, and one task before a thread. Where no thread slept (the count of sleepers or the
//!    system says so), all tasks in the line came before every thread that sleeps later, and go
//!    first.
//! 6. **No thread waits for a poll.** The wake of a lock that was released goes to a thread as well
//!    if it goes to a task and a thread sleeps ([`wake_for_lock`](super::wake_for_lock)): the lock
//!    is free, and the thread may be the one that would poll the task. The other objects hand over
//!    what a waiter waits for, to one waiter: there a thread that polls tasks must not block.
//!
//! The number of threads that a wake reports is trusted here and nowhere else: it is the kernel's
//! own queue on Linux and a table of this library elsewhere. A system that reports a thread where
//! none slept leaves a task asleep until the next wake of the address.
//!
//! # Forks
//!
//! The table is the process's own. The tasks of a parent are not in its child: a waiter that the
//! child inherited in the state `QUEUED` is in no table, and is dropped without a trace. A waker
//! may fork: a wake in the child ends there, and touches the parent's table no more.

mod retire;

use core::fmt;
use core::marker::{PhantomData, PhantomPinned};
use core::pin::Pin;
use core::ptr;
use core::task::{Poll, Waker};
use std::sync::PoisonError;

use super::Channel;
use super::hash::{BUCKETS, bucket_of};
use crate::fork::ProcessMark;
use crate::primitive::atomic::{
    AtomicU8, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};
use crate::primitive::cell::UnsafeCell;
use crate::primitive::const_new;
use crate::primitive::sync::{Mutex, MutexGuard};
use crate::user_code;

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const CHOSEN: u8 = 2;

/// The number of wakers that a wake of many tasks calls between two holds of the bucket's lock.
const BATCH: usize = 16;

/// The tasks of a process that wait.
struct Table([Bucket; BUCKETS]);

/// The tasks whose addresses hash to one number.
#[repr(align(64))]
pub(super) struct Bucket {
    /// The number of waiters in the list, and of those that are about to enter it.
    waiting: AtomicUsize,
    list: Mutex<List>,
}

/// A list through the waiters, oldest first.
struct List {
    first: *const Waiter,
    last: *const Waiter,
    /// The number of waiters that ever entered.
    tickets: u64,
}

// SAFETY: the pointers are to waiters that live (invariant 1), and are used under the lock.
unsafe impl Send for List {}

impl Table {
    fn new() -> Self {
        Self(core::array::from_fn(|_| Bucket {
            waiting: AtomicUsize::new(0),
            list: Mutex::new(List { first: ptr::null(), last: ptr::null(), tickets: 0 }),
        }))
    }

    fn bucket(&self, address: usize) -> &Bucket {
        &self.0[bucket_of(address)]
    }
}

#[cfg(not(any(loom, sync_verify)))]
mod table {
    use super::Table;
    use crate::fork::PerProcess;

    static TABLE: PerProcess<Table> = PerProcess::new();

    /// Returns the table of this process, if a task has waited in it.
    #[inline]
    pub(super) fn existing() -> Option<&'static Table> {
        TABLE.existing()
    }

    pub(super) fn get() -> &'static Table {
        TABLE.get(|_| Table::new())
    }
}

#[cfg(any(loom, sync_verify))]
mod table {
    use core::cell::Cell;

    use super::Table;

    std::thread_local! {
        /// A plain thread-local, not the checker's: all threads of a model run on the thread that
        /// explores it.
        static TABLE: Cell<Option<&'static Table>> = const { Cell::new(None) };
    }

    pub(super) fn existing() -> Option<&'static Table> {
        TABLE.get()
    }

    pub(super) fn get() -> &'static Table {
        TABLE.get().expect("a model with tasks calls `model_with_tasks` first")
    }

    /// Makes an empty table for the execution that begins. A model with tasks calls it first in
    /// every execution; in the other models a wake does not look for tasks.
    pub fn model_with_tasks() {
        // Leaked: the table before belongs to an execution that is gone, and may have failed.
        TABLE.set(Some(Box::leak(Box::new(Table::new()))));
        super::super::asleep::model_with_tasks();
    }
}

pub use self::retire::{Word, retire};
#[cfg(any(loom, sync_verify))]
pub use self::table::model_with_tasks;

/// Returns the bucket of the address if tasks wait in it. The caller has changed the word before.
#[inline]
pub(super) fn waiting_at(address: usize) -> Option<&'static Bucket> {
    if crate::primitive::MODELLED && table::existing().is_none() {
        return None;
    }
    // SeqCst: pairs with the fence in `start` (invariant 2). It stands before the load of the
    // table's pointer, too: the task made the table before its own fence.
    fence(SeqCst);
    let bucket = table::existing()?.bucket(address);
    // Relaxed: the fence orders it; the lock that follows synchronizes.
    (bucket.waiting.load(Relaxed) != 0).then_some(bucket)
}

impl Bucket {
    /// Nothing panics while the lock is held, so poison means nothing here.
    #[cfg_attr(any(loom, sync_verify), track_caller)]
    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes at most `count` threads and tasks, and returns the number. `threads` wakes at most as
    /// many threads as it is given, and returns the number; it is called only if a thread may be
    /// `asleep`.
    #[cfg_attr(any(loom, sync_verify), track_caller)]
    pub(super) fn share(
        &self,
        address: usize,
        count: u32,
        channel: Channel,
        asleep: bool,
        threads: impl Fn(u32) -> usize,
    ) -> usize {
        if count == u32::MAX {
            let woken = if asleep { threads(count) } else { 0 };
            return woken + self.wake_tasks(address, count, channel, false);
        }
        if !asleep {
            return self.wake_tasks(address, count, channel, true);
        }
        // Invariant 5: at most one task goes by its turn, the others after the threads.
        let first = self.lock().take_if_passed_over(address, channel);
        let by_turn = u32::from(first.is_some());
        if !self.call_in_this_process(first) {
            return by_turn as usize;
        }
        let mut left = count - by_turn.min(count);
        if left == 0 {
            return by_turn as usize;
        }
        let woken = threads(left).min(left as usize);
        left -= woken as u32;
        let tasks = if left == 0 { 0 } else { self.wake_tasks(address, left, channel, true) };
        by_turn as usize + woken + tasks
    }

    /// Wakes a thread or a task, and a thread as well if a task's turn has come and a thread may be
    /// `asleep`. `thread` wakes a thread if there is one, and says so. Returns `false` if it woke a
    /// task only.
    #[cfg_attr(any(loom, sync_verify), track_caller)]
    pub(super) fn share_for_lock(
        &self,
        address: usize,
        channel: Channel,
        asleep: bool,
        thread: impl FnOnce() -> bool,
    ) -> bool {
        let mut by_turn = false;
        if asleep {
            let first = self.lock().take_if_passed_over(address, channel);
            by_turn = first.is_some();
            self.call(first);
            if thread() {
                return true;
            }
        }
        !by_turn && self.wake_tasks(address, 1, channel, true) == 0
    }

    /// Wakes at most `count` of the tasks that wait now. `no_thread`: no thread sleeps, so the
    /// tasks that stay go before those that come.
    #[cfg_attr(any(loom, sync_verify), track_caller)]
    fn wake_tasks(&self, address: usize, count: u32, channel: Channel, no_thread: bool) -> usize {
        let mut woken = 0;
        // A woken task may wait again at once; it is not woken twice.
        let mut until = None;
        loop {
            let left = count as usize - woken;
            // The usual wake is of one, and does not set up a batch.
            let taken = if left == 1 {
                self.wake_batch::<1>(address, left, channel, no_thread, &mut until)
            } else {
                self.wake_batch::<BATCH>(address, left, channel, no_thread, &mut until)
            };
            woken += taken.unwrap_or(0);
            if taken.is_none_or(|taken| taken < left.min(BATCH)) || woken == count as usize {
                return woken;
            }
        }
    }

    /// Wakes at most `N` of `left` tasks that entered before the ticket `until`, which is set if
    /// this is the first batch. `None`: a waker has forked, and this is the child.
    #[cfg_attr(any(loom, sync_verify), track_caller)]
    fn wake_batch<const N: usize>(
        &self,
        address: usize,
        left: usize,
        channel: Channel,
        no_thread: bool,
        until: &mut Option<u64>,
    ) -> Option<usize> {
        let mut wakers = [const { None }; N];
        let mut list = self.lock();
        let until = *until.get_or_insert(list.tickets);
        let taken = list.take(address, channel, until, &mut wakers[..left.min(N)]);
        if no_thread && taken == left {
            list.pass_over(address, channel);
        }
        drop(list);
        if N == 1 {
            wakers.into_iter().for_each(|waker| self.call(waker));
            return Some(taken);
        }
        let mut wakers = wakers.into_iter().take(taken);
        while let Some(waker) = wakers.next() {
            if !self.call_in_this_process(waker) {
                // The wakers that are left are the parent's.
                core::mem::forget(wakers);
                return None;
            }
        }
        Some(taken)
    }

    /// As [`call`](Self::call). Returns `false` if the waker has forked, and this is the child: the
    /// table is the parent's, and a thread of the parent may hold the lock.
    fn call_in_this_process(&self, waker: Option<Waker>) -> bool {
        let process = waker.as_ref().map(|_| ProcessMark::current());
        self.call(waker);
        process.is_none_or(|process| process.is_current())
    }

    /// Calls the waker of a waiter that was chosen. The lock is not held (invariant 4).
    fn call(&self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            // Relaxed: a count that is too high for a moment only costs a releaser the lock.
            self.waiting.fetch_sub(1, Relaxed);
            user_code::run_and_forget_panic(|| waker.wake());
        }
    }
}

/// The methods are called under the bucket's lock. Every waiter that they reach is in the list, and
/// so lives (invariant 1).
impl List {
    fn push(&mut self, waiter: &Waiter) {
        waiter.links.with_mut(|links| {
            // SAFETY: the lock is held (state `QUEUED`).
            let links = unsafe { &mut *links };
            (links.before, links.behind) = (self.last, ptr::null());
        });
        // SAFETY: `last` is null or in the list.
        match unsafe { self.last.as_ref() } {
            // SAFETY: the lock is held.
            Some(last) => last.links.with_mut(|links| unsafe { (*links).behind = waiter }),
            None => self.first = waiter,
        }
        self.last = waiter;
    }

    /// Takes a waiter out, and returns its waker.
    fn unlink(&mut self, waiter: &Waiter) -> Option<Waker> {
        let (before, behind, waker) = waiter.links.with_mut(|links| {
            // SAFETY: the lock is held, and the waiter is in the list.
            let links = unsafe { &mut *links };
            (links.before, links.behind, links.waker.take())
        });
        // SAFETY: `before` is null or in the list, and the lock is held.
        match unsafe { before.as_ref() } {
            // SAFETY: `before` is in the list, and the lock is held.
            Some(before) => before.links.with_mut(|links| unsafe { (*links).behind = behind }),
            None => self.first = behind,
        }
        // SAFETY: `behind` is null or in the list, and the lock is held.
        match unsafe { behind.as_ref() } {
            // SAFETY: `behind` is in the list, and the lock is held.
            Some(behind) => behind.links.with_mut(|links| unsafe { (*links).before = before }),
            None => self.last = before,
        }
        waker
    }

    /// Calls `f` with the waiters on a channel of the address, oldest first, until it returns
    /// `false`. `f` may unlink the waiter that it is given.
    fn each(
        &mut self,
        address: usize,
        channel: Channel,
        mut f: impl FnMut(&mut Self, &Waiter, u64) -> bool,
    ) {
        let mut at = self.first;
        // SAFETY: `at` is null or in the list.
        while let Some(waiter) = unsafe { at.as_ref() } {
            // SAFETY: the lock is held. Read before `f`, which may end the waiter's life.
            at = waiter.links.with(|links| unsafe { (*links).behind });
            // SAFETY: the registration of a waiter does not change while it is in the list.
            let registration = waiter.registration.with(|registration| unsafe { *registration });
            if registration.address == address
                && registration.channel.overlaps(channel)
                && !f(self, waiter, registration.ticket)
            {
                return;
            }
        }
    }

    /// Takes a waiter out and makes it `CHOSEN`. The waiter may be gone afterwards.
    fn choose(&mut self, waiter: &Waiter) -> Option<Waker> {
        let waker = self.unlink(waiter);
        // Release: pairs with the Acquire in `Waiter::poll` and `stop`: the owner uses the memory
        // again. Invariant 1: this is the last access.
        waiter.state.store(CHOSEN, Release);
        waker
    }

    /// Chooses waiters that entered before the ticket `until`, and returns their number.
    fn take(
        &mut self,
        address: usize,
        channel: Channel,
        until: u64,
        wakers: &mut [Option<Waker>],
    ) -> usize {
        let mut taken = 0;
        self.each(address, channel, |list, waiter, ticket| {
            if taken == wakers.len() || ticket >= until {
                return false;
            }
            wakers[taken] = list.choose(waiter);
            taken += 1;
            true
        });
        taken
    }

    /// Chooses the first waiter if it was passed over. If it was not, it is from now on.
    fn take_if_passed_over(&mut self, address: usize, channel: Channel) -> Option<Waker> {
        let mut waker = None;
        self.each(address, channel, |list, waiter, _| {
            // SAFETY: the lock is held.
            let passed_over = waiter
                .links
                .with_mut(|links| unsafe { core::mem::replace(&mut (*links).passed_over, true) });
            if passed_over {
                waker = list.choose(waiter);
            }
            false
        });
        waker
    }

    /// Makes all waiters go before the threads that come: from the last one back to one of which
    /// that is known, so that a line of many is not walked for each wake.
    fn pass_over(&mut self, address: usize, channel: Channel) {
        let mut at = self.last;
        // SAFETY: `at` is null or in the list.
        while let Some(waiter) = unsafe { at.as_ref() } {
            // SAFETY: the registration of a waiter does not change while it is in the list.
            let registration = waiter.registration.with(|registration| unsafe { *registration });
            let concerned =
                registration.address == address && registration.channel.overlaps(channel);
            let (before, known) = waiter.links.with_mut(|links| {
                // SAFETY: the lock is held.
                let links = unsafe { &mut *links };
                let known = concerned && links.passed_over;
                links.passed_over |= concerned;
                (links.before, known)
            });
            if known {
                return;
            }
            at = before;
        }
    }
}

/// A place in the table of the tasks that wait. The module's documentation has its use.
///
/// It may move to another thread between two calls, and is used by one thread at a time.
pub struct Waiter {
    state: AtomicU8,
    /// Written by the owner while the waiter is `IDLE`.
    registration: UnsafeCell<Registration>,
    links: UnsafeCell<Links>,
    not_sync: PhantomData<core::cell::Cell<()>>,
    _pinned: PhantomPinned,
}

/// The word and the channel that a waiter waits for, and its place in the line.
#[derive(Clone, Copy)]
struct Registration {
    table: *const Table,
    address: usize,
    channel: Channel,
    ticket: u64,
}

/// The part of a waiter that other threads change while it is `QUEUED`, under the bucket's lock.
struct Links {
    before: *const Waiter,
    behind: *const Waiter,
    waker: Option<Waker>,
    /// A thread went first, or none slept: the next wake is this task's.
    passed_over: bool,
}

// SAFETY: the pointers are to waiters that live, and to tables, which live for good; other threads
// use the waiter under the bucket's lock only.
unsafe impl Send for Waiter {}

impl core::panic::UnwindSafe for Waiter {}
impl core::panic::RefUnwindSafe for Waiter {}

impl Waiter {
    const_new! {
        /// Creates a waiter that waits for nothing.
        pub const fn new() -> Self {
            Self {
                state: AtomicU8::new(IDLE),
                registration: UnsafeCell::new(Registration {
                    table: ptr::null(),
                    address: 0,
                    channel: Channel::ALL,
                    ticket: 0,
                }),
                links: UnsafeCell::new(Links {
                    before: ptr::null(),
                    behind: ptr::null(),
                    waker: None,
                    passed_over: false,
                }),
                not_sync: PhantomData,
                _pinned: PhantomPinned,
            }
        }
    }

    /// Starts to wait on a channel of `word` if `*word == expected`. Returns `false` if the word
    /// has another value; then nothing was registered.
    ///
    /// A wait that this waiter was in ends first, as with [`cancel`](Self::cancel).
    pub fn start(
        self: Pin<&Self>,
        word: &AtomicU32,
        expected: u32,
        channel: Channel,
        waker: &Waker,
    ) -> bool {
        self.cancel();
        // User code: before the lock (invariant 4), and before anything is registered.
        let waker = waker.clone();
        let address = ptr::from_ref(word).addr();
        let table = table::get();
        let bucket = table.bucket(address);
        // Relaxed: the fence that follows orders it.
        bucket.waiting.fetch_add(1, Relaxed);
        // SeqCst: pairs with the fence in `waiting_at` (invariant 2).
        fence(SeqCst);
        let mut list = bucket.lock();
        // Relaxed: ordered by the fence, or by the lock, after the change of every releaser that
        // does not find this waiter (invariant 2).
        if word.load(Relaxed) != expected {
            drop(list);
            // Relaxed: as in `call`.
            bucket.waiting.fetch_sub(1, Relaxed);
            user_code::dispose(waker);
            return false;
        }
        let ticket = list.tickets;
        list.tickets += 1;
        // SAFETY: the waiter is idle, so its memory belongs to this thread.
        self.registration.with_mut(|registration| unsafe {
            *registration = Registration { table, address, channel, ticket }
        });
        self.links.with_mut(|links| {
            // SAFETY: the links of an idle waiter belong to this thread too.
            let links = unsafe { &mut *links };
            (links.waker, links.passed_over) = (Some(waker), false);
        });
        list.push(&self);
        // Relaxed: the lock's release publishes it.
        self.state.store(QUEUED, Relaxed);
        true
    }

    /// Returns `Ready` if a wake has chosen this waiter, which is idle then and owns the wake; or
    /// if it is idle. Else `waker` is the one that is called.
    pub fn poll(self: Pin<&Self>, waker: &Waker) -> Poll<()> {
        // Acquire: pairs with the Release in `choose`.
        if self.state.load(Acquire) != QUEUED {
            return self.chosen();
        }
        let Some(bucket) = self.bucket() else { return self.forgotten() };
        let list = bucket.lock();
        // Relaxed: written under the lock.
        if self.state.load(Relaxed) != QUEUED {
            drop(list);
            return self.chosen();
        }
        // SAFETY: the waiter is `QUEUED` and the lock is held. `will_wake` is no user code.
        let same = self.links.with(|links| unsafe {
            (*links).waker.as_ref().is_some_and(|known| known.will_wake(waker))
        });
        drop(list);
        if same {
            return Poll::Pending;
        }
        // User code: outside the lock (invariant 4).
        let mut waker = Some(waker.clone());
        let list = bucket.lock();
        // Relaxed: written under the lock.
        let queued = self.state.load(Relaxed) == QUEUED;
        if queued {
            // SAFETY: the waiter is `QUEUED` and the lock is held.
            self.links
                .with_mut(|links| unsafe { core::mem::swap(&mut (*links).waker, &mut waker) });
        }
        drop(list);
        user_code::dispose(waker);
        if queued { Poll::Pending } else { self.chosen() }
    }

    /// Returns whether the waiter is registered and no wake has chosen it.
    pub fn is_waiting(&self) -> bool {
        // Relaxed: a snapshot.
        self.state.load(Relaxed) == QUEUED
    }

    /// Ends the wait. Returns `true` if it had consumed a wake: the caller uses the wake, or wakes
    /// another waiter of the same word and channel.
    pub fn stop(self: Pin<&Self>) -> bool {
        // Acquire: pairs with the Release in `choose`.
        match self.state.load(Acquire) {
            IDLE => return false,
            CHOSEN => return self.chosen().is_ready(),
            _ => {}
        }
        let Some(bucket) = self.bucket() else { return self.forgotten().is_pending() };
        let mut list = bucket.lock();
        // Relaxed: written under the lock.
        if self.state.load(Relaxed) != QUEUED {
            drop(list);
            return self.chosen().is_ready();
        }
        let waker = list.unlink(&self);
        // Relaxed: only the owner reads `IDLE`.
        self.state.store(IDLE, Relaxed);
        drop(list);
        // Relaxed: as in `call`.
        bucket.waiting.fetch_sub(1, Relaxed);
        user_code::dispose(waker);
        false
    }

    /// Ends the wait. If it had consumed a wake, wakes another waiter of the same word and channel
    /// (invariant 3). The word may be gone.
    #[cfg_attr(any(loom, sync_verify), track_caller)]
    pub fn cancel(self: Pin<&Self>) {
        if self.stop() {
            // SAFETY: the waiter is idle, so its memory belongs to this thread.
            let registration = self.registration.with(|registration| unsafe { *registration });
            // Only the address is used.
            let word = ptr::without_provenance(registration.address);
            super::wake_channel(word, 1, registration.channel);
        }
    }

    /// Makes a chosen waiter idle.
    fn chosen(&self) -> Poll<()> {
        // Relaxed: only the owner reads `IDLE`.
        self.state.store(IDLE, Relaxed);
        Poll::Ready(())
    }

    /// Makes a waiter idle that is in the table of the parent of this process. It has consumed no
    /// wake: the result is for a caller that loads its word again.
    #[cold]
    fn forgotten(&self) -> Poll<()> {
        // SAFETY: the threads that could use the waiter are in the parent.
        let waker = self.links.with_mut(|links| unsafe { (*links).waker.take() });
        user_code::dispose(waker);
        self.chosen()
    }

    /// Returns the bucket of a waiter that is `QUEUED`, unless it is in another process.
    fn bucket(&self) -> Option<&'static Bucket> {
        // SAFETY: the owner alone writes the registration, and not while the waiter is `QUEUED`.
        let registration = self.registration.with(|registration| unsafe { *registration });
        let table = table::existing()?;
        ptr::eq(table, registration.table).then(|| table.bucket(registration.address))
    }
}

impl Default for Waiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Waiter {
    #[cfg_attr(any(loom, sync_verify), track_caller)]
    fn drop(&mut self) {
        if crate::primitive::MODELLED && std::thread::panicking() {
            // The execution has failed, and its table is gone.
            return;
        }
        // SAFETY: a waiter that was started is pinned, and a dropped one does not move again.
        unsafe { Pin::new_unchecked(&*self) }.cancel();
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("waiting", &self.is_waiting()).finish()
    }
}

#[cfg(all(test, not(any(loom, sync_verify))))]
mod tests;
