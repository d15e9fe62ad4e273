//! That nothing stays behind: after very many timers the memory is what it was. In a program of its
//! own, because it counts what its allocator gives out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;

use sync_timer::{Interval, ManualClock, Missed, Pending, Scheduler, Timer};

struct Counting;

static HELD: AtomicIsize = AtomicIsize::new(0);

// SAFETY: passes everything on to the system's allocator, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `alloc` got it from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes that are held more after `count` rounds than before, the first few excepted.
fn growth(count: usize, mut round: impl FnMut()) -> isize {
    for _ in 0..100 {
        round();
    }
    let before = HELD.load(Relaxed);
    for _ in 0..count {
        round();
    }
    HELD.load(Relaxed) - before
}

const HOUR: Duration = Duration::from_secs(3600);

// One test: they would count each other's memory.
#[test]
fn nothing_stays_behind() {
    let count = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

    // A sleep of a task has its timer from the beginning: a wait for it allocates nothing more.
    let scheduler = Scheduler::builder().shards(1).clock(ManualClock::new()).build_without_thread();
    let mut sleep = pin!(scheduler.sleep(HOUR));
    let before = HELD.load(Relaxed);
    assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(HELD.load(Relaxed), before);

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
