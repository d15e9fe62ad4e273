//! Processes that run functions of this program.
//!
//! **Source.** Python's `multiprocessing` with its `spawn` method.
//!
//! **Start.** A child executes the program again (`/proc/self/exe`), so that it inherits no thread,
//! lock or allocator of its parent. Its standard input is a control socket, in which its arguments
//! are already (`message`): it needs no parent any more to begin. [`init`] in the child's `main`
//! finds the socket, moves it away, and calls the function (`child`), which is found by its name in
//! a list that the linker collects (`entry`). The outcome returns through the same socket.
//!
//! **Descriptors** go next to the arguments (`handles`): the parent's pidfd, standard input, and
//! those of the handles among the arguments. Nothing is inherited: every descriptor of this crate
//! and of the standard library is closed at `exec`.
//!
//! **Invariants.**
//!
//! 1. A child is signalled through its pidfd only, so a signal never reaches another process that
//!    got the same number.
//! 2. A child's status is taken under the lock of [`ChildState::status`], once, and kept.
//! 3. The outcome is in the socket before the child ends, and stays there after its end; so "ended,
//!    and nothing in the socket" means that the call neither returned nor panicked.

pub(crate) mod body;
mod child;
mod codec;
mod current;
#[macro_use]
pub(crate) mod entry;
pub(crate) mod handles;
pub(crate) mod lent;
mod log;
pub(crate) mod message;
mod panics;
mod pidfd;
mod program;
mod spawn;

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::time::Duration;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{ChildStderr, ChildStdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::process::Signal;
use serde::de::DeserializeOwned;
use sync_core::fork::ProcessMark;

pub use self::child::init;
pub use self::current::{
    CurrentProcess, ParentProcess, active_children, current_process, parent_process,
};
pub use self::entry::Entry;
pub use self::handles::{Bytes, Descriptor};
pub use self::panics::Panic;
pub use self::spawn::{ProcessBuilder, SpawnError, Stdin};

use self::message::{Message, Received};

/// Items that the macros need.
#[doc(hidden)]
pub(crate) mod private {
    pub use linkme;
    pub use serde;

    pub use super::child::before_main;
    pub use super::entry::{ENTRIES, Registration, id_of, name_of, run};
}

/// Ends this process if it is a child that code of users has forked since `mark` and that came back
/// from it into a thread of ours: workers and clients are its parent's, and so are the locks that
/// other threads held.
pub(crate) fn end_if_forked(mark: ProcessMark) {
    if !mark.is_current() {
        // SAFETY: ends this process at once, without its exit handlers.
        unsafe { libc::_exit(0) };
    }
}

/// A child process: its life, without the type of its result. See [`Process`], which has all of
/// this too.
///
/// Clones mean the same process. Its descriptor ([`AsFd`]) is a pidfd: it is readable when the
/// process has ended, so [`wait`](crate::wait) takes it, next to connections and other processes.
#[derive(Clone)]
pub struct Child(Arc<ChildState>);

/// The state of a child.
struct ChildState {
    pid: u32,
    name: String,
    daemon: bool,
    group: bool,
    pidfd: OwnedFd,
    mark: ProcessMark,
    status: Mutex<Status>,
}

#[derive(Clone, Copy, Debug)]
enum Status {
    /// Its status was not taken yet.
    Unknown,
    Ended(i32),
    /// It has ended, but other code of this program took its status, or the system keeps none
    /// because SIGCHLD is ignored.
    Lost,
}

impl Status {
    fn code(self) -> Option<i32> {
        match self {
            Self::Unknown => None,
            Self::Ended(code) => Some(code),
            Self::Lost => Some(LOST),
        }
    }
}

/// The exit code that stands for a status that other code has taken: Python's.
const LOST: i32 = 255;

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChildState {
    /// The exit code if it has ended.
    fn reap(&self) -> Option<i32> {
        if !self.mark.is_current() {
            // A forked child's copy of the lock may be held for good.
            return self.status.try_lock().ok().and_then(|status| status.code());
        }
        let mut status = hold(&self.status);
        if matches!(*status, Status::Unknown) {
            match pidfd::reap(&self.pidfd) {
                Ok(None) => {}
                Ok(Some(code)) => *status = Status::Ended(code),
                // Not our child any more: but has it ended?
                Err(_) => {
                    if matches!(self.wait_for_end(Some(Instant::now())), Ok(true)) {
                        *status = Status::Lost;
                    }
                }
            }
        }
        status.code()
    }

    fn check_owner(&self) -> io::Result<()> {
        if self.mark.is_current() {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the process is a child of the process that this one was forked from",
        ))
    }

    /// Whether it has ended by `deadline`.
    fn wait_for_end(&self, deadline: Option<Instant>) -> io::Result<bool> {
        pidfd::has_ended(&self.pidfd, deadline)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        pidfd::signal(&self.pidfd, signal)
    }
}

