#![doc = include_str!("../README.md")]

mod auto_reset_event;
mod barrier;
mod condvar;
mod event;
#[doc(hidden)]
pub mod futex;
mod guard;
#[macro_use]
mod guard_family;
mod latch;
mod mutex;
mod parker;
#[doc(hidden)]
pub mod primitive;
mod raw;
mod raw_mutex;
mod raw_reentrant;
mod raw_semaphore;
mod reentrant_mutex;
mod semaphore;
pub mod thread;
mod wait_group;

pub use auto_reset_event::AutoResetEvent;
pub use barrier::{Action, Barrier, BarrierWaitResult, BrokenBarrier, NoAction, Timed};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use guard::{ArcMutexGuard, MappedMutexGuard, MutexGuard};
pub use latch::Latch;
pub use mutex::Mutex;
pub use parker::{Parker, Unparker};
pub use raw::{RawLock, WaitGuard};
pub use raw_mutex::{NotLocked, RawMutex};
pub use raw_reentrant::{NotOwner, RawReentrantMutex};
pub use raw_semaphore::{Closed, RawSemaphore, TooManyPermits, TryAcquireError};
pub use reentrant_mutex::{ArcReentrantMutexGuard, MappedReentrantMutexGuard, ReentrantMutex, ReentrantMutexGuard};
pub use semaphore::{ArcPermit, BoundedPermit, BoundedSemaphore, OverRelease, Permit, PermitGuard, PermitSource, Semaphore};
pub use wait_group::WaitGroup;
