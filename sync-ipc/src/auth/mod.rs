//! Connections whose two ends have proved to each other that they know a key.
//!
//! **Source.** The challenge and response of Python's `multiprocessing.connection`, made mutual in
//! one exchange, with both nonces and both roles under each proof.
//!
//! **Exchange**, in frames of a [`Connection`], none longer than `FRAME`:
//!
//! ```text
//! server -> client   "sync-ipc auth 1" | server nonce (32)
//! client -> server   client nonce (32) | HMAC-SHA256(key, "client" | transcript)
//! server -> client   1 | HMAC-SHA256(key, "server" | transcript)     or: 0, and the end
//! ```
//!
//! The transcript is the first message and the client's nonce. A proof cannot be sent back to its
//! sender, because the role is in it, and not be used again, because both nonces are. Proofs are
//! compared in constant time.
//!
//! **What it is not.** Nothing after the exchange is encrypted or signed: over TCP, an attacker
//! that can change packets on the way can take over the connection. A key that can be guessed can
//! be guessed from a recorded exchange. With the feature `tls`, a TCP connection is encrypted by
//! TLS ([`Listener::tls`], [`connect_tls`]), and then neither is possible: the exchange takes place
//! inside, and 32 bytes that belong to the TLS connection alone are a part of the transcript.

#[cfg(feature = "tls")]
mod tls;

use core::fmt;
use core::time::Duration;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(feature = "manager")]
use std::os::unix::net::UnixListener;
use std::path::Path;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Instant;

use hmac::{Hmac, KeyInit, Mac};
use rustix::event::{PollFd, PollFlags};
use sha2::Sha256;

#[cfg(feature = "tls")]
pub use self::tls::{Identity, Trust};

use crate::connection::{self, Connection};
use crate::error::ConnectionError;
use crate::random::random;

/// The longest frame before the proofs are known to be right.
const FRAME: usize = 256;

/// The default time limit of the exchange.
const LIMIT: Duration = Duration::from_secs(5);

const GREETING: &[u8] = b"sync-ipc auth 1";
const NONCE: usize = 32;
const PROOF: usize = 32;

/// A secret that both ends of a connection know. Python's `authkey`.
///
/// Any bytes are a key, none too; [`random`](Self::random) makes a good one. `Debug` does not show
/// it. With the feature `process` a key can be among the arguments of a
/// [`Process`](crate::Process), and is serialised nowhere else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// 32 bytes from the system's random numbers.
    ///
    /// # Errors
    ///
    /// The errors of `getrandom`.
    pub fn random() -> io::Result<Self> {
        Ok(Self(random::<NONCE>()?.to_vec()))
    }

    fn mac(&self, role: &[u8], transcript: &[&[u8]]) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of every length")
        };
        mac.update(role);
        for part in transcript {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(feature = "process")]
impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !crate::process::handles::is_encoding() {
            return Err(serde::ser::Error::custom(
                "a key can only be serialised among the arguments of a process",
            ));
        }
        serializer.serialize_bytes(&self.0)
    }
}

#[cfg(feature = "process")]
impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::process::Bytes::deserialize(deserializer).map(|bytes| Self(bytes.0))
    }
}

/// Why there is no authenticated connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthError {
    /// The system refused.
    Io(io::Error),
    /// The other end does not know the key, or learned that this end does not.
    WrongKey,
    /// The other end does not follow the exchange.
    Protocol,
    /// The exchange took too long.
    TimedOut,
    /// The other end closed the connection in the middle of the exchange.
    Closed,
    /// There is no TLS connection: the reason. The other end does not speak TLS, its certificate is
    /// not believed, or this end's certificates or keys are unusable.
    #[cfg(feature = "tls")]
    Tls(String),
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::WrongKey => f.write_str("the two ends have different keys"),
            Self::Protocol => f.write_str("the other end does not follow the authentication"),
            Self::TimedOut => f.write_str("the authentication took too long"),
            Self::Closed => f.write_str("the other end closed the connection"),
            #[cfg(feature = "tls")]
            Self::Tls(why) => write!(f, "no TLS connection: {why}"),
        }
    }
}

