//! Asking again for a moment before a thread sleeps in the kernel.
//!
//! To wake a thread of another process takes some microseconds, more than most answers take. A
//! thread that has just sent a request therefore asks for the answer again and again for a moment,
//! about as long as a sleep and a wake-up take, and sleeps then. It does so only where that paid
//! the last time; where it did not, it tries it again once in a while. So a thread whose partner is
//! slow, or has no processor to run on, loses that moment seldom.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long a thread asks: by the clock, since a system call and a `pause` have other lengths on
/// each machine.
const LIMIT: Duration = Duration::from_micros(20);

/// The number of waits, after one that asking did not help, of which one asks again.
const AGAIN: u32 = 16;

/// Whether two threads can run at the same time.
static SEVERAL: LazyLock<bool> =
    LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|count| count.get() > 1));

/// The experience of a thread that waits for one partner again and again.
#[derive(Debug, Default)]
pub(crate) struct Eager {
    /// 0: asking helped the last time. Else the number of waits since then, from 1.
    since: AtomicU32,
}

impl Eager {
    /// Looks for the number of processors, which reads files.
    pub(crate) fn new() -> Self {
        LazyLock::force(&SEVERAL);
        Self::default()
    }

    /// Begins a wait.
    pub(crate) fn begin(&self) -> Asking<'_> {
        // Relaxed, as all accesses: a guess, which publishes nothing.
        let since = self.since.load(Ordering::Relaxed);
        if since > 0 {
            self.since.store(since % AGAIN + 1, Ordering::Relaxed);
        }
        Asking { eager: self, may: *SEVERAL && matches!(since, 0 | AGAIN), started: None }
    }
}

/// One wait.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    eager: &'a Eager,
    may: bool,
    started: Option<Instant>,
}

impl Asking<'_> {
    /// Whether to ask again, after an instant. If not, the thread is to sleep.
    pub(crate) fn turn(&mut self) -> bool {
        if !self.may {
            return false;
        }
        match self.started {
            None => self.started = Some(Instant::now()),
            Some(started) if started.elapsed() >= LIMIT => {
                self.may = false;
                // Relaxed: see `begin`.
                self.eager.since.store(1, Ordering::Relaxed);
                return false;
            }
            Some(_) => {}
        }
        for _ in 0..8 {
            spin_loop();
        }
        true
    }

    /// The answer is there.
    pub(crate) fn helped(&self) {
        if self.may && self.started.is_some() {
            // Relaxed: see `begin`.
            self.eager.since.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a wait asked, in vain.
    fn asks(eager: &Eager) -> bool {
        let mut asking = eager.begin();
        let asks = asking.turn();
        while asking.turn() {}
        asks
    }

    #[test]
    fn asking_that_does_not_help_becomes_rare_and_comes_back_when_it_does() {
        let eager = Eager::new();
        if !*SEVERAL {
            assert!(!asks(&eager));
            return;
        }
        assert!(asks(&eager));
        let all: Vec<bool> = (0..2 * AGAIN).map(|_| asks(&eager)).collect();
        assert_eq!(all.iter().filter(|asks| **asks).count(), 2, "{all:?}");
        loop {
            let mut asking = eager.begin();
            if asking.turn() {
                asking.helped();
                break;
            }
        }
        assert!(asks(&eager));
    }
}
