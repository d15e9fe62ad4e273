//! The state that the workers of a pool share with the threads that submit, and the life of a
//! worker.
//!
//! # Invariants
//!
//! T1. `started` counts threads that were spawned and have not retired; it changes under the lock
//! of `threads` only. So a thread that the system refuses is never counted, not even for a moment.
//!
//! T2. A job is put into the backlog only when `started` was found above 0, and it never falls to 0
//! again: a worker exists that takes the job, or, if the pool breaks down, fails it. Workers end
//! when the backlog is closed and empty, or they retire: all but the last may.
//!
//! T3. After a job was put, `started` is at least the number of unfinished jobs, or the limit, or
//! the system gave no more threads. The thread that put it looks again *after* the put: of several
//! that put at the same time, the last one in the order of the backlog counts the jobs of all. A
//! look before the put counts too few. (The count of finished jobs may be read too low: then a
//! thread too many is started, within the limit.) A worker that retires because it was idle lowers
//! `started` first and counts the jobs then; if there are too many, it stays. Of a put and a
//! retirement at the same time, one sees the other: each has a SeqCst fence between its own write
//! and its look.
//!
//! T4. A job counts as unfinished until its worker has no user code of it left to run: see P4 in
//! [`job`](crate::pool::job). A worker that is held up in a callback is not free.
//!
//! T5. A worker never waits for a place in its own pool's backlog, which it alone might make: its
//! jobs are taken beyond the limit. So a worker runs no other job while one of its own submits.
//!
//! T6. A pool is idle when as many jobs were taken care of as were put. Each worker counts its own
//! in its [`Seat`], when nothing of the job is left to run; the counts are read before the number
//! of puts. Only the worker that finds the backlog empty can be the one that made the pool idle, so
//! only there it looks for threads that [`join`](Inner::join_idle). That look and the one of the
//! joining thread have a SeqCst fence before them.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::sync::atomic::AtomicBool as Hint;
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_utils::CachePadded;
use sync_core::fork::{self, ProcessMark};
use sync_core::primitive::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
use sync_core::primitive::thread::{self, JoinHandle};
use sync_core::{CancelToken, Cancelled, Condvar, Mutex, Semaphore, TryAcquireError, user_code};

use crate::pool::backlog::{Backlog, DEFAULT_PRIORITY};
use crate::pool::error::SubmitError;
use crate::pool::job::{BROKEN, Job, Owner};
use crate::pool::queued::{BacklogPlace, Queued, give_up_all};
use crate::queue::error::{GetError, PutError};
use crate::wait::event_count::{ALL, EventCount};
use crate::wait::timeout::Timeout;

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
    // Gone already if the wait is in the destructor of a thread-local.
    let pool = POOL.try_with(|pool| pool.borrow().clone()).ok().flatten();
    let job = owner.to_run_elsewhere();
    let name = pool.as_ref().map(|pool| pool.made_name().unwrap_or_else(|| pool.name("deep")));
    if !owner.core().is_of_this_process() {
        // The function that names threads has forked, and this is the child: the wait ends.
        return;
    }
    let thread = pool.zip(name).and_then(|(pool, name)| {
        let builder = pool.thread_builder(name);
        builder.spawn(move || pool.run_one(|| job.run_here())).ok()
    });
    match thread {
        // A worker does not panic: user code runs inside a catch.
        Some(thread) => drop(thread.join()),
        None => owner.run_here(),
    }
}

/// The record of a worker while it lives. Written by that worker alone.
#[derive(Default)]
struct Seat {
    /// A job runs. Not a modelled atomic: only `busy` reads it, and nothing rests on it.
    busy: Hint,
    /// The number of jobs that the worker has taken care of.
    done: AtomicU64,
    /// The worker has nothing left to do but to end.
    ended: AtomicBool,
}

type Seated = Arc<CachePadded<Seat>>;

