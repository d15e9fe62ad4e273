//! The token.
//!
//! # Source
//!
//! `CancellationToken` of tokio-util: a tree of tokens. Here the flag is an [`Event`], so that
//! threads wait for it as well as tasks.
//!
//! # Invariants
//!
//! 1. A token's event is set before its children are taken out of its list, and a child is entered
//!    into the list, under its lock, only while the event is not set. So a child of a cancelled
//!    token is cancelled, whenever it was made.
//! 2. A token that is dropped leaves its parent's list. So a token holds nothing of the children
//!    that are gone.
//! 3. No lock is held while an event is set: wakers run there.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, TryLockError, Weak};
use std::time::Instant;

use crate::fork::ProcessMark;
use crate::primitive::sync::{Mutex, MutexGuard};
use crate::task::block_on::block_on;
use crate::wait::event::Event;

/// A request to stop, made once, that any number of threads and tasks can wait for: "this, or the
/// stop".
///
/// Clones are the same token. A [child](Self::child) is cancelled with its parent, and can be
/// cancelled alone.
///
/// # Examples
///
/// ```
/// use sync_core::{CancelToken, Cancelled, Semaphore};
///
/// let stop = CancelToken::new();
/// let seats = Semaphore::new(0);
/// std::thread::scope(|scope| {
///     let waits = scope.spawn(|| seats.acquire_or_cancelled(&stop).map(drop));
///     stop.cancel();
///     assert!(waits.join().unwrap().is_err());
/// });
/// ```
///
/// # Memory ordering
///
/// Everything that happened before [`cancel`](Self::cancel) happens before the return of every wait
/// that it ends, and before everything that follows an [`is_cancelled`](Self::is_cancelled) that
/// returned `true`.
#[derive(Clone)]
pub struct CancelToken {
    node: Arc<Node>,
}

struct Node {
    /// The process of the list. In its child the lock may be held forever, and the list in the
    /// middle of a change: a drop waits for neither.
    process: ProcessMark,
    cancelled: Event,
    /// The parent, and the key of this node in the parent's list.
    parent: Option<(Arc<Node>, u64)>,
    children: Mutex<Children>,
}

#[derive(Default)]
struct Children {
    next: u64,
    list: BTreeMap<u64, Weak<Node>>,
}

impl Node {
    fn new(parent: Option<(Arc<Self>, u64)>) -> Self {
        let (process, cancelled) = (ProcessMark::current(), Event::new());
        Self { process, cancelled, parent, children: Mutex::new(Children::default()) }
    }

    /// Nothing panics while the lock is held, so poison means nothing here.
    fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`children`](Self::children); `None` in the child of a fork if a thread of the parent
    /// holds the lock. Another thread of the child holds it for a moment only.
    fn children_within_reach(&self) -> Option<MutexGuard<'_, Children>> {
        if self.process.is_current() {
            return Some(self.children());
        }
        for _ in 0..100 {
            match self.children.try_lock() {
                Ok(children) => return Some(children),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        None
    }

    /// Leaves the parent's list (invariant 2), and returns the parent.
    fn unlink(&mut self) -> Option<Arc<Self>> {
        let (parent, key) = self.parent.take()?;
        let gone = if parent.process.is_current() {
            parent.children().list.remove(&key)
        } else {
            parent.children.try_lock().ok().and_then(|mut children| children.list.remove(&key))
        };
        drop(gone);
        Some(parent)
    }
}

impl Drop for Node {
    /// A loop and no recursion: a chain of tokens may be long.
    fn drop(&mut self) {
        if !self.process.is_current() && self.children.try_lock().is_err() {
            let empty = Mutex::new(Children::default());
            core::mem::forget(core::mem::replace(&mut self.children, empty));
        }
        let mut parent = self.unlink();
        while let Some(node) = parent {
            parent = Arc::into_inner(node).and_then(|mut node| node.unlink());
        }
    }
}

