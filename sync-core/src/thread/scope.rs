//! Threads that borrow: `std::thread::scope` with the threads of this module.
//!
//! Invariants, cited by the SAFETY comments:
//!
//! 1. A thread of a scope is in the scope's list before it starts, and [`scope`] does not return or
//!    unwind before the event of every thread in the list is set. A thread that starts another one
//!    does so before its own event is set, so a list that is empty after all waits stays empty.
//! 2. When the event of a thread is set, everything that its closure owned and its result (unless a
//!    handle has it, whose type has the result's lifetime) are gone.
//!
//! In the child of a fork the threads do not run, so nothing uses what they borrowed, and the scope
//! waits for none of them.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::builder::Builder;
use super::error::SpawnError;
use super::handle::{JoinHandle, Unseen};
use super::record::Thread;
use crate::fork::ProcessMark;
use crate::user_code::{self, AbortOnUnwind};
use crate::wait::event::Event;

/// Starts threads that borrow from outside of [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    /// The process of the threads.
    process: ProcessMark,
    running: Arc<Mutex<Vec<Thread>>>,
    unseen: Unseen,
    /// Invariant in `'scope`: a longer one would let a thread borrow what ends before the scope.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// Calls `f` with a [`Scope`], and joins all threads that were started in it, daemons too, before
/// it returns: so they may borrow what lives outside of the scope. It is `std::thread::scope` with
/// the handles of this module: they may be cloned, and their joins can time out.
///
/// ```
/// use std::time::Duration;
/// use sync_core::thread::{self, Builder};
///
/// let words = vec!["one", "two"];
/// let total = thread::scope(|scope| {
///     let lengths = scope.spawn(|| words.iter().map(|word| word.len()).sum::<usize>()).unwrap();
///     let printer = Builder::new().name("printer");
///     let printer = printer.spawn_scoped(scope, || assert_eq!(words.len(), 2)).unwrap();
///     assert!(printer.join_timeout(Duration::from_secs(60)).is_ok());
///     *lengths.join().unwrap()
/// });
/// assert_eq!(total, 6);
/// drop(words);
/// ```
///
/// # Panics
///
/// With the panic of `f`; or, after all threads are joined, if a panic ended a thread and no handle
/// has returned that panic ([`JoinHandle::join`], [`JoinHandle::take_panic`]).
///
/// # Memory ordering
///
/// Everything that the threads did happens before the return.
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let process = ProcessMark::current();
    let scope = Scope {
        process,
        running: Arc::default(),
        unseen: Unseen::new(process),
        scope: PhantomData,
        env: PhantomData,
    };
    let running = Arc::clone(&scope.running);
    let result = user_code::run(|| f(&scope));
    // Invariant 1, however this function is left.
    let guard = AbortOnUnwind::new("thread::scope could not wait for its threads");
    scope.join_all();
    guard.disarm();
    if !scope.process.is_current() {
        // The list may be locked, and in the middle of a change, by a thread that is not here: it
        // is not even dropped.
        core::mem::forget(running);
        return result.unwrap_or_else(|payload| resume_unwind(payload));
    }
    match (result, scope.unseen.first()) {
        (Err(payload), _) => resume_unwind(payload),
        (Ok(value), None) => value,
        (Ok(value), Some(message)) => {
            user_code::dispose(value);
            panic!("a scoped thread panicked: {message}");
        }
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a thread in the scope: [`Builder::spawn_scoped`] with the defaults.
    ///
    /// # Errors
    ///
    /// Like [`Builder::spawn_scoped`].
    pub fn spawn<F, T>(&'scope self, body: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        Builder::new().spawn_scoped(self, body)
    }

    /// Sleeps until the threads that were started so far are over, for at most `timeout`. Returns
    /// whether they are. A timeout too long for the clock means forever.
    ///
    /// The end of the scope waits without a limit; this call is for a program that wants to report
    /// a thread that does not end, or to ask it more firmly. A thread of the scope may not call it:
    /// it would wait for itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// let stop = sync_core::Event::new();
    /// sync_core::thread::scope(|scope| {
    ///     scope.spawn(|| stop.wait()).unwrap();
    ///     assert!(!scope.join_timeout(Duration::from_millis(1)));
    ///     stop.set();
    ///     assert!(scope.join_timeout(Duration::MAX));
    /// });
    /// ```
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        self.join_by(|finished| match deadline {
            Some(deadline) => finished.wait_deadline(deadline),
            None => {
                finished.wait();
                true
            }
        })
    }

    /// Like [`join_timeout`](Self::join_timeout), until `deadline`.
    pub fn join_deadline(&self, deadline: Instant) -> bool {
        self.join_by(|finished| finished.wait_deadline(deadline))
    }

    /// Waits with `wait` for the threads that were started so far, until it returns `false`.
    /// Returns whether all are over.
    pub(crate) fn join_by(&self, wait: impl Fn(&Event) -> bool) -> bool {
        if !self.process.is_current() {
            return true;
        }
        let threads = self.running().clone();
        threads.iter().all(|thread| wait(thread.finished()))
    }

    /// Waits until the threads that were started so far are over, as a task.
    ///
    /// Cancel-safe: a wait that is dropped has no effect. The end of the scope waits all the same.
    ///
    /// ```
    /// use sync_core::{task::block_on, thread};
    ///
    /// let words = vec!["one", "two"];
    /// thread::scope(|scope| {
    ///     let first = scope.spawn(|| words[0].len()).unwrap();
    ///     block_on(async {
    ///         assert_eq!(first.join_async().await, Ok(&3));
    ///         scope.join_async().await;
    ///     });
    /// });
    /// ```
    pub async fn join_async(&self) {
        if self.process.is_current() {
            let threads = self.running().clone();
            for thread in threads {
                thread.finished().wait_async().await;
            }
        }
    }

    fn join_all(&self) {
        // The process is compared before each wait: `f` may have returned in the child of a fork.
        while self.process.is_current() {
            let Some(thread) = self.running().pop() else { break };
            thread.finished().wait();
        }
    }

    fn add(&self, thread: &Thread) -> Result<(), SpawnError> {
        if !self.process.is_current() {
            return Err(SpawnError::ShutDown);
        }
        let mut running = self.running();
        // Threads that have ended need no join: a scope that lives long does not grow.
        if running.len() == running.capacity() {
            running.retain(Thread::is_alive);
        }
        running.push(thread.clone());
        Ok(())
    }

    /// No user code runs under this lock. Only for the process of the scope: a child's copy may be
    /// held forever.
    fn running(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Builder {
    /// Starts the thread in a [`scope`]: it may borrow what lives longer than the scope.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn); [`SpawnError::ShutDown`] if the scope is that of the process that
    /// this one was forked from.
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        body: F,
    ) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        // SAFETY: invariants 1 and 2: `'scope` ends after `scope` has returned, and that is after
        // the thread's event is set.
        unsafe {
            self.spawn_unchecked(body, |thread| scope.add(thread), Some(scope.unseen.clone()))
        }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Scope");
        if self.process.is_current() {
            out.field("threads", &self.running().len());
        }
        out.finish_non_exhaustive()
    }
}
