//! Handles of submitted jobs, and waiting for several of them.

use core::cmp::Ordering;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use serde::de::DeserializeOwned;
pub use sync_core::executor::Until;
use sync_core::user_code;

use super::dispatch::{Room, Submitted};
use super::error::JobStatus;
use super::job::{CompletionQueue, Job, JobError, Listener, after};
use crate::process::body::Content;
use crate::process::handles::{Incoming, decode, decode_all};
use crate::process::{ProcessError, entry};

/// A submitted job: one call of a function. Python's `AsyncResult` and `Future`. Dropping it
/// detaches the job.
#[must_use = "the result of the job is lost without its handle; drop() it if that is meant"]
#[doc(alias = "AsyncResult")]
#[doc(alias = "Future")]
pub struct JobHandle<R> {
    pub(super) job: Arc<Job>,
    pub(super) result: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> JobHandle<R> {
    /// The result, waiting for it as long as it takes.
    ///
    /// # Errors
    ///
    /// [`JobError`].
    #[doc(alias = "get")]
    pub fn result(self) -> Result<R, JobError> {
        self.job.wait(None);
        self.take()
    }

    /// As [`result`](Self::result), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// The handle, if the job was not done in time.
    pub fn result_timeout(self, timeout: Duration) -> Result<Result<R, JobError>, Self> {
        self.result_before(after(timeout))
    }

    /// As [`result`](Self::result), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// The handle, if the job was not done in time.
    pub fn result_deadline(self, deadline: Instant) -> Result<Result<R, JobError>, Self> {
        self.result_before(Some(deadline))
    }

    fn result_before(self, deadline: Option<Instant>) -> Result<Result<R, JobError>, Self> {
        if self.job.wait(deadline) || self.job.is_announced() { Ok(self.take()) } else { Err(self) }
    }

    fn take(&self) -> Result<R, JobError> {
        Outcomes::new(&self.job).next().unwrap_or(Err(JobError::Cancelled))
    }
}

impl<R> JobHandle<R> {
    pub(super) fn new(job: Arc<Job>) -> Self {
        Self { job, result: PhantomData }
    }

    /// Waits for the job without taking its result. `false`: not in time.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.job.wait(after(timeout))
    }

    /// As [`wait_timeout`](Self::wait_timeout), until `deadline`.
    #[must_use]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.job.wait(Some(deadline))
    }

    /// Cancels the job if no worker has begun it. `true`: it is cancelled, now or before.
    pub fn cancel(&self) -> bool {
        self.job.cancel()
    }

    /// Returns the state of the job.
    #[must_use]
    pub fn status(&self) -> JobStatus {
        self.job.status()
    }

    /// Whether the job has ended, well or not, or was cancelled.
    #[must_use]
    #[doc(alias = "ready")]
    #[doc(alias = "done")]
    pub fn is_done(&self) -> bool {
        self.status().is_end()
    }

    /// Whether a worker runs the job.
    #[must_use]
    #[doc(alias = "running")]
    pub fn is_running(&self) -> bool {
        self.status() == JobStatus::Running
    }

    /// Whether the job was cancelled.
    #[must_use]
    #[doc(alias = "cancelled")]
    pub fn is_cancelled(&self) -> bool {
        self.status() == JobStatus::Cancelled
    }

    /// Calls `f` once the job has ended: in the pool's dispatcher, or here if that is over already.
    /// The waiters for the job go on after it. It must be quick, and a panic in it is reported
    /// by the panic hook and changes nothing else.
    #[doc(alias = "add_done_callback")]
    pub fn on_done(&self, f: impl FnOnce(JobStatus) + Send + 'static) {
        self.job.listen(Listener::Callback(Box::new(f)));
    }
}

impl<R> fmt::Debug for JobHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobHandle").field(&self.status()).finish()
    }
}

