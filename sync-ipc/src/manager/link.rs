//! A client's connections, and the references that its proxies are.
//!
//! A call takes an idle connection, or opens one; so each thread that calls at the same time as
//! others has a connection of its own, and a call that waits holds up no other. The first
//! connection stands for the client: the server releases what the client holds when it ends. It is
//! kept until the client is dropped, or a call fails.
//!
//! **Invariant.** A connection among the idle ones has no request without an answer. After a call
//! that failed it is not known what the server has done for this client, so the client gives up all
//! its connections and with them its identity: the server releases its locks and references. The
//! next call connects again, as a new client, which has references of the same objects, those that
//! are still there.

use core::cell::RefCell;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use rustix::event::{PollFd, PollFlags};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sync_core::Mutex;
use sync_core::fork::{PerProcess, ProcessMark};

use super::error::{ManagerError, Result};
use super::wire::{Call, Data, Join, Joined, Limit, Refusal, Reply, Request, TOKEN, VERSION};
use crate::auth::{self, Key, Transport};
use crate::connection::{self, Connection, DEFAULT_MAX};
use crate::error::ConnectionError;
use crate::process::handles;

/// The address of a manager's server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Address {
    /// A path of this machine.
    Path(PathBuf),
    /// A TCP address.
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// The time for an answer, beyond the time that the call itself may take.
const ANSWER: Duration = Duration::from_secs(60);

/// The most idle connections besides the first.
const IDLE: usize = 4;

/// A client: a handle of a server, with its connections.
pub(super) struct Link {
    pub(super) address: Address,
    key: Key,
    transport: Transport,
    mark: ProcessMark,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Counts the identities of this client.
    epoch: u64,
    identity: Option<Identity>,
    idle: Vec<Channel>,
    /// The objects that proxies of this client refer to, and the number of proxies.
    proxies: HashMap<u64, u64>,
    /// Objects without a proxy any more, of which the server does not know that yet.
    released: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Identity {
    server: u64,
    token: [u8; TOKEN],
}

/// A connection.
pub(super) struct Channel {
    connection: Connection,
    epoch: u64,
    is_first: bool,
}

/// How long a call may take in the server.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    /// It does not wait.
    NoTime,
    /// It waits for something.
    Limit(Limit),
    /// It runs code of the user's.
    Unknown,
}

impl Takes {
    fn answer_within(self) -> Option<Duration> {
        match self {
            Self::NoTime => Some(ANSWER),
            Self::Limit(limit) => limit.map(|limit| limit.saturating_add(ANSWER)),
            Self::Unknown => None,
        }
    }
}

/// The number of the calling thread.
fn thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    std::thread_local! {
        // Relaxed: a counter.
        static THREAD: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // While thread-local values are destroyed, all threads are one.
    THREAD.try_with(|thread| *thread).unwrap_or(0)
}

impl From<ConnectionError> for ManagerError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TimedOut | ConnectionError::SentInPart => Self::NoAnswer,
            ConnectionError::Io(error) => Self::Io(error),
            _ => Self::Gone,
        }
    }
}

/// The frame of a call.
pub(super) fn request(object: u64, call: Call) -> Result<Vec<u8>> {
    let request = Request { thread: thread(), object, call };
    postcard::to_stdvec(&request).map_err(|error| ManagerError::BadValue(error.to_string()))
}

impl Channel {
    pub(super) fn send(&self, object: u64, call: Call) -> Result<()> {
        self.send_request(&request(object, call)?)
    }

    /// Sends what [`request`] has made.
    pub(super) fn send_request(&self, request: &[u8]) -> Result<()> {
        Ok(self.connection.send_bytes_timeout(request, ANSWER)?)
    }

    pub(super) fn receive(&self, takes: Takes) -> Result<Reply> {
        let answer = match takes.answer_within() {
            None => self.connection.recv_bytes(DEFAULT_MAX)?,
            Some(limit) => self.connection.recv_bytes_timeout(DEFAULT_MAX, limit)?,
        };
        postcard::from_bytes(&answer).map_err(|error| ManagerError::BadValue(error.to_string()))
    }

    /// Whether nothing was sent to it without a request, and it was not closed.
    fn is_quiet(&self) -> bool {
        let mut fds = [PollFd::new(&self.connection, PollFlags::IN)];
        let now = Some(std::time::Instant::now());
        matches!(connection::poll_until(&mut fds, now), Ok(false))
    }
}

