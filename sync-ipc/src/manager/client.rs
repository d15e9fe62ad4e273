//! A client of a manager: makes and opens objects.

use core::any::type_name;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ManagerError, Result};
use super::link::{Address, Core, Link, Takes, encode};
use super::pipeline::Pipeline;
use super::proxy::containers::{Array, Counter, Deque, Dict, List, Namespace, Set, Value};
use super::proxy::locks::{BoundedSemaphore, Condition, Lock, ReentrantLock, Semaphore};
use super::proxy::special::{Pool, SharedProxy};
use super::proxy::waits::{Barrier, Event, Queue};
use super::proxy::{done, flag};
use super::shared::Shared;
use super::wire::{Call, Kind, Reply, Stats};
#[cfg(feature = "tls")]
use crate::auth::Trust;
use crate::auth::{Key, Transport};
use crate::process::Bytes;
use crate::segment::Segment;
use crate::shared_memory::{Item, ShareableList};

/// A handle of a manager's server, in any process that knows its address and its key. Python's
/// `BaseManager(address, authkey).connect()`.
///
/// Clones are the same client. It has a connection for each thread that calls at the same time as
/// others. When the last clone and the last proxy are dropped, or the process ends, the server
/// releases its locks and references.
#[derive(Clone, Debug)]
pub struct ManagerClient {
    pub(super) link: Arc<Link>,
}

/// Makes objects with a name, or opens those that have it: from [`ManagerClient::named`].
///
/// An object with a name lives until the name is removed and its last proxy is gone, or the server
/// ends; so a client that was disconnected finds it again.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    client: &'a ManagerClient,
    name: String,
}

fn tag<T>(kind: &str) -> String {
    format!("{kind}<{}>", type_name::<T>())
}

impl ManagerClient {
    /// Connects to the server of a manager.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Unreachable`]; [`ManagerError::Auth`] if the keys differ.
    pub fn connect(address: Address, key: Key) -> Result<Self> {
        Ok(Self { link: Link::connect(address, key, Transport::Plain)? })
    }

    /// Connects to the server of a manager that speaks TLS
    /// ([`ManagerBuilder::tls`](super::ManagerBuilder::tls)).
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); [`ManagerError::Auth`] also if the server's certificate is
    /// not one that `trust` believes, and [`ManagerError::BadValue`] for a path.
    #[cfg(feature = "tls")]
    pub fn connect_tls(address: Address, key: Key, trust: Trust) -> Result<Self> {
        if matches!(address, Address::Path(_)) {
            return Err(ManagerError::BadValue("TLS is for TCP addresses".into()));
        }
        Ok(Self { link: Link::connect(address, key, Transport::Tls(trust))? })
    }

    /// The address of the server.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.link.address
    }

    /// Makes objects with this name, or opens those that have it.
    ///
    /// ```
    /// use sync_ipc::manager::Manager;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # sync_ipc::init();
    /// let manager = Manager::start()?;
    /// manager.named("scores").counter::<String>()?.add(&"Ada".into(), 3)?;
    /// // Any other client:
    /// let scores = manager.named("scores").counter::<String>()?;
    /// assert_eq!(scores.get(&"Ada".into())?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn named(&self, name: impl Into<String>) -> Named<'_> {
        Named { client: self, name: name.into() }
    }

    /// Removes a name. Returns whether it was there. Proxies keep the object.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn remove(&self, name: &str) -> Result<bool> {
        flag(&self.link.call(0, Call::Remove(name.to_owned()), Takes::NoTime)?)
    }

    /// Begins a [`Pipeline`].
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn pipeline(&self) -> Result<Pipeline> {
        Pipeline::new(&self.link)
    }

    /// Asks the server for an answer.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn ping(&self) -> Result<()> {
        done(&self.link.call(0, Call::Ping, Takes::NoTime)?)
    }

    /// The numbers of the server.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn stats(&self) -> Result<Stats> {
        match self.link.call(0, Call::Stats, Takes::NoTime)? {
            Reply::Stats(stats) => Ok(stats),
            _ => Err(ManagerError::BadValue("the answer is of another kind".into())),
        }
    }

    /// Requests the end of the server, for all of its clients.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn shut_down_server(&self) -> Result<()> {
        done(&self.link.call(0, Call::Shutdown, Takes::NoTime)?)
    }

    fn open(&self, name: Option<&str>, tag: String, kind: Kind) -> Result<Core> {
        let call = Call::Create { kind, tag, name: name.map(str::to_owned) };
        // A constructor of the user's may take its time.
        match self.link.call(0, call, Takes::Unknown)? {
            Reply::Opened(id) => Core::new(&self.link, id, true),
            _ => Err(ManagerError::BadValue("the answer is of another kind".into())),
        }
    }

    fn make(&self, tag: String, kind: Kind) -> Result<Core> {
        self.open(None, tag, kind)
    }

    fn client(&self) -> &Self {
        self
    }

    /// Shared memory whose name the server keeps, until it ends or `shared_memory` is dropped.
    fn memory(&self, size: usize) -> Result<(Core, String)> {
        let core = self.make("memory".into(), Kind::Memory { size: size as u64 })?;
        match core.now(Call::MemoryName)? {
            Reply::Text(name) => Ok((core, name)),
            _ => Err(ManagerError::BadValue("the answer is of another kind".into())),
        }
    }
}