/// The outcomes of the calls of one job that has ended, one after another.
pub(super) struct Outcomes<R> {
    left: u32,
    /// The calls before the first that failed, of those that are left.
    returned: u32,
    whole: Result<Content, JobError>,
    at: usize,
    incoming: Incoming,
    result: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> Outcomes<R> {
    pub(super) fn new(job: &Job) -> Self {
        let (mut whole, descriptors) = match job.take() {
            Ok(message) => {
                let body = message.body;
                let bytes = match &job.spares {
                    Some(spares) => body.open_and_keep(spares),
                    None => body.open(),
                };
                let bytes = bytes.map_err(|error| JobError::BadResult(error.to_string()));
                (bytes, message.descriptors)
            }
            Err(error) => (Err(error), Vec::new()),
        };
        let (mut returned, mut at) = (0, 0);
        if let Ok(bytes) = &whole {
            match entry::returned(bytes) {
                Some((count, rest)) => (returned, at) = (count, bytes.len() - rest.len()),
                None => whole = Err(JobError::BadResult("the worker reported nothing".into())),
            }
        }
        let incoming = Incoming::new(descriptors);
        Self { left: job.count, returned, whole, at, incoming, result: PhantomData }
    }
}

impl<R: DeserializeOwned> Outcomes<R> {
    /// Appends the results of all calls, up to the first that has none.
    fn append_to(mut self, results: &mut Vec<R>) -> Result<(), JobError> {
        // The calls that returned, which are usually all. The rest of them, one by one, below.
        if let Ok(bytes) = &self.whole {
            let mut rest = bytes.get(self.at..).unwrap_or_default();
            let count = self.left.min(self.returned);
            let read = decode_all(count, &mut rest, &mut self.incoming, results);
            self.left -= read;
            self.returned -= read;
            self.at = bytes.len() - rest.len();
        }
        for outcome in self {
            results.push(outcome?);
        }
        Ok(())
    }
}

impl<R: DeserializeOwned> Iterator for Outcomes<R> {
    type Item = Result<R, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let bytes = match &self.whole {
            Ok(bytes) => bytes,
            Err(error) => return Some(Err(error.clone())),
        };
        if let Some(returned) = self.returned.checked_sub(1) {
            self.returned = returned;
            let rest = bytes.get(self.at..);
            // As below.
            self.at = usize::MAX;
            let Some(mut rest) = rest else { return Some(Err(unread())) };
            let result = decode(&mut rest, &mut self.incoming);
            if result.is_ok() {
                self.at = bytes.len() - rest.len();
            }
            return Some(result.map_err(|error| JobError::BadResult(error.to_string())));
        }
        let mut rest = bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Some(Err(match self.at.cmp(&bytes.len()) {
                // The call before could not read its arguments, and did not find the next one's.
                Ordering::Equal => JobError::BadArguments("no arguments were found".into()),
                _ => unread(),
            }));
        }
        // Where the next outcome begins is known only after this one was read: if that fails, or
        // panics (user code: a `Deserialize`; the panic is the caller's), nothing can be read any
        // more.
        self.at = usize::MAX;
        let outcome = entry::outcome(&mut rest, &mut self.incoming);
        if !rest.is_empty() || !matches!(outcome, Err(ProcessError::BadResult(_))) {
            self.at = bytes.len() - rest.len();
        }
        Some(outcome.map_err(JobError::from))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

/// The error of a result after one that could not be read.
fn unread() -> JobError {
    JobError::BadResult("the result before it could not be read".into())
}

/// The results of [`Pool::map_async`](super::Pool::map_async), in the order of the items.
#[must_use = "the results are in it"]
#[doc(alias = "MapResult")]
pub struct MapHandle<R> {
    pub(super) jobs: Vec<Arc<Job>>,
    pub(super) result: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> MapHandle<R> {
    /// All results, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// The [`JobError`] of the first item, in the order of the items, that has no result.
    #[doc(alias = "get")]
    pub fn results(self) -> Result<Vec<R>, JobError> {
        let mut results = Vec::with_capacity(self.jobs.iter().map(|job| job.count as usize).sum());
        for job in self.jobs {
            job.wait(None);
            Outcomes::new(&job).append_to(&mut results)?;
        }
        Ok(results)
    }

    /// Returns the outcome of each item, in the order of the items. The iterator waits for each.
    pub fn outcomes(self) -> impl Iterator<Item = Result<R, JobError>> {
        self.jobs.into_iter().flat_map(|job| {
            job.wait(None);
            Outcomes::new(&job)
        })
    }

    /// Waits for all items, at most `timeout`. `false`: not in time.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_before(after(timeout))
    }

    /// As [`wait_timeout`](Self::wait_timeout), until `deadline`.
    #[must_use]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_before(Some(deadline))
    }

    fn wait_before(&self, deadline: Option<Instant>) -> bool {
        self.jobs.iter().all(|job| job.wait(deadline))
    }

    /// Whether all items are done.
    #[must_use]
    #[doc(alias = "ready")]
    pub fn is_done(&self) -> bool {
        self.jobs.iter().all(|job| job.status().is_end())
    }

