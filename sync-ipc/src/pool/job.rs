//! A submitted job: some calls of one function, and their outcomes.
//!
//! States: `Pending` -> `Running` -> `Done`; a job that is retried goes back to `Pending`; a
//! pending one may be cancelled, which is `Done` with an error. `Done` is final. Callbacks run
//! between `Done` and the wake-up of the waiters; their panics end
//! where they run, so the wake-up follows in any case.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use sync_core::fork::ProcessMark;
use sync_core::{Condvar, Mutex, MutexGuard, user_code};

use super::error::{JobStatus, SubmitError};
use crate::process::entry::is_panic;
use crate::process::lent::Spares;
use crate::process::message::{Body, Message};
use crate::process::{Panic, ProcessError};

/// Why a job has no result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum JobError {
    /// The function panicked.
    Panicked(Panic),
    /// The worker that ran it ended.
    WorkerDied {
        /// Its exit code, or minus the signal.
        exitcode: i32,
        /// The signal that ended it, if it was one.
        signal: Option<i32>,
    },
    /// It ran longer than the pool's limit, and its worker was killed.
    TimeLimit,
    /// It was not done in time; it may be later.
    TimedOut,
    /// It was cancelled before a worker began it.
    Cancelled,
    /// The pool was terminated.
    Terminated,
    /// The pool is broken: why.
    Broken(String),
    /// The arguments do not match the function.
    BadArguments(String),
    /// The result could not be passed on.
    BadResult(String),
    /// It was not submitted: the reason.
    NotSubmitted(SubmitError),
    /// This process is the child of a fork, and the pool and its jobs stayed with the parent.
    Forked,
}

impl JobError {
    /// The text that the function panicked with.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Panicked(panic) => Some(&panic.message),
            _ => None,
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panic) => write!(f, "the job panicked: {panic}"),
            Self::WorkerDied { signal: Some(signal), .. } => {
                write!(f, "the worker that ran the job was ended by signal {signal}")
            }
            Self::WorkerDied { exitcode, .. } => {
                write!(f, "the worker that ran the job ended with exit code {exitcode}")
            }
            Self::TimeLimit => f.write_str("the job ran longer than the pool allows"),
            Self::TimedOut => f.write_str("the job was not done in time"),
            Self::Cancelled => f.write_str("the job was cancelled"),
            Self::Terminated => f.write_str("the pool was terminated"),
            Self::Broken(why) => write!(f, "the pool is broken: {why}"),
            Self::BadArguments(why) | Self::BadResult(why) => f.write_str(why),
            Self::NotSubmitted(error) => error.fmt(f),
            Self::Forked => f.write_str("the job was left behind by a fork"),
        }
    }
}

impl std::error::Error for JobError {}

impl From<SubmitError> for JobError {
    fn from(error: SubmitError) -> Self {
        Self::NotSubmitted(error)
    }
}

impl From<ProcessError> for JobError {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Panicked(panic) => Self::Panicked(panic),
            ProcessError::NotBegun(why) => Self::BadArguments(why),
            ProcessError::Died { exitcode } => Self::died(exitcode),
            other => Self::BadResult(other.to_string()),
        }
    }
}

impl JobError {
    pub(super) fn died(exitcode: i32) -> Self {
        Self::WorkerDied { exitcode, signal: (exitcode < 0).then_some(-exitcode) }
    }
}

/// A call for a worker to run.
pub(super) struct Call {
    pub(super) entry: u32,
    pub(super) count: u32,
    pub(super) body: Body,
    pub(super) descriptors: Vec<OwnedFd>,
    /// Where files that go round are kept.
    pub(super) spares: Option<Arc<Spares>>,
}

impl Call {
    pub(super) fn none() -> Self {
        Self { entry: 0, count: 0, body: Body::empty(), descriptors: Vec::new(), spares: None }
    }
}

pub(super) struct Job {
    /// Emptied when the job ends: arguments are not kept for as long as a handle is.
    pub(super) call: Mutex<Call>,
    pub(super) count: u32,
    /// The number of bytes of the arguments.
    pub(super) length: usize,
    /// The number of descriptors among the arguments.
    pub(super) descriptors: usize,
    pub(super) mark: ProcessMark,
    /// Where the files of arguments and results go when they were read.
    pub(super) spares: Option<Arc<Spares>>,
    state: Mutex<JobState>,
    changed: Condvar,
}

