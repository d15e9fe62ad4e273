//! A pool of processes that run functions of this program. See [`Pool`].
//!
//! The parts: `error` (the errors, and the state of a job), `settings`, `job` (a submitted job and
//! its outcome), `handle` (the submitter's handles), `dispatch` (the distribution of tasks, and the
//! death of a worker), `backlog` (the tasks that wait), `link` (the workers, as `dispatch` has
//! them), `worker` (the other process), `executor` (the interface that it shares with pools of
//! threads).

mod backlog;
mod dispatch;
mod error;
mod executor;
mod handle;
mod job;
mod link;
mod settings;
mod worker;

use core::fmt;
use core::marker::PhantomData;
use core::num::NonZero;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

pub use self::error::{BuildError, JobStatus, StillRunning, SubmitError};
pub use self::handle::{
    AsCompleted, Imap, JobHandle, MapHandle, Until, Waited, as_completed, wait,
};
pub use self::job::JobError;

use self::dispatch::{Phase, Submitted};
use self::job::{Call, CompletionQueue, Job, after};
use self::settings::{InitialCall, Settings};
use crate::process::Child;
use crate::process::body::Output;
use crate::process::entry::{self, Entry};
use crate::process::handles::{Outgoing, encode, encode_to_vec};
use crate::process::lent::Spares;
#[cfg(feature = "manager")]
use crate::process::message::Body;

/// Configures a [`Pool`]. From [`Pool::builder`].
#[must_use = "it does nothing until it is built"]
pub struct PoolBuilder {
    settings: Settings,
    error: Option<SubmitError>,
}

impl PoolBuilder {
    /// Sets the number of processes. Default: the number of processors.
    #[doc(alias = "processes")]
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers;
        self
    }

    /// Sets the prefix of the workers' names; `-1`, `-2` and so on follow. Default: `PoolWorker`.
    pub fn name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.name_prefix = prefix.into();
        self
    }

    /// Sets the function that each worker calls before its first job. If it panics, the pool is
    /// broken: jobs fail with [`JobError::Broken`].
    pub fn initializer<M, F: Entry<M>>(mut self, f: F, args: F::Args) -> Self {
        let mut outgoing = Outgoing::default();
        let encode = |entry| match encode_to_vec(&args, &mut outgoing) {
            Ok(body) => Ok((entry, body)),
            Err(error) => Err(SubmitError::BadArguments(error.to_string())),
        };
        match number_of(&f).and_then(encode) {
            Ok((entry, body)) => {
                let initializer = InitialCall { entry, body, descriptors: outgoing.descriptors };
                self.settings.initializer = Some(initializer);
            }
            Err(error) => self.error = Some(error),
        }
        self
    }

    /// Sets the number of tasks after which a worker ends and is replaced. A chunk of a `map` is
    /// one task. Default: never.
    #[doc(alias = "maxtasksperchild")]
    pub fn max_tasks_per_child(mut self, tasks: NonZero<u64>) -> Self {
        self.settings.max_tasks_per_child = Some(tasks);
        self
    }

    /// Sets the longest time of a call. A worker whose task takes longer (a chunk: as many times as
    /// long) is killed and replaced, and the task fails with [`JobError::TimeLimit`]. Default: no
    /// limit.
    pub fn task_limit(mut self, limit: Duration) -> Self {
        self.settings.task_limit = Some(limit);
        self
    }

    /// Sets the number of times that a task whose worker died is run again before it fails with
    /// [`JobError::WorkerDied`]. The effects of a task before its worker died then happen again, so
    /// this is for tasks that permit that. Default: 0.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// Sets the number of tasks that may wait for a worker: submitting waits while there are more.
    /// Default: 4096.
    ///
    /// Submitting also waits while the waiting tasks have more than 64 descriptors among their
    /// arguments (a handle to an object is one), or twice as many as there are workers. Long
    /// arguments and results that wait cost few descriptors, however many they are: those past the
    /// first few dozen wait in memory.
    pub fn queue_limit(mut self, limit: usize) -> Self {
        self.settings.queue_limit = limit;
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// [`BuildError`]. Workers that were started by then are ended.
    pub fn build(self) -> Result<Pool, BuildError> {
        if let Some(error) = self.error {
            return Err(BuildError::Initializer(error));
        }
        if self.settings.workers == 0 {
            return Err(BuildError::NoWorkers);
        }
        if self.settings.queue_limit == 0 {
            return Err(BuildError::NoBacklog);
        }
        let inner = dispatch::Pool::start(self.settings).map_err(BuildError::Spawn)?;
        Ok(Pool { inner })
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("workers", &self.settings.workers)
            .finish_non_exhaustive()
    }
}

