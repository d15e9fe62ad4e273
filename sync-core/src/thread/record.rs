//! The record of a thread, and the registry of the threads that run.

use core::fmt;
use core::num::NonZeroU64;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64 as Counter;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use super::os;
use crate::fork::{self, PerProcess, ProcessMark};
use crate::primitive::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::thread;
use crate::wait::event::Event;

/// A thread: one of ours, the main thread, or a foreign one that was seen here. Cheap to clone; it
/// keeps nothing of the thread alive.
#[derive(Clone)]
pub struct Thread {
    inner: Arc<Inner>,
}

struct Inner {
    /// Where the thread was started. It is in a child of that process only if it forked the child.
    process: ProcessMark,
    /// 0 until the thread has begun. The registry's key is another number, which is known before
    /// the thread runs.
    ident: AtomicU64,
    /// 0 until it is known.
    native_id: AtomicU32,
    key: u64,
    /// A lock of `std`: it is held only for a copy, and no model covers it.
    name: Mutex<Arc<str>>,
    first_name: Arc<str>,
    daemon: bool,
    finished: Event,
}

/// The threads of one process.
struct Registry {
    /// Every thread that is known and runs. A plain lock of `std`: nothing that can panic or wait
    /// happens under it.
    running: Mutex<BTreeMap<u64, Thread>>,
    main: OnceLock<Thread>,
    /// The record of the thread that forked this process, if the parent's registry had one and was
    /// not in use at the fork.
    inherited: Option<Thread>,
}

static REGISTRY: PerProcess<Registry> = PerProcess::new();

fn registry() -> &'static Registry {
    REGISTRY.get(|parents| Registry {
        running: Mutex::new(BTreeMap::new()),
        main: OnceLock::new(),
        inherited: parents.and_then(|registry| {
            let first = fork::first_thread()?;
            let running = registry.running.try_lock().ok()?;
            running.values().find(|thread| thread.ident() == Some(first)).cloned()
        }),
    })
}

