//! This process, its parent and its children.

use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(feature = "auth")]
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use sync_core::fork::PerProcess;

use super::pidfd;
use super::{Child, ChildState};
#[cfg(feature = "auth")]
use crate::auth::Key;

/// The properties of this process. See [`current_process`].
#[derive(Debug)]
pub struct CurrentProcess {
    name: Cow<'static, str>,
    daemon: bool,
    parent: Option<ParentProcess>,
    /// How many children have got a name of their own making.
    children: AtomicU64,
    /// Null, or a key that is never freed: threads may read it, and a forked child inherits it.
    #[cfg(feature = "auth")]
    authkey: AtomicPtr<Key>,
}

/// Set in a process that this crate started, before any code of the user's runs, and never waited
/// for.
static CURRENT: OnceLock<CurrentProcess> = OnceLock::new();

/// The first process of the program. A constant: a value that is made at its first use would be
/// waited for forever in a child that was forked while another thread made it.
static FIRST: CurrentProcess = CurrentProcess {
    name: Cow::Borrowed("MainProcess"),
    daemon: false,
    parent: None,
    children: AtomicU64::new(0),
    #[cfg(feature = "auth")]
    authkey: AtomicPtr::new(core::ptr::null_mut()),
};

/// Returns this process: its name and its properties.
///
/// ```
/// let current = sync_ipc::current_process();
/// assert_eq!(current.name(), "MainProcess");
/// assert_eq!(current.pid(), std::process::id());
/// assert!(!current.is_daemon());
/// assert!(sync_ipc::parent_process().is_none());
/// ```
pub fn current_process() -> &'static CurrentProcess {
    CURRENT.get().unwrap_or(&FIRST)
}

/// The process that started this one by [`Process`](crate::Process) or [`Pool`](crate::Pool);
/// `None` in the first process of the program.
pub fn parent_process() -> Option<&'static ParentProcess> {
    current_process().parent.as_ref()
}

impl CurrentProcess {
    pub(super) fn become_child(
        name: String,
        daemon: bool,
        parent: ParentProcess,
        #[cfg(feature = "auth")] authkey: Option<Key>,
    ) {
        #[cfg(feature = "auth")]
        let key = authkey.map_or(core::ptr::null_mut(), |key| Box::into_raw(Box::new(key)));
        let _ = CURRENT.set(Self {
            name: Cow::Owned(name),
            daemon,
            parent: Some(parent),
            children: AtomicU64::new(0),
            #[cfg(feature = "auth")]
            authkey: AtomicPtr::new(key),
        });
    }

    /// The key of this process: the key of a [`Manager`](crate::manager::Manager) that is given no
    /// other. A random one, unless it was [set](Self::set_authkey); the processes that this process
    /// starts inherit it.
    ///
    /// ```
    /// # use sync_ipc::current_process;
    /// let key = current_process().authkey()?;
    /// assert_eq!(current_process().authkey()?, key, "it stays the same");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of `getrandom`, at the first use.
    #[cfg(feature = "auth")]
    pub fn authkey(&self) -> io::Result<Key> {
        // Acquire: pairs with the Release of the thread that made the key.
        let found = self.authkey.load(Ordering::Acquire);
        // SAFETY: null, or from a box that is never freed.
        if let Some(key) = unsafe { found.as_ref() } {
            return Ok(key.clone());
        }
        let key = Key::random()?;
        let made = Box::into_raw(Box::new(key.clone()));
        // AcqRel: Release for the key that is made here, Acquire for the key of another thread.
        let order = (Ordering::AcqRel, Ordering::Acquire);
        match self.authkey.compare_exchange(found, made, order.0, order.1) {
            Ok(_) => Ok(key),
            Err(other) => {
                // SAFETY: made above, and seen by no other thread.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: not null, since it was null before, and never freed.
                Ok(unsafe { &*other }.clone())
            }
        }
    }

    /// Sets the key of this process. The key before it stays in memory, since another thread may be
    /// reading it; so this is for the beginning of a program, and not for a loop.
    #[cfg(feature = "auth")]
    pub fn set_authkey(&self, key: Key) {
        // Release: pairs with the Acquire in `authkey`.
        self.authkey.store(Box::into_raw(Box::new(key)), Ordering::Release);
    }

    /// The name that this process was given, `Process-N` by default; `MainProcess` for the first.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The system's number of this process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// Whether it ends with its parent.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }

    /// `Process-1` for a child of the first process, `Process-1:2` for a child of that one.
    pub(super) fn name_for_child(&self) -> String {
        // Relaxed: a counter.
        let number = self.children.fetch_add(1, Ordering::Relaxed) + 1;
        if self.parent.is_none() {
            format!("Process-{number}")
        } else {
            format!("{}:{number}", self.name)
        }
    }
}