/// All clients of this process, so that proxies that arrive from another process share one.
static LINKS: PerProcess<Mutex<HashMap<Address, Weak<Link>>>> = PerProcess::new();

fn links() -> &'static Mutex<HashMap<Address, Weak<Link>>> {
    LINKS.get(|_| Mutex::new(HashMap::new()))
}

impl Link {
    /// Connects.
    pub(super) fn connect(address: Address, key: Key, transport: Transport) -> Result<Arc<Self>> {
        let mark = ProcessMark::current();
        let state = Mutex::new(State::default());
        let link = Arc::new(Self { address: address.clone(), key, transport, mark, state });
        link.call(0, Call::Ping, Takes::NoTime)?;
        let mut links = links().lock();
        let is_known = links.get(&address).is_some_and(|known| known.strong_count() > 0);
        if !is_known {
            links.insert(address, Arc::downgrade(&link));
        }
        Ok(link)
    }

    /// The client of this process for the server of a proxy that arrives.
    fn shared(address: Address, key: Key, transport: Transport) -> Result<Arc<Self>> {
        let known = links().lock().get(&address).and_then(Weak::upgrade);
        match known {
            Some(link) if link.key == key && link.transport == transport => Ok(link),
            _ => Self::connect(address, key, transport),
        }
    }

    /// An idle connection, or a new one.
    pub(super) fn take_channel(&self) -> Result<Channel> {
        if !self.mark.is_current() {
            return Err(ManagerError::Forked);
        }
        loop {
            let mut state = self.state.lock();
            match state.idle.pop() {
                None => {
                    let (epoch, identity) = (state.epoch, state.identity);
                    if identity.is_none() {
                        // Under the lock: the identity is made once, and other threads wait.
                        let channel = self.first(&mut state)?;
                        return Ok(channel);
                    }
                    drop(state);
                    let (connection, _) = match self.open(identity) {
                        Err(ManagerError::Refused(Refusal::Interrupted)) => {
                            // The server does not know this client any more.
                            self.reset(epoch);
                            continue;
                        }
                        other => other?,
                    };
                    return Ok(Channel { connection, epoch, is_first: false });
                }
                // It was closed, by an old server perhaps: nothing was sent, so this is no error.
                Some(channel) if !channel.is_quiet() => {
                    drop(state);
                    self.reset(channel.epoch);
                }
                Some(channel) => return Ok(channel),
            }
        }
    }

    /// Connects as a new client, which refers to the objects of its proxies.
    fn first(&self, state: &mut State) -> Result<Channel> {
        let (connection, identity) = self.open(None)?;
        let channel = Channel { connection, epoch: state.epoch, is_first: true };
        state.released.clear();
        for object in state.proxies.keys() {
            channel.send(*object, Call::Retain)?;
            // An object that is gone is the error of the next call of it.
            channel.receive(Takes::NoTime)?;
        }
        state.identity = Some(identity);
        Ok(channel)
    }

    /// A connection that has joined the client `identity`, or a new one.
    fn open(&self, identity: Option<Identity>) -> Result<(Connection, Identity)> {
        let connection = match &self.address {
            Address::Path(path) => auth::connect(path, &self.key)?,
            Address::Tcp(address) => {
                let connection = self.transport.connect(*address, &self.key)?;
                connection::keep_alive(connection.as_fd());
                connection
            }
        };
        let join = Join { version: VERSION, token: identity.map(|identity| identity.token) };
        let join = postcard::to_stdvec(&join)
            .map_err(|error| ManagerError::BadValue(error.to_string()))?;
        connection.send_bytes_timeout(&join, ANSWER)?;
        let joined = connection.recv_bytes_timeout(1 << 12, ANSWER)?;
        match postcard::from_bytes(&joined) {
            Ok(Joined::Welcome { server, token }) => {
                if identity.is_some_and(|identity| identity.server != server) {
                    return Err(Refusal::Interrupted.into());
                }
                Ok((connection.eager(), Identity { server, token }))
            }
            Ok(Joined::Refused(refusal)) => Err(refusal.into()),
            Err(error) => Err(ManagerError::BadValue(error.to_string())),
        }
    }