/// The longest body of a chunk whose size was not given: a longer one begins another chunk.
const CHUNK_BYTES: usize = 1 << 20;

/// A pool of processes that run functions of this program. Python's `multiprocessing.Pool` and
/// `ProcessPoolExecutor`.
///
/// Functions are registered by [`entry!`](crate::entry), and `main` begins with
/// [`init`](crate::init), as for a [`Process`](crate::Process). Arguments and results are anything
/// that serde knows, and handles to the objects of this crate; long ones travel through shared
/// memory.
///
/// * A function that panics fails its own call, and the worker goes on.
/// * A worker that dies fails the task that it ran ([`JobError::WorkerDied`]), or the task is run
///   again ([`PoolBuilder::retries`]). It is replaced, and all other tasks go on.
/// * Workers are daemons: they end with this process, even if it is killed. They ignore Ctrl-C, so
///   that this process decides about their tasks.
///
/// A pool does not go along with a `fork`: in the child it takes no jobs, has no workers, and jobs
/// have no result ([`JobError::Forked`]).
///
/// Dropping the pool waits for all that was submitted, as [`close`](Self::close) and
/// [`join`](Self::join) do; [`terminate`](Self::terminate) gives it up.
///
/// ```
/// fn square(n: u64) -> u64 {
///     n * n
/// }
/// fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
/// sync_ipc::entry!(square, add);
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     sync_ipc::init();
///     let pool = sync_ipc::Pool::new(2)?;
///     assert_eq!(pool.apply(add, (40, 2))?, 42);
///     assert_eq!(pool.map(square, 1..=4)?, [1, 4, 9, 16]);
///     // Python's `starmap`: tuples are spread over the arguments.
///     assert_eq!(pool.map(add, [(1, 2), (3, 4)])?, [3, 7]);
///     let job = pool.submit(square, 12)?;
///     assert_eq!(job.result()?, 144);
///     Ok(())
/// }
/// ```
#[doc(alias = "ProcessPoolExecutor")]
pub struct Pool {
    inner: Arc<dispatch::Pool>,
}

