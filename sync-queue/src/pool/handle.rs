//! What a submitted job's owner holds, and how to wait for several.

use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;

use crate::pool::error::JobError;
use crate::pool::fork;
use crate::pool::job::{
    BROKEN, CANCELLED, JobStatus, Listener, NOTIFIED, Outcome, PANICKED, PENDING, RUNNING, is_done,
    is_settled, status,
};
use crate::pool::worker::current_pool;
use crate::queue::simple::SimpleQueue;

/// A submitted job: Python's `Future`. Dropping it detaches the job, which runs all the same; its
/// result is then dropped.
#[must_use = "the result, or the panic, of the job is lost without its handle; drop() it if that is meant"]
#[doc(alias = "Future")]
pub struct JobHandle<R> {
    job: Arc<dyn Outcome<R>>,
}

impl<R> JobHandle<R> {
    pub(super) fn new(job: Arc<dyn Outcome<R>>) -> Self {
        Self { job }
    }

    /// The result, waiting for it as long as it takes.
    ///
    /// A worker that asks for the result of a job of its own pool that nobody has begun runs that
    /// job itself, so that a pool is never stuck with all workers waiting for jobs that no worker
    /// is left to run.
    ///
    /// # Errors
    ///
    /// [`JobError`], the panic of the job among them.
    ///
    /// # Memory ordering
    ///
    /// What the job did happens before the end of this call.
    pub fn result(self) -> Result<R, JobError> {
        match self.result_before(None) {
            Ok(result) => result,
            Err(_) => Err(JobError::TimedOut),
        }
    }

    /// As [`result`](Self::result), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// The handle, if the job was not done in time.
    pub fn result_timeout(self, timeout: Duration) -> Result<Result<R, JobError>, Self> {
        if timeout.is_zero() && !self.is_done() {
            Err(self)
        } else {
            self.result_before(Deadline::after(timeout))
        }
    }

    /// As [`result`](Self::result), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// The handle, if the job was not done in time.
    pub fn result_deadline(self, deadline: Instant) -> Result<Result<R, JobError>, Self> {
        self.result_before(Deadline::at(deadline))
    }

    fn result_before(self, deadline: Option<Deadline>) -> Result<Result<R, JobError>, Self> {
        if !self.is_done() {
            if self.is_left_behind() {
                return Ok(Err(JobError::Forked));
            }
            self.help();
            if self.job.core().runs_here() {
                return Ok(Err(JobError::Deadlock));
            }
            if !self.job.core().wait(deadline) {
                return Err(self);
            }
        }
        Ok(self.job.take())
    }

    /// Runs the job here and now if it waits for a worker and this thread is one.
    fn help(&self) {
        if self.job.core().phase() == PENDING
            && current_pool() == self.job.core().pool
            && !self.is_left_behind()
        {
            self.job.run(&|| ());
        }
    }

    /// Waits for the job without taking its result. `false`: not in time.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        !self.is_left_behind() && self.job.core().wait(Deadline::after(timeout))
    }

    /// Cancels the job if nobody has begun it: its closure is dropped and will not run. `true`: it
    /// is cancelled, now or before.
    pub fn cancel(&self) -> bool {
        self.job.cancel()
    }

    /// How far the job is.
    #[must_use]
    pub fn status(&self) -> JobStatus {
        status(self.job.core().phase())
    }

    /// Whether the job has ended, well or not, or was cancelled.
    #[must_use]
    #[doc(alias = "done")]
    pub fn is_done(&self) -> bool {
        is_done(self.job.core().phase())
    }

    /// Whether a worker runs the job.
    #[must_use]
    #[doc(alias = "running")]
    pub fn is_running(&self) -> bool {
        self.job.core().phase() == RUNNING
    }

    /// Whether the job was cancelled.
    #[must_use]
    #[doc(alias = "cancelled")]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.job.core().phase(), CANCELLED | NOTIFIED)
    }

    /// Calls `f` once the job is done or cancelled: in the thread that finishes or cancels it, or
    /// here if that is over already. In the order of the calls. A panic in `f` is reported by the
    /// panic hook and changes nothing else.
    #[doc(alias = "add_done_callback")]
    pub fn on_done(&self, f: impl FnOnce(JobStatus) + Send + 'static) {
        self.job.core().listen(Listener::Callback(Box::new(f)));
    }

    /// Whether nobody is left who could finish the job.
    fn is_left_behind(&self) -> bool {
        fork::left_behind(self.job.core().pool) && !self.is_done()
    }

    /// As [`wait`] and [`as_completed`] see it.
    fn settled(&self) -> bool {
        is_settled(self.job.core().phase()) || self.is_left_behind()
    }
}

impl<R> Drop for JobHandle<R> {
    fn drop(&mut self) {
        self.job.detach();
    }
}

impl<R> fmt::Debug for JobHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobHandle").field(&self.status()).finish()
    }
}

/// When [`wait`] has waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "return_when")]
pub enum Until {
    /// One job is done.
    #[doc(alias = "FIRST_COMPLETED")]
    First,
    /// One job panicked or is broken; or all are done. Being cancelled is no error.
    #[doc(alias = "FIRST_EXCEPTION")]
    FirstError,
    /// All jobs are done.
    #[doc(alias = "ALL_COMPLETED")]
    All,
}

/// What [`wait`] found.
#[derive(Debug)]
#[must_use = "the handles are in it"]
pub struct Waited<R> {
    /// Jobs that are done, in the order of the handles given.
    pub done: Vec<JobHandle<R>>,
    /// Jobs that are not.
    pub not_done: Vec<JobHandle<R>>,
}