    /// Cancels the tasks that no worker has begun. Returns whether everything is cancelled.
    pub fn cancel(&self) -> bool {
        self.jobs.iter().filter(|job| !job.cancel()).count() == 0
    }

    /// Calls `f` once, with all results or the first error, when the last item is done: in the
    /// pool's dispatcher, or here if that is over already. [`results`](Self::results) of this
    /// handle is then not available: `f` has them.
    pub fn on_results(self, f: impl FnOnce(Result<Vec<R>, JobError>) + Send + 'static)
    where
        R: 'static,
    {
        use core::sync::atomic::{self, AtomicUsize};

        let jobs: Arc<[Arc<Job>]> = self.jobs.into();
        let take = |jobs: &[Arc<Job>]| {
            jobs.iter().flat_map(|job| Outcomes::new(job)).collect::<Result<Vec<R>, _>>()
        };
        if jobs.is_empty() {
            user_code::run_and_forget_panic(|| f(Ok(Vec::new())));
            return;
        }
        let left = Arc::new(AtomicUsize::new(jobs.len()));
        let f = Arc::new(sync_core::Mutex::new(Some(f)));
        for job in jobs.iter() {
            let (left, f) = (Arc::clone(&left), Arc::clone(&f));
            let jobs = Arc::clone(&jobs);
            job.listen(Listener::Callback(Box::new(move |_| {
                // AcqRel: the last thread sees the writes of all other threads.
                if left.fetch_sub(1, atomic::Ordering::AcqRel) == 1 {
                    let f = f.lock().take();
                    if let Some(f) = f {
                        f(take(&jobs));
                    }
                }
            })));
        }
    }
}

impl<R> fmt::Debug for MapHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapHandle").field("chunks", &self.jobs.len()).finish_non_exhaustive()
    }
}

/// The result of [`wait`].
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
pub fn wait<R>(
    handles: impl IntoIterator<Item = JobHandle<R>>,
    until: Until,
    timeout: Option<Duration>,
) -> Waited<R> {
    let handles: Vec<_> = handles.into_iter().collect();
    let mut left = handles.iter().filter(|handle| !handle.job.is_announced()).count();
    let failed = |handle: &JobHandle<R>| {
        handle.job.is_announced()
            && matches!(handle.status(), JobStatus::Failed | JobStatus::Panicked)
    };
    let enough_at_once = left == 0
        || match until {
            Until::First => left < handles.len(),
            Until::FirstError => handles.iter().any(failed),
            Until::All => false,
        };
    if !enough_at_once && !timeout.is_some_and(|timeout| timeout.is_zero()) {
        let deadline = timeout.and_then(after);
        let completions = CompletionQueue::new();
        left = handles.len();
        for (number, handle) in handles.iter().enumerate() {
            handle.job.listen(Listener::Queue(Arc::clone(&completions), number));
        }
        while left > 0 {
            let Some(number) = completions.next(deadline) else { break };
            left -= 1;
            match until {
                Until::First => break,
                Until::FirstError if failed(&handles[number]) => break,
                _ => {}
            }
        }
        for handle in &handles {
            handle.job.unlisten(&completions);
        }
    }
    let (done, not_done) = handles.into_iter().partition(|handle| handle.job.is_announced());
    Waited { done, not_done }
}

/// The handles, each as soon as its job is done. From [`as_completed`].
#[must_use = "an iterator does nothing until it is asked"]
pub struct AsCompleted<R> {
    handles: Vec<Option<JobHandle<R>>>,
    completions: Arc<CompletionQueue>,
    left: usize,
}

/// Hands out the handles of jobs as these get done.
pub fn as_completed<R>(handles: impl IntoIterator<Item = JobHandle<R>>) -> AsCompleted<R> {
    let handles: Vec<_> = handles.into_iter().map(Some).collect();
    let completions = CompletionQueue::new();
    for (number, handle) in handles.iter().flatten().enumerate() {
        handle.job.listen(Listener::Queue(Arc::clone(&completions), number));
    }
    AsCompleted { left: handles.len(), handles, completions }
}

impl<R> AsCompleted<R> {
    /// The next one, waiting at most `timeout`; `None` at the end, and if none was done in time:
    /// see [`left`](Self::left).
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<JobHandle<R>> {
        self.next_before(after(timeout))
    }

    /// As [`next_timeout`](Self::next_timeout), waiting until `deadline`.
    pub fn next_deadline(&mut self, deadline: Instant) -> Option<JobHandle<R>> {
        self.next_before(Some(deadline))
    }

