//! Messages between two processes over a Unix socket, and descriptors with them.
//!
//! **Frames**, as Python's `multiprocessing` has them: a length in 4 bytes, most significant first;
//! for 2 GiB and more, -1 and a length in 8 bytes; then the message. A message of descriptors has
//! the same frame, with the descriptors attached to its first byte.
//!
//! All calls on the socket are non-blocking, and the waiting is done by `poll`, against one
//! deadline, which the wait for other threads of the process counts towards. A message that was
//! received in part at the deadline is kept, and the next receive goes on with it; a message that
//! was sent in part goes first at the next send. So a stopped peer costs time and no more.
//!
//! **Nothing is believed of a peer's frame.** Memory is taken as bytes arrive, and a message longer
//! than the caller's maximum is an error that ends the receiving side, because nothing sensible can
//! follow. Descriptors are taken with the first byte of a frame, if the caller asked for some, and
//! not more than that; the kernel closes all others, or they are closed at once.
//!
//! **`fork`.** An end may be used by a child that was forked meanwhile; that is how a parent hands
//! one over. A message that another thread of the parent had received or sent in part stays with
//! the parent: a child begins with the next byte of the stream ([`PerProcess`]).

use core::mem::MaybeUninit;
use core::time::Duration;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
    recvmsg, sendmsg, shutdown, socketpair, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_core::fork::ProcessMark;
use sync_core::{Mutex, MutexGuard};

pub use crate::error::MAX_FDS;
use crate::error::{ConnectionError, OrIo};
use crate::segment::Segment;

/// The longest message that [`Connection::recv`] takes.
pub const DEFAULT_MAX: usize = 1 << 30;

const DESCRIPTORS: &[u8; 4] = b"fds:";

impl ConnectionError {
    fn of_socket(error: Errno) -> Self {
        match error {
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Self::Closed,
            other => Self::Io(other.into()),
        }
    }
}

type Result<T, E = ConnectionError> = core::result::Result<T, E>;

/// One end of a two-way or one-way pipe of messages.
///
/// Threads of this process may use an end together; a timeout holds whatever the other threads do.
/// Processes should not: two processes that write into one end mix their frames. Give
/// each its own pipe, or use a [`Queue`](crate::Queue). A child that is forked while no message is
/// on its way may take an end over.
///
/// ```
/// let (ours, theirs) = sync_ipc::pipe()?;
/// ours.send(&("sum", vec![1_u32, 2, 3]))?;
/// let (what, numbers): (String, Vec<u32>) = theirs.recv()?;
/// assert_eq!((what.as_str(), numbers.iter().sum()), ("sum", 6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Connection {
    socket: OwnedFd,
    incoming: Option<PerProcess<Incoming>>,
    outgoing: Option<PerProcess<Vec<u8>>>,
}

/// The part of a message that has arrived.
#[derive(Default)]
struct Incoming {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    /// There were more descriptors than the caller asked for, or than this process has room for.
    lost: bool,
    /// After a message that was too long.
    ended: bool,
}

/// The state of one direction of a connection, behind a lock, in each process that uses it.
///
/// A thread of the parent that was inside at a fork is not in the child, and would hold the lock of
/// the child's copy without end; and the state may be half changed. So a child begins with a new
/// state, and never looks at the old one again.
struct PerProcess<T> {
    /// Never null. Freed in the process that made it only.
    current: AtomicPtr<Owned<T>>,
}

struct Owned<T> {
    process: ProcessMark,
    state: Mutex<T>,
}

impl<T: Default> PerProcess<T> {
    fn new() -> Self {
        Self { current: AtomicPtr::new(Self::fresh()) }
    }

    fn fresh() -> *mut Owned<T> {
        let owned = Owned { process: ProcessMark::current(), state: Mutex::new(T::default()) };
        Box::into_raw(Box::new(owned))
    }

    fn state(&self) -> &Mutex<T> {
        // Acquire: pairs with the Release of the exchange.
        let mut current = self.current.load(Ordering::Acquire);
        // SAFETY: not null, and freed in `drop` only.
        while !unsafe { &(*current).process }.is_current() {
            let fresh = Self::fresh();
            let order = (Ordering::AcqRel, Ordering::Acquire);
            match self.current.compare_exchange(current, fresh, order.0, order.1) {
                // The old one is the parent's, in whatever state it was: it is never touched again.
                Ok(_) => current = fresh,
                Err(other) => {
                    // SAFETY: made above, and seen by no other thread.
                    drop(unsafe { Box::from_raw(fresh) });
                    current = other;
                }
            }
        }
        // SAFETY: as above; a state of this process is replaced in its children only.
        unsafe { &(*current).state }
    }

