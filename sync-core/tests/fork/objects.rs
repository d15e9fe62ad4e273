//! The rows of the table that need no `reinit_after_fork`: objects that the child uses as they are,
//! while threads of the parent sleep in them.

use std::sync::mpsc;

use sync_core::{Condvar, Latch, Once, OnceLock, OnceStatus, Parker, WaitGroup};

use super::*;

#[path = "../support/children.rs"]
pub(super) mod children;
use children::Children;

/// Time for threads of this process to fall asleep.
const A_MOMENT: Duration = Duration::from_millis(10);

#[test]
fn events_work_in_the_child_while_threads_of_the_parent_wait() {
    let (_turn, _watch) = (turn(), watch());
    static EVENT: Event = Event::new();
    static AUTO: AutoResetEvent = AutoResetEvent::new();
    let parents = [
        std::thread::spawn(|| EVENT.wait()),
        std::thread::spawn(|| AUTO.wait()),
        std::thread::spawn(|| AUTO.wait()),
    ];
    std::thread::sleep(A_MOMENT);
    let code = in_child_that_starts_threads(|| {
        let timed = !EVENT.wait_timeout(MOMENT) && !AUTO.wait_timeout(MOMENT);
        // Each set is for the one thread of the child, not for a waiter of the parent.
        let by_turns = std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                EVENT.wait();
                AUTO.wait();
                AUTO.wait();
            });
            std::thread::sleep(A_MOMENT);
            EVENT.set();
            AUTO.set();
            while AUTO.is_set() {
                std::thread::yield_now();
            }
            AUTO.set();
            waits.join().is_ok()
        });
        first_false([timed, by_turns, EVENT.is_set(), !AUTO.is_set()])
    });
    assert_eq!((code, EVENT.is_set(), AUTO.is_set()), (0, false, false));
    EVENT.set();
    AUTO.set();
    while AUTO.is_set() {
        std::thread::yield_now();
    }
    AUTO.set();
    for parent in parents {
        parent.join().unwrap();
    }
}

#[test]
fn a_condition_variable_works_in_the_child_while_threads_of_the_parent_wait() {
    let (_turn, _watch) = (turn(), watch());
    static LOCK: Mutex<u32> = Mutex::new(0);
    static CHANGED: Condvar = Condvar::new();
    let waits = || CHANGED.wait_while(&mut LOCK.lock(), |number| *number == 0);
    let parents = [(); 3].map(|()| std::thread::spawn(waits));
    std::thread::sleep(A_MOMENT);
    let code = in_child_that_starts_threads(|| {
        let timed = CHANGED.wait_for(&mut LOCK.lock(), MOMENT).timed_out();
        // One notification is enough for the one waiter.
        let notified = std::thread::scope(|scope| {
            let waits = scope.spawn(waits);
            std::thread::sleep(A_MOMENT);
            *LOCK.lock() = 1;
            CHANGED.notify_one();
            waits.join().is_ok()
        });
        first_false([timed, notified])
    });
    assert_eq!((code, *LOCK.lock()), (0, 0));
    *LOCK.lock() = 1;
    CHANGED.notify_all();
    for parent in parents {
        parent.join().unwrap();
    }
}

#[test]
fn once_and_its_kin_are_in_the_child_as_they_were() {
    let (_turn, _watch) = (turn(), watch());
    static BEGUN: Event = Event::new();
    static GO: Event = Event::new();
    let [new, done, poisoned] = [(); 3].map(|()| Once::new());
    done.call_once(|| ());
    let panics = || poisoned.call_once(|| std::panic::resume_unwind(Box::new("quietly")));
    assert!(std::panic::catch_unwind(panics).is_err());
    let [empty, full] = [(); 2].map(|()| OnceLock::new());
    full.set(1).unwrap();
    static RUNNING: Once = Once::new();
    let makes = std::thread::spawn(|| {
        RUNNING.call_once(|| {
            BEGUN.set();
            GO.wait();
        });
    });
    BEGUN.wait();
    let code = in_child_that_starts_threads(|| {
        let ran = std::thread::scope(|scope| {
            let calls = [(); 2].map(|()| scope.spawn(|| new.call_once(|| ())));
            calls.into_iter().all(|call| call.join().is_ok())
        });
        first_false([
            ran && new.is_completed(),
            done.is_completed(),
            poisoned.state() == OnceStatus::Poisoned,
            RUNNING.state() == OnceStatus::InProgress,
            *full.get_or_init(|| 2) == 1,
            empty.get().is_none() && *empty.get_or_init(|| 3) == 3,
        ])
    });
    assert_eq!(code, 0);
    assert!(!new.is_completed() && empty.get().is_none(), "the parent's are its own");
    GO.set();
    makes.join().unwrap();
    assert!(RUNNING.is_completed());
}

