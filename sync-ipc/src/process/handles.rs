//! Handles to shared objects as values of `serde`.
//!
//! A descriptor cannot be written into bytes: it travels next to them, and the bytes contain its
//! number among the descriptors of the message. So a handle can be serialised only while arguments
//! or results of a process are ([`encode`]), and be deserialised only there ([`decode`]); a
//! thread-local context holds the descriptors meanwhile. Anywhere else it is an error.
//!
//! A [`Segment`] that occurs several times in one message is one descriptor, and one participant in
//! the receiving process. An object is its segment and its name in it.

use core::cell::Cell;
use core::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::body::Output;
use super::codec::{self, Deserializer as Decoder, EncodeError, Serializer as Encoder};
use crate::connection::Connection;
use crate::plain::Plain;
use crate::queue::{Receiver, Sender};
use crate::segment::{Block, Segment};

const OUTSIDE: &str =
    "a handle can only be serialised among the arguments or the result of a process";

/// The descriptors of a message that is being written.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) descriptors: Vec<OwnedFd>,
    /// The segments, and their places in `descriptors`. A clone keeps the segment's descriptor
    /// open: the number of a closed one could come back as another segment's in this message.
    segments: Vec<(Segment, u32)>,
}

/// The descriptors of a message that is being read.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    descriptors: Vec<Option<OwnedFd>>,
    segments: Vec<(u32, Segment)>,
}

impl Incoming {
    pub(crate) fn new(descriptors: Vec<OwnedFd>) -> Self {
        Self { descriptors: descriptors.into_iter().map(Some).collect(), segments: Vec::new() }
    }

    fn take(&mut self, at: u32) -> Option<OwnedFd> {
        self.descriptors.get_mut(usize::try_from(at).ok()?)?.take()
    }
}

std::thread_local! {
    /// The context of the innermost [`within`] of this thread, or null.
    static OUTGOING: Cell<*mut Outgoing> = const { Cell::new(core::ptr::null_mut()) };
    static INCOMING: Cell<*mut Incoming> = const { Cell::new(core::ptr::null_mut()) };
}

/// Makes `value` the context in the thread-local `slot` while `act` runs, which may unwind. The
/// context before is in the slot again afterwards.
#[inline]
fn within<T: 'static, R>(
    slot: &'static std::thread::LocalKey<Cell<*mut T>>,
    value: &mut T,
    act: impl FnOnce() -> R,
) -> R {
    struct Restore<T: 'static>(&'static std::thread::LocalKey<Cell<*mut T>>, *mut T);
    impl<T> Drop for Restore<T> {
        #[inline]
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }
    let _restore = Restore(slot, slot.replace(value));
    act()
}

/// Uses the context in the slot, if there is one. `act` runs no code of the user's, and no
/// `inside` of the same slot.
fn inside<T: 'static, R>(
    slot: &'static std::thread::LocalKey<Cell<*mut T>>,
    act: impl FnOnce(&mut T) -> R,
) -> Option<R> {
    // SAFETY: a pointer in the slot is from the exclusive reference of a `within` of this thread
    // that has not returned, and that does not use it meanwhile. `act` reaches no other `inside`,
    // so this is the only reference.
    let context = unsafe { slot.get().as_mut() };
    context.map(act)
}

/// Appends the bytes of `value` to `output`, and its descriptors to `outgoing`. After an error
/// `output` is as long as before.
#[inline]
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    output: &mut Output,
    outgoing: &mut Outgoing,
) -> Result<(), EncodeError> {
    let before = output.len();
    let done = within(&OUTGOING, outgoing, || value.serialize(Encoder(&mut *output)));
    match done {
        Ok(()) => Ok(()),
        Err(error) => Err(give_up(error, output, before)),
    }
}

#[cold]
fn give_up(error: codec::Error, output: &mut Output, before: usize) -> EncodeError {
    output.truncate(before);
    output.take_error().map_or(EncodeError::Format(error), EncodeError::Io)
}

/// The bytes of `value`, whose descriptors are appended to `outgoing`.
pub(crate) fn encode_to_vec<T: Serialize + ?Sized>(
    value: &T,
    outgoing: &mut Outgoing,
) -> Result<Vec<u8>, EncodeError> {
    let mut output = Output::default();
    encode(value, &mut output, outgoing)?;
    let content = output.finish().and_then(super::body::Body::open).map_err(EncodeError::Io)?;
    Ok(content.into_vec())
}

/// Reads a value from the front of `bytes`.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &mut &[u8],
    incoming: &mut Incoming,
) -> Result<T, codec::Error> {
    // After an error or a panic, `bytes` is as it was.
    let mut rest = *bytes;
    let value = within(&INCOMING, incoming, || T::deserialize(Decoder(&mut rest)))?;
    *bytes = rest;
    Ok(value)
}

/// Reads `count` values, until one cannot be read. Returns their number. `bytes` begins with what
/// was not read.
pub(crate) fn decode_all<T: DeserializeOwned>(
    count: u32,
    bytes: &mut &[u8],
    incoming: &mut Incoming,
    values: &mut Vec<T>,
) -> u32 {
    within(&INCOMING, incoming, || {
        for read in 0..count {
            let mut rest = *bytes;
            let Ok(value) = T::deserialize(Decoder(&mut rest)) else { return read };
            values.push(value);
            *bytes = rest;
        }
        count
    })
}

