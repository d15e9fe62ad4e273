//! Processes that may vanish.
//!
//! A [`spawn`]ed process is a thread of the model, with the threads that it spawns, that may be
//! gone after any of its writes to an atomic, all threads at once, as often in an execution as
//! [`Builder::crashes`](crate::model::Builder::crashes) says: no destructor runs, what it had
//! half-done stays half-done. What the kernel does at a death ([`on_death`]: release a lock, wake
//! who waits) happens as events of the dead thread. Everyone else has to be able to finish.
//!
//! A write that the death has cut short ([`cell::UnsafeCell::with_mut`](crate::cell::UnsafeCell)
//! was going on) is torn: a thread that touches the cell afterwards fails the model.

use crate::engine::runtime::{self, symmetry};
use crate::thread::{self, JoinHandle};
use std::panic::Location;

/// A process of the model.
#[derive(Debug)]
pub struct Process {
    handle: JoinHandle<()>,
}

/// Starts a process.
#[track_caller]
pub fn spawn<F: FnOnce() + 'static>(f: F) -> Process {
    let site = Location::caller();
    let handle = thread::spawn_at(
        move || {
            symmetry::begin_process();
            runtime::with(|rt| rt.begin_process());
            f();
            runtime::with(|rt| rt.end_process());
        },
        site,
    );
    Process { handle }
}

impl Process {
    /// Waits until the process has ended, with all its threads. Says whether its closure came to
    /// its end: not when it vanished before.
    #[track_caller]
    pub fn wait(self) -> bool {
        self.handle.join_process()
    }

    /// A handle to its thread.
    pub fn thread(&self) -> &thread::Thread {
        self.handle.thread()
    }
}

/// Registers what the kernel does when the current process vanishes, and only then: it releases
/// byte locks, and wakes the waiters for them. The last one registered is done first.
pub fn on_death<F: FnOnce() + 'static>(f: F) {
    runtime::with(|rt| rt.on_death(Box::new(f)));
}
