//! A group of threads that are joined at the end.

use core::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::builder::Builder;
use super::error::{ShutDown, SpawnError};
use super::handle::JoinHandle;
use super::record::Thread;
use crate::fork::ProcessMark;
use crate::user_code::{self, Payload};
use crate::wait::event::Event;

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
#[derive(Debug)]
#[must_use = "a group joins its threads as soon as it is dropped"]
pub struct Group {
    handle: GroupHandle,
}

/// Starts threads in a [`Group`], on any thread.
#[derive(Clone)]
pub struct GroupHandle {
    /// The process of the members.
    process: ProcessMark,
    members: Arc<Mutex<Members>>,
}

type Callback = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Members {
    running: Vec<Thread>,
    at_exit: Vec<Callback>,
    /// Whether the group takes no callbacks any more.
    leaving: bool,
    /// That of the first callback that panicked, until the members are joined.
    first_panic: Option<Payload>,
    /// Whether the group takes no threads any more.
    gone: bool,
}

impl Group {
    /// Creates a group without threads.
    pub fn new() -> Self {
        Self { handle: GroupHandle::new() }
    }

    /// Starts a thread in the group: [`Builder::spawn_in`] with the defaults.
    ///
    /// # Errors
    ///
    /// Like [`Builder::spawn`].
    pub fn spawn<F, T>(&self, body: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.spawn(body)
    }

    /// Returns a handle for the members, and for [`Builder::spawn_in`].
    pub fn handle(&self) -> GroupHandle {
        self.handle.clone()
    }

    /// Calls the callbacks of [`GroupHandle::at_exit`], the last registered first, and then joins:
    /// dropping the group does the same.
    ///
    /// In the child of a fork it does neither: callbacks and threads are the parent's.
    ///
    /// # Panics
    ///
    /// If a callback panicked: after all callbacks were called and all threads joined, with the
    /// payload of the first that did. Where the thread is panicking already, that payload is
    /// disposed of.
    pub fn join(self) {}

    /// Calls the callbacks, and waits with `wait` for the members until it returns `false`. Returns
    /// whether all have ended.
    pub(crate) fn join_by(&self, wait: impl Fn(&Event) -> bool) -> bool {
        self.call_callbacks();
        self.handle.join_members(wait)
    }

    /// Calls the callbacks that are left, and keeps the payload of the first that panics.
    fn call_callbacks(&self) {
        let mut callbacks = self.handle.take_callbacks();
        // The process is compared before each call: a callback may fork and return in the child.
        while self.handle.process.is_current() {
            let Some(callback) = callbacks.pop() else { break };
            if let Err(payload) = user_code::run(callback) {
                self.handle.keep_panic(payload);
            }
        }
        if !self.handle.process.is_current() {
            // They are the parent's.
            core::mem::forget(callbacks);
        }
    }
}

impl Group {
    /// Like [`join`](Self::join), as a task: calls the callbacks, and waits for the threads without
    /// a thread.
    ///
    /// A wait that is dropped joins the threads that are left as [`join`](Self::join) does, and so
    /// blocks; callbacks that were called are not called again.
    ///
    /// ```
    /// use sync_core::{task::block_on, thread::Group};
    ///
    /// let group = Group::new();
    /// group.spawn(|| ()).unwrap();
    /// block_on(group.join_async());
    /// ```
    ///
    /// # Panics
    ///
    /// Like [`join`](Self::join).
    pub async fn join_async(self) {
        self.call_callbacks();
        while let Some(member) = self.handle.next_member() {
            member.finished().wait_async().await;
        }
        // Raises the panic of a callback.
        drop(self);
    }
}

impl Builder {
    /// Starts the thread as a member of a group.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn); [`SpawnError::ShutDown`] if the group has joined its members
    /// already, or is that of the process that this one was forked from.
    pub fn spawn_in<F, T>(self, group: &GroupHandle, body: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // In the group before it runs, so that the group cannot miss it; a thread that could not be
        // started is over, and joined at once.
        self.spawn_known(body, |thread| group.add(thread).map_err(|ShutDown| SpawnError::ShutDown))
    }
}