    /// Returns a connection whose requests have all been answered.
    pub(super) fn return_channel(&self, channel: Channel) {
        let (channel, released) = {
            let mut state = self.state.lock();
            if channel.epoch != state.epoch {
                return;
            }
            (channel, core::mem::take(&mut state.released))
        };
        for object in released {
            // It has no answer. If it does not go out, neither does anything else.
            if channel.send(object, Call::Release).is_err() {
                self.reset(channel.epoch);
                return;
            }
        }
        let mut state = self.state.lock();
        if channel.epoch != state.epoch {
            return;
        }
        if channel.is_first {
            // At the bottom: it is not the one to be closed when there are too many.
            state.idle.insert(0, channel);
        } else if state.idle.len() < IDLE {
            state.idle.push(channel);
        }
    }

    /// Gives up the identity of this epoch.
    pub(super) fn reset(&self, epoch: u64) {
        let mut state = self.state.lock();
        if state.epoch == epoch {
            state.epoch += 1;
            state.identity = None;
            let idle = core::mem::take(&mut state.idle);
            drop(state);
            drop(idle);
        }
    }

    /// Calls an object.
    pub(super) fn call(&self, object: u64, call: Call, takes: Takes) -> Result<Reply> {
        let channel = self.take_channel()?;
        match channel.send(object, call).and_then(|()| channel.receive(takes)) {
            Ok(reply) => {
                self.return_channel(channel);
                match reply {
                    Reply::Refused(refusal) => Err(refusal.into()),
                    reply => Ok(reply),
                }
            }
            Err(error) => {
                let epoch = channel.epoch;
                drop(channel);
                self.reset(epoch);
                Err(error)
            }
        }
    }

    /// Requests the end of the server, and does not wait long for its answer.
    pub(super) fn request_shutdown(&self) -> Result<()> {
        let channel = self.take_channel()?;
        channel.send(0, Call::Shutdown)?;
        // It may end without an answer, or be stopped.
        let limit = Duration::from_secs(1);
        let _ = channel.connection.recv_bytes_timeout(DEFAULT_MAX, limit);
        let epoch = channel.epoch;
        drop(channel);
        self.reset(epoch);
        Ok(())
    }

    /// Gives up the identity of a channel that failed.
    pub(super) fn give_up(&self, channel: Channel) {
        let epoch = channel.epoch;
        drop(channel);
        self.reset(epoch);
    }

