//! Python's global interpreter lock, three times: which thread gets it when compute-bound and
//! I/O-bound threads share one lock?
//!
//! ```python
//! sys.setswitchinterval(0.005)    # since 3.2; before: sys.setcheckinterval(100), in ticks
//! ```
//!
//! Two threads compute under the lock; a third does "I/O": it releases the lock, sleeps half a
//! millisecond, and takes it again. The time of that wait is its latency.
//!
//! With an unfair lock that is given up every hundred ticks, as before Python 3.2, the computing
//! thread mostly has it back before the other thread has woken up: the convoy effect. Its size is
//! luck: sometimes the waking thread is interrupted at that moment and the wait is short, and the
//! next wait lasts for a third of the run. So look at the turns of I/O and at the worst wait, not
//! at the median.
//!
//! A fair lock that is handed over every hundred ticks is the other extreme: the shortest waits,
//! and most of the time goes into switching. With a switch interval the computing threads switch
//! rarely, and the wait is predictable: the lock goes around, so each thread ahead in the queue may
//! keep it for one interval. With two such threads that is twice the interval, and nearly every
//! wait takes that long, because they always wait for the lock. (The worst wait is longer because
//! of the system: a holder may be off the processor when its interval ends.) That is the cost of
//! round robin, not a fault. For shorter waits, choose a shorter interval, or have fewer threads
//! that compute.
//!
//! One run on two cores (turns in 300 ms, then how long a turn waited):
//!
//! ```text
//! lock                        ticks/ms  turns of I/O  median wait        90%      worst
//! unfair, every 100 ticks          817             9        3.4ms     92.1ms    183.8ms
//! Mutex, every 100 ticks           636           243      630.2µs      1.1ms      4.0ms
//! FairMutex, every 100 ticks       290           266      544.5µs    664.7µs      1.1ms
//! FairMutex, 5 ms interval         698            30        9.6ms      9.9ms     13.1ms
//! FairMutex, 0.5 ms interval       744           227      616.5µs    670.5µs      4.7ms
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

/// Runs two computing threads and one that does I/O, and prints the results.
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
        "{name:28} {:>6} ticks/ms   {:>4} turns of I/O, \
         waited: median {:>9.1?}, 90% {:>9.1?}, worst {:>9.1?}",
        it.ticks.into_inner() / RUN.as_millis() as u64,
        waits.len(),
        at(50),
        at(90),
        at(100),
    );
    at(50)
}

/// Computes under a lock that it holds all the time; `between` may release it after every tick.
fn compute<G>(it: &Measured, mut guard: G, mut between: impl FnMut(u64, G) -> G) {
    let mut ticks = 0;
    while !it.done.load(Ordering::Relaxed) {
        tick();
        ticks += 1;
        guard = between(ticks, guard);
    }
    it.ticks.fetch_add(ticks, Ordering::Relaxed);
}

/// Lets the other threads in every hundred ticks.
fn yielding(ticks: u64, mut guard: FairMutexGuard<'_, ()>) -> FairMutexGuard<'_, ()> {
    if ticks % 100 == 0 {
        FairMutexGuard::yield_now(&mut guard);
    }
    guard
}

/// Lets the other threads in when one has requested it.
fn asked(mut guard: FairMutexGuard<'_, ()>) -> FairMutexGuard<'_, ()> {
    if FairMutexGuard::should_yield(&guard) {
        FairMutexGuard::yield_now(&mut guard);
    }
    guard
}

fn main() {
    // A lock that a running thread can always take first.
    let unfair = std::sync::Mutex::new(());
    let take = || unfair.lock().expect("no thread panics");
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

    // The switch interval: a check at every tick, a hand-over only when a thread has waited for the
    // interval.
    for (name, interval) in
        [("FairMutex, 5 ms interval", 5000), ("FairMutex, 0.5 ms interval", 500)]
    {
        let lock = FairMutex::with_interval((), Duration::from_micros(interval));
        race(name, |it| compute(it, lock.lock(), |_, guard| asked(guard)), || drop(lock.lock()));
    }
}