/// The process that started this one. See [`parent_process`].
///
/// Its descriptor ([`AsFd`]) is readable when it has ended, so [`wait`](crate::wait) takes it.
pub struct ParentProcess {
    pid: u32,
    name: String,
    pidfd: OwnedFd,
}

impl ParentProcess {
    pub(super) fn new(pid: u32, name: String, pidfd: OwnedFd) -> Self {
        Self { pid, name, pidfd }
    }

    /// Its number, as it knows it itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has not ended. `true` also if that cannot be found out.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !pidfd::has_ended(&self.pidfd, Some(Instant::now())).unwrap_or(false)
    }

    /// Waits for its end, at most `timeout`. Returns whether it has ended.
    ///
    /// # Errors
    ///
    /// The errors of `poll`.
    pub fn join_timeout(&self, timeout: Duration) -> io::Result<bool> {
        pidfd::has_ended(&self.pidfd, Instant::now().checked_add(timeout))
    }

    /// As [`join_timeout`](Self::join_timeout), until `deadline`.
    ///
    /// # Errors
    ///
    /// The errors of `poll`.
    pub fn join_deadline(&self, deadline: Instant) -> io::Result<bool> {
        pidfd::has_ended(&self.pidfd, Some(deadline))
    }
}

impl AsFd for ParentProcess {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl fmt::Debug for ParentProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentProcess")
            .field("pid", &self.pid)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The children of this process that were not seen to end. A forked child has a list of its own,
/// which no thread of its parent has locked.
static CHILDREN: PerProcess<Mutex<Vec<Arc<ChildState>>>> = PerProcess::new();

fn children() -> &'static Mutex<Vec<Arc<ChildState>>> {
    CHILDREN.get(|_| Mutex::new(Vec::new()))
}

fn with_children<R>(act: impl FnOnce(&mut Vec<Arc<ChildState>>) -> R) -> R {
    act(&mut children().lock().unwrap_or_else(PoisonError::into_inner))
}

/// Adds a child. Removes the children that have ended, and takes their status, so that none of them
/// stays a zombie.
pub(super) fn add_child(child: Arc<ChildState>) {
    // Not a `Once`, which a child that was forked while another thread ran it would wait for
    // forever. The handler may be registered twice: the second run finds no children.
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    // Relaxed, both: a flag that publishes nothing.
    if !REGISTERED.load(Ordering::Relaxed) {
        // SAFETY: the function lives as long as the program and does not unwind. If there is no
        // memory to register it, children are not waited for at the end.
        unsafe { libc::atexit(at_exit) };
        REGISTERED.store(true, Ordering::Relaxed);
    }
    with_children(|list| {
        list.retain(|child| child.reap().is_none());
        list.push(child);
    });
}

/// Takes a child that has ended from the list: its descriptor is then the handles' only.
pub(super) fn forget_child(child: &Arc<ChildState>) {
    with_children(|list| list.retain(|other| !Arc::ptr_eq(other, child)));
}

/// Returns the children of this process that have not ended, including the workers of pools. Takes
/// the status of the children that have ended.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # sync_ipc::init();
/// assert!(sync_ipc::active_children().is_empty());
/// # Ok(())
/// # }
/// ```
pub fn active_children() -> Vec<Child> {
    with_children(|list| {
        list.retain(|child| child.reap().is_none());
        list.iter().cloned().map(Child::from_state).collect()
    })
}

/// At the end of this process: ends the daemons, then waits for all other children.
extern "C" fn at_exit() {
    // User code of other exit handlers may have left anything behind; nothing may unwind into C.
    sync_core::user_code::run_and_forget_panic(|| {
        // A thread that was ended inside, by a C function that ends threads, holds it forever.
        let limit = Instant::now() + Duration::from_secs(1);
        let held = |error| matches!(error, TryLockError::WouldBlock);
        while children().try_lock().is_err_and(held) {
            if Instant::now() > limit {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let children = with_children(core::mem::take);
        for child in children.iter().filter(|child| child.daemon) {
            let _ = child.signal(rustix::process::Signal::TERM);
        }
        for child in &children {
            let limit = child.daemon.then(|| Instant::now() + Duration::from_secs(1));
            if child.daemon && !matches!(child.wait_for_end(limit), Ok(true)) {
                let _ = child.signal(rustix::process::Signal::KILL);
            }
            let _ = child.wait_for_end(None);
            child.reap();
        }
    });
}
