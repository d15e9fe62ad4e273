//! The pool's own side of its workers: the distribution of tasks, and the death of a worker.
//!
//! One thread, the dispatcher, waits for all workers: for their messages, and for their ends. A
//! submitting thread gives its task to an idle worker itself if there is one; the dispatcher gives
//! a worker its next task before it announces the outcome of the last.
//!
//! **Invariants.**
//!
//! 1. A task is in the backlog, or is one worker's, or has ended. A worker has one task at most.
//! 2. When a worker has ended, its messages are read before its task is given up: a result that
//!    was sent counts, and a task whose result counts is not run again.
//! 3. No user code runs under the lock of [`State`].
//! 4. Sending to an idle worker does not wait: it has read all that it was sent, so its socket is
//!    empty.
//! 5. The descriptors that tasks and outcomes cost are bounded by the number of workers, not by the
//!    number of tasks: see [`lent`](crate::process::lent) for those of long arguments and results,
//!    and [`Backlog::has_room_for`] for those among the arguments. A task that needs a descriptor
//!    when the system has none left waits until there is one, as long as other tasks run.

use core::cell::Cell;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use sync_core::fork::ProcessMark;
use sync_core::{Condvar, Mutex, MutexGuard};

use super::backlog::Backlog;
use super::error::SubmitError;
use super::job::{Job, JobError};
use super::link::{Given, Link, Worker, enforce_limits, wait_for_ends};
use super::settings::Settings;
use super::worker::{self, Initializer, NOT_READY, READY};
use crate::eager::Eager;
use crate::process::body::{Body, INLINE};
use crate::process::handles::{Descriptor, Incoming};
use crate::process::lent::{Lent, REUSED, Spares};
use crate::process::message::{self, Message, NO_ROOM, Received};
use crate::process::{Process, SpawnError, end_if_forked, entry};

entry!(worker::work);

/// The weight of workers in a row that end before they begin at which a pool without any other
/// worker is broken: 16 that end by themselves, or 256 that are killed.
const FALSE_STARTS: u32 = 16 * ENDED;

/// The weight of a worker that ended by itself before it began, or could not be started: its
/// program or its initializer is at fault, and so will it be the next time.
const ENDED: u32 = 16;

/// The weight of a worker that was killed before it began. The kill came from outside and says
/// little about the next worker. It counts, so that a pool ends whose workers are all killed, such
/// as by a system that has no memory for them.
const KILLED: u32 = 1;

/// The exit code of a worker that was killed (SIGKILL).
const BY_KILL: i32 = -9;

/// The time until the next attempt after a worker could not be started, or a task not be given to
/// one for want of descriptors.
const AGAIN: Duration = Duration::from_millis(50);

/// The time for which a task that no worker can be given for want of descriptors is tried again
/// while no other task runs.
const STARVED: Duration = Duration::from_secs(1);

std::thread_local! {
    /// The process in which this thread is a dispatcher.
    static DISPATCHES: Cell<Option<ProcessMark>> = const { Cell::new(None) };
}

/// Whether this thread is a dispatcher. In a child that a callback forked, it is none.
fn is_dispatcher() -> bool {
    DISPATCHES.get().is_some_and(ProcessMark::is_current)
}

/// Whether a submission waits for room among the submitted jobs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    /// It returns at once.
    Try,
    /// It waits until there is room, or the deadline passes.
    Wait(Option<Instant>),
}

/// The result of submitting the next chunk of an [`Imap`](super::Imap).
pub(super) enum Submitted {
    /// A job, which may have failed already.
    Job(Arc<Job>),
    /// There was no room: the same chunk is next.
    NoRoom,
    /// The input has ended.
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// No more tasks are taken; the tasks in the backlog are run.
    Closed,
    /// Nothing is run any more.
    Terminated,
    /// As `Terminated`, by itself: why.
    Broken(String),
}

pub(super) struct Pool {
    pub(super) settings: Settings,
    /// Through [`state`](Self::state), except in the dispatcher.
    state: Mutex<State>,
    /// Notified when there is room in the backlog, or the phase has changed.
    room: Condvar,
    /// Notified when the dispatcher has ended.
    ended: Condvar,
    wake: OwnedFd,
    /// Files of arguments and results that were read.
    pub(super) spares: Arc<Spares>,
    /// The number of bytes of a call's outcome, in the last task, and one more; 0 before the first.
    outcome: AtomicUsize,
    /// Of the dispatcher's waits.
    eager: Eager,
    /// The dispatcher, until it was joined.
    thread: Mutex<Option<JoinHandle<()>>>,
    mark: ProcessMark,
}

pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) backlog: Backlog,
    pub(super) workers: Vec<Worker>,
    /// Numbers of workers that wait for a task, the one that became idle last at the end.
    idle: Vec<u64>,
    next_number: u64,
    /// The weight of the workers that ended before they began, since one began.
    false_starts: u32,
    /// Since when no task runs because the system has no descriptor for one.
    starved: Option<Instant>,
    has_ended: bool,
}

/// The state of everything, for the search for a hang. Does not wait for the lock.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark.is_current().then(|| self.state.try_lock()).flatten() {
            Some(state) => f
                .debug_struct("State")
                .field("phase", &state.phase)
                .field("backlog", &state.backlog.len())
                .field("idle", &state.idle)
                .field("false_starts", &state.false_starts)
                .field("has_ended", &state.has_ended)
                .field("workers", &state.workers)
                .finish(),
            None => f.write_str("<locked>"),
        }
    }
}

// No user code runs while its parts are being changed (invariant 3), so an unwinding caller leaves
// nothing half done.
impl std::panic::UnwindSafe for Pool {}
impl std::panic::RefUnwindSafe for Pool {}

impl Pool {
    /// Starts all workers, and the dispatcher.
    pub(super) fn start(settings: Settings) -> Result<Arc<Self>, SpawnError> {
        let pool = Arc::new(Self {
            spares: Arc::new(Spares::new(settings.workers)),
            settings,
            state: Mutex::new(State {
                phase: Phase::Open,
                backlog: Backlog::default(),
                workers: Vec::new(),
                idle: Vec::new(),
                next_number: 0,
                false_starts: 0,
                starved: None,
                has_ended: false,
            }),
            room: Condvar::new(),
            ended: Condvar::new(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(|error| SpawnError::Io(error.into()))?,
            outcome: AtomicUsize::new(0),
            eager: Eager::new(),
            thread: Mutex::new(None),
            mark: ProcessMark::current(),
        });
        let started = pool.start_all();
        if let Err(error) = started {
            let workers = core::mem::take(&mut pool.state.lock().workers);
            for worker in &workers {
                // Already ended is as good.
                let _ = worker.link.process.terminate();
            }
            wait_for_ends(&workers);
            return Err(error);
        }
        Ok(pool)
    }

    fn start_all(self: &Arc<Self>) -> Result<(), SpawnError> {
        let mut state = self.state.lock();
        for _ in 0..self.settings.workers {
            self.start_worker(&mut state)?;
        }
        drop(state);
        let pool = Arc::clone(self);
        let thread = std::thread::Builder::new().name("sync-ipc-pool".into());
        *self.thread.lock() = Some(thread.spawn(move || pool.dispatch())?);
        Ok(())
    }

    fn start_worker(&self, state: &mut State) -> Result<(), SpawnError> {
        let (ours, theirs) = message::pair()?;
        let number = state.next_number;
        let initializer = match &self.settings.initializer {
            None => None,
            Some(call) => {
                let clone = |fd: &OwnedFd| fd.try_clone().map(Descriptor::from);
                let descriptors = call.descriptors.iter().map(clone);
                Some(Initializer {
                    entry: call.entry,
                    body: call.body.clone(),
                    descriptors: descriptors.collect::<std::io::Result<_>>()?,
                })
            }
        };
        let process = Process::builder(worker::work)
            .name(format!("{}-{}", self.settings.name_prefix, number + 1))
            .daemon(true)
            .ignore_interrupt(true)
            .spawn((Descriptor::from(theirs), initializer))?;
        state.next_number += 1;
        let link = Link { number, process, socket: ours, at_end: AtomicBool::new(false) };
        state.workers.push(Worker {
            link: Arc::new(link),
            ready: false,
            task: None,
            limit: None,
            lent: None,
            timed_out: false,
            done: 0,
            retired: false,
        });
        Ok(())
    }

    /// The state; `None` in a forked child, whose copy of the lock may be held forever.
    pub(super) fn state(&self) -> Option<MutexGuard<'_, State>> {
        self.mark.is_current().then(|| self.state.lock())
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().is_some_and(|state| state.phase == Phase::Open)
    }

