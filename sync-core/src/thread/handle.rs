//! The handle of a thread: for several joiners, each of which sees the outcome.

use core::fmt;
use core::ops::Deref;
use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::record::Thread;
use crate::fork::ProcessMark;
use crate::primitive::cell::UnsafeCell;
use crate::user_code::{self, Payload};
use crate::wait::event::Event;

/// The outcome of a thread.
pub(super) enum Outcome<T> {
    Returned(T),
    Panicked(Panic),
}

/// A panic: its message for every joiner, its payload for the first joiner that takes it.
pub(super) struct Panic {
    message: Arc<str>,
    /// It belongs to the thread that sets `taken`. Not a lock: a child of a fork would wait for it
    /// forever if another thread of the parent held it.
    payload: UnsafeCell<Option<Payload>>,
    taken: AtomicBool,
    /// Whether a handle has returned it.
    seen: Arc<AtomicBool>,
}

// SAFETY: the payload, which is `Send`, goes to the one thread that sets `taken`.
unsafe impl Sync for Panic {}

impl Panic {
    pub(super) fn new(message: Arc<str>, payload: Payload) -> Self {
        let seen = Arc::new(AtomicBool::new(false));
        let (payload, taken) = (UnsafeCell::new(Some(payload)), AtomicBool::new(false));
        Self { message, payload, taken, seen }
    }

    fn see(&self) {
        // Relaxed: the thread that looks at it has joined, or has waited for, the thread that sets
        // it, or did so itself.
        self.seen.store(true, Relaxed);
    }
}

/// The panics of a scope's threads, some of which no handle may ever return.
#[derive(Clone)]
pub(super) struct Unseen {
    /// The process of the scope: its child reads no list, so it adds nothing, and waits for no
    /// lock.
    process: ProcessMark,
    panics: Arc<Mutex<Panics>>,
}

/// The messages of panics, and whether a handle has returned each.
type Panics = Vec<(Arc<str>, Arc<AtomicBool>)>;

impl Unseen {
    pub(super) fn new(process: ProcessMark) -> Self {
        Self { process, panics: Arc::default() }
    }

    pub(super) fn add(&self, panic: &Panic) {
        if self.process.is_current() {
            self.panics().push((Arc::clone(&panic.message), Arc::clone(&panic.seen)));
        }
    }

    /// Returns the message of the first panic that no handle has returned.
    pub(super) fn first(&self) -> Option<Arc<str>> {
        // Relaxed: as in `Panic::see`.
        self.panics().iter().find(|(_, seen)| !seen.load(Relaxed)).map(|(text, _)| Arc::clone(text))
    }

    fn panics(&self) -> MutexGuard<'_, Panics> {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A payload that no joiner took is dropped with the last handle, wherever that is: its `Drop` is
/// user code that the owner of the handle does not expect.
impl Drop for Panic {
    fn drop(&mut self) {
        if let Some(payload) = self.take() {
            user_code::dispose_payload(payload);
        }
    }
}

/// The place into which the thread writes its outcome.
pub(super) struct Packet<T> {
    outcome: UnsafeCell<Option<Outcome<T>>>,
}

impl<T> Packet<T> {
    pub(super) fn new() -> Self {
        Self { outcome: UnsafeCell::new(None) }
    }

    /// # Safety
    ///
    /// Called once, by the thread, before its event is set (invariant 1 of the module).
    pub(super) unsafe fn put(&self, outcome: Outcome<T>) {
        // SAFETY: invariant 1: no thread reads yet and no other thread writes.
        self.outcome.with_mut(|place| unsafe { *place = Some(outcome) });
    }
}

// SAFETY: the outcome moves from the thread to the thread that holds the last handle.
unsafe impl<T: Send> Send for Packet<T> {}
// SAFETY: the thread writes before any thread reads (invariants 1 and 2 of the module) and does not
// use the packet afterwards. The bounds of `JoinHandle` make sure that only one thread reads where
// `T` is not `Sync`.
unsafe impl<T: Send> Sync for Packet<T> {}

/// The right to wait for a thread's end and to see its outcome. Dropping it detaches the thread.
///
/// It may be cloned: every joiner gets a reference to the result, and
/// [`into_result`](Self::into_result) gives it to the holder of the last handle. It is also a
/// [`Thread`], by `Deref`. Because several threads may see the result, handles leave the thread
/// that started the other only if the result is `Sync`.
///
/// # Memory ordering
///
/// Everything the thread did happens before a join of it returns, and before [`Thread::is_alive`]
/// returns `false`.
pub struct JoinHandle<T> {
    thread: Thread,
    packet: Arc<Packet<T>>,
}

// SAFETY: to share a handle is to share the outcome, to send one is to send the outcome or share
// it.
unsafe impl<T: Send + Sync> Send for JoinHandle<T> {}
// SAFETY: `&JoinHandle` gives a reference to the outcome and clones of the handle, and no more.
unsafe impl<T: Send + Sync> Sync for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    pub(super) fn new(thread: Thread, packet: Arc<Packet<T>>) -> Self {
        Self { thread, packet }
    }

    /// Sleeps until the thread is over, and returns a reference to its result. Any thread may call
    /// it again.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] if a panic ended the thread, for every joiner;
    /// [`JoinError::CurrentThread`] if the thread joins itself; [`JoinError::OtherProcess`] in the
    /// child of a fork if the thread was running at the fork, and stayed behind.
    pub fn join(&self) -> Result<&T, JoinError> {
        self.join_by(|finished| {
            finished.wait();
            true
        })
    }

