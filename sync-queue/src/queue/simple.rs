//! The queue with the least to it.

use core::fmt;
use core::iter::FusedIterator;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::time::Instant;

use sync_core::{CancelToken, Cancelled};

use crate::buffer::list::List;
use crate::buffer::{Buffer, PopError};
use crate::queue::blocking::Blocking;
use crate::queue::iter::{Iter, TryIter};
use crate::wait::timeout::Timeout;

/// A queue without a limit, without tasks and without a shutdown: a put always succeeds, and a get
/// waits.
///
/// Python's `queue.SimpleQueue`. Inside it is an unbounded [`Queue`](crate::Queue): linearisable;
/// no lock on the fast path; items leave in order, threads may overtake each other; a put and a get
/// each cost one read-modify-write and one store. A put never waits and runs no user code, so it
/// may be called from anywhere, an item's `Drop` included.
///
/// ```
/// use sync_queue::SimpleQueue;
///
/// let queue = SimpleQueue::new();
/// queue.put(1);
/// assert_eq!(queue.get(), 1);
/// assert_eq!(queue.try_get(), None);
/// ```
#[doc(alias = "queue.SimpleQueue")]
pub struct SimpleQueue<T> {
    shared: Blocking<List<T>>,
}

impl<T> SimpleQueue<T> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Blocking::new(List::new()) }
    }

    /// Puts an item. Never waits.
    #[inline]
    #[doc(alias = "put_nowait")]
    #[doc(alias = "send")]
    pub fn put(&self, item: T) {
        if self.shared.try_put(item).is_err() {
            unreachable!("this queue is never full and never closed");
        }
    }

    /// Puts all of `items`.
    pub fn put_many(&self, items: Vec<T>) {
        if self.shared.put_many(&mut items.into_iter(), Timeout::None).is_err() {
            unreachable!("this queue is never full and never closed");
        }
    }

    /// Gets the next item, waiting for one as long as it takes.
    #[inline]
    #[doc(alias = "recv")]
    pub fn get(&self) -> T {
        match self.shared.get(|| Timeout::Forever) {
            Ok(item) => item,
            Err(_) => unreachable!("this queue is never closed, and the wait has no end"),
        }
    }

    /// Gets the next item if there is one. Never sleeps.
    #[inline]
    #[doc(alias = "get_nowait")]
    #[doc(alias = "try_recv")]
    pub fn try_get(&self) -> Option<T> {
        self.shared.try_get().ok()
    }

    /// Gets the next item, waiting for one at most `timeout`.
    #[inline]
    #[doc(alias = "recv_timeout")]
    pub fn get_timeout(&self, timeout: Duration) -> Option<T> {
        self.shared.get(|| Timeout::For(timeout)).ok()
    }

    /// Gets the next item, waiting for one until `deadline`.
    #[inline]
    #[doc(alias = "recv_deadline")]
    pub fn get_deadline(&self, deadline: Instant) -> Option<T> {
        self.shared.get(|| Timeout::Until(deadline)).ok()
    }

    /// As [`get`](Self::get), as a task. Cancel-safe: a get that is dropped before it is done has
    /// taken no item, and a wake that it had consumed goes to the next one.
    ///
    /// ```
    /// use sync_core::task::block_on;
    /// use sync_queue::SimpleQueue;
    ///
    /// let queue = SimpleQueue::new();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| queue.put(7));
    ///     assert_eq!(block_on(queue.get_async()), 7);
    /// });
    /// ```
    #[doc(alias = "recv_async")]
    pub async fn get_async(&self) -> T {
        let done = match self.shared.try_get() {
            Err(PopError::Empty) => self.shared.waiting_to_get().await,
            done => done,
        };
        match done {
            Ok(item) => item,
            Err(_) => unreachable!("this queue is never closed, and the wait has no end"),
        }
    }

    /// As [`get`](Self::get), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while nothing was inside.
    pub fn get_or_cancelled(&self, token: &CancelToken) -> Result<T, Cancelled> {
        token.block_on(self.get_async())
    }

    /// As [`get_many`](Self::get_many), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while nothing was inside.
    pub fn get_many_or_cancelled(
        &self,
        out: &mut Vec<T>,
        max: usize,
        token: &CancelToken,
    ) -> Result<usize, Cancelled> {
        self.shared.get_many_or_cancelled(out, max, token).map_err(|_| Cancelled)
    }

    /// Waits for an item, then appends it and any that come with it to `out`, at most `max`; how
    /// many. Returns at once if `max` is 0.
    pub fn get_many(&self, out: &mut Vec<T>, max: usize) -> usize {
        match self.shared.get_many(out, max, Timeout::Forever) {
            Ok(count) => count,
            Err(_) => unreachable!("this queue is never closed, and the wait has no end"),
        }
    }

    /// Returns the number of items inside at the moment.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.shared.buffer.len()
    }

    /// Returns whether the queue is empty at the moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items, waiting for each, without end.
    pub fn iter(&self) -> Iter<'_, Self> {
        Iter { queue: self }
    }

    /// The items, until there is none.
    pub fn try_iter(&self) -> TryIter<'_, Self> {
        TryIter { queue: self }
    }
}

impl<T> FusedIterator for Iter<'_, SimpleQueue<T>> {}

// A panic leaves an item moved out or not, as in the other queues.
impl<T> UnwindSafe for SimpleQueue<T> {}
impl<T> RefUnwindSafe for SimpleQueue<T> {}

impl<T> Default for SimpleQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T> Iterator for Iter<'_, SimpleQueue<T>> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        Some(self.queue.get())
    }
}

impl<T> Iterator for TryIter<'_, SimpleQueue<T>> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.try_get()
    }
}

impl<'a, T> IntoIterator for &'a SimpleQueue<T> {
    type Item = T;
    type IntoIter = Iter<'a, SimpleQueue<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
