//! The feature `waits`: the list of the threads that sleep in a futex wait, which is where every
//! wait of these crates ends.
//!
//! A thread enters itself before it sleeps and leaves after it has woken. The list is behind a lock
//! of `std`; it is no part of any algorithm, and the models are built without it. In the child of a
//! fork the list begins empty, and the stack of an entry is not captured (`std_locks`).

use core::cell::Cell;
use core::sync::atomic::AtomicU32;
use std::backtrace::Backtrace;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use super::{Channel, Deadline, system};
use crate::diagnostics::std_locks;
use crate::fork::PerProcess;

/// A thread that sleeps.
#[derive(Clone)]
pub(crate) struct Sleeper {
    pub(crate) thread: Thread,
    /// The system's number of the thread; 0 where it has none.
    pub(crate) native_id: u32,
    /// The address of the word that the thread sleeps on.
    pub(crate) address: usize,
    pub(crate) since: Instant,
    pub(crate) timed: bool,
    pub(crate) backtrace: Arc<Backtrace>,
}

type List = Mutex<BTreeMap<u64, Sleeper>>;

/// In the child of a fork it is empty: the threads are not there.
static LIST: PerProcess<List> = PerProcess::new();

fn list() -> MutexGuard<'static, BTreeMap<u64, Sleeper>> {
    LIST.get(|_| Mutex::new(BTreeMap::new())).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the threads that sleep at this moment.
pub(crate) fn sleepers() -> Vec<Sleeper> {
    list().values().cloned().collect()
}

thread_local! {
    /// Whether this thread is writing its entry: a wait of the allocator is not listed then.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Takes the entry out when the wait is over.
struct Entry(Option<u64>);

impl Entry {
    fn new(word: *const AtomicU32, timed: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if BUSY.replace(true) {
            return Self(None);
        }
        let sleeper = Sleeper {
            thread: thread::current(),
            native_id: native_id(),
            address: word.addr(),
            since: Instant::now(),
            timed,
            backtrace: Arc::new(std_locks::stack(Backtrace::force_capture)),
        };
        // Relaxed: the numbers only have to differ.
        let number = NEXT.fetch_add(1, Relaxed);
        list().insert(number, sleeper);
        BUSY.set(false);
        Self(Some(number))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(number) = self.0 else { return };
        let busy = BUSY.replace(true);
        let gone = list().remove(&number);
        // Dropped after the lock.
        drop(gone);
        BUSY.set(busy);
    }
}

#[cfg(target_os = "linux")]
fn native_id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

#[cfg(not(target_os = "linux"))]
fn native_id() -> u32 {
    0
}

/// `system::wait`, listed.
pub fn wait(word: &AtomicU32, expected: u32) {
    let _entry = Entry::new(word, false);
    system::wait(word, expected);
}

/// `system::wait_until`, listed.
pub fn wait_until(word: &AtomicU32, expected: u32, deadline: Deadline) -> bool {
    let _entry = Entry::new(word, true);
    system::wait_until(word, expected, deadline)
}

/// `system::wait_channel`, listed.
pub fn wait_channel(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
    channel: Channel,
) -> bool {
    let _entry = Entry::new(word, deadline.is_some());
    system::wait_channel(word, expected, deadline, channel)
}

/// The calls on words that several processes share.
#[cfg(all(target_os = "linux", not(sync_futex_fallback)))]
pub mod shared {
    use super::{AtomicU32, Deadline, Entry, system};

    pub use system::shared::{MOST_WORDS, wait_many, wake};

    /// `system::shared::wait_maybe`, listed.
    pub fn wait_maybe(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> bool {
        let _entry = Entry::new(word, deadline.is_some());
        system::shared::wait_maybe(word, expected, deadline)
    }
}
