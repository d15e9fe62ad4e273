//! Messages between a process and a child of it, over a socket that keeps their boundaries.
//!
//! A message is a header of fixed length, a body, and descriptors. A body that is longer than
//! [`INLINE`] does not go through the socket: it is written into a memfd ([`Body`]), whose
//! descriptor goes with the header. A sender therefore never waits for its receiver as long as the
//! socket has room for one message, and a child can read its arguments although its parent was
//! killed meanwhile.
//!
//! Both ends run the same program. Lengths are checked all the same: a body is read up to the size
//! that the memfd has.

use core::mem::MaybeUninit;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

pub(crate) use super::body::{Body, INLINE};

use crate::connection::MAX_FDS;
use crate::eager::Eager;

/// The first word of every message.
const MAGIC: u32 = u32::from_le_bytes(*b"sIp1");

/// Bytes of a header: magic u32, flags u32, tag u64, length of the body u64.
const HEADER: usize = 24;

/// Flag: the body is in the memfd that is the first descriptor.
const BESIDE: u32 = 1;

/// Flag: the body is in the file that was lent for it.
const RETURNED: u32 = 2;

/// Flag: the last descriptor is a file that is lent for the outcome.
const LENDS: u32 = 4;

/// A message as it arrived.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) tag: u64,
    pub(crate) body: Body,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// A file for the outcome.
    pub(crate) lent: Option<OwnedFd>,
}

/// The two ends of a control socket.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

fn header(flags: u32, tag: u64, length: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&MAGIC.to_le_bytes());
    header[4..8].copy_from_slice(&flags.to_le_bytes());
    header[8..16].copy_from_slice(&tag.to_le_bytes());
    header[16..].copy_from_slice(&(length as u64).to_le_bytes());
    header
}

/// Sends a message, waiting for room in the socket.
///
/// # Errors
///
/// The errors of `sendmsg` and `memfd_create`; `InvalidInput` for more descriptors than the kernel
/// passes in one message.
pub(crate) fn send(
    socket: impl AsFd,
    tag: u64,
    body: &Body,
    descriptors: &[OwnedFd],
) -> io::Result<()> {
    send_lending(socket, tag, body, descriptors, None)
}

/// As [`send`], with a file that is lent for the outcome.
///
/// # Errors
///
/// As [`send`].
pub(crate) fn send_lending(
    socket: impl AsFd,
    tag: u64,
    body: &Body,
    descriptors: &[OwnedFd],
    lent: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    borrowed.extend(lent);
    let lends = if lent.is_some() { LENDS } else { 0 };
    let small;
    let (file, length) = match body {
        Body::Beside(file, length) => (file.as_fd(), *length),
        Body::Lent(file, length) => (file.as_fd(), *length),
        Body::Returned(length) => {
            let header = header(RETURNED | lends, tag, *length);
            return Ok(send_once(socket.as_fd(), &header, &[], &borrowed)?);
        }
        Body::Inline(bytes) => {
            match send_once(socket.as_fd(), &header(lends, tag, bytes.len()), bytes, &borrowed) {
                // A system with very small sockets.
                Err(Errno::MSGSIZE) => {}
                done => return Ok(done?),
            }
            small = Body::beside(bytes)?;
            match &small {
                Body::Beside(file, length) => (file.as_fd(), *length),
                _ => unreachable!("made beside"),
            }
        }
        Body::Kept(_) | Body::Mapped(..) => {
            let why = "a body without a descriptor is written into a file before it is sent";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
    };
    borrowed.insert(0, file);
    Ok(send_once(socket.as_fd(), &header(BESIDE | lends, tag, length), &[], &borrowed)?)
}

fn send_once(
    socket: BorrowedFd<'_>,
    header: &[u8],
    body: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let parts = [IoSlice::new(header), IoSlice::new(body)];
    loop {
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Errno::INVAL);
        }
        match sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                rustix::io::retry_on_intr(|| {
                    poll(&mut [PollFd::new(&socket, PollFlags::OUT)], None)
                })?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a message with this tag is the next one in the socket. Does not wait and takes nothing.
pub(crate) fn is_next(socket: impl AsFd, tag: u64) -> bool {
    let mut bytes = [0; HEADER];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recv(socket.as_fd(), &mut bytes[..], flags).map(|(count, _)| count)
    });
    received == Ok(HEADER) && bytes[..4] == MAGIC.to_le_bytes() && bytes[8..16] == tag.to_le_bytes()
}

