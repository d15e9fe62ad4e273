//! Handles to shared objects as values of `serde`.
//!
//! A descriptor cannot be written into bytes: it travels next to them, and the bytes contain its
//! number among the descriptors of the message. So a handle can be serialised only while arguments
//! or results of a process are ([`encode`]), and be deserialised only there ([`decode`]); a
//! thread-local context holds the descriptors meanwhile. Anywhere else it is an error.
//!
//! A [`Segment`] that occurs several times in one message is one descriptor, and one participant in
//! the receiving process. An object is its segment and its name in it.

use core::cell::RefCell;
use core::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
    static OUTGOING: RefCell<Option<Outgoing>> = const { RefCell::new(None) };
    static INCOMING: RefCell<Option<Incoming>> = const { RefCell::new(None) };
}

/// Puts `value` into the thread-local `slot` while `act` runs, and takes it out again, also when
/// `act` unwinds. A context that was in the slot before is in it again afterwards.
fn within<T: Default + 'static, R>(
    slot: &'static std::thread::LocalKey<RefCell<Option<T>>>,
    value: &mut T,
    act: impl FnOnce() -> R,
) -> R {
    struct Restore<'a, T: Default + 'static> {
        slot: &'static std::thread::LocalKey<RefCell<Option<T>>>,
        value: &'a mut T,
        before: Option<T>,
    }
    impl<T: Default> Drop for Restore<'_, T> {
        fn drop(&mut self) {
            let before = self.before.take();
            *self.value = self.slot.replace(before).unwrap_or_default();
        }
    }
    let before = slot.replace(Some(core::mem::take(value)));
    let _restore = Restore { slot, value, before };
    act()
}

/// Appends the bytes of `value` to `bytes`, and its descriptors to `outgoing`. After an error
/// `bytes` is as long as before.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
    outgoing: &mut Outgoing,
) -> Result<(), postcard::Error> {
    let before = bytes.len();
    let done =
        within(&OUTGOING, outgoing, || postcard::to_extend(value, Appending(bytes)).map(drop));
    if done.is_err() {
        bytes.truncate(before);
    }
    done
}

/// Lends a vector to postcard, which requires to own the vector that it extends.
struct Appending<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Appending<'_> {
    #[inline]
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

/// Reads a value from the front of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &mut &[u8],
    incoming: &mut Incoming,
) -> Result<T, postcard::Error> {
    let (value, rest) = within(&INCOMING, incoming, || postcard::take_from_bytes::<'_, T>(bytes))?;
    *bytes = rest;
    Ok(value)
}

/// Whether this thread reads the arguments or the result of a process.
#[cfg(feature = "manager")]
pub(crate) fn is_decoding() -> bool {
    INCOMING.with_borrow(Option::is_some)
}

/// Whether this thread serialises the arguments or the result of a process.
#[cfg(feature = "auth")]
pub(crate) fn is_encoding() -> bool {
    OUTGOING.with_borrow(Option::is_some)
}

fn push<E: serde::ser::Error>(descriptor: BorrowedFd<'_>) -> Result<u32, E> {
    OUTGOING.with_borrow_mut(|outgoing| {
        let outgoing = outgoing.as_mut().ok_or_else(|| E::custom(OUTSIDE))?;
        outgoing.descriptors.push(descriptor.try_clone_to_owned().map_err(E::custom)?);
        Ok(outgoing.descriptors.len() as u32 - 1)
    })
}

fn pull<E: serde::de::Error>(at: u32) -> Result<OwnedFd, E> {
    INCOMING.with_borrow_mut(|incoming| {
        let incoming = incoming.as_mut().ok_or_else(|| E::custom(OUTSIDE))?;
        incoming.take(at).ok_or_else(|| E::custom("the message did not bring this descriptor"))
    })
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.as_fd().as_raw_fd();
        let known = OUTGOING.with_borrow(|outgoing| {
            let segments = outgoing.as_ref().map(|outgoing| &outgoing.segments);
            let is_own = |segment: &Segment| segment.as_fd().as_raw_fd() == own;
            segments?.iter().find(|(segment, _)| is_own(segment)).map(|(_, at)| *at)
        });
        let at = match known {
            Some(at) => at,
            None => {
                let at = push::<S::Error>(self.as_fd())?;
                OUTGOING.with_borrow_mut(|outgoing| {
                    if let Some(outgoing) = outgoing {
                        outgoing.segments.push((self.clone(), at));
                    }
                });
                at
            }
        };
        serializer.serialize_u32(at)
    }
}

impl<'de> Deserialize<'de> for Segment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let at = u32::deserialize(deserializer)?;
        let known = INCOMING.with_borrow(|incoming| {
            let segments = &incoming.as_ref()?.segments;
            segments.iter().find(|(place, _)| *place == at).map(|(_, segment)| segment.clone())
        });
        if let Some(segment) = known {
            return Ok(segment);
        }
        let segment = Segment::from_fd(pull(at)?).map_err(D::Error::custom)?;
        INCOMING.with_borrow_mut(|incoming| {
            if let Some(incoming) = incoming {
                incoming.segments.push((at, segment.clone()));
            }
        });
        Ok(segment)
    }
}

impl Serialize for Connection {
    /// The other process gets a descriptor of its own for this end. What this process has received
    /// in part stays here.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
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
