//! Waits of tasks that are dropped at random, on an object of every kind, next to threads.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use sync_core::task::block_on_timeout;
use sync_core::{
    AutoResetEvent, Barrier, CancelToken, Condvar, Event, FairMutex, Latch, Mutex, OnceLock,
    RwLock, Semaphore, TaskGuard, WaitGroup,
};

use crate::storm::{Job, Random, Storm, turns};
use crate::watchdog::watch;

const A_MOMENT: Duration = Duration::from_micros(50);

/// The token of the waits of all tests, until it is cancelled.
static TOKEN: StdMutex<Option<CancelToken>> = StdMutex::new(None);

/// Returns a token that is cancelled, or will be.
fn token(random: &mut Random) -> CancelToken {
    if random.one_in(3) {
        let token = CancelToken::new();
        token.cancel();
        return token;
    }
    TOKEN.lock().unwrap().get_or_insert_default().clone()
}

fn cancel_some() {
    let token = TOKEN.lock().unwrap().take();
    token.into_iter().for_each(|token| token.cancel());
}

#[test]
fn drops_of_waits_for_a_mutex() {
    let _watch = watch();
    let (lock, done) = (Arc::new(Mutex::new(0_u64)), AtomicU64::new(0));
    let count = |guard: &mut u64| {
        *guard += 1;
        done.fetch_add(1, SeqCst);
    };
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let (long, owned) = (random.below(3), random.one_in(2));
            let (lock, count) = (&lock, &count);
            Box::pin(async move {
                if owned {
                    let mut guard = lock.lock_arc_async().await;
                    turns(long).await;
                    count(&mut guard);
                } else {
                    let mut guard = lock.lock_async().await;
                    turns(long).await;
                    count(&mut guard);
                }
            })
        },
        thread: |random: &mut Random| match random.below(4) {
            0 => lock.try_lock_for(A_MOMENT).into_iter().for_each(|mut guard| count(&mut guard)),
            1 => {
                let taken = lock.lock_or_cancelled(&token(random));
                taken.into_iter().for_each(|mut guard| count(&mut guard));
            }
            _ => count(&mut lock.lock()),
        },
        serve: cancel_some,
    }
    .run();
    assert!(!lock.is_locked());
    assert_eq!(*lock.lock(), done.load(SeqCst));
}

#[test]
fn drops_of_waits_for_a_fair_mutex() {
    let _watch = watch();
    let (lock, done) = (FairMutex::new(0_u64), AtomicU64::new(0));
    let count = |guard: &mut u64| {
        *guard += 1;
        done.fetch_add(1, SeqCst);
    };
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let long = random.below(3);
            let (lock, count) = (&lock, &count);
            Box::pin(async move {
                let mut guard = lock.lock_async().await;
                turns(long).await;
                count(&mut guard);
            })
        },
        thread: |random: &mut Random| match random.below(4) {
            0 => lock.try_lock_for(A_MOMENT).into_iter().for_each(|mut guard| count(&mut guard)),
            1 => {
                let taken = lock.lock_or_cancelled(&token(random));
                taken.into_iter().for_each(|mut guard| count(&mut guard));
            }
            2 => {
                let mut guard = lock.lock();
                sync_core::FairMutexGuard::yield_now(&mut guard);
                count(&mut guard);
            }
            _ => count(&mut lock.lock()),
        },
        serve: cancel_some,
    }
    .run();
    assert!(!lock.is_locked());
    assert_eq!(*lock.lock(), done.load(SeqCst));
}

