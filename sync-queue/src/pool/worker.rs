//! The state that the workers of a pool share with the threads that submit, and the life of a
//! worker.
//!
//! # Invariants
//!
//! T1. `started` counts threads that were spawned; it changes under the lock of `threads` only, and
//! never falls. So a thread that the system refuses is never counted, not even for a moment.
//!
//! T2. A job is put into the backlog only when `started` was found above 0: a worker exists that
//! takes it, or, if the pool breaks down, fails it. Workers end only when the backlog is closed and
//! empty.
//!
//! T3. After a job was put, `started` is at least the number of unfinished jobs, or the limit, or
//! the system gave no more threads. The thread that put it looks again *after* the put: of several
//! that put at the same time, the last one in the order of the backlog counts the jobs of all. A
//! look before the put counts too few. (The count of finished jobs may be read too low: then a
//! thread too many is started, within the limit.)
//!
//! T4. A job counts as unfinished until its worker has no user code of it left to run: see P4 in
//! [`job`](crate::pool::job). A worker that is held up in a callback is not free.
//!
//! T5. A worker never waits for a place in its own pool's backlog, which it alone might make: its
//! jobs are taken beyond the limit. So a worker runs no other job while one of its own submits.

use core::cell::{Cell, RefCell};
use core::fmt;
use std::io;
use std::sync::Arc;

use sync_core::fork::ProcessMark;
use sync_core::primitive::atomic::{AtomicBool, AtomicUsize, Ordering};
use sync_core::primitive::thread::{self, JoinHandle};
use sync_core::{Condvar, Mutex, Semaphore, TryAcquireError, user_code};

use crate::pool::error::SubmitError;
use crate::pool::job::{Job, Owner, Queued};
use crate::queue::error::PutError;
use crate::queue::fifo::Queue;

/// The maximum number of jobs that a worker runs on one stack, each because the job before it waits
/// for it. The next job gets a thread of its own.
const MAX_DEPTH: u32 = 64;

/// The pool whose worker a thread is, by its number (0: none), and how many jobs the worker runs on
/// top of each other beyond the first one.
#[derive(Clone, Copy)]
struct Position {
    pool: u64,
    depth: u32,
}

thread::thread_local! {
    /// Without a destructor, so that it is there in the destructors of other thread-locals.
    static POSITION: Cell<Position> = in_no_pool();
    /// The pool itself. Touched by workers only, and empty before they end.
    static POOL: RefCell<Option<Arc<Inner>>> = no_pool();
}

// Not `const` blocks: loom's macro takes none.

fn no_pool() -> RefCell<Option<Arc<Inner>>> {
    RefCell::new(None)
}

fn in_no_pool() -> Cell<Position> {
    Cell::new(Position { pool: 0, depth: 0 })
}

pub(super) fn current_pool() -> u64 {
    POSITION.with(Cell::get).pool
}

/// Runs the job of `owner` in this thread, which is a worker of its pool, if it is pending.
///
/// Beyond `MAX_DEPTH` it runs in a thread that is started for it, and this one waits for that
/// thread: the pool's limit counts jobs that make progress, and the waiting job makes none.
pub(super) fn help<R>(owner: &Owner<R>) {
    let position = POSITION.with(Cell::get);
    if position.depth < MAX_DEPTH {
        let deeper = Position { depth: position.depth + 1, ..position };
        POSITION.with(|cell| cell.set(deeper));
        owner.run_here();
        POSITION.with(|cell| cell.set(position));
        return;
    }
    let pool = POOL.with(|pool| pool.borrow().clone());
    let job = owner.to_run_elsewhere();
    let thread = pool.and_then(|pool| {
        let builder = pool.thread_builder("deep");
        builder.spawn(move || pool.run_one(|| job.run_here())).ok()
    });
    match thread {
        // A worker does not panic: user code runs inside a catch.
        Some(thread) => drop(thread.join()),
        None => owner.run_here(),
    }
}

/// The threads of a pool.
pub(super) struct Threads {
    handles: Vec<JoinHandle<()>>,
    /// Threads that are being joined by a `shutdown`.
    joining: usize,
}

impl Threads {
    pub(super) fn new() -> Self {
        Self { handles: Vec::new(), joining: 0 }
    }
}

