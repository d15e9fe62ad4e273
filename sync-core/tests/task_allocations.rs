//! A wait of a task allocates nothing, whether it ends by a wake or by a drop.

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::ptr;
use std::sync::Arc;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use sync_core::task::{block_on, join_all, wait_any};
use sync_core::{
    AutoResetEvent, Barrier, BoundedSemaphore, CancelToken, Condvar, Event, FairMutex, Latch,
    Mutex, OnceLock, Parker, RateLimiter, RawSemaphore, RwLock, Semaphore, TaskGuard, WaitGroup,
};

#[path = "support/counting.rs"]
mod counting;

use counting::counts;

/// Polls a wait until it is `Pending`, and returns the number of allocations of the polls. The
/// second one has another waker. Then the wait is dropped.
fn cost<F: Future>(start: F) -> usize {
    let mut future = pin!(Some(start));
    let before = counts().1;
    for waker in [Waker::noop(), &other_waker()] {
        let future = future.as_mut().as_pin_mut().expect("it is there");
        let polled = future.poll(&mut Context::from_waker(waker));
        assert!(polled.is_pending(), "it has nothing to wait for");
    }
    future.set(None);
    counts().1 - before
}

/// A waker that is not the one that does nothing, and that allocates nothing.
fn other_waker() -> Waker {
    static TABLE: RawWakerVTable =
        RawWakerVTable::new(|_| RawWaker::new(ptr::null(), &TABLE), |_| (), |_| (), |_| ());
    // SAFETY: the functions do nothing, and use no data.
    unsafe { Waker::new(ptr::null(), &TABLE) }
}

/// Each asynchronous form, polled to `Pending` and dropped: its name and its allocations.
fn all_forms() -> Vec<(&'static str, usize)> {
    let mut costs = Vec::with_capacity(64);
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock();
    costs.push(("Mutex::lock_async", cost(lock.lock_async())));
    costs.push(("Mutex::lock_arc_async", cost(lock.lock_arc_async())));
    drop(held);
    let lock = Arc::new(FairMutex::new(()));
    let held = lock.lock();
    costs.push(("FairMutex::lock_async", cost(lock.lock_async())));
    costs.push(("FairMutex::lock_arc_async", cost(lock.lock_arc_async())));
    drop(held);
    let lock = Arc::new(RwLock::new(()));
    let held = lock.write();
    costs.push(("RwLock::read_async", cost(lock.read_async())));
    costs.push(("RwLock::read_arc_async", cost(lock.read_arc_async())));
    costs.push(("RwLock::write_async", cost(lock.write_async())));
    costs.push(("RwLock::write_arc_async", cost(lock.write_arc_async())));
    costs.push(("RwLock::upgradable_read_async", cost(lock.upgradable_read_async())));
    costs.push(("RwLock::upgradable_read_arc_async", cost(lock.upgradable_read_arc_async())));
    drop(held);
    let held = lock.read();
    let upgrade = async { TaskGuard::upgrade_async(lock.upgradable_read_async().await).await };
    costs.push(("TaskGuard::upgrade_async", cost(upgrade)));
    drop(held);
    let seats = Arc::new(Semaphore::new(0));
    costs.push(("Semaphore::acquire_async", cost(seats.acquire_async())));
    costs.push(("Semaphore::acquire_many_async", cost(seats.acquire_many_async(2))));
    costs.push(("Semaphore::acquire_arc_async", cost(seats.acquire_arc_async(2))));
    let seats = BoundedSemaphore::new(1);
    let held = seats.acquire();
    costs.push(("BoundedSemaphore::acquire_async", cost(seats.acquire_async())));
    drop(held);
    let raw = RawSemaphore::new(0);
    costs.push(("RawSemaphore::acquire_async", cost(raw.acquire_async(1))));
    costs.push(("Event::wait_async", cost(Event::new().wait_async())));
    costs.push(("AutoResetEvent::wait_async", cost(AutoResetEvent::new().wait_async())));
    costs.push(("Latch::wait_async", cost(Latch::new(1).wait_async())));
    costs.push(("Barrier::wait_async", cost(Barrier::new(2).wait_async())));
    costs.push(("Parker::park_async", cost(Parker::new().park_async())));
    let group = WaitGroup::new();
    let other = group.clone();
    costs.push(("WaitGroup::wait_async", cost(other.wait_async())));
    let (lock, changed) = (Mutex::new(()), Condvar::new());
    let wait = async { changed.wait_async(lock.lock_async().await).await };
    costs.push(("Condvar::wait_async", cost(wait)));
    let wait = async { changed.wait_while_async(lock.lock_async().await, |()| true).await };
    costs.push(("Condvar::wait_while_async", cost(wait)));
    let cell = OnceLock::<u32>::new();
    costs.push(("OnceLock::wait_async", cost(cell.wait_async())));
    costs.push(("OnceLock::get_or_init_async", cost(cell.get_or_init_async(pending))));
    let make = cell.get_or_try_init_async(pending::<Result<u32, ()>>);
    costs.push(("OnceLock::get_or_try_init_async", cost(make)));
    let token = CancelToken::new();
    costs.push(("CancelToken::wait_async", cost(token.wait_async())));
    costs.push(("CancelToken::until_cancelled", cost(token.until_cancelled(pending::<()>()))));
    let (one, two) = (Event::new(), Event::new());
    let mut waits = (pin!(one.wait_async()), pin!(two.wait_async()));
    let mut waits: [Pin<&mut (dyn Future<Output = ()> + Send)>; 2] =
        [waits.0.as_mut(), waits.1.as_mut()];
    costs.push(("wait_any", cost(wait_any(&mut waits))));
    let end = Arc::new(Event::new());
    let ends = Arc::clone(&end);
    let thread = sync_core::thread::spawn(move || ends.wait()).expect("a thread");
    costs.push(("JoinHandle::join_async", cost(thread.join_async())));
    end.set();
    assert!(thread.join().is_ok());
    costs
}