impl Pool {
    /// A pool of `workers` processes.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn new(workers: usize) -> Result<Self, BuildError> {
        Self::builder().workers(workers).build()
    }

    /// Configures a pool.
    pub fn builder() -> PoolBuilder {
        let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
        PoolBuilder {
            settings: Settings {
                workers,
                name_prefix: "PoolWorker".into(),
                initializer: None,
                max_tasks_per_child: None,
                task_limit: None,
                retries: 0,
                queue_limit: 4096,
            },
            error: None,
        }
    }

    /// Calls `f` in a worker, and waits for the result.
    ///
    /// # Errors
    ///
    /// [`JobError`].
    pub fn apply<M, F: Entry<M>>(&self, f: F, args: F::Args) -> Result<F::Output, JobError> {
        self.submit(f, args)?.result()
    }

    /// Calls `f` in a worker. Waits while the backlog is full.
    ///
    /// # Errors
    ///
    /// [`SubmitError`].
    #[doc(alias = "apply_async")]
    pub fn submit<M, F: Entry<M>>(
        &self,
        f: F,
        args: F::Args,
    ) -> Result<JobHandle<F::Output>, SubmitError> {
        self.submit_one(f, args, true)
    }

    /// As [`submit`](Self::submit), without waiting.
    ///
    /// # Errors
    ///
    /// [`SubmitError`], [`SubmitError::Full`] among them.
    pub fn try_submit<M, F: Entry<M>>(
        &self,
        f: F,
        args: F::Args,
    ) -> Result<JobHandle<F::Output>, SubmitError> {
        self.submit_one(f, args, false)
    }

    fn submit_one<M, F: Entry<M>>(
        &self,
        f: F,
        args: F::Args,
        wait: bool,
    ) -> Result<JobHandle<F::Output>, SubmitError> {
        let job = Job::new(self.call(&f, core::iter::once(args))?);
        self.inner.submit(&job, wait)?;
        Ok(JobHandle::new(job))
    }

    /// A call of `f` for each of the items.
    fn call<M, F: Entry<M>>(
        &self,
        f: &F,
        items: impl Iterator<Item = F::Args>,
    ) -> Result<Call, SubmitError> {
        let mut items = items;
        let call = chunk_of(f, &mut items, usize::MAX, usize::MAX, &self.inner.spares)?;
        Ok(call.unwrap_or_else(Call::none))
    }

    /// Submits a call of the entry point of this name, whose arguments are serialised already.
    #[cfg(feature = "manager")]
    pub(crate) fn submit_by_name(&self, name: &str, args: Vec<u8>) -> Result<Raw, SubmitError> {
        let number = entry::number_of(name).and_then(|number| u32::try_from(number).ok());
        let entry = number.ok_or(SubmitError::NotRegistered("a function of that name"))?;
        let spares = &self.inner.spares;
        let body = Body::to_wait(args, spares);
        let body = body.map_err(|error| SubmitError::BadArguments(error.to_string()))?;
        let (descriptors, spares) = (Vec::new(), Some(Arc::clone(spares)));
        let job = Job::new(Call { entry, count: 1, body, descriptors, spares });
        self.inner.submit(&job, true)?;
        Ok(Raw(job))
    }

    /// Calls `f` in a worker, and `callback` with its result: Python's `apply_async` with
    /// callbacks. The callback runs in the pool's dispatcher, so it must be quick; a panic in it is
    /// reported by the panic hook and changes nothing else.
    ///
    /// # Errors
    ///
    /// [`SubmitError`].
    pub fn apply_async<M, F: Entry<M>>(
        &self,
        f: F,
        args: F::Args,
        callback: impl FnOnce(Result<F::Output, JobError>) + Send + 'static,
    ) -> Result<(), SubmitError>
    where
        F::Output: 'static,
    {
        let job = Job::new(self.call(&f, core::iter::once(args))?);
        let handle = MapHandle { jobs: vec![Arc::clone(&job)], result: PhantomData };
        handle.on_results(move |results: Result<Vec<F::Output>, JobError>| {
            callback(results.and_then(|mut one| one.pop().ok_or(JobError::Cancelled)));
        });
        let submitted = self.inner.submit(&job, true);
        if submitted.is_err() {
            // The job holds the callback, and the callback holds the job.
            job.unlisten_all();
        }
        submitted
    }

    /// Calls `f` with each item, and returns the results in the order of the items. Items go to the
    /// workers in chunks: a quarter of a worker's share, and of 1 MiB at most.
    ///
    /// # Errors
    ///
    /// The [`JobError`] of the first item, in their order, that has no result.
    #[doc(alias = "starmap")]
    pub fn map<M, F: Entry<M>>(
        &self,
        f: F,
        items: impl IntoIterator<Item = F::Args>,
    ) -> Result<Vec<F::Output>, JobError> {
        self.map_async(f, items)?.results()
    }

    /// As [`map`](Self::map), with chunks of this many items.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map); [`SubmitError::NoChunk`] for 0.
    pub fn map_chunked<M, F: Entry<M>>(
        &self,
        f: F,
        items: impl IntoIterator<Item = F::Args>,
        chunk: usize,
    ) -> Result<Vec<F::Output>, JobError> {
        self.map_async_chunked(f, items, chunk)?.results()
    }

    /// As [`map`](Self::map), without waiting for the results. Waits while the backlog is full.
    ///
    /// # Errors
    ///
    /// [`SubmitError`]; then nothing of the map goes on.
    #[doc(alias = "starmap_async")]
    pub fn map_async<M, F: Entry<M>>(
        &self,
        f: F,
        items: impl IntoIterator<Item = F::Args>,
    ) -> Result<MapHandle<F::Output>, SubmitError> {
        let items: Vec<F::Args> = items.into_iter().collect();
        let shares = self.inner.settings.workers.saturating_mul(4);
        let chunk = items.len().div_ceil(shares).max(1);
        self.submit_chunks(f, items, chunk, CHUNK_BYTES)
    }

    /// As [`map_async`](Self::map_async), with chunks of this many items.
    ///
    /// # Errors
    ///
    /// As [`map_async`](Self::map_async); [`SubmitError::NoChunk`] for 0.
    pub fn map_async_chunked<M, F: Entry<M>>(
        &self,
        f: F,
        items: impl IntoIterator<Item = F::Args>,
        chunk: usize,
    ) -> Result<MapHandle<F::Output>, SubmitError> {
        if chunk == 0 {
            return Err(SubmitError::NoChunk);
        }
        // All of the input first: if it panics, nothing was submitted.
        let items: Vec<F::Args> = items.into_iter().collect();
        self.submit_chunks(f, items, chunk, usize::MAX)
    }

    fn submit_chunks<M, F: Entry<M>>(
        &self,
        f: F,
        items: Vec<F::Args>,
        chunk: usize,
        bytes: usize,
    ) -> Result<MapHandle<F::Output>, SubmitError> {
        /// Cancels the jobs unless all are submitted: also if a `Serialize` panics.
        struct Submitting(Vec<Arc<Job>>);
        impl Drop for Submitting {
            fn drop(&mut self) {
                for job in &self.0 {
                    job.cancel();
                }
            }
        }
        let mut jobs = Submitting(Vec::new());
        let mut items = items.into_iter();
        while let Some(call) = chunk_of(&f, &mut items, chunk, bytes, &self.inner.spares)? {
            let job = Job::new(call);
            self.inner.submit(&job, true)?;
            jobs.0.push(job);
        }
        Ok(MapHandle { jobs: core::mem::take(&mut jobs.0), result: PhantomData })
    }

    /// Calls `f` with each item, lazily: the results come in the order of the items, the input is
    /// read as results are taken. `chunk` items are one task.
    ///
    /// # Errors
    ///
    /// [`SubmitError::NoChunk`] for a chunk of 0; [`SubmitError::NotRegistered`]. An error of a
    /// later submission is the result of its items.
    pub fn imap<'a, M: 'a, F: Entry<M>, I>(
        &'a self,
        f: F,
        items: I,
        chunk: usize,
    ) -> Result<Imap<'a, F::Output>, SubmitError>
    where
        I: IntoIterator<Item = F::Args>,
        I::IntoIter: 'a,
    {
        self.lazily(f, items.into_iter(), chunk, true)
    }

    /// As [`imap`](Self::imap), with the results of each chunk as soon as it is done.
    ///
    /// # Errors
    ///
    /// As [`imap`](Self::imap).
    pub fn imap_unordered<'a, M: 'a, F: Entry<M>, I>(
        &'a self,
        f: F,
        items: I,
        chunk: usize,
    ) -> Result<Imap<'a, F::Output>, SubmitError>
    where
        I: IntoIterator<Item = F::Args>,
        I::IntoIter: 'a,
    {
        self.lazily(f, items.into_iter(), chunk, false)
    }

    fn lazily<'a, M: 'a, F: Entry<M>>(
        &'a self,
        f: F,
        mut items: impl Iterator<Item = F::Args> + 'a,
        chunk: usize,
        ordered: bool,
    ) -> Result<Imap<'a, F::Output>, SubmitError> {
        if chunk == 0 {
            return Err(SubmitError::NoChunk);
        }
        number_of(&f)?;
        let mut refused = None;
        let submit = move |room| {
            let job = match refused.take() {
                Some(job) => job,
                None => match chunk_of(&f, &mut items, chunk, usize::MAX, &self.inner.spares) {
                    Ok(None) => return Submitted::End,
                    Ok(Some(call)) => Job::new(call),
                    Err(error) => return Submitted::Job(failed(error)),
                },
            };
            match self.inner.submit_with(&job, room) {
                Ok(()) => Submitted::Job(job),
                Err(SubmitError::Full) => {
                    refused = Some(job);
                    Submitted::NoRoom
                }
                Err(error) => {
                    job.finish(Err(error.into()));
                    Submitted::Job(job)
                }
            }
        };
        Ok(Imap {
            submit: Box::new(submit),
            ordered,
            window: self.inner.settings.workers.saturating_mul(4),
            running: VecDeque::new(),
            completions: CompletionQueue::new(),
            next_number: 0,
            exhausted: false,
            current: None,
        })
    }

    /// Takes no more jobs. The submitted jobs are run, then the workers end.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Ends the workers. The jobs that are not done fail with [`JobError::Terminated`].
    pub fn terminate(&self) {
        self.inner.terminate();
    }

    /// Waits for the end of all workers, after [`close`](Self::close) or
    /// [`terminate`](Self::terminate).
    ///
    /// # Errors
    ///
    /// [`StillRunning`] if neither was called.
    pub fn join(&self) -> Result<(), StillRunning> {
        self.join_before(None).map(drop)
    }

    /// As [`join`](Self::join), waiting at most `timeout`. Returns whether the workers have
    /// ended.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, StillRunning> {
        self.join_before(after(timeout))
    }

    /// As [`join`](Self::join), waiting until `deadline`. Returns whether the workers have
    /// ended.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_deadline(&self, deadline: Instant) -> Result<bool, StillRunning> {
        self.join_before(Some(deadline))
    }

    fn join_before(&self, deadline: Option<Instant>) -> Result<bool, StillRunning> {
        if self.inner.is_open() {
            return Err(StillRunning(()));
        }
        Ok(self.inner.join(deadline))
    }

    /// Ends the pool as Python's executor does: takes no more jobs, with `cancel_pending` cancels
    /// the jobs that no worker has begun, and with `wait` waits for the rest.
    pub fn shutdown(&self, wait: bool, cancel_pending: bool) {
        self.close();
        if cancel_pending {
            let backlog = self.inner.state().map(|state| state.backlog.jobs().clone());
            for job in backlog.unwrap_or_default() {
                job.cancel();
            }
            self.inner.wake();
        }
        if wait {
            self.inner.join(None);
        }
    }

    /// Returns the present workers, including those that are being replaced.
    #[must_use]
    pub fn workers(&self) -> Vec<Child> {
        let Some(state) = self.inner.state() else { return Vec::new() };
        state.workers.iter().map(|worker| worker.link.process.child().clone()).collect()
    }

    /// Returns the number of tasks that wait for a worker.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.inner.state().map_or(0, |state| state.backlog.len())
    }

    /// Why the pool is broken, if it is.
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        match &self.inner.state()?.phase {
            Phase::Broken(why) => Some(why.clone()),
            _ => None,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // In a forked child it does nothing: the workers are the parent's.
        self.shutdown(true, false);
    }
}

