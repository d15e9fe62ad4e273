//! A new process's life from `init` to its end.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{SocketType, sockopt};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use super::current::{CurrentProcess, ParentProcess};
use super::entry::{BAD_ARGUMENTS, ENTRIES, Work, fingerprint};
use super::message::{self, Message, Received};
use super::{handles, panics, pidfd, program};

/// The environment variable that makes `init` look at standard input. Its value is the tag of the
/// message there: a process that inherits the variable, but not the socket, is not mistaken for a
/// child.
pub(super) const VARIABLE: &str = "SYNC_IPC_CHILD";

/// The tag of a message with the outcome of the call.
pub(super) const OUTCOME: u64 = 1;

/// The message to a child at its start. The arguments follow it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) fingerprint: u64,
    pub(super) entry: String,
    pub(super) name: String,
    pub(super) daemon: bool,
    pub(super) ignore_interrupt: bool,
    pub(super) parent_name: String,
    pub(super) parent_pid: u32,
    /// The path of the program, for a child that is without `/proc` later.
    pub(super) program: Option<Vec<u8>>,
    /// Whether a descriptor for standard input is the second one. The first is the parent's pidfd.
    pub(super) stdin: bool,
    /// The parent's key, which the child inherits.
    #[cfg(feature = "auth")]
    pub(super) authkey: Option<crate::auth::Key>,
}

static INITIALISED: AtomicBool = AtomicBool::new(false);

static CONTROL: OnceLock<OwnedFd> = OnceLock::new();

/// Whether a child of this program would find its entry point.
pub(super) fn is_initialised() -> bool {
    // Relaxed: a flag that publishes nothing.
    INITIALISED.load(Ordering::Relaxed)
}

/// Lets this program start processes that run its functions. Call it first in `main`.
///
/// In the program that a user starts it returns at once. In a process that [`Process`] or [`Pool`]
/// started, it runs the entry point and ends the process: it does not return, and whatever `main`
/// does afterwards happens once, in the first process.
///
/// Tests need no such call: see [`entry!`](crate::entry).
///
/// A child that cannot begin, because it has no descriptors left or runs another program than its
/// parent, reports that to its parent and ends with exit code 101.
///
/// [`Process`]: crate::Process
/// [`Pool`]: crate::Pool
pub fn init() {
    // Relaxed: see `is_initialised`.
    if INITIALISED.swap(true, Ordering::Relaxed) {
        return;
    }
    let tag = std::env::var_os(VARIABLE);
    let tag = tag.and_then(|tag| u64::from_str_radix(tag.to_str()?, 16).ok());
    if tag.is_some_and(is_control) {
        run();
    }
}

