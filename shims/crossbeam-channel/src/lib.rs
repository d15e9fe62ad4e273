#![doc = include_str!("../README.md")]

pub use sync_queue::channel::{
    IntoIter, Iter, ReadyTimeoutError, Receiver, RecvError, RecvTimeoutError, Select,
    SelectTimeoutError, SelectedOperation, SendError, SendTimeoutError, Sender, TryIter,
    TryReadyError, TryRecvError, TrySelectError, TrySendError, after, at, never, select,
    select_biased, tick,
};

/// A channel with room for `capacity` items; with 0, a send waits for its receive.
#[must_use]
#[track_caller]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    sync_queue::channel::leaking(Some(capacity))
}

/// A channel without a limit.
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    sync_queue::channel::leaking(None)
}

/// The macro behind crossbeam-channel's `select!`. Its own test suite calls it.
#[doc(hidden)]
#[macro_export]
macro_rules! crossbeam_channel_internal {
    ($($cases:tt)*) => {
        $crate::select! { $($cases)* }
    };
}
