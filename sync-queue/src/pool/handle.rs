//! The handle of a submitted job, and waits for several jobs.

use core::error::Error;
use core::fmt;
use core::future::{Future, IntoFuture};
use core::iter::FusedIterator;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use std::time::Instant;

pub use sync_core::executor::Until;
use sync_core::fork::ProcessMark;
use sync_core::primitive::futex::Deadline;
use sync_core::primitive::futex::task::Waiter;
use sync_core::primitive::sync::Arc;
use sync_core::{CancelToken, Cancelled};

use crate::pool::error::JobError;
use crate::pool::job::{
    BROKEN, CANCELLED, Core, JobStatus, LAPSED, NOTIFIED, Owner, PANICKED, PENDING, RUNNING,
    Settled, is_done, is_settled, status,
};
use crate::pool::worker::{self, current_pool};
use crate::queue::simple::SimpleQueue;

/// A submitted job: Python's `Future`. Dropping it detaches the job, which runs all the same; its
/// result is then dropped.
#[must_use = "the result, or the panic, of the job is lost without its handle; drop() it if that \
              is meant"]
#[doc(alias = "Future")]
pub struct JobHandle<R> {
    job: Owner<R>,
}

impl<R> JobHandle<R> {
    pub(super) fn new(job: Owner<R>) -> Self {
        Self { job }
    }

    fn core(&self) -> &Core {
        self.job.core()
    }

    /// Waits for the result as long as it takes, and returns it.
    ///
    /// A worker that waits without a limit of time for a pending job of its own pool runs that job
    /// itself, so that a pool is never stuck with all workers waiting for jobs that no worker is
    /// left to run. This holds for every wait without a limit: `result`, [`wait_timeout`] with
    /// [`Duration::MAX`], [`wait()`], [`as_completed`], a [`Map`](crate::Map) and the end of a
    /// scope. The job runs on top of the one that waits: it must not need a lock that the waiting
    /// job holds.
    ///
    /// A wait with a limit of time runs no job, for a job that has begun does not end at the
    /// deadline. If all workers of a pool wait so, none is left for the jobs they wait for.
    ///
    /// [`wait_timeout`]: Self::wait_timeout
    ///
    /// # Errors
    ///
    /// [`JobError`], the panic of the job among them.
    ///
    /// # Memory ordering
    ///
    /// Everything that the job did happens before the end of this call.
    pub fn result(self) -> Result<R, JobError> {
        match self.result_before(None) {
            Ok(result) => result,
            Err(_) => unreachable!("a wait without a deadline ends when the job is done"),
        }
    }

    /// As [`result`](Self::result), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// The handle, if the job was not done in time.
    pub fn result_timeout(self, timeout: Duration) -> Result<Result<R, JobError>, Self> {
        if timeout.is_zero() && !self.is_done() && !self.is_hopeless() {
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

    /// As [`result`](Self::result), until the token is cancelled at most. Like a wait with a limit
    /// of time it runs no job.
    ///
    /// # Errors
    ///
    /// The handle, if the token was cancelled while the job was not done.
    pub fn result_or_cancelled(self, token: &CancelToken) -> Result<Result<R, JobError>, Self> {
        let mut future = pin!(self.into_future());
        match token.block_on(future.as_mut()) {
            Ok(result) => Ok(result),
            Err(Cancelled) => match future.give_up() {
                Some(handle) => Err(handle),
                None => unreachable!("a future that is not ready has its handle"),
            },
        }
    }

    fn result_before(self, deadline: Option<Deadline>) -> Result<Result<R, JobError>, Self> {
        if !self.is_done() {
            if self.is_left_behind() {
                return Ok(Err(JobError::Forked));
            }
            if self.core().runs_here() {
                return Ok(Err(JobError::Deadlock));
            }
            if !self.wait_before(deadline) {
                return Err(self);
            }
        }
        self.job.take().map_err(Self::new)
    }

    /// Waits until the job is done, helping if that is allowed.
    fn wait_before(&self, deadline: Option<Deadline>) -> bool {
        if deadline.is_none() {
            self.help();
        }
        self.core().wait(deadline)
    }

    /// Returns whether this thread is a worker of the job's pool, in the process of that pool.
    fn belongs_here(&self) -> bool {
        current_pool() == self.core().pool && !self.is_left_behind()
    }

    /// Runs the job here and now if it is pending and this thread is a worker of its pool.
    pub(super) fn help(&self) {
        if self.core().phase() == PENDING && self.belongs_here() {
            worker::help(&self.job);
        }
        self.settle_if_cancelled();
    }

    /// As a worker: puts the job aside if it was cancelled, so that it is settled.
    fn settle_if_cancelled(&self) {
        if self.core().phase() == CANCELLED && self.belongs_here() {
            self.job.notify_cancelled();
        }
    }

    /// Waits for the job without taking its result. Returns `false` if the job is not done in time,
    /// or cannot be done while this call lasts: it is the job that calls, or it was left behind by
    /// a fork.
    ///
    /// A worker that waits for a job of its own pool: see [`result`](Self::result).
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.is_done() || !self.is_hopeless() && self.wait_before(Deadline::after(timeout))
    }

    /// As [`wait_timeout`](Self::wait_timeout), until `deadline`.
    #[must_use]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.is_done() || !self.is_hopeless() && self.wait_before(Deadline::at(deadline))
    }

