//! TLS below the frames of a connection.
//!
//! A session of rustls is a state without a socket: it turns bytes into records and back. Every
//! call here moves what can be moved without waiting, under the session's lock; the caller waits
//! for the socket without it, so one thread may wait to receive while another sends.
//!
//! **Ends.** The end of the socket without TLS's own `close_notify` may be an attacker's doing: it
//! is [`ConnectionError::Interrupted`], also between two messages.
//!
//! **`fork`.** A session belongs to the process that made it: its keys and counters in two
//! processes would send different records under one number. In a child each call is an error.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::Connection as Session;
use sync_core::Mutex;
use sync_core::fork::ProcessMark;

use super::poll::poll_until;
use crate::error::ConnectionError;

type Result<T, E = ConnectionError> = core::result::Result<T, E>;

/// The session of a connection.
pub(crate) struct Tls {
    /// A descriptor of the connection's socket: the end of the session is sent through it.
    socket: OwnedFd,
    process: ProcessMark,
    session: Mutex<Session>,
}

/// The result of an attempt to receive.
pub(super) enum Arrived {
    Bytes(usize),
    /// The other side has closed the session in good order.
    End,
    /// Nothing yet.
    Nothing,
}

/// A socket that never waits.
struct NonBlocking<'a>(BorrowedFd<'a>);

impl Read for NonBlocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received =
            rustix::io::retry_on_intr(|| recv(self.0, &mut *buffer, RecvFlags::DONTWAIT));
        Ok(received?.0)
    }
}

impl Write for NonBlocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Ok(rustix::io::retry_on_intr(|| send(self.0, bytes, flags))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error of the socket, or of the protocol.
fn of_io(error: io::Error) -> ConnectionError {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(error) => ConnectionError::of_socket(error),
        None => ConnectionError::Io(error),
    }
}

fn of_protocol(error: rustls::Error) -> ConnectionError {
    ConnectionError::Io(io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Sends what the session has for the other side. Returns whether that is all out.
fn send_out(session: &mut Session, socket: BorrowedFd<'_>) -> Result<bool> {
    while session.wants_write() {
        match session.write_tls(&mut NonBlocking(socket)) {
            Ok(0) => return Err(ConnectionError::Closed),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(of_io(error)),
        }
    }
    Ok(true)
}

/// Takes what has arrived in the socket. Returns whether something has.
fn take_in(session: &mut Session, socket: BorrowedFd<'_>) -> Result<bool> {
    match session.read_tls(&mut NonBlocking(socket)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(of_io(error)),
    }
    let processed = session.process_new_packets();
    // Answers of the protocol, and the alert that explains an error. The socket may be full, and
    // then they go with the next bytes; or it is closed.
    let _ = send_out(session, socket);
    processed.map(|_| true).map_err(of_protocol)
}

impl Tls {
    /// Agrees on keys with the other side, until `deadline`.
    pub(crate) fn agree(
        socket: BorrowedFd<'_>,
        mut session: Session,
        deadline: Option<Instant>,
    ) -> Result<Self> {
        let mut ended = false;
        loop {
            let sent = send_out(&mut session, socket)?;
            if sent && !session.is_handshaking() {
                break;
            }
            if ended {
                return Err(ConnectionError::Interrupted);
            }
            if session.wants_read() {
                match session.read_tls(&mut NonBlocking(socket)) {
                    Ok(count) => {
                        ended = count == 0;
                        let processed = session.process_new_packets();
                        let _ = send_out(&mut session, socket);
                        processed.map_err(of_protocol)?;
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(of_io(error)),
                }
            }
            let mut what = PollFlags::IN;
            if session.wants_write() {
                what |= PollFlags::OUT;
            }
            match poll_until(&mut [PollFd::from_borrowed_fd(socket, what)], deadline) {
                Ok(true) => {}
                Ok(false) => return Err(ConnectionError::TimedOut),
                Err(error) => return Err(ConnectionError::of_socket(error)),
            }
        }
        let socket = socket.try_clone_to_owned().map_err(ConnectionError::Io)?;
        Ok(Self { socket, process: ProcessMark::current(), session: Mutex::new(session) })
    }

    fn session(&self) -> Result<sync_core::MutexGuard<'_, Session>> {
        if self.process.is_current() {
            return Ok(self.session.lock());
        }
        Err(ConnectionError::Io(io::Error::new(
            io::ErrorKind::Unsupported,
            "a TLS connection stays with the process that made it",
        )))
    }

    /// Bytes that are the same at both ends of this session and of no other.
    pub(crate) fn binding(&self) -> Result<[u8; 32]> {
        let session = self.session()?;
        let exported = match &*session {
            Session::Client(session) => {
                session.export_keying_material([0; 32], b"EXPORTER-sync-ipc auth 1", None)
            }
            Session::Server(session) => {
                session.export_keying_material([0; 32], b"EXPORTER-sync-ipc auth 1", None)
            }
        };
        exported.map_err(of_protocol)
    }

    /// Takes a first part of `bytes` on their way; 0 if there is no room.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<usize> {
        let mut session = self.session()?;
        if !send_out(&mut session, self.socket.as_fd())? {
            return Ok(0);
        }
        let taken = session.writer().write(bytes).map_err(of_io)?;
        send_out(&mut session, self.socket.as_fd())?;
        Ok(taken)
    }

    /// Whether all that was taken is on its way.
    pub(super) fn flush(&self) -> Result<bool> {
        send_out(&mut *self.session()?, self.socket.as_fd())
    }

    /// Receives into `buffer`, without waiting.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Arrived> {
        let mut session = self.session()?;
        loop {
            match session.reader().read(buffer) {
                Ok(0) => return Ok(Arrived::End),
                Ok(count) => return Ok(Arrived::Bytes(count)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(ConnectionError::Interrupted);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(of_io(error)),
            }
            if !take_in(&mut session, self.socket.as_fd())? {
                return Ok(Arrived::Nothing);
            }
        }
    }

    /// Whether [`receive`](Self::receive) has anything to return: bytes, the end or an error.
    pub(super) fn is_ready(&self) -> bool {
        let Ok(mut session) = self.session() else { return true };
        loop {
            match session.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() => {
                    return true;
                }
                Ok(_) => {}
                Err(_) => return true,
            }
            let mut byte = [0];
            let peek = RecvFlags::DONTWAIT | RecvFlags::PEEK;
            match rustix::io::retry_on_intr(|| recv(&self.socket, &mut byte[..], peek)) {
                Err(Errno::AGAIN) => return false,
                // The end of the socket, or an error of it.
                Ok((0, _)) | Err(_) => return true,
                Ok(_) => {}
            }
            if !take_in(&mut session, self.socket.as_fd()).unwrap_or(true) {
                return false;
            }
        }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        if self.process.is_current() {
            let session = self.session.get_mut();
            session.send_close_notify();
            // Does not wait: a peer that reads nothing does not learn of the end in good order.
            let _ = send_out(session, self.socket.as_fd());
        }
    }
}