#[test]
fn drops_of_waits_for_a_readers_writer_lock() {
    let _watch = watch();
    let (lock, done) = (RwLock::new(0_u64), AtomicU64::new(0));
    let count = |guard: &mut u64| {
        *guard += 1;
        done.fetch_add(1, SeqCst);
    };
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let (long, mode) = (random.below(3), random.below(4));
            let (lock, count) = (&lock, &count);
            Box::pin(async move {
                match mode {
                    0 => {
                        let guard = lock.read_async().await;
                        let before = *guard;
                        turns(long).await;
                        assert_eq!(*guard, before);
                    }
                    1 => {
                        let mut guard = lock.write_async().await;
                        turns(long).await;
                        count(&mut guard);
                    }
                    2 => {
                        let guard = lock.upgradable_read_async().await;
                        turns(long).await;
                        let before = *guard;
                        let mut guard = TaskGuard::upgrade_async(guard).await;
                        assert_eq!(*guard, before, "no writer came in between");
                        count(&mut guard);
                        let guard = TaskGuard::<_, sync_core::Exclusive>::downgrade(guard);
                        turns(long).await;
                        assert_eq!(*guard, before + 1);
                    }
                    _ => drop(lock.upgradable_read_async().await),
                }
            })
        },
        thread: |random: &mut Random| match random.below(6) {
            0 => lock.try_write_for(A_MOMENT).into_iter().for_each(|mut guard| count(&mut guard)),
            1 => {
                let taken = lock.write_or_cancelled(&token(random));
                taken.into_iter().for_each(|mut guard| count(&mut guard));
            }
            2 => drop(lock.read_or_cancelled(&token(random))),
            3 => drop(lock.read()),
            4 => {
                let guard = lock.upgradable_read();
                count(&mut sync_core::RwLockUpgradableReadGuard::upgrade(guard));
            }
            _ => count(&mut lock.write()),
        },
        serve: cancel_some,
    }
    .run();
    assert!(!lock.is_locked());
    assert_eq!(*lock.read(), done.load(SeqCst));
}

#[test]
fn drops_of_waits_for_permits() {
    let _watch = watch();
    let (seats, inside) = (Arc::new(Semaphore::new(3)), AtomicU32::new(0));
    /// Counts the permits that are held, also of a task that is dropped.
    struct Inside<'a>(&'a AtomicU32, u32);
    impl<'a> Inside<'a> {
        fn new(inside: &'a AtomicU32, n: u32) -> Self {
            assert!(inside.fetch_add(n, SeqCst) + n <= 3);
            Self(inside, n)
        }
    }
    impl Drop for Inside<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(self.1, SeqCst);
        }
    }
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let (long, n, owned) = (random.below(3), 1 + random.below(3) as u32, random.one_in(2));
            let (seats, inside) = (&seats, &inside);
            Box::pin(async move {
                if owned {
                    let _permit = seats.acquire_arc_async(n).await.unwrap();
                    let _inside = Inside::new(inside, n);
                    turns(long).await;
                } else {
                    let _permit = seats.acquire_many_async(n).await.unwrap();
                    let _inside = Inside::new(inside, n);
                    turns(long).await;
                }
            })
        },
        thread: |random: &mut Random| {
            let n = 1 + random.below(3) as u32;
            let permit = match random.below(3) {
                0 => seats.try_acquire_many_for(n, A_MOMENT).ok(),
                1 => seats.acquire_many_or_cancelled(n, &token(random)).ok().map(Result::unwrap),
                _ => seats.acquire_many(n).ok(),
            };
            drop(permit.as_ref().map(|_| Inside::new(&inside, n)));
        },
        serve: cancel_some,
    }
    .run();
    assert_eq!(seats.available_permits(), 3);
}

#[test]
fn drops_of_waits_for_events() {
    let _watch = watch();
    let event = Event::new();
    Storm {
        start: |_: &mut Random| -> Job<'_> { Box::pin(event.wait_async()) },
        thread: |random: &mut Random| match random.below(4) {
            0 => drop(event.wait_timeout(A_MOMENT)),
            1 => drop(event.wait_or_cancelled(&token(random))),
            2 => event.clear(),
            _ => event.wait(),
        },
        serve: || {
            cancel_some();
            event.set();
            event.clear();
        },
    }
    .run();
}

#[test]
fn drops_of_waits_for_an_auto_reset_event() {
    let _watch = watch();
    // It is a lock: unset while it is held.
    let (event, inside) = (AutoResetEvent::new(), AtomicU32::new(0));
    event.set();
    struct Held<'a>(&'a AutoResetEvent, &'a AtomicU32);
    impl<'a> Held<'a> {
        fn new(event: &'a AutoResetEvent, inside: &'a AtomicU32) -> Self {
            assert_eq!(inside.fetch_add(1, SeqCst), 0);
            Self(event, inside)
        }
    }
    impl Drop for Held<'_> {
        fn drop(&mut self) {
            self.1.fetch_sub(1, SeqCst);
            self.0.set();
        }
    }
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let long = random.below(3);
            let (event, inside) = (&event, &inside);
            Box::pin(async move {
                event.wait_async().await;
                let _held = Held::new(event, inside);
                turns(long).await;
            })
        },
        thread: |random: &mut Random| {
            let taken = match random.below(3) {
                0 => event.wait_timeout(A_MOMENT),
                1 => event.wait_or_cancelled(&token(random)).is_ok(),
                _ => {
                    event.wait();
                    true
                }
            };
            drop(taken.then(|| Held::new(&event, &inside)));
        },
        serve: cancel_some,
    }
    .run();
    assert!(event.is_set());
}