    /// Takes a task. With `wait` unset, not if the backlog is full.
    pub(super) fn submit(&self, job: &Arc<Job>, wait: bool) -> Result<(), SubmitError> {
        self.submit_with(job, if wait { Room::Wait(None) } else { Room::Try })
    }

    /// Takes a task, unless the backlog is and stays full.
    pub(super) fn submit_with(&self, job: &Arc<Job>, room: Room) -> Result<(), SubmitError> {
        let mut state = self.state().ok_or(SubmitError::Forked)?;
        loop {
            match &state.phase {
                Phase::Open => {}
                Phase::Closed | Phase::Terminated => return Err(SubmitError::Closed),
                Phase::Broken(why) => return Err(SubmitError::Broken(why.clone())),
            }
            // A callback that submits must not wait for its own thread to make room.
            if state.backlog.has_room_for(job, &self.settings) || is_dispatcher() {
                break;
            }
            match room {
                Room::Try => return Err(SubmitError::Full),
                Room::Wait(None) => self.room.wait(&mut state),
                Room::Wait(Some(deadline)) => {
                    if Instant::now() >= deadline {
                        return Err(SubmitError::Full);
                    }
                    let _ = self.room.wait_until(&mut state, deadline);
                }
            }
        }
        let number = if state.backlog.is_empty() { state.idle.pop() } else { None };
        if let Some(worker) = number.and_then(|number| state.worker(number)) {
            let limit = self.limit_of(job);
            job.begin();
            match worker.give(job, limit, &self.spares, || self.lend_for(job)) {
                Given::Yes => {
                    state.starved = None;
                    drop(state);
                    if limit.is_some() {
                        // The dispatcher has a deadline more to look at.
                        self.wake();
                    }
                    return Ok(());
                }
                Given::WorkerIsDead => job.unbegin(),
                Given::Later(_) => {
                    // The dispatcher tries again.
                    state.idle.extend(number);
                    job.unbegin();
                }
                Given::Refused(why) => {
                    state.idle.extend(number);
                    job.unbegin();
                    return Err(SubmitError::BadArguments(why));
                }
            }
        }
        state.backlog.push_back(Arc::clone(job));
        // An idle worker that could not take it is dead: another may be idle by now.
        let fed = !state.idle.is_empty() || number.is_some();
        drop(state);
        if fed {
            self.wake();
        }
        Ok(())
    }

    fn limit_of(&self, job: &Job) -> Option<Instant> {
        let each = self.settings.task_limit?;
        Instant::now().checked_add(each.checked_mul(job.count)?)
    }

    /// A file for the outcome of a job, if that will be long.
    fn lend_for(&self, job: &Job) -> Option<Lent> {
        // Relaxed, as all accesses: a guess, which publishes nothing.
        let each = match self.outcome.load(Ordering::Relaxed) {
            // Before the first, as long as the arguments.
            0 => job.length / job.count.max(1) as usize + 1,
            each => each,
        };
        let length = each.checked_mul(job.count as usize)?.checked_add(16)?;
        // Without memory for it, the worker finds out.
        (INLINE..=REUSED).contains(&length).then(|| self.spares.take(length).ok()).flatten()
    }

    /// The outcome of a task, as a message has it, with the file that was lent for it.
    fn take_back(&self, body: Body, lent: Option<Lent>, count: u32) -> Body {
        let each = body.len().div_ceil(count.max(1) as usize);
        // Relaxed: see `lend_for`.
        self.outcome.store(each.saturating_add(1), Ordering::Relaxed);
        match (body, lent) {
            (Body::Returned(length), Some(file)) => Body::Lent(file, length),
            (body, Some(file)) => {
                self.spares.keep(file);
                body
            }
            (body, None) => body,
        }
    }

    pub(super) fn wake(&self) {
        // Full is as good as written: it can be read.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    pub(super) fn close(&self) {
        let Some(mut state) = self.state() else { return };
        if state.phase == Phase::Open {
            state.phase = Phase::Closed;
        }
        drop(state);
        self.room.notify_all();
        self.wake();
    }

