//! A channel with two ends, under crossbeam-channel's names: a drop-in with `select!`.
//!
//! A [`Queue`](crate::Queue) with counted handles on each side: when the last handle of one side is
//! dropped, the channel is closed and the waiting threads of the other side are woken. It
//! disconnects in one step, in the same order as all sends: items sent before can be received, and
//! no item can be sent after.
//!
//! | crossbeam-channel | here |
//! |---|---|
//! | `bounded(n)`, `bounded(0)` (a rendezvous of sender and receiver), `unbounded()` | the same |
//! | `Sender`, `Receiver` and all their methods, `iter`, `try_iter`, `IntoIterator` | the same |
//! | `after`, `at`, `tick`, `never` | the same, without a thread or a queue behind them |
//! | `select!`, `select_biased!`, `Select`, `SelectedOperation` | the same; what is different is in the table below |
//! | – | `recv_async`, `send_async`; `drain`, `close`, `downgrade`, `is_disconnected` |
//!
//! | where they differ | crossbeam-channel | here |
//! |---|---|---|
//! | a send that was chosen between other sends, and left | – | its room is there again when the items before it are gone; at the end of the channel, at once |
//! | `select!` with a `default`, `try_select` | each case was not ready at some moment | there was one moment at which no case was |
//! | a `SelectedOperation` that is dropped | panics; the channel may hang | panics; the channel goes on |
//! | an item's expression in `select!` panics | the process aborts | the panic goes on |
//! | a receive that was chosen | its item is taken out when it is completed | when it is chosen |
//! | two items whose `Drop` panics, in a channel that is dropped | the second leaks | both are dropped |
//!
//! ```
//! use sync_queue::channel;
//!
//! let (sender, receiver) = channel::bounded(4);
//! std::thread::spawn(move || (0..3).try_for_each(|n| sender.send(n)));
//! assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2]);
//! ```
//!
//! | | linearisable | fast path | fair | atomic operations of a send and a receive |
//! |---|---|---|---|---|
//! | `bounded(n)`, `unbounded()` | yes | as [`Queue`](crate::Queue): no lock | items yes, threads no | as `Queue`: 1 read-modify-write, 1 store, each |
//! | `bounded(0)` | a send and a receive are one step of both | blocking: a lock over two lists | yes: the thread that has waited longest is served first | the lock's 2 read-modify-writes, each; 1 store for the thread that finds its partner waiting, 2 more of the lock's for a thread that gives up |
//!
//! Cloning and dropping an end is 1 read-modify-write more. With `bounded(0)` a send returns when
//! its item has been taken.
//!
//! # Tasks
//!
//! Threads and tasks send to and receive from the same channel. Two rules, which the documentation
//! of [`sync_core::task`] explains for every object:
//!
//! * A thread that polls tasks calls no blocking form (`send`, `recv`, `select!` without a
//!   `default`) of a channel that one of its own tasks waits for. The wake may be the task's, which
//!   goes on when it is polled, and the thread that would poll it sleeps. In a task there are
//!   `send_async` and `recv_async`; a destructor, a waker or a callback has `try_send` and
//!   `try_recv`.
//! * A future that was started and is kept without being polled keeps the event that it was chosen
//!   for until it is polled or dropped. The item, or the room, is there for every call that comes,
//!   but a waiter that sleeps already waits for the next one. With room for none, the item that was
//!   handed to a receive is that receive's. A drop passes both on.

mod error;
mod flavor;
mod operation;
mod select;
mod select_error;
mod select_macro;
mod task;
mod tick;
mod token;
mod zero;

use core::fmt;
use core::iter::FusedIterator;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::pin::pin;
use core::time::Duration;
use std::time::Instant;

pub use error::{
    RecvCancelError, RecvError, RecvTimeoutError, SendCancelError, SendError, SendTimeoutError,
    TryRecvError, TrySendError,
};
use flavor::{Channel, Flavor};
pub use select::{Select, SelectedOperation};
pub use select_error::{ReadyTimeoutError, SelectTimeoutError, TryReadyError, TrySelectError};
use sync_core::primitive::sync::Arc;
use sync_core::{CancelToken, Cancelled};
#[cfg(feature = "futures-core")]
pub use task::RecvStream;
pub use task::{RecvFuture, SendFuture};