/// The answer to an idle worker that wants to leave.
enum Retirement {
    Left,
    /// It is the last worker, which stays.
    Last,
    /// There is a job for it.
    Needed,
}

/// The threads of a pool.
pub(super) struct Threads {
    handles: Vec<(Seated, JoinHandle<()>)>,
    /// Threads that are being joined by a `shutdown`.
    joining: usize,
    /// The number in the name of the next thread.
    next_number: usize,
    /// The workers that have not retired.
    seats: Vec<Seated>,
    /// The number of jobs that no seat counts: of retired workers, and of those that were drained.
    done_elsewhere: u64,
}

impl Threads {
    pub(super) fn new() -> Self {
        Self {
            handles: Vec::new(),
            joining: 0,
            next_number: 0,
            seats: Vec::new(),
            done_elsewhere: 0,
        }
    }

    /// Forgets the handles of threads that have retired and ended.
    fn reap(&mut self) {
        // Relaxed: a thread that is found too late is joined by a shutdown, or found next time.
        self.handles.retain(|(seat, _)| !seat.ended.load(Ordering::Relaxed));
    }

    /// Removes a worker that retires.
    fn leave(&mut self, seat: &Seated) {
        self.seats.retain(|other| !Arc::ptr_eq(other, seat));
        // Relaxed: written by this thread.
        self.done_elsewhere += seat.done.load(Ordering::Relaxed);
    }
}

/// Names the thread of a number.
pub(super) type Namer = Box<dyn Fn(usize) -> String + Send + Sync>;
pub(super) type Hook = Box<dyn Fn() + Send + Sync>;

pub(super) struct Inner {
    /// Never 0, never used again.
    pub(super) number: u64,
    /// The process that the threads are in.
    pub(super) process: ProcessMark,
    pub(super) jobs: Backlog,
    /// A permit for each free place of a limited backlog.
    pub(super) places: Option<Arc<Semaphore>>,
    /// Changes under the lock of `threads` only.
    pub(super) max_workers: AtomicUsize,
    /// The number of threads that were started and have not retired (T1).
    pub(super) started: AtomicUsize,
    /// The number of threads may fall: jobs are counted as done even if all threads are started.
    pub(super) may_shrink: AtomicBool,
    pub(super) threads: Mutex<Threads>,
    /// `joining` fell to 0.
    pub(super) joined: Condvar,
    /// Threads that wait until the pool is idle.
    pub(super) idlers: EventCount,
    /// 1: a thread may wait there (T6).
    pub(super) has_idlers: AtomicU32,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) prefix: String,
    pub(super) namer: Option<Namer>,
    /// The number that `namer` is called with next. Not a modelled atomic: names are no part of
    /// any algorithm.
    pub(super) next_name: core::sync::atomic::AtomicUsize,
    pub(super) stack_size: Option<usize>,
    pub(super) initializer: Option<Hook>,
    pub(super) exit_hook: Option<Hook>,
    /// An initializer panicked.
    pub(super) broken: AtomicBool,
}

impl Inner {
    fn thread_builder(&self, name: String) -> thread::Builder {
        let builder = thread::Builder::new().name(name);
        match self.stack_size {
            Some(size) => builder.stack_size(size),
            None => builder,
        }
    }

    fn name(&self, suffix: impl fmt::Display) -> String {
        format!("{}_{suffix}", self.prefix)
    }

    /// A name from the user's function, if there is one. Called under no lock.
    fn made_name(&self) -> Option<String> {
        let namer = self.namer.as_ref()?;
        // Relaxed: the numbers only have to differ.
        let number = self.next_name.fetch_add(1, Ordering::Relaxed);
        match user_code::run(|| namer(number)) {
            // The system takes no zero byte.
            Ok(name) => Some(name.replace('\0', "")),
            Err(payload) => {
                user_code::dispose_payload(payload);
                Some(self.name(number))
            }
        }
    }

