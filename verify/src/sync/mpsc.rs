//! Replaces `std::sync::mpsc`: channels made of this crate's mutex and condition variables.

use super::{Arc, Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

#[doc(no_inline)]
pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

struct State<T> {
    items: VecDeque<T>,
    /// Items that have been received, ever.
    taken: usize,
    /// Items that have been sent, ever.
    sent: usize,
    senders: usize,
    receiver: bool,
}

struct Channel<T> {
    state: Mutex<State<T>>,
    /// The capacity; `Some(0)` is a rendezvous.
    bound: Option<usize>,
    filled: Condvar,
    emptied: Condvar,
}

impl<T> Channel<T> {
    #[track_caller]
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    #[track_caller]
    fn add_sender(&self) {
        self.lock().senders += 1;
    }

    #[track_caller]
    fn remove_sender(&self) {
        let mut state = self.lock();
        state.senders -= 1;
        if state.senders == 0 {
            self.filled.notify_all();
        }
    }
}

fn channel_with<T>(bound: Option<usize>) -> Arc<Channel<T>> {
    Arc::new(Channel {
        state: Mutex::new(State {
            items: VecDeque::new(),
            taken: 0,
            sent: 0,
            senders: 1,
            receiver: true,
        }),
        bound,
        filled: Condvar::new(),
        emptied: Condvar::new(),
    })
}

/// A channel without a bound.
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let channel = channel_with(None);
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// A channel in which `bound` items fit.
#[track_caller]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let channel = channel_with(Some(bound));
    (SyncSender { channel: channel.clone() }, Receiver { channel })
}

/// The sending half of a channel without a bound.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

/// The sending half of a channel with a bound.
pub struct SyncSender<T> {
    channel: Arc<Channel<T>>,
}

/// The receiving half of a channel.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends an item.
    ///
    /// # Errors
    /// Gives the item back when the receiver is gone.
    #[track_caller]
    pub fn send(&self, msg: T) -> Result<(), SendError<T>> {
        let mut state = self.channel.lock();
        if !state.receiver {
            return Err(SendError(msg));
        }
        state.items.push_back(msg);
        state.sent += 1;
        self.channel.filled.notify_one();
        Ok(())
    }
}

impl<T> SyncSender<T> {
    /// Sends an item when there is room; without room at all, when it has been received.
    ///
    /// # Errors
    /// Gives the item back when the receiver is gone.
    #[track_caller]
    pub fn send(&self, msg: T) -> Result<(), SendError<T>> {
        let bound = self.channel.bound.unwrap_or(usize::MAX);
        let mut state = self.channel.lock();
        while state.receiver && state.items.len() >= bound.max(1) {
            state = self.channel.emptied.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        if !state.receiver {
            return Err(SendError(msg));
        }
        state.items.push_back(msg);
        state.sent += 1;
        let mine = state.sent;
        self.channel.filled.notify_one();
        if bound == 0 {
            while state.receiver && state.taken < mine {
                state = self.channel.emptied.wait(state).unwrap_or_else(|e| e.into_inner());
            }
            if state.taken < mine {
                return Err(SendError(state.items.pop_back().expect("the item is still there")));
            }
        }
        Ok(())
    }

    /// Sends an item if there is room.
    ///
    /// # Errors
    /// Gives the item back when there is no room or the receiver is gone.
    #[track_caller]
    pub fn try_send(&self, msg: T) -> Result<(), TrySendError<T>> {
        let bound = self.channel.bound.unwrap_or(usize::MAX);
        let mut state = self.channel.lock();
        if !state.receiver {
            return Err(TrySendError::Disconnected(msg));
        }
        if state.items.len() >= bound {
            return Err(TrySendError::Full(msg));
        }
        state.items.push_back(msg);
        state.sent += 1;
        self.channel.filled.notify_one();
        Ok(())
    }
}

impl<T> Receiver<T> {
    fn taken(&self, state: &mut State<T>) {
        state.taken += 1;
        if self.channel.bound.is_some() {
            self.channel.emptied.notify_all();
        }
    }

    /// Waits for an item.
    ///
    /// # Errors
    /// When there is none and every sender is gone.
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        let mut state = self.channel.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                self.taken(&mut state);
                return Ok(item);
            }
            if state.senders == 0 {
                return Err(RecvError);
            }
            state = self.channel.filled.wait(state).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// Takes an item if there is one.
    ///
    /// # Errors
    /// When there is none.
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.channel.lock();
        match state.items.pop_front() {
            Some(item) => {
                self.taken(&mut state);
                Ok(item)
            }
            None if state.senders == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Waits for an item; the time may run out.
    ///
    /// # Errors
    /// When the time ran out, or there is none and every sender is gone.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let start = crate::time::Instant::now();
        let mut state = self.channel.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                self.taken(&mut state);
                return Ok(item);
            }
            if state.senders == 0 {
                return Err(RecvTimeoutError::Disconnected);
            }
            let Some(left) = timeout.checked_sub(start.elapsed()).filter(|d| !d.is_zero()) else {
                return Err(RecvTimeoutError::Timeout);
            };
            state =
                self.channel.filled.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    /// The items, each waited for, until every sender is gone.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// The items that are there.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }
}

/// See [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T>(&'a Receiver<T>);

/// See [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T>(&'a Receiver<T>);

/// The items of a channel, which it owns.
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T> Iterator for Iter<'_, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;
    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for Sender<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        self.channel.add_sender();
        Sender { channel: self.channel.clone() }
    }
}

impl<T> Clone for SyncSender<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        self.channel.add_sender();
        SyncSender { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> Drop for SyncSender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.channel.lock();
        state.receiver = false;
        let items = std::mem::take(&mut state.items);
        self.channel.emptied.notify_all();
        drop(state);
        drop(items);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