pub(super) struct Inner {
    /// Never 0, never used again.
    pub(super) number: u64,
    /// The process that the threads are in.
    pub(super) process: ProcessMark,
    pub(super) jobs: Queue<Queued>,
    /// A permit for each free place of a limited backlog.
    pub(super) places: Option<Semaphore>,
    pub(super) max_workers: usize,
    /// The number of threads that were started (T1).
    pub(super) started: AtomicUsize,
    pub(super) threads: Mutex<Threads>,
    /// `joining` fell to 0.
    pub(super) joined: Condvar,
    pub(super) prefix: String,
    pub(super) stack_size: Option<usize>,
    pub(super) initializer: Option<Box<dyn Fn() + Send + Sync>>,
    /// An initializer panicked.
    pub(super) broken: AtomicBool,
}

impl Inner {
    fn thread_builder(&self, suffix: impl fmt::Display) -> thread::Builder {
        let builder = thread::Builder::new().name(format!("{}_{suffix}", self.prefix));
        match self.stack_size {
            Some(size) => builder.stack_size(size),
            None => builder,
        }
    }

    /// Starts a thread if `started` is such that one is wanted, seen under the lock.
    #[cold]
    fn start(self: &Arc<Self>, wanted: impl FnOnce(usize) -> bool) -> io::Result<()> {
        let mut threads = self.threads.lock();
        // Relaxed: it changes under this lock only (T1).
        let number = self.started.load(Ordering::Relaxed);
        if !wanted(number) {
            return Ok(());
        }
        let inner = Arc::clone(self);
        let thread = self.thread_builder(number).spawn(move || inner.work())?;
        threads.handles.push(thread);
        // Relaxed: the count alone decides. A thread that finds it above 0 and then closes the
        // backlog takes the lock after this one, and finds the handle.
        self.started.store(number + 1, Ordering::Relaxed);
        Ok(())
    }

    /// Starts the first thread, if there is none (T2).
    #[inline]
    fn ensure_a_worker(self: &Arc<Self>) -> io::Result<()> {
        // Relaxed: reading it too low leads to the lock.
        if self.started.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        self.start(|started| started == 0)
    }

    /// Starts a thread if all that exist have a job. Called after a put (T3).
    #[inline]
    fn ensure_enough_workers(self: &Arc<Self>) {
        let too_few =
            |started| started < self.max_workers && self.jobs.unfinished() > started as u64;
        // Relaxed: as in `ensure_a_worker`.
        if too_few(self.started.load(Ordering::Relaxed)) {
            // If the system gives no thread, those that exist run the job.
            let _ = self.start(too_few);
        }
    }

    /// The life of a worker.
    fn work(self: Arc<Self>) {
        self.run_one(|| {
            while let Ok(job) = self.jobs.get() {
                if job.has_place {
                    self.free_place();
                }
                let free = || {
                    // As many as were put.
                    let _ = self.jobs.task_done();
                };
                // With all threads started no thread looks at the count any more.
                // Relaxed: as in `ensure_a_worker`.
                let counts = self.started.load(Ordering::Relaxed) < self.max_workers;
                job.run(if counts { Some(&free) } else { None });
                if !self.process.is_current() {
                    // The job has forked, and this is the child: the backlog is the parent's to
                    // run.
                    return;
                }
            }
        });
    }

    /// Runs `f` as a thread of the pool, unless the initializer panics.
    fn run_one(self: &Arc<Self>, f: impl FnOnce()) {
        POSITION.with(|position| position.set(Position { pool: self.number, depth: 0 }));
        POOL.with(|pool| *pool.borrow_mut() = Some(Arc::clone(self)));
        match self.initializer.as_ref().map(user_code::run) {
            None | Some(Ok(())) => f(),
            Some(Err(payload)) => {
                self.break_down();
                user_code::dispose_payload(payload);
            }
        }
        POSITION.with(|position| position.set(Position { pool: 0, depth: 0 }));
        let pool = POOL.with(|pool| pool.borrow_mut().take());
        drop(pool);
    }

    #[cold]
    fn break_down(&self) {
        // Relaxed: published by the closing of the backlog: a submit that finds it closed finds
        // this too.
        self.broken.store(true, Ordering::Relaxed);
        for job in self.close_and_drain() {
            job.fail();
        }
    }

    fn free_place(&self) {
        if let Some(places) = &self.places {
            places.add_permits(1);
        }
    }