#[test]
fn latches_wait_groups_and_parkers_are_in_the_child_as_they_were() {
    let (_turn, _watch) = (turn(), watch());
    static LATCH: Latch = Latch::new(2);
    let group = WaitGroup::new();
    let theirs = group.clone();
    let (release, gate) = mpsc::channel::<()>();
    let owes = std::thread::spawn(move || {
        let _ = gate.recv();
        theirs.done();
        LATCH.count_down(1);
    });
    let waits = std::thread::spawn(|| LATCH.wait());
    let parker = Parker::new();
    std::thread::sleep(A_MOMENT);
    let mut held = Some((group, parker));
    let code = in_child_that_starts_threads(|| {
        let (group, parker) = held.take().unwrap();
        // The parent's thread does not come.
        let owed = LATCH.count() == 2 && group.count() == 2;
        let in_vain = !LATCH.wait_timeout(MOMENT) && !parker.park_timeout(MOMENT);
        let Err(group) = group.wait_timeout(MOMENT) else { return 90 };
        let opened = std::thread::scope(|scope| {
            let waits = scope.spawn(|| LATCH.wait());
            std::thread::sleep(A_MOMENT);
            LATCH.count_down(2);
            waits.join().is_ok()
        });
        let unparker = parker.unparker().clone();
        let parked = std::thread::scope(|scope| {
            scope.spawn(move || unparker.unpark());
            parker.park();
            true
        });
        first_false([owed, in_vain, group.count() == 2, opened, parked])
    });
    assert_eq!((code, LATCH.count()), (0, 2));
    drop(release);
    LATCH.count_down(1);
    let (group, _parker) = held.unwrap();
    group.wait();
    owes.join().unwrap();
    waits.join().unwrap();
}

#[test]
fn a_lock_that_the_forking_thread_holds_is_released_by_its_guard() {
    let (_turn, _watch) = (turn(), watch());
    let (mutex, fair, shared, nested) =
        (Mutex::new(1), FairMutex::new(1), RwLock::new(1), ReentrantMutex::new(1));
    let read = RwLock::new(1);
    std::thread::scope(|scope| {
        let guards = (mutex.lock(), fair.lock(), shared.write(), nested.lock(), read.read());
        // The fair lock has no waiter: see the table.
        scope.spawn(|| drop(mutex.lock()));
        scope.spawn(|| drop(shared.read()));
        scope.spawn(|| drop(nested.lock()));
        scope.spawn(|| drop(read.write()));
        std::thread::sleep(A_MOMENT);
        let mut guards = Some(guards);
        let code = in_child_that_starts_threads(|| {
            let owned = nested.is_owned_by_current_thread() && mutex.is_locked();
            // Another thread of the child gets each of them when its guard goes.
            let handed_over = std::thread::scope(|scope| {
                let takes = scope.spawn(|| {
                    drop((mutex.lock(), fair.lock(), shared.write(), nested.lock()));
                    drop(read.write());
                });
                std::thread::sleep(A_MOMENT);
                drop(guards.take());
                takes.join().is_ok()
            });
            let free = mutex.try_lock().is_some() && fair.try_lock().is_some();
            let shared = shared.try_write().is_some() && nested.try_lock().is_some();
            first_false([owned, handed_over, free, shared && read.try_write().is_some()])
        });
        assert_eq!(code, 0);
        assert!(mutex.is_locked() && fair.is_locked() && shared.is_locked_exclusive());
    });
}

#[test]
fn a_semaphore_that_no_thread_waits_for_goes_on_in_the_child() {
    let (_turn, _watch) = (turn(), watch());
    static SEMAPHORE: Semaphore = Semaphore::new(3);
    static BOUNDED: BoundedSemaphore = BoundedSemaphore::new(2);
    static HELD: Event = Event::new();
    static END: Event = Event::new();
    let holds = std::thread::spawn(|| {
        let _permits = (SEMAPHORE.acquire().unwrap(), BOUNDED.acquire().unwrap());
        HELD.set();
        END.wait();
    });
    HELD.wait();
    let code = in_child_that_starts_threads(|| {
        let left = SEMAPHORE.available_permits() == 2 && BOUNDED.available_permits() == 1;
        let handed_over = std::thread::scope(|scope| {
            let permits = (SEMAPHORE.acquire_many(2), BOUNDED.acquire());
            let waits =
                scope.spawn(|| (SEMAPHORE.acquire_many(2).is_ok(), BOUNDED.acquire().is_ok()));
            std::thread::sleep(A_MOMENT);
            drop(permits);
            waits.join().ok() == Some((true, true))
        });
        first_false([left, handed_over, SEMAPHORE.try_acquire_many_for(3, MOMENT).is_err()])
    });
    assert_eq!(code, 0);
    END.set();
    holds.join().unwrap();
}