    pub(super) fn terminate(&self) {
        let Some(mut state) = self.state() else { return };
        if matches!(state.phase, Phase::Open | Phase::Closed) {
            state.phase = Phase::Terminated;
        }
        drop(state);
        self.room.notify_all();
        self.wake();
    }

    /// Waits for the end of all workers. `false`: not by the deadline.
    pub(super) fn join(&self, deadline: Option<Instant>) -> bool {
        let Some(mut state) = self.state() else { return true };
        if is_dispatcher() {
            // A callback cannot wait for the end of its own thread.
            return state.has_ended;
        }
        let runs = |state: &mut State| !state.has_ended;
        match deadline {
            None => self.ended.wait_while(&mut state, runs),
            Some(deadline) => {
                let _ = self.ended.wait_while_until(&mut state, runs, deadline);
            }
        }
        let has_ended = state.has_ended;
        drop(state);
        if has_ended {
            // It has nothing left to do but to close its descriptors. A panic of it is not ours.
            let thread = self.thread.lock().take();
            let _ = thread.map(JoinHandle::join);
        }
        has_ended
    }

    /// The dispatcher's life.
    fn dispatch(&self) {
        DISPATCHES.set(Some(ProcessMark::current()));
        let all = |state: &State| -> Vec<Arc<Link>> {
            state.workers.iter().map(|worker| Arc::clone(&worker.link)).collect()
        };
        let mut links = all(&self.state.lock());
        let mut buffer = Vec::new();
        let (mut again, mut later): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            let ready = self.wait(&links, again.into_iter().chain(later).min());
            let mut ends = Vec::new();
            let mut state = self.state.lock();
            for (link, has_ended) in ready {
                attend(&mut state, &link, has_ended, self, &mut buffer, &mut ends);
            }
            enforce_limits(&mut state.workers);
            later = self.feed(&mut state, &mut ends);
            if again.is_none_or(|again| again <= Instant::now()) {
                again = self.replace(&mut state);
            }
            if matches!(state.phase, Phase::Terminated | Phase::Broken(_)) || is_drained(&state) {
                self.end(state, ends);
                return;
            }
            links = all(&state);
            // The next to be given to workers.
            let next: Vec<Arc<Job>> = if self.spares.kept_any() {
                state.backlog.jobs().iter().take(self.settings.workers).cloned().collect()
            } else {
                Vec::new()
            };
            drop(state);
            self.room.notify_all();
            // Invariant 3: callbacks run in here.
            for (job, outcome) in ends {
                job.finish(outcome.map(|message| self.settled(message)));
                end_if_forked(self.mark);
            }
            for job in next {
                // Without the lock of the state: these copies may be long. After an error it is
                // tried again when a worker is to have the task.
                let _ = job.call.lock().body.file(&self.spares);
            }
        }
    }

    /// A message that may wait long for its reader.
    fn settled(&self, message: Message) -> Message {
        Message { body: message.body.settle(&self.spares), ..message }
    }

    /// Waits until a worker sends or ends, until a limit passes, or until another thread calls
    /// [`wake`](Self::wake). Returns the workers to look at, and which of them have ended.
    fn wait(&self, links: &[Arc<Link>], again: Option<Instant>) -> Vec<(Arc<Link>, bool)> {
        let (limit, is_busy) = {
            let workers = &self.state.lock().workers;
            let limit = workers.iter().filter_map(|worker| worker.limit).min();
            (limit, workers.iter().any(|worker| worker.task.is_some()))
        };
        let deadline = [limit, again].into_iter().flatten().min();
        let timeout = deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
            .and_then(|left| Timespec::try_from(left).ok());
        let mut fds = Vec::with_capacity(links.len() * 2 + 1);
        fds.push(PollFd::new(&self.wake, PollFlags::IN));
        for link in links {
            // A socket at its end would be ready all the time: the pidfd takes its place.
            let process = link.process.as_fd();
            let socket = if link.is_at_end() { process } else { link.socket.as_fd() };
            fds.push(PollFd::from_borrowed_fd(socket, PollFlags::IN));
            fds.push(PollFd::from_borrowed_fd(process, PollFlags::IN));
        }
        // A task that runs may end in a moment.
        let mut asking = self.eager.begin();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        while is_busy && matches!(poll(&mut fds, Some(&now)), Ok(0)) && asking.turn() {}
        if fds.iter().any(|fd| !fd.revents().is_empty()) {
            asking.helped();
        } else if poll(&mut fds, timeout.as_ref()).is_err() {
            // An interruption, or an error for want of memory, is as a wake-up for no reason.
            return Vec::new();
        }
        if !fds[0].revents().is_empty() {
            let _ = rustix::io::read(&self.wake, &mut [0_u8; 8]);
        }
        let mut ready = Vec::new();
        for (both, link) in fds[1..].chunks_exact(2).zip(links) {
            let has_ended = !both[1].revents().is_empty();
            if has_ended || (!both[0].revents().is_empty() && !link.is_at_end()) {
                ready.push((Arc::clone(link), has_ended));
            }
        }
        ready
    }

    /// Gives tasks to idle workers. Returns when to try again, if there was no descriptor for one.
    fn feed(&self, state: &mut State, ends: &mut Vec<Ending>) -> Option<Instant> {
        while !state.idle.is_empty() {
            let job = state.backlog.pop_front()?;
            if !job.begin() {
                continue;
            }
            let Some(number) = state.idle.pop() else { unreachable!("checked above") };
            let limit = self.limit_of(&job);
            let Some(worker) = state.worker(number) else {
                job.unbegin();
                state.backlog.push_front(job);
                continue;
            };
            match worker.give(&job, limit, &self.spares, || self.lend_for(&job)) {
                Given::Yes => state.starved = None,
                Given::WorkerIsDead => {
                    job.unbegin();
                    state.backlog.push_front(job);
                }
                Given::Later(why) => {
                    state.idle.push(number);
                    let now = Instant::now();
                    let is_busy = state.workers.iter().any(|worker| worker.task.is_some());
                    let since = if is_busy { now } else { state.starved.unwrap_or(now) };
                    state.starved = Some(since);
                    if now.saturating_duration_since(since) < STARVED {
                        job.unbegin();
                        state.backlog.push_front(job);
                        return Some(now + AGAIN);
                    }
                    ends.push((job, Err(JobError::BadArguments(why))));
                }
                Given::Refused(why) => {
                    state.idle.push(number);
                    ends.push((job, Err(JobError::BadArguments(why))));
                }
            }
        }
        None
    }

    /// Starts workers for those that have ended. Returns when to try again, if the system refused.
    fn replace(&self, state: &mut State) -> Option<Instant> {
        let wanted = match state.phase {
            Phase::Open => self.settings.workers,
            Phase::Closed if !state.backlog.is_empty() => self.settings.workers,
            _ => return None,
        };
        let mut again = None;
        if state.false_starts >= FALSE_STARTS {
            if !state.workers.iter().any(|worker| worker.ready && !worker.retired) {
                state.phase = Phase::Broken("its workers end before they begin".into());
                return None;
            }
            // A worker that has begun goes on with the tasks. The others are tried again, but not
            // as fast as they end.
            again = Some(Instant::now() + AGAIN);
        }
        while state.workers.iter().filter(|worker| !worker.retired).count() < wanted {
            if let Err(error) = self.start_worker(state) {
                // One living worker is enough for now. Without any, the failures are counted, so
                // that this does not go on forever.
                if state.workers.is_empty() {
                    state.false_starts += ENDED;
                    if state.false_starts >= FALSE_STARTS {
                        state.phase = Phase::Broken(format!("no worker can be started: {error}"));
                    }
                }
                return Some(Instant::now() + AGAIN);
            }
        }
        again
    }

    /// The end of the pool: gives up all tasks that are left, and waits for the workers' ends.
    fn end(&self, mut state: MutexGuard<'_, State>, mut ends: Vec<Ending>) {
        let why = match &state.phase {
            Phase::Broken(why) => JobError::Broken(why.clone()),
            _ => JobError::Terminated,
        };
        let backlog = state.backlog.take();
        let mut workers = core::mem::take(&mut state.workers);
        let in_order = state.phase == Phase::Closed;
        drop(state);
        self.room.notify_all();
        let running = workers.iter_mut().filter_map(|worker| worker.task.take());
        ends.extend(backlog.into_iter().chain(running).map(|job| (job, Err(why.clone()))));
        for worker in &workers {
            if in_order {
                worker.link.shut();
            } else {
                // Already ended is as good.
                let _ = worker.link.process.terminate();
            }
        }
        // Invariant 3: callbacks run in here. The workers end meanwhile.
        for (job, outcome) in ends {
            job.finish(outcome.map(|message| self.settled(message)));
            end_if_forked(self.mark);
        }
        wait_for_ends(&workers);
        drop(workers);
        self.state.lock().has_ended = true;
        self.ended.notify_all();
    }
}

