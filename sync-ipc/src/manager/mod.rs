//! Shared objects in a server process, and their proxies. Python's `multiprocessing.Manager`.
//!
//! A [`Manager`] starts a server process. Its clients are processes of this machine, which connect
//! to a path, or of others, over TCP; each end proves to the other that it knows the key
//! ([`auth`](crate::auth)). An object is a dictionary, a list, a lock, a queue and so on, or a
//! value of a type of the program's own ([`shared!`](crate::shared)). Clients have proxies of it,
//! which can be among the arguments of a [`Process`](crate::Process), and inside of other objects
//! of the same manager.
//!
//! Shared memory ([`Mutex`](crate::Mutex), [`Queue`](crate::Queue)) is faster by far: a call of a
//! manager goes to another process and back through a socket. A manager is for what does not fit
//! there: values of any type and length, and other machines.
//!
//! ```
//! use sync_ipc::Process;
//! use sync_ipc::manager::{Dict, Manager};
//!
//! fn greet(greetings: Dict<String, u32>, name: String) {
//!     greetings.insert(&name, &1).unwrap();
//! }
//! sync_ipc::entry!(greet);
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     sync_ipc::init();
//!     let manager = Manager::start()?;
//!     let greetings = manager.dict()?;
//!     Process::spawn(greet, (greetings.clone(), "Ada".into()))?.result()?;
//!     assert_eq!(greetings.items()?, [("Ada".to_owned(), 1)]);
//!     Ok(())
//! }
//! ```
//!
//! **Deaths.** The server watches each connection. A client that ends, in good order or not, loses
//! its locks (the next owner learns it: `owner_died`), its permits and leased items come back, a
//! barrier that it waited at is broken, and its references are dropped: on this machine at once,
//! over TCP within about ten seconds if the other machine is gone. A blocked call of it has no
//! effect. If the server ends, each call returns [`ManagerError::Gone`] or
//! [`ManagerError::Unreachable`], those that wait too. A server ends with the process that started
//! it.
//!
//! **Trust.** All clients that know the key may do everything that the objects offer, and stop the
//! server. The server makes no value of a type that a client names, and runs no code but the
//! methods of registered types and, in a [`Pool`], the program's entry points. [`Limits`] bound the
//! memory that clients can take. Over TCP nothing is encrypted, except with the feature `tls` and
//! [`ManagerBuilder::tls`].
//!
//! The parts: `wire` (messages), `server`, `link` (connections of a client), `proxy`, `shared`
//! (types of the program's own), `socket_path` (paths of sockets).

mod client;
mod error;
mod limits;
mod link;
mod pipeline;
mod proxy;
mod server;
mod socket_path;
#[macro_use]
mod shared;
mod start;
mod wire;

pub use self::client::{ManagedMemory, ManagerClient, Named, SharedMemoryManager};
pub use self::error::ManagerError;
pub use self::limits::Limits;
pub use self::link::Address;
pub use self::pipeline::{Answers, Later, Pipeline};
pub use self::proxy::containers::{Array, Counter, Deque, Dict, List, Namespace, Set, Value};
pub use self::proxy::iteration::DictIter;
pub use self::proxy::locks::{
    BoundedSemaphore, BoundedSemaphorePermit, Condition, ConditionGuard, Lock, LockGuard,
    ReentrantLock, ReentrantLockGuard, Semaphore, SemaphorePermit,
};
pub use self::proxy::special::{Pool, SharedProxy};
pub use self::proxy::waits::{Barrier, Event, Lease, Queue};
pub use self::shared::Shared;
pub use self::start::{Manager, ManagerBuilder, Server, ServerHandle};
pub use self::wire::{Refusal, Stats};

/// Items that [`shared!`](crate::shared) needs.
#[doc(hidden)]
pub mod private {
    pub use super::shared::{AnyShared, Registration, TYPES, decode, encode};
}