    /// Cancels the job if no thread has begun it: its closure is dropped and will not run. Returns
    /// `true` if the job is cancelled, now or before. A panic of the closure's `Drop` is reported
    /// by the panic hook and changes nothing else.
    pub fn cancel(&self) -> bool {
        self.job.cancel()
    }

    /// Returns the progress of the job.
    #[must_use]
    pub fn status(&self) -> JobStatus {
        status(self.core().phase())
    }

    /// Returns whether the job has ended, well or not, or was cancelled.
    #[must_use]
    #[doc(alias = "done")]
    pub fn is_done(&self) -> bool {
        is_done(self.core().phase())
    }

    /// Returns whether a worker runs the job.
    #[must_use]
    #[doc(alias = "running")]
    pub fn is_running(&self) -> bool {
        self.core().phase() == RUNNING
    }

    /// Returns whether the job was cancelled.
    #[must_use]
    #[doc(alias = "cancelled")]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.core().phase(), CANCELLED | NOTIFIED)
    }

    /// Calls `f` once the job is done or cancelled: in the thread that finishes or cancels it, or
    /// here if that is over already. In the order of the calls. A panic in `f` is reported by the
    /// panic hook and changes nothing else.
    #[doc(alias = "add_done_callback")]
    pub fn on_done(&self, f: impl FnOnce(JobStatus) + Send + 'static) {
        self.core().on_done(Box::new(f));
    }

    /// Returns whether no thread is left that could finish the job.
    fn is_left_behind(&self) -> bool {
        self.core().is_left_behind()
    }

    /// Returns whether a wait of this thread for the job has no end.
    fn is_hopeless(&self) -> bool {
        self.is_left_behind() || self.core().runs_here()
    }

    /// As [`wait()`] and [`as_completed`] see it. In the child of a fork no worker meets a
    /// cancelled job any more.
    fn settled(&self) -> bool {
        #[cfg(test)]
        tests::LOOKS.set(tests::LOOKS.get() + 1);
        is_settled(self.core().phase()) || !self.core().is_of_this_process()
    }
}

// The handle holds a whole result, or none.
impl<R> UnwindSafe for JobHandle<R> {}
impl<R> RefUnwindSafe for JobHandle<R> {}

impl<R> fmt::Debug for JobHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobHandle").field(&self.status()).finish()
    }
}

/// Waits for the result of a job, as a task. From `handle.await`.
///
/// It is ready when the job is done. A task does not run a pending job in its place, as a worker
/// that waits does (see [`JobHandle::result`]). Dropping it detaches the job, as dropping the
/// handle does.
#[must_use = "a future does nothing until it is polled"]
pub struct JobFuture<R> {
    // In this order: the waiter goes before the word that it waits on.
    waiter: Waiter,
    handle: Option<JobHandle<R>>,
}

impl<R> IntoFuture for JobHandle<R> {
    type Output = Result<R, JobError>;
    type IntoFuture = JobFuture<R>;

    /// ```
    /// use sync_core::task::block_on;
    /// use sync_queue::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2);
    /// let answer = block_on(async {
    ///     let half = pool.submit(|| 21).unwrap().await.unwrap();
    ///     pool.submit(move || half * 2).unwrap().await
    /// });
    /// assert_eq!(answer.unwrap(), 42);
    /// ```
    fn into_future(self) -> JobFuture<R> {
        JobFuture { waiter: Waiter::new(), handle: Some(self) }
    }
}

impl<R> JobFuture<R> {
    /// Ends the wait, and returns the handle.
    fn give_up(self: Pin<&mut Self>) -> Option<JobHandle<R>> {
        // SAFETY: the waiter is not moved; the handle is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: it is a part of a pinned value, and is never moved out.
        unsafe { Pin::new_unchecked(&this.waiter) }.cancel();
        this.handle.take()
    }
}