impl Named<'_> {
    fn make(&self, tag: String, kind: Kind) -> Result<Core> {
        self.client.open(Some(&self.name), tag, kind)
    }

    fn client(&self) -> &ManagerClient {
        self.client
    }
}

macro_rules! constructors {
    ($($type:ty),+) => {$(
        impl $type {
            /// A dictionary.
            ///
            /// # Errors
            ///
            /// [`ManagerError`]. For an object with a name:
            /// [`Refusal::WrongType`](super::Refusal::WrongType) if it has another type. Also for
            /// the other constructors.
            pub fn dict<K, V>(&self) -> Result<Dict<K, V>> {
                self.make(tag::<(K, V)>("dict"), Kind::Map).map(Dict::over)
            }

            /// A set.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn set<T>(&self) -> Result<Set<T>> {
                self.make(tag::<T>("set"), Kind::Map).map(Set::over)
            }

            /// A counter.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn counter<K>(&self) -> Result<Counter<K>> {
                self.make(tag::<K>("counter"), Kind::Map).map(Counter::over)
            }

            /// A namespace.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn namespace(&self) -> Result<Namespace> {
                self.make("namespace".into(), Kind::Map).map(Namespace::over)
            }

            /// An empty list.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn list<T>(&self) -> Result<List<T>> {
                let kind = Kind::Sequence { most: None, fixed: false, items: Vec::new() };
                self.make(tag::<T>("list"), kind).map(List::over)
            }

            /// An empty deque, of at most this many items.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn deque<T>(&self, most: Option<usize>) -> Result<Deque<T>> {
                let most = most.map(|most| most as u64);
                let kind = Kind::Sequence { most, fixed: false, items: Vec::new() };
                self.make(tag::<T>("deque"), kind).map(Deque::over)
            }

            /// An array of these items.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn array<T: Serialize + DeserializeOwned>(&self, items: &[T]) -> Result<Array<T>> {
                let link = &self.client().link;
                let items = items.iter().map(|item| encode(link, item)).collect::<Result<_>>()?;
                let kind = Kind::Sequence { most: None, fixed: true, items };
                self.make(tag::<T>("array"), kind).map(Array::over)
            }

            /// A value.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn value<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<Value<T>> {
                let data = encode(&self.client().link, value)?;
                self.make(tag::<T>("value"), Kind::Cell(data)).map(Value::over)
            }

            /// A lock.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn lock(&self) -> Result<Lock> {
                self.make("lock".into(), Kind::Lock { reentrant: false }).map(Lock::over)
            }

            /// A reentrant lock.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            #[doc(alias = "RLock")]
            pub fn reentrant_lock(&self) -> Result<ReentrantLock> {
                let kind = Kind::Lock { reentrant: true };
                self.make("reentrant lock".into(), kind).map(ReentrantLock::over)
            }

            /// A semaphore of this many permits.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn semaphore(&self, permits: u64) -> Result<Semaphore> {
                let kind = Kind::Semaphore { permits, most: None };
                self.make("semaphore".into(), kind).map(Semaphore::over)
            }

            /// A semaphore that never has more than this many permits.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn bounded_semaphore(&self, permits: u64) -> Result<BoundedSemaphore> {
                let kind = Kind::Semaphore { permits, most: Some(permits) };
                self.make("bounded semaphore".into(), kind).map(BoundedSemaphore::over)
            }

            /// An event, not set.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn event(&self) -> Result<Event> {
                self.make("event".into(), Kind::Event).map(Event::over)
            }

            /// A condition, with a lock of its own.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn condition(&self) -> Result<Condition> {
                self.make("condition".into(), Kind::Condition).map(Condition::over)
            }

            /// A barrier for this many parties.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict); [`Refusal::OutOfRange`](super::Refusal::OutOfRange) for 0.
            pub fn barrier(&self, parties: u64) -> Result<Barrier> {
                self.make("barrier".into(), Kind::Barrier { parties }).map(Barrier::over)
            }

            /// A queue, of at most this many items.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict).
            pub fn queue<T>(&self, capacity: Option<usize>) -> Result<Queue<T>> {
                let kind = Kind::Queue { capacity: capacity.map(|capacity| capacity as u64) };
                self.make(tag::<T>("queue"), kind).map(Queue::over)
            }

            /// A pool of this many processes of the server's.
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict); [`Refusal::System`](super::Refusal::System) if they cannot
            /// be started.
            pub fn pool(&self, workers: usize) -> Result<Pool> {
                let kind = Kind::Pool { workers: workers as u64 };
                self.make("pool".into(), kind).map(Pool::over)
            }

            /// A value of a type of the program's own. See [`shared!`](crate::shared).
            ///
            /// # Errors
            ///
            /// As [`dict`](Self::dict);
            /// [`Refusal::NotRegistered`](super::Refusal::NotRegistered) if the server's program
            /// does not have the type.
            pub fn shared<T: Shared>(&self, arguments: T::Arguments) -> Result<SharedProxy<T>> {
                let arguments: Bytes = postcard::to_stdvec(&arguments)
                    .map_err(|error| ManagerError::BadValue(error.to_string()))?
                    .into();
                let kind = Kind::User { name: T::NAME.into(), arguments };
                self.make(tag::<T>("shared"), kind).map(SharedProxy::over)
            }
        }
    )+};
}
constructors!(ManagerClient, Named<'_>);

/// Keeps the names of shared memory in a manager's server. Python's `SharedMemoryManager`.
///
/// The memory itself is shared directly: the server only holds it, so that it lives while no other
/// process has it. Its name is gone when the server ends, or when the [`ManagedMemory`] and its
/// clones are dropped; processes that have the memory keep it.
///
/// ```
/// use sync_ipc::Item;
/// use sync_ipc::manager::{Manager, SharedMemoryManager};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # sync_ipc::init();
/// let manager = Manager::start()?;
/// let memory = SharedMemoryManager::new(&manager);
/// let (list, managed) = memory.shareable_list(&[Item::Int(1), Item::Str("two".into())])?;
/// // Any other process of this user, by the name:
/// let segment = sync_ipc::Segment::open(managed.name())?;
/// let same = sync_ipc::ShareableList::open(&segment, "list")?;
/// list.set(0, &Item::Int(42))?;
/// assert_eq!(same.get(0)?, Item::Int(42));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SharedMemoryManager {
    client: ManagerClient,
}

