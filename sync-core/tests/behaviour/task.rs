//! Waits of tasks, next to threads and alone: what is got, and what a dropped future leaves behind.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use sync_core::task::{block_on, block_on_timeout, wait_any};
use sync_core::thread::Group;
use sync_core::{
    AutoResetEvent, Barrier, BoundedSemaphore, Closed, Condvar, Event, FairMutex, Latch, Mutex,
    OnceLock, Parker, RwLock, Semaphore, TaskGuard, WaitGroup,
};

use crate::watchdog::watch;

/// A waker that counts its calls.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future with a waker of its own.
struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    calls: Arc<Calls>,
}

impl<'a, T> Task<'a, T> {
    fn new(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self { future: Box::pin(future), calls: Arc::default() }
    }

    /// A task that was polled once, and waits.
    fn waiting(future: impl Future<Output = T> + Send + 'a) -> Self {
        let mut task = Self::new(future);
        assert!(task.poll().is_none(), "it has nothing to wait for");
        task
    }

    fn poll(&mut self) -> Option<T> {
        let waker = Waker::from(Arc::clone(&self.calls));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(got) => Some(got),
            Poll::Pending => None,
        }
    }

    fn woken(&self) -> usize {
        self.calls.0.load(Ordering::SeqCst)
    }
}

#[test]
fn an_async_lock_excludes_threads_and_tasks() {
    let lock = Mutex::new(0);
    let mut held = Task::new(lock.lock_async()).poll().expect("it is free");
    assert!(lock.try_lock().is_none());
    let mut waits = Task::waiting(lock.lock_async());
    *held += 1;
    drop(held);
    assert_eq!(waits.woken(), 1);
    let guard = waits.poll().expect("it was handed over");
    assert_eq!(*guard, 1);
    assert!(lock.is_locked());
    drop(guard);
    assert!(!lock.is_locked());
}

#[test]
fn a_thread_hands_a_lock_to_a_task_and_back() {
    let _watch = watch();
    let lock = Arc::new(Mutex::new(0));
    let thread = {
        let lock = Arc::clone(&lock);
        thread::spawn(move || (0..1000).for_each(|_| *lock.lock() += 1))
    };
    block_on(async {
        for _ in 0..1000 {
            *lock.lock_arc_async().await += 1;
        }
    });
    thread.join().unwrap();
    assert_eq!(*lock.lock(), 2000);
}

/// A dropped future, chosen or not, leaves the lock to the task behind it.
#[test]
fn a_dropped_wait_for_a_lock_lets_the_next_one_in() {
    for chosen in [false, true] {
        let lock = Mutex::new(());
        let held = lock.lock();
        let first = Task::waiting(lock.lock_async());
        let mut second = Task::waiting(lock.lock_async());
        if chosen {
            drop(held);
            assert_eq!((first.woken(), second.woken()), (1, 0));
            drop(first);
        } else {
            drop(first);
            drop(held);
        }
        assert_eq!(second.woken(), 1);
        assert!(second.poll().is_some());
        drop(second);
        assert!(!lock.is_locked());
    }
}

#[test]
fn a_fair_lock_is_granted_in_the_order_of_the_queue() {
    for leaves in [false, true] {
        let lock = FairMutex::new(());
        let held = lock.lock();
        let mut first = Task::waiting(lock.lock_async());
        let mut second = Task::waiting(lock.lock_async());
        assert!(sync_core::FairMutexGuard::should_yield(&held), "a task has no clock");
        drop(held);
        assert_eq!((first.woken(), second.woken()), (1, 0));
        if leaves {
            drop(first);
        } else {
            drop(first.poll().expect("it was granted"));
        }
        assert_eq!(second.woken(), 1);
        drop(second.poll().expect("it was granted"));
        assert!(!lock.is_locked());
    }
}