struct JobState {
    phase: Phase,
    /// Whether the waiters may see the end: the callbacks have run.
    announced: bool,
    listeners: Vec<Listener>,
    /// The number of workers that died while they ran it.
    deaths: u32,
}

enum Phase {
    Pending,
    Running,
    /// `None` once the outcome was taken.
    Done(Option<Result<Message, JobError>>, JobStatus),
}

pub(super) enum Listener {
    Callback(Box<dyn FnOnce(JobStatus) + Send>),
    /// The queue, and the number that it gets.
    Queue(Arc<CompletionQueue>, usize),
}

// No user code runs while its parts are being changed, so an unwinding caller leaves nothing half
// done.
impl std::panic::UnwindSafe for Job {}
impl std::panic::RefUnwindSafe for Job {}

impl Job {
    pub(super) fn new(call: Call) -> Arc<Self> {
        Arc::new(Self {
            count: call.count,
            length: call.body.len(),
            descriptors: call.descriptors.len(),
            spares: call.spares.clone(),
            call: Mutex::new(call),
            mark: ProcessMark::current(),
            state: Mutex::new(JobState {
                phase: Phase::Pending,
                announced: false,
                listeners: Vec::new(),
                deaths: 0,
            }),
            changed: Condvar::new(),
        })
    }

    /// Marks it as running; `false` if it was cancelled.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.state.lock();
        let pending = matches!(state.phase, Phase::Pending);
        if pending {
            state.phase = Phase::Running;
        }
        pending
    }

    /// No worker took it.
    pub(super) fn unbegin(&self) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Running) {
            state.phase = Phase::Pending;
        }
    }

    /// Its worker died. Whether it may be run again, if it has been lost up to `retries` times.
    pub(super) fn retry(&self, retries: u32) -> bool {
        let mut state = self.state.lock();
        state.deaths += 1;
        let again = state.deaths <= retries && matches!(state.phase, Phase::Running);
        if again {
            state.phase = Phase::Pending;
        }
        again
    }

    /// Ends it. Only the first end counts.
    pub(super) fn finish(&self, outcome: Result<Message, JobError>) {
        self.end(self.state.lock(), outcome);
    }

    /// Ends it under the lock that the caller holds.
    fn end<'a>(&'a self, mut state: MutexGuard<'a, JobState>, outcome: Result<Message, JobError>) {
        let status = match &outcome {
            Ok(message) if self.count == 1 && message.body.inline().is_some_and(is_panic) => {
                JobStatus::Panicked
            }
            Ok(_) => JobStatus::Returned,
            Err(JobError::Cancelled) => JobStatus::Cancelled,
            Err(_) => JobStatus::Failed,
        };
        if matches!(state.phase, Phase::Done(..)) {
            return;
        }
        // A worker that sent an outcome has read all of the task, and no other worker has it.
        let was_read = outcome.is_ok();
        state.phase = Phase::Done(Some(outcome), status);
        drop(state);
        let body = {
            let mut call = self.call.lock();
            call.descriptors = Vec::new();
            core::mem::replace(&mut call.body, Body::empty())
        };
        if let Some(spares) = self.spares.as_ref().filter(|_| was_read) {
            body.reuse(spares);
        }
        self.announce(self.state.lock(), status);
    }

    /// Runs the callbacks without the lock, then wakes the waiters.
    fn announce<'a>(&'a self, mut state: MutexGuard<'a, JobState>, status: JobStatus) {
        let mut queues = Vec::new();
        loop {
            let listeners = core::mem::take(&mut state.listeners);
            if listeners.is_empty() {
                break;
            }
            drop(state);
            for listener in listeners {
                match listener {
                    Listener::Callback(callback) => {
                        user_code::run_and_forget_panic(|| callback(status));
                    }
                    Listener::Queue(queue, number) => queues.push((queue, number)),
                }
            }
            state = self.state.lock();
        }
        state.announced = true;
        drop(state);
        self.changed.notify_all();
        for (queue, number) in queues {
            queue.push(number);
        }
    }

    /// Cancels it if it is pending. Returns whether it is cancelled.
    pub(super) fn cancel(&self) -> bool {
        if !self.mark.is_current() {
            return false;
        }
        let state = self.state.lock();
        match &state.phase {
            Phase::Pending => {}
            Phase::Running => return false,
            Phase::Done(_, status) => return *status == JobStatus::Cancelled,
        }
        // Under the lock that showed it pending: no worker begins it in between.
        self.end(state, Err(JobError::Cancelled));
        true
    }

    pub(super) fn status(&self) -> JobStatus {
        if !self.mark.is_current() {
            // The copy of the lock may be held forever.
            return JobStatus::Failed;
        }
        match &self.state.lock().phase {
            Phase::Pending => JobStatus::Pending,
            Phase::Running => JobStatus::Running,
            Phase::Done(_, status) => *status,
        }
    }

    pub(super) fn is_announced(&self) -> bool {
        !self.mark.is_current() || self.state.lock().announced
    }

    /// Waits for the end and the callbacks. `false`: not by the deadline, or the job was left
    /// behind by a fork.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> bool {
        if !self.mark.is_current() {
            return false;
        }
        let mut state = self.state.lock();
        let pending = |state: &mut JobState| !state.announced;
        match deadline {
            None => self.changed.wait_while(&mut state, pending),
            Some(deadline) => {
                let _ = self.changed.wait_while_until(&mut state, pending, deadline);
            }
        }
        state.announced
    }

    /// Takes the outcome of a job that has ended.
    pub(super) fn take(&self) -> Result<Message, JobError> {
        if !self.mark.is_current() {
            return Err(JobError::Forked);
        }
        match &mut self.state.lock().phase {
            Phase::Done(outcome, _) => {
                outcome.take().unwrap_or_else(|| Err(JobError::BadResult("taken before".into())))
            }
            _ => Err(JobError::TimedOut),
        }
    }

    /// Adds a listener. If the job has ended, it is called here.
    pub(super) fn listen(&self, listener: Listener) {
        let mut status = JobStatus::Failed;
        if self.mark.is_current() {
            let mut state = self.state.lock();
            if !state.announced {
                state.listeners.push(listener);
                return;
            }
            if let Phase::Done(_, end) = state.phase {
                status = end;
            }
        }
        match listener {
            Listener::Callback(callback) => {
                user_code::run_and_forget_panic(|| callback(status));
            }
            Listener::Queue(queue, number) => queue.push(number),
        }
    }

    /// Drops all listeners without a call, for a job that was refused. A listener may hold the job.
    pub(super) fn unlisten_all(&self) {
        if !self.mark.is_current() {
            return;
        }
        let listeners = core::mem::take(&mut self.state.lock().listeners);
        // User code: destructors of what callbacks hold.
        user_code::dispose(listeners);
    }

    /// Removes the listener that [`listen`](Self::listen) added for this queue.
    pub(super) fn unlisten(&self, queue: &Arc<CompletionQueue>) {
        if !self.mark.is_current() {
            return;
        }
        self.state.lock().listeners.retain(
            |listener| !matches!(listener, Listener::Queue(other, _) if Arc::ptr_eq(other, queue)),
        );
    }
}