pub use crate::{select, select_biased};

/// Names that the macros expand to. No promise to users.
#[doc(hidden)]
pub mod internal {
    pub use super::select::{Case, no_such_case, select, select_timeout, try_select};
}

use crate::wait::timeout::Timeout;

/// The sending end. Clone it for more producers.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

/// The receiving end. Clone it for more consumers.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
}

/// A handle that becomes a [`Sender`] while there is one. From [`Sender::downgrade`].
pub struct WeakSender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> WeakSender<T> {
    /// Returns a sender, unless all senders are gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.channel.try_add_sender().then(|| Sender { channel: Arc::clone(&self.channel) })
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self { channel: Arc::clone(&self.channel) }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}

/// A channel with room for `capacity` items; with room for none, each send waits until a receive
/// takes its item.
///
/// # Panics
///
/// If there is no memory for `capacity` items: it is allocated at once.
#[must_use]
#[track_caller]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(Flavor::bounded(capacity))
}

/// A channel without a limit.
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    pair(Flavor::unbounded())
}

/// A channel for the package that has crossbeam-channel's name: the items behind one whose drop
/// panics leak, which a test of crossbeam-channel demands.
#[doc(hidden)]
#[must_use]
pub fn leaking<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let flavor = capacity.map_or_else(Flavor::unbounded, Flavor::bounded);
    ends(Channel::new(flavor, 1).leaking())
}

/// A receiver that gets one item, the time, `duration` from now.
#[must_use]
pub fn after(duration: Duration) -> Receiver<Instant> {
    // Past the end of the clock is never.
    Instant::now().checked_add(duration).map_or_else(never, at)
}

/// A receiver that gets one item, the time, at `when`.
#[must_use]
pub fn at(when: Instant) -> Receiver<Instant> {
    receiver(Flavor::ticks(Some(when), None))
}

/// A receiver that gets the time every `period`. Ticks that no thread received in time are left
/// out.
#[must_use]
pub fn tick(period: Duration) -> Receiver<Instant> {
    receiver(Flavor::ticks(Instant::now().checked_add(period), Some(period)))
}

/// A receiver that never gets anything, and is never disconnected.
#[must_use]
pub fn never<T>() -> Receiver<T> {
    receiver(Flavor::Never)
}

fn pair<T>(flavor: Flavor<T>) -> (Sender<T>, Receiver<T>) {
    ends(Channel::new(flavor, 1))
}

fn ends<T>(channel: Channel<T>) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(channel);
    (Sender { channel: Arc::clone(&channel) }, Receiver { channel })
}

fn receiver<T>(flavor: Flavor<T>) -> Receiver<T> {
    Receiver { channel: Arc::new(Channel::new(flavor, 0)) }
}

macro_rules! both_ends {
    ($End:ident) => {
        impl<T> $End<T> {
            /// Returns the number of items inside at the moment.
            #[must_use]
            pub fn len(&self) -> usize {
                self.channel.flavor.len()
            }

            /// Returns whether the channel is empty at the moment.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Returns whether there is no room at the moment: always if there is room for none,
            /// never if there is no limit.
            #[must_use]
            pub fn is_full(&self) -> bool {
                self.capacity().is_some_and(|capacity| self.len() >= capacity)
            }

            /// Returns the number of items that there is room for in all; `None`: no limit.
            #[must_use]
            pub fn capacity(&self) -> Option<usize> {
                self.channel.flavor.capacity()
            }

            /// Returns whether both are ends of the same channel. All receivers of [`never()`] are.
            #[must_use]
            pub fn same_channel(&self, other: &Self) -> bool {
                self.channel.is_same(&other.channel)
            }
        }

        impl<T> fmt::Debug for $End<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($End))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .finish_non_exhaustive()
            }
        }
    };
}