    /// Like [`join`](Self::join), for at most `timeout`. A timeout too long for the clock means
    /// forever.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join); [`JoinError::TimedOut`] if the thread still runs then.
    pub fn join_timeout(&self, timeout: Duration) -> Result<&T, JoinError> {
        self.join_by(|finished| finished.wait_timeout(timeout))
    }

    /// Like [`join_timeout`](Self::join_timeout), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// Like [`join_timeout`](Self::join_timeout).
    pub fn join_deadline(&self, deadline: Instant) -> Result<&T, JoinError> {
        self.join_by(|finished| finished.wait_deadline(deadline))
    }

    /// Like [`join`](Self::join), without waiting.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join); [`JoinError::TimedOut`] if the thread still runs.
    pub fn try_join(&self) -> Result<&T, JoinError> {
        self.join_by(Event::is_set)
    }

    /// Waits until the thread is over, as a task, and returns a reference to its result.
    ///
    /// Cancel-safe: a wait that is dropped has no effect.
    ///
    /// ```
    /// use sync_core::{task::block_on, thread};
    ///
    /// let handle = thread::spawn(|| 6 * 7).unwrap();
    /// assert_eq!(block_on(handle.join_async()), Ok(&42));
    /// ```
    ///
    /// # Errors
    ///
    /// Like [`join`](Self::join); [`JoinError::CurrentThread`] if the first poll is in the thread
    /// itself.
    pub async fn join_async(&self) -> Result<&T, JoinError> {
        if let Some(finished) = self.to_wait_for()? {
            finished.wait_async().await;
        }
        self.outcome()
    }

    /// Returns the outcome, after `wait` has returned that the thread is over.
    fn join_by(&self, wait: impl FnOnce(&Event) -> bool) -> Result<&T, JoinError> {
        match self.to_wait_for()? {
            Some(finished) if !wait(finished) => Err(JoinError::TimedOut),
            _ => self.outcome(),
        }
    }

    /// Returns the event of the thread's end, unless the thread is over.
    fn to_wait_for(&self) -> Result<Option<&Event>, JoinError> {
        if self.thread.is_current() {
            return Err(JoinError::CurrentThread);
        }
        let finished = self.thread.finished();
        if finished.is_set() {
            Ok(None)
        } else if self.thread.lives_here() {
            Ok(Some(finished))
        } else {
            Err(JoinError::OtherProcess)
        }
    }

    /// The result itself, if the thread is over and this is the last handle of it; a panic with its
    /// payload, as from `std`'s `join`.
    ///
    /// # Errors
    ///
    /// The handle, if there are others or the thread still runs, or ran at the fork of this process
    /// and stayed behind.
    pub fn into_result(self) -> Result<std::thread::Result<T>, Self> {
        if !self.thread.finished().is_set() {
            return Err(self);
        }
        let Self { thread, packet } = self;
        match Arc::try_unwrap(packet) {
            Ok(packet) => Ok(match packet.outcome.into_inner() {
                Some(Outcome::Returned(value)) => Ok(value),
                Some(Outcome::Panicked(panic)) => {
                    panic.see();
                    Err(panic.take().unwrap_or_else(|| Box::new(Arc::clone(&panic.message))))
                }
                None => unreachable!("the outcome is there before the event is set"),
            }),
            Err(packet) => Err(Self { thread, packet }),
        }
    }

    /// Takes the payload of the panic that ended the thread; only the first caller gets it. Never
    /// waits.
    pub fn take_panic(&self) -> Option<Payload> {
        if !self.thread.finished().is_set() {
            return None;
        }
        match self.read() {
            Outcome::Panicked(panic) => {
                panic.see();
                panic.take()
            }
            Outcome::Returned(_) => None,
        }
    }

    /// Returns the thread.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    fn outcome(&self) -> Result<&T, JoinError> {
        match self.read() {
            Outcome::Returned(value) => Ok(value),
            Outcome::Panicked(panic) => {
                panic.see();
                Err(JoinError::Panicked(Arc::clone(&panic.message)))
            }
        }
    }

    /// Returns the outcome of a thread whose event was seen set.
    fn read(&self) -> &Outcome<T> {
        // SAFETY: invariants 1 and 2 of the module: the event was seen set, so it is written and
        // only read from now on.
        let outcome = self.packet.outcome.with(|outcome| unsafe { &*outcome });
        outcome.as_ref().expect("the outcome is there before the event is set")
    }
}

impl Panic {
    fn take(&self) -> Option<Payload> {
        // Relaxed: the thread that joined has seen the outcome, and with it the payload; the
        // exchange only decides which thread takes it.
        if self.taken.swap(true, Relaxed) {
            return None;
        }
        // SAFETY: one thread comes here, and there is no other access.
        self.payload.with_mut(|payload| unsafe { (*payload).take() })
    }
}

impl<T> Deref for JoinHandle<T> {
    type Target = Thread;
    fn deref(&self) -> &Thread {
        &self.thread
    }
}

impl<T> Clone for JoinHandle<T> {
    fn clone(&self) -> Self {
        Self { thread: self.thread.clone(), packet: Arc::clone(&self.packet) }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.thread).finish()
    }
}

/// The reason why a join returned no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// A panic ended the thread; its message.
    Panicked(Arc<str>),
    /// The thread tried to join itself.
    CurrentThread,
    /// The thread still runs.
    TimedOut,
    /// The thread is in the process that this one was forked from; it never ends here.
    OtherProcess,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "the thread panicked: {message}"),
            Self::CurrentThread => f.write_str("cannot join the current thread"),
            Self::TimedOut => f.write_str("the thread still runs"),
            Self::OtherProcess => f.write_str("the thread is in the parent of this process"),
        }
    }
}

impl core::error::Error for JoinError {}
