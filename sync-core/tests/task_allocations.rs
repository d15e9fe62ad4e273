//! A wait of a task allocates nothing, whether it ends by a wake or by a drop.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use sync_core::task::block_on;
use sync_core::{AutoResetEvent, FairMutex, Mutex, RwLock, Semaphore};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Starts a wait, ends it by `release`, and starts another one, which is dropped.
fn waits<T>(start: impl Fn() -> T, release: impl FnOnce())
where
    T: Future,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut woken = pin!(start());
    let mut dropped = pin!(Some(start()));
    assert!(woken.as_mut().poll(&mut context).is_pending());
    assert!(dropped.as_mut().as_pin_mut().expect("it is there").poll(&mut context).is_pending());
    dropped.set(None);
    release();
    assert!(woken.as_mut().poll(&mut context).is_ready());
}

fn all_kinds() {
    let lock = Mutex::new(());
    let held = lock.lock();
    waits(|| lock.lock_async(), || drop(held));
    let lock = FairMutex::new(());
    let held = lock.lock();
    waits(|| lock.lock_async(), || drop(held));
    let lock = RwLock::new(());
    let held = lock.read();
    waits(|| lock.write_async(), || drop(held));
    let seats = Semaphore::new(0);
    waits(|| seats.acquire_many_async(2), || seats.add_permits(2));
    let event = AutoResetEvent::new();
    waits(|| event.wait_async(), || event.set());
    block_on(std::future::ready(()));
}

#[test]
fn a_wait_of_a_task_allocates_nothing() {
    // The table, and the waker of the thread.
    all_kinds();
    let before = COUNT.get();
    for _ in 0..100 {
        all_kinds();
    }
    if cfg!(not(any(feature = "deadlock", feature = "stats"))) {
        assert_eq!(COUNT.get() - before, 0);
    }
}