impl<R> Future for JobFuture<R> {
    type Output = Result<R, JobError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the waiter is not moved; the handle is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: it is a part of a pinned value, and is never moved out.
        let waiter = unsafe { Pin::new_unchecked(&this.waiter) };
        let Some(handle) = this.handle.take() else {
            panic!("the future of a job was polled after it was ready")
        };
        if !handle.is_done() && !handle.is_hopeless() {
            // A wake may be left from before: it is for a state that was looked at just now.
            let waits = waiter.poll(context.waker()).is_pending()
                || handle.core().register(waiter, context.waker());
            if waits {
                this.handle = Some(handle);
                return Poll::Pending;
            }
        }
        match handle.result_before(None) {
            Ok(result) => Poll::Ready(result),
            Err(_) => unreachable!("the job is done, or never will be"),
        }
    }
}

// As for the handle.
impl<R> UnwindSafe for JobFuture<R> {}
impl<R> RefUnwindSafe for JobFuture<R> {}

impl<R> fmt::Debug for JobFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobFuture").field(&self.handle).finish()
    }
}

/// The jobs of a [`wait`], sorted into done and not done.
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
/// As in Python, a cancelled job counts as done once a worker has taken it and put it aside;
/// [`JobHandle::is_done`] reports it at once. The job that calls is not waited for: it is returned
/// as not done. A worker that waits for jobs of its own pool: see [`JobHandle::result`].
pub fn wait<R>(
    handles: impl IntoIterator<Item = JobHandle<R>>,
    until: Until,
    timeout: Option<Duration>,
) -> Waited<R> {
    let handles: Vec<_> = handles.into_iter().collect();
    let (mut progress, open) = Progress::new(&handles, until);
    if !progress.is_over() && timeout != Some(Duration::ZERO) {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let listening = Listening { settled: Arc::new(SimpleQueue::new()), handles: &handles };
        for &number in &open {
            handles[number].core().report_when_settled(&listening.settled, number);
        }
        let mut to_help = open.iter();
        while !progress.is_over() {
            let number = match listening.settled.try_get() {
                Some(number) => number,
                None => match to_help.next() {
                    Some(&number) if deadline.is_none() => {
                        handles[number].help();
                        if !handles[number].core().is_of_this_process() {
                            // The job has forked, and this is the child: no job reports.
                            break;
                        }
                        continue;
                    }
                    Some(&number) => {
                        handles[number].settle_if_cancelled();
                        continue;
                    }
                    None => match deadline {
                        None => listening.settled.get(),
                        Some(deadline) => match listening.settled.get_deadline(deadline) {
                            Some(number) => number,
                            None => break,
                        },
                    },
                },
            };
            progress.left -= 1;
            progress.settled(&handles[number]);
        }
    }
    sort(handles)
}

/// As [`wait()`], as a task and without a limit of time.
///
/// A task does not run pending jobs in its place. Dropping it before it is done detaches the jobs,
/// for it holds the handles.
///
/// ```
/// use sync_core::task::block_on;
/// use sync_queue::{ThreadPool, Until, wait_async};
///
/// let pool = ThreadPool::new(2);
/// let jobs = [1, 2, 3].map(|n| pool.submit(move || n * n).unwrap());
/// let waited = block_on(wait_async(jobs, Until::All));
/// assert_eq!(waited.done.len(), 3);
/// ```
pub async fn wait_async<R>(
    handles: impl IntoIterator<Item = JobHandle<R>>,
    until: Until,
) -> Waited<R> {
    // Not across an await: the iterator may not be `Send`.
    let handles: Vec<_> = handles.into_iter().collect();
    wait_for_all(handles, until).await
}

/// As [`wait()`], until the token is cancelled at most. Like a wait with a limit of time it runs no
/// job.
///
/// ```
/// use sync_core::CancelToken;
/// use sync_queue::{ThreadPool, Until, wait_or_cancelled};
///
/// let (pool, stop) = (ThreadPool::new(2), CancelToken::new());
/// let gate = std::sync::Arc::new(sync_core::Event::new());
/// let jobs = [1, 2].map(|_| {
///     let gate = gate.clone();
///     pool.submit(move || gate.wait()).unwrap()
/// });
/// stop.cancel();
/// assert_eq!(wait_or_cancelled(jobs, Until::All, &stop).not_done.len(), 2);
/// gate.set();
/// ```
pub fn wait_or_cancelled<R>(
    handles: impl IntoIterator<Item = JobHandle<R>>,
    until: Until,
    token: &CancelToken,
) -> Waited<R> {
    let handles: Vec<_> = handles.into_iter().collect();
    // Cancelled or not: the handles are sorted.
    let _ = token.block_on(wait_for_enough(&handles, until));
    sort(handles)
}

