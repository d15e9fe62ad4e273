//! Wakers that panic, that use the object that calls them, and that are called for tasks that are
//! gone.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;

use sync_core::task::block_on;
use sync_core::{
    AutoResetEvent, Barrier, CancelToken, Condvar, Event, FairMutex, Latch, Mutex, OnceLock,
    RwLock, Semaphore,
};

use crate::watchdog::watch;

/// User code in each of the calls of a waker.
#[derive(Default)]
struct Calls<'a> {
    clone: Option<&'a (dyn Fn() + Sync)>,
    wake: Option<&'a (dyn Fn() + Sync)>,
    drop: Option<&'a (dyn Fn() + Sync)>,
    woken: AtomicUsize,
}

impl<'a> Calls<'a> {
    fn wakes(wake: &'a (dyn Fn() + Sync)) -> Self {
        Self { wake: Some(wake), ..Self::default() }
    }

    fn panics(kind: usize) -> Self {
        let panic: &(dyn Fn() + Sync) = &|| resume_unwind(Box::new("a waker"));
        let mut calls = Self::default();
        *[&mut calls.clone, &mut calls.wake, &mut calls.drop][kind] = Some(panic);
        calls
    }

    /// The waker lives as long as the calls: the tests drop the futures before.
    fn waker(&self) -> Waker {
        static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, dispose);
        unsafe fn of<'a>(data: *const ()) -> &'a Calls<'a> {
            // SAFETY: every waker is made of a reference that outlives it.
            unsafe { &*data.cast() }
        }
        unsafe fn clone(data: *const ()) -> RawWaker {
            // SAFETY: the waker is made of a reference that outlives it.
            unsafe { of(data) }.clone.inspect(|call| call());
            RawWaker::new(data, &TABLE)
        }
        unsafe fn wake(data: *const ()) {
            // SAFETY: the waker is made of a reference that outlives it.
            unsafe { wake_by_ref(data) };
        }
        unsafe fn wake_by_ref(data: *const ()) {
            // SAFETY: the waker is made of a reference that outlives it.
            let calls = unsafe { of(data) };
            calls.woken.fetch_add(1, SeqCst);
            calls.wake.inspect(|call| call());
        }
        unsafe fn dispose(data: *const ()) {
            // SAFETY: the waker is made of a reference that outlives it.
            unsafe { of(data) }.drop.inspect(|call| call());
        }
        // SAFETY: the table's functions use the data as what it is, and are thread-safe.
        unsafe { Waker::new(core::ptr::from_ref(self).cast(), &TABLE) }
    }

    /// Polls, with a waker that is not dropped here.
    fn poll<F: Future + ?Sized>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        let waker = std::mem::ManuallyDrop::new(self.waker());
        future.poll(&mut Context::from_waker(&waker))
    }
}

/// `start` makes a wait that lasts from a call of `hold` to one of `release`.
fn survives<'a>(
    start: &dyn Fn() -> Pin<Box<dyn Future<Output = ()> + 'a>>,
    hold: &dyn Fn(),
    release: &dyn Fn(),
) {
    for kind in 0..3 {
        let (panics, good) = (Calls::panics(kind), Calls::default());
        hold();
        let mut first = start();
        // A clone that panics reaches the caller of the poll.
        let polled = catch_unwind(AssertUnwindSafe(|| panics.poll(first.as_mut()).is_pending()));
        assert_eq!(polled.is_err(), kind == 0);
        let mut second = start();
        assert!(good.poll(second.as_mut()).is_pending());
        if kind > 0 {
            // The waker changes, and comes back: one is dropped.
            assert!(good.poll(first.as_mut()).is_pending());
            assert!(panics.poll(first.as_mut()).is_pending());
            release();
            assert!(good.poll(first.as_mut()).is_ready(), "it was woken");
        }
        drop(first);
        release();
        assert!(good.woken.load(SeqCst) > 0 && good.poll(second.as_mut()).is_ready());
        hold();
        // One that waits and is dropped.
        let mut third = start();
        let polled = catch_unwind(AssertUnwindSafe(|| panics.poll(third.as_mut()).is_pending()));
        drop((polled, third));
        release();
    }
}