impl std::error::Error for AuthError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for AuthError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ConnectionError> for AuthError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Io(error) => Self::Io(error),
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::Closed | ConnectionError::Interrupted => Self::Closed,
            _ => Self::Protocol,
        }
    }
}

/// A place where other processes connect that know a key: a path of this machine, or a TCP port.
/// Python's `Listener` with an `authkey`.
///
/// ```
/// use sync_ipc::auth::{Key, Listener, connect_tcp};
///
/// let key = Key::random()?;
/// let listener = Listener::bind_tcp("127.0.0.1:0", key.clone())?;
/// let address = listener.local_addr().expect("a TCP listener");
/// let client = std::thread::spawn(move || {
///     connect_tcp(address, &key).unwrap().send("hello").unwrap();
/// });
/// assert_eq!(listener.accept()?.recv::<String>()?, "hello");
/// client.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    key: Key,
    limit: Duration,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
}

#[derive(Debug)]
enum Socket {
    Unix(connection::Listener),
    /// A socket at a path that is not this listener's to remove.
    #[cfg(feature = "manager")]
    Path(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    /// Listens at a path that must not exist. See [`Listener`](crate::Listener).
    ///
    /// # Errors
    ///
    /// The errors of `bind`; `AddrInUse` if the path exists.
    pub fn bind(path: impl AsRef<Path>, key: Key) -> io::Result<Self> {
        let socket = Socket::Unix(connection::Listener::bind(path)?);
        Ok(Self::over_socket(socket, key))
    }

    /// Listens at a TCP address; port 0 is one of the system's choice.
    ///
    /// # Errors
    ///
    /// The errors of `bind`.
    pub fn bind_tcp(address: impl ToSocketAddrs, key: Key) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        // A client can be gone, or accepted by another thread, between `poll` and `accept`.
        listener.set_nonblocking(true)?;
        Ok(Self::over_socket(Socket::Tcp(listener), key))
    }

    fn over_socket(socket: Socket, key: Key) -> Self {
        Self {
            socket,
            key,
            limit: LIMIT,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Speaks TLS with its clients, as this server. For a TCP listener: on a path the kernel keeps
    /// other users out.
    ///
    /// # Errors
    ///
    /// [`AuthError::Tls`] if the certificates or the key are unusable, or this listens at a path.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, identity: &Identity) -> Result<Self, AuthError> {
        if !matches!(self.socket, Socket::Tcp(_)) {
            return Err(AuthError::Tls("only a TCP listener speaks it".into()));
        }
        self.tls = Some(identity.config()?);
        Ok(self)
    }

    /// Listens on a socket that was bound before.
    #[cfg(feature = "manager")]
    pub(crate) fn over(socket: OwnedFd, is_tcp: bool, key: Key) -> io::Result<Self> {
        let socket = if is_tcp {
            let listener = TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            Socket::Tcp(listener)
        } else {
            let listener = UnixListener::from(socket);
            listener.set_nonblocking(true)?;
            Socket::Path(listener)
        };
        Ok(Self::over_socket(socket, key))
    }

    /// Sets the time limit of the exchange with a client. Default: 5 s.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The TCP address, with its port; `None` for a path.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Unix(_) => None,
            #[cfg(feature = "manager")]
            Socket::Path(_) => None,
            Socket::Tcp(listener) => listener.local_addr().ok(),
        }
    }

    /// Waits for the next client, and for its proof.
    ///
    /// A client that sends nothing holds this up for the [`limit`](Self::limit); a server with many
    /// clients uses [`accept_pending`](Self::accept_pending) and a thread for each.
    ///
    /// # Errors
    ///
    /// [`AuthError`]. The listener goes on: the next call waits for the next client.
    pub fn accept(&self) -> Result<Connection, AuthError> {
        self.accept_pending()?.authenticate()
    }

    /// Waits for the next client, and not for its proof.
    ///
    /// # Errors
    ///
    /// The errors of `accept`.
    pub fn accept_pending(&self) -> io::Result<Pending> {
        loop {
            if let Some(pending) = self.accept_until(None)? {
                return Ok(pending);
            }
        }
    }

    /// As [`accept_pending`](Self::accept_pending), waiting at most `timeout`; `None` when the time
    /// is up.
    ///
    /// # Errors
    ///
    /// The errors of `accept`.
    pub fn accept_pending_timeout(&self, timeout: Duration) -> io::Result<Option<Pending>> {
        self.accept_until(connection::after(timeout))
    }

    /// As [`accept_pending`](Self::accept_pending), waiting until `deadline`; `None` when the time
    /// is up.
    ///
    /// # Errors
    ///
    /// The errors of `accept`.
    pub fn accept_pending_deadline(&self, deadline: Instant) -> io::Result<Option<Pending>> {
        self.accept_until(Some(deadline))
    }

    fn accept_until(&self, deadline: Option<Instant>) -> io::Result<Option<Pending>> {
        let accepted = match &self.socket {
            Socket::Unix(listener) => listener.accept_until(deadline)?,
            #[cfg(feature = "manager")]
            Socket::Path(listener) => accept_at(listener, deadline)?,
            Socket::Tcp(listener) => accept_tcp(listener, deadline)?,
        };
        let pending = |connection| Pending {
            connection,
            key: self.key.clone(),
            limit: self.limit,
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        };
        Ok(accepted.map(pending))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Unix(listener) => listener.as_fd(),
            #[cfg(feature = "manager")]
            Socket::Path(listener) => listener.as_fd(),
            Socket::Tcp(listener) => listener.as_fd(),
        }
    }
}