#[test]
fn a_token_is_cancelled_in_the_child_alone() {
    let (_turn, _watch) = (turn(), watch());
    let token = CancelToken::new();
    let child_token = token.child();
    let theirs = token.clone();
    let waits = std::thread::spawn(move || theirs.wait());
    std::thread::sleep(A_MOMENT);
    let code = in_child_that_starts_threads(|| {
        let late = token.child();
        let in_vain = !token.wait_timeout(MOMENT);
        let ended = std::thread::scope(|scope| {
            let waits = scope.spawn(|| late.wait());
            std::thread::sleep(A_MOMENT);
            token.cancel();
            waits.join().is_ok()
        });
        first_false([in_vain, ended, child_token.is_cancelled() && late.is_cancelled()])
    });
    assert_eq!((code, token.is_cancelled()), (0, false));
    token.cancel();
    waits.join().unwrap();
}

#[test]
fn a_scope_of_threads_ends_in_the_child_at_once_and_starts_none() {
    let (_turn, _watch) = (turn(), watch());
    let gate = Event::new();
    let mut pid = 0;
    let mut refused = false;
    thread::scope(|scope| {
        let member = scope.spawn(|| gate.wait()).unwrap();
        settle();
        // SAFETY: the child goes on with the end of the scope, which is under test, and ends.
        pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: an alarm for a child that hangs.
            unsafe { libc::alarm(60) };
            refused = matches!(scope.spawn(|| ()), Err(SpawnError::ShutDown));
        } else {
            gate.set();
        }
        drop(member);
    });
    if pid == 0 {
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(i32::from(!refused)) };
    }
    assert!(pid > 0);
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the scope started a thread in the child, or did not end");
}

#[test]
fn the_hook_of_the_parent_is_called_in_the_child() {
    let (_turn, _watch) = (turn(), watch());
    static CALLED: AtomicU32 = AtomicU32::new(0);
    thread::set_panic_hook(|report| {
        if &*report.thread().name() == "panics in the child" {
            CALLED.fetch_add(1, Ordering::Relaxed);
        }
    });
    let code = in_child_that_starts_threads(|| {
        let panics = || std::panic::resume_unwind(Box::new("quietly"));
        let thread = Builder::new().name("panics in the child").spawn(panics).unwrap();
        let failed = thread.join().map(|_: &()| ()).is_err();
        first_false([failed, CALLED.load(Ordering::Relaxed) == 1, thread::take_panic_hook()])
    });
    assert_eq!((code, CALLED.load(Ordering::Relaxed)), (0, 0));
    assert!(thread::take_panic_hook(), "the parent has its own");
}

/// The bodies of a thread, of a member of a group and of a thread in a scope.
#[test]
fn a_child_that_a_threads_body_forks_ends_with_the_body() {
    let (_turn, _watch) = (turn(), watch());
    let children = Children::new();
    let forks = || children.fork();
    let dies = || assert!(!children.fork(), "in the child");
    thread::scope(|scope| _ = scope.spawn(forks).unwrap().join());
    thread::scope(|scope| _ = scope.spawn(dies).unwrap().join());
    let owned = || (children.clone(), children.clone());
    let group = Group::new();
    for grouped in [false, true] {
        let (forks, dies) = owned();
        let forks = move || _ = forks.fork();
        let dies = move || assert!(!dies.fork(), "in the child");
        if grouped {
            _ = group.spawn(forks).unwrap().join();
            _ = group.spawn(dies).unwrap().join();
        } else {
            _ = thread::spawn(forks).unwrap().join();
            _ = thread::spawn(dies).unwrap().join();
        }
    }
    drop(group);
    for _ in 0..6 {
        assert_eq!(children.status(), 0, "the child's end");
    }
}

/// The forks come while other threads of the parent start and end: a lock of std's is held at many
/// of them, which std takes again at the end of a thread.
#[test]
fn a_child_of_a_threads_body_ends_though_threads_of_the_parent_were_starting() {
    let (_turn, _watch) = (turn(), watch());
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let threads = [(); 8].map(|()| std::thread::spawn(|| ()));
                    threads.into_iter().for_each(|thread| thread.join().unwrap());
                }
            });
        }
        for _ in 0..500 {
            let children = Children::new();
            let forks = children.clone();
            _ = thread::spawn(move || forks.fork()).unwrap().join();
            assert_eq!(children.status(), 0);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