#[test]
fn the_modes_of_a_readers_writer_lock() {
    let lock = RwLock::new(1);
    let one = block_on(lock.read_async());
    let two = block_on(lock.upgradable_read_async());
    let mut writes = Task::waiting(lock.write_async());
    let mut reads = Task::waiting(lock.read_async());
    assert_eq!(*one + *two, 2);
    let mut upgrades = Task::waiting(TaskGuard::<_, sync_core::Upgradable>::upgrade_async(two));
    drop(one);
    let mut writer = upgrades.poll().expect("the other reader has left");
    *writer += 1;
    let reader = TaskGuard::<_, sync_core::Exclusive>::downgrade(writer);
    assert_eq!(*reader, 2);
    assert!(writes.poll().is_none());
    drop(reader);
    let (reader, writer) = (reads.poll(), writes.poll());
    let reads_first = reader.is_some();
    assert_ne!(reads_first, writer.is_some(), "one of them has it");
    drop((reader, writer));
    assert!(if reads_first { writes.poll().is_some() } else { reads.poll().is_some() });
    assert!(!lock.is_locked());
}

#[test]
fn a_dropped_upgrade_releases_the_lock() {
    let lock = RwLock::new(());
    let reader = lock.read();
    let right = block_on(lock.upgradable_read_async());
    let upgrades = Task::waiting(TaskGuard::<_, sync_core::Upgradable>::upgrade_async(right));
    assert!(lock.try_read().is_none(), "an upgrade keeps new readers out");
    drop(upgrades);
    assert!(lock.try_upgradable_read().is_some());
    drop(reader);
    assert!(!lock.is_locked());
}

#[test]
fn a_dropped_writer_lets_the_readers_behind_it_in() {
    let lock = RwLock::new(());
    let held = lock.read();
    let writes = Task::waiting(lock.write_async());
    let mut reads = Task::waiting(lock.read_async());
    drop(writes);
    assert_eq!(reads.woken(), 1);
    assert!(reads.poll().is_some());
    drop(held);
}

#[test]
fn permits_for_tasks() {
    let seats = Semaphore::new(1);
    let permit = block_on(seats.acquire_async()).unwrap();
    let mut two = Task::waiting(seats.acquire_many_async(2));
    let mut one = Task::waiting(seats.acquire_async());
    drop(permit);
    assert!(two.poll().is_none(), "one permit is not enough");
    assert!(one.poll().is_none(), "the head of the line is before it");
    seats.add_permits(1);
    let both = two.poll().expect("two permits").unwrap();
    assert_eq!(both.count(), 2);
    drop(both);
    assert!(one.poll().is_some());
    drop(one);
    assert_eq!(seats.available_permits(), 2);
}

#[test]
fn a_dropped_head_of_the_line_lets_the_line_in() {
    let seats = Semaphore::new(1);
    let two = Task::waiting(seats.acquire_many_async(2));
    let mut one = Task::waiting(seats.acquire_async());
    drop(two);
    assert_eq!(one.woken(), 1);
    assert!(one.poll().unwrap().is_ok());
    assert_eq!(seats.available_permits(), 1);
}

#[test]
fn a_closed_semaphore_ends_the_waits_of_tasks() {
    let seats = Arc::new(BoundedSemaphore::new(1));
    let held = block_on(seats.acquire_arc_async(1)).unwrap();
    let mut waits = Task::waiting(seats.acquire_async());
    seats.close();
    assert_eq!(waits.poll().unwrap().unwrap_err(), Closed);
    drop(held);
    assert_eq!(block_on(seats.acquire_async()).unwrap_err(), Closed);
}

#[test]
fn events_and_latches_end_the_waits_of_tasks() {
    let event = Event::new();
    let (mut one, mut two) = (Task::waiting(event.wait_async()), Task::waiting(event.wait_async()));
    event.set();
    event.clear();
    assert!(one.poll().is_some() && two.poll().is_some(), "they waited when it was set");
    let auto = AutoResetEvent::new();
    let (mut one, mut two) = (Task::waiting(auto.wait_async()), Task::waiting(auto.wait_async()));
    auto.set();
    assert_eq!(one.woken() + two.woken(), 1);
    assert!(one.poll().is_some() && two.poll().is_none());
    auto.set();
    drop(two);
    assert!(auto.is_set(), "the set of a dropped wait is not lost");
    let latch = Latch::new(2);
    let mut waits = Task::waiting(latch.wait_async());
    latch.count_down(2);
    assert!(waits.poll().is_some());
    let group = WaitGroup::new();
    let other = group.clone();
    let mut waits = Task::waiting(group.wait_async());
    other.done();
    assert!(waits.poll().is_some());
}

