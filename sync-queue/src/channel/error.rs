//! The errors of a channel, named as crossbeam-channel names them.

use core::error::Error;
use core::fmt;

use crate::buffer::{PopError, PushError};

/// All receivers are gone. The item is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// The reason why no item was sent. The item is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no room, or no receiver waiting.
    Full(T),
    /// All receivers are gone.
    Disconnected(T),
}

/// The reason why no item was sent in time. The item is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendTimeoutError<T> {
    /// There was no room in time.
    Timeout(T),
    /// All receivers are gone.
    Disconnected(T),
}

/// The reason why a send that a token can end sent nothing. The item is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendCancelError<T> {
    /// The token was cancelled while there was no room.
    Cancelled(T),
    /// All receivers are gone.
    Disconnected(T),
}

/// All senders are gone, and nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

/// The reason why no item was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is nothing at the moment.
    Empty,
    /// All senders are gone, and nothing is left.
    Disconnected,
}

/// The reason why no item was received in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// There was nothing in time.
    Timeout,
    /// All senders are gone, and nothing is left.
    Disconnected,
}

/// The reason why a receive that a token can end received nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvCancelError {
    /// The token was cancelled while there was nothing.
    Cancelled,
    /// All senders are gone, and nothing is left.
    Disconnected,
}

impl<T> SendError<T> {
    /// The item.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

const NO_RECEIVERS: &str = "sending on a channel without receivers";
const NO_SENDERS: &str = "receiving on a channel without senders";

macro_rules! display {
    ($Error:ident $(<$T:ident>)?, $($pattern:pat => $text:expr),+) => {
        impl $(<$T>)? fmt::Display for $Error $(<$T>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($pattern => $text),+ })
            }
        }

        impl $(<$T>)? Error for $Error $(<$T>)? {}
    };
}

display!(SendError<T>, Self(_) => NO_RECEIVERS);
display!(
    TrySendError<T>,
    Self::Full(_) => "sending on a full channel",
    Self::Disconnected(_) => NO_RECEIVERS
);
display!(
    SendTimeoutError<T>,
    Self::Timeout(_) => "timed out while sending",
    Self::Disconnected(_) => NO_RECEIVERS
);
display!(
    SendCancelError<T>,
    Self::Cancelled(_) => "cancelled while sending",
    Self::Disconnected(_) => NO_RECEIVERS
);
display!(
    RecvCancelError,
    Self::Cancelled => "cancelled while receiving",
    Self::Disconnected => NO_SENDERS
);
display!(RecvError, Self => NO_SENDERS);
display!(
    TryRecvError,
    Self::Empty => "receiving on an empty channel",
    Self::Disconnected => NO_SENDERS
);
display!(
    RecvTimeoutError,
    Self::Timeout => "timed out while receiving",
    Self::Disconnected => NO_SENDERS
);

macro_rules! gives_back {
    ($Error:ident, $Busy:ident, $is_busy:ident, $busy:literal) => {
        impl<T> $Error<T> {
            /// The item.
            #[must_use]
            pub fn into_inner(self) -> T {
                match self {
                    Self::$Busy(item) | Self::Disconnected(item) => item,
                }
            }

            #[doc = $busy]
            #[must_use]
            pub fn $is_busy(&self) -> bool {
                matches!(self, Self::$Busy(_))
            }

            /// Returns whether all receivers are gone.
            #[must_use]
            pub fn is_disconnected(&self) -> bool {
                matches!(self, Self::Disconnected(_))
            }
        }

        impl<T> fmt::Debug for $Error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    Self::$Busy(_) => concat!(stringify!($Busy), "(..)"),
                    Self::Disconnected(_) => "Disconnected(..)",
                })
            }
        }

        impl<T> From<PushError<T>> for $Error<T> {
            fn from(refused: PushError<T>) -> Self {
                match refused {
                    PushError::Full(item) => Self::$Busy(item),
                    PushError::Closed(item) => Self::Disconnected(item),
                }
            }
        }

        impl<T> From<SendError<T>> for $Error<T> {
            fn from(SendError(item): SendError<T>) -> Self {
                Self::Disconnected(item)
            }
        }
    };
}

gives_back!(TrySendError, Full, is_full, "Whether there was no room.");
gives_back!(SendTimeoutError, Timeout, is_timeout, "Whether there was no room in time.");

gives_back!(SendCancelError, Cancelled, is_cancelled, "Whether the token was cancelled.");

macro_rules! nothing {
    ($Error:ident, $Busy:ident, $is_busy:ident, $busy:literal) => {
        impl $Error {
            #[doc = $busy]
            #[must_use]
            pub fn $is_busy(&self) -> bool {
                matches!(self, Self::$Busy)
            }

            /// Returns whether all senders are gone.
            #[must_use]
            pub fn is_disconnected(&self) -> bool {
                matches!(self, Self::Disconnected)
            }
        }

        impl From<PopError> for $Error {
            fn from(why: PopError) -> Self {
                match why {
                    PopError::Empty => Self::$Busy,
                    PopError::Closed => Self::Disconnected,
                }
            }
        }

        impl From<RecvError> for $Error {
            fn from(RecvError: RecvError) -> Self {
                Self::Disconnected
            }
        }
    };
}

nothing!(TryRecvError, Empty, is_empty, "Whether there was nothing.");
nothing!(RecvTimeoutError, Timeout, is_timeout, "Whether there was nothing in time.");
nothing!(RecvCancelError, Cancelled, is_cancelled, "Whether the token was cancelled.");