async fn wait_for_all<R>(handles: Vec<JobHandle<R>>, until: Until) -> Waited<R> {
    wait_for_enough(&handles, until).await;
    sort(handles)
}

fn sort<R>(handles: Vec<JobHandle<R>>) -> Waited<R> {
    let (done, not_done) = handles.into_iter().partition(JobHandle::settled);
    Waited { done, not_done }
}

pub(super) async fn wait_for_enough<R>(handles: &[JobHandle<R>], until: Until) {
    let (mut progress, open) = Progress::new(handles, until);
    if !progress.is_over() {
        let listening = Listening { settled: Arc::new(SimpleQueue::new()), handles };
        for &number in &open {
            handles[number].core().report_when_settled(&listening.settled, number);
        }
        while !progress.is_over() {
            let number = listening.settled.get_async().await;
            progress.left -= 1;
            progress.settled(&handles[number]);
        }
    }
}

/// The progress of a [`wait()`].
struct Progress {
    until: Until,
    /// The number of jobs that the wait still needs.
    left: usize,
    enough: bool,
}

impl Progress {
    /// The progress at the beginning, and the numbers of the jobs that are to be waited for.
    fn new<R>(handles: &[JobHandle<R>], until: Until) -> (Self, Vec<usize>) {
        let mut progress = Self { until, left: 0, enough: false };
        let mut open = Vec::new();
        for (number, handle) in handles.iter().enumerate() {
            if handle.settled() {
                progress.settled(handle);
            } else if !handle.core().runs_here() {
                progress.left += 1;
                open.push(number);
            }
        }
        (progress, open)
    }

    fn settled<R>(&mut self, handle: &JobHandle<R>) {
        self.enough |= match self.until {
            Until::First => true,
            Until::FirstError => matches!(handle.core().phase(), PANICKED | BROKEN | LAPSED),
            Until::All => false,
        };
    }

    fn is_over(&self) -> bool {
        self.enough || self.left == 0
    }
}

/// A wait that listens to jobs. Dropping it takes back what it left with them.
struct Listening<'a, R> {
    settled: Settled,
    handles: &'a [JobHandle<R>],
}

impl<R> Drop for Listening<'_, R> {
    fn drop(&mut self) {
        for handle in self.handles {
            if !handle.settled() {
                handle.core().forget(&self.settled);
            }
        }
    }
}

/// Some jobs of an [`as_completed`] were not done in time.
pub struct Unfinished<R> {
    /// Those jobs.
    pub handles: Vec<JobHandle<R>>,
    /// The number of jobs in all.
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
    settled: Settled,
    /// The process in which the jobs report.
    process: ProcessMark,
    left: usize,
    /// The handles before this one are not pending: a worker need not look at them again to help.
    helped: usize,
}

