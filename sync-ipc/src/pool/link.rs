//! The workers of a pool, as its dispatcher knows them: their processes, sockets and tasks.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{Shutdown, shutdown};

use super::job::Job;
use super::worker;
use crate::process::Process;
use crate::process::lent::{Lent, Spares, is_out_of_descriptors};
use crate::process::message;

/// The time that a worker has for its own handlers after it was requested to end.
const GRACE: Duration = Duration::from_secs(1);

/// The process of a worker, and its socket.
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) process: Process<()>,
    pub(super) socket: OwnedFd,
    /// The worker has closed its end.
    pub(super) at_end: AtomicBool,
}

impl Link {
    pub(super) fn is_at_end(&self) -> bool {
        // Relaxed, as all accesses: only the dispatcher uses it.
        self.at_end.load(Ordering::Relaxed)
    }

    /// Lets the worker find the end of its tasks.
    pub(super) fn shut(&self) {
        // A worker that has ended has shut it.
        let _ = shutdown(&self.socket, Shutdown::Write);
    }
}

pub(super) struct Worker {
    pub(super) link: Arc<Link>,
    pub(super) ready: bool,
    pub(super) task: Option<Arc<Job>>,
    /// When it is killed for its task.
    pub(super) limit: Option<Instant>,
    /// The file that was lent for the outcome of the task.
    pub(super) lent: Option<Lent>,
    pub(super) timed_out: bool,
    /// The number of tasks that it has run.
    pub(super) done: u64,
    /// Its socket is shut: it gets no more tasks, and ends.
    pub(super) retired: bool,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = &self.link.process;
        f.debug_struct("Worker")
            .field("number", &self.link.number)
            .field("pid", &process.pid())
            .field("at_end", &self.link.is_at_end())
            .field("ready", &self.ready)
            .field("has_task", &self.task.is_some())
            .field("done", &self.done)
            .field("timed_out", &self.timed_out)
            .field("retired", &self.retired)
            .finish_non_exhaustive()
    }
}

/// The outcome of giving a task to a worker.
pub(super) enum Given {
    Yes,
    /// The dispatcher will see to the worker. The task is not its.
    WorkerIsDead,
    /// The system has no descriptor for it: the reason.
    Later(String),
    /// The system cannot pass it on: no memory, or too many descriptors.
    Refused(String),
}

impl Worker {
    /// Gives it a task, with a file for the outcome if `lend` returns one.
    pub(super) fn give(
        &mut self,
        job: &Arc<Job>,
        limit: Option<Instant>,
        spares: &Spares,
        lend: impl FnOnce() -> Option<Lent>,
    ) -> Given {
        let mut call = job.call.lock();
        let (tag, socket) = (worker::tag(call.entry, call.count), &self.link.socket);
        // First a file for the arguments: the outcome has an own one if there is none for it.
        let filed = call.body.file(spares);
        let lent = filed.as_ref().ok().and_then(|()| lend());
        let file = lent.as_ref().map(Lent::as_fd);
        let sent = filed
            .and_then(|()| message::send_lending(socket, tag, &call.body, &call.descriptors, file));
        match sent {
            Ok(()) => {
                self.task = Some(Arc::clone(job));
                self.limit = limit;
                self.lent = lent;
                Given::Yes
            }
            Err(error) => {
                if let Some(file) = lent {
                    spares.keep(file);
                }
                match error.kind() {
                    ErrorKind::BrokenPipe
                    | ErrorKind::ConnectionReset
                    | ErrorKind::NotConnected => Given::WorkerIsDead,
                    _ if is_out_of_descriptors(&error) => Given::Later(error.to_string()),
                    _ => Given::Refused(error.to_string()),
                }
            }
        }
    }
}

/// Kills workers whose tasks take too long.
pub(super) fn enforce_limits(workers: &mut [Worker]) {
    let now = Instant::now();
    for worker in workers {
        if worker.limit.is_some_and(|limit| limit <= now) {
            worker.limit = None;
            worker.timed_out = true;
            let _ = worker.link.process.kill();
        }
    }
}

/// Waits for the ends of workers that were requested to end; kills the workers that do not end
/// within [`GRACE`].
pub(super) fn wait_for_ends(workers: &[Worker]) {
    let limit = Instant::now() + GRACE;
    for worker in workers {
        let process = &worker.link.process;
        let left = limit.saturating_duration_since(Instant::now());
        if !matches!(process.join_timeout(left), Ok(Some(_))) {
            let _ = process.kill();
            let _ = process.join();
        }
    }
}