    /// Locks the state, waiting for other threads until `deadline`.
    fn lock(&self, deadline: Option<Instant>) -> Result<MutexGuard<'_, T>> {
        match deadline {
            None => Ok(self.state().lock()),
            Some(deadline) => {
                self.state().try_lock_until(deadline).ok_or(ConnectionError::TimedOut)
            }
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let current = *self.current.get_mut();
        // SAFETY: not null, and not yet freed.
        if unsafe { &(*current).process }.is_current() {
            // SAFETY: made by `Box::into_raw` in this process, and no longer borrowed. No part of
            // another process's state may be dropped: it may have been copied half changed.
            drop(unsafe { Box::from_raw(current) });
        }
    }
}

/// The two ends of a two-way pipe.
///
/// # Errors
///
/// If this process has too many descriptors.
#[doc(alias = "Pipe")]
pub fn pipe() -> io::Result<(Connection, Connection)> {
    let (one, other) = sockets()?;
    Ok((Connection::over(one, true, true), Connection::over(other, true, true)))
}

/// The two ends of a one-way pipe: the first receives, the second sends.
///
/// # Errors
///
/// If this process has too many descriptors.
pub fn one_way_pipe() -> io::Result<(Connection, Connection)> {
    let (reader, writer) = sockets()?;
    shutdown(&reader, Shutdown::Write).or_io()?;
    Ok((Connection::over(reader, true, false), Connection::over(writer, false, true)))
}

fn sockets() -> io::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).or_io()
}

/// Returns the indices of the `sources` that can be received from without waiting, or are at their
/// end.
/// Empty when the time is up; `None` waits without a limit.
///
/// Anything with a descriptor may be waited for next to connections: a socket, a pidfd.
///
/// # Errors
///
/// The errors of `poll`; a descriptor that is not open.
pub fn wait(sources: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut fds: Vec<PollFd<'_>> =
        sources.iter().map(|source| PollFd::from_borrowed_fd(*source, PollFlags::IN)).collect();
    poll_until(&mut fds, deadline).or_io()?;
    if fds.iter().any(|fd| fd.revents().contains(PollFlags::NVAL)) {
        return Err(Errno::BADF.into());
    }
    Ok(fds
        .iter()
        .enumerate()
        .filter(|(_, fd)| !fd.revents().is_empty())
        .map(|(index, _)| index)
        .collect())
}

