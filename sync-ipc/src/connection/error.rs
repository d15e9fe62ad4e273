//! Why a message was not sent or received.

use std::{fmt, io};

use rustix::io::Errno;

use super::MAX_FDS;
use crate::error::Error;

/// Why a message was not sent or received.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The system refused.
    Io(io::Error),
    /// The other side is closed, between two messages; or its reading end is.
    Closed,
    /// The other side ended in the middle of a message.
    Interrupted,
    /// The message is longer than the maximum that was given. Nothing more can be received.
    TooLong {
        /// The length that the peer sent.
        length: u64,
    },
    /// The message is longer than the caller's buffer; here it is.
    BufferTooShort(Vec<u8>),
    /// The deadline passed. Nothing of the message was sent; a message that was received in part is
    /// kept for the next call.
    TimedOut,
    /// The deadline passed in the middle of the message. The rest of it goes first at the next
    /// send: do not send it again.
    SentInPart,
    /// This end of a one-way pipe only sends.
    NotReadable,
    /// This end of a one-way pipe only receives.
    NotWritable,
    /// The bytes are not a value of the requested type, or the value cannot be serialised.
    Format(postcard::Error),
    /// The message has no descriptors with it, or not as many as it declares.
    MissingDescriptors,
    /// More descriptors than one message can carry.
    TooManyDescriptors,
    /// The received descriptor is not a segment.
    Segment(Error),
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Closed => f.write_str("the other side is closed"),
            Self::Interrupted => f.write_str("the other side ended in the middle of a message"),
            Self::TooLong { length } => write!(f, "bad message length: {length} bytes"),
            Self::BufferTooShort(message) => {
                write!(f, "the buffer is too short for a message of {} bytes", message.len())
            }
            Self::TimedOut => f.write_str("the time was up"),
            Self::SentInPart => f.write_str("the time was up when a part of the message was sent"),
            Self::NotReadable => f.write_str("this end of the pipe only sends"),
            Self::NotWritable => f.write_str("this end of the pipe only receives"),
            Self::Format(error) => error.fmt(f),
            Self::MissingDescriptors => {
                f.write_str("the message did not bring the descriptors that it should")
            }
            Self::TooManyDescriptors => write!(f, "more than {MAX_FDS} descriptors in one message"),
            Self::Segment(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Format(error) => Some(error),
            Self::Segment(error) => Some(error),
            _ => None,
        }
    }
}

impl ConnectionError {
    pub(super) fn of_socket(error: Errno) -> Self {
        match error {
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Self::Closed,
            other => Self::Io(other.into()),
        }
    }
}