    /// Starts a thread if `started` is such that one is wanted, seen under the lock. In the child
    /// of a fork that the naming of the thread made, it starts none, which is an error.
    #[cold]
    fn start(self: &Arc<Self>, wanted: impl FnOnce(usize) -> bool) -> io::Result<()> {
        let name = self.made_name();
        if !self.process.is_current() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut threads = self.threads.lock();
        // Relaxed: it changes under this lock only (T1).
        let started = self.started.load(Ordering::Relaxed);
        if !wanted(started) {
            return Ok(());
        }
        threads.reap();
        let inner = Arc::clone(self);
        let name = name.unwrap_or_else(|| self.name(threads.next_number));
        let seat = Seated::default();
        let same = Arc::clone(&seat);
        let body = fork::thread_body(move || inner.work(&same));
        let thread = self.thread_builder(name).spawn(body)?;
        threads.next_number += 1;
        threads.seats.push(Arc::clone(&seat));
        threads.handles.push((seat, thread));
        // Relaxed: the count alone decides. A thread that finds it above 0 and then closes the
        // backlog takes the lock after this one, and finds the handle.
        self.started.store(started + 1, Ordering::Relaxed);
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
        if self.idle_timeout.is_some() {
            // SeqCst: either a worker that retires sees the put, or this thread sees that it has
            // retired. Pairs with the fence in `retire_idle`.
            fence(Ordering::SeqCst);
        }
        // Relaxed: as in `ensure_a_worker`.
        if self.has_too_few(self.started.load(Ordering::Relaxed)) {
            // If the system gives no thread, those that exist run the job.
            let _ = self.start(|started| self.has_too_few(started));
        }
    }

    fn has_too_few(&self, started: usize) -> bool {
        // Relaxed: a limit that is being changed counts as the old one or the new one.
        started < self.max_workers.load(Ordering::Relaxed)
            && self.jobs.unfinished() > started as u64
    }

    /// Changes the limit of threads. A limit of 0 counts as 1.
    pub(super) fn resize(self: &Arc<Self>, max_workers: usize) {
        let surplus = {
            let _threads = self.threads.lock();
            // Before the limit: a thread that finds the new limit counts its jobs. Relaxed, both:
            // jobs that are not counted make the pool start a thread too many, within the limit.
            self.may_shrink.store(true, Ordering::Relaxed);
            self.max_workers.store(max_workers, Ordering::Relaxed);
            // Relaxed: it changes under this lock only (T1).
            self.started.load(Ordering::Relaxed).saturating_sub(max_workers)
        };
        // Workers that are asleep wake, and find that they are too many.
        for _ in 0..surplus {
            let nothing = Queued::detached(|| (), None);
            if self.jobs.put(DEFAULT_PRIORITY, nothing).is_err() {
                return;
            }
        }
        // Relaxed: as in `ensure_a_worker`.
        while self.has_too_few(self.started.load(Ordering::Relaxed)) {
            if self.start(|started| self.has_too_few(started)).is_err() {
                return;
            }
        }
    }

    /// The life of a worker.
    fn work(self: Arc<Self>, seat: &Seated) {
        self.run_one(|| {
            while let Some(job) = self.next_job(seat) {
                // Relaxed: see `Seat`.
                seat.busy.store(true, Ordering::Relaxed);
                let free = || self.jobs.task_done();
                // With all threads started, and none of them to retire, no thread looks at the
                // count any more. Relaxed: as in `ensure_a_worker`.
                let counts = self.may_shrink.load(Ordering::Relaxed)
                    || self.started.load(Ordering::Relaxed)
                        < self.max_workers.load(Ordering::Relaxed);
                job.run(if counts { Some(&free) } else { None });
                if !self.process.is_current() {
                    // The job has forked, and this is the child: the backlog is the parent's to
                    // run.
                    return;
                }
                // Relaxed: see `Seat`.
                seat.busy.store(false, Ordering::Relaxed);
                // Relaxed load: written by this thread alone. Release: pairs with the Acquire in
                // `is_idle`: what the jobs did happens before the end of the join.
                let done = seat.done.load(Ordering::Relaxed) + 1;
                seat.done.store(done, Ordering::Release);
                if self.retire_surplus(seat) {
                    return;
                }
            }
        });
        // Relaxed: see `Threads::reap`.
        seat.ended.store(true, Ordering::Relaxed);
    }

