#![doc = include_str!("../README.md")]

pub use sync_queue::channel::{
    IntoIter, Iter, ReadyTimeoutError, Receiver, RecvError, RecvTimeoutError, Select,
    SelectTimeoutError, SelectedOperation, SendError, SendTimeoutError, Sender, TryIter,
    TryReadyError, TryRecvError, TrySelectError, TrySendError, after, at, bounded, never, select,
    select_biased, tick, unbounded,
};

/// The macro behind crossbeam-channel's `select!`. Its own test suite calls it.
#[doc(hidden)]
#[macro_export]
macro_rules! crossbeam_channel_internal {
    ($($cases:tt)*) => {
        $crate::select! { $($cases)* }
    };
}