/// A client that has connected and proved nothing. From [`Listener::accept_pending`].
#[derive(Debug)]
#[must_use = "the client waits for `authenticate`"]
pub struct Pending {
    connection: Connection,
    key: Key,
    limit: Duration,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

impl Pending {
    /// Requests the client's proof, and sends this end's.
    ///
    /// # Errors
    ///
    /// [`AuthError`]. The connection is closed.
    pub fn authenticate(self) -> Result<Connection, AuthError> {
        let deadline = connection::after(self.limit);
        let Self { connection, key, .. } = self;
        #[cfg(feature = "tls")]
        let connection = match &self.tls {
            None => connection,
            Some(config) => secure(connection, tls::session(config)?, deadline)?,
        };
        let binding = binding(&connection)?;
        let mut greeting = GREETING.to_vec();
        greeting.extend_from_slice(&random::<NONCE>()?);
        connection.send_bytes_timeout(&greeting, left(deadline))?;
        let answer = connection.recv_bytes_timeout(FRAME, left(deadline))?;
        let Some((theirs, proof)) = answer.split_at_checked(NONCE) else {
            return Err(AuthError::Protocol);
        };
        let transcript: [&[u8]; 3] = [&greeting, theirs, &binding];
        if key.mac(b"client", &transcript).verify_slice(proof).is_err() {
            // The client gets a refusal, so that it can report it to its user. It may be gone.
            let _ = connection.send_bytes_timeout(&[0], left(deadline));
            return Err(AuthError::WrongKey);
        }
        let mut last = vec![1];
        last.extend_from_slice(&key.mac(b"server", &transcript).finalize().into_bytes());
        connection.send_bytes_timeout(&last, left(deadline))?;
        Ok(connection)
    }
}

/// Connects to a [`Listener`] at a path. Python's `Client` with an `authkey`.
///
/// # Errors
///
/// [`AuthError`].
#[doc(alias = "Client")]
pub fn connect(path: impl AsRef<Path>, key: &Key) -> Result<Connection, AuthError> {
    let connection = Connection::over(connection::connect(path.as_ref())?.into(), true, true);
    answer(connection, key, connection::after(LIMIT))
}

/// Connects to a [`Listener`] at a TCP address. The connection passes no descriptors.
///
/// # Errors
///
/// [`AuthError`].
pub fn connect_tcp(address: impl ToSocketAddrs, key: &Key) -> Result<Connection, AuthError> {
    answer(over_tcp(TcpStream::connect(address)?)?, key, connection::after(LIMIT))
}

/// Connects to a [`Listener`] at a TCP address that speaks [TLS](Listener::tls). The connection
/// passes no descriptors, and stays with this process: it is no argument of a process, and a forked
/// child does not use it.
///
/// # Errors
///
/// [`AuthError`]; [`AuthError::Tls`] if the server's certificate is not one that `trust` believes.
#[cfg(feature = "tls")]
pub fn connect_tls(
    address: impl ToSocketAddrs,
    key: &Key,
    trust: &Trust,
) -> Result<Connection, AuthError> {
    let session = trust.session()?;
    let connection = over_tcp(TcpStream::connect(address)?)?;
    let deadline = connection::after(LIMIT);
    answer(secure(connection, session, deadline)?, key, deadline)
}

/// How a client of a TCP server connects.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[cfg(feature = "manager")]
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) enum Transport {
    #[default]
    Plain,
    #[cfg(feature = "tls")]
    Tls(Trust),
}