both_ends!(Sender);
both_ends!(Receiver);

impl<T> Sender<T> {
    /// Returns whether no item can be sent any more: all receivers are gone, or the channel was
    /// closed.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.channel.receivers() == 0 || self.channel.is_closed()
    }

    /// Closes the channel for all handles, as if all senders were gone: no item can be sent any
    /// more, and receivers get what is inside, then the end.
    ///
    /// ```
    /// let (sender, receiver) = sync_queue::channel::unbounded();
    /// let other = sender.clone();
    /// sender.send(1).unwrap();
    /// sender.close();
    /// assert!(other.send(2).is_err());
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn close(&self) {
        self.channel.flavor.close();
    }

    /// Returns a handle that does not keep the channel connected.
    ///
    /// ```
    /// let (sender, receiver) = sync_queue::channel::unbounded();
    /// let weak = sender.downgrade();
    /// weak.upgrade().unwrap().send(1).unwrap();
    /// drop(sender);
    /// assert!(weak.upgrade().is_none());
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1]);
    /// ```
    #[must_use]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { channel: Arc::clone(&self.channel) }
    }

    /// Sends an item, waiting for room as a task does. The future runs on any executor.
    ///
    /// If the future is dropped before it is ready, the item is sent or dropped with it.
    ///
    /// ```
    /// use sync_core::task::block_on;
    ///
    /// let (sender, receiver) = sync_queue::channel::bounded(1);
    /// block_on(sender.send_async(7)).unwrap();
    /// assert_eq!(block_on(receiver.recv_async()), Ok(7));
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError`] with the item if all receivers are gone.
    pub fn send_async(&self, item: T) -> SendFuture<'_, T> {
        SendFuture::new(self, item)
    }

    /// Sends an item, waiting for room as long as it takes.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the item if all receivers are gone.
    #[inline]
    #[doc(alias = "put")]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        self.channel
            .flavor
            .send(item, Timeout::Forever)
            .map_err(|refused| SendError(refused.into_inner()))
    }

    /// As [`send`](Self::send), until the token is cancelled at most.
    ///
    /// ```
    /// use sync_core::CancelToken;
    /// use sync_queue::channel::{SendCancelError, bounded};
    ///
    /// let (stop, (sender, _receiver)) = (CancelToken::new(), bounded(0));
    /// stop.cancel();
    /// assert_eq!(sender.send_or_cancelled(1, &stop), Err(SendCancelError::Cancelled(1)));
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendCancelError`] with the item.
    pub fn send_or_cancelled(
        &self,
        item: T,
        token: &CancelToken,
    ) -> Result<(), SendCancelError<T>> {
        let mut send = pin!(self.send_async(item));
        match token.block_on(send.as_mut()) {
            Ok(sent) => sent.map_err(SendCancelError::from),
            // `None`: a receiver took it at the last moment.
            Err(Cancelled) => match send.give_up() {
                Some(item) => Err(SendCancelError::Cancelled(item)),
                None => Ok(()),
            },
        }
    }

    /// Sends an item if there is room, or a receiver waiting. Never sleeps.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] with the item.
    #[inline]
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        self.channel.flavor.send(item, Timeout::None).map_err(TrySendError::from)
    }

    /// Sends an item, waiting for room at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`] with the item.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.channel.flavor.send(item, Timeout::For(timeout)).map_err(SendTimeoutError::from)
    }

    /// Sends an item, waiting for room until `deadline`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`] with the item.
    pub fn send_deadline(&self, item: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.channel.flavor.send(item, Timeout::Until(deadline)).map_err(SendTimeoutError::from)
    }
}