impl Drop for ChildState {
    fn drop(&mut self) {
        self.reap();
    }
}

impl Child {
    fn from_state(state: Arc<ChildState>) -> Self {
        Self(state)
    }

    /// The system's number of the process.
    #[must_use]
    #[doc(alias = "ident")]
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it ends with this process.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.0.daemon
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.exitcode().is_none()
    }

    /// Its exit code if it has ended, or minus the number of the signal that ended it. A panic is
    /// 101. 255 if its status is not available, because other code waited for it or SIGCHLD is
    /// ignored.
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        self.0.reap()
    }

    /// Waits for its end. Returns the exit code, as [`exitcode`](Self::exitcode) does.
    ///
    /// # Errors
    ///
    /// The errors of `poll`; `Unsupported` in a forked child, whose parent's children are not its
    /// own.
    pub fn join(&self) -> io::Result<i32> {
        loop {
            if let Some(code) = self.join_until(None)? {
                return Ok(code);
            }
        }
    }

    /// As [`join`](Self::join), waiting at most `timeout`; `None` if the process has not ended.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> io::Result<Option<i32>> {
        self.join_until(Instant::now().checked_add(timeout))
    }

    /// As [`join`](Self::join), waiting until `deadline`; `None` if the process has not ended.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_deadline(&self, deadline: Instant) -> io::Result<Option<i32>> {
        self.join_until(Some(deadline))
    }

    fn join_until(&self, deadline: Option<Instant>) -> io::Result<Option<i32>> {
        self.0.check_owner()?;
        self.0.wait_for_end(deadline)?;
        let code = self.0.reap();
        if code.is_some() {
            current::forget_child(&self.0);
        }
        Ok(code)
    }

    /// Requests its end (SIGTERM). Does nothing after its end.
    ///
    /// No destructor and no exit handler of the process runs, unless it handles the signal. Its own
    /// children go on, except daemons.
    ///
    /// # Errors
    ///
    /// The errors of `pidfd_send_signal`.
    pub fn terminate(&self) -> io::Result<()> {
        self.0.signal(Signal::TERM)
    }

    /// Ends it (SIGKILL). After its end it does nothing.
    ///
    /// # Errors
    ///
    /// The errors of `pidfd_send_signal`.
    pub fn kill(&self) -> io::Result<()> {
        self.0.signal(Signal::KILL)
    }

    /// Sends it a signal, by its number. After its end it does nothing.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number that is no signal; the errors of `pidfd_send_signal`.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
        self.0.signal(signal)
    }

    /// Ends the process and all of its group (SIGKILL): its children too, unless they made groups
    /// of their own. For a process that was started with [`ProcessBuilder::group`], before its end
    /// was seen by `join` or `exitcode`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it has no group of its own, or was seen to end; the errors of `kill`.
    pub fn kill_group(&self) -> io::Result<()> {
        if !self.0.mark.is_current() {
            // A forked child's copy of the lock may be held for good.
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // The lock keeps the status, and with it the number, from being taken meanwhile.
        let status = hold(&self.0.status);
        let pid = i32::try_from(self.0.pid).ok().and_then(rustix::process::Pid::from_raw);
        match (*status, pid) {
            (Status::Unknown, Some(pid)) if self.0.group => {
                Ok(rustix::process::kill_process_group(pid, Signal::KILL)?)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.pidfd.as_fd()
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .field("exitcode", &self.exitcode())
            .field("daemon", &self.is_daemon())
            .finish()
    }
}

/// Why a process has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProcessError {
    /// The function panicked.
    Panicked(Panic),
    /// The process ended before the function returned: the exit code, or minus the signal.
    Died {
        /// As from [`Child::exitcode`].
        exitcode: i32,
    },
    /// The process could not begin, or its arguments do not match the function.
    NotBegun(String),
    /// The result could not be serialised.
    BadResult(String),
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panic) => panic.fmt(f),
            Self::Died { exitcode } if *exitcode < 0 => {
                write!(f, "the process was ended by signal {}", -exitcode)
            }
            Self::Died { exitcode } => {
                write!(f, "the process ended with exit code {exitcode} and without a result")
            }
            Self::NotBegun(why) => f.write_str(why),
            Self::BadResult(why) => write!(f, "the result cannot be passed on: {why}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ProcessError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ProcessError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A process that runs a function of this program. Python's `Process`.
///
/// The function is a plain one that [`entry!`](crate::entry) registers, and `main` begins with
/// [`init`](crate::init). Arguments and result are anything that serde knows, and handles to the
/// objects of this crate, also inside of other values; large ones do not go through a pipe.
///
/// ```
/// use sync_ipc::{Mutex, Process, Segment};
///
/// fn work(total: Mutex<u64>, numbers: Vec<u64>) -> usize {
///     total.lock().unwrap().update(|sum| *sum += numbers.iter().sum::<u64>());
///     numbers.len()
/// }
/// sync_ipc::entry!(work);
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     sync_ipc::init();
///     let segment = Segment::anonymous(4096)?;
///     let total = Mutex::create(&segment, "total", 0)?;
///     let process = Process::builder(work).name("adder").spawn((total.clone(), vec![40, 2]))?;
///     assert_eq!(process.name(), "adder");
///     assert_eq!(process.join()?, 0);
///     assert_eq!(process.result()?, 2);
///     assert_eq!(total.lock().unwrap().get(), 42);
///     Ok(())
/// }
/// ```
///
/// Dropping the handle detaches the process. When this process ends in good order, daemons among
/// its children are ended and all other children are waited for, as in Python.
#[must_use = "dropping it detaches the process"]
pub struct Process<R> {
    child: Child,
    control: OwnedFd,
    stdin: Option<File>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    result: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> Process<R> {
    /// Starts a process that calls `entry` with `args`.
    ///
    /// # Errors
    ///
    /// [`SpawnError`].
    pub fn spawn<M, F: Entry<M, Output = R>>(entry: F, args: F::Args) -> Result<Self, SpawnError> {
        Self::builder(entry).spawn(args)
    }

    /// Configures a process that calls `entry`.
    #[must_use = "nothing is started before `spawn`"]
    pub fn builder<M, F: Entry<M, Output = R>>(entry: F) -> ProcessBuilder<M, F> {
        ProcessBuilder::new(entry)
    }

    /// Waits for the function to return, and returns its result.
    ///
    /// # Errors
    ///
    /// [`ProcessError`], the panic of the function among them.
    pub fn result(self) -> Result<R, ProcessError> {
        loop {
            if let Some(outcome) = self.outcome(None)? {
                return outcome;
            }
        }
    }

    /// As [`result`](Self::result), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// The handle, if the function has not returned in time.
    pub fn result_timeout(self, timeout: Duration) -> Result<Result<R, ProcessError>, Self> {
        self.result_before(Instant::now().checked_add(timeout))
    }

    /// As [`result`](Self::result), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// The handle, if the function has not returned in time.
    pub fn result_deadline(self, deadline: Instant) -> Result<Result<R, ProcessError>, Self> {
        self.result_before(Some(deadline))
    }

    fn result_before(self, deadline: Option<Instant>) -> Result<Result<R, ProcessError>, Self> {
        match self.outcome(deadline) {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => Err(self),
            Err(error) => Ok(Err(error.into())),
        }
    }

    /// `None`: not by the deadline.
    fn outcome(&self, deadline: Option<Instant>) -> io::Result<Option<Result<R, ProcessError>>> {
        // A forked child must not take the message that its parent waits for.
        self.child.0.check_owner()?;
        let (socket, pidfd) = (self.control.as_fd(), self.child.as_fd());
        let [_, ended] = message::wait_readable([socket, pidfd], deadline)?;
        Ok(match message::receive(socket, &mut Vec::new(), false)? {
            Received::Message(message) => Some(read_outcome(message)),
            Received::NoRoom { .. } => return Err(io::Error::other(message::NO_ROOM)),
            // Invariant 3. The end of the socket comes before the end of the process.
            _ if ended => {
                let exitcode = self.child.join()?;
                Some(Err(ProcessError::Died { exitcode }))
            }
            Received::End => {
                let exitcode = self.child.join_until(deadline)?;
                exitcode.map(|exitcode| Err(ProcessError::Died { exitcode }))
            }
            Received::Nothing => None,
        })
    }

    /// Releases the handle of a process that has ended; the descriptors with it.
    ///
    /// # Errors
    ///
    /// The handle, if the process has not ended.
    pub fn close(self) -> Result<(), Self> {
        if self.is_alive() { Err(self) } else { Ok(()) }
    }
}

impl<R> Process<R> {
    /// The writing end of its standard input, if that was [`Stdin::piped`].
    pub fn take_stdin(&mut self) -> Option<File> {
        self.stdin.take()
    }

    /// The reading end of its standard output, if that was piped.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// The reading end of its standard error, if that was piped.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.stderr.take()
    }

    /// The process without the type of its result.
    #[must_use]
    pub fn child(&self) -> &Child {
        &self.child
    }
}

impl<R> Deref for Process<R> {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl<R> AsFd for Process<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.child.as_fd()
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Process").field(&self.child).finish()
    }
}

fn read_outcome<R: DeserializeOwned>(message: Message) -> Result<R, ProcessError> {
    if message.tag != child::OUTCOME {
        return Err(ProcessError::NotBegun("the process sent another message".into()));
    }
    let body = message.body.open()?;
    entry::only_outcome(&body, &mut handles::Incoming::new(message.descriptors))
}
