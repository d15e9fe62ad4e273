//! Every place where user code runs, with code that panics, with a panic payload whose `Drop`
//! panics, and with one whose `Drop` panics with a payload that panics again: nothing hangs, stays
//! locked or is skipped.
//!
//! The hooks of the features are in `feature_stats.rs` and `feature_deadlock.rs`.

#[path = "support/bomb.rs"]
mod bomb;
#[path = "support/evil_waker.rs"]
mod evil_waker;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::scope;
use std::time::Duration;

use bomb::{Bomb, KINDS, Kind};
use evil_waker::survives;
use sync_core::task::{block_on, block_on_timeout, wait_any};
use sync_core::thread::{self, Builder, Group, JoinError, SpawnError};
use sync_core::{
    ArcMutexGuard, Barrier, CancelToken, Condvar, Event, FairMutex, Latch, LazyLock, Mutex,
    MutexGuard, Once, OnceLock, OnceStatus, ReentrantMutex, ReentrantMutexGuard, RwLock,
    RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, Semaphore,
};
use watchdog::watch;

/// Threads with a hook in one test at a time.
static HOOK: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Runs `f` and disposes of its panic. Returns whether it had none.
fn contained(f: impl FnOnce()) -> bool {
    match sync_core::user_code::run(f) {
        Ok(()) => true,
        Err(payload) => {
            sync_core::user_code::dispose_payload(payload);
            false
        }
    }
}

/// A payload that knows which one it is.
struct Numbered(u32, Bomb);

/// `T` whose `Drop`, `Debug` and the like panic.
struct Evil(Kind);

impl Drop for Evil {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.blow();
        }
    }
}

struct EvilDebug(Kind);

impl fmt::Debug for EvilDebug {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.blow()
    }
}

#[test]
fn the_body_of_a_thread() {
    let _watch = watch();
    for kind in KINDS {
        let thread = thread::spawn(move || kind.blow()).unwrap();
        let joins = thread.clone();
        assert!(matches!(joins.join().map(|_: &()| ()), Err(JoinError::Panicked(_))));
        assert!(!thread.is_alive());
        // The payload goes with the last handle, and what it throws goes nowhere.
        drop((joins, thread));
        // Without a handle.
        let group = Group::new();
        drop(group.spawn(move || kind.blow()).unwrap());
        group.join();
    }
}

#[test]
fn the_result_of_a_thread_without_a_handle() {
    let _watch = watch();
    for kind in KINDS {
        let group = Group::new();
        let gate = Arc::new(sync_core::Event::new());
        let theirs = Arc::clone(&gate);
        let thread = group
            .spawn(move || {
                theirs.wait();
                Evil(kind)
            })
            .unwrap();
        let record = thread.thread().clone();
        drop(thread);
        gate.set();
        group.join();
        assert!(!record.is_alive() && !thread::enumerate().contains(&record));
    }
}

#[test]
fn the_body_of_a_thread_that_the_system_refuses() {
    let _watch = watch();
    for kind in KINDS {
        let group = Group::new();
        let (inside, evil) = (group.handle(), Evil(kind));
        let body = move || {
            let _evil = &evil;
        };
        let refused = contained(|| {
            // A stack that no address space has.
            let started =
                Builder::new().stack_size(1 << 60).name("refused").spawn_in(&inside, body);
            assert!(matches!(started, Err(SpawnError::System(_))));
        });
        assert!(!refused, "the panic of the body's `Drop` reaches the caller");
        assert!(!thread::enumerate().iter().any(|thread| &*thread.name() == "refused"));
        group.join();
    }
}

#[test]
fn the_panic_hook_of_threads() {
    let _watch = watch();
    let _turn = HOOK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for kind in KINDS {
        thread::set_panic_hook(move |report| {
            if &*report.thread().name() == "hooked" {
                kind.blow();
            }
        });
        let thread = Builder::new().name("hooked").spawn(|| panic!("ends the thread")).unwrap();
        assert!(matches!(thread.join().map(|_: &()| ()), Err(JoinError::Panicked(_))));
        assert!(!thread.is_alive());
    }
    assert!(thread::take_panic_hook());
}