#[test]
fn a_notification_that_a_dropped_task_had_goes_on() {
    let (lock, changed) = (Mutex::new(()), Condvar::new());
    let wait = || async {
        let guard = lock.lock_async().await;
        drop(changed.wait_async(guard).await);
    };
    let first = Task::waiting(wait());
    let mut second = Task::waiting(wait());
    assert!(changed.notify_one());
    assert_eq!((first.woken(), second.woken()), (1, 0));
    drop(first);
    assert_eq!(second.woken(), 1);
    assert!(second.poll().is_some());
    assert!(!changed.notify_one(), "no task waits");

    // The same while the task waits for the lock.
    let mut first = Task::waiting(wait());
    let mut second = Task::waiting(wait());
    let held = lock.lock();
    changed.notify_one();
    assert!(first.poll().is_none(), "the lock is held");
    drop(first);
    drop(held);
    assert!(second.poll().is_some());
    assert!(!lock.is_locked());
}

#[test]
fn a_task_at_a_barrier_with_threads() {
    let _watch = watch();
    let barrier = Barrier::new(2).with_action(|| ());
    let gone = Task::waiting(barrier.wait_async());
    assert_eq!(barrier.waiting(), 1);
    drop(gone);
    assert_eq!(barrier.waiting(), 0, "a dropped wait has not arrived");
    thread::scope(|scope| {
        let waits = scope.spawn(|| barrier.wait().unwrap().index());
        let mine = block_on(barrier.wait_async()).unwrap().index();
        assert_eq!(mine + waits.join().unwrap(), 1);
    });
    let mut broken = Task::waiting(barrier.wait_async());
    barrier.abort();
    assert!(broken.poll().unwrap().is_err());
    barrier.reset();
    assert!(!barrier.is_broken());
}

#[test]
fn a_cell_whose_maker_is_dropped_or_fails_stays_empty() {
    let cell = OnceLock::new();
    let makes = Task::waiting(cell.get_or_init_async(std::future::pending::<u32>));
    let mut waits = Task::waiting(cell.get_or_init_async(|| async { 2 }));
    let mut only_waits = Task::waiting(cell.wait_async());
    drop(makes);
    assert_eq!(waits.woken(), 1);
    assert_eq!(block_on(cell.get_or_try_init_async(|| async { Err(3) })), Err(3));
    assert_eq!(waits.poll(), Some(&2));
    assert_eq!(only_waits.poll(), Some(&2));
    assert_eq!(cell.get_or_init(|| 4), &2);
}

#[test]
fn a_thread_is_joined_by_a_task() {
    let _watch = watch();
    let handle = sync_core::thread::spawn(|| 7).unwrap();
    assert_eq!(block_on(handle.join_async()), Ok(&7));
    assert_eq!(block_on(handle.join_async()), Ok(&7));
}

#[test]
fn the_members_of_a_group_and_of_a_scope_are_joined_by_a_task() {
    let _watch = watch();
    let done = Arc::new(AtomicUsize::new(0));
    let group = Group::new();
    let inside = group.handle();
    let (count, callback) = (Arc::clone(&done), Arc::clone(&done));
    let callback = move || {
        callback.fetch_add(1, Ordering::SeqCst);
    };
    group.handle().at_exit(callback).unwrap();
    group
        .spawn(move || {
            // Also a member that starts while the group is being joined.
            thread::sleep(Duration::from_millis(5));
            inside.spawn(move || count.fetch_add(10, Ordering::SeqCst)).unwrap();
        })
        .unwrap();
    block_on(is_send(group.join_async()));
    assert_eq!(done.load(Ordering::SeqCst), 11);
    sync_core::thread::scope(|scope| {
        scope.spawn(|| done.fetch_add(100, Ordering::SeqCst)).unwrap();
        block_on(scope.join_async());
        assert_eq!(done.load(Ordering::SeqCst), 111);
    });
}

