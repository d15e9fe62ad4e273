//! Descriptors for queues, events and semaphores: for `poll` loops, and for `async` code.
//!
//! An object in shared memory has no descriptor. A [`Readiness`] has a thread that waits for the
//! object as any waiter does, with bounded sleeps, and then writes to an `eventfd` and wakes the
//! futures. It takes nothing out of the object: a permit, an item or a wake that it was given goes
//! to the next waiter.
//!
//! **States**: WATCHING (the thread waits for the object) → READY (the descriptor is readable, the
//! thread waits for `rearm`) → WATCHING; ENDED (dropped; the thread leaves within a bound).

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use rustix::event::{EventfdFlags, eventfd};
use sync_core::fork::ProcessMark;
use sync_core::primitive::futex::Deadline;
use sync_core::{Condvar, Mutex};

use crate::error::OrIo;
use crate::raw::LAST_BOUND;

/// A descriptor that is readable when a queue, an event or a semaphore may have something: from
/// [`Queue::readiness`](crate::Queue::readiness) and its likes.
///
/// "May": another process can be faster. So wait for the descriptor, take what is there by the
/// object's `try_` operations until they find nothing, call [`rearm`](Self::rearm), and wait again.
/// What came meanwhile makes the descriptor readable again at once.
///
/// ```
/// use sync_ipc::{Queue, Segment, wait};
/// use std::os::fd::AsFd;
///
/// let segment = Segment::anonymous(4096)?;
/// let jobs = Queue::<u32>::create(&segment, "jobs", 4)?;
/// let ready = jobs.readiness()?;
/// let (other, _end) = sync_ipc::pipe()?;
/// jobs.send(7)?;
/// // Next to a connection, a socket or a pidfd, and in any other event loop.
/// assert_eq!(wait(&[other.as_fd(), ready.as_fd()], None)?, [1]);
/// while let Ok(job) = jobs.try_recv() {
///     assert_eq!(job, 7);
/// }
/// ready.rearm();
/// # Ok::<(), sync_ipc::Error>(())
/// ```
///
/// In `async` code, [`ready`](Self::ready) takes the place of the descriptor. It needs no runtime,
/// and a future that is dropped loses nothing.
///
/// It costs a thread and a descriptor. A forked child's copy is never rearmed: the thread is its
/// parent's.
pub struct Readiness {
    shared: Arc<Shared>,
    mark: ProcessMark,
}

struct Shared {
    descriptor: OwnedFd,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    phase: Phase,
    wakers: Vec<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Watching,
    Ready,
    Ended,
}

impl Readiness {
    /// Starts the thread. `watch` waits for the object until the deadline and returns whether it is
    /// ready.
    pub(crate) fn new(
        watch: impl Fn(Option<Deadline>) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).or_io()?;
        let state = Mutex::new(State { phase: Phase::Watching, wakers: Vec::new() });
        let shared = Arc::new(Shared { descriptor, state, changed: Condvar::new() });
        let ours = Arc::clone(&shared);
        let thread = thread::Builder::new().name("sync-ipc-ready".into()).stack_size(128 * 1024);
        thread.spawn(move || {
            while ours.is_watching() {
                if watch(Deadline::after(LAST_BOUND)) {
                    ours.report();
                }
            }
        })?;
        Ok(Self { shared, mark: ProcessMark::current() })
    }

    /// Makes the descriptor unreadable until the object is ready, or is so still.
    ///
    /// Does nothing in a forked child.
    pub fn rearm(&self) {
        if !self.mark.is_current() {
            return;
        }
        let mut state = self.shared.state.lock();
        if state.phase == Phase::Ready {
            // Under the lock, so that no later report is taken away. The number is 1.
            let _ = rustix::io::read(&self.shared.descriptor, &mut [0; 8]);
            state.phase = Phase::Watching;
            drop(state);
            self.shared.changed.notify_one();
        }
    }

    /// Waits until the descriptor is readable. Take what is there, [`rearm`](Self::rearm), and wait
    /// again.
    ///
    /// In a forked child it is ready at once.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + '_ {
        Ready(self)
    }
}

impl Shared {
    /// Waits while the object was reported to be ready; `false` at the end.
    fn is_watching(&self) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.phase == Phase::Ready);
        state.phase == Phase::Watching
    }

    fn report(&self) {
        let mut state = self.state.lock();
        if state.phase != Phase::Watching {
            return;
        }
        state.phase = Phase::Ready;
        // There is room for one more: the number is 0.
        let _ = rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes());
        let wakers = core::mem::take(&mut state.wakers);
        drop(state);
        for waker in wakers {
            // User code, which ends where it runs.
            sync_core::user_code::run_and_forget_panic(|| waker.wake());
        }
    }
}

struct Ready<'a>(&'a Readiness);

impl Future for Ready<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !self.0.mark.is_current() {
            return Poll::Ready(());
        }
        let waker = context.waker();
        let mut state = self.0.shared.state.lock();
        if state.phase != Phase::Watching {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|other| other.will_wake(waker)) {
            // User code runs without the lock.
            drop(state);
            let waker = waker.clone();
            state = self.0.shared.state.lock();
            if state.phase != Phase::Watching {
                return Poll::Ready(());
            }
            state.wakers.push(waker);
        }
        Poll::Pending
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.descriptor.as_fd()
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        if self.mark.is_current() {
            let wakers = {
                let mut state = self.shared.state.lock();
                state.phase = Phase::Ended;
                core::mem::take(&mut state.wakers)
            };
            self.shared.changed.notify_one();
            sync_core::user_code::dispose(wakers);
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("fd", &self.shared.descriptor).finish_non_exhaustive()
    }
}
