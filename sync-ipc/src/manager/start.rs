//! Starting a manager's server: in a process of its own, or in this one.

use core::fmt;
use core::ops::Deref;
use core::sync::atomic::{AtomicI32, Ordering};
use core::time::Duration;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sync_core::fork::ProcessMark;

use super::client::ManagerClient;
use super::error::{ManagerError, Result};
use super::limits::Limits;
use super::link::{Address, Link};
use super::server;
use super::socket_path::{self, OwnPath, SocketPath};
use super::wire::Refusal;
#[cfg(feature = "tls")]
use crate::auth::{AuthError, Identity, Trust};
use crate::auth::{Key, Listener, Transport};
use crate::connection::{self, Connection};
use crate::process::handles::{Descriptor, Outgoing, encode_to_vec};
use crate::process::{Bytes, Entry, Process, current_process, entry};

entry!(serve);

/// The time that a server has to end, after the request and after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);

/// Configures a [`Manager`]. From [`Manager::builder`].
#[must_use = "nothing is started before `start`"]
#[derive(Debug)]
pub struct ManagerBuilder {
    at: At,
    key: Option<Key>,
    limits: Limits,
    name: String,
    initializer: Option<Initializer>,
    failure: Option<String>,
    #[cfg(feature = "tls")]
    tls: Option<(Identity, Trust)>,
}

#[derive(Debug)]
enum At {
    Folder,
    Path(PathBuf),
    Tcp(SocketAddr),
}

/// The call that the server makes before it serves.
#[derive(Debug, Serialize, Deserialize)]
struct Initializer {
    entry: u32,
    body: Bytes,
    descriptors: Vec<Descriptor>,
}

/// The arguments of a server process.
#[derive(Serialize, Deserialize)]
struct Setup {
    listener: Descriptor,
    is_tcp: bool,
    key: Key,
    limits: Limits,
    initializer: Option<Initializer>,
    #[cfg(feature = "tls")]
    identity: Option<Identity>,
    /// Removed at the server's end.
    socket: Option<SocketPath>,
    /// Gets one byte when the server is ready.
    ready: Connection,
}

impl ManagerBuilder {
    /// The key that its clients must know. Default: that of this process
    /// ([`CurrentProcess::authkey`](crate::CurrentProcess::authkey)), which is a random one unless
    /// it was set, and which the processes that this process starts inherit.
    pub fn authkey(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// Serves at this path. Default: a path in a new folder that only this user can enter.
    ///
    /// Use a folder of mode 0700. Only processes of this user and of root are served. A socket that
    /// a server left there which does not live any more is replaced. Of several managers that start
    /// at one path at the same time one starts; the others get [`ManagerError::Io`] with
    /// `AddrInUse`. While a manager starts or ends there, the folder has a file of the same name
    /// with `.lock` at its end.
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.at = At::Path(path.as_ref().to_owned());
        self
    }

    /// Serves at this TCP address; port 0 is one of the system's choice. Nothing is encrypted,
    /// except with `tls` (feature `tls`).
    pub fn tcp(mut self, address: SocketAddr) -> Self {
        self.at = At::Tcp(address);
        self
    }