    /// The next job, waiting for it. `None`: this worker ends.
    fn next_job(&self, seat: &Seated) -> Option<Queued> {
        match self.jobs.try_get() {
            Ok(job) => return Some(job),
            Err(GetError::Empty) => self.report_idle(),
            Err(GetError::ShutDown) => {
                self.report_idle();
                return None;
            }
        }
        let Some(timeout) = self.idle_timeout else { return self.jobs.get().ok() };
        loop {
            match self.jobs.get_timeout(timeout) {
                Ok(job) => return Some(job),
                Err(GetError::ShutDown) => return None,
                Err(GetError::Empty) => match self.retire_idle(seat) {
                    Retirement::Left => return None,
                    // It would look again and again, as fast as the timeout is short. Workers that
                    // are started later leave before it: the last worker is one that sleeps here.
                    Retirement::Last => return self.jobs.get().ok(),
                    Retirement::Needed => {}
                },
            }
        }
    }

    /// Leaves the pool, unless this is the last worker or a job needs it.
    #[cold]
    fn retire_idle(&self, seat: &Seated) -> Retirement {
        let mut threads = self.threads.lock();
        // Relaxed: it changes under this lock only (T1).
        let started = self.started.load(Ordering::Relaxed);
        if started <= 1 {
            return Retirement::Last;
        }
        // Relaxed: ordered by the fence.
        self.started.store(started - 1, Ordering::Relaxed);
        // SeqCst: see `ensure_enough_workers`.
        fence(Ordering::SeqCst);
        if self.jobs.unfinished() >= started as u64 {
            self.started.store(started, Ordering::Relaxed);
            return Retirement::Needed;
        }
        threads.reap();
        threads.leave(seat);
        Retirement::Left
    }

    /// Leaves the pool if it has more workers than its limit.
    #[inline]
    fn retire_surplus(&self, seat: &Seated) -> bool {
        let is_surplus = || {
            // Relaxed: looked at again under the lock.
            self.started.load(Ordering::Relaxed) > self.max_workers.load(Ordering::Relaxed)
        };
        if !is_surplus() {
            return false;
        }
        let mut threads = self.threads.lock();
        if !is_surplus() {
            return false;
        }
        // Relaxed: it changes under this lock only (T1). At least the limit is left (T2, T3).
        let started = self.started.load(Ordering::Relaxed);
        self.started.store(started - 1, Ordering::Relaxed);
        threads.reap();
        threads.leave(seat);
        drop(threads);
        // The jobs that this worker has done may have been the last.
        self.report_idle();
        true
    }

    /// The number of workers that run a job.
    pub(super) fn busy(&self) -> usize {
        let threads = self.threads.lock();
        // Relaxed: a snapshot.
        threads.seats.iter().filter(|seat| seat.busy.load(Ordering::Relaxed)).count()
    }

    /// Returns whether every job that was put has been taken care of (T6).
    fn is_idle(&self) -> bool {
        let done = {
            let threads = self.threads.lock();
            // Acquire: pairs with the Release in `work`.
            let seats = threads.seats.iter().map(|seat| seat.done.load(Ordering::Acquire));
            threads.done_elsewhere + seats.sum::<u64>()
        };
        // After the counts: no job is done before it is put.
        done == self.jobs.pushed()
    }

    /// Called by a thread that may have made the pool idle.
    fn report_idle(&self) {
        // SeqCst: either a thread that joins sees that the jobs are done, or this thread sees its
        // flag. Pairs with the fence in `join_idle`.
        fence(Ordering::SeqCst);
        // Relaxed: the exchange decides. Acquire: pairs with the Release in `join_idle`: the
        // sleeper behind the flag is seen.
        if self.has_idlers.load(Ordering::Relaxed) != 0
            && self.has_idlers.swap(0, Ordering::Acquire) != 0
        {
            self.idlers.wake(ALL, || ());
        }
    }