/// A job that has ended, and how.
type Ending = (Arc<Job>, Result<Message, JobError>);

impl State {
    fn worker(&mut self, number: u64) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.link.number == number)
    }
}

/// Whether all work of a closed pool is done.
fn is_drained(state: &State) -> bool {
    state.phase == Phase::Closed
        && state.backlog.is_empty()
        && state.workers.iter().all(|worker| worker.task.is_none())
}

/// Reads the messages of a worker, and handles its end. `has_ended` was determined before that
/// (invariant 2).
fn attend(
    state: &mut State,
    link: &Link,
    has_ended: bool,
    pool: &Pool,
    buffer: &mut Vec<u8>,
    ends: &mut Vec<Ending>,
) {
    let most = pool.settings.max_tasks_per_child;
    let at_end = loop {
        let received = match message::receive(&link.socket, buffer, false) {
            Ok(Received::Message(message)) => Ok(message),
            Ok(Received::NoRoom { tag }) => Err(tag),
            Ok(Received::Nothing) => break false,
            Ok(Received::End) | Err(_) => break true,
        };
        let Some(worker) = state.worker(link.number) else { return };
        match received.as_ref().map_or_else(|tag| *tag, |message| message.tag) {
            READY => {
                worker.ready = true;
                state.false_starts = 0;
                state.idle.push(link.number);
            }
            NOT_READY => {
                worker.retired = true;
                let report = received.ok().and_then(|message| message.body.open().ok());
                let report = report.unwrap_or_default();
                let report = entry::only_outcome::<()>(&report, &mut Incoming::default());
                let why = report.map_or_else(|error| error.to_string(), |()| String::new());
                state.phase = Phase::Broken(format!("the initializer of a worker failed: {why}"));
            }
            _ => {
                worker.limit = None;
                worker.done += 1;
                let (job, lent) = (worker.task.take(), worker.lent.take());
                if worker.timed_out {
                    // Killed just as it sent this: it takes no task any more.
                    worker.retired = true;
                } else if most.is_some_and(|most| worker.done >= most.get()) {
                    worker.retired = true;
                    link.shut();
                } else {
                    state.idle.push(link.number);
                }
                let Some(job) = job else { continue };
                let outcome = match received {
                    Ok(mut message) => {
                        message.body = pool.take_back(message.body, lent, job.count);
                        Ok(message)
                    }
                    Err(_) => {
                        lent.into_iter().for_each(|file| pool.spares.keep(file));
                        Err(JobError::BadResult(NO_ROOM.into()))
                    }
                };
                ends.push((job, outcome));
            }
        }
    };
    if !has_ended {
        // Relaxed: only whether this is the first time counts; no data belongs to it.
        if at_end && !link.at_end.swap(true, Ordering::Relaxed) {
            // It can neither take tasks nor send results any more. One that retires does this just
            // before its end.
            if state.worker(link.number).is_some_and(|worker| !worker.retired) {
                let _ = link.process.kill();
            }
        }
        return;
    }
    // Does not wait: it has ended.
    let exitcode = link.process.join().unwrap_or_default();
    let Some(at) = state.workers.iter().position(|worker| worker.link.number == link.number) else {
        return;
    };
    let worker = state.workers.swap_remove(at);
    state.idle.retain(|number| *number != link.number);
    if !worker.ready {
        state.false_starts += if exitcode == BY_KILL { KILLED } else { ENDED };
    }
    let Some(job) = worker.task else { return };
    if worker.timed_out {
        ends.push((job, Err(JobError::TimeLimit)));
    } else if job.retry(pool.settings.retries) {
        state.backlog.push_front(job);
    } else {
        ends.push((job, Err(JobError::died(exitcode))));
    }
}