    /// Speaks TLS at its [TCP](Self::tcp) address, as `identity`. The manager's own client, and
    /// the proxies that it passes to other processes, believe `trust`.
    ///
    /// ```no_run
    /// use sync_ipc::auth::{Identity, Trust};
    /// use sync_ipc::manager::{Manager, ManagerClient};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # sync_ipc::init();
    /// let read = std::fs::read_to_string;
    /// let identity = Identity::from_pem(&read("server.pem")?, &read("server.key")?)?;
    /// let trust = Trust::from_pem(&read("issuer.pem")?, "objects.example.com")?;
    /// let manager = Manager::builder()
    ///     .tcp("0.0.0.0:7000".parse()?)
    ///     .tls(identity, trust.clone())
    ///     .start()?;
    /// // A client on another machine, which knows the key and the issuer:
    /// let address = manager.address().clone();
    /// let client = ManagerClient::connect_tls(address, manager.key().clone(), trust)?;
    /// client.ping()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, identity: Identity, trust: Trust) -> Self {
        self.tls = Some((identity, trust));
        self
    }

    /// Sets the limits of the server.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// The name of the server process. Default: `Manager`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// A function that the server calls before it serves.
    pub fn initializer<M, F: Entry<M>>(mut self, f: F, args: F::Args) -> Self {
        let number = entry::find(&f).and_then(|number| u32::try_from(number).ok());
        let mut outgoing = Outgoing::default();
        match (number, encode_to_vec(&args, &mut outgoing)) {
            (None, _) => {
                self.failure = Some(format!("`{}` is no entry point", entry::name_of(&f)));
            }
            (_, Err(error)) => self.failure = Some(error.to_string()),
            (Some(entry), Ok(body)) => {
                let descriptors = outgoing.descriptors.into_iter().map(Descriptor::from).collect();
                self.initializer = Some(Initializer { entry, body: body.into(), descriptors });
            }
        }
        self
    }

    /// Starts the server in a process of its own.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Spawn`]; [`ManagerError::Io`] if the address is taken;
    /// [`ManagerError::Refused`] if the initializer panicked.
    pub fn start(self) -> Result<Manager> {
        if let Some(why) = self.failure {
            return Err(ManagerError::BadValue(why));
        }
        #[cfg(feature = "tls")]
        let (transport, identity) = split(self.tls, &self.at)?;
        #[cfg(not(feature = "tls"))]
        let transport = Transport::Plain;
        let key = self.key.map_or_else(|| current_process().authkey(), Ok)?;
        let bound = Bound::new(self.at)?;
        let (ready, theirs) = connection::one_way_pipe()?;
        let setup = Setup {
            listener: bound.socket.into(),
            is_tcp: matches!(bound.address, Address::Tcp(_)),
            key: key.clone(),
            limits: self.limits,
            initializer: self.initializer,
            #[cfg(feature = "tls")]
            identity,
            socket: bound.path.as_ref().and_then(|own| own.socket.clone()),
            ready: theirs,
        };
        // Its end is its parent's decision: it ignores Ctrl-C, and ends with it.
        let process = Process::builder(serve)
            .name(self.name)
            .daemon(true)
            .ignore_interrupt(true)
            .spawn(setup)?;
        let mark = ProcessMark::current();
        let (path, address) = (bound.path, bound.address);
        // Not ready, and the pipe closed: it has ended, or will in a moment.
        if ready.recv_bytes(1).is_err() {
            return Err(match process.result() {
                Ok(Err(refusal)) => refusal.into(),
                Ok(Ok(())) => ManagerError::Gone,
                Err(error) => ManagerError::Io(io::Error::other(error)),
            });
        }
        let link = Link::connect(address, key.clone(), transport).inspect_err(|_| {
            // No handle of it is returned. It may have ended by itself.
            let _ = process.kill();
            let _ = process.join();
        });
        let client = ManagerClient { link: link? };
        Ok(Manager { client, key, process, path, mark, ended: false })
    }

    /// Prepares a server in this process, which [`Server::run`] serves with. Python's
    /// `get_server().serve_forever()`. An initializer is not called.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Io`] if the address is taken.
    pub fn server(self) -> Result<Server> {
        #[cfg(feature = "tls")]
        let (_, identity) = split(self.tls, &self.at)?;
        let key = self.key.map_or_else(|| current_process().authkey(), Ok)?;
        let Bound { address, socket, path } = Bound::new(self.at)?;
        let listener = Listener::over(socket, matches!(address, Address::Tcp(_)), key.clone())?;
        #[cfg(feature = "tls")]
        let listener = with_tls(listener, identity.as_ref())?;
        let server = server::Server::new(self.limits)?;
        Ok(Server { server, listener, address, key, path })
    }
}

/// A bound address.
struct Bound {
    address: Address,
    socket: OwnedFd,
    path: Option<OwnPath>,
}

impl Bound {
    fn new(at: At) -> Result<Self> {
        match at {
            At::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                let address = Address::Tcp(listener.local_addr()?);
                Ok(Self { address, socket: listener.into(), path: None })
            }
            At::Path(path) => {
                let (listener, own) = socket_path::listen_at(&path)?;
                Ok(Self { address: Address::Path(path), socket: listener.into(), path: Some(own) })
            }
            At::Folder => {
                let (path, listener, own) = socket_path::listen_in_a_new_folder()?;
                Ok(Self { address: Address::Path(path), socket: listener.into(), path: Some(own) })
            }
        }
    }
}

/// The descriptor that the handler of SIGTERM writes to.
static STOP: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_terminate(_: libc::c_int) {
    let one = 1_u64.to_ne_bytes();
    // Relaxed: stored before the handler was installed.
    let stop = STOP.load(Ordering::Relaxed);
    // SAFETY: `write` and the place of `errno` may be used in a handler of a signal; the bytes are
    // on this stack.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(stop, one.as_ptr().cast(), one.len());
        *libc::__errno_location() = errno;
    }
}

/// The transport of a manager's clients, and the identity of its server.
#[cfg(feature = "tls")]
fn split(tls: Option<(Identity, Trust)>, at: &At) -> Result<(Transport, Option<Identity>)> {
    match tls {
        None => Ok((Transport::Plain, None)),
        Some((identity, trust)) if matches!(at, At::Tcp(_)) => {
            Ok((Transport::Tls(trust), Some(identity)))
        }
        Some(_) => Err(ManagerError::BadValue("TLS is for TCP addresses".into())),
    }
}

#[cfg(feature = "tls")]
fn with_tls(
    listener: Listener,
    identity: Option<&Identity>,
) -> core::result::Result<Listener, AuthError> {
    match identity {
        None => Ok(listener),
        Some(identity) => listener.tls(identity),
    }
}

