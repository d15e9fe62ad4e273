//! A queue with a wait for the end of all its work.
//!
//! A [`Queue`] whose items are leased: an item is unfinished from its send to its acknowledgement,
//! and unfinished items are counted by a look at the slots, not in a counter that a death could
//! leave wrong.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;

use crate::error::{RecvError, Result, SendError};
use crate::plain::Plain;
use crate::queue::{Lease, Queue};
use crate::readiness::Readiness;
use crate::segment::Segment;

/// A queue of work: [`join`](Self::join) waits until every task that was put has been
/// [done](Task::done).
///
/// A task whose worker dies, or drops it, goes to another worker: `join` never waits for the dead,
/// and never returns over their undone work. A task is done at most once, by its type; there is no
/// `task_done` that could be called too often.
///
/// ```
/// use sync_ipc::{JoinableQueue, Segment};
///
/// let segment = Segment::anonymous(65536)?;
/// let jobs = JoinableQueue::<u64>::create(&segment, "jobs", 8)?;
/// jobs.put(20)?;
/// let task = jobs.get()?;
/// assert_eq!(*task.item(), 20);
/// task.done();
/// jobs.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JoinableQueue<T>(Queue<T>);

/// The bound is at the functions, as in [`Queue`].
impl<T> JoinableQueue<T> {
    /// A new queue for `capacity` tasks, including tasks that are being worked on.
    ///
    /// # Errors
    ///
    /// As [`Queue::create`].
    pub fn create(segment: &Segment, name: &str, capacity: usize) -> Result<Self>
    where
        T: Plain,
    {
        Ok(Self(Queue::create(segment, name, capacity)?))
    }

    /// The queue of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self>
    where
        T: Plain,
    {
        Ok(Self(Queue::open(segment, name)?))
    }
}

impl<T: Plain> JoinableQueue<T> {
    /// As [`Queue::readiness`].
    ///
    /// # Errors
    ///
    /// As [`Queue::readiness`].
    pub fn readiness(&self) -> Result<Readiness> {
        self.0.readiness()
    }

    /// Puts a task, waiting while there is no room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the task.
    #[doc(alias = "send")]
    pub fn put(&self, item: T) -> Result<(), SendError<T>> {
        self.0.put(item)
    }

    /// Puts a task if there is room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the task.
    #[doc(alias = "put_nowait")]
    #[doc(alias = "try_send")]
    pub fn try_put(&self, item: T) -> Result<(), SendError<T>> {
        self.0.try_put(item)
    }

    /// Puts a task, waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the task.
    #[doc(alias = "send_timeout")]
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.0.put_timeout(item, timeout)
    }

    /// Puts a task, waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the task.
    #[doc(alias = "send_deadline")]
    pub fn put_deadline(&self, item: T, deadline: Instant) -> Result<(), SendError<T>> {
        self.0.put_deadline(item, deadline)
    }

    /// Gets a task, waiting until there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv")]
    pub fn get(&self) -> Result<Task<'_, T>, RecvError> {
        Ok(Task(self.0.get_lease()?))
    }

    /// Gets a task if there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "get_nowait")]
    #[doc(alias = "try_recv")]
    pub fn try_get(&self) -> Result<Task<'_, T>, RecvError> {
        Ok(Task(self.0.try_get_lease()?))
    }

    /// Gets a task, waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_timeout")]
    pub fn get_timeout(&self, timeout: Duration) -> Result<Task<'_, T>, RecvError> {
        Ok(Task(self.0.get_lease_timeout(timeout)?))
    }

    /// Gets a task, waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_deadline")]
    pub fn get_deadline(&self, deadline: Instant) -> Result<Task<'_, T>, RecvError> {
        Ok(Task(self.0.get_lease_deadline(deadline)?))
    }

    /// Gets a task, waiting until there is one as an asynchronous task does: see
    /// [`Queue::get_async`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_async")]
    pub async fn get_async(&self) -> Result<Task<'_, T>, RecvError>
    where
        T: 'static,
    {
        Ok(Task(self.0.get_lease_async().await?))
    }

    /// Waits until all tasks are done.
    ///
    /// # Errors
    ///
    /// [`RecvError::NotAttached`].
    pub fn join(&self) -> Result<(), RecvError> {
        self.0.wait_idle(None).map(drop)
    }

    /// Waits at most `timeout`. Returns whether all tasks are done.
    ///
    /// # Errors
    ///
    /// [`RecvError::NotAttached`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, RecvError> {
        self.0.wait_idle(Deadline::after(timeout))
    }

    /// Waits at most until `deadline`. Returns whether all tasks are done.
    ///
    /// # Errors
    ///
    /// [`RecvError::NotAttached`].
    pub fn join_deadline(&self, deadline: Instant) -> Result<bool, RecvError> {
        self.0.wait_idle(Deadline::at(deadline))
    }

    /// As [`Queue::shutdown`].
    #[doc(alias = "close")]
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    /// The former name of [`shutdown`](Self::shutdown), kept until 0.2.
    #[doc(hidden)]
    pub fn close(&self) {
        self.shutdown()
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinableQueue").field(&self.0).finish()
    }
}

/// A task that is being worked on.
#[must_use = "a task that is dropped goes to another worker"]
pub struct Task<'a, T: Plain>(Lease<'a, T>);

impl<T: Plain> Task<'_, T> {
    /// The item.
    #[must_use]
    pub fn item(&self) -> &T {
        self.0.item()
    }

    /// Declares the task done.
    #[doc(alias = "task_done")]
    pub fn done(self) {
        self.0.ack();
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Task<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(self.item()).finish()
    }
}

handle!([T: Plain] JoinableQueue<T>, |this| this.0.block(), Self(this.0.clone()));