#[test]
fn the_drop_of_a_panic_hook() {
    let _watch = watch();
    let _turn = HOOK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for kind in KINDS {
        let evil = Evil(kind);
        thread::set_panic_hook(move |_| {
            let _evil = &evil;
        });
        let seen = Arc::new(AtomicU32::new(0));
        let theirs = Arc::clone(&seen);
        assert!(!contained(|| thread::set_panic_hook(move |report| {
            if &*report.thread().name() == "replaced" {
                theirs.fetch_add(1, Ordering::Relaxed);
            }
        })));
        let thread = Builder::new().name("replaced").spawn(|| panic!("ends the thread")).unwrap();
        let _ = thread.join().map(|_: &()| ());
        assert_eq!(seen.load(Ordering::Relaxed), 1, "the new hook is there");
        assert!(thread::take_panic_hook() && !thread::take_panic_hook());
    }
}

#[test]
fn the_callbacks_of_a_group() {
    let _watch = watch();
    for kind in KINDS {
        let called = Arc::new(AtomicU32::new(0));
        let group = Group::new();
        let handle = group.handle();
        let gate = Arc::new(sync_core::Event::new());
        let (theirs, opens) = (Arc::clone(&gate), Arc::clone(&gate));
        let member = group.spawn(move || theirs.wait()).unwrap();
        for n in 0..4 {
            let (called, opens) = (Arc::clone(&called), Arc::clone(&opens));
            let callback = move || {
                called.fetch_add(1, Ordering::Relaxed);
                if n == 0 {
                    // The last to be called: the member ends only if this is reached.
                    opens.set();
                }
                if n % 2 == 1 {
                    std::panic::panic_any(Numbered(n, Bomb(kind)));
                }
            };
            handle.at_exit(callback).unwrap();
        }
        let payload = sync_core::user_code::run(|| group.join()).unwrap_err();
        let Numbered(number, bomb) = *payload.downcast().unwrap();
        assert_eq!(number, 3, "the first that panicked");
        sync_core::user_code::dispose(bomb);
        assert_eq!(called.load(Ordering::Relaxed), 4, "all were called");
        assert!(!member.is_alive(), "the member was joined");
        assert!(matches!(handle.spawn(|| ()), Err(SpawnError::ShutDown)));
    }
}

#[test]
fn the_callbacks_of_a_group_that_is_dropped_by_a_panic() {
    let _watch = watch();
    for kind in KINDS {
        let called = Arc::new(AtomicU32::new(0));
        let theirs = Arc::clone(&called);
        assert!(!contained(move || {
            let group = Group::new();
            for _ in 0..2 {
                let called = Arc::clone(&theirs);
                let callback = move || {
                    called.fetch_add(1, Ordering::Relaxed);
                    kind.blow();
                };
                group.handle().at_exit(callback).unwrap();
            }
            panic!("drops the group");
        }));
        assert_eq!(called.load(Ordering::Relaxed), 2);
    }
}

#[test]
fn the_action_of_a_barrier() {
    let _watch = watch();
    for kind in KINDS {
        let barrier = Barrier::new(2).with_action(move || kind.blow());
        scope(|scope| {
            let other = scope.spawn(|| contained(|| assert!(barrier.wait().is_err())));
            let mine = contained(|| assert!(barrier.wait().is_err()));
            assert!(other.join().unwrap() != mine, "one ran the action, and the other failed");
        });
        assert!(barrier.is_broken());
        barrier.reset();
        assert!(!barrier.is_broken() && barrier.waiting() == 0);
    }
}

#[test]
fn the_closures_of_once_and_its_kin() {
    let _watch = watch();
    for kind in KINDS {
        let once = Once::new();
        assert!(!contained(|| once.call_once(|| kind.blow())));
        assert_eq!(once.state(), OnceStatus::Poisoned);
        assert!(!contained(|| once.call_once(|| ())));
        once.call_once_force(|state| assert!(state.is_poisoned()));
        assert!(once.is_completed());

        let cell = OnceLock::new();
        assert!(!contained(|| {
            cell.get_or_init(|| kind.blow());
        }));
        assert_eq!(cell.get(), None);
        assert_eq!(*cell.get_or_init(|| 1), 1);

        let lazy = LazyLock::new(|| -> u32 { kind.blow() });
        for _ in 0..2 {
            assert!(!contained(|| assert_eq!(*lazy, 1)));
        }
        let error = sync_core::user_code::run(|| *lazy).unwrap_err();
        let message = sync_core::user_code::message(&*error);
        assert_eq!(message, "the function of this LazyLock has panicked");
    }
}