/// Waits for several jobs, at most for `timeout` (`None`: as long as it takes), and sorts them into
/// done and not done.
///
/// As in Python a cancelled job counts as done when a worker has met it and put it aside;
/// [`JobHandle::is_done`] says so at once.
pub fn wait<R>(
    handles: impl IntoIterator<Item = JobHandle<R>>,
    until: Until,
    timeout: Option<Duration>,
) -> Waited<R> {
    let handles: Vec<_> = handles.into_iter().collect();
    let enough = || {
        let failed = |handle: &JobHandle<R>| matches!(handle.job.core().phase(), PANICKED | BROKEN);
        handles.iter().all(JobHandle::settled)
            || match until {
                Until::First => handles.iter().any(JobHandle::settled),
                Until::FirstError => handles.iter().any(failed),
                Until::All => false,
            }
    };
    if !enough() {
        let deadline = timeout.map(|timeout| Instant::now().checked_add(timeout));
        let bell = Arc::new(SimpleQueue::new());
        for (number, handle) in handles.iter().enumerate() {
            handle.job.core().listen(Listener::Bell(Arc::clone(&bell), number));
        }
        for handle in &handles {
            if enough() {
                break;
            }
            handle.help();
        }
        while !enough() {
            match deadline {
                Some(Some(deadline)) => {
                    if bell.get_deadline(deadline).is_none() {
                        break;
                    }
                }
                _ => drop(bell.get()),
            }
        }
    }
    let (done, not_done) = handles.into_iter().partition(JobHandle::settled);
    Waited { done, not_done }
}

/// Some jobs of an [`as_completed`] were not done in time.
pub struct Unfinished<R> {
    /// Those jobs.
    pub handles: Vec<JobHandle<R>>,
    /// How many jobs there were.
    pub total: usize,
}

impl<R> fmt::Display for Unfinished<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (of {}) jobs unfinished", self.handles.len(), self.total)
    }
}

impl<R> fmt::Debug for Unfinished<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unfinished")
            .field("handles", &self.handles)
            .field("total", &self.total)
            .finish()
    }
}

impl<R> Error for Unfinished<R> {}

/// The handles, each as soon as its job is done: those that are done already first. From
/// [`as_completed`].
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is asked"]
pub struct AsCompleted<R> {
    handles: Vec<Option<JobHandle<R>>>,
    bell: Arc<SimpleQueue<usize>>,
    left: usize,
}

/// Hands out the handles of jobs as these get done.
pub fn as_completed<R>(handles: impl IntoIterator<Item = JobHandle<R>>) -> AsCompleted<R> {
    let handles: Vec<_> = handles.into_iter().map(Some).collect();
    let bell = Arc::new(SimpleQueue::new());
    for (number, handle) in handles.iter().flatten().enumerate() {
        if handle.is_left_behind() {
            bell.put(number);
        } else {
            handle.job.core().listen(Listener::Bell(Arc::clone(&bell), number));
        }
    }
    AsCompleted { left: handles.len(), handles, bell }
}

impl<R> AsCompleted<R> {
    /// The next one, waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// [`Unfinished`] with the handles that are left. The iterator is at its end then.
    pub fn next_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<JobHandle<R>>, Unfinished<R>> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.bell.is_empty() {
            self.help();
        }
        match self.bell.get_deadline(deadline) {
            Some(number) => Ok(self.take(number)),
            None => {
                self.left = 0;
                let total = self.handles.len();
                Err(Unfinished { handles: self.handles.drain(..).flatten().collect(), total })
            }
        }
    }

    fn take(&mut self, number: usize) -> Option<JobHandle<R>> {
        self.left -= 1;
        self.handles[number].take()
    }

    /// As a worker: runs one that nobody has begun.
    fn help(&self) {
        if let Some(handle) =
            self.handles.iter().flatten().find(|handle| handle.job.core().phase() == PENDING)
        {
            handle.help();
        }
    }
}

impl<R> Iterator for AsCompleted<R> {
    type Item = JobHandle<R>;

    fn next(&mut self) -> Option<JobHandle<R>> {
        if self.left == 0 {
            return None;
        }
        if self.bell.is_empty() {
            self.help();
        }
        let number = self.bell.get();
        self.take(number)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<R> ExactSizeIterator for AsCompleted<R> {}

/// The results of a [`ThreadPool::map`](crate::ThreadPool::map), in the order of the items.
///
/// Dropped before its end, but after its beginning, it cancels the jobs that nobody has begun.
#[derive(Debug)]
#[must_use = "the results are in it"]
pub struct Map<R> {
    pub(super) handles: std::vec::IntoIter<JobHandle<R>>,
    pub(super) deadline: Option<Instant>,
    pub(super) begun: bool,
}

impl<R> Iterator for Map<R> {
    type Item = Result<R, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.begun = true;
        let handle = self.handles.next()?;
        let Some(deadline) = self.deadline else { return Some(handle.result()) };
        Some(handle.result_deadline(deadline).unwrap_or_else(|handle| {
            handle.cancel();
            Err(JobError::TimedOut)
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.handles.size_hint()
    }
}

impl<R> ExactSizeIterator for Map<R> {}

impl<R> Drop for Map<R> {
    fn drop(&mut self) {
        if self.begun {
            for handle in self.handles.by_ref() {
                handle.cancel();
            }
        }
    }
}
