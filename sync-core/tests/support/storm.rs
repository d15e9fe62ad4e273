//! Waits of tasks that are polled, moved to other threads and dropped at random, next to threads
//! that wait for the same object.
//!
//! A test counts at its end. A wake that was lost is a hang: at the end a task is polled only if
//! its last waker was called. So nothing that an executor runs, neither a job nor `serve`, blocks
//! on an object that tasks wait for: the wake that it waits for may belong to a task that only this
//! executor polls. `SYNC_DROPS` is the number of waits that are dropped in each test
//! (1,000 by default; a million is a soak), `SYNC_SEED` the seed, which every test prints.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use crate::watchdog::note;

/// A generator of numbers, seeded: xorshift.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Lets the executor take `times` turns.
pub(crate) async fn turns(times: u64) {
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

pub(crate) type Job<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// A wait that may have begun.
struct Wait<'a> {
    job: Job<'a>,
    /// The flag of the waker of the last poll.
    woken: Arc<Flag>,
}

impl<'a> Wait<'a> {
    fn new(job: Job<'a>) -> Self {
        // The first poll needs no wake.
        Self { job, woken: Arc::new(Flag(AtomicBool::new(true))) }
    }

    /// Polls it if it was woken or `always`. `new`: with another waker than before.
    fn poll(&mut self, always: bool, new: bool) -> bool {
        if !self.woken.0.swap(false, SeqCst) && !always {
            return false;
        }
        if new {
            self.woken = Arc::new(Flag(AtomicBool::new(false)));
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        self.job.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The operations of a test on its object.
pub(crate) struct Storm<S, T, P> {
    /// Begins a wait of a task. An executor runs the job: it awaits, and never blocks.
    pub(crate) start: S,
    /// An operation of a thread, which may wait.
    pub(crate) thread: T,
    /// Lets one wait go on if all wait and no wake is on its way. Executors call it: it never
    /// blocks, and does nothing where it would have to wait.
    pub(crate) serve: P,
}

impl<'a, S, T, P> Storm<S, T, P>
where
    S: Fn(&mut Random) -> Job<'a> + Sync,
    T: Fn(&mut Random) + Sync,
    P: Fn() + Sync,
{
    /// Runs two executors and two threads until enough waits were dropped, and ends the others.
    pub(crate) fn run(self) {
        const RUNNERS: u64 = 2;
        const THREADS: u64 = 2;
        let goal = variable("SYNC_DROPS").unwrap_or(1_000);
        let seed = variable("SYNC_SEED").unwrap_or_else(|| {
            let now = std::time::UNIX_EPOCH.elapsed();
            now.map_or(1, |now| now.as_nanos() as u64 & 0xFFFF_FFFF)
        });
        println!("SYNC_SEED={seed} SYNC_DROPS={goal}");
        let dropped = AtomicU64::new(0);
        let moving = Mutex::new(Vec::new());
        let stop = AtomicBool::new(false);
        let running = AtomicUsize::new(THREADS as usize);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (this, stop, running) = (&self, &stop, &running);
                scope.spawn(move || {
                    let mut random = Random::new(seed + 100 + number);
                    while !stop.load(SeqCst) {
                        (this.thread)(&mut random);
                    }
                    running.fetch_sub(1, SeqCst);
                });
            }
            let runners: Vec<_> = (0..RUNNERS)
                .map(|number| {
                    let (this, dropped, moving) = (&self, &dropped, &moving);
                    scope.spawn(move || {
                        let mut random = Random::new(seed + number);
                        this.drop_at_random(&mut random, goal, dropped, moving);
                    })
                })
                .collect();
            let failed = runners.into_iter().any(|runner| runner.join().is_err());
            stop.store(true, SeqCst);
            assert!(!failed, "an executor failed");
            while running.load(SeqCst) > 0 {
                (self.serve)();
                thread::yield_now();
            }
        });
    }

    fn drop_at_random(
        &self,
        random: &mut Random,
        goal: u64,
        dropped: &AtomicU64,
        moving: &Mutex<Vec<Wait<'a>>>,
    ) {
        let mut waits: Vec<Wait<'a>> = Vec::new();
        while dropped.load(SeqCst) < goal {
            let at = random.below(waits.len().max(1) as u64) as usize;
            match random.below(10) {
                0..=2 if waits.len() < 6 => waits.push(Wait::new((self.start)(random))),
                0..=5 if !waits.is_empty() => {
                    if waits[at].poll(random.one_in(16), random.one_in(4)) {
                        drop(waits.swap_remove(at));
                    }
                }
                6 | 7 if !waits.is_empty() => {
                    drop(waits.swap_remove(at));
                    dropped.fetch_add(1, SeqCst);
                }
                8 => {
                    let mut moving = moving.lock().unwrap();
                    if random.one_in(2) {
                        waits.extend(moving.pop());
                    } else if !waits.is_empty() && moving.len() < 6 {
                        moving.push(waits.swap_remove(at));
                    }
                }
                _ => (self.serve)(),
            }
        }
        note("drains");
        // Only wakes count now.
        loop {
            waits.extend(moving.lock().unwrap().drain(..));
            if waits.is_empty() {
                return;
            }
            let before = waits.len();
            waits.retain_mut(|wait| !wait.poll(false, false));
            if waits.len() == before {
                thread::yield_now();
                // No yield between `serve` and the polls: the threads would use up what it made
                // possible. And at random: two executors in step would undo each other's work.
                if random.one_in(2) {
                    (self.serve)();
                }
            }
        }
    }
}