impl Default for Group {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.join_by(|finished| {
            finished.wait();
            true
        });
        if !self.handle.process.is_current() {
            // The list may be locked, and in the middle of a change, by a thread that is not here:
            // it is not even dropped.
            core::mem::forget(Arc::clone(&self.handle.members));
            return;
        }
        let first_panic = self.handle.lock().first_panic.take();
        match first_panic {
            Some(payload) if std::thread::panicking() => user_code::dispose_payload(payload),
            Some(payload) => resume_unwind(payload),
            None => {}
        }
    }
}

impl GroupHandle {
    fn new() -> Self {
        Self { process: ProcessMark::current(), members: Arc::default() }
    }

    /// Takes the callbacks, and takes no more from then on. None in the child of a fork.
    fn take_callbacks(&self) -> Vec<Callback> {
        if !self.process.is_current() {
            return Vec::new();
        }
        let mut members = self.lock();
        members.leaving = true;
        core::mem::take(&mut members.at_exit)
    }

    /// Keeps the first panic of a callback.
    fn keep_panic(&self, payload: Payload) {
        let unwanted = if self.process.is_current() {
            let mut members = self.lock();
            match members.first_panic {
                None => members.first_panic.replace(payload),
                Some(_) => Some(payload),
            }
        } else {
            Some(payload)
        };
        // User code: not under the lock.
        unwanted.into_iter().for_each(user_code::dispose_payload);
    }

    /// Returns a member that is to be waited for; `None`, and the group takes no more from then on,
    /// if there is none. The member stays in the list until it has ended.
    fn next_member(&self) -> Option<Thread> {
        if !self.process.is_current() {
            return None;
        }
        let mut members = self.lock();
        while let Some(last) = members.running.last() {
            // A member that joins the group does not wait for itself.
            if !(last.is_daemon() || last.is_current() || last.finished().is_set()) {
                return Some(last.clone());
            }
            members.running.pop();
        }
        members.gone = true;
        None
    }

    /// Joins the members, including those that they start meanwhile, with `wait`, until it returns
    /// `false`. Returns whether all have ended. Does nothing in the child of a fork.
    fn join_members(&self, wait: impl Fn(&Event) -> bool) -> bool {
        while self.process.is_current() {
            let next = {
                let mut members = self.lock();
                let next = members.running.pop();
                members.gone = next.is_none();
                next
            };
            match next {
                // A member that drops the group does not wait for itself.
                Some(member) if member.is_daemon() || member.is_current() => {}
                Some(member) if wait(member.finished()) => {}
                Some(member) => {
                    self.lock().running.push(member);
                    return false;
                }
                None => return true,
            }
        }
        true
    }

    /// Starts a thread in the group: [`Builder::spawn_in`] with the defaults.
    ///
    /// # Errors
    ///
    /// Like [`Builder::spawn_in`].
    pub fn spawn<F, T>(&self, body: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Builder::new().spawn_in(self, body)
    }

    /// Registers `callback`, which is called once when the group is about to join its threads: the
    /// place to ask them to end. A panic of it keeps no other callback from being called and no
    /// thread from being joined; see [`Group::join`].
    ///
    /// # Errors
    ///
    /// [`ShutDown`] if that has begun, or if the group is that of the process that this one was
    /// forked from; the callback is dropped.
    #[doc(alias = "register_atexit")]
    pub fn at_exit(&self, callback: impl FnOnce() + Send + 'static) -> Result<(), ShutDown> {
        if !self.process.is_current() {
            return Err(ShutDown);
        }
        let mut members = self.lock();
        if members.leaving {
            // The callback is dropped after the lock, as the arguments of a call are.
            return Err(ShutDown);
        }
        members.at_exit.push(Box::new(callback));
        Ok(())
    }

    fn add(&self, thread: &Thread) -> Result<(), ShutDown> {
        if !self.process.is_current() {
            return Err(ShutDown);
        }
        let mut members = self.lock();
        if members.gone {
            return Err(ShutDown);
        }
        // Members that have ended need no join: a group that lives long does not grow.
        if members.running.len() == members.running.capacity() {
            members.running.retain(Thread::is_alive);
        }
        members.running.push(thread.clone());
        Ok(())
    }

    /// No user code runs under this lock. Only for the process of the group: a child's copy may be
    /// held forever.
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for GroupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("GroupHandle");
        if self.process.is_current() {
            out.field("threads", &self.lock().running.len());
        }
        out.finish_non_exhaustive()
    }
}
