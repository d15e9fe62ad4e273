//! What is known of a thread, and the registry of those that run.

use core::fmt;
use core::num::NonZeroU64;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64 as Counter, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::os;
use crate::primitive::atomic::{AtomicU32, AtomicU64};
use crate::primitive::thread;
use crate::wait::event::Event;
use crate::wait::latch::Latch;

/// A thread: one of ours, the main thread, or a foreign one that was seen here. Cheap to clone; it
/// keeps nothing of the thread alive.
#[derive(Clone)]
pub struct Thread {
    inner: Arc<Inner>,
}

struct Inner {
    /// Written once, before `started` opens; the registry's key is another number, which is known
    /// before the thread runs.
    ident: AtomicU64,
    native_id: AtomicU32,
    key: u64,
    /// Not ours: it is held for a copy, and no model is about it.
    name: Mutex<Arc<str>>,
    daemon: bool,
    started: Latch,
    finished: Event,
}

/// Every thread that is known and runs. A plain lock of `std`: nothing that can panic or wait
/// happens under it.
static RUNNING: Mutex<BTreeMap<u64, Thread>> = Mutex::new(BTreeMap::new());

static MAIN: OnceLock<Thread> = OnceLock::new();

fn running() -> MutexGuard<'static, BTreeMap<u64, Thread>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
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
        if self.foreign.get()
            && let Some(thread) = self.thread.get()
        {
            thread.finish();
        }
    }
}

/// A number for a record that has none yet, and for a thread without a name.
fn next(counter: &Counter) -> u64 {
    // Relaxed: only distinctness is asked for.
    counter.fetch_add(1, Relaxed)
}

impl Thread {
    pub(super) fn new(name: Option<String>, daemon: bool) -> Self {
        static KEYS: Counter = Counter::new(0);
        static NAMES: Counter = Counter::new(1);
        let name = name.unwrap_or_else(|| format!("Thread-{}", next(&NAMES)));
        let inner = Inner {
            ident: AtomicU64::new(0),
            native_id: AtomicU32::new(0),
            key: next(&KEYS),
            name: Mutex::new(name.into()),
            daemon,
            started: Latch::new(1),
            finished: Event::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn register(&self) {
        running().insert(self.inner.key, self.clone());
    }

    pub(super) fn unregister(&self) {
        let gone = running().remove(&self.inner.key);
        // Dropped after the lock.
        drop(gone);
    }

    /// Makes this the calling thread's record.
    pub(super) fn begin(&self) {
        // Relaxed, both: the latch publishes them.
        self.inner.ident.store(thread::id().get(), Relaxed);
        self.inner.native_id.store(os::native_id(), Relaxed);
        self.inner.started.count_down(1);
    }

    /// As [`begin`](Self::begin), for a thread that asks for its record and finds this.
    pub(super) fn begin_current(&self) {
        self.begin();
        let _ = CURRENT.try_with(|current| current.thread.set(self.clone()));
    }

    /// The thread is over: whoever waits for that goes on.
    pub(super) fn finish(&self) {
        self.unregister();
        self.inner.finished.set();
    }

    pub(super) fn finished(&self) -> &Event {
        &self.inner.finished
    }

    /// Whether this is the calling thread. Never waits: a thread that has not begun is not the one
    /// that asks.
    pub(super) fn is_current(&self) -> bool {
        // Relaxed: the calling thread reads what it wrote itself, or something else.
        self.inner.ident.load(Relaxed) == thread::id().get()
    }

    /// The thread's number: never used again in this process, unlike the system's.
    ///
    /// For a thread that was started just now this waits until it runs.
    #[must_use]
    pub fn ident(&self) -> NonZeroU64 {
        self.inner.started.wait();
        // Relaxed: ordered by the latch.
        NonZeroU64::new(self.inner.ident.load(Relaxed)).expect("written before the latch opened")
    }

    /// The system's number of the thread, as its tools show it. It may be used again once the
    /// thread is over.
    ///
    /// For a thread that was started just now this waits until it runs.
    #[must_use]
    pub fn native_id(&self) -> u32 {
        self.inner.started.wait();
        // Relaxed: ordered by the latch.
        self.inner.native_id.load(Relaxed)
    }

    /// The thread's name.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.inner.name.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the name. The system's tools learn of it only if the thread itself calls this; they
    /// may show the beginning of it (15 bytes on Linux, and nothing after a zero byte).
    #[doc(alias = "setName")]
    pub fn set_name(&self, name: impl Into<String>) {
        let name: Arc<str> = name.into().into();
        *self.inner.name.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&name);
        if self.is_current() {
            os::set_name(&name);
        }
    }

    /// Whether the thread is a daemon: one that no [`Group`](super::Group) waits for.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.inner.daemon
    }

    /// Whether the thread still runs. It does from the moment in which it was started.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.inner.finished.is_set()
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
        // Never blocks: not by `ident`, and the name's lock is held for a copy only.
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
/// and a name like `Dummy-3`. It is no daemon, unlike in Python: what it starts in a
/// [`Group`](super::Group) is waited for.
///
/// It works to the end of the thread, also while its thread-locals are being destroyed; there a
/// foreign thread may get a record that the registry does not know.
#[must_use]
pub fn current() -> Thread {
    CURRENT
        .try_with(|current| {
            current.thread.get().cloned().unwrap_or_else(|| {
                let thread = if os::is_main() {
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

/// The thread that runs `main`: its name is `MainThread`, until it is changed.
///
/// Its number is known once it has called [`current`] itself; [`Thread::ident`] waits for that.
#[must_use]
pub fn main_thread() -> Thread {
    let main = MAIN.get_or_init(|| {
        let main = Thread::new(Some("MainThread".into()), false);
        main.register();
        main
    });
    if os::is_main() && !main.inner.started.is_open() {
        main.begin();
    }
    main.clone()
}

/// How many threads run that are known here: those started here, the main thread, and foreign ones
/// that called [`current`].
#[must_use]
pub fn active_count() -> usize {
    let _known = main_thread();
    running().len()
}

/// The threads that [`active_count`] counts, oldest first.
#[must_use]
pub fn enumerate() -> Vec<Thread> {
    let _known = main_thread();
    running().values().cloned().collect()
}

/// The system's number of the calling thread.
#[must_use]
#[doc(alias = "get_native_id")]
pub fn native_id() -> u32 {
    os::native_id()
}