#[test]
fn a_dropped_join_of_a_group_joins_as_a_thread_and_a_panic_of_a_callback_goes_on() {
    let _watch = watch();
    let (done, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()));
    let group = Group::new();
    let (count, opens) = (Arc::clone(&done), Arc::clone(&open));
    group
        .spawn(move || {
            opens.wait();
            count.fetch_add(1, Ordering::SeqCst)
        })
        .unwrap();
    let waits = Task::waiting(group.join_async());
    open.set();
    drop(waits);
    assert_eq!(done.load(Ordering::SeqCst), 1);
    let group = Group::new();
    group.handle().at_exit(|| std::panic::resume_unwind(Box::new(7))).unwrap();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        block_on(group.join_async());
    }));
    assert_eq!(ended.unwrap_err().downcast_ref(), Some(&7));
}

#[test]
fn a_task_parks() {
    let mut parker = Parker::new();
    let unparker = parker.unparker().clone();
    let mut waits = Task::waiting(parker.park_async());
    unparker.unpark();
    assert_eq!((waits.woken(), waits.poll()), (1, Some(())));
    drop(waits);
    // A token that came for a park that is dropped is there for the next one.
    let waits = Task::waiting(parker.park_async());
    unparker.unpark();
    drop(waits);
    assert!(parker.park_timeout(Duration::ZERO));
    let waits = Task::waiting(parker.park_async());
    drop(waits);
    assert!(!parker.park_timeout(Duration::ZERO));
}

#[test]
fn block_on_ends_by_the_future_or_the_time() {
    assert_eq!(block_on(async { 3 }), 3);
    assert_eq!(block_on_timeout(std::future::pending::<()>(), Duration::from_millis(1)), None);
    assert_eq!(block_on_timeout(async { 4 }, Duration::ZERO), Some(4));
    assert_eq!(block_on(async { block_on(async { 5 }) }), 5, "one inside another");
}