/// Tickets that waiters take: `serve` makes one only if there is none, so a notification that was
/// lost leaves a ticket and waiters, and the test hangs.
#[test]
fn drops_of_waits_for_a_condition_variable() {
    let _watch = watch();
    let (tickets, changed) = (Mutex::new(0_u64), Condvar::new());
    let (made, taken) = (AtomicU64::new(0), AtomicU64::new(0));
    let make = |tickets: &mut u64| {
        *tickets += 1;
        made.fetch_add(1, SeqCst);
        changed.notify_one();
    };
    let take = |tickets: &mut u64| {
        *tickets -= 1;
        taken.fetch_add(1, SeqCst);
    };
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let produces = random.one_in(3);
            let (tickets, changed, make, take) = (&tickets, &changed, &make, &take);
            Box::pin(async move {
                if produces {
                    return make(&mut *tickets.lock_async().await);
                }
                let guard = tickets.lock_async().await;
                let mut guard = changed.wait_while_async(guard, |tickets| *tickets == 0).await;
                take(&mut guard);
            })
        },
        thread: |random: &mut Random| {
            if random.one_in(3) {
                return make(&mut tickets.lock());
            }
            let token = token(random);
            let mut guard = tickets.lock();
            match random.below(3) {
                0 => {
                    let _ = changed.wait_while_for(&mut guard, |tickets| *tickets == 0, A_MOMENT);
                }
                1 => {
                    let _ = changed.wait_while_or_cancelled(
                        &mut guard,
                        |tickets| *tickets == 0,
                        &token,
                    );
                }
                _ => changed.wait_while(&mut guard, |tickets| *tickets == 0),
            }
            if *guard > 0 {
                take(&mut guard);
            }
        },
        serve: || {
            cancel_some();
            // The guard of the attempt is kept: a second `lock` here would be a wait of an executor
            // for a lock that its own tasks wait for.
            if let Some(mut tickets) = tickets.try_lock() {
                if *tickets == 0 {
                    make(&mut tickets);
                }
            }
        },
    }
    .run();
    assert_eq!(*tickets.lock(), made.load(SeqCst) - taken.load(SeqCst));
}

#[test]
fn drops_of_waits_at_a_barrier() {
    let _watch = watch();
    let barrier = Barrier::new(2);
    Storm {
        start: |_: &mut Random| -> Job<'_> {
            {
                Box::pin(async {
                    let _ = barrier.wait_async().await;
                })
            }
        },
        thread: |random: &mut Random| match random.below(4) {
            0 => {
                if barrier.wait_timeout(A_MOMENT).is_err() {
                    barrier.reset();
                }
            }
            1 => drop(barrier.wait_or_cancelled(&token(random))),
            2 => barrier.abort(),
            _ => drop(barrier.wait()),
        },
        serve: || {
            cancel_some();
            barrier.reset();
        },
    }
    .run();
    barrier.reset();
    assert_eq!(barrier.waiting(), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| barrier.wait().unwrap());
        barrier.wait().unwrap();
    });
}

/// An object that is replaced by a new one once it has done its work.
struct Current<T>(StdMutex<Arc<T>>);

impl<T> Current<T> {
    fn new(object: T) -> Self {
        Self(StdMutex::new(Arc::new(object)))
    }

    fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.lock().unwrap())
    }

    fn replace(&self, object: T) -> Arc<T> {
        std::mem::replace(&mut self.0.lock().unwrap(), Arc::new(object))
    }
}

#[test]
fn drops_of_waits_for_a_latch() {
    let _watch = watch();
    let current = Current::new(Latch::new(1));
    Storm {
        start: |_: &mut Random| -> Job<'_> {
            let latch = current.get();
            Box::pin(async move { latch.wait_async().await })
        },
        thread: |random: &mut Random| match random.below(3) {
            0 => drop(current.get().wait_timeout(A_MOMENT)),
            1 => drop(current.get().wait_or_cancelled(&token(random))),
            _ => current.get().wait(),
        },
        serve: || {
            cancel_some();
            current.replace(Latch::new(1)).count_down(1);
        },
    }
    .run();
}

