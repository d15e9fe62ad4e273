//! A thread and a task contend for one object, kind by kind. The test `a_thread_meets_every_wait_of
//! _a_task` of sync-xtask holds this file against the list of the calls that tasks have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use sync_core::task::block_on;
use sync_core::{
    AutoResetEvent, Barrier, BoundedSemaphore, CancelToken, Condvar, Event, FairMutex, Latch,
    Mutex, OnceLock, RateLimiter, RawSemaphore, RwLock, Semaphore, TaskGuard, WaitGroup,
};

use crate::watchdog::watch;

const ROUNDS: u32 = 50;

/// The threads and tasks that are inside, and the number that ever was.
#[derive(Default)]
struct Inside {
    now: AtomicU32,
    total: AtomicU32,
}

impl Inside {
    /// Is inside for a moment, alone.
    fn alone(&self) {
        assert_eq!(self.now.fetch_add(1, SeqCst), 0, "another one is inside");
        thread::yield_now();
        self.now.fetch_sub(1, SeqCst);
        self.total.fetch_add(1, SeqCst);
    }
}

/// Runs two threads and two tasks, `ROUNDS` times each: each is inside alone, as often as it came.
fn exclude(thread: impl Fn(&Inside) + Sync, task: impl AsyncFn(&Inside) + Sync) {
    let _watchdog = watch();
    let inside = Inside::default();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..ROUNDS).for_each(|_| thread(&inside)));
            scope.spawn(|| {
                block_on(async {
                    for _ in 0..ROUNDS {
                        task(&inside).await;
                    }
                });
            });
        }
    });
    assert_eq!(inside.total.load(SeqCst), 4 * ROUNDS);
}

/// Runs a thread and a task that wait for what `open` does, over and over with new objects.
fn both_wait<T: Sync>(
    new: impl Fn() -> T,
    thread: impl Fn(&T) + Sync,
    task: impl AsyncFn(&T) + Sync,
    open: impl Fn(&T),
) {
    let _watchdog = watch();
    for round in 0..ROUNDS {
        let object = new();
        thread::scope(|scope| {
            scope.spawn(|| thread(&object));
            scope.spawn(|| block_on(task(&object)));
            if round % 2 == 0 {
                thread::yield_now();
            }
            open(&object);
        });
    }
}

#[test]
fn a_thread_and_a_task_contend_for_a_lock_of_every_kind() {
    let mutex = Arc::new(Mutex::new(()));
    exclude(
        |inside| {
            let _guard = mutex.lock();
            inside.alone();
        },
        async |inside| {
            let _guard = mutex.lock_async().await;
            inside.alone();
        },
    );
    exclude(
        |inside| {
            let _guard = mutex.lock_arc();
            inside.alone();
        },
        async |inside| {
            let _guard = mutex.lock_arc_async().await;
            inside.alone();
        },
    );
    let fair = Arc::new(FairMutex::new(()));
    exclude(
        |inside| {
            let _guard = fair.lock();
            inside.alone();
        },
        async |inside| {
            let _guard = fair.lock_async().await;
            inside.alone();
        },
    );
    exclude(
        |inside| {
            let _guard = fair.lock_arc();
            inside.alone();
        },
        async |inside| {
            let _guard = fair.lock_arc_async().await;
            inside.alone();
        },
    );
}

#[test]
fn a_thread_and_a_task_contend_for_a_readers_writer_lock_in_every_mode() {
    let lock = Arc::new(RwLock::new(0));
    exclude(
        |inside| {
            drop(lock.read());
            let _guard = lock.write();
            inside.alone();
        },
        async |inside| {
            drop(lock.read_async().await);
            let _guard = lock.write_async().await;
            inside.alone();
        },
    );
    exclude(
        |inside| {
            drop(lock.read_arc());
            let _guard = lock.write_arc();
            inside.alone();
        },
        async |inside| {
            drop(lock.read_arc_async().await);
            let _guard = lock.write_arc_async().await;
            inside.alone();
        },
    );
    exclude(
        |inside| {
            let _guard = lock.upgradable_read();
            inside.alone();
        },
        async |inside| {
            drop(lock.upgradable_read_arc_async().await);
            let guard = lock.upgradable_read_async().await;
            let _guard = TaskGuard::upgrade_async(guard).await;
            inside.alone();
        },
    );
}

