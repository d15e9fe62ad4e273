//! Threads that are waited for at the end.

use core::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::builder::Builder;
use super::error::{ShutDown, SpawnError};
use super::handle::JoinHandle;
use super::record::Thread;

/// Joins the threads that were started in it, except the daemons, when it is dropped. With one in
/// `main` a Rust program ends as a Python program does: not before its last thread.
///
/// ```
/// use sync_core::thread::Group;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static DONE: AtomicU32 = AtomicU32::new(0);
/// {
///     let group = Group::new();
///     let inside = group.handle();
///     group.spawn(move || {
///         // A member may start others, also while the group is being joined.
///         inside.spawn(|| DONE.fetch_add(1, Ordering::Relaxed)).unwrap();
///     }).unwrap();
/// }
/// assert_eq!(DONE.load(Ordering::Relaxed), 1);
/// ```
#[derive(Debug, Default)]
#[must_use = "a group joins its threads as soon as it is dropped"]
pub struct Group {
    handle: GroupHandle,
}

/// Starts threads in a [`Group`], from anywhere.
#[derive(Clone, Default)]
pub struct GroupHandle {
    members: Arc<Mutex<Members>>,
}

#[derive(Default)]
struct Members {
    running: Vec<Thread>,
    at_exit: Vec<Box<dyn FnOnce() + Send>>,
    /// Callbacks are not taken any more.
    leaving: bool,
    /// Nor are threads.
    gone: bool,
}

impl Group {
    /// A group without threads.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a thread in the group: [`Builder::spawn_in`] with nothing said.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    pub fn spawn<F, T>(&self, body: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.spawn(body)
    }

    /// A handle for the members, and for [`Builder::spawn_in`].
    pub fn handle(&self) -> GroupHandle {
        self.handle.clone()
    }

    /// Calls the callbacks of [`GroupHandle::at_exit`], the last registered first, and then joins:
    /// dropping it does the same.
    pub fn join(self) {}
}

impl Builder {
    /// Starts the thread as a member of a group.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn); [`SpawnError::ShutDown`] if the group has joined its members
    /// already.
    pub fn spawn_in<F, T>(self, group: &GroupHandle, body: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // In the group before it runs, so that the group cannot miss it; one that could not be
        // started is over, and joined at once.
        self.spawn_known(body, |thread| group.add(thread).map_err(|ShutDown| SpawnError::ShutDown))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let callbacks = {
            let mut members = self.handle.lock();
            members.leaving = true;
            core::mem::take(&mut members.at_exit)
        };
        for callback in callbacks.into_iter().rev() {
            callback();
        }
        loop {
            let next = {
                let mut members = self.handle.lock();
                let next = members.running.pop();
                members.gone = next.is_none();
                next
            };
            match next {
                // A member that drops the group does not wait for itself.
                Some(member) if member.is_daemon() || member.is_current() => {}
                Some(member) => member.finished().wait(),
                None => return,
            }
        }
    }
}

impl GroupHandle {
    /// Starts a thread in the group: [`Builder::spawn_in`] with nothing said.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn_in`].
    pub fn spawn<F, T>(&self, body: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Builder::new().spawn_in(self, body)
    }

    /// Has `callback` called once, when the group is about to join its threads: the place to ask
    /// them to end.
    ///
    /// # Errors
    ///
    /// [`ShutDown`] if that has begun; the callback is dropped.
    #[doc(alias = "register_atexit")]
    pub fn at_exit(&self, callback: impl FnOnce() + Send + 'static) -> Result<(), ShutDown> {
        let mut members = self.lock();
        if members.leaving {
            // The callback is dropped after the lock, as the arguments of a call are.
            return Err(ShutDown);
        }
        members.at_exit.push(Box::new(callback));
        Ok(())
    }

    pub(super) fn add(&self, thread: &Thread) -> Result<(), ShutDown> {
        let mut members = self.lock();
        if members.gone {
            return Err(ShutDown);
        }
        // Those that are over need no joining: a group that lives long does not grow.
        if members.running.len() == members.running.capacity() {
            members.running.retain(Thread::is_alive);
        }
        members.running.push(thread.clone());
        Ok(())
    }

    /// Nothing of the user's runs under this lock.
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for GroupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupHandle")
            .field("threads", &self.lock().running.len())
            .finish_non_exhaustive()
    }
}