impl<T> Receiver<T> {
    /// Returns whether all senders are gone, or the channel was closed. Items that were sent before
    /// may still be inside. Always `false` for [`after`], [`at`], [`tick`] and [`never()`].
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.channel.senders() == 0 || self.channel.is_closed()
    }

    /// Closes the channel for all handles: see [`Sender::close`]. Does nothing to [`after`],
    /// [`at`], [`tick`] and [`never()`].
    pub fn close(&self) {
        self.channel.flavor.close();
    }

    /// Receives the items that are inside at the moment, at most as many as there are when the call
    /// begins. With room for none: items whose receiver has gone, for example a
    /// [`recv_async`](Self::recv_async) that was dropped.
    ///
    /// ```
    /// let (sender, receiver) = sync_queue::channel::unbounded();
    /// (0..3).for_each(|n| sender.send(n).unwrap());
    /// assert_eq!(receiver.drain(), [0, 1, 2]);
    /// ```
    #[must_use]
    pub fn drain(&self) -> Vec<T> {
        self.channel.flavor.drain()
    }

    /// Receives the next item, waiting for one as a task does. The future runs on any executor.
    ///
    /// If the future is dropped, no item is lost: another receive gets it.
    ///
    /// The ticks of [`after`], [`at`] and [`tick`] can be awaited too: the first such wait of a
    /// process starts a thread, which wakes the tasks that wait for clocks.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_core::task::block_on;
    /// use sync_queue::channel::tick;
    ///
    /// let ticks = tick(Duration::from_millis(1));
    /// block_on(async {
    ///     let first = ticks.recv_async().await.unwrap();
    ///     assert!(ticks.recv_async().await.unwrap() > first);
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecvError`] if all senders are gone and nothing is left inside.
    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture::new(self)
    }

    /// Receives the next item, waiting for one as long as it takes.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if all senders are gone and nothing is left inside.
    #[inline]
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.channel.flavor.recv(Timeout::Forever).map_err(|_| RecvError)
    }

    /// As [`recv`](Self::recv), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`RecvCancelError`].
    pub fn recv_or_cancelled(&self, token: &CancelToken) -> Result<T, RecvCancelError> {
        match self.channel.flavor {
            Flavor::Queue(_) | Flavor::Zero(_) | Flavor::Never => {
                match token.block_on(self.recv_async()) {
                    Ok(received) => received.map_err(RecvCancelError::from),
                    Err(Cancelled) => Err(RecvCancelError::Cancelled),
                }
            }
            Flavor::Ticks(_) => loop {
                if let Ok(item) = self.try_recv() {
                    return Ok(item);
                }
                let cancelled = match self.channel.flavor.due() {
                    Some(due) => token.wait_deadline(due),
                    None => {
                        token.wait();
                        true
                    }
                };
                if cancelled {
                    return Err(RecvCancelError::Cancelled);
                }
            },
        }
    }

    /// Receives the next item if there is one, or a sender waiting. Never sleeps, but for a
    /// millisecond at most if the sender that waits is a select, which has to wake up.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.channel.flavor.recv(Timeout::None).map_err(TryRecvError::from)
    }

    /// Receives the next item, waiting for one at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.channel.flavor.recv(Timeout::For(timeout)).map_err(RecvTimeoutError::from)
    }

    /// Receives the next item, waiting for one until `deadline`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.channel.flavor.recv(Timeout::Until(deadline)).map_err(RecvTimeoutError::from)
    }

    /// The items as a stream, until all senders are gone and nothing is left. A stream that is
    /// dropped loses no item.
    #[cfg(feature = "futures-core")]
    #[cfg_attr(docsrs, doc(cfg(feature = "futures-core")))]
    pub fn stream(&self) -> RecvStream<'_, T> {
        RecvStream::new(self)
    }

    /// The items, waiting for each, until all senders are gone and nothing is left.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The items, until there is none.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.channel.add_sender();
        Self { channel: Arc::clone(&self.channel) }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.channel.add_receiver();
        Self { channel: Arc::clone(&self.channel) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.remove_receiver();
    }
}

/// The items of a channel, waiting for each. From [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The items of a channel that are there. From [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The items of a channel, waiting for each. From [`Receiver`]'s `into_iter`.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}

impl<T> FusedIterator for IntoIter<T> {}

// A panic leaves an item moved out or not. The channel itself is as it was before or after a whole
// step.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for WeakSender<T> {}
impl<T> RefUnwindSafe for WeakSender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}