/// Whether anything happened by the deadline.
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> Result<bool, Errno> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| {
            Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
        });
        match poll(fds, timeout.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn after(timeout: Duration) -> Option<Instant> {
    // Past the end of the clock is no deadline.
    Instant::now().checked_add(timeout)
}

/// Lets the kernel notice within about ten seconds that the machine of a TCP peer is gone.
#[cfg(feature = "manager")]
pub(crate) fn keep_alive(socket: BorrowedFd<'_>) {
    // A system that refuses has limits of its own.
    let _ = sockopt::set_socket_keepalive(socket, true);
    let _ = sockopt::set_tcp_keepidle(socket, Duration::from_secs(5));
    let _ = sockopt::set_tcp_keepintvl(socket, Duration::from_secs(1));
    let _ = sockopt::set_tcp_keepcnt(socket, 5);
    let _ = sockopt::set_tcp_user_timeout(socket, 10_000);
}

impl Connection {
    pub(crate) fn over(socket: OwnedFd, readable: bool, writable: bool) -> Self {
        Self {
            socket,
            incoming: readable.then(PerProcess::new),
            outgoing: writable.then(PerProcess::new),
        }
    }

    /// The end of a two-way pipe that another process passed to us.
    ///
    /// # Errors
    ///
    /// If it is not a Unix stream socket.
    pub fn from_fd(socket: OwnedFd) -> io::Result<Self> {
        let domain = sockopt::socket_domain(&socket).or_io()?;
        if domain != AddressFamily::UNIX
            || sockopt::socket_type(&socket).or_io()? != SocketType::STREAM
        {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a Unix stream socket"));
        }
        Ok(Self::over(socket, true, true))
    }

    /// Connects to a [`Listener`].
    ///
    /// # Errors
    ///
    /// The errors of `connect`.
    #[doc(alias = "Client")]
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::over(UnixStream::connect(path)?.into(), true, true))
    }

    /// Whether it receives.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.incoming.is_some()
    }

    /// Whether it sends.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Sends a value.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`]. A value that cannot be serialised sends nothing.
    pub fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.send_bytes(&postcard::to_stdvec(value).map_err(ConnectionError::Format)?)
    }

    /// Receives a value of at most [`DEFAULT_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`].
    pub fn recv<T: DeserializeOwned>(&self) -> Result<T> {
        postcard::from_bytes(&self.recv_bytes(DEFAULT_MAX)?).map_err(ConnectionError::Format)
    }

    /// As [`recv`](Self::recv), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`].
    pub fn recv_timeout<T: DeserializeOwned>(&self, timeout: Duration) -> Result<T> {
        postcard::from_bytes(&self.recv_bytes_timeout(DEFAULT_MAX, timeout)?)
            .map_err(ConnectionError::Format)
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`].
    pub fn send_bytes(&self, message: &[u8]) -> Result<()> {
        self.send_frame(message, &[], None)
    }

    /// Sends a message, waiting at most `timeout` for room and for other threads that send.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::TimedOut`]: nothing of the message was sent.
    /// [`ConnectionError::SentInPart`]: its rest goes first at the next send. Other variants.
    pub fn send_bytes_timeout(&self, message: &[u8], timeout: Duration) -> Result<()> {
        self.send_frame(message, &[], after(timeout))
    }

    /// Receives a message of at most `max` bytes.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`].
    pub fn recv_bytes(&self, max: usize) -> Result<Vec<u8>> {
        Ok(self.recv_frame(max, 0, None)?.0)
    }

    /// As [`recv_bytes`](Self::recv_bytes), waiting at most `timeout` for all of it, and for other
    /// threads that receive.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`].
    pub fn recv_bytes_timeout(&self, max: usize, timeout: Duration) -> Result<Vec<u8>> {
        Ok(self.recv_frame(max, 0, after(timeout))?.0)
    }

    /// Receives a message into a buffer; its length.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::BufferTooShort`] with the message; other variants.
    pub fn recv_bytes_into(&self, buffer: &mut [u8]) -> Result<usize> {
        let message = self.recv_bytes(DEFAULT_MAX)?;
        match buffer.get_mut(..message.len()) {
            None => Err(ConnectionError::BufferTooShort(message)),
            Some(place) => {
                place.copy_from_slice(&message);
                Ok(message.len())
            }
        }
    }

    /// Whether something can be received, or the other side is closed, within `timeout`.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::NotReadable`]; the errors of `poll`.
    pub fn poll(&self, timeout: Duration) -> Result<bool> {
        if !self.is_readable() {
            return Err(ConnectionError::NotReadable);
        }
        poll_until(&mut [PollFd::new(&self.socket, PollFlags::IN)], after(timeout))
            .map_err(ConnectionError::of_socket)
    }

    /// Sends descriptors: the other process gets descriptors of its own for the same files.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::TooManyDescriptors`] above [`MAX_FDS`], with nothing sent; other
    /// variants.
    pub fn send_fds(&self, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        if descriptors.len() > MAX_FDS {
            return Err(ConnectionError::TooManyDescriptors);
        }
        let mut message = DESCRIPTORS.to_vec();
        message.extend_from_slice(&(descriptors.len() as u32).to_be_bytes());
        self.send_frame(&message, descriptors, None)
    }

    /// Receives descriptors, as many as the other side sent.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::MissingDescriptors`] if the message is of another kind; other variants.
    pub fn recv_fds(&self) -> Result<Vec<OwnedFd>> {
        self.recv_fds_up_to(MAX_FDS)
    }

    /// Receives descriptors, at most `max` of them.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::MissingDescriptors`] if the message is another one, or has more: then all
    /// are closed, and the next message can be received. Other variants.
    pub fn recv_fds_up_to(&self, max: usize) -> Result<Vec<OwnedFd>> {
        let (message, descriptors) = self.recv_frame(DEFAULT_MAX, max, None)?;
        let count = message
            .strip_prefix(DESCRIPTORS)
            .and_then(|count| Some(u32::from_be_bytes(count.try_into().ok()?)));
        if count.and_then(|count| usize::try_from(count).ok()) != Some(descriptors.len()) {
            return Err(ConnectionError::MissingDescriptors);
        }
        Ok(descriptors)
    }

    /// Sends a segment.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`].
    pub fn send_segment(&self, segment: &Segment) -> Result<()> {
        self.send_fds(&[segment.as_fd()])
    }

    /// Receives a segment.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Segment`] if the received descriptor is not a segment; other variants.
    pub fn recv_segment(&self) -> Result<Segment> {
        let mut descriptors = self.recv_fds_up_to(1)?;
        match (descriptors.pop(), descriptors.is_empty()) {
            (Some(descriptor), true) => {
                Segment::from_fd(descriptor).map_err(ConnectionError::Segment)
            }
            _ => Err(ConnectionError::MissingDescriptors),
        }
    }

    fn send_frame(
        &self,
        message: &[u8],
        mut descriptors: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<()> {
        let outgoing = self.outgoing.as_ref().ok_or(ConnectionError::NotWritable)?;
        let mut rest = outgoing.lock(deadline)?;
        self.flush(&mut rest, deadline)?;
        let mut frame = Vec::with_capacity(12 + message.len());
        match i32::try_from(message.len()) {
            Ok(length) => frame.extend_from_slice(&length.to_be_bytes()),
            Err(_) => {
                frame.extend_from_slice(&(-1_i32).to_be_bytes());
                frame.extend_from_slice(&(message.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(message);
        let mut sent = 0;
        while sent < frame.len() {
            match self.send_some(&frame[sent..], descriptors, deadline) {
                Ok(some) => {
                    sent += some;
                    // They went with the first byte.
                    descriptors = &[];
                }
                Err(error) if sent == 0 => return Err(error),
                Err(error) => {
                    *rest = frame.split_off(sent);
                    return Err(match error {
                        ConnectionError::TimedOut => ConnectionError::SentInPart,
                        other => other,
                    });
                }
            }
        }
        Ok(())
    }

    /// Sends the rest.
    fn flush(&self, rest: &mut Vec<u8>, deadline: Option<Instant>) -> Result<()> {
        let mut sent = 0;
        let outcome = loop {
            if sent == rest.len() {
                break Ok(());
            }
            match self.send_some(&rest[sent..], &[], deadline) {
                Ok(some) => sent += some,
                Err(error) => break Err(error),
            }
        };
        rest.drain(..sent);
        outcome
    }

    fn send_some(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        loop {
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty()
                && !control.push(SendAncillaryMessage::ScmRights(descriptors))
            {
                return Err(ConnectionError::TooManyDescriptors);
            }
            match sendmsg(
                &self.socket,
                &[IoSlice::new(bytes)],
                &mut control,
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            ) {
                Ok(sent) => return Ok(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.ready(PollFlags::OUT, deadline)?,
                Err(error) => return Err(ConnectionError::of_socket(error)),
            }
        }
    }

    /// Receives a message of at most `max` bytes and at most `wanted` descriptors.
    fn recv_frame(
        &self,
        max: usize,
        wanted: usize,
        deadline: Option<Instant>,
    ) -> Result<(Vec<u8>, Vec<OwnedFd>)> {
        let incoming = self.incoming.as_ref().ok_or(ConnectionError::NotReadable)?;
        let incoming = &mut *incoming.lock(deadline)?;
        if incoming.ended {
            return Err(ConnectionError::Closed);
        }
        self.fill(incoming, 4, wanted, deadline)?;
        let short = i32::from_be_bytes([
            incoming.bytes[0],
            incoming.bytes[1],
            incoming.bytes[2],
            incoming.bytes[3],
        ]);
        let (header, length) = if short == -1 {
            self.fill(incoming, 12, wanted, deadline)?;
            let mut long = [0; 8];
            long.copy_from_slice(&incoming.bytes[4..12]);
            (12, u64::from_be_bytes(long))
        } else {
            // Another negative length is nonsense; as unsigned it is longer than any maximum.
            (4, u64::try_from(short).unwrap_or(u64::MAX))
        };
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= max) else {
            *incoming = Incoming { ended: true, ..Incoming::default() };
            return Err(ConnectionError::TooLong { length });
        };
        self.fill(incoming, header + length, wanted, deadline)?;
        let Incoming { mut bytes, descriptors, lost, .. } = core::mem::take(incoming);
        if wanted > 0 && lost {
            return Err(ConnectionError::MissingDescriptors);
        }
        bytes.drain(..header);
        Ok((bytes, descriptors))
    }

    /// Receives until there are `want` bytes, and never more.
    fn fill(
        &self,
        incoming: &mut Incoming,
        want: usize,
        wanted: usize,
        deadline: Option<Instant>,
    ) -> Result<()> {
        /// The memory that is allocated in advance for a length that a peer claims.
        const STEP: usize = 1 << 16;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        while incoming.bytes.len() < want {
            let have = incoming.bytes.len();
            incoming.bytes.resize(have + STEP.max(have).min(want - have), 0);
            // With the first byte only. The kernel closes descriptors for which there is no space.
            let wanted = if have == 0 { wanted.min(MAX_FDS) } else { 0 };
            let room = if wanted == 0 { 0 } else { rustix::cmsg_space!(ScmRights(wanted)) };
            let mut control = RecvAncillaryBuffer::new(&mut space[..room]);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let mut parts = [IoSliceMut::new(&mut incoming.bytes[have..])];
            let received = recvmsg(&self.socket, &mut parts, &mut control, flags);
            incoming.bytes.truncate(have + received.as_ref().map_or(0, |received| received.bytes));
            match received {
                Ok(received) => {
                    incoming.lost |= received.flags.contains(ReturnFlags::CTRUNC);
                    for message in control.drain() {
                        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                            for descriptor in descriptors {
                                if incoming.descriptors.len() < wanted {
                                    incoming.descriptors.push(descriptor);
                                } else {
                                    incoming.lost = true;
                                }
                            }
                        }
                    }
                    if incoming.lost {
                        incoming.descriptors.clear();
                    }
                    match (received.bytes, have) {
                        (0, 0) => return Err(ConnectionError::Closed),
                        (0, _) => return Err(ConnectionError::Interrupted),
                        _ => {}
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.ready(PollFlags::IN, deadline)?,
                // The other end died with bytes of ours unread: this counts as its end too.
                Err(Errno::CONNRESET) if have > 0 => return Err(ConnectionError::Interrupted),
                Err(error) => return Err(ConnectionError::of_socket(error)),
            }
        }
        Ok(())
    }

    fn ready(&self, what: PollFlags, deadline: Option<Instant>) -> Result<()> {
        match poll_until(&mut [PollFd::new(&self.socket, what)], deadline) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ConnectionError::TimedOut),
            Err(error) => Err(ConnectionError::of_socket(error)),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Connection> for OwnedFd {
    fn from(connection: Connection) -> Self {
        connection.socket
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("socket", &self.socket)
            .field("readable", &self.is_readable())
            .field("writable", &self.is_writable())
            .finish()
    }
}

/// A place in the file system where other processes [connect](Connection::connect).
///
/// Each process that may write to the path may connect: put it into a directory of mode 0700. The
/// path is removed when the listener is dropped, by the process that bound it: a forked child may
/// accept, but its copy of the listener leaves the path alone.
#[derive(Debug)]
pub struct Listener {
    /// Non-blocking: of several threads or processes that see a connection, one gets it, and the
    /// others go on waiting until their deadlines.
    listener: UnixListener,
    path: PathBuf,
    process: ProcessMark,
    /// Device and inode of the path when it was bound.
    file: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at a path that must not exist.
    ///
    /// # Errors
    ///
    /// The errors of `bind`; `AddrInUse` if the path exists.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let process = ProcessMark::current();
        let listener = UnixListener::bind(&path)?;
        let this = Self { file: file_at(&path), listener, path, process };
        this.listener.set_nonblocking(true)?;
        Ok(this)
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// The errors of `accept`.
    pub fn accept(&self) -> io::Result<Connection> {
        loop {
            if let Some(connection) = self.accept_until(None)? {
                return Ok(connection);
            }
        }
    }

    /// As [`accept`](Self::accept), waiting at most `timeout`; `None` when the time is up.
    ///
    /// # Errors
    ///
    /// The errors of `accept`.
    pub fn accept_timeout(&self, timeout: Duration) -> io::Result<Option<Connection>> {
        self.accept_until(after(timeout))
    }

    pub(crate) fn accept_until(&self, deadline: Option<Instant>) -> io::Result<Option<Connection>> {
        loop {
            match self.listener.accept() {
                Ok((socket, _)) => return Ok(Some(Connection::over(socket.into(), true, true))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
            if !poll_until(&mut fds, deadline).or_io()? {
                return Ok(None);
            }
        }
    }
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Not the path of another listener that was bound there since.
        if self.process.is_current() && self.file.is_some() && self.file == file_at(&self.path) {
            // Gone already is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
