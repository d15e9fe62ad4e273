#![cfg_attr(target_os = "linux", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(target_os = "linux"),
    doc = "Shared memory that survives `kill -9`, for Linux. On this system the crate is empty."
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The portable futex keeps its sleepers in a table of one process: a sleeper of another process
// would never be woken.
#[cfg(all(target_os = "linux", sync_futex_fallback))]
compile_error!(
    "sync-ipc wakes other processes, which only the system's own futex can: \
     build it without `--cfg sync_futex_fallback`"
);

#[cfg(target_os = "linux")]
#[macro_use]
mod handle;

#[cfg(target_os = "linux")]
#[cfg(feature = "auth")]
pub mod auth;
#[cfg(target_os = "linux")]
mod barrier;
#[cfg(target_os = "linux")]
mod condvar;
#[cfg(target_os = "linux")]
mod connection;
#[cfg(target_os = "linux")]
#[cfg(feature = "process")]
mod eager;
#[cfg(target_os = "linux")]
mod error;
#[cfg(target_os = "linux")]
mod event;
#[cfg(target_os = "linux")]
mod membership;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod mutex;
#[cfg(target_os = "linux")]
mod plain;
#[cfg(target_os = "linux")]
#[cfg(feature = "process")]
#[macro_use]
mod process;
#[cfg(target_os = "linux")]
#[cfg(feature = "process")]
pub mod pool;
// After `process`, whose macro it uses.
#[cfg(target_os = "linux")]
#[cfg(feature = "manager")]
#[macro_use]
pub mod manager;
#[cfg(target_os = "linux")]
mod procfs;
#[cfg(target_os = "linux")]
mod queue;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod raw;
#[cfg(target_os = "linux")]
mod readiness;
#[cfg(target_os = "linux")]
mod reentrant;
#[cfg(target_os = "linux")]
mod rwlock;
#[cfg(target_os = "linux")]
mod segment;
#[cfg(target_os = "linux")]
mod semaphore;
#[cfg(target_os = "linux")]
mod shared_memory;
#[cfg(target_os = "linux")]
mod value;

#[cfg(target_os = "linux")]
pub use self::barrier::{Barrier, BarrierError, BarrierWaitResult};
#[cfg(target_os = "linux")]
pub use self::condvar::{Condvar, Waitable};
#[cfg(target_os = "linux")]
pub use self::connection::{
    Connection, ConnectionError, DEFAULT_MAX, Listener, MAX_FDS, one_way_pipe, pipe, wait,
};
#[cfg(target_os = "linux")]
pub use self::error::{Error, Result};
#[cfg(target_os = "linux")]
pub use self::event::Event;
#[cfg(target_os = "linux")]
pub use self::mutex::{Guard, LockError, Mutex};
#[cfg(target_os = "linux")]
pub use self::plain::Plain;
#[cfg(target_os = "linux")]
#[cfg(feature = "process")]
pub use self::pool::{JobError, JobHandle, Pool, PoolBuilder};
#[cfg(target_os = "linux")]
#[cfg(feature = "process")]
#[doc(hidden)]
pub use self::process::private as __private;
#[cfg(target_os = "linux")]
#[cfg(feature = "process")]
pub use self::process::{
    Bytes, Child, CurrentProcess, Descriptor, Entry, Panic, ParentProcess, Process, ProcessBuilder,
    ProcessError, SpawnError, Stdin, active_children, current_process, init, parent_process,
};
#[cfg(target_os = "linux")]
pub use self::queue::bytes::ByteQueue;
#[cfg(target_os = "linux")]
pub use self::queue::in_place::{InPlaceLease, InPlaceQueue, Loan};
#[cfg(target_os = "linux")]
pub use self::queue::joinable::{JoinableQueue, Task};
#[cfg(target_os = "linux")]
pub use self::queue::{
    Lease, Orphans, Queue, QueueOptions, Receiver, RecvError, SendError, Sender, queue,
};
#[cfg(target_os = "linux")]
pub use self::readiness::Readiness;
#[cfg(target_os = "linux")]
pub use self::reentrant::{ReentrantGuard, ReentrantMutex};
#[cfg(target_os = "linux")]
pub use self::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(target_os = "linux")]
pub use self::segment::Segment;
#[cfg(target_os = "linux")]
pub use self::segment::trusted::TrustedSegment;
#[cfg(target_os = "linux")]
pub use self::semaphore::{BoundedSemaphore, MAX_PERMITS, Permit, Semaphore, TooManyReleases};
#[cfg(target_os = "linux")]
pub use self::shared_memory::{Item, ListError, ShareableList, SharedMemory};
#[cfg(target_os = "linux")]
pub use self::value::{Array, ArrayGuard, OutOfRange, RawArray, RawValue, Value};

/// Opens an object, or creates it if it does not exist, also if another thread or process does so
/// at the same time.
#[cfg(target_os = "linux")]
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