    /// Waits until the pool is idle. `false`: not in time.
    pub(super) fn join_idle(&self, timeout: Timeout) -> bool {
        let over = || self.is_idle().then_some(());
        over().or_else(|| self.idlers.wait_until(timeout, || self.marks_an_idler(), over)).is_some()
    }

    /// As [`join_idle`](Self::join_idle), as a task and without a limit of time.
    pub(super) async fn idle(&self) {
        self.idlers.waiting(false, || self.marks_an_idler(), || self.is_idle().then_some(())).await;
    }

    /// Announces a thread or task that waits for the pool to be idle. Returns `false` if it is.
    fn marks_an_idler(&self) -> bool {
        // Release: publishes that the caller is counted as a sleeper.
        self.has_idlers.store(1, Ordering::Release);
        // SeqCst: see `report_idle`.
        fence(Ordering::SeqCst);
        !self.is_idle()
    }

    /// Runs `f` as a thread of the pool, unless the initializer panics.
    fn run_one(self: &Arc<Self>, f: impl FnOnce()) {
        POSITION.with(|position| position.set(Position { pool: self.number, depth: 0 }));
        POOL.with(|pool| *pool.borrow_mut() = Some(Arc::clone(self)));
        let panic = self.initializer.as_ref().and_then(|hook| user_code::run(hook).err());
        // Each piece of user code may have forked. In the child the jobs and the hooks that are
        // left are the parent's.
        if panic.is_some() {
            if self.process.is_current() {
                self.break_down();
            }
            panic.into_iter().for_each(user_code::dispose_payload);
        } else if self.process.is_current() {
            f();
            if let Some(hook) = self.exit_hook.as_ref().filter(|_| self.process.is_current()) {
                user_code::run_and_forget_panic(hook);
            }
        }
        if !self.process.is_current() {
            // The backlog is the parent's, and is not dropped here, should this thread be the last
            // to have the pool.
            core::mem::forget(Arc::clone(self));
        }
        // POSITION stays: a destructor of a thread-local that drops the pool must not join its own
        // thread. The thread ends, and the number is never used again.
        let pool = POOL.with(|pool| pool.borrow_mut().take());
        drop(pool);
    }

    #[cold]
    fn break_down(&self) {
        // Relaxed: published by the closing of the backlog: a submit that finds it closed finds
        // this too.
        self.broken.store(true, Ordering::Relaxed);
        self.give_up_pending(BROKEN);
    }

    /// Closes the backlog, and ends the jobs in it in `phase`.
    pub(super) fn give_up_pending(&self, phase: u32) {
        let jobs = self.jobs.shutdown_now();
        self.close();
        let count = jobs.len() as u64;
        give_up_all(jobs, phase, self.process);
        // A callback may have forked: in the child a thread of the parent may hold the lock.
        if self.process.is_current() {
            self.threads.lock().done_elsewhere += count;
            self.report_idle();
        }
    }

    /// Closes the backlog; what is inside is still run.
    pub(super) fn close(&self) {
        self.jobs.shutdown();
        if let Some(places) = &self.places {
            places.close();
        }
    }