#[test]
fn the_condition_of_a_condition_variable() {
    let _watch = watch();
    for kind in KINDS {
        let (lock, changed) = (Mutex::new(1), Condvar::new());
        let mut guard = lock.lock();
        assert!(!contained(|| changed.wait_while(&mut guard, |_| kind.blow())));
        assert!(lock.is_locked(), "the guard is as it was");
        let after_a_wait = contained(|| {
            let mut looks = 0;
            let condition = |_: &mut i32| {
                looks += 1;
                if looks == 2 {
                    kind.blow();
                }
                true
            };
            let _ = changed.wait_while_for(&mut guard, condition, Duration::from_millis(1));
        });
        assert!(!after_a_wait && lock.is_locked());
        *guard += 1;
        drop(guard);
        assert_eq!(lock.try_lock().as_deref(), Some(&2));
    }
}

#[test]
fn the_closures_of_guards() {
    let _watch = watch();
    for kind in KINDS {
        let (mutex, fair, nested, shared) =
            (Mutex::new(1), FairMutex::new(1), ReentrantMutex::new(1), RwLock::new(1));
        // A part that cannot be found releases the lock.
        assert!(!contained(|| drop(MutexGuard::map(mutex.lock(), |_| -> &mut u32 {
            kind.blow()
        }))));
        assert!(!contained(|| drop(MutexGuard::try_map(fair.lock(), |_| -> Option<&mut u32> {
            kind.blow()
        }))));
        assert!(!contained(|| drop(ReentrantMutexGuard::map(nested.lock(), |_| -> &u32 {
            kind.blow()
        }))));
        assert!(!contained(|| drop(RwLockReadGuard::map(shared.read(), |_| -> &u32 {
            kind.blow()
        }))));
        assert!(!contained(|| drop(RwLockWriteGuard::map(shared.write(), |_| -> &mut u32 {
            kind.blow()
        }))));
        assert!(!mutex.is_locked() && !fair.is_locked());
        assert!(!nested.is_locked() && !shared.is_locked());
        // A closure that runs unlocked has the lock again when it unwinds.
        let (mut mutex_guard, mut fair_guard, mut nested_guard) =
            (mutex.lock(), fair.lock(), nested.lock());
        assert!(!contained(|| MutexGuard::unlocked(&mut mutex_guard, || kind.blow())));
        assert!(!contained(|| MutexGuard::unlocked(&mut fair_guard, || kind.blow())));
        assert!(!contained(|| ReentrantMutexGuard::unlocked(&mut nested_guard, || kind.blow())));
        assert!(mutex.is_locked() && fair.is_locked() && nested.depth() == 1);
        drop((mutex_guard, fair_guard, nested_guard));
        assert!(!mutex.is_locked() && !fair.is_locked() && !nested.is_locked());
    }
}

#[test]
fn the_data_of_locks() {
    let _watch = watch();
    for kind in KINDS {
        // Its `Debug` runs under the lock.
        let (mutex, nested, shared) = (
            Mutex::new(EvilDebug(kind)),
            ReentrantMutex::new(EvilDebug(kind)),
            RwLock::new(EvilDebug(kind)),
        );
        assert!(!contained(|| drop(format!("{mutex:?}"))));
        assert!(!contained(|| drop(format!("{nested:?}"))));
        assert!(!contained(|| drop(format!("{shared:?}"))));
        assert!(!mutex.is_locked() && !nested.is_locked() && !shared.is_locked());
        // Its `Drop`, by the guard that owns the lock, and as the old value under a guard.
        let lock = Arc::new(Mutex::new(Evil(kind)));
        let guard: ArcMutexGuard<_> = lock.lock_arc();
        drop(lock);
        assert!(!contained(|| drop(guard)));
        let lock = Mutex::new(Some(Evil(kind)));
        assert!(!contained(|| *lock.lock() = None));
        assert!(lock.try_lock().is_some());
        // A cell is empty before its old value is dropped.
        let mut cell = OnceLock::from(Evil(kind));
        assert!(!contained(|| drop(cell.take())));
        assert!(cell.get().is_none());
        assert!(!contained(|| drop(LazyLock::<Evil, _>::new(move || Evil(kind)).into_forced())));
    }
}

trait IntoForced<T> {
    /// The lock, with its value made.
    fn into_forced(self) -> Self;
}

impl<T, F: FnOnce() -> T> IntoForced<T> for LazyLock<T, F> {
    fn into_forced(self) -> Self {
        let _ = LazyLock::force(&self);
        self
    }
}

