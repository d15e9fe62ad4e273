//! State behind a lock, and waits for it that end with the client that waits.
//!
//! **Invariant.** A thread that waits in [`Session::wait`] is woken when its session ends. The
//! session's record of what it waits for is written before the thread checks whether the session
//! has ended, under one lock with the flag; the end is set under that lock, and the monitor is
//! notified afterwards under its own lock. So the waiting thread sees the flag, or is notified.

use core::fmt;
use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::net::{Shutdown, shutdown};
use sync_core::{Condvar, Mutex, MutexGuard};

use super::super::wire::{Limit, Refusal};

/// State that calls change, and wait for.
pub(super) struct Monitor<T> {
    state: Mutex<T>,
    changed: Condvar,
}

/// A monitor whose waiting threads can be woken.
pub(super) trait Interrupt: Send + Sync {
    /// Wakes all threads that wait, so that they look at their sessions.
    fn interrupt(&self);
}

impl<T> Monitor<T> {
    pub(super) fn new(state: T) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock()
    }

    /// Wakes all waiting threads. The caller has changed the state.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }
}

impl<T: Send> Interrupt for Monitor<T> {
    fn interrupt(&self) {
        // With the lock: a thread that has not seen the end of its session waits already.
        drop(self.state.lock());
        self.changed.notify_all();
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The state may have changed.
    Changed,
    TimedOut,
    /// The session has ended: the call must leave nothing behind.
    Ended,
}

/// The objects that a client holds something of: locks, permits, leased items.
///
/// **Invariant.** A call notes the object ([`note`](Self::note)) under the object's lock and before
/// it gives the client anything. The end of the client is set under the lock of the set, and takes
/// the set. So a call either is refused, or its object is in the set that the end releases.
pub(super) struct Holdings {
    pub(super) client: u64,
    state: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    ended: bool,
    objects: HashSet<u64>,
}

impl Holdings {
    pub(super) fn new(client: u64) -> Arc<Self> {
        Arc::new(Self { client, state: Mutex::new(Held::default()) })
    }

    /// Notes that the client will hold something of this object. `false`: the client has ended, and
    /// must get nothing.
    #[must_use]
    fn note(&self, object: u64) -> bool {
        let mut state = self.state.lock();
        if !state.ended {
            state.objects.insert(object);
        }
        !state.ended
    }

    /// The end of the client. Returns the objects to release.
    pub(super) fn end(&self) -> HashSet<u64> {
        let mut state = self.state.lock();
        state.ended = true;
        core::mem::take(&mut state.objects)
    }
}

/// The origin of a call.
pub(super) struct Caller<'a> {
    pub(super) session: &'a Session,
    /// The calling thread of the client.
    pub(super) thread: u64,
    /// The object that is called.
    pub(super) object: u64,
}

impl Caller<'_> {
    /// The client's number.
    pub(super) fn client(&self) -> u64 {
        self.session.holdings.client
    }

    /// See [`Holdings::note`]. Called under the object's lock.
    pub(super) fn note(&self) -> Result<(), Refusal> {
        if self.session.holdings.note(self.object) { Ok(()) } else { Err(Refusal::Interrupted) }
    }

    /// Waits, under the lock of the monitor, until `act` has a result, the time is up (`None`), or
    /// the session ends (an error). `act` runs once at least.
    pub(super) fn until<T: Send + 'static, R>(
        &self,
        monitor: &Arc<Monitor<T>>,
        limit: Limit,
        mut act: impl FnMut(&mut T) -> Result<Option<R>, Refusal>,
    ) -> Result<Option<R>, Refusal> {
        let deadline = limit.map(|limit| Instant::now().checked_add(limit));
        let mut guard = monitor.lock();
        let mut last = limit.is_some_and(|limit| limit.is_zero());
        loop {
            if let Some(result) = act(&mut guard)? {
                return Ok(Some(result));
            }
            if last {
                return Ok(None);
            }
            match self.session.wait(monitor, &mut guard, deadline.flatten()) {
                Woken::Changed => {}
                // Once more: the change may have come with the end of the time.
                Woken::TimedOut => last = true,
                Woken::Ended => return Err(Refusal::Interrupted),
            }
        }
    }
}

/// A connection of a client, as its thread and the watcher share it.
pub(super) struct Session {
    pub(super) number: u64,
    pub(super) holdings: Arc<Holdings>,
    /// A descriptor of the connection's socket.
    socket: OwnedFd,
    status: Mutex<Status>,
}

#[derive(Default)]
struct Status {
    ended: bool,
    waits_for: Option<Arc<dyn Interrupt>>,
}

impl Session {
    pub(super) fn new(number: u64, holdings: Arc<Holdings>, socket: OwnedFd) -> Arc<Self> {
        Arc::new(Self { number, holdings, socket, status: Mutex::new(Status::default()) })
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.status.lock().ended
    }

    /// Ends it: its wait returns, and its thread reads no further request.
    pub(super) fn end(&self) {
        let waits_for = {
            let mut status = self.status.lock();
            status.ended = true;
            status.waits_for.clone()
        };
        // The other end may have closed it.
        let _ = shutdown(&self.socket, Shutdown::Read);
        if let Some(monitor) = waits_for {
            monitor.interrupt();
        }
    }

    /// Waits for a change of the state of `monitor`, whose guard this is, until `deadline`; `None`
    /// waits without limit.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        monitor: &Arc<Monitor<T>>,
        guard: &mut MutexGuard<'_, T>,
        deadline: Option<Instant>,
    ) -> Woken {
        {
            let mut status = self.status.lock();
            if status.ended {
                return Woken::Ended;
            }
            let waits_for: Arc<dyn Interrupt> = Arc::<Monitor<T>>::clone(monitor);
            status.waits_for = Some(waits_for);
        }
        let timed_out = match deadline {
            None => {
                monitor.changed.wait(guard);
                false
            }
            Some(deadline) => monitor.changed.wait_until(guard, deadline).timed_out(),
        };
        let mut status = self.status.lock();
        status.waits_for = None;
        match (status.ended, timed_out) {
            (true, _) => Woken::Ended,
            (false, true) => Woken::TimedOut,
            (false, false) => Woken::Changed,
        }
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("number", &self.number).finish_non_exhaustive()
    }
}
