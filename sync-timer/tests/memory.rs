//! That nothing stays behind: after very many timers the memory is what it was. In a program of its
//! own, because it counts what its allocator gives out.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use sync_timer::{Interval, ManualClock, Missed, Pending, Scheduler, Timer};

#[path = "../../sync-core/tests/support/counting.rs"]
mod counting;

use counting::counts;

/// The bytes that are held more after `count` rounds than before, the first few excepted.
fn growth(count: usize, mut round: impl FnMut()) -> isize {
    for _ in 0..100 {
        round();
    }
    let before = counts().0;
    for _ in 0..count {
        round();
    }
    counts().0 - before
}

const HOUR: Duration = Duration::from_secs(3600);

// One test: they would count each other's memory.
#[test]
fn nothing_stays_behind() {
    let count = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

    // A sleep of a task has its timer from the beginning: a wait for it allocates nothing more.
    let scheduler = Scheduler::builder().shards(1).clock(ManualClock::new()).build_without_thread();
    let mut sleep = pin!(scheduler.sleep(HOUR));
    let before = counts().0;
    assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(counts().0, before);

    // A clock that is never moved.
    let clock = ManualClock::new();
    let kept: Vec<_> = (0..10).map(|_| Interval::with_clock(HOUR, clock.clone())).collect();
    let grown = growth(count, || drop(Interval::with_clock(HOUR, clock.clone())));
    assert!(grown < 4096, "intervals on a clock that stands still: {grown} bytes");
    let grown = growth(count / 100, || {
        drop(Scheduler::builder().shards(1).clock(clock.clone()).build_without_thread());
    });
    assert!(grown < 4096, "schedulers on a clock that stands still: {grown} bytes");
    drop(kept);

    let scheduler = Scheduler::builder().shards(1).clock(clock.clone()).build_without_thread();
    let grown = growth(count, || {
        let timer = scheduler.once(HOUR, || ()).unwrap();
        drop(timer.cancel_on_drop());
    });
    assert!(grown < 4096, "timers that are cancelled: {grown} bytes");
    let mut seconds = 0;
    let grown = growth(count, || {
        seconds += 1;
        scheduler.once(Duration::from_secs(seconds % 100), || ()).unwrap();
        clock.advance(Duration::from_secs(1));
        scheduler.run_due();
    });
    assert!(grown < 65_536, "timers that are called: {grown} bytes");
    let tick = scheduler.every(HOUR, Missed::Skip, |_| ()).unwrap();
    let grown = growth(count, || {
        assert!(tick.reschedule_after(Duration::ZERO));
        scheduler.run_due();
    });
    assert!(grown < 4096, "ticks that are moved: {grown} bytes");
    assert!(scheduler.shutdown(Pending::Discard) >= 1);

    let grown = growth(count, || assert!(Timer::new(HOUR, || ()).cancel()));
    assert!(grown < 4096, "timers that are not started: {grown} bytes");
}