#[test]
fn the_closures_of_the_guards_of_a_readers_writer_lock() {
    let _watch = watch();
    for kind in KINDS {
        let shared = RwLock::new(1);
        // A closure that runs unlocked has the lock again, in its mode, when it unwinds.
        let mut reader = shared.read();
        assert!(!contained(|| RwLockReadGuard::unlocked(&mut reader, || kind.blow())));
        assert!(shared.try_write().is_none() && shared.try_read().is_some());
        drop(reader);
        let mut writer = shared.write();
        assert!(!contained(|| RwLockWriteGuard::unlocked(&mut writer, || kind.blow())));
        assert!(shared.is_locked_exclusive());
        drop(writer);
        let mut upgradable = shared.upgradable_read();
        assert!(!contained(|| RwLockUpgradableReadGuard::unlocked(&mut upgradable, || {
            kind.blow()
        })));
        assert!(shared.try_upgradable_read().is_none() && shared.try_read().is_some());
        // A value that an upgrade for a moment wrote stays, and the mode is the one of before.
        assert!(!contained(|| {
            RwLockUpgradableReadGuard::with_upgraded(&mut upgradable, |data| {
                *data += 1;
                kind.blow()
            })
        }));
        assert!(!shared.is_locked_exclusive() && shared.try_upgradable_read().is_none());
        assert_eq!((*upgradable, shared.try_read().as_deref()), (2, Some(&2)));
        drop(upgradable);
        assert!(!shared.is_locked());
        // A part that cannot be found releases the lock, whether an error may come back or not.
        assert!(!contained(|| {
            drop(RwLockReadGuard::try_map_or_err(shared.read(), |_| -> Result<&u32, ()> {
                kind.blow()
            }));
        }));
        assert!(!contained(|| {
            let upgradable = shared.upgradable_read();
            drop(RwLockUpgradableReadGuard::map(upgradable, |_| -> &u32 { kind.blow() }));
        }));
        assert!(!shared.is_locked());
    }
}

#[test]
fn the_threads_of_a_scope() {
    let _watch = watch();
    for kind in KINDS {
        let text = String::from("borrowed");
        let (ended, detach) = (AtomicU32::new(0), Event::new());
        // The panic of a body, of a result without a handle, and of the scope's own closure.
        let bodies = || {
            thread::scope(|scope| {
                drop(scope.spawn(|| kind.blow()).unwrap());
                let detached = scope.spawn(|| {
                    detach.wait();
                    (Evil(kind), &text)
                });
                drop(detached);
                detach.set();
                scope
                    .spawn(|| {
                        std::thread::sleep(Duration::from_millis(2));
                        ended.fetch_add(text.len() as u32, Ordering::Relaxed);
                    })
                    .unwrap();
            });
        };
        assert!(!contained(bodies));
        assert_eq!(ended.swap(0, Ordering::Relaxed), 8, "the scope ended before its threads");
        assert!(!contained(|| {
            thread::scope(|scope| {
                let spawned = scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(2));
                    ended.fetch_add(1, Ordering::Relaxed);
                });
                drop(spawned);
                kind.blow()
            })
        }));
        assert_eq!(ended.load(Ordering::Relaxed), 1, "the scope ended before its threads");
        // A payload that a handle has taken is the owner's of the handle.
        let taken = thread::scope(|scope| {
            let failed = scope.spawn(|| kind.blow()).unwrap();
            assert!(failed.join().map(|_: &()| ()).is_err());
            failed.take_panic()
        });
        sync_core::user_code::dispose_payload(taken.unwrap());
    }
}

#[test]
fn the_futures_of_tasks() {
    let _watch = watch();
    for kind in KINDS {
        // A cell whose maker panics stays empty, and the next one makes it.
        let cell = OnceLock::new();
        assert!(!contained(|| {
            block_on(cell.get_or_init_async(|| async { kind.blow() }));
        }));
        assert_eq!(block_on(cell.get_or_init_async(|| async { 1 })), &1);
        // A guard that a task holds.
        let lock = Mutex::new(0);
        let (lock, changed) = (&lock, &Condvar::new());
        assert!(!contained(|| {
            block_on(async {
                let mut guard = lock.lock_async().await;
                *guard += 1;
                kind.blow()
            })
        }));
        assert!(!contained(|| {
            block_on(async {
                let guard = lock.lock_async().await;
                drop(changed.wait_while_async(guard, |_| kind.blow()).await);
            });
        }));
        assert_eq!(lock.try_lock().as_deref(), Some(&1));
        // A future next to a token, and one of several.
        let stop = CancelToken::new();
        assert!(!contained(|| assert!(stop.block_on(async { kind.blow() }).is_err())));
        let never = Event::new();
        assert!(!contained(|| {
            let mut fails = std::pin::pin!(async { kind.blow() });
            let mut waits = std::pin::pin!(never.wait_async());
            block_on(wait_any(&mut [waits.as_mut(), fails.as_mut()]));
        }));
        // The thread's own waker is of use afterwards.
        assert!(block_on_timeout(never.wait_async(), Duration::from_millis(1)).is_none());
        never.set();
        block_on(never.wait_async());
    }
}

