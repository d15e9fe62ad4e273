//! The server of a manager.
//!
//! One thread accepts, one thread watches all connections for their ends (`epoll`), and each
//! connection has a thread, which runs its requests one after another. A request that waits does so
//! through its session, and the watcher ends that wait when the connection ends; so the locks and
//! references of a client that was killed are released at once.
//!
//! **Limits.** Before the authentication: 256 bytes a frame, a time, and a number of handshakes at
//! once. After it: connections, bytes of a message, objects, bytes of stored values. A client that
//! does not read its answers is disconnected.

mod clients;
mod containers;
mod locks;
mod monitor;
mod queue;
mod special;
mod store;
mod waits;

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};

use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll, eventfd};
use rustix::net::sockopt;
use sync_core::fork::ProcessMark;
use sync_core::{Condvar, Mutex, user_code};

use self::clients::Client;
use self::monitor::{Caller, Session};
use self::store::{Deferred, Registry, Served};
use super::limits::Limits;
use super::shared;
use super::wire::{Call, Join, Joined, Kind, Refusal, Reply, Request, Stats, TOKEN, VERSION};
use crate::auth::{Listener, Pending};
use crate::connection::{self, Connection};
use crate::process::end_if_forked;
use crate::random::random;

/// The time for a client to take an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// The time for the threads of the connections to end, when the server stops.
const STOP: Duration = Duration::from_secs(1);

/// A running server, as its threads share it.
pub(super) struct Server {
    number: u64,
    registry: Arc<Registry>,
    clients: Mutex<HashMap<[u8; TOKEN], Arc<Client>>>,
    sessions: Mutex<HashMap<u64, Weak<Session>>>,
    next: AtomicU64,
    handshakes: AtomicUsize,
    /// The number of connections with a thread.
    threads: Mutex<usize>,
    fewer: Condvar,
    epoll: OwnedFd,
    /// Written to stop the server.
    stop: OwnedFd,
    stopping: AtomicBool,
}

/// The number of the wake-up descriptor among the sessions of the watcher.
const WAKE: u64 = 0;