impl Registry {
    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Thread>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread::thread_local! {
    static CURRENT: Current = Current::default();
}

/// The calling thread's record; a foreign thread's leaves the registry with the thread.
#[derive(Default)]
struct Current {
    thread: core::cell::OnceCell<Thread>,
    foreign: core::cell::Cell<bool>,
}

impl Drop for Current {
    fn drop(&mut self) {
        if self.foreign.get() {
            if let Some(thread) = self.thread.get() {
                thread.finish();
            }
        }
    }
}

/// A number for a record that has none yet, and for a thread without a name.
fn next(counter: &Counter) -> u64 {
    // Relaxed: the numbers only have to differ.
    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

impl Thread {
    pub(super) fn new(name: Option<String>, daemon: bool) -> Self {
        static KEYS: Counter = Counter::new(0);
        static NAMES: Counter = Counter::new(1);
        let name: Arc<str> = name.unwrap_or_else(|| format!("Thread-{}", next(&NAMES))).into();
        let inner = Inner {
            process: ProcessMark::current(),
            ident: AtomicU64::new(0),
            native_id: AtomicU32::new(0),
            key: next(&KEYS),
            first_name: Arc::clone(&name),
            name: Mutex::new(name),
            daemon,
            finished: Event::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn register(&self) {
        registry().running().insert(self.inner.key, self.clone());
    }

    fn unregister(&self) {
        let gone = registry().running().remove(&self.inner.key);
        // Dropped after the lock.
        drop(gone);
    }

    /// Makes this the calling thread's record.
    pub(super) fn begin(&self) {
        // Relaxed: a single value; no data is published through it.
        self.inner.native_id.store(os::native_id(), Relaxed);
        // Release: pairs with the Acquire in `ident`, so that a thread with a number has the
        // system's number too.
        self.inner.ident.store(thread::id().get(), Release);
    }

    /// Like [`begin`](Self::begin), for a thread that asks for its record and finds this.
    pub(super) fn begin_current(&self) {
        self.begin();
        let _ = CURRENT.try_with(|current| current.thread.set(self.clone()));
    }

    /// Ends the thread: it leaves the registry, and those that wait for it go on.
    pub(super) fn finish(&self) {
        self.unregister();
        self.inner.finished.set();
    }

    /// Set when the thread is over; never set in a child if the thread is not in it. To be waited
    /// for only if [`lives_here`](Self::lives_here).
    pub(super) fn finished(&self) -> &Event {
        &self.inner.finished
    }

    /// Returns whether the thread, if it runs, runs in this process: threads do not come along in a
    /// fork, except the one that forks.
    pub(super) fn lives_here(&self) -> bool {
        self.inner.process.is_current() || self.is_first()
    }

    /// Returns whether this is the thread that forked this process.
    fn is_first(&self) -> bool {
        fork::first_thread().is_some_and(|first| self.ident() == Some(first))
    }

    /// Returns whether this is the calling thread.
    pub(super) fn is_current(&self) -> bool {
        // Relaxed: the calling thread compares with its own number, which only it writes.
        self.inner.ident.load(Relaxed) == thread::id().get()
    }

    /// The thread's number, which is never used again in this process, unlike the system's. `None`
    /// until the thread has begun, so also of one that the system refused to start; never waits.
    ///
    /// A thread has a number before its closure runs, but [`spawn`](super::spawn) may return before
    /// that. The main thread has one once it has called [`current`].
    #[must_use]
    pub fn ident(&self) -> Option<NonZeroU64> {
        // Acquire: pairs with the Release in `begin`.
        NonZeroU64::new(self.inner.ident.load(Acquire))
    }

    /// The system's number of the thread, as its tools show it. It may be used again once the
    /// thread is over. `None` until the thread has begun, as for [`ident`](Self::ident); never
    /// waits. On Linux the main thread's is always known.
    #[must_use]
    pub fn native_id(&self) -> Option<u32> {
        // Relaxed: a single value; no data is published through it.
        match self.inner.native_id.load(Relaxed) {
            0 => None,
            // The number that was written is the one that the thread had in the parent.
            cached if !self.inner.process.is_current() && self.is_first() => {
                Some(os::first_thread_id(cached))
            }
            cached => Some(cached),
        }
    }

    /// The thread's name.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.with_name(|name| Arc::clone(name))
            .unwrap_or_else(|| Arc::clone(&self.inner.first_name))
    }

    /// Changes the name. The system's tools learn of it only if the thread itself calls this; they
    /// may show the beginning of it (15 bytes on Linux, and nothing after a zero byte).
    #[doc(alias = "setName")]
    pub fn set_name(&self, name: impl Into<String>) {
        let name: Arc<str> = name.into().into();
        self.with_name(|place| *place = Arc::clone(&name));
        if self.is_current() {
            os::set_name(&name);
        }
    }

    /// Calls `f` with the name. `None` in the child of a fork if a thread of the parent was using
    /// the name at that moment: its lock is held forever.
    fn with_name<R>(&self, f: impl FnOnce(&mut Arc<str>) -> R) -> Option<R> {
        /// Enough for a thread of this process to copy a name. On a busy machine each turn may last
        /// long.
        const TURNS: u32 = 10;
        if self.inner.process.is_current() {
            return Some(f(&mut self.inner.name.lock().unwrap_or_else(PoisonError::into_inner)));
        }
        for _ in 0..TURNS {
            match self.inner.name.try_lock() {
                Ok(mut name) => return Some(f(&mut name)),
                Err(TryLockError::Poisoned(name)) => return Some(f(&mut name.into_inner())),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }

    /// Returns whether the thread is a daemon: one that no [`Group`](super::Group) waits for.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.inner.daemon
    }

    /// Returns whether the thread runs in this process. It does from the moment in which it was
    /// started. In the child of a fork only the thread that forked is alive.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.inner.finished.is_set() && self.lives_here()
    }
}

impl PartialEq for Thread {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Thread {}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never blocks: the name's lock is held for a copy only.
        let mut out = f.debug_struct("Thread");
        out.field("name", &self.name()).field(
            "state",
            &format_args!("{}", if self.is_alive() { "started" } else { "stopped" }),
        );
        if self.is_daemon() {
            out.field("daemon", &true);
        }
        out.finish()
    }
}

/// The calling thread. A foreign one, which was not started here, gets a record at its first call,
/// and a name like `Dummy-3`. It is no daemon, unlike in Python: a thread that it starts in a
/// [`Group`](super::Group) is waited for.
///
/// It works to the end of the thread, also while its thread-locals are being destroyed; there a
/// foreign thread may get a record that the registry does not know.
#[must_use]
pub fn current() -> Thread {
    // The thread that forked this process is its main thread.
    if fork::first_thread() == Some(thread::id()) {
        return main_thread();
    }
    CURRENT
        .try_with(|current| {
            current.thread.get().cloned().unwrap_or_else(|| {
                let thread = if is_main() {
                    main_thread()
                } else {
                    current.foreign.set(true);
                    let thread = foreign();
                    thread.register();
                    thread
                };
                // It may not be there yet: a foreign thread's record is made here alone.
                let _ = current.thread.set(thread.clone());
                thread
            })
        })
        .unwrap_or_else(|_| foreign())
}

fn foreign() -> Thread {
    static DUMMIES: Counter = Counter::new(1);
    let thread = Thread::new(Some(format!("Dummy-{}", next(&DUMMIES))), false);
    thread.begin();
    thread
}

/// Returns whether the calling thread is this process's main thread.
fn is_main() -> bool {
    match fork::first_thread() {
        Some(first) => first == thread::id(),
        None => os::is_main(),
    }
}

/// The thread that runs `main`: its name is `MainThread`, until it is changed. In the child of a
/// fork it is the thread that forked, under the name that it has.
#[must_use]
pub fn main_thread() -> Thread {
    let registry = registry();
    let main = registry.main.get_or_init(|| {
        let mine = || CURRENT.try_with(|current| current.thread.get().cloned()).ok().flatten();
        let known = if is_main() { mine() } else { None };
        let main = known.or_else(|| registry.inherited.clone()).unwrap_or_else(|| {
            let main = Thread::new(Some("MainThread".into()), false);
            // Relaxed: `main` is published by `get_or_init`, and by the Release of `ident`.
            main.inner.native_id.store(os::main_id(), Relaxed);
            if let Some(first) = fork::first_thread() {
                // Release: as in `begin`.
                main.inner.ident.store(first.get(), Release);
            }
            main
        });
        registry.running().insert(main.inner.key, main.clone());
        main
    });
    if is_main() && main.ident().is_none() {
        main.begin();
    }
    main.clone()
}

/// Returns the number of running threads that are known here: those started here, the main thread,
/// and foreign ones that called [`current`]. In the child of a fork: since the fork.
#[must_use]
pub fn active_count() -> usize {
    let _known = main_thread();
    registry().running().len()
}

/// Returns the threads that [`active_count`] counts, oldest first.
#[must_use]
pub fn enumerate() -> Vec<Thread> {
    let _known = main_thread();
    registry().running().values().cloned().collect()
}

/// The system's number of the calling thread.
#[must_use]
#[doc(alias = "get_native_id")]
pub fn native_id() -> u32 {
    os::native_id()
}
