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

mod frame;
mod listener;
mod poll;
mod state;
#[cfg(feature = "tls")]
pub(crate) mod tls;

use core::time::Duration;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::listener::Listener;

pub(crate) use self::poll::{after, poll_until};
use self::state::{Incoming, PerProcess};
#[cfg(feature = "manager")]
use crate::eager::Eager;
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
    /// Before the socket: its end goes through it.
    #[cfg(feature = "tls")]
    tls: Option<Box<tls::Tls>>,
    socket: OwnedFd,
    incoming: Option<PerProcess<Incoming>>,
    outgoing: Option<PerProcess<Vec<u8>>>,
    /// For a connection of requests and answers: whether to ask before a sleep.
    #[cfg(feature = "manager")]
    eager: Option<Eager>,
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

/// A socket that is connected to the one at a path.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path) {
            // A signal's handler ran while this waited for a place among those not yet accepted.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            connected => return connected,
        }
    }
}

/// Whether a process listens at the path: a socket of another process that nothing is accepted from
/// is refused. Does not wait. Another error, such as a full row of those not yet accepted, is no
/// proof.
#[cfg(feature = "manager")]
pub(crate) fn is_refused(path: &Path) -> bool {
    let kind = SocketType::STREAM;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let connect = || -> core::result::Result<(), Errno> {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
        rustix::net::connect(&socket, &rustix::net::SocketAddrUnix::new(path)?)
    };
    connect() == Err(Errno::CONNREFUSED)
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
            #[cfg(feature = "tls")]
            tls: None,
            socket,
            incoming: readable.then(PerProcess::new),
            outgoing: writable.then(PerProcess::new),
            #[cfg(feature = "manager")]
            eager: None,
        }
    }

    /// The same connection, for requests that are answered at once.
    #[cfg(feature = "manager")]
    pub(crate) fn eager(self) -> Self {
        Self { eager: Some(Eager::new()), ..self }
    }

    /// The same connection, with this session below its frames.
    #[cfg(feature = "tls")]
    pub(crate) fn secured(self, tls: tls::Tls) -> Self {
        Self { tls: Some(Box::new(tls)), ..self }
    }

    /// The TLS session.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(&self) -> Option<&tls::Tls> {
        self.tls.as_deref()
    }

    /// Whether its frames are what goes through the socket, and nothing is around them.
    pub(crate) fn is_plain(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_none();
        #[cfg(not(feature = "tls"))]
        true
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
        Ok(Self::over(connect(path.as_ref())?.into(), true, true))
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

    /// As [`recv`](Self::recv), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`].
    pub fn recv_deadline<T: DeserializeOwned>(&self, deadline: Instant) -> Result<T> {
        postcard::from_bytes(&self.recv_bytes_deadline(DEFAULT_MAX, deadline)?)
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

    /// As [`send_bytes_timeout`](Self::send_bytes_timeout), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`send_bytes_timeout`](Self::send_bytes_timeout).
    pub fn send_bytes_deadline(&self, message: &[u8], deadline: Instant) -> Result<()> {
        self.send_frame(message, &[], Some(deadline))
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

    /// As [`recv_bytes_timeout`](Self::recv_bytes_timeout), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`].
    pub fn recv_bytes_deadline(&self, max: usize, deadline: Instant) -> Result<Vec<u8>> {
        Ok(self.recv_frame(max, 0, Some(deadline))?.0)
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
        let deadline = after(timeout);
        loop {
            // Bytes that have arrived need not be in the socket any more, and what is in the socket
            // need not contain a byte of a message.
            #[cfg(feature = "tls")]
            if self.tls.as_ref().is_some_and(|tls| tls.is_ready()) {
                return Ok(true);
            }
            let ready = poll_until(&mut [PollFd::new(&self.socket, PollFlags::IN)], deadline)
                .map_err(ConnectionError::of_socket)?;
            if !ready || self.is_plain() {
                return Ok(ready);
            }
        }
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