/// Every kind of wait of a task.
#[test]
fn the_wakers_of_tasks() {
    let _watch = watch();
    let mutex = Mutex::new(());
    let held = RefCell::new(None);
    survives(
        "Mutex",
        &|| {
            held.borrow_mut().get_or_insert_with(|| mutex.try_lock().unwrap());
            Box::pin(async { drop(mutex.lock_async().await) })
        },
        &|| drop(held.take()),
    );
    let fair = FairMutex::new(());
    let held = RefCell::new(None);
    survives(
        "FairMutex",
        &|| {
            held.borrow_mut().get_or_insert_with(|| fair.try_lock().unwrap());
            Box::pin(async { drop(fair.lock_async().await) })
        },
        &|| drop(held.take()),
    );
    let shared = RwLock::new(());
    let held = RefCell::new(None);
    survives(
        "RwLock, writing",
        &|| {
            held.borrow_mut().get_or_insert_with(|| shared.try_read().unwrap());
            Box::pin(async { drop(shared.write_async().await) })
        },
        &|| drop(held.take()),
    );
    let held = RefCell::new(None);
    survives(
        "RwLock, reading",
        &|| {
            held.borrow_mut().get_or_insert_with(|| shared.try_write().unwrap());
            Box::pin(async { drop(shared.read_async().await) })
        },
        &|| drop(held.take()),
    );
    let semaphore = Semaphore::new(0);
    survives(
        "Semaphore",
        &|| {
            // The permits that a dropped wait has left.
            while let Ok(permit) = semaphore.try_acquire() {
                permit.forget();
            }
            Box::pin(async { semaphore.acquire_async().await.unwrap().forget() })
        },
        &|| semaphore.add_permits(1),
    );
}

#[test]
fn the_wakers_of_tasks_that_wait_for_an_event() {
    let _watch = watch();
    let event = Event::new();
    survives(
        "Event",
        &|| {
            event.clear();
            Box::pin(event.wait_async())
        },
        &|| event.set(),
    );
    let (lock, changed) = (Mutex::new(()), Condvar::new());
    survives(
        "Condvar",
        &|| {
            Box::pin(async {
                let guard = lock.lock_async().await;
                drop(changed.wait_async(guard).await);
            })
        },
        &|| {
            changed.notify_one();
        },
    );
    fn renewed<T>(place: &RefCell<Arc<T>>, used: bool, new: impl FnOnce() -> T) -> Arc<T> {
        if used {
            place.replace(Arc::new(new()));
        }
        Arc::clone(&place.borrow())
    }
    let cell = RefCell::new(Arc::new(OnceLock::new()));
    survives(
        "OnceLock",
        &|| {
            let used = cell.borrow().get().is_some();
            let cell = renewed(&cell, used, OnceLock::new);
            Box::pin(async move {
                cell.wait_async().await;
            })
        },
        &|| {
            let _ = cell.borrow().set(());
        },
    );
    let latch = RefCell::new(Arc::new(Latch::new(1)));
    survives(
        "Latch",
        &|| {
            let used = latch.borrow().is_open();
            let latch = renewed(&latch, used, || Latch::new(1));
            Box::pin(async move { latch.wait_async().await })
        },
        &|| {
            let latch = latch.borrow();
            if !latch.is_open() {
                latch.count_down(1);
            }
        },
    );
    let token = RefCell::new(Arc::new(CancelToken::new()));
    survives(
        "CancelToken",
        &|| {
            let used = token.borrow().is_cancelled();
            let token = renewed(&token, used, CancelToken::new);
            Box::pin(async move { token.wait_async().await })
        },
        &|| token.borrow().cancel(),
    );
}
