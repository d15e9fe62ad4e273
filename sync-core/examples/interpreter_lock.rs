//! Python's global interpreter lock, three times: who gets it when compute-bound and I/O-bound
//! threads share one?
//!
//! ```python
//! sys.setswitchinterval(0.005)    # since 3.2; before that, sys.setcheckinterval(100) counted ticks
//! ```
//!
//! Two threads compute under the lock; a third does "I/O": it lets go of the lock, sleeps half a
//! millisecond, and wants it back. How long it waits for that is its latency.
//!
//! With an unfair lock that is given up every hundred ticks, as before Python 3.2, the computing
//! thread mostly has it back before the other has woken up: the convoy effect. How bad it gets is
//! luck: now and then the waker is interrupted just then and the wait is short, and the next one
//! lasts for a third of the run. So look at the turns of I/O and at the worst wait, not at the
//! median.
//!
//! A fair lock that is handed over every hundred ticks is the other extreme: the shortest waits,
//! and most of the time goes into switching. With a switch interval the computing threads switch
//! seldom, and the wait can be foretold: the lock goes round, so each thread ahead in the queue may
//! keep it for one interval. With two of them that is twice the interval, and nearly every wait
//! takes that long, because they always want the lock. (What the worst wait has beyond that is the
//! system's: a holder that is off the processor when its interval ends.) That is what round robin
//! costs, not a fault; who needs less chooses a shorter interval, or has fewer threads that
//! compute.
//!
//! One run on two cores (turns in 300 ms, then how long a turn waited):
//!
//! ```text
//! unfair, every 100 ticks         817 ticks/ms      9 turns of I/O, waited: median     3.4ms, 90%    92.1ms, worst   183.8ms
//! Mutex, every 100 ticks          636 ticks/ms    243 turns of I/O, waited: median   630.2µs, 90%     1.1ms, worst     4.0ms
//! FairMutex, every 100 ticks      290 ticks/ms    266 turns of I/O, waited: median   544.5µs, 90%   664.7µs, worst     1.1ms
//! FairMutex, 5 ms interval        698 ticks/ms     30 turns of I/O, waited: median     9.6ms, 90%     9.9ms, worst    13.1ms
//! FairMutex, 0.5 ms interval      744 ticks/ms    227 turns of I/O, waited: median   616.5µs, 90%   670.5µs, worst     4.7ms
//! ```

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{FairMutex, FairMutexGuard, Mutex};

const RUN: Duration = Duration::from_millis(300);
const IO: Duration = Duration::from_micros(500);

/// One instruction of the interpreted program, some microseconds long.
fn tick() {
    black_box((0..4000_u32).fold(1, |sum, n| black_box(sum ^ n)));
}

struct Measured {
    ticks: AtomicU64,
    waits: Mutex<Vec<Duration>>,
    done: AtomicBool,
}

/// Runs two computing threads and one that does I/O, and prints how they fared.
fn race(
    name: &str,
    compute: impl Fn(&Measured) + Sync,
    lock_and_release: impl Fn() + Sync,
) -> Duration {
    let it = Measured {
        ticks: AtomicU64::new(0),
        waits: Mutex::new(Vec::new()),
        done: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| compute(&it));
        }
        scope.spawn(|| {
            while !it.done.load(Ordering::Relaxed) {
                thread::sleep(IO);
                let asked = Instant::now();
                lock_and_release();
                it.waits.lock().push(asked.elapsed());
            }
        });
        thread::sleep(RUN);
        it.done.store(true, Ordering::Relaxed);
    });
    let mut waits = it.waits.into_inner();
    waits.sort_unstable();
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
    println!(
        "{name:28} {:>6} ticks/ms   {:>4} turns of I/O, waited: median {:>9.1?}, 90% {:>9.1?}, worst {:>9.1?}",
        it.ticks.into_inner() / RUN.as_millis() as u64,
        waits.len(),
        at(50),
        at(90),
        at(100),
    );
    at(50)
}

/// Computes under a lock that it holds all the time, but for what `between` does after every tick.
fn compute<G>(it: &Measured, mut guard: G, mut between: impl FnMut(u64, G) -> G) {
    let mut ticks = 0;
    while !it.done.load(Ordering::Relaxed) {
        tick();
        ticks += 1;
        guard = between(ticks, guard);
    }
    it.ticks.fetch_add(ticks, Ordering::Relaxed);
}

/// Lets the others in every hundred ticks.
fn yielding(ticks: u64, mut guard: FairMutexGuard<'_, ()>) -> FairMutexGuard<'_, ()> {
    if ticks % 100 == 0 {
        FairMutexGuard::yield_now(&mut guard);
    }
    guard
}

/// Lets the others in when one has asked.
fn asked(mut guard: FairMutexGuard<'_, ()>) -> FairMutexGuard<'_, ()> {
    if FairMutexGuard::should_yield(&guard) {
        FairMutexGuard::yield_now(&mut guard);
    }
    guard
}

fn main() {
    // A lock that a thread which is already running can always snatch.
    let unfair = std::sync::Mutex::new(());
    let take = || unfair.lock().expect("nobody panics");
    race(
        "unfair, every 100 ticks",
        |it| {
            compute(it, take(), |ticks, guard| {
                if ticks % 100 == 0 {
                    drop(guard);
                    take()
                } else {
                    guard
                }
            })
        },
        || drop(take()),
    );

    // The same with the bounded overtaking of `Mutex`.
    let bounded = Mutex::new(());
    race(
        "Mutex, every 100 ticks",
        |it| {
            compute(it, bounded.lock(), |ticks, guard| {
                if ticks % 100 == 0 {
                    drop(guard);
                    bounded.lock()
                } else {
                    guard
                }
            })
        },
        || drop(bounded.lock()),
    );

    // Handed over every hundred ticks: fair, and most of the time goes into switching.
    let handed = FairMutex::with_interval((), Duration::MAX);
    race(
        "FairMutex, every 100 ticks",
        |it| compute(it, handed.lock(), yielding),
        || drop(handed.lock()),
    );

    // The switch interval: a look at every tick, a hand-over only when somebody has waited for the
    // interval.
    for (name, interval) in
        [("FairMutex, 5 ms interval", 5000), ("FairMutex, 0.5 ms interval", 500)]
    {
        let lock = FairMutex::with_interval((), Duration::from_micros(interval));
        race(name, |it| compute(it, lock.lock(), |_, guard| asked(guard)), || drop(lock.lock()));
    }
}