impl Server {
    pub(super) fn new(limits: Limits) -> io::Result<Arc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &stop, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        Ok(Arc::new(Self {
            number: u64::from_ne_bytes(random()?),
            // Not 0, which is the server itself, and far from the end.
            registry: Registry::new(limits, (u64::from_ne_bytes(random()?) >> 1) | 1),
            clients: Mutex::new(HashMap::new()),
            sessions: Mutex::new(HashMap::new()),
            next: AtomicU64::new(1),
            handshakes: AtomicUsize::new(0),
            threads: Mutex::new(0),
            fewer: Condvar::new(),
            epoll,
            stop,
            stopping: AtomicBool::new(false),
        }))
    }

    /// The descriptor that stops the server when it is written to.
    pub(super) fn stop_descriptor(&self) -> &OwnedFd {
        &self.stop
    }

    pub(super) fn stop(&self) {
        // Relaxed: the accepting thread is woken below, and the others by the ends of their
        // sessions.
        self.stopping.store(true, Ordering::Relaxed);
        // Full is as good as written.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
    }

    /// Serves until [`stop`](Self::stop), or until a client requests the end. Calls `unpublish`
    /// while it still listens.
    pub(super) fn run(
        self: &Arc<Self>,
        listener: Listener,
        unpublish: impl FnOnce(),
    ) -> io::Result<()> {
        let listener = listener.limit(self.registry.limits.handshake);
        let this = Arc::clone(self);
        let watcher = std::thread::Builder::new().name("sync-ipc-watcher".into());
        let watcher = watcher.spawn(move || this.watch())?;
        let accepted = self.accept(&listener);
        unpublish();
        // From here on a client is refused by the system.
        drop(listener);
        self.stop();
        let sessions: Vec<_> = self.sessions.lock().values().filter_map(Weak::upgrade).collect();
        for session in sessions {
            session.end();
        }
        let mut threads = self.threads.lock();
        // A method of the user's may block for longer.
        let _ = self.fewer.wait_while_for(&mut threads, |threads| *threads > 0, STOP);
        drop(threads);
        self.registry.clear();
        // A panic of the watcher is not the caller's.
        let _ = watcher.join();
        accepted
    }

    fn accept(self: &Arc<Self>, listener: &Listener) -> io::Result<()> {
        loop {
            let mut fds =
                [PollFd::new(listener, PollFlags::IN), PollFd::new(&self.stop, PollFlags::IN)];
            connection::poll_until(&mut fds, None)?;
            if !fds[1].revents().is_empty() {
                return Ok(());
            }
            match listener.accept_pending_timeout(Duration::ZERO) {
                Ok(Some(pending)) => self.admit(pending),
                Ok(None) => {}
                // No descriptors or no memory, or a client that is gone: later, perhaps.
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Gives a client a thread, or disconnects it.
    fn admit(self: &Arc<Self>, pending: Pending) {
        let limits = &self.registry.limits;
        // Relaxed: this thread alone counts up.
        let full = self.handshakes.load(Ordering::Relaxed) >= limits.handshakes as usize;
        let most = (limits.connections as usize).saturating_add(limits.handshakes as usize);
        if full || *self.threads.lock() >= most || !is_own_user(&pending) {
            return;
        }
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        *self.threads.lock() += 1;
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("sync-ipc-session".into());
        let started = thread.spawn(move || {
            let _leave = Leave(&this);
            let authenticated = {
                let _handshake = Handshake(&this);
                pending.authenticate()
            };
            if let Ok(connection) = authenticated {
                // Nothing of the user's panics out of it; a panic of our own ends this client only.
                user_code::run_and_forget_panic(|| this.converse(connection));
            }
        });
        if started.is_err() {
            // The closure was dropped without being run.
            self.handshakes.fetch_sub(1, Ordering::Relaxed);
            *self.threads.lock() -= 1;
        }
    }

    /// The life of a connection.
    fn converse(self: &Arc<Self>, connection: Connection) {
        let connection = connection.eager();
        let Ok(first) = connection.recv_bytes_timeout(256, self.registry.limits.handshake) else {
            return;
        };
        let (joined, session) = match self.join(&first, &connection) {
            Ok((client, session)) => {
                let token = client.token;
                (Joined::Welcome { server: self.number, token }, Some((client, session)))
            }
            Err(refusal) => (Joined::Refused(refusal), None),
        };
        let sent = postcard::to_stdvec(&joined)
            .is_ok_and(|joined| connection.send_bytes_timeout(&joined, ANSWER).is_ok());
        let Some((client, session)) = session else { return };
        let _end = End { server: self, client: &client, session: &session };
        if sent {
            self.serve(&connection, &client, &session);
        }
    }

    /// Finds or makes the client of a connection.
    fn join(
        &self,
        first: &[u8],
        connection: &Connection,
    ) -> Result<(Arc<Client>, Arc<Session>), Refusal> {
        let join: Join = shared::decode(first)?;
        if join.version != VERSION {
            return Err(Refusal::Version);
        }
        let system = |error: io::Error| Refusal::System(error.to_string());
        let socket = connection.as_fd().try_clone_to_owned().map_err(system)?;
        // Relaxed: a counter.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (client, is_new) = match join.token {
            Some(token) => {
                let found = self.clients.lock().get(&token).cloned();
                (found.ok_or(Refusal::Interrupted)?, false)
            }
            None => {
                let token: [u8; TOKEN] = random().map_err(system)?;
                (Client::new(number, token), true)
            }
        };
        let session = Session::new(number, Arc::clone(&client.holdings), socket);
        {
            let mut sessions = self.sessions.lock();
            if sessions.len() >= self.registry.limits.connections as usize {
                return Err(Refusal::Limit("connections".into()));
            }
            sessions.insert(number, Arc::downgrade(&session));
        }
        let joined = client.join(&session);
        let data = epoll::EventData::new_u64(number);
        let watched = epoll::add(&self.epoll, &session, data, epoll::EventFlags::RDHUP);
        // Relaxed: a stop that comes later ends all sessions in the table.
        let stopping = self.stopping.load(Ordering::Relaxed);
        if watched.is_err() || !joined || stopping {
            self.sessions.lock().remove(&number);
            return Err(Refusal::Interrupted);
        }
        if is_new {
            self.clients.lock().insert(client.token, Arc::clone(&client));
        }
        Ok((client, session))
    }

    fn serve(&self, connection: &Connection, client: &Client, session: &Session) {
        let most = usize::try_from(self.registry.limits.message).unwrap_or(usize::MAX);
        while let Ok(frame) = connection.recv_bytes(most) {
            // A message that makes no sense: nothing sensible can follow.
            let Ok(request) = postcard::from_bytes::<Request>(&frame) else { return };
            drop(frame);
            let answered = !matches!(request.call, Call::Release);
            let reply = {
                let _scope = Deferred::begin();
                let mark = ProcessMark::current();
                let reply = self.answer(request, client, session);
                end_if_forked(mark);
                reply
            };
            if !answered {
                continue;
            }
            let Ok(reply) = postcard::to_stdvec(&reply) else { return };
            if connection.send_bytes_timeout(&reply, ANSWER).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: Request, client: &Client, session: &Session) -> Reply {
        let Request { thread, object, call } = request;
        // A panic here is a bug of this crate: it ends this call, and no other.
        let answered = user_code::run(|| {
            if object == 0 {
                return self.own(client, call);
            }
            match call {
                Call::Release => {
                    client.release(object);
                    Ok(Reply::Done)
                }
                Call::Retain => {
                    client.retain(&self.registry.find(object)?)?;
                    Ok(Reply::Done)
                }
                Call::Hold => {
                    self.registry.hold(&self.registry.find(object)?);
                    Ok(Reply::Done)
                }
                call => {
                    let found = self.registry.find(object)?;
                    found.served().call(&Caller { session, thread, object }, call)
                }
            }
        });
        match answered {
            Ok(Ok(reply)) => reply,
            Ok(Err(refusal)) => Reply::Refused(refusal),
            Err(payload) => {
                let message = user_code::message(&*payload).to_owned();
                user_code::dispose_payload(payload);
                Reply::Refused(Refusal::Panicked(message))
            }
        }
    }

    /// Runs a call of the server itself.
    fn own(&self, client: &Client, call: Call) -> Result<Reply, Refusal> {
        match call {
            Call::Ping => Ok(Reply::Done),
            Call::Create { kind, tag, name } => {
                let make = || self.registry.insert(tag.clone(), self.make(kind)?);
                let object = match &name {
                    None => make()?,
                    Some(name) => self.registry.named(name, &tag, make)?,
                };
                client.retain(&object)?;
                Ok(Reply::Opened(object.id))
            }
            Call::Remove(name) => Ok(Reply::Flag(self.registry.unname(&name))),
            Call::Stats => Ok(Reply::Stats(Stats {
                clients: self.clients.lock().len() as u64,
                connections: self.sessions.lock().len() as u64,
                objects: self.registry.count(),
                bytes: self.registry.bytes(),
            })),
            Call::Shutdown => {
                self.stop();
                Ok(Reply::Done)
            }
            _ => Err(Refusal::NoSuchObject),
        }
    }

    fn make(&self, kind: Kind) -> Result<Box<dyn Served>, Refusal> {
        let (registry, limits) = (&self.registry, &self.registry.limits);
        Ok(match kind {
            Kind::Map => Box::new(containers::Map::new(registry)),
            Kind::Sequence { most, fixed, items } => {
                Box::new(containers::Sequence::new(registry, most, fixed, items)?)
            }
            Kind::Cell(value) => Box::new(containers::Cell::new(registry, value)?),
            Kind::Lock { reentrant } => Box::new(locks::Lock::new(reentrant)),
            Kind::Semaphore { permits, most } => {
                if most.is_some_and(|most| permits > most) {
                    return Err(Refusal::OutOfRange);
                }
                Box::new(locks::Semaphore::new(permits, most))
            }
            Kind::Event => Box::new(waits::Event::new()),
            Kind::Condition => Box::new(locks::Condition::new()),
            Kind::Barrier { parties: 0 } => return Err(Refusal::OutOfRange),
            Kind::Barrier { parties } => Box::new(waits::Barrier::new(parties)),
            Kind::Queue { capacity } => Box::new(queue::Queue::new(registry, capacity)),
            Kind::Pool { workers } if workers > limits.pool_workers => {
                return Err(Refusal::Limit("workers of a pool".into()));
            }
            Kind::Pool { workers } => Box::new(special::ServedPool::new(workers)?),
            Kind::User { name, arguments } => {
                match user_code::run(|| shared::create(&name, &arguments)) {
                    Ok(made) => Box::new(special::User(made?)),
                    Err(payload) => {
                        let message = user_code::message(&*payload).to_owned();
                        user_code::dispose_payload(payload);
                        return Err(Refusal::Panicked(message));
                    }
                }
            }
            Kind::Memory { size } if size > limits.stored_bytes => {
                return Err(Refusal::Limit("bytes of stored values".into()));
            }
            Kind::Memory { size } => Box::new(special::Memory::new(size)?),
        })
    }

    /// The watcher's life: ends the sessions whose connections have ended, and holds in time.
    fn watch(&self) {
        let mut events = Vec::with_capacity(64);
        let pause = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
        // Relaxed: `stop` wakes this thread.
        while !self.stopping.load(Ordering::Relaxed) {
            self.registry.end_holds();
            events.clear();
            let buffer = rustix::buffer::spare_capacity(&mut events);
            if epoll::wait(&self.epoll, buffer, Some(&pause)).is_err() {
                continue;
            }
            for event in &events {
                let number = event.data.u64();
                let session = self.sessions.lock().get(&number).and_then(Weak::upgrade);
                if let Some(session) = session {
                    // Once is enough; a connection that has ended stays so.
                    let _ = epoll::delete(&self.epoll, &session);
                    session.end();
                }
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Counts a handshake down, also when it unwinds.
struct Handshake<'a>(&'a Server);

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        // Relaxed: a count.
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a thread down.
struct Leave<'a>(&'a Server);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        *self.0.threads.lock() -= 1;
        self.0.fewer.notify_all();
    }
}

/// Ends a session, and the client whose first session it is.
struct End<'a> {
    server: &'a Server,
    client: &'a Arc<Client>,
    session: &'a Arc<Session>,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let Self { server, client, session } = &*self;
        server.sessions.lock().remove(&session.number);
        // The watcher may have done it, on another end of the connection.
        let _ = epoll::delete(&server.epoll, &**session);
        session.end();
        client.leave(session);
        // The first session has the client's number.
        if session.number == client.holdings.client {
            client.end(&server.registry);
            // Afterwards: a client that is not counted any more holds nothing.
            server.clients.lock().remove(&client.token);
        }
    }
}

/// Whether a client at a path is of this user, or root. A TCP client has no user.
fn is_own_user(pending: &Pending) -> bool {
    let socket = pending.as_fd();
    if sockopt::socket_domain(socket) != Ok(rustix::net::AddressFamily::UNIX) {
        connection::keep_alive(socket);
        return true;
    }
    let own = rustix::process::geteuid();
    sockopt::socket_peercred(socket).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}