    /// The number of handles that were not handed out.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    fn next_before(&mut self, deadline: Option<Instant>) -> Option<JobHandle<R>> {
        if self.left == 0 {
            return None;
        }
        let number = if self.completions.is_current() {
            self.completions.next(deadline)?
        } else {
            // The jobs stayed with the parent of this fork, which each handle reports.
            self.handles.iter().position(Option::is_some)?
        };
        self.left -= 1;
        self.handles[number].take()
    }
}

impl<R> Iterator for AsCompleted<R> {
    type Item = JobHandle<R>;

    fn next(&mut self) -> Option<JobHandle<R>> {
        self.next_before(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<R> Drop for AsCompleted<R> {
    fn drop(&mut self) {
        for handle in self.handles.iter().flatten() {
            handle.job.unlisten(&self.completions);
        }
    }
}

impl<R> fmt::Debug for AsCompleted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.left).finish_non_exhaustive()
    }
}

/// Results of [`Pool::imap`](super::Pool::imap) and
/// [`Pool::imap_unordered`](super::Pool::imap_unordered).
///
/// An item that failed does not end the iterator. Dropped before its end, it cancels the items
/// that no worker has begun.
#[must_use = "an iterator does nothing until it is asked"]
pub struct Imap<'a, R> {
    pub(super) submit: Box<dyn FnMut(Room) -> Submitted + 'a>,
    pub(super) ordered: bool,
    pub(super) window: usize,
    pub(super) running: VecDeque<(usize, Arc<Job>)>,
    pub(super) completions: Arc<CompletionQueue>,
    pub(super) next_number: usize,
    pub(super) exhausted: bool,
    pub(super) current: Option<Outcomes<R>>,
}

impl<R: DeserializeOwned> Imap<'_, R> {
    /// The next result, waiting at most `timeout`, for room in the pool too.
    /// `Some(Err(JobError::TimedOut))`: not in time; a later call returns it. The iterator over the
    /// input is the caller's and takes its own time.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<R, JobError>> {
        self.next_before(after(timeout))
    }

    /// As [`next_timeout`](Self::next_timeout), waiting until `deadline`.
    pub fn next_deadline(&mut self, deadline: Instant) -> Option<Result<R, JobError>> {
        self.next_before(Some(deadline))
    }

    fn fill(&mut self, deadline: Option<Instant>) {
        while !self.exhausted && self.running.len() < self.window {
            // With a job on its way there is something else to wait for than room.
            let room = if self.running.is_empty() { Room::Wait(deadline) } else { Room::Try };
            match (self.submit)(room) {
                Submitted::End => self.exhausted = true,
                Submitted::NoRoom => break,
                Submitted::Job(job) => {
                    if !self.ordered {
                        job.listen(Listener::Queue(
                            Arc::clone(&self.completions),
                            self.next_number,
                        ));
                    }
                    self.running.push_back((self.next_number, job));
                    self.next_number += 1;
                }
            }
        }
    }

    fn next_before(&mut self, deadline: Option<Instant>) -> Option<Result<R, JobError>> {
        loop {
            if let Some(outcome) = self.current.as_mut().and_then(Iterator::next) {
                return Some(outcome);
            }
            self.current = None;
            self.fill(deadline);
            if self.running.is_empty() && !self.exhausted {
                return Some(Err(JobError::TimedOut));
            }
            let at = if self.ordered || !self.completions.is_current() {
                let (_, job) = self.running.front()?;
                if !job.wait(deadline) && !job.is_announced() {
                    return Some(Err(JobError::TimedOut));
                }
                0
            } else {
                if self.running.is_empty() {
                    return None;
                }
                let Some(number) = self.completions.next(deadline) else {
                    return Some(Err(JobError::TimedOut));
                };
                self.running.iter().position(|(other, _)| *other == number)?
            };
            let (_, job) = self.running.remove(at)?;
            self.current = Some(Outcomes::new(&job));
        }
    }
}

impl<R: DeserializeOwned> Iterator for Imap<'_, R> {
    type Item = Result<R, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_before(None)
    }
}

impl<R> Drop for Imap<'_, R> {
    fn drop(&mut self) {
        for (_, job) in &self.running {
            job.unlisten(&self.completions);
            job.cancel();
        }
    }
}

impl<R> fmt::Debug for Imap<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap").field("running", &self.running.len()).finish_non_exhaustive()
    }
}