/// The hook that [`init_before_main!`](crate::init_before_main) plants.
pub extern "C" fn before_main() {
    if std::env::var_os(VARIABLE).is_some() {
        // The runtime of the standard library does this before it calls `main`.
        // SAFETY: sets a disposition of the system's own; no handler of ours is involved.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    }
    init();
}

/// Whether standard input is the control socket of a child with this tag.
fn is_control(tag: u64) -> bool {
    let stdin = rustix::stdio::stdin();
    sockopt::socket_type(stdin) == Ok(SocketType::SEQPACKET) && message::is_next(stdin, tag)
}

fn run() -> ! {
    let code = match begin() {
        Ok((registration, mut work)) => {
            registration.run(&mut work);
            finish(work)
        }
        Err(why) => {
            let why = format!("the process could not begin: {why}");
            // Standard error may be closed.
            let _ = writeln!(std::io::stderr(), "sync-ipc: {why}");
            let mut work = Work::new(Vec::new(), 0, Vec::new());
            work.fail(BAD_ARGUMENTS, &why);
            finish(work);
            101
        }
    };
    // Exit handlers flush standard output, if they are run at all; a panic in a destructor of the
    // user's must not keep what was printed.
    let _ = std::io::stdout().flush();
    std::process::exit(code)
}

/// Sends the outcome; returns the exit code. A child that the entry point has forked sends none.
fn finish(work: Work) -> i32 {
    let code = if work.panicked { 101 } else { 0 };
    if let Some(control) = CONTROL.get().filter(|_| work.is_ours()) {
        // A parent that has ended needs no outcome.
        let _ = work.finish().and_then(|(output, descriptors)| {
            message::send(control, OUTCOME, &output, &descriptors)
        });
    }
    code
}

type Begun = (&'static super::entry::Registration, Work);

fn begin() -> Result<Begun, Box<dyn std::error::Error>> {
    // Out of the way of the standard streams.
    let control = fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let control = CONTROL.get_or_init(|| control);
    let message = match message::receive(control, &mut Vec::new(), true)? {
        Received::Message(message) => message,
        Received::NoRoom { .. } => return Err(message::NO_ROOM.into()),
        Received::Nothing | Received::End => return Err("the start message is not there".into()),
    };
    let Message { body, descriptors, .. } = message;
    let mut descriptors = descriptors.into_iter();
    let parent = descriptors.next().ok_or("the parent's descriptor is missing")?;
    let body = body.open()?;
    let mut rest = &body[..];
    let hello: Hello = handles::decode(&mut rest, &mut handles::Incoming::default())?;
    if hello.fingerprint != fingerprint() {
        return Err("its program is another one than its parent's".into());
    }
    let stdin = if hello.stdin {
        descriptors.next().ok_or("the descriptor for standard input is missing")?
    } else {
        open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?
    };
    rustix::stdio::dup2_stdin(stdin)?;
    if hello.ignore_interrupt {
        // SAFETY: sets a disposition of the system's own; no handler of ours is involved.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    }
    // For `ps`; the kernel keeps the first 15 bytes. A name with a zero byte was refused.
    if let Ok(name) = std::ffi::CString::new(hello.name.as_bytes()) {
        let _ = rustix::thread::set_name(&name);
    }
    panics::install_hook(&hello.name);
    if let Some(program) = hello.program {
        program::remember(OsString::from_vec(program).into());
    }
    if hello.daemon {
        end_with(parent.try_clone()?)?;
    }
    let registration = ENTRIES
        .iter()
        .find(|entry| entry.name() == hello.entry)
        .ok_or_else(|| format!("no entry point is called {}", hello.entry))?;
    let parent = ParentProcess::new(hello.parent_pid, hello.parent_name, parent);
    CurrentProcess::become_child(
        hello.name,
        hello.daemon,
        parent,
        #[cfg(feature = "auth")]
        hello.authkey,
    );
    let at = body.len() - rest.len();
    let mut work = Work::new(body, 1, descriptors.collect());
    work.at = at;
    Ok((registration, work))
}

/// The time that a daemon whose parent has ended has for its own SIGTERM handler.
const GRACE: Duration = Duration::from_secs(1);

/// The exit code of a process that the kernel kept from killing itself: as shells report SIGKILL.
const KILLED: i32 = 128 + 9;

/// Ends this process when the process behind the pidfd has ended.
///
/// A thread waits for it. The kernel's own way (`PR_SET_PDEATHSIG`) watches the thread that
/// started this process, and a process lives longer than the thread that started it.
fn end_with(parent: OwnedFd) -> std::io::Result<()> {
    std::thread::Builder::new().name("sync-ipc-daemon".into()).stack_size(64 * 1024).spawn(
        move || {
            // An error means that the parent cannot be watched: then it counts as ended, since a
            // daemon without a watcher would never end.
            let _ = message::wait_readable([parent.as_fd()], None);
            let _ = kill_process(getpid(), Signal::TERM);
            std::thread::sleep(GRACE);
            let _ = kill_process(getpid(), Signal::KILL);
            // The first process of a PID namespace gets no signal from itself that has no handler.
            // SAFETY: ends this process at once, as the signal would have.
            unsafe { libc::_exit(KILLED) }
        },
    )?;
    Ok(())
}

/// The pidfd of this process, for its children.
pub(super) fn own_pidfd() -> std::io::Result<OwnedFd> {
    pidfd::open(getpid())
}