/// Keeps the name of a segment in the server until it and its clones are dropped.
#[derive(Clone, Debug)]
#[must_use = "the name is gone when it is dropped"]
pub struct ManagedMemory {
    core: Core,
    name: String,
}

impl ManagedMemory {
    /// The name of the segment, for [`Segment::open`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the server still has it.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn check(&self) -> Result<()> {
        self.core.now(Call::MemoryName).map(drop)
    }
}

/// The room of a segment for its own tables, beside the objects in it.
const TABLES: usize = 1 << 13;

impl SharedMemoryManager {
    /// Of this manager.
    #[must_use]
    pub fn new(client: &ManagerClient) -> Self {
        Self { client: client.clone() }
    }

    /// A segment of this size.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn segment(&self, size: usize) -> Result<(Segment, ManagedMemory)> {
        let (core, name) = self.client.memory(size)?;
        let segment = Segment::open(&name).map_err(other)?;
        Ok((segment, ManagedMemory { core, name }))
    }

    /// A list, called `list` in a segment of its own.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn shareable_list(&self, items: &[Item]) -> Result<(ShareableList, ManagedMemory)> {
        let bytes: usize = items.iter().map(|item| room(item) + 64).sum();
        let (segment, managed) = self.segment(bytes.saturating_add(TABLES))?;
        Ok((ShareableList::create(&segment, "list", items).map_err(other)?, managed))
    }
}

/// An upper bound of the bytes of an item's value.
fn room(item: &Item) -> usize {
    match item {
        Item::Str(text) => text.len(),
        Item::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}

fn other(error: crate::error::Error) -> ManagerError {
    ManagerError::Io(std::io::Error::other(error))
}