    /// Waits until all threads have ended. Called after `close`, and not by a worker.
    pub(super) fn join_threads(&self) {
        let mut threads = self.threads.lock();
        loop {
            // One at a time, and not under the lock: a submit that was in time may add one.
            if let Some((_, thread)) = threads.handles.pop() {
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

    /// Takes a place in a limited backlog, waiting for it if `wait` is set. `Err(true)`: full;
    /// `Err(false)`: closed.
    fn take_place(
        &self,
        wait: bool,
        token: Option<&CancelToken>,
    ) -> Result<Option<BacklogPlace>, bool> {
        let Some(places) = &self.places else { return Ok(None) };
        // A worker does not wait for a place (T5).
        if wait && current_pool() == self.number {
            return Ok(None);
        }
        let permit = match token {
            Some(token) if wait => match places.acquire_or_cancelled(token) {
                Ok(permit) => permit.map_err(|_| TryAcquireError::Closed),
                Err(Cancelled) => Err(TryAcquireError::TimedOut),
            },
            None if wait => places.acquire().map_err(|_| TryAcquireError::Closed),
            _ => places.try_acquire(),
        };
        match permit {
            Ok(permit) => {
                permit.forget();
                Ok(Some(BacklogPlace(Arc::clone(places))))
            }
            Err(TryAcquireError::Closed) => Err(false),
            Err(TryAcquireError::NoPermits | TryAcquireError::TimedOut) => Err(true),
        }
    }

    /// Puts a job into the backlog.
    fn enqueue(self: &Arc<Self>, priority: i32, job: Queued) -> Result<(), PutError<Queued>> {
        // Without a limit of its own, so it does not wait.
        self.jobs.put(priority, job)?;
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
            Err(_) if !self.process.is_current() => Err(SubmitError::Forked(job)),
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

    /// Submits a job without a handle, waiting for a place until the token is cancelled.
    pub(super) fn execute<F>(
        self: &Arc<Self>,
        job: F,
        token: Option<&CancelToken>,
    ) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let job = self.admit(job)?;
        let place = match self.take_place(true, token) {
            Ok(place) => place,
            Err(true) => return Err(SubmitError::Full(job)),
            Err(false) => return Err(self.closed(job)),
        };
        match self.enqueue(DEFAULT_PRIORITY, Queued::detached(job, place)) {
            Ok(()) => Ok(()),
            Err(why) => Err(self.closed(why.into_inner().into_closure())),
        }
    }

    pub(super) fn submit<F, R>(
        self: &Arc<Self>,
        job: F,
        how: How,
    ) -> Result<Owner<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.submit_until(job, how, None)
    }

    /// As [`submit`](Self::submit), waiting for a place until the token is cancelled.
    pub(super) fn submit_until<F, R>(
        self: &Arc<Self>,
        job: F,
        how: How,
        token: Option<&CancelToken>,
    ) -> Result<Owner<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let job = self.admit(job)?;
        let place = match self.take_place(how.wait, token) {
            Ok(place) => place,
            Err(true) => return Err(SubmitError::Full(job)),
            Err(false) => return Err(self.closed(job)),
        };
        let (job, queued) = Job::new((self.number, self.process), job, place, how.lapses);
        if self.enqueue(how.priority, queued).is_ok() {
            // SAFETY: the one call for this job.
            return Ok(unsafe { job.into_owner() });
        }
        match job.take_back() {
            Some(job) => Err(self.closed(job)),
            None => unreachable!("P1: no thread but this one knows a job that was not accepted"),
        }
    }

    pub(super) fn describe(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        f.debug_struct(name)
            .field("name_prefix", &self.prefix)
            // Relaxed: a snapshot.
            .field("workers", &self.started.load(Ordering::Relaxed))
            .field("max_workers", &self.max_workers.load(Ordering::Relaxed))
            .field("backlog", &self.jobs.len())
            .field("shutdown", &self.jobs.is_shutdown())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        user_code::dispose(self.initializer.take());
        user_code::dispose(self.exit_hook.take());
        user_code::dispose(self.namer.take());
    }
}

/// How a job is submitted.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// Whether to wait for a place in a limited backlog.
    pub(super) wait: bool,
    pub(super) priority: i32,
    /// The moment from which on no thread begins the job.
    pub(super) lapses: Option<Instant>,
}

impl How {
    pub(super) const PLAIN: Self = Self { wait: true, priority: DEFAULT_PRIORITY, lapses: None };
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, "Inner")
    }
}