#[test]
fn a_waker_that_panics_leaves_the_objects_whole() {
    let _watch = watch();
    let auto = AutoResetEvent::new();
    survives(&|| Box::pin(auto.wait_async()), &|| auto.clear(), &|| auto.set());
    let event = Event::new();
    survives(&|| Box::pin(event.wait_async()), &|| event.clear(), &|| event.set());
    let seats = Semaphore::new(0);
    let hold = || while seats.try_acquire().map(|permit| permit.forget()).is_ok() {};
    let take = || async { seats.acquire_many_async(2).await.unwrap().forget() };
    survives(&|| Box::pin(take()), &hold, &|| seats.add_permits(2));
    let (lock, fair, shared) = (Mutex::new(()), FairMutex::new(()), RwLock::new(()));
    let held = Cell::new(None);
    let hold = || held.set(lock.try_lock());
    let take = || async { drop(lock.lock_async().await) };
    survives(&|| Box::pin(take()), &hold, &|| held.set(None));
    let held = Cell::new(None);
    let hold = || held.set(fair.try_lock());
    let take = || async { drop(fair.lock_async().await) };
    survives(&|| Box::pin(take()), &hold, &|| held.set(None));
    let held = Cell::new(None);
    let hold = || held.set(shared.try_write());
    let take = || async { drop(shared.read_async().await) };
    survives(&|| Box::pin(take()), &hold, &|| held.set(None));
    assert!(!lock.is_locked() && !fair.is_locked() && !shared.is_locked());
}

#[test]
fn a_waker_may_use_the_object_that_calls_it() {
    let _watch = watch();
    let (lock, shared, seats) = (Mutex::new(0), RwLock::new(0), Semaphore::new(0));
    let (event, auto, latch) = (Event::new(), AutoResetEvent::new(), Latch::new(1));
    let (changed, barrier, cell) = (Condvar::new(), Barrier::new(2), OnceLock::new());
    let token = CancelToken::new();

    let held = lock.lock();
    let wake = || *lock.lock() += 1;
    let calls = Calls::wakes(&wake);
    {
        let mut waits = pin!(lock.lock_async());
        assert!(calls.poll(waits.as_mut()).is_pending());
        drop(held);
        assert_eq!(calls.woken.load(SeqCst), 1);
        assert!(calls.poll(waits).is_ready());
    }
    let held = shared.write();
    let wake = || *shared.write() += 1;
    let calls = Calls::wakes(&wake);
    {
        let mut waits = pin!(shared.read_async());
        assert!(calls.poll(waits.as_mut()).is_pending());
        drop(held);
        assert!(calls.poll(waits).is_ready());
    }
    let wake = || {
        drop(seats.try_acquire());
        seats.add_permits(1);
    };
    let calls = Calls::wakes(&wake);
    {
        let mut waits = pin!(seats.acquire_async());
        assert!(calls.poll(waits.as_mut()).is_pending());
        seats.add_permits(1);
        assert!(calls.poll(waits).is_ready());
    }
    let wake = || {
        event.clear();
        event.set();
        auto.set();
        latch.wait();
        changed.notify_all();
        assert!(cell.get().is_some());
        barrier.reset();
        drop(token.child());
        token.cancel();
    };
    let calls = Calls::wakes(&wake);
    cell.set(7).unwrap();
    latch.count_down(1);
    let mut waits = [
        Box::pin(event.wait_async()) as Pin<Box<dyn Future<Output = ()>>>,
        Box::pin(auto.wait_async()),
        Box::pin(token.wait_async()),
        Box::pin(async { assert!(barrier.wait_async().await.is_err(), "it was reset") }),
        Box::pin(async { drop(changed.wait_async(lock.lock_async().await).await) }),
    ];
    assert!(waits.iter_mut().all(|wait| calls.poll(wait.as_mut()).is_pending()));
    event.set();
    assert!(waits.iter_mut().all(|wait| calls.poll(wait.as_mut()).is_ready()));
    assert_eq!(calls.woken.load(SeqCst), waits.len());
}