#[cfg(feature = "manager")]
impl Transport {
    pub(crate) fn connect(&self, address: SocketAddr, key: &Key) -> Result<Connection, AuthError> {
        match self {
            Self::Plain => connect_tcp(address, key),
            #[cfg(feature = "tls")]
            Self::Tls(trust) => connect_tls(address, key, trust),
        }
    }
}

/// Puts TLS below a connection.
#[cfg(feature = "tls")]
fn secure(
    connection: Connection,
    session: rustls::Connection,
    deadline: Option<Instant>,
) -> Result<Connection, AuthError> {
    match connection::tls::Tls::agree(connection.as_fd(), session, deadline) {
        Ok(tls) => Ok(connection.secured(tls)),
        Err(ConnectionError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            Err(AuthError::Tls(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Bytes that belong to this connection alone, as far as it has such.
fn binding(connection: &Connection) -> Result<Vec<u8>, AuthError> {
    #[cfg(feature = "tls")]
    if let Some(tls) = connection.tls() {
        return Ok(tls.binding()?.to_vec());
    }
    let _ = connection;
    Ok(Vec::new())
}

/// `None`: no client by the deadline.
#[cfg(feature = "manager")]
fn accept_at(listener: &UnixListener, deadline: Option<Instant>) -> io::Result<Option<Connection>> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Ok(Some(Connection::over(stream.into(), true, true))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        if !connection::poll_until(&mut fds, deadline)? {
            return Ok(None);
        }
    }
}

/// `None`: no client by the deadline.
fn accept_tcp(listener: &TcpListener, deadline: Option<Instant>) -> io::Result<Option<Connection>> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => return over_tcp(stream).map(Some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        if !connection::poll_until(&mut fds, deadline)? {
            return Ok(None);
        }
    }
}

fn over_tcp(stream: TcpStream) -> io::Result<Connection> {
    // Requests are small and wait for their answers.
    stream.set_nodelay(true)?;
    Ok(Connection::over(OwnedFd::from(stream), true, true))
}

/// The client's part.
fn answer(
    connection: Connection,
    key: &Key,
    deadline: Option<Instant>,
) -> Result<Connection, AuthError> {
    let binding = binding(&connection)?;
    let greeting = connection.recv_bytes_timeout(FRAME, left(deadline))?;
    if greeting.strip_prefix(GREETING).is_none_or(|nonce| nonce.len() != NONCE) {
        return Err(AuthError::Protocol);
    }
    let ours = random::<NONCE>()?;
    let transcript: [&[u8]; 3] = [&greeting, &ours, &binding];
    let mut message = ours.to_vec();
    message.extend_from_slice(&key.mac(b"client", &transcript).finalize().into_bytes());
    connection.send_bytes_timeout(&message, left(deadline))?;
    let last = connection.recv_bytes_timeout(FRAME, left(deadline))?;
    match last.split_first() {
        Some((1, proof)) if proof.len() == PROOF => {
            let right = key.mac(b"server", &transcript).verify_slice(proof).is_ok();
            if right { Ok(connection) } else { Err(AuthError::WrongKey) }
        }
        Some((0, [])) => Err(AuthError::WrongKey),
        _ => Err(AuthError::Protocol),
    }
}

/// The time until `deadline`. `None` is past the end of the clock.
fn left(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
}