/// Numbers of jobs that have ended, in the order of their ends.
pub(super) struct CompletionQueue {
    /// The process whose jobs report to it. Its copy in a forked child stays empty, and a thread
    /// of the parent may hold its lock.
    mark: ProcessMark,
    ended: Mutex<VecDeque<usize>>,
    changed: Condvar,
}

impl CompletionQueue {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            mark: ProcessMark::current(),
            ended: Mutex::new(VecDeque::new()),
            changed: Condvar::new(),
        })
    }

    /// Whether this process's jobs report to it: `false` in a child that was forked since.
    pub(super) fn is_current(&self) -> bool {
        self.mark.is_current()
    }

    fn push(&self, number: usize) {
        if !self.is_current() {
            return;
        }
        self.ended.lock().push_back(number);
        self.changed.notify_one();
    }

    /// The next number; `None`: none by the deadline, or none comes because this process is a fork.
    pub(super) fn next(&self, deadline: Option<Instant>) -> Option<usize> {
        if !self.is_current() {
            return None;
        }
        let mut ended = self.ended.lock();
        let is_empty = |ended: &mut VecDeque<usize>| ended.is_empty();
        match deadline {
            None => self.changed.wait_while(&mut ended, is_empty),
            Some(deadline) => {
                let _ = self.changed.wait_while_until(&mut ended, is_empty, deadline);
            }
        }
        ended.pop_front()
    }
}

/// The deadline of a timeout; `None` past the end of the clock.
pub(super) fn after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