/// Receives a message. Asks for it for a moment before it sleeps, if that helped before.
pub(crate) fn receive_eagerly(
    socket: impl AsFd,
    buffer: &mut Vec<u8>,
    eager: &Eager,
) -> io::Result<Received> {
    let mut asking = eager.begin();
    loop {
        match receive(socket.as_fd(), buffer, false)? {
            Received::Nothing if asking.turn() => {}
            Received::Nothing => return receive(socket, buffer, true),
            received => {
                asking.helped();
                return Ok(received);
            }
        }
    }
}

/// Receives a message. With `wait` unset, only a message that has arrived.
///
/// `buffer` is reused between calls.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut Vec<u8>, wait: bool) -> io::Result<Received> {
    buffer.resize(HEADER + INLINE, 0);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    if !wait {
        flags |= RecvFlags::DONTWAIT;
    }
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let parts = &mut [IoSliceMut::new(&mut buffer[..])];
        match recvmsg(socket.as_fd(), parts, &mut control, flags) {
            Ok(received) => break received,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if !wait => return Ok(Received::Nothing),
            Err(Errno::AGAIN) => {
                rustix::io::retry_on_intr(|| {
                    poll(&mut [PollFd::new(&socket, PollFlags::IN)], None)
                })?;
            }
            Err(Errno::CONNRESET) => return Ok(Received::End),
            Err(error) => return Err(error.into()),
        }
    };
    if received.bytes == 0 {
        return Ok(Received::End);
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            descriptors.extend(some);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        // The kernel has closed those that did not fit; these are closed here.
        let tag = buffer[..received.bytes].get(8..16).and_then(|tag| tag.try_into().ok());
        return Ok(Received::NoRoom { tag: tag.map_or(0, u64::from_le_bytes) });
    }
    parse(&buffer[..received.bytes], descriptors)
        .map(Received::Message)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a message of sync-ipc"))
}

/// The error of a message for whose descriptors this process has no room.
pub(crate) const NO_ROOM: &str = "there was no room for the descriptors of a message";

/// The result of [`receive`].
#[derive(Debug)]
pub(crate) enum Received {
    Message(Message),
    /// A message with this tag, for whose descriptors this process has no room. It is lost.
    NoRoom {
        tag: u64,
    },
    /// No message is there yet.
    Nothing,
    /// The other end is closed, or its process has ended.
    End,
}

fn parse(bytes: &[u8], mut descriptors: Vec<OwnedFd>) -> Option<Message> {
    let (header, inline) = bytes.split_at_checked(HEADER)?;
    let word = |at: usize| header[at..at + 4].try_into().map(u32::from_le_bytes).ok();
    let long = |at: usize| header[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    if word(0)? != MAGIC {
        return None;
    }
    let (flags, tag, length) = (word(4)?, long(8)?, usize::try_from(long(16)?).ok()?);
    let body = if flags & RETURNED != 0 {
        inline.is_empty().then_some(Body::Returned(length))?
    } else if flags & BESIDE == 0 {
        (inline.len() == length).then(|| Body::Inline(inline.to_vec()))?
    } else {
        if descriptors.is_empty() {
            return None;
        }
        Body::Beside(descriptors.remove(0), length)
    };
    let lent = if flags & LENDS == 0 { None } else { Some(descriptors.pop()?) };
    Some(Message { tag, body, descriptors, lent })
}

/// Waits until one of the descriptors can be read or is at its end, or until `timeout`. `None`
/// waits without limit. Returns which are.
pub(crate) fn wait_readable<const N: usize>(
    sources: [BorrowedFd<'_>; N],
    deadline: Option<std::time::Instant>,
) -> io::Result<[bool; N]> {
    let mut fds = sources.map(|source| PollFd::from_borrowed_fd(source, PollFlags::IN));
    loop {
        let left = deadline
            .map(|deadline| deadline.saturating_duration_since(std::time::Instant::now()))
            .map(|left| {
                Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
            });
        match poll(&mut fds, left.as_ref()) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(core::array::from_fn(|at| !fds[at].revents().is_empty()))
}