/// Whether this thread reads the arguments or the result of a process.
#[cfg(feature = "manager")]
pub(crate) fn is_decoding() -> bool {
    !INCOMING.get().is_null()
}

/// Whether this thread serialises the arguments or the result of a process.
#[cfg(feature = "auth")]
pub(crate) fn is_encoding() -> bool {
    !OUTGOING.get().is_null()
}

fn push<E: serde::ser::Error>(descriptor: BorrowedFd<'_>) -> Result<u32, E> {
    inside(&OUTGOING, |outgoing| {
        outgoing.descriptors.push(descriptor.try_clone_to_owned()?);
        Ok(outgoing.descriptors.len() as u32 - 1)
    })
    .ok_or_else(|| E::custom(OUTSIDE))?
    .map_err(|error: std::io::Error| E::custom(error))
}

fn pull<E: serde::de::Error>(at: u32) -> Result<OwnedFd, E> {
    inside(&INCOMING, |incoming| incoming.take(at))
        .ok_or_else(|| E::custom(OUTSIDE))?
        .ok_or_else(|| E::custom("the message did not bring this descriptor"))
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.as_fd().as_raw_fd();
        let known = inside(&OUTGOING, |outgoing| {
            let is_own = |segment: &Segment| segment.as_fd().as_raw_fd() == own;
            outgoing.segments.iter().find(|(segment, _)| is_own(segment)).map(|(_, at)| *at)
        });
        let at = match known.flatten() {
            Some(at) => at,
            None => {
                let at = push::<S::Error>(self.as_fd())?;
                let segment = self.clone();
                inside(&OUTGOING, |outgoing| outgoing.segments.push((segment, at)));
                at
            }
        };
        serializer.serialize_u32(at)
    }
}

impl<'de> Deserialize<'de> for Segment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let at = u32::deserialize(deserializer)?;
        let known = inside(&INCOMING, |incoming| {
            incoming.segments.iter().find(|(place, _)| *place == at).map(|(_, known)| known.clone())
        });
        if let Some(segment) = known.flatten() {
            return Ok(segment);
        }
        let segment = Segment::from_fd(pull(at)?).map_err(D::Error::custom)?;
        let known = segment.clone();
        inside(&INCOMING, |incoming| incoming.segments.push((at, known)));
        Ok(segment)
    }
}

impl Serialize for Connection {
    /// The other process gets a descriptor of its own for this end. What this process has received
    /// in part stays here.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.is_plain() {
            return Err(S::Error::custom("a TLS connection stays with the process that made it"));
        }
        let at = push::<S::Error>(self.as_fd())?;
        (at, self.is_readable(), self.is_writable()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Connection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (at, readable, writable) = <(u32, bool, bool)>::deserialize(deserializer)?;
        Ok(Self::over(pull(at)?, readable, writable))
    }
}

macro_rules! half {
    ($half:ident) => {
        impl<T: Plain> Serialize for $half<T> {
            /// Only among the arguments or the result of a process. The message holds a half of its
            /// own until the other process has it.
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let end = self.another_end().map_err(S::Error::custom)?;
                (self.segment(), Descriptor(end)).serialize(serializer)
            }
        }

        impl<'de, T: Plain> Deserialize<'de> for $half<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (segment, end) = <(Segment, Descriptor)>::deserialize(deserializer)?;
                Self::with_end(&segment, end.0).map_err(D::Error::custom)
            }
        }
    };
}
half!(Sender);
half!(Receiver);

/// A descriptor among the arguments or the result of a process: a file, a socket, a pidfd.
///
/// ```
/// use std::io::Read;
/// use std::os::fd::OwnedFd;
///
/// use sync_ipc::{Descriptor, Process};
///
/// fn first_line(file: Descriptor) -> String {
///     let mut text = String::new();
///     std::fs::File::from(OwnedFd::from(file)).read_to_string(&mut text).unwrap();
///     text.lines().next().unwrap_or_default().to_owned()
/// }
/// sync_ipc::entry!(first_line);
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     sync_ipc::init();
///     let file = std::fs::File::open("/proc/version")?;
///     let line = Process::spawn(first_line, Descriptor::from(OwnedFd::from(file)))?.result()?;
///     assert!(line.starts_with("Linux"));
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Descriptor(OwnedFd);

impl From<OwnedFd> for Descriptor {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

impl From<Descriptor> for OwnedFd {
    fn from(descriptor: Descriptor) -> Self {
        descriptor.0
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        push::<S::Error>(self.as_fd())?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        pull(u32::deserialize(deserializer)?).map(Self)
    }
}

/// Bytes among the arguments or the result of a process, serialised in one piece. A `Vec<u8>` is
/// serialised byte by byte, which takes many times as long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes(pub Vec<u8>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        bytes.0
    }
}

impl core::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

pub(crate) fn serialize_object<S: Serializer>(
    block: &Block,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let segment = block.segment();
    let name = segment.name_of(block).map_err(S::Error::custom)?;
    (segment, name).serialize(serializer)
}
