//! The wait of a task: the same steps as those of a thread, without its spins and yields.
//!
//! A task that is dropped leaves as a thread does whose time is up (W2), with one difference: if it
//! leaves with a signal it does not try its operation, whose result would be lost with the task. It
//! sends the signal on. A thread or task that is not inside yet finds what the signal stood for by
//! itself; one that is inside was counted before the signal was taken, and is chosen now.

use core::time::Duration;

use sync_core::primitive::atomic::Ordering;
use sync_core::primitive::futex::{Channel, Deadline};
use sync_core::primitive::steps::{Sleep, Step, Steps, Waiting};

use super::{EventCount, SIGNAL};

/// A wait on the slow path. `mark` and `attempt` are those of
/// [`wait_until`](EventCount::wait_until).
pub(crate) struct Waits<'a, M, A> {
    count: &'a EventCount,
    mark: M,
    attempt: A,
    /// Between `enter` and `leave`.
    is_inside: bool,
}

impl EventCount {
    /// The wait of a task: see [`wait_until`](Self::wait_until). Dropping it has no effect but that
    /// `attempt` is dropped.
    pub(crate) fn waiting<'a, R, M, A>(
        &'a self,
        mark: M,
        attempt: A,
    ) -> Waiting<'a, Waits<'a, M, A>>
    where
        M: Fn() -> bool,
        A: FnMut() -> Option<R>,
    {
        Waiting::new(Waits { count: self, mark, attempt, is_inside: false })
    }

    /// Takes a signal if there is one, and leaves with it; else returns the word to sleep on.
    fn take_signal(&self) -> Result<(), u32> {
        // Relaxed: see "Memory orderings".
        let mut word = self.word.load(Ordering::Relaxed);
        while word >= SIGNAL {
            match self.word.compare_exchange(
                word,
                word - SIGNAL,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
        Err(word)
    }
}

impl<'a, R, M, A> Steps<'a> for Waits<'a, M, A>
where
    M: Fn() -> bool,
    A: FnMut() -> Option<R>,
{
    type Output = R;

    fn step(&mut self, _: bool) -> Step<'a, R> {
        let word = &self.count.word;
        let sleep =
            |expected, limit| Step::Sleep(Sleep { word, expected, channel: Channel::ALL, limit });
        loop {
            if self.is_inside {
                match self.count.take_signal() {
                    Ok(()) => self.is_inside = false,
                    Err(expected) => return sleep(expected, None),
                }
            }
            if let Some(done) = (self.attempt)() {
                return Step::Done(done);
            }
            if !self.count.enter() {
                // 65,535 wait here already. This task looks again when the others have run.
                let tick = Deadline::after(Duration::from_millis(1));
                // Relaxed: only compared; the futex compares it with the newest value.
                return sleep(word.load(Ordering::Relaxed), tick);
            }
            if (self.mark)() {
                self.is_inside = true;
            } else {
                self.count.leave(false);
            }
        }
    }

    fn leave(&mut self) -> Option<R> {
        if core::mem::take(&mut self.is_inside) && self.count.leave(true) {
            self.count.choose(1);
        }
        None
    }

    fn undo(&mut self, _: R) {}
}
