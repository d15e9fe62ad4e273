//! The algorithms, over nothing but atomics and a [`Peers`]: what runs in shared memory and what
//! the models check is the same source.
//!
//! Every algorithm here obeys four rules, and each file says how:
//!
//! 1. **Identity in the word.** Whatever is held is held by one compare-and-swap that writes the
//!    holder's identity, so that there is no moment at which a thing is taken and nobody knows by
//!    whom.
//! 2. **One commit point.** An operation takes effect by one atomic step. Its participant may
//!    vanish before it (nothing happened) or after it (it all happened, and what remains to be
//!    tidied is tidied by whoever comes next).
//! 3. **Bounded sleep.** Nobody sleeps for longer than a bound before it looks again who lives.
//!    Wakes make it fast; the bound makes it true.
//! 4. **Nothing read is trusted.** A peer may write anything: an index is loaded once and compared
//!    with a limit that is known locally.
//!
//! Every access goes through [`Peers::at`], which is nothing in the real build and the place where
//! a participant vanishes in a model.

pub mod barrier;
pub mod channel;
pub mod condvar;
pub mod event;
pub mod event_count;
pub mod mutex;
pub mod queue;
pub mod semaphore;

use core::time::Duration;

use sync_core::primitive::atomic::{AtomicU32, Ordering, fence};
use sync_core::primitive::futex::Deadline;

/// Who a word belongs to: `generation:14 | slot + 1:16`, in the low 30 bits of a word. 0 is nobody.
pub const IDENTITY: u32 = (1 << 30) - 1;

/// The bits of an identity that say which slot of the participants' table.
pub const SLOT: u32 = 0xffff;

/// How far the generation is shifted.
pub const GENERATION_SHIFT: u32 = 16;

/// How long the first sleep lasts before the sleeper looks who lives.
pub const FIRST_BOUND: Duration = Duration::from_millis(1);

/// How long the first sleep at a [`event_count`] lasts, where who waits has looked for the dead already,
/// or soon will. Beyond the tick of any common kernel (1 to 10 ms): a timer that is due before the
/// tick makes the kernel set the processor's clock anew, at both ends of the sleep, and on a
/// virtual machine that costs more than falling asleep and waking up do.
pub const GATE_BOUND: Duration = Duration::from_millis(16);

/// How long any sleep lasts at most before the sleeper looks who lives.
pub const LAST_BOUND: Duration = Duration::from_millis(32);

/// How long anybody waits for a lock that is held for microseconds, unless its holder is stopped:
/// one that guards a directory, a list, a barrier's arrivals. Then it is an error, or the operation
/// has another way.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// Somebody woke us, or the word had changed, or for no reason.
    Woken,
    /// The bound passed: time to look who lives.
    Bound,
    /// The caller's own deadline passed.
    Deadline,
}

/// The other participants, as an algorithm sees them: the kernel in the real build, the model in a
/// model.
pub trait Peers {
    /// This participant's identity, within [`IDENTITY`]; 0 if it could not become one.
    fn me(&self) -> u32;

    /// Whether the participant with this identity has ended. Once true, true for ever.
    fn is_dead(&self, identity: u32) -> bool;

    /// Sleeps while `*word == expected`, for `bound` at most, and not past `deadline`.
    fn sleep(
        &self,
        word: &AtomicU32,
        expected: u32,
        bound: Duration,
        deadline: Option<Deadline>,
    ) -> Slept;

    /// Wakes at most `count` who sleep on `word`; says how many, as a hint.
    fn wake(&self, word: &AtomicU32, count: u32) -> usize;

    /// A full fence, right after a read-modify-write that succeeded.
    #[inline(always)]
    fn fence_after_change(&self) {
        fence(Ordering::SeqCst);
    }

    /// Passes the atomic through. A model lets the participant vanish here.
    #[inline(always)]
    fn at<'a, A>(&self, atomic: &'a A) -> &'a A {
        atomic
    }
}

/// A bound that grows to [`LAST_BOUND`], from [`FIRST_BOUND`] or [`GATE_BOUND`].
#[derive(Debug)]
pub struct Patience(Duration);

impl Patience {
    /// Starts at the shortest.
    #[must_use]
    pub fn new() -> Self {
        Self(FIRST_BOUND)
    }

    /// Starts at [`GATE_BOUND`].
    #[must_use]
    pub fn at_a_gate() -> Self {
        Self(GATE_BOUND)
    }

    /// The bound for this sleep; the next is twice as long.
    pub fn next_bound(&mut self) -> Duration {
        let bound = self.0;
        self.0 = (bound * 2).min(LAST_BOUND);
        bound
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::new()
    }
}