    /// One proxy less of this object.
    fn release(&self, object: u64) {
        if !self.mark.is_current() {
            return;
        }
        let channel = {
            let mut state = self.state.lock();
            let Some(count) = state.proxies.get_mut(&object) else { return };
            *count -= 1;
            if *count > 0 {
                return;
            }
            state.proxies.remove(&object);
            if state.identity.is_none() {
                return;
            }
            state.released.push(object);
            state.idle.pop()
        };
        // Without an idle connection, the next one that is returned takes it along.
        if let Some(channel) = channel {
            self.return_channel(channel);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A proxy without its type: a reference of an object.
pub(super) struct Core {
    pub(super) link: Arc<Link>,
    pub(super) id: u64,
}

impl Core {
    /// The proxy of an object of which the server has just counted a reference of this client, if
    /// `counted`; else it is counted here.
    pub(super) fn new(link: &Arc<Link>, id: u64, counted: bool) -> Result<Self> {
        let is_first = {
            let mut state = link.state.lock();
            let count = state.proxies.entry(id).or_insert(0);
            *count += 1;
            *count == 1
        };
        let core = Self { link: Arc::clone(link), id };
        match (is_first, counted) {
            // The server counts one reference for all proxies of a client. Between the two there
            // is always one.
            (false, true) => {
                let channel = link.take_channel()?;
                match channel.send(id, Call::Release) {
                    Ok(()) => link.return_channel(channel),
                    Err(error) => {
                        link.give_up(channel);
                        return Err(error);
                    }
                }
            }
            (true, false) => {
                link.call(id, Call::Retain, Takes::NoTime)?;
            }
            _ => {}
        }
        Ok(core)
    }

    pub(super) fn call(&self, call: Call, takes: Takes) -> Result<Reply> {
        self.link.call(self.id, call, takes)
    }

    pub(super) fn now(&self, call: Call) -> Result<Reply> {
        self.call(call, Takes::NoTime)
    }
}

impl Clone for Core {
    fn clone(&self) -> Self {
        if self.link.mark.is_current() {
            *self.link.state.lock().proxies.entry(self.id).or_insert(0) += 1;
        }
        Self { link: Arc::clone(&self.link), id: self.id }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.link.release(self.id);
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {:x} of {}", self.id, self.link.address)
    }
}

std::thread_local! {
    /// The objects of the value that this thread serialises for a server, and that server.
    static ENCODING: RefCell<Option<(Address, Vec<u64>)>> = const { RefCell::new(None) };
    /// The client of the value that this thread reads.
    static DECODING: RefCell<Option<Arc<Link>>> = const { RefCell::new(None) };
}

/// Sets a thread-local value while `act` runs, and returns the value that was there at its end.
fn within<T, R>(
    slot: &'static std::thread::LocalKey<RefCell<Option<T>>>,
    value: T,
    act: impl FnOnce() -> R,
) -> (Option<T>, R) {
    struct Restore<T: 'static> {
        slot: &'static std::thread::LocalKey<RefCell<Option<T>>>,
        before: Option<T>,
    }
    impl<T> Restore<T> {
        fn end(&mut self) -> Option<T> {
            let before = self.before.take();
            self.slot.replace(before)
        }
    }
    impl<T> Drop for Restore<T> {
        fn drop(&mut self) {
            drop(self.end());
        }
    }
    let before = slot.replace(Some(value));
    let mut restore = Restore { slot, before };
    let result = act();
    let value = restore.end();
    core::mem::forget(restore);
    (value, result)
}

/// Serialises a value for the server of `link`. Proxies of the same server may be in it.
pub(super) fn encode<T: Serialize + ?Sized>(link: &Link, value: &T) -> Result<Data> {
    let context = (link.address.clone(), Vec::new());
    let (context, bytes) = within(&ENCODING, context, || postcard::to_stdvec(value));
    let bytes = bytes.map_err(|error| ManagerError::BadValue(error.to_string()))?;
    let objects = context.map(|(_, objects)| objects).unwrap_or_default();
    Ok(Data { bytes: bytes.into(), objects })
}

/// Reads a value of the server of `link`.
pub(super) fn decode<T: DeserializeOwned>(link: &Arc<Link>, bytes: &[u8]) -> Result<T> {
    let (_, read) = within(&DECODING, Arc::clone(link), || postcard::take_from_bytes(bytes));
    match read {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(ManagerError::BadValue("more bytes than the value has".into())),
        Err(error) => Err(ManagerError::BadValue(error.to_string())),
    }
}

/// A proxy, serialised.
#[derive(Serialize, Deserialize)]
enum Form {
    /// In a value of the same server.
    Inside(u64),
    /// Among the arguments or the result of a process.
    Travelling { address: Address, key: Key, transport: Transport, id: u64 },
}

impl Serialize for Core {
    fn serialize<S: Serializer>(&self, serializer: S) -> core::result::Result<S::Ok, S::Error> {
        let inside = ENCODING.with_borrow_mut(|context| match context {
            Some((address, objects)) if *address == self.link.address => {
                objects.push(self.id);
                Ok(true)
            }
            Some(_) => Err(S::Error::custom("a proxy of another manager")),
            None => Ok(false),
        })?;
        if inside {
            return Form::Inside(self.id).serialize(serializer);
        }
        if !handles::is_encoding() {
            return Err(S::Error::custom(
                "a proxy can only be serialised among the arguments or the result of a process, \
                 or in a value of its own manager",
            ));
        }
        // The other process takes a reference of its own; until then the server keeps the object.
        self.now(Call::Hold).map_err(S::Error::custom)?;
        let (address, key) = (self.link.address.clone(), self.link.key.clone());
        let transport = self.link.transport.clone();
        Form::Travelling { address, key, transport, id: self.id }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Core {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> core::result::Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Inside(id) => {
                let link = DECODING.with_borrow(Clone::clone);
                let link = link.ok_or_else(|| D::Error::custom("a proxy without its manager"))?;
                Self::new(&link, id, false).map_err(D::Error::custom)
            }
            Form::Travelling { address, key, transport, id } => {
                // A value of a manager must not make its reader connect anywhere.
                if !handles::is_decoding() {
                    return Err(D::Error::custom("a proxy that is not from a process"));
                }
                let link = Link::shared(address, key, transport).map_err(D::Error::custom)?;
                Self::new(&link, id, false).map_err(D::Error::custom)
            }
        }
    }
}