/// With the state of each worker, if no other thread is about to change it.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("workers", &self.inner.settings.workers)
            .field("name_prefix", &self.inner.settings.name_prefix)
            .field("state", &self.inner)
            .finish_non_exhaustive()
    }
}

fn number_of<M, F: Entry<M>>(f: &F) -> Result<u32, SubmitError> {
    let number = entry::find(f).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| SubmitError::NotRegistered(entry::name_of(f)))
}

/// Calls of `f` for the next items: `chunk` of them at most, and no more once their arguments have
/// `bytes` bytes. `None` at the end of the items.
fn chunk_of<M, F: Entry<M>>(
    f: &F,
    items: &mut impl Iterator<Item = F::Args>,
    chunk: usize,
    bytes: usize,
    spares: &Arc<Spares>,
) -> Result<Option<Call>, SubmitError> {
    let entry = number_of(f)?;
    let mut encoded = Encoded { output: Output::reused(spares), ..Encoded::default() };
    while (encoded.count as usize) < chunk.min(u32::MAX as usize) && encoded.output.len() < bytes {
        let Some(args) = items.next() else { break };
        encoded.push(&args)?;
    }
    let Encoded { output, outgoing, count } = encoded;
    if count == 0 {
        return Ok(None);
    }
    let body = output.finish();
    let body = body.map_err(|error| SubmitError::BadArguments(error.to_string()))?;
    let (descriptors, spares) = (outgoing.descriptors, Some(Arc::clone(spares)));
    Ok(Some(Call { entry, count, body, descriptors, spares }))
}

