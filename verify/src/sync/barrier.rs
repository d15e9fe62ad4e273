use super::{Condvar, Mutex};

/// Replaces `std::sync::Barrier`.
#[derive(Debug)]
pub struct Barrier {
    n: usize,
    /// How many wait, and how often all have gone on.
    state: Mutex<(usize, usize)>,
    all: Condvar,
}

/// Whether a thread is the one that a barrier chose.
#[derive(Clone, Copy, Debug)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Returns whether it is.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    /// A barrier for `n` threads.
    pub const fn new(n: usize) -> Self {
        Barrier { n, state: Mutex::new((0, 0)), all: Condvar::new() }
    }

    /// Waits until all have come.
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        let mut state = self.state.lock().expect("no thread panics with the lock held");
        let round = state.1;
        state.0 += 1;
        if state.0 < self.n {
            while state.1 == round {
                state = self.all.wait(state).expect("no thread panics with the lock held");
            }
            BarrierWaitResult(false)
        } else {
            *state = (0, round.wrapping_add(1));
            self.all.notify_all();
            BarrierWaitResult(true)
        }
    }
}