#[test]
fn the_first_of_several_waits() {
    let (event, seats) = (Event::new(), Semaphore::new(0));
    let mut waits = Task::waiting(async {
        let event = pin!(event.wait_async());
        let seats = pin!(async { drop(seats.acquire_async().await) });
        wait_any(&mut [event, seats]).await.0
    });
    seats.add_permits(1);
    assert_eq!(waits.poll(), Some(1));
    event.set();
    assert_eq!(seats.available_permits(), 1);
    drop(waits);
    // Where all have a result, none is preferred.
    let counts = (0..20).fold([0, 0], |mut counts, _| {
        let (one, two) = (pin!(event.wait_async()), pin!(event.wait_async()));
        counts[block_on(wait_any(&mut [one, two])).0] += 1;
        counts
    });
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

fn is_send<T: Send>(value: T) -> T {
    value
}

/// Each future can be sent to another thread, and so can each guard that it returns.
#[test]
fn all_futures_are_sent() {
    let (lock, fair, shared) =
        (Arc::new(Mutex::new(1)), Arc::new(FairMutex::new(1)), Arc::new(RwLock::new(1)));
    drop(is_send(is_send(block_on(is_send(lock.lock_arc_async())))));
    drop(is_send(block_on(is_send(fair.lock_async()))));
    drop(is_send(block_on(is_send(fair.lock_arc_async()))));
    drop(is_send(block_on(is_send(shared.read_arc_async()))));
    drop(is_send(block_on(is_send(shared.write_arc_async()))));
    let right = is_send(block_on(is_send(shared.upgradable_read_arc_async())));
    let writer = TaskGuard::<_, sync_core::Upgradable>::upgrade_async(right);
    drop(is_send(block_on(is_send(writer))));
    let (seats, bounded) = (Arc::new(Semaphore::new(1)), Arc::new(BoundedSemaphore::new(1)));
    drop(is_send(block_on(is_send(seats.acquire_async()))).unwrap());
    drop(is_send(block_on(is_send(seats.acquire_arc_async(1)))).unwrap());
    drop(is_send(block_on(is_send(bounded.acquire_many_async(1)))).unwrap());
    let (event, auto, latch) = (Event::new(), AutoResetEvent::new(), Latch::new(1));
    drop((is_send(event.wait_async()), is_send(auto.wait_async()), is_send(latch.wait_async())));
    let changed = Condvar::new();
    drop(is_send(changed.wait_async(block_on(lock.lock_async()))));
    drop(is_send(changed.wait_while_async(block_on(lock.lock_async()), |_| true)));
    drop(is_send(Barrier::new(1).wait_async()));
    drop(is_send(WaitGroup::new().wait_async()));
    let cell = OnceLock::new();
    drop((is_send(cell.get_or_init_async(|| async { 1 })), is_send(cell.wait_async())));
    drop(is_send(sync_core::CancelToken::new().wait_async()));
    drop(is_send(Parker::new().park_async()));
    drop(is_send(sync_core::thread::spawn(|| ()).unwrap().join_async()));
    let limit = sync_core::RateLimiter::new(1, Duration::from_secs(1));
    drop(is_send(limit.acquire_async()));
}

/// The futures, and the guards that are held across an `await`, can be sent to another thread.
#[test]
fn futures_and_the_guards_of_tasks_are_sent() {
    let lock = Mutex::new(1);
    let shared = RwLock::new(1);
    let future = is_send(async {
        let guard = lock.lock_async().await;
        let reader = shared.read_async().await;
        std::future::ready(()).await;
        *guard + *reader
    });
    thread::scope(|scope| assert_eq!(scope.spawn(|| block_on(future)).join().unwrap(), 2));
}

/// The number of bytes of each wait: it is in its future, and nothing is allocated.
#[test]
fn the_sizes_of_the_futures() {
    let (lock, fair, shared) = (Mutex::new(()), FairMutex::new(()), RwLock::new(()));
    let (seats, event, latch) = (Semaphore::new(1), Event::new(), Latch::new(1));
    let sizes = [
        ("Mutex::lock_async", size_of_val(&lock.lock_async())),
        ("FairMutex::lock_async", size_of_val(&fair.lock_async())),
        ("RwLock::read_async", size_of_val(&shared.read_async())),
        ("RwLock::write_async", size_of_val(&shared.write_async())),
        ("Semaphore::acquire_async", size_of_val(&seats.acquire_async())),
        ("Event::wait_async", size_of_val(&event.wait_async())),
        ("Latch::wait_async", size_of_val(&latch.wait_async())),
    ];
    for (name, bytes) in sizes {
        println!("{name}: {bytes} bytes");
        assert!(bytes <= 208, "{name}: {bytes} bytes");
    }
}

/// Gives threads that were started the time to fall asleep. If they do not, a test shows less, and
/// does not fail.
fn let_them_sleep() {
    thread::sleep(Duration::from_millis(30));
}

#[test]
fn threads_get_a_free_mutex_while_a_task_that_was_chosen_is_not_polled() {
    let _watch = watch();
    let lock = Mutex::new(0);
    let guard = lock.lock();
    let mut task = Task::waiting(lock.lock_async());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| *lock.lock() += 1);
        }
        let_them_sleep();
        drop(guard);
    });
    assert_eq!(task.woken(), 1);
    assert_eq!(*task.poll().expect("the lock is free"), 3);
}

#[test]
fn threads_get_a_free_readers_writer_lock_while_a_task_that_was_chosen_is_not_polled() {
    let _watch = watch();
    let lock = RwLock::new(0);
    let guard = lock.read();
    let mut task = Task::waiting(lock.write_async());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| drop(lock.read()));
        }
        let_them_sleep();
        drop(guard);
    });
    let guard = lock.read();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| *lock.write() += 1);
        }
        let_them_sleep();
        drop(guard);
    });
    assert!(task.woken() > 0);
    assert_eq!(*task.poll().expect("the lock is free"), 3);
}

/// The most readers are holds that no thread gives back. The futures wait behind a writer when the
/// last of these holds is taken.
#[test]
fn a_wait_of_a_reader_that_is_dropped_among_too_many_readers_does_not_panic() {
    const MOST_READERS: u32 = 1 << 25;
    let _watch = watch();
    let lock = RwLock::new(());
    // SAFETY: no hold is released.
    let raw = unsafe { lock.raw() };
    for _ in 1..MOST_READERS {
        raw.read();
    }
    let writer = Task::waiting(lock.write_async());
    let readers = [Task::waiting(lock.read_async()), Task::waiting(lock.read_async())];
    let upgradable = Task::waiting(lock.upgradable_read_async());
    raw.read_recursive();
    drop(writer);
    drop(readers);
    drop(upgradable);
    assert!(lock.is_locked() && !lock.is_locked_exclusive());
}