/// A job whose outcome is wanted as bytes.
#[cfg(feature = "manager")]
pub(crate) struct Raw(Arc<Job>);

#[cfg(feature = "manager")]
impl Raw {
    /// Waits for its end. `false`: not in time.
    pub(crate) fn wait_timeout(&self, timeout: Duration) -> bool {
        self.0.wait(after(timeout))
    }

    pub(crate) fn cancel(&self) {
        self.0.cancel();
    }

    /// The outcome of a job that has ended.
    pub(crate) fn outcome(&self) -> Result<Vec<u8>, JobError> {
        let body = self.0.take()?.body;
        let content = match &self.0.spares {
            Some(spares) => body.open_and_keep(spares),
            None => body.open(),
        };
        let content = content.map_err(|error| JobError::BadResult(error.to_string()))?;
        Ok(content.into_vec())
    }
}

/// Arguments of calls, serialised one after another.
#[derive(Default)]
struct Encoded {
    output: Output,
    outgoing: Outgoing,
    count: u32,
}

impl Encoded {
    // For each item of a map: a call would take as long as the work in it.
    #[inline(always)]
    fn push(&mut self, args: &impl Serialize) -> Result<(), SubmitError> {
        match encode(args, &mut self.output, &mut self.outgoing) {
            Ok(()) => {
                self.count += 1;
                Ok(())
            }
            Err(error) => Err(SubmitError::BadArguments(error.to_string())),
        }
    }
}

/// A job that failed before it was submitted.
fn failed(error: SubmitError) -> Arc<Job> {
    let job = Job::new(Call { count: 1, ..Call::none() });
    job.finish(Err(error.into()));
    job
}
