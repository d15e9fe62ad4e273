//! A futex for systems without one: a table of std mutexes and condition variables, keyed by
//! address.
//!
//! An address hashes to a bucket; a bucket is a queue of the threads that sleep on any of its
//! addresses, oldest first. A sleeper has its own condition variable, and the thread that wakes it
//! takes it off the queue under the bucket's lock. So the comparison and the start of the sleep are
//! one step for every wake, and a sleeper that is still in the queue when its time is up consumed
//! no wake.
//!
//! Requeueing moves sleepers between two buckets with both locked, lower index first, so that no
//! two requeues can wait for each other.
//!
//! A process has a table of its own: in the child of a fork the parent's sleepers are not there,
//! and a bucket that another thread held at the fork would be held forever.
//!
//! A sleep allocates here, for its condition variable and its place in the queue; so the promise
//! that a lock may be used under the global allocator holds only where the system has a futex.

use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Channel;
use crate::fork::PerProcess;

const BUCKETS: usize = 64;

static TABLE: PerProcess<[Bucket; BUCKETS]> = PerProcess::new();

fn bucket(index: usize) -> &'static Bucket {
    &TABLE.get(|_| [const { Mutex::new(VecDeque::new()) }; BUCKETS])[index]
}

type Queue = VecDeque<Sleeper>;
type Bucket = Mutex<Queue>;

#[derive(Debug)]
struct Sleeper {
    address: usize,
    channel: Channel,
    state: Arc<SleepState>,
}

/// The state of one sleeper. `at` is the address it sleeps on now, and 0 after a thread woke it.
/// It changes only under the lock of the bucket that holds the sleeper and its own lock.
#[derive(Debug)]
struct SleepState {
    at: Mutex<usize>,
    woken: Condvar,
}

/// An absolute point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The point `timeout` from now; `None` if that is past the end of the clock, which means
    /// forever.
    #[must_use]
    pub fn after(timeout: Duration) -> Option<Self> {
        Instant::now().checked_add(timeout).map(Self)
    }

    /// The point `instant`.
    #[must_use]
    pub fn at(instant: Instant) -> Option<Self> {
        Some(Self(instant))
    }
}

fn index(address: usize) -> usize {
    // Fibonacci hashing of the address; words are four bytes apart, so the low bits carry no
    // information.
    ((address >> 2).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize) >> (usize::BITS - 6)) % BUCKETS
}

/// Nothing panics while a lock of this table is held, so poison means nothing here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sleeps while `*word == expected`.
pub fn wait(word: &AtomicU32, expected: u32) {
    sleep(word, expected, None, Channel::ALL);
}

/// Sleeps while `*word == expected`, at most until `deadline`. `false`: the deadline passed and no
/// wake was consumed.
pub fn wait_until(word: &AtomicU32, expected: u32, deadline: Deadline) -> bool {
    sleep(word, expected, Some(deadline), Channel::ALL)
}

/// Sleeps on a channel of `word` while `*word == expected`, at most until `deadline`, or forever
/// where there is none. `false`: the deadline passed and no wake was consumed.
pub fn wait_channel(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
    channel: Channel,
) -> bool {
    sleep(word, expected, deadline, channel)
}

fn sleep(word: &AtomicU32, expected: u32, deadline: Option<Deadline>, channel: Channel) -> bool {
    let address = ptr::from_ref(word).addr();
    let state = {
        let mut queue = lock(bucket(index(address)));
        // Relaxed: as with the system's futex, the comparison sees the newest value (the bucket's
        // lock orders it after every store that its thread followed by a wake) and nothing more is
        // promised.
        if word.load(Ordering::Relaxed) != expected {
            return true;
        }
        let state = Arc::new(SleepState { at: Mutex::new(address), woken: Condvar::new() });
        queue.push_back(Sleeper { address, channel, state: Arc::clone(&state) });
        state
    };
    let mut at = lock(&state.at);
    loop {
        if *at == 0 {
            return true;
        }
        let Some(Deadline(end)) = deadline else {
            at = state.woken.wait(at).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let here = *at;
            drop(at);
            if leave(here, &state) {
                return false;
            }
            // Woken or moved meanwhile: load again.
            at = lock(&state.at);
        } else {
            at = state.woken.wait_timeout(at, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Takes the sleeper off the queue of `address`. Returns `false` if it is not in the queue any
/// more.
fn leave(address: usize, state: &Arc<SleepState>) -> bool {
    let mut queue = lock(bucket(index(address)));
    let before = queue.len();
    queue.retain(|sleeper| !(sleeper.address == address && Arc::ptr_eq(&sleeper.state, state)));
    queue.len() != before
}

/// Takes up to `count` sleepers on `channel` of `address` off the queue, oldest first.
fn take(queue: &mut Queue, address: usize, count: usize, channel: Channel) -> Vec<Sleeper> {
    let mut taken = Vec::new();
    let mut rest = VecDeque::with_capacity(queue.len());
    for sleeper in queue.drain(..) {
        if sleeper.address == address && sleeper.channel.overlaps(channel) && taken.len() < count {
            taken.push(sleeper);
        } else {
            rest.push_back(sleeper);
        }
    }
    *queue = rest;
    taken
}

fn ring(sleepers: Vec<Sleeper>) {
    for sleeper in sleepers {
        *lock(&sleeper.state.at) = 0;
        sleeper.state.woken.notify_one();
    }
}

/// Wakes one thread that sleeps on the address.
pub fn wake_one(word: *const AtomicU32) {
    wake(word, 1);
}

/// Wakes every thread that sleeps on the address.
pub fn wake_all(word: *const AtomicU32) {
    wake(word, u32::MAX);
}

/// Wakes at most `count` threads that sleep on the address; returns the number, as a hint (not
/// every system reports it).
pub fn wake(word: *const AtomicU32, count: u32) -> usize {
    wake_channel(word, count, Channel::ALL)
}

/// Wakes at most `count` threads that sleep on a channel of the address; returns the number, as a
/// hint.
pub fn wake_channel(word: *const AtomicU32, count: u32, channel: Channel) -> usize {
    let address = word.addr();
    let mut queue = lock(bucket(index(address)));
    let woken = take(&mut queue, address, count as usize, channel);
    let count = woken.len();
    ring(woken);
    count
}

/// If `*from == expected`, wakes at most `wake` of the threads that sleep on `from` and moves at
/// most `move_` others to sleep on `to`. Returns `false` if the word had another value; then
/// nothing was done.
pub fn requeue(
    from: &AtomicU32,
    expected: u32,
    wake: u32,
    move_: u32,
    to: *const AtomicU32,
) -> bool {
    let (source, target) = (ptr::from_ref(from).addr(), to.addr());
    let (low, high) = (index(source).min(index(target)), index(source).max(index(target)));
    let mut low_queue = lock(bucket(low));
    let mut high_queue = (low != high).then(|| lock(bucket(high)));
    // Relaxed: as in `sleep`.
    if from.load(Ordering::Relaxed) != expected {
        return false;
    }
    let pick = |address: usize| index(address) == high && low != high;
    let source_queue =
        if pick(source) { high_queue.as_deref_mut() } else { None }.unwrap_or(&mut low_queue);
    let woken = take(source_queue, source, wake as usize, Channel::ALL);
    let moved = take(source_queue, source, move_ as usize, Channel::ALL);
    let target_queue =
        if pick(target) { high_queue.as_deref_mut() } else { None }.unwrap_or(&mut low_queue);
    for mut sleeper in moved {
        sleeper.address = target;
        *lock(&sleeper.state.at) = target;
        target_queue.push_back(sleeper);
    }
    ring(woken);
    true
}