#[test]
fn a_thread_and_a_task_contend_for_permits_of_every_kind() {
    let seats = Arc::new(Semaphore::new(1));
    exclude(
        |inside| {
            let _permit = seats.acquire().unwrap();
            inside.alone();
        },
        async |inside| {
            let _permit = seats.acquire_async().await.unwrap();
            inside.alone();
        },
    );
    exclude(
        |inside| {
            let _permit = seats.acquire_arc(1).unwrap();
            inside.alone();
        },
        async |inside| {
            let _permit = seats.acquire_arc_async(1).await.unwrap();
            inside.alone();
        },
    );
    let pairs = BoundedSemaphore::new(2);
    exclude(
        |inside| {
            let _permit = pairs.acquire_many(2).unwrap();
            inside.alone();
        },
        async |inside| {
            let _permit = pairs.acquire_many_async(2).await.unwrap();
            inside.alone();
        },
    );
    let raw = RawSemaphore::new(1);
    exclude(
        |inside| {
            raw.acquire(1).unwrap();
            inside.alone();
            raw.release(1).unwrap();
        },
        async |inside| {
            raw.acquire_async(1).await.unwrap();
            inside.alone();
            raw.release(1).unwrap();
        },
    );
    let limit = RateLimiter::new(100_000, Duration::from_secs(1));
    let lock = Mutex::new(());
    exclude(
        |inside| {
            limit.acquire().unwrap();
            let _guard = lock.lock();
            inside.alone();
        },
        async |inside| {
            limit.acquire_async().await.unwrap();
            limit.acquire_many_async(2).await.unwrap();
            let _guard = lock.lock_async().await;
            inside.alone();
        },
    );
}

#[test]
fn a_thread_and_a_task_wait_for_an_object_of_every_kind() {
    both_wait(
        Event::new,
        |it| it.wait(),
        async |it| it.wait_async().await,
        |it| {
            it.set();
        },
    );
    both_wait(
        AutoResetEvent::new,
        |it| {
            it.wait();
            it.set();
        },
        async |it| {
            it.wait_async().await;
            it.set();
        },
        |it| {
            it.set();
        },
    );
    both_wait(
        || Latch::new(1),
        |it| it.wait(),
        async |it| it.wait_async().await,
        |it| {
            it.count_down(1);
        },
    );
    both_wait(
        CancelToken::new,
        |it| it.wait(),
        async |it| it.wait_async().await,
        |it| {
            it.cancel();
        },
    );
    both_wait(
        || (Mutex::new(false), Condvar::new()),
        |(done, changed)| {
            let mut guard = done.lock();
            changed.wait_while(&mut guard, |done| !*done);
        },
        async |(done, changed)| {
            let guard = done.lock_async().await;
            drop(changed.wait_while_async(guard, |done| !*done).await);
            let mut guard = done.lock_async().await;
            while !*guard {
                guard = changed.wait_async(guard).await;
            }
        },
        |(done, changed)| {
            *done.lock() = true;
            changed.notify_all();
        },
    );
    both_wait(
        OnceLock::new,
        |it| assert_eq!(it.wait(), &1),
        async |it| assert_eq!(it.wait_async().await, &1),
        |it| it.set(1).unwrap(),
    );
    both_wait(
        || (OnceLock::new(), OnceLock::new(), AtomicU32::new(0)),
        |(one, two, made)| {
            one.get_or_init(|| made.fetch_add(1, SeqCst));
            two.get_or_init(|| made.fetch_add(1, SeqCst));
        },
        async |(one, two, made)| {
            one.get_or_init_async(async || made.fetch_add(1, SeqCst)).await;
            let two = two.get_or_try_init_async(async || Ok::<_, ()>(made.fetch_add(1, SeqCst)));
            two.await.unwrap();
        },
        |(one, two, made)| {
            one.wait();
            two.wait();
            assert_eq!(made.load(SeqCst), 2, "a value was made twice");
        },
    );
    both_wait(
        || Barrier::new(3),
        |it| assert!(it.wait().is_ok()),
        async |it| assert!(it.wait_async().await.is_ok()),
        |it| assert!(it.wait().is_ok()),
    );
}

#[test]
fn a_thread_and_a_task_join_the_same_threads() {
    both_wait(
        || {
            let go = Arc::new(Event::new());
            let waits = Arc::clone(&go);
            let run = move || {
                waits.wait();
                7
            };
            (sync_core::thread::spawn(run).unwrap(), go)
        },
        |(handle, _)| assert_eq!(handle.join(), Ok(&7)),
        async |(handle, _)| assert_eq!(handle.join_async().await, Ok(&7)),
        |(_, go)| {
            go.set();
        },
    );
    let _watchdog = watch();
    for _ in 0..ROUNDS {
        let group = WaitGroup::new();
        let (for_thread, for_task) = (group.clone(), group.clone());
        thread::scope(|scope| {
            scope.spawn(|| for_thread.wait());
            scope.spawn(|| block_on(for_task.wait_async()));
            drop(group);
        });
    }
}