impl CancelToken {
    /// Creates a token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self { node: Arc::new(Node::new(None)) }
    }

    /// Creates a token that is cancelled when this token is, or alone.
    ///
    /// ```
    /// use sync_core::CancelToken;
    ///
    /// let parent = CancelToken::new();
    /// let (one, two) = (parent.child(), parent.child());
    /// one.cancel();
    /// assert!(one.is_cancelled() && !parent.is_cancelled() && !two.is_cancelled());
    /// parent.cancel();
    /// assert!(two.is_cancelled() && parent.child().is_cancelled());
    /// ```
    #[must_use]
    pub fn child(&self) -> Self {
        let mut children = self.node.children();
        if self.is_cancelled() {
            drop(children);
            let child = Self::new();
            child.cancel();
            return child;
        }
        let key = children.next;
        children.next += 1;
        let node = Arc::new(Node::new(Some((Arc::clone(&self.node), key))));
        children.list.insert(key, Arc::downgrade(&node));
        Self { node }
    }

    /// Cancels the token and its children, and ends every wait for them. A second call does
    /// nothing.
    ///
    /// In the child of a `fork` that came while another thread made, dropped or cancelled a child
    /// of the token, only the token itself is cancelled, after a tenth of a second.
    pub fn cancel(&self) {
        let mut pending = vec![Arc::clone(&self.node)];
        while let Some(node) = pending.pop() {
            node.cancelled.set();
            if let Some(mut children) = node.children_within_reach() {
                let children = core::mem::take(&mut children.list);
                pending.extend(children.into_values().filter_map(|child| child.upgrade()));
            }
        }
    }

    /// Returns whether the token was cancelled: one load.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.node.cancelled.is_set()
    }

    /// Returns an error if the token was cancelled: for a loop that works.
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    #[inline]
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Sleeps until the token is cancelled.
    pub fn wait(&self) {
        self.node.cancelled.wait();
    }

    /// Sleeps until the token is cancelled, for at most `timeout`. Returns whether it was. It is a
    /// sleep that can be ended from outside.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.node.cancelled.wait_timeout(timeout)
    }

    /// Like [`wait_timeout`](Self::wait_timeout), until `deadline` at most.
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.node.cancelled.wait_deadline(deadline)
    }

    /// Waits until the token is cancelled, as a task. Cancel-safe.
    ///
    /// ```
    /// use sync_core::{CancelToken, task::block_on};
    ///
    /// let token = CancelToken::new();
    /// let stop = token.clone();
    /// std::thread::spawn(move || stop.cancel());
    /// block_on(token.wait_async());
    /// ```
    pub async fn wait_async(&self) {
        self.node.cancelled.wait_async().await;
    }

    /// Runs a future until it has a result or the token is cancelled. Then the future is dropped.
    ///
    /// The future is polled first: a result that is there is returned, also if the token is
    /// cancelled.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the future waited.
    pub async fn until_cancelled<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        let mut future = pin!(future);
        let mut cancelled = pin!(self.wait_async());
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            cancelled.as_mut().poll(context).map(|()| Err(Cancelled))
        })
        .await
    }

    /// Like [`until_cancelled`](Self::until_cancelled), for a thread: it sleeps while the future
    /// waits.
    ///
    /// ```
    /// use sync_core::{CancelToken, Cancelled};
    ///
    /// let stop = CancelToken::new();
    /// assert_eq!(stop.block_on(async { 1 }), Ok(1));
    /// stop.cancel();
    /// assert_eq!(stop.block_on(core::future::pending::<()>()), Err(Cancelled));
    /// ```
    ///
    /// # Errors
    ///
    /// Like [`until_cancelled`](Self::until_cancelled).
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        block_on(self.until_cancelled(future))
    }

    /// Returns a guard whose drop cancels the token.
    #[must_use = "the token is cancelled as soon as the guard is dropped"]
    pub fn cancel_on_drop(self) -> CancelOnDrop {
        CancelOnDrop { token: Some(self) }
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// Cancels a token when it is dropped, unless it is [disarmed](Self::disarm).
#[derive(Debug)]
#[must_use = "the token is cancelled as soon as the guard is dropped"]
pub struct CancelOnDrop {
    token: Option<CancelToken>,
}

impl CancelOnDrop {
    /// Returns the token, which is not cancelled.
    pub fn disarm(mut self) -> CancelToken {
        self.token.take().unwrap_or_default()
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.cancel();
        }
    }
}

/// The error of a wait that a [`CancelToken`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the wait was cancelled")
    }
}

impl core::error::Error for Cancelled {}
