//! The facade of the builds: the only place in the workspace that chooses between real, loom and
//! verify.
//!
//! Every other file writes plain code against this module. It is public for the sibling crates
//! (`sync-queue`, `sync-timer`, `sync-ipc`) and for their models, and hidden because it promises
//! nothing to other users.
//!
//! | build | what it is | selected by |
//! |---|---|---|
//! | `real` | `core::sync::atomic`, futex system calls, nothing added | default |
//! | `loom` | loom's types, and a futex, timeouts and spurious wake-ups modelled above them | `--cfg loom` |
//! | `verify` | the types of the workspace's checker; it models futex, time and crashes itself | `--cfg sync_verify` |
//!
//! Each build offers these modules, under the same names:
//!
//! * [`atomic`]: atomics, [`fence`](atomic::fence), `Ordering`;
//! * [`cell`]: `UnsafeCell` with loom's `with` and `with_mut`;
//! * [`threads`]: the futex of the build, for threads: `wait`, `wait_until` against a
//!   [`Deadline`](futex::Deadline), `wake_one`, `wake_all`, `wake`, `requeue`; and [`futex`], the
//!   same on top of it for threads and tasks, which is the one that primitives use;
//! * [`hint`]: `spin_loop`, and [`Spin`](hint::Spin), which ends by time and never starts on one
//!   processor;
//! * [`sync`]: `Arc`, for types with modelled steps in their `Drop`;
//! * [`thread`]: `spawn`, `yield_now`, and [`id`](thread::id), a thread's number that is never used
//!   again;
//! * [`time`]: [`Stopwatch`](time::Stopwatch), with which an algorithm checks whether it has waited
//!   for long;
//! * [`const_new!`](crate::primitive::const_new): a constructor that is `const` wherever the
//!   build's atomics can be built in a constant.

// The checkers are optional dependencies, so that programs without models do not lock them.
#[cfg(all(loom, not(feature = "loom")))]
compile_error!(
    "`--cfg loom` needs sync-core's feature `loom`: add `sync-core = { version = \"0.1\", \
     features = [\"loom\"] }` under `[target.'cfg(loom)'.dev-dependencies]`, beside `loom` itself"
);
#[cfg(all(sync_verify, not(feature = "verify")))]
compile_error!(
    "`--cfg sync_verify` needs sync-core's feature `verify`: add `sync-core = { version = \"0.1\", \
     features = [\"verify\"] }` under `[target.'cfg(sync_verify)'.dev-dependencies]`, beside \
     `sync-verify` itself"
);

#[cfg(any(loom, sync_verify))]
mod checked;
pub mod futex;
#[cfg(loom)]
mod loom;
#[cfg(loom)]
pub mod loom_futex;
#[cfg(not(any(loom, sync_verify)))]
mod real;
pub mod steps;
#[cfg(sync_verify)]
mod verify;

#[cfg(loom)]
use self::loom as build;
#[cfg(not(any(loom, sync_verify)))]
use self::real as build;
#[cfg(sync_verify)]
use self::verify as build;

#[cfg(any(loom, sync_verify))]
pub use self::checked::wakes_say;
#[cfg(loom)]
pub use self::loom_futex::{Knobs, set_knobs};

/// Whether this is a build of a checker. For the few places where the library behaves differently
/// under a checker; a type's layout must not depend on it.
pub const MODELLED: bool = cfg!(any(loom, sync_verify));

pub use self::build::{atomic, cell, hint, sync, thread, threads, time};
pub use crate::{__const_items as const_items, __const_new as const_new};

/// Defines one constructor: `const fn` where the build's atomics can be built in a constant, a
/// plain `fn` under loom, whose cannot.
///
/// Building loom's atomics at their first use instead would keep the constant, but add a
/// happens-before edge from the first user to all others, and hide the very bugs a model is for.
#[cfg(not(loom))]
#[doc(hidden)]
#[macro_export]
macro_rules! __const_new {
    ($(#[$attr:meta])* $vis:vis const fn $($rest:tt)*) => { $(#[$attr])* $vis const fn $($rest)* };
}

/// Defines one constructor, without the `const` it is written with: loom's atomics have no constant
/// constructor.
#[cfg(loom)]
#[doc(hidden)]
#[macro_export]
macro_rules! __const_new {
    ($(#[$attr:meta])* $vis:vis const fn $($rest:tt)*) => { $(#[$attr])* $vis fn $($rest)* };
}

/// Items that need constant constructors: there in every build but loom's, whose atomics have none.
#[cfg(not(loom))]
#[doc(hidden)]
#[macro_export]
macro_rules! __const_items {
    ($($item:item)*) => { $($item)* };
}

/// Items that need constant constructors, left out: loom's atomics have none.
#[cfg(loom)]
#[doc(hidden)]
#[macro_export]
macro_rules! __const_items {
    ($($item:item)*) => {};
}
