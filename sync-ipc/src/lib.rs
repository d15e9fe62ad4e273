// On other systems the crate is empty.
#![cfg(target_os = "linux")]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The portable futex keeps its sleepers in a table of one process: a sleeper of another process
// would never be woken.
#[cfg(sync_futex_fallback)]
compile_error!(
    "sync-ipc wakes other processes, which only the system's own futex can: \
     build it without `--cfg sync_futex_fallback`"
);

#[macro_use]
mod handle;

#[cfg(feature = "auth")]
pub mod auth;
mod barrier;
mod condvar;
mod connection;
#[cfg(feature = "process")]
mod eager;
mod error;
mod event;
mod membership;
mod memory;
mod mutex;
mod plain;
#[cfg(feature = "process")]
#[macro_use]
mod process;
#[cfg(feature = "process")]
pub mod pool;
// After `process`, whose macro it uses.
#[cfg(feature = "manager")]
#[macro_use]
pub mod manager;
mod procfs;
mod queue;
mod random;
#[doc(hidden)]
pub mod raw;
mod readiness;
mod reentrant;
mod rwlock;
mod segment;
mod semaphore;
mod shared_memory;
mod value;

pub use self::barrier::{Barrier, BarrierWaitResult};
pub use self::condvar::{Condvar, Waitable};
pub use self::connection::{Connection, DEFAULT_MAX, Listener, MAX_FDS, one_way_pipe, pipe, wait};
pub use self::error::{
    BarrierError, ConnectionError, Error, ListError, LockError, OutOfRange, RecvError, Result,
    SendError, TooManyReleases,
};
pub use self::event::Event;
pub use self::mutex::{Guard, Mutex};
pub use self::plain::Plain;
#[cfg(feature = "process")]
pub use self::pool::{JobError, JobHandle, Pool, PoolBuilder};
#[cfg(feature = "process")]
pub use self::process::{
    Bytes, Child, CurrentProcess, Descriptor, Entry, Panic, ParentProcess, Process, ProcessBuilder,
    ProcessError, SpawnError, Stdin, active_children, current_process, init, parent_process,
};
pub use self::queue::bytes::ByteQueue;
pub use self::queue::in_place::{InPlaceLease, InPlaceQueue, Loan};
pub use self::queue::joinable::{JoinableQueue, Task};
pub use self::queue::{Lease, Orphans, Queue, QueueOptions, Receiver, Sender, queue};
pub use self::readiness::Readiness;
pub use self::reentrant::{ReentrantGuard, ReentrantMutex};
pub use self::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use self::segment::Segment;
pub use self::segment::trusted::TrustedSegment;
pub use self::semaphore::{BoundedSemaphore, MAX_PERMITS, Permit, Semaphore};
pub use self::shared_memory::{Item, ShareableList, SharedMemory};
pub use self::value::{Array, ArrayGuard, RawArray, RawValue, Value};

/// Items that the macros need.
#[cfg(feature = "process")]
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "manager")]
    pub use crate::manager::private as shared;
    pub use crate::process::private::*;
}

/// Opens an object, or creates it if it does not exist, also if another thread or process does so
/// at the same time.
fn open_or_create<T>(
    open: impl Fn() -> Result<T>,
    create: impl FnOnce() -> Result<T>,
) -> Result<T> {
    match open() {
        Err(Error::NotFound) => {}
        other => return other,
    }
    match create() {
        Err(Error::AlreadyExists) => open(),
        other => other,
    }
}