/// Hands out the handles of jobs as these get done.
///
/// The job that calls is handed out at once: its result is [`JobError::Deadlock`]. A worker that
/// waits for jobs of its own pool: see [`JobHandle::result`].
pub fn as_completed<R>(handles: impl IntoIterator<Item = JobHandle<R>>) -> AsCompleted<R> {
    let handles: Vec<_> = handles.into_iter().map(Some).collect();
    let settled = Arc::new(SimpleQueue::new());
    for (number, handle) in handles.iter().flatten().enumerate() {
        if handle.settled() || handle.is_hopeless() {
            settled.put(number);
        } else {
            handle.core().report_when_settled(&settled, number);
        }
    }
    let process = ProcessMark::current();
    AsCompleted { left: handles.len(), handles, settled, process, helped: 0 }
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
        if let Some(number) = self.left_behind() {
            return Ok(Some(self.take(number)));
        }
        if self.settled.is_empty() {
            // A wait with a limit runs no job.
            self.handles[self.helped..].iter().flatten().for_each(JobHandle::settle_if_cancelled);
        }
        match self.settled.get_deadline(deadline) {
            Some(number) => Ok(Some(self.take(number))),
            None => {
                let total = self.handles.len();
                self.forget();
                self.left = 0;
                Err(Unfinished { handles: self.handles.drain(..).flatten().collect(), total })
            }
        }
    }

    /// The next one, waiting at most `timeout`. A timeout too long for the clock means forever.
    ///
    /// # Errors
    ///
    /// As [`next_deadline`](Self::next_deadline).
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<JobHandle<R>>, Unfinished<R>> {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.next_deadline(deadline),
            None => Ok(self.next()),
        }
    }

    /// The next one, as a task. Cancel-safe: a call that is dropped before it is done has handed
    /// out no handle. `None`: all were handed out.
    pub async fn next_async(&mut self) -> Option<JobHandle<R>> {
        if self.left == 0 {
            return None;
        }
        if let Some(number) = self.left_behind() {
            return Some(self.take(number));
        }
        let number = self.settled.get_async().await;
        Some(self.take(number))
    }

    /// The next one, waiting until the token is cancelled at most. `Ok(None)`: all were handed out.
    /// Like a wait with a limit of time it runs no job.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while no job was done. The iterator goes on.
    pub fn next_or_cancelled(
        &mut self,
        token: &CancelToken,
    ) -> Result<Option<JobHandle<R>>, Cancelled> {
        token.block_on(self.next_async())
    }

    /// The handles as a stream, which ends after the last one. A stream that is dropped detaches
    /// the jobs that are left, for it holds the handles.
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::pin::pin;
    /// use futures_core::Stream;
    /// use sync_core::task::block_on;
    /// use sync_queue::{ThreadPool, as_completed};
    ///
    /// let pool = ThreadPool::new(2);
    /// let jobs = [1, 2, 3].map(|n| pool.submit(move || n * n).unwrap());
    /// block_on(async {
    ///     let mut done = pin!(as_completed(jobs).stream());
    ///     let mut sum = 0;
    ///     while let Some(job) = poll_fn(|cx| done.as_mut().poll_next(cx)).await {
    ///         sum += job.await.unwrap();
    ///     }
    ///     assert_eq!(sum, 14);
    /// });
    /// ```
    #[cfg(feature = "futures-core")]
    #[cfg_attr(docsrs, doc(cfg(feature = "futures-core")))]
    pub fn stream(self) -> impl futures_core::FusedStream<Item = JobHandle<R>> {
        crate::wait::unfold::Unfold::new(self, |mut left: Self| async move {
            let next = left.next_async().await;
            next.map(|handle| (handle, left))
        })
    }

    /// In the child of a fork, where no job reports: the first handle that is left.
    fn left_behind(&self) -> Option<usize> {
        if self.process.is_current() {
            return None;
        }
        self.handles.iter().position(Option::is_some)
    }

    fn take(&mut self, number: usize) -> JobHandle<R> {
        self.left -= 1;
        match self.handles[number].take() {
            Some(handle) => handle,
            None => unreachable!("the number of a job is put into `settled` once"),
        }
    }

    /// Takes back what was left with the jobs.
    fn forget(&self) {
        for handle in self.handles.iter().flatten() {
            if !handle.settled() {
                handle.core().forget(&self.settled);
            }
        }
    }
}

impl<R> Iterator for AsCompleted<R> {
    type Item = JobHandle<R>;

    fn next(&mut self) -> Option<JobHandle<R>> {
        if self.left == 0 {
            return None;
        }
        loop {
            // Again after each job that was run here: it may have forked.
            if let Some(number) = self.left_behind().or_else(|| self.settled.try_get()) {
                return Some(self.take(number));
            }
            let Some(handle) = self.handles.get(self.helped) else { break };
            if let Some(handle) = handle {
                handle.help();
            }
            self.helped += 1;
        }
        let number = self.settled.get();
        Some(self.take(number))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<R> ExactSizeIterator for AsCompleted<R> {}

impl<R> FusedIterator for AsCompleted<R> {}

impl<R> Drop for AsCompleted<R> {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::{Until, wait};
    use crate::pool::ThreadPool;
    use crate::queue::simple::SimpleQueue;

    std::thread_local! {
        /// How often this thread has looked whether a job is settled.
        pub(super) static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn a_wait_looks_at_each_job_a_few_times_however_many_there_are() {
        const JOBS: usize = 1000;
        let pool = ThreadPool::new(2);
        let go = std::sync::Arc::new(SimpleQueue::new());
        let first = std::sync::Arc::clone(&go);
        let mut handles = vec![pool.submit(move || first.get()).unwrap()];
        handles.extend((1..JOBS).map(|_| pool.submit(|| ()).unwrap()));
        let before = LOOKS.get();
        let waiter = std::thread::spawn(move || {
            // Time for the wait to begin.
            std::thread::sleep(core::time::Duration::from_millis(10));
            go.put(());
        });
        assert_eq!(wait(handles, Until::All, None).done.len(), JOBS);
        let looks = LOOKS.get() - before;
        assert!(looks <= 4 * JOBS, "{looks} looks at {JOBS} jobs");
        waiter.join().unwrap();
    }
}