/// Nothing is done to memory that is gone: for the address sanitizer.
#[test]
fn a_forgotten_wait_leaks_and_harms_nothing() {
    let (lock, auto, seats) = (Mutex::new(()), AutoResetEvent::new(), Semaphore::new(0));
    let calls = Arc::new(AtomicUsize::new(0));
    struct Count(Arc<AtomicUsize>);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let waker = Waker::from(Arc::new(Count(Arc::clone(&calls))));
    let forget = |mut wait: Pin<Box<dyn Future<Output = ()> + '_>>| {
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        std::mem::forget(wait);
    };
    let held = lock.lock();
    forget(Box::pin(async { drop(lock.lock_async().await) }));
    forget(Box::pin(auto.wait_async()));
    forget(Box::pin(async { drop(seats.acquire_async().await) }));
    drop(held);
    auto.set();
    seats.add_permits(1);
    assert_eq!(calls.load(SeqCst), 3, "their wakers are called");
    // The object that they were woken for is there for others.
    drop(lock.lock());
    auto.wait();
    drop(seats.acquire().unwrap());
}

/// A future is polled by two executors in turn, which both wait for its wake.
#[test]
fn the_executor_of_the_last_poll_is_woken() {
    let _watch = watch();
    let event = AutoResetEvent::new();
    let mut wait = Box::pin(event.wait_async());
    let (first, second) = (Calls::default(), Calls::default());
    for _ in 0..3 {
        assert!(first.poll(wait.as_mut()).is_pending());
        assert!(second.poll(wait.as_mut()).is_pending());
    }
    event.set();
    assert_eq!((first.woken.load(SeqCst), second.woken.load(SeqCst)), (0, 1));
    // A poll by the first one after the wake of the second is enough.
    assert!(first.poll(wait.as_mut()).is_ready());
}

/// Neither kind waits for long while the other takes a lock again and again.
#[test]
fn threads_and_tasks_starve_neither() {
    let _watch = watch();
    for threads_first in [false, true] {
        let (lock, seats) = (Mutex::new([0_u32; 2]), Semaphore::new(1));
        let over = |counts: &[u32; 2]| counts.iter().all(|count| *count >= 100);
        thread::scope(|scope| {
            for kind in [usize::from(threads_first), usize::from(!threads_first), 0, 1] {
                let (lock, seats) = (&lock, &seats);
                scope.spawn(move || {
                    let mut done = false;
                    while !done {
                        if kind == 0 {
                            let mut counts = lock.lock();
                            counts[kind] += 1;
                            done = over(&counts);
                            drop(counts);
                            drop(seats.acquire().unwrap());
                        } else {
                            block_on(async {
                                let mut counts = lock.lock_async().await;
                                counts[kind] += 1;
                                done = over(&counts);
                                drop(counts);
                                drop(seats.acquire_async().await.unwrap());
                            });
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn thousands_of_waits_for_one_token_end_and_leave_nothing() {
    const WAITS: usize = 5_000;
    let token = CancelToken::new();
    let calls = Calls::default();
    let mut waits: Vec<_> = (0..WAITS).map(|_| Box::pin(token.wait_async())).collect();
    let children: Vec<_> = (0..WAITS).map(|_| token.child()).collect();
    let mut waits_of_children: Vec<_> =
        children.iter().map(|child| Box::pin(child.wait_async())).collect();
    assert!(waits.iter_mut().all(|wait| calls.poll(wait.as_mut()).is_pending()));
    assert!(waits_of_children.iter_mut().all(|wait| calls.poll(wait.as_mut()).is_pending()));
    // Some go before, from both ends.
    waits.drain(..100);
    waits.truncate(WAITS - 200);
    token.cancel();
    assert_eq!(calls.woken.load(SeqCst), 2 * WAITS - 200);
    assert!(waits.iter_mut().all(|wait| calls.poll(wait.as_mut()).is_ready()));
    assert!(waits_of_children.iter_mut().all(|wait| calls.poll(wait.as_mut()).is_ready()));
}