/// Those of a limiter need an alarm of the process, and a list has a place for each result.
fn forms_with_a_box() -> Vec<(&'static str, usize)> {
    let limiter = RateLimiter::new(1, Duration::from_secs(3600));
    assert!(limiter.try_acquire().is_ok());
    let events = [Event::new(), Event::new()];
    vec![
        ("RateLimiter::acquire_async", cost(limiter.acquire_async())),
        ("join_all", cost(join_all(events.iter().map(Event::wait_async)))),
    ]
}

#[test]
fn a_wait_of_a_task_allocates_nothing() {
    // The table of the tasks.
    all_forms();
    let expected = cfg!(not(any(feature = "deadlock", feature = "stats")));
    for (name, cost) in all_forms() {
        println!("{name}: {cost} allocations");
        assert!(cost == 0 || !expected, "{name} allocates");
    }
    for (name, cost) in forms_with_a_box() {
        println!("{name}: {cost} allocations");
        assert!(cost > 0, "the documentation of {name} names an allocation");
    }
}

/// A wait that ends by a wake allocates as little as one that is dropped.
#[test]
fn the_end_of_a_wait_allocates_nothing() {
    fn waits<F: Future>(start: impl Fn() -> F, release: impl Fn()) -> usize {
        let mut cost = 0;
        // The first round makes the table.
        for _ in 0..2 {
            let before = counts().1;
            let mut woken = pin!(start());
            let mut context = Context::from_waker(Waker::noop());
            assert!(woken.as_mut().poll(&mut context).is_pending());
            release();
            assert!(woken.as_mut().poll(&mut context).is_ready());
            cost = counts().1 - before;
        }
        cost
    }
    let seats = Semaphore::new(0);
    let start = || async { seats.acquire_many_async(2).await.expect("it is open").forget() };
    let release = || {
        seats.add_permits(2);
    };
    assert_eq!(waits(start, release), 0);
    let event = AutoResetEvent::new();
    assert_eq!(waits(|| event.wait_async(), || event.set()), 0);
    block_on(std::future::ready(()));
    let before = counts().1;
    block_on(std::future::ready(()));
    assert_eq!(counts().1 - before, 0, "the waker of the thread is kept");
}