#[test]
fn drops_of_waits_for_a_group() {
    let _watch = watch();
    let current = StdMutex::new(WaitGroup::new());
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let (group, long) = (current.lock().unwrap().clone(), random.below(3));
            Box::pin(async move {
                turns(long).await;
                group.wait_async().await;
            })
        },
        thread: |random: &mut Random| {
            let group = current.lock().unwrap().clone();
            match random.below(3) {
                0 => drop(group.wait_timeout(A_MOMENT)),
                1 => drop(group.wait_or_cancelled(&token(random))),
                _ => group.wait(),
            }
        },
        serve: || {
            cancel_some();
            let group = std::mem::take(&mut *current.lock().unwrap());
            drop(group);
        },
    }
    .run();
}

#[test]
fn drops_of_waits_for_a_value() {
    let _watch = watch();
    let current = Current::new(OnceLock::new());
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let (cell, long, makes) = (current.get(), random.below(3), random.one_in(2));
            Box::pin(async move {
                let value = match makes {
                    true => {
                        let make = || async {
                            turns(long).await;
                            7
                        };
                        cell.get_or_init_async(make).await
                    }
                    false => cell.wait_async().await,
                };
                assert_eq!(*value, 7);
            })
        },
        thread: |random: &mut Random| {
            let cell = current.get();
            match random.below(3) {
                0 => drop(cell.wait_or_cancelled(&token(random))),
                1 => assert_eq!(*cell.get_or_init(|| 7), 7),
                _ => assert_eq!(*cell.wait(), 7),
            }
        },
        serve: || {
            cancel_some();
            let cell = current.get();
            // A task may be making the value at the moment: no wait.
            let make = || cell.get_or_init_async(|| std::future::ready(7));
            if block_on_timeout(async { *make().await }, Duration::ZERO).is_some() {
                let mut current = current.0.lock().unwrap();
                // The other executor may have replaced it by one without a value.
                if Arc::ptr_eq(&current, &cell) {
                    *current = Arc::new(OnceLock::new());
                }
            }
        },
    }
    .run();
}

#[test]
fn drops_of_waits_for_a_thread() {
    let _watch = watch();
    let thread = || {
        let end = Arc::new(Event::new());
        let ends = Arc::clone(&end);
        let handle = sync_core::thread::spawn(move || {
            ends.wait();
            7
        });
        (handle.unwrap(), end)
    };
    let current = Current::new(thread());
    let served = AtomicU64::new(0);
    Storm {
        start: |_: &mut Random| -> Job<'_> {
            let current = current.get();
            Box::pin(async move { assert_eq!(*current.0.join_async().await.unwrap(), 7) })
        },
        thread: |random: &mut Random| {
            let current = current.get();
            match random.below(3) {
                0 => drop(current.0.join_timeout(A_MOMENT)),
                1 => drop(current.0.join_or_cancelled(&token(random))),
                _ => assert_eq!(*current.0.join().unwrap(), 7),
            }
        },
        serve: || {
            cancel_some();
            // A thread is not cheap. No yield in its place: among many busy programs ten thousand
            // yields take minutes.
            if served.fetch_add(1, SeqCst) % 64 == 0 {
                current.replace(thread()).1.set();
            }
        },
    }
    .run();
    current.get().1.set();
}

#[test]
fn drops_of_waits_for_a_token() {
    let _watch = watch();
    let root = CancelToken::new();
    let current = Current::new(root.child());
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let (token, kind, long) = (current.get(), random.below(3), random.below(3));
            Box::pin(async move {
                match kind {
                    0 => token.wait_async().await,
                    1 => {
                        let child = token.child();
                        turns(long).await;
                        child.wait_async().await;
                    }
                    _ => drop(token.until_cancelled(std::future::pending::<()>()).await),
                }
            })
        },
        thread: |random: &mut Random| {
            let token = current.get();
            match random.below(3) {
                0 => drop(token.child().wait_timeout(A_MOMENT)),
                1 => drop(token.block_on(std::future::pending::<()>())),
                _ => token.wait(),
            }
        },
        serve: || current.replace(root.child()).cancel(),
    }
    .run();
    assert!(!root.is_cancelled());
}