/// The life of a server process.
fn serve(setup: Setup) -> core::result::Result<(), Refusal> {
    #[cfg(feature = "tls")]
    let identity = setup.identity;
    let Setup { listener, is_tcp, key, limits, initializer, socket, ready, .. } = setup;
    let system = |error: io::Error| Refusal::System(error.to_string());
    if let Some(Initializer { entry, body, descriptors }) = initializer {
        let descriptors = descriptors.into_iter().map(OwnedFd::from).collect();
        let mut work = entry::Work::new(body.0, 1, descriptors);
        entry::run_numbered(entry, &mut work);
        if !work.has_returned() {
            return Err(Refusal::Panicked("the initializer of the manager failed".into()));
        }
    }
    let listener = Listener::over(listener.into(), is_tcp, key).map_err(system)?;
    #[cfg(feature = "tls")]
    let listener = with_tls(listener, identity.as_ref())
        .map_err(|error| Refusal::System(error.to_string()))?;
    let server = server::Server::new(limits).map_err(system)?;
    // Relaxed: the handler is installed after it.
    STOP.store(server.stop_descriptor().as_raw_fd(), Ordering::Relaxed);
    let handler: extern "C" fn(libc::c_int) = on_terminate;
    // SAFETY: the handler lives as long as the program, and calls what a handler may call. The
    // descriptor stays open until the process ends: `server` is forgotten below.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
    // A parent that is gone needs no word.
    let _ = ready.send_bytes(&[1]);
    drop(ready);
    // Also if the parent was killed, and does not.
    let unpublish = || {
        if let Some(socket) = socket {
            socket.own().unpublish();
        }
    };
    let served = server.run(listener, unpublish).map_err(system);
    core::mem::forget(server);
    served
}

/// A server process with shared objects, and a client of it. Python's `SyncManager`.
///
/// Dropping it ends the server: by a request, a second later by SIGTERM, and a second later by
/// SIGKILL. The server also ends when this process does.
pub struct Manager {
    client: ManagerClient,
    key: Key,
    process: Process<core::result::Result<(), Refusal>>,
    /// Removed when it is dropped.
    path: Option<OwnPath>,
    mark: ProcessMark,
    ended: bool,
}

impl Manager {
    /// Starts a manager at a path of its own, with the key of this process.
    ///
    /// # Errors
    ///
    /// As [`ManagerBuilder::start`].
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Configures a manager.
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder {
            at: At::Folder,
            key: None,
            limits: Limits::default(),
            name: "Manager".into(),
            initializer: None,
            failure: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The key, for clients that this process does not start.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The server's process.
    #[must_use]
    pub fn process(&self) -> &crate::Child {
        self.process.child()
    }

    /// A client of this manager.
    #[must_use]
    pub fn client(&self) -> &ManagerClient {
        &self.client
    }

    /// Ends the server and waits for its end. Proxies return errors from then on.
    ///
    /// # Errors
    ///
    /// The errors of `poll`; `Unsupported` in a forked child.
    pub fn shutdown(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        if core::mem::replace(&mut self.ended, true) || !self.mark.is_current() {
            return Ok(());
        }
        if self.process.is_alive() {
            // A server that has ended, or does not answer, is dealt with below.
            let _ = self.client.link.request_shutdown();
        }
        if self.process.join_timeout(GRACE)?.is_none() {
            self.process.terminate()?;
            if self.process.join_timeout(GRACE)?.is_none() {
                self.process.kill()?;
                self.process.join()?;
            }
        }
        let own = self.path.take();
        if let (Some(own), Some(0)) = (own, self.process.exitcode()) {
            own.forget();
        }
        Ok(())
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // In a forked child it does nothing.
        let _ = self.end();
    }
}

impl Deref for Manager {
    type Target = ManagerClient;

    fn deref(&self) -> &ManagerClient {
        &self.client
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("address", self.client.address())
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

/// A manager's server in this process. From [`ManagerBuilder::server`].
#[derive(Debug)]
#[must_use = "nothing is served before `run`"]
pub struct Server {
    server: Arc<server::Server>,
    listener: Listener,
    address: Address,
    key: Key,
    path: Option<OwnPath>,
}

/// Stops a [`Server`].
#[derive(Clone, Debug)]
pub struct ServerHandle(Arc<server::Server>);

impl ServerHandle {
    /// Stops the server: [`Server::run`] returns.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Server {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// A handle that stops it.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle(Arc::clone(&self.server))
    }

    /// Serves until [`ServerHandle::stop`], or until a client requests the end.
    ///
    /// # Errors
    ///
    /// The errors of `poll`.
    pub fn run(self) -> io::Result<()> {
        let Self { server, listener, path, .. } = self;
        server.run(listener, || {
            if let Some(own) = path {
                own.unpublish();
            }
        })
    }
}