    /// Closes the backlog; what is inside is still run.
    pub(super) fn close(&self) {
        self.jobs.shutdown();
        if let Some(places) = &self.places {
            places.close();
        }
    }

    /// Closes the backlog, and takes out what is inside.
    pub(super) fn close_and_drain(&self) -> Vec<Queued> {
        let jobs = self.jobs.shutdown_now();
        self.close();
        jobs
    }

    /// Waits until all threads have ended. Called after `close`, and not by a worker.
    pub(super) fn join_threads(&self) {
        let mut threads = self.threads.lock();
        loop {
            // One at a time, and not under the lock: a submit that was in time may add one.
            if let Some(thread) = threads.handles.pop() {
                threads.joining += 1;
                drop(threads);
                // A worker does not panic: user code runs inside a catch.
                let _ = thread.join();
                threads = self.threads.lock();
                threads.joining -= 1;
                if threads.joining == 0 {
                    self.joined.notify_all();
                }
            } else if threads.joining > 0 {
                // Another caller of `shutdown` joins the others.
                self.joined.wait(&mut threads);
            } else {
                return;
            }
        }
    }

    /// Puts a job into the backlog.
    fn enqueue(self: &Arc<Self>, mut job: Queued, wait: bool) -> Result<(), PutError<Queued>> {
        // A worker does not wait for a place (T5).
        let takes_place = !(wait && current_pool() == self.number);
        if let Some(places) = self.places.as_ref().filter(|_| takes_place) {
            let place = if wait {
                places.acquire().map_err(|_| TryAcquireError::Closed)
            } else {
                places.try_acquire()
            };
            match place {
                Ok(place) => place.forget(),
                Err(TryAcquireError::Closed) => return Err(PutError::ShutDown(job)),
                Err(TryAcquireError::NoPermits | TryAcquireError::TimedOut) => {
                    return Err(PutError::Full(job));
                }
            }
            job.has_place = true;
        }
        // Without a limit of its own, so it does not wait.
        self.jobs.put(job)?;
        self.ensure_enough_workers();
        Ok(())
    }

    /// Before a job is put together: is it of any use?
    fn admit<F>(self: &Arc<Self>, job: F) -> Result<F, SubmitError<F>> {
        if !self.process.is_current() {
            return Err(SubmitError::Forked(job));
        }
        if self.jobs.is_shutdown() {
            return Err(self.closed(job));
        }
        match self.ensure_a_worker() {
            Ok(()) => Ok(job),
            Err(why) => Err(SubmitError::NoThread(job, why)),
        }
    }

    #[cold]
    fn closed<F>(&self, job: F) -> SubmitError<F> {
        // Relaxed: the caller has found the backlog closed, and so sees what came before that.
        if self.broken.load(Ordering::Relaxed) {
            SubmitError::Broken(job)
        } else {
            SubmitError::ShutDown(job)
        }
    }

    pub(super) fn execute<F>(self: &Arc<Self>, job: F) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        match self.enqueue(Queued::detached(self.admit(job)?), true) {
            Ok(()) => Ok(()),
            Err(PutError::Full(job)) => Err(SubmitError::Full(job.into_closure())),
            Err(PutError::ShutDown(job)) => Err(self.closed(job.into_closure())),
        }
    }

    pub(super) fn submit<F, R>(
        self: &Arc<Self>,
        job: F,
        wait: bool,
    ) -> Result<Owner<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let (job, queued) = Job::new(self.number, self.process, self.admit(job)?);
        let Err(why) = self.enqueue(queued, wait) else {
            // SAFETY: the one call for this job.
            return Ok(unsafe { job.into_owner() });
        };
        let full = why.is_full();
        match job.take_back() {
            Some(job) if full => Err(SubmitError::Full(job)),
            Some(job) => Err(self.closed(job)),
            None => unreachable!("P1: no thread but this one knows a job that was not accepted"),
        }
    }

    pub(super) fn describe(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        f.debug_struct(name)
            .field("name_prefix", &self.prefix)
            // Relaxed: a snapshot.
            .field("workers", &self.started.load(Ordering::Relaxed))
            .field("max_workers", &self.max_workers)
            .field("backlog", &self.jobs.len())
            .field("shutdown", &self.jobs.is_shutdown())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, "Inner")
    }
}
