//! The algorithms, over nothing but atomics and a [`Platform`]: the code that runs in shared memory
//! and the code that the models check are the same source.
//!
//! Every algorithm here obeys four rules, and each file states how:
//!
//! 1. **Identity in the word.** A lock, a slot or a cell is taken by one compare-and-swap that
//!    writes the holder's identity, so that it is never taken by an unknown participant.
//! 2. **One commit point.** An operation takes effect by one atomic step. Its participant may
//!    vanish before the step (nothing happened) or after it (all of it happened, and the next
//!    participant does the remaining tidying).
//! 3. **Bounded sleep.** No sleep is longer than the recheck interval; then the sleeper checks
//!    which participants live. Wakes make it fast; the bound makes it correct.
//! 4. **Nothing read is trusted.** A peer may write anything: an index is loaded once and compared
//!    with a limit that is known locally.
//!
//! Every access of an algorithm goes through [`Platform::at`], which is nothing in the real build
//! and the place where a participant vanishes in a model. (Snapshots for `Debug` and the like need
//! none.)

pub mod barrier;
pub mod channel;
pub mod condvar;
pub mod event;
pub mod event_count;
pub mod mutex;
pub mod queue;
pub mod rwlock;
pub mod semaphore;

use core::time::Duration;

use sync_core::primitive::atomic::{AtomicU32, Ordering, fence};
use sync_core::primitive::futex::Deadline;

/// The owner of a word: `generation:14 | slot + 1:16`, in its low 30 bits. 0: unowned.
pub const IDENTITY: u32 = (1 << 30) - 1;

/// The bits of an identity that hold its slot of the participants' table.
pub const SLOT: u32 = 0xffff;

/// The shift of the generation.
pub const GENERATION_SHIFT: u32 = 16;

/// The length of the first sleep, after which the sleeper checks which participants live.
pub const FIRST_BOUND: Duration = Duration::from_millis(1);

/// The length of the first sleep at an [`event_count`], whose waiter has looked for the dead
/// already or soon will. It is longer than the tick of any common kernel (1 to 10 ms): a timer that
/// is due before the tick makes the kernel reprogram the processor's timer, at both ends of the
/// sleep. On a virtual machine that costs more than falling asleep and waking up.
pub const EVENT_COUNT_BOUND: Duration = Duration::from_millis(16);

/// The longest sleep, after which the sleeper checks which participants live.
pub const LAST_BOUND: Duration = Duration::from_millis(32);

/// The longest wait for a lock that is held for microseconds unless its holder is stopped: the lock
/// of a directory, a list, a barrier's arrivals. After this time the operation returns an error or
/// has another way.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// By a wake, by a changed word, or spuriously.
    Woken,
    /// The bound passed: time to check which participants live.
    Bound,
    /// The caller's own deadline passed.
    Deadline,
}

/// The system and the other participants, as an algorithm sees them: the kernel in the real build,
/// the model in a model.
pub trait Platform {
    /// This participant's identity, within [`IDENTITY`]; 0 if it could not become one.
    fn me(&self) -> u32;

    /// Whether the participant with this identity has ended. Once true, always true.
    fn is_dead(&self, identity: u32) -> bool;

    /// Sleeps while `*word == expected`, for `bound` at most, and not past `deadline`.
    fn sleep(
        &self,
        word: &AtomicU32,
        expected: u32,
        bound: Duration,
        deadline: Option<Deadline>,
    ) -> Slept;

    /// Wakes at most `count` sleepers on `word`. Returns their number, as a hint.
    fn wake(&self, word: &AtomicU32, count: u32) -> usize;

    /// A full fence, right after a read-modify-write that succeeded.
    #[inline(always)]
    fn fence_after_change(&self) {
        // SeqCst: between a change and the look for waiters, which must not trade places.
        fence(Ordering::SeqCst);
    }

    /// Passes the atomic through. A model lets the participant vanish here.
    #[inline(always)]
    fn at<'a, A>(&self, atomic: &'a A) -> &'a A {
        atomic
    }
}

/// A bound that grows to [`LAST_BOUND`], from [`FIRST_BOUND`] or [`EVENT_COUNT_BOUND`].
#[derive(Debug)]
pub struct RecheckInterval(Duration);

impl RecheckInterval {
    /// Starts at the shortest.
    #[must_use]
    pub fn new() -> Self {
        Self(FIRST_BOUND)
    }

    /// Starts at [`EVENT_COUNT_BOUND`].
    #[must_use]
    pub fn of_an_event_count() -> Self {
        Self(EVENT_COUNT_BOUND)
    }

    /// The bound for this sleep; the next is twice as long.
    pub fn next_bound(&mut self) -> Duration {
        let bound = self.0;
        self.0 = (bound * 2).min(LAST_BOUND);
        bound
    }
}

impl Default for RecheckInterval {
    fn default() -> Self {
        Self::new()
    }
}
