//! The rules for the child of a fork, object by object: the table in the documentation of
//! `sync_core::thread`.
#![cfg(target_os = "linux")]

#[path = "fork/objects.rs"]
mod objects;
#[path = "fork/wakers.rs"]
mod wakers;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

use sync_core::task::block_on;
use sync_core::thread::{self, Builder, Group, JoinError, JoinHandle, ShutDown, SpawnError};
use sync_core::{
    AutoResetEvent, Barrier, BoundedSemaphore, CancelOnDrop, CancelToken, Event, FairMutex,
    LazyLock, Mutex, RateLimiter, RawSemaphore, ReentrantMutex, RwLock, Semaphore,
};
use watchdog::watch;

static MUTEX: Mutex<u32> = Mutex::new(0);
static SEMAPHORE: Semaphore = Semaphore::new(2);
static RAW: RawSemaphore = RawSemaphore::new(1);
static BOUNDED: BoundedSemaphore = BoundedSemaphore::new(2);
static EVENT: Event = Event::new();
static AUTO: AutoResetEvent = AutoResetEvent::new();
static BARRIER: Barrier = Barrier::new(2);
static FAIR: FairMutex<u32> = FairMutex::new(0);
static SHARED: RwLock<u32> = RwLock::new(0);
static NESTED: ReentrantMutex<u32> = ReentrantMutex::new(0);

const MOMENT: Duration = Duration::from_millis(1);

/// The checks of the child; the first check that fails is its exit code. It must not allocate or
/// panic: another thread may have held the allocator's lock when the process was forked.
fn child() -> i32 {
    let checks = || {
        // Everything is as the threads of the parent left it.
        if MUTEX.try_lock().is_some() || SEMAPHORE.try_acquire().is_ok() || BARRIER.waiting() != 1 {
            return 1;
        }
        if FAIR.try_lock().is_some() || SHARED.try_read().is_some() || NESTED.try_lock().is_some() {
            return 7;
        }
        // SAFETY: the child has one thread, which holds no guard; the data under the mutex is a
        // number.
        unsafe {
            MUTEX.reinit_after_fork();
            SEMAPHORE.reinit_after_fork(2);
            RAW.reinit_after_fork(1);
            BOUNDED.reinit_after_fork();
            EVENT.reinit_after_fork();
            AUTO.reinit_after_fork();
            BARRIER.reinit_after_fork();
            FAIR.reinit_after_fork();
            SHARED.reinit_after_fork();
            NESTED.reinit_after_fork();
        }
        if FAIR.try_lock_for(MOMENT).is_none()
            || SHARED.try_write_for(MOMENT).is_none()
            || NESTED.try_lock_for(MOMENT).is_none()
        {
            return 8;
        }
        if MUTEX.try_lock_for(MOMENT).is_none() {
            return 2;
        }
        match (
            SEMAPHORE.try_acquire_many_for(2, MOMENT),
            RAW.try_acquire_for(1, MOMENT),
            BOUNDED.try_acquire_many_for(2, MOMENT),
        ) {
            (Ok(_), Ok(()), Ok(_)) => {}
            _ => return 3,
        }
        if BOUNDED.release(1).is_ok() || SEMAPHORE.available_permits() != 2 {
            return 4;
        }
        EVENT.set();
        AUTO.set();
        if !EVENT.wait_timeout(MOMENT) || !AUTO.wait_timeout(MOMENT) {
            return 5;
        }
        // No thread waits any more: alone, this thread is the first of two.
        match BARRIER.wait_timeout(MOMENT) {
            Err(broken) if broken.timed_out() => 0,
            _ => 6,
        }
    };
    checks()
}

#[test]
fn the_child_of_a_fork_can_use_everything_again() {
    let (_turn, _watch) = (turn(), watch());
    static HELD: AtomicU32 = AtomicU32::new(0);
    // A thread that holds and one that waits at the barrier, neither of which the child has.
    let holds = std::thread::spawn(|| {
        let _locks = (MUTEX.lock(), FAIR.lock(), SHARED.write(), NESTED.lock());
        let _permits = (SEMAPHORE.acquire_many(2).unwrap(), BOUNDED.acquire_many(2).unwrap());
        RAW.acquire(1).unwrap();
        HELD.store(1, Ordering::Release);
        EVENT.wait();
    });
    let waits = std::thread::spawn(|| BARRIER.wait().is_ok());
    while HELD.load(Ordering::Acquire) == 0 || BARRIER.waiting() == 0 {
        std::thread::yield_now();
    }
    // SAFETY: the child calls nothing that is not safe after a fork: atomics, futexes and `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = child();
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "the child ended with status {status:#x}");
    assert_eq!(libc::WEXITSTATUS(status), 0, "which check of the child failed");
    // The parent's own are as they were.
    assert!(BARRIER.wait().is_ok() && waits.join().unwrap());
    EVENT.set();
    holds.join().unwrap();
    assert!(MUTEX.try_lock().is_some());
}

/// One test at a time: `std` has a lock that threads take where they start and end, and a child in
/// which it is held can start no thread.
fn turn() -> std::sync::MutexGuard<'static, ()> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits until all other threads sleep, so that none is starting or ending.
fn settle() {
    let asleep = |task: std::fs::DirEntry| {
        let me = task.file_name().to_str() == Some(&thread::native_id().to_string());
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        me || stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
    };
    while !std::fs::read_dir("/proc/self/task").unwrap().flatten().all(asleep) {
        std::thread::yield_now();
    }
}

/// As [`in_child`], of a process whose other threads sleep: `f` may start threads.
fn in_child_that_starts_threads(f: impl FnOnce() -> i32) -> i32 {
    settle();
    in_child(f)
}

/// Runs `f` in a child, which ends with the number it returns; that number.
fn in_child(f: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child uses what the C library keeps usable after a fork (memory among it), and
    // the functions under test.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: an alarm for a child that hangs, and its end without running what belongs to the
        // parent.
        unsafe {
            libc::alarm(60);
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(255);
            libc::_exit(code);
        }
    }
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "the child ended with status {status:#x}");
    libc::WEXITSTATUS(status)
}

/// The code of the first check that is false, counted from 1.
fn first_false(checks: impl IntoIterator<Item = bool>) -> i32 {
    checks.into_iter().position(|check| !check).map_or(0, |at| at as i32 + 1)
}

fn idle(gate: &Arc<Event>) -> JoinHandle<u32> {
    let gate = Arc::clone(gate);
    thread::spawn(move || {
        gate.wait();
        7
    })
    .unwrap()
}

fn process() -> u32 {
    std::process::id()
}

#[test]
fn the_child_knows_of_one_thread_which_is_its_main_thread() {
    let (_turn, _watch) = (turn(), watch());
    let gate = Arc::new(Event::new());
    let _idle = [idle(&gate), idle(&gate)];
    let me = thread::current();
    let checks = || {
        let now = thread::current();
        first_false([
            thread::active_count() == 1,
            thread::enumerate() == [now.clone()],
            now == thread::main_thread(),
            now == me,
            now.is_alive() && me.is_alive(),
            now.ident().is_some() && now.ident() == me.ident(),
            now.native_id() == Some(process()) && thread::native_id() == process(),
        ])
    };
    assert_eq!(in_child(checks), 0, "in a foreign thread that was seen before");
    let unseen = std::thread::spawn(move || {
        in_child(|| {
            let now = thread::current();
            first_false([
                thread::active_count() == 1,
                now == thread::main_thread(),
                now.ident().is_some(),
                now.native_id() == Some(process()),
            ])
        })
    });
    assert_eq!(unseen.join().unwrap(), 0, "in a foreign thread that was not");
    let ours = Builder::new().name("forks").spawn(|| {
        in_child_that_starts_threads(|| {
            let now = thread::current();
            let seen_by_another = std::thread::scope(|scope| {
                let asks = || (thread::main_thread(), thread::active_count());
                scope.spawn(asks).join().unwrap()
            });
            first_false([
                seen_by_another == (now.clone(), 1),
                now == thread::main_thread() && &*now.name() == "forks",
                now.native_id() == Some(process()),
                thread::enumerate() == [now],
            ])
        })
    });
    assert_eq!(ours.unwrap().join(), Ok(&0), "in a thread of ours");
    gate.set();
}

#[test]
fn the_thread_that_forked_lives_on_in_child_and_grandchild() {
    let (_turn, _watch) = (turn(), watch());
    let (send, receive) = std::sync::mpsc::channel::<JoinHandle<i32>>();
    let forks = thread::spawn(move || {
        let mine = receive.recv().unwrap();
        in_child_that_starts_threads(|| {
            // Another thread of the child checks: it sees the record and not the thread.
            let asks = || (mine.is_alive(), mine.native_id(), mine.try_join().copied());
            let by_another = std::thread::scope(|scope| scope.spawn(asks).join().unwrap());
            let expected = (true, Some(process()), Err(JoinError::TimedOut));
            if by_another != expected {
                return 1;
            }
            let grandchild = in_child_that_starts_threads(|| {
                first_false([mine.is_alive(), mine.native_id() == Some(process())])
            });
            if grandchild != 0 {
                return 10 + grandchild;
            }
            // A fork of another thread: this one stays behind.
            let asks = || in_child_that_starts_threads(|| i32::from(mine.is_alive()));
            20 * std::thread::scope(|scope| scope.spawn(asks).join().unwrap())
        })
    })
    .unwrap();
    send.send(forks.clone()).unwrap();
    assert_eq!(forks.join(), Ok(&0));
}

#[test]
fn a_join_of_a_thread_of_the_parent_is_an_error() {
    let (_turn, _watch) = (turn(), watch());
    let gate = Arc::new(Event::new());
    let (runs, over) = (idle(&gate), thread::spawn(|| 8).unwrap());
    let failed = thread::spawn(|| panic!("in the parent")).unwrap();
    assert_eq!(over.join(), Ok(&8));
    let _ = failed.join().map(|_: &()| ());
    let mut runs = Some(runs);
    let code = in_child(|| {
        let runs = runs.take().unwrap();
        let other = || Err(JoinError::OtherProcess);
        first_false([
            !runs.is_alive(),
            runs.join() == other(),
            runs.join_timeout(Duration::MAX) == other(),
            runs.join_deadline(std::time::Instant::now()) == other(),
            runs.try_join() == other(),
            runs.take_panic().is_none(),
            format!("{runs:?}").contains("stopped"),
            runs.into_result().is_err(),
            // A thread that was over at the fork has an outcome.
            over.join() == Ok(&8),
            failed.take_panic().is_some(),
        ])
    });
    assert_eq!(code, 0);
    gate.set();
    assert_eq!(runs.unwrap().join(), Ok(&7), "and the parent's is as it was");
}

#[test]
fn a_group_of_the_parent_is_not_joined_and_not_called() {
    let (_turn, _watch) = (turn(), watch());
    static CALLED: AtomicU32 = AtomicU32::new(0);
    let gate = Arc::new(Event::new());
    let group = Group::new();
    let (inside, theirs, opens) = (group.handle(), Arc::clone(&gate), Arc::clone(&gate));
    inside
        .at_exit(move || {
            CALLED.fetch_add(1, Ordering::Relaxed);
            opens.set();
        })
        .unwrap();
    let member = group.spawn(move || theirs.wait()).unwrap();
    let mut group = Some(group);
    let code = in_child(|| {
        let group = group.take().unwrap();
        let refused = matches!(inside.spawn(|| ()), Err(SpawnError::ShutDown));
        let shown = !format!("{group:?}").contains("threads");
        drop(group);
        first_false([
            refused,
            shown,
            inside.at_exit(|| ()) == Err(ShutDown),
            CALLED.load(Ordering::Relaxed) == 0,
            !member.is_alive(),
        ])
    });
    assert_eq!(code, 0);
    drop(group.take());
    assert_eq!(CALLED.load(Ordering::Relaxed), 1);
    assert!(!member.is_alive());
}

#[test]
fn a_callback_of_a_group_may_fork_and_return_in_the_child() {
    let (_turn, _watch) = (turn(), watch());
    static CALLED: AtomicU32 = AtomicU32::new(0);
    static CHILD: AtomicI32 = AtomicI32::new(-1);
    let gate = Arc::new(Event::new());
    let group = Group::new();
    let (theirs, opens) = (Arc::clone(&gate), gate);
    let member = group.spawn(move || theirs.wait()).unwrap();
    let last = move || {
        CALLED.fetch_add(1, Ordering::Relaxed);
        opens.set();
    };
    group.handle().at_exit(last).unwrap();
    let first = || {
        // SAFETY: the child goes on with the drop of the group, which is under test, and ends.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: an alarm for a child that hangs.
            unsafe { libc::alarm(60) };
        }
        CHILD.store(pid, Ordering::Relaxed);
    };
    group.handle().at_exit(first).unwrap();
    drop(group);
    let pid = CHILD.load(Ordering::Relaxed);
    if pid == 0 {
        let code = first_false([CALLED.load(Ordering::Relaxed) == 0, !member.is_alive()]);
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(code) };
    }
    assert!(pid > 0);
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the child's copy of the group called or joined");
    assert_eq!(CALLED.load(Ordering::Relaxed), 1);
    assert!(!member.is_alive());
}

#[test]
fn threads_and_groups_of_the_child_are_its_own() {
    let (_turn, _watch) = (turn(), watch());
    let code = in_child_that_starts_threads(|| {
        let called = Arc::new(AtomicU32::new(0));
        let theirs = Arc::clone(&called);
        let group = Group::new();
        group
            .handle()
            .at_exit(move || {
                theirs.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
        let member = group.spawn(thread::active_count).unwrap();
        let counted = member.join().cloned();
        drop(group);
        first_false([
            counted == Ok(2),
            called.load(Ordering::Relaxed) == 1,
            thread::spawn(|| 1).unwrap().join() == Ok(&1),
            thread::active_count() == 1,
        ])
    });
    assert_eq!(code, 0);
}

/// Threads begin and end, change their names and set hooks in the parent all the time, so that its
/// locks are held at many of the forks.
#[test]
fn no_lock_of_the_parents_registry_is_waited_for() {
    let (_turn, _watch) = (turn(), watch());
    static STOP: AtomicBool = AtomicBool::new(false);
    let me = thread::current();
    let group = Group::new();
    let inside = group.handle();
    let busy = |f: Box<dyn Fn() + Send>| {
        std::thread::spawn(move || {
            while !STOP.load(Ordering::Relaxed) {
                f();
            }
        })
    };
    let (named, members) = (me.clone(), inside.clone());
    let busy = [
        busy(Box::new(|| drop(thread::spawn(|| ()).unwrap().join()))),
        busy(Box::new(|| drop(thread::enumerate()))),
        busy(Box::new(move || named.set_name("renamed"))),
        busy(Box::new(|| thread::set_panic_hook(|_| ()))),
        busy(Box::new(move || drop(members.spawn(|| ()).unwrap().join()))),
    ];
    let mut group = Some(group);
    let mut codes = Vec::new();
    for _ in 0..60 {
        codes.push(in_child(|| {
            drop(group.take());
            first_false([
                thread::take_panic_hook() || !thread::take_panic_hook(),
                thread::enumerate().len() == 1,
                thread::active_count() == 1,
                !thread::current().name().is_empty() && !me.name().is_empty(),
                inside.spawn(|| ()).is_err(),
            ])
        }));
    }
    STOP.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().unwrap();
    }
    thread::take_panic_hook();
    assert!(codes.iter().all(|&code| code == 0), "{codes:?}");
}

/// In the parent threads sleep on the words that the child uses: its wakes are for its own.
#[test]
fn sleepers_of_the_parent_take_no_wake_of_the_child() {
    let (_turn, _watch) = (turn(), watch());
    static SLEPT_ON: RawSemaphore = RawSemaphore::new(0);
    let sleepers: Vec<_> =
        (0..3).map(|_| std::thread::spawn(|| SLEPT_ON.acquire(1).unwrap())).collect();
    std::thread::sleep(10 * MOMENT);
    let code = in_child_that_starts_threads(|| {
        // SAFETY: no thread of the child uses it.
        unsafe { SLEPT_ON.reinit_after_fork(0) };
        let waits = std::thread::spawn(|| SLEPT_ON.acquire(1).is_ok());
        std::thread::sleep(10 * MOMENT);
        SLEPT_ON.release(1).unwrap();
        first_false([waits.join().unwrap(), SLEPT_ON.available_permits() == 0])
    });
    assert_eq!(code, 0);
    SLEPT_ON.release(3).unwrap();
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
}

/// Threads of the parent begin and end to sleep all the time: the portable futex has locks for
/// that, which are held at many of the forks.
#[test]
fn no_lock_of_the_parents_futex_is_waited_for() {
    let (_turn, _watch) = (turn(), watch());
    static STOP: AtomicBool = AtomicBool::new(false);
    static WORDS: [RawSemaphore; 64] = [const { RawSemaphore::new(0) }; 64];
    let busy: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                while !STOP.load(Ordering::Relaxed) {
                    for word in &WORDS {
                        let _ = word.try_acquire_for(1, Duration::from_micros(1));
                    }
                }
            })
        })
        .collect();
    let mut codes = Vec::new();
    for _ in 0..40 {
        codes.push(in_child(|| {
            let sleeps = |word: &RawSemaphore| word.try_acquire_for(1, Duration::from_micros(1));
            first_false(WORDS.iter().map(|word| sleeps(word).is_err()))
        }));
    }
    STOP.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().unwrap();
    }
    assert!(codes.iter().all(|&code| code == 0), "{codes:?}");
}

/// Threads of the parent wait for every lock and every semaphore at the fork: two in the queue of
/// the fair lock, and a request for many at the head of each line.
#[test]
fn a_reset_forgets_the_waiters_of_the_parent() {
    let (_turn, _watch) = (turn(), watch());
    static MUTEX: Mutex<u32> = Mutex::new(0);
    static FAIR: FairMutex<u32> = FairMutex::new(0);
    static SHARED: RwLock<u32> = RwLock::new(0);
    static NESTED: ReentrantMutex<u32> = ReentrantMutex::new(0);
    static SEMAPHORE: Semaphore = Semaphore::new(2);
    static BOUNDED: BoundedSemaphore = BoundedSemaphore::new(2);
    static RAW: RawSemaphore = RawSemaphore::new(0);
    static HELD: Event = Event::new();
    static END: Event = Event::new();
    let holds = std::thread::spawn(|| {
        let _locks = (MUTEX.lock(), FAIR.lock(), SHARED.write(), NESTED.lock());
        let _permits = (SEMAPHORE.acquire_many(2).unwrap(), BOUNDED.acquire_many(2).unwrap());
        HELD.set();
        END.wait();
    });
    HELD.wait();
    let waits: [fn(); 12] = [
        || drop(MUTEX.lock()),
        || drop(FAIR.lock()),
        || drop(FAIR.lock()),
        || drop(SHARED.read()),
        || drop(SHARED.write()),
        || drop(SHARED.upgradable_read()),
        || drop(NESTED.lock()),
        || drop(SEMAPHORE.acquire_many(2).unwrap()),
        || drop(SEMAPHORE.acquire().unwrap()),
        || drop(BOUNDED.acquire_many(2).unwrap()),
        || drop(BOUNDED.acquire().unwrap()),
        || RAW.acquire(2).unwrap(),
    ];
    let waits = waits.map(std::thread::spawn);
    std::thread::sleep(10 * MOMENT);
    /// A thread of the child waits for what another one holds.
    fn handed_over<G>(take: impl Fn() -> G + Sync) -> bool {
        let held = take();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| drop(take()));
            std::thread::sleep(2 * MOMENT);
            drop(held);
            waits.join().is_ok()
        })
    }
    let code = in_child_that_starts_threads(|| {
        // SAFETY: the child has one thread, which holds no guard; the data is numbers.
        unsafe {
            MUTEX.reinit_after_fork();
            FAIR.reinit_after_fork();
            SHARED.reinit_after_fork();
            NESTED.reinit_after_fork();
            SEMAPHORE.reinit_after_fork(2);
            BOUNDED.reinit_after_fork();
            RAW.reinit_after_fork(0);
        }
        first_false([
            MUTEX.try_lock().is_some() && handed_over(|| MUTEX.lock()),
            FAIR.try_lock().is_some() && handed_over(|| FAIR.lock()),
            SHARED.try_read().is_some() && handed_over(|| SHARED.write()),
            handed_over(|| SHARED.upgradable_read()),
            NESTED.try_lock().is_some() && handed_over(|| NESTED.lock()),
            SEMAPHORE.try_acquire().is_ok() && handed_over(|| SEMAPHORE.acquire_many(2)),
            handed_over(|| (SEMAPHORE.acquire(), SEMAPHORE.acquire())),
            BOUNDED.try_acquire().is_ok() && handed_over(|| BOUNDED.acquire_many(2)),
            RAW.release(1).is_ok() && RAW.try_acquire(1).is_ok(),
        ])
    });
    assert_eq!(code, 0, "the check that failed in the child");
    END.set();
    RAW.release(2).unwrap();
    for waits in waits {
        waits.join().unwrap();
    }
    holds.join().unwrap();
}

/// Threads of the parent take the panic of one thread, and threads of a scope panic, all the time.
#[test]
fn no_lock_of_a_panic_is_waited_for() {
    let (_turn, _watch) = (turn(), watch());
    static STOP: AtomicBool = AtomicBool::new(false);
    let failed = thread::spawn(|| std::panic::resume_unwind(Box::new("quietly"))).unwrap();
    assert!(failed.join().map(|_: &()| ()).is_err());
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let failed = failed.clone();
            std::thread::spawn(move || {
                while !STOP.load(Ordering::Relaxed) {
                    drop(failed.take_panic());
                }
            })
        })
        .collect();
    let mut codes = Vec::new();
    for _ in 0..20 {
        codes.push(in_child(|| {
            drop(failed.take_panic());
            i32::from(!matches!(failed.join(), Err(JoinError::Panicked(_))))
        }));
    }
    STOP.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().unwrap();
    }
    assert!(codes.iter().all(|&code| code == 0), "{codes:?}");
}

/// Threads of the parent make and drop children of one token all the time.
#[test]
fn the_drop_of_a_token_and_its_cancelling_wait_for_no_lock_of_the_parent() {
    let (_turn, _watch) = (turn(), watch());
    static STOP: AtomicBool = AtomicBool::new(false);
    let token = CancelToken::new();
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let token = token.clone();
            std::thread::spawn(move || {
                while !STOP.load(Ordering::Relaxed) {
                    let children: [CancelToken; 8] = std::array::from_fn(|_| token.child());
                    drop(children);
                }
            })
        })
        .collect();
    let mut codes = Vec::new();
    for _ in 0..20 {
        let mut mine = Some((token.child(), token.child().child()));
        let mut cancels = Some(token.clone().cancel_on_drop());
        codes.push(in_child(|| {
            let alive = mine.as_ref().is_some_and(|(child, _)| !child.is_cancelled());
            drop(mine.take());
            let late = token.is_cancelled();
            drop(cancels.take());
            i32::from(!alive || late || !token.is_cancelled())
        }));
        drop(cancels.map(CancelOnDrop::disarm));
    }
    STOP.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().unwrap();
    }
    assert!(codes.iter().all(|&code| code == 0), "{codes:?}");
}

/// Calls of the waker of a parent's task, in the parent.
static WOKEN: AtomicU32 = AtomicU32::new(0);
static IN_CHILD: AtomicBool = AtomicBool::new(false);

struct OfTheParent;

impl std::task::Wake for OfTheParent {
    fn wake(self: Arc<Self>) {
        if IN_CHILD.load(Ordering::SeqCst) {
            // SAFETY: ends the child.
            unsafe { libc::_exit(9) };
        }
        WOKEN.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_limiter_goes_on_in_the_child() {
    static LIMIT: RateLimiter = RateLimiter::new(1, Duration::from_secs(3600)).burst(2);
    let (_watch, _turn) = (watch(), turn());
    let waits = std::thread::spawn(|| {
        assert!(LIMIT.acquire_many(3).is_err(), "until it is closed");
    });
    while LIMIT.available() != 0 {
        std::thread::yield_now();
    }
    let failed = in_child(|| {
        let late = Duration::from_secs(3000);
        first_false([
            LIMIT.available() == 0 && LIMIT.try_acquire().is_err(),
            // The debt of the parent's thread is there too.
            LIMIT.try_acquire_for(late).is_err() && LIMIT.reserve(1).is_ok_and(|wait| wait > late),
            {
                LIMIT.close();
                LIMIT.acquire().is_err()
            },
            {
                let own = RateLimiter::new(1, Duration::from_micros(1));
                own.acquire_many(5).is_ok()
            },
        ])
    });
    assert_eq!((failed, LIMIT.is_closed()), (0, false));
    LIMIT.close();
    waits.join().unwrap();
}

#[test]
fn a_value_that_a_thread_of_the_parent_is_making_is_not_dropped_in_the_child() {
    struct Counts(&'static AtomicU32);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    static DROPS: AtomicU32 = AtomicU32::new(0);
    let (_watch, _turn) = (watch(), turn());
    let (begun, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let owned = Counts(&DROPS);
    let (begins, goes) = (Arc::clone(&begun), Arc::clone(&go));
    let lazy = Arc::new(LazyLock::new(move || {
        begins.set();
        goes.wait();
        drop(owned);
        7
    }));
    let theirs = Arc::clone(&lazy);
    let makes = std::thread::spawn(move || assert_eq!(**theirs, 7));
    begun.wait();
    for way in ["drop", "into_inner"] {
        let lazy = Arc::clone(&lazy);
        let failed = in_child(|| {
            // SAFETY: the child owns the copies of all references: its parent's thread is not here.
            unsafe {
                Arc::decrement_strong_count(Arc::as_ptr(&lazy));
                Arc::decrement_strong_count(Arc::as_ptr(&lazy));
            }
            let Some(lazy) = Arc::into_inner(lazy) else { return 90 };
            let refused = way == "drop" || {
                let inner = std::panic::AssertUnwindSafe(|| LazyLock::into_inner(lazy).is_ok());
                std::panic::catch_unwind(inner).is_err()
            };
            // The closure is with the thread that runs it.
            first_false([refused, DROPS.load(Ordering::SeqCst) == 0])
        });
        assert_eq!(failed, 0, "{way}");
    }
    go.set();
    makes.join().unwrap();
    assert_eq!(DROPS.load(Ordering::SeqCst), 1);
}

/// A wake in the child calls no waker of the parent; a future that the child inherited can be
/// dropped, and its poll finds the object as the child left it.
#[test]
fn the_tasks_of_the_parent_are_not_in_the_child() {
    let (_turn, _watch) = (turn(), watch());
    let event = Event::new();
    let waker = std::task::Waker::from(Arc::new(OfTheParent));
    let mut context = std::task::Context::from_waker(&waker);
    let mut waits = std::pin::pin!(event.wait_async());
    let mut dropped = std::pin::pin!(Some(event.wait_async()));
    assert!(waits.as_mut().poll(&mut context).is_pending());
    assert!(dropped.as_mut().as_pin_mut().unwrap().poll(&mut context).is_pending());
    // SAFETY: the child neither allocates nor panics.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        IN_CHILD.store(true, Ordering::SeqCst);
        event.set();
        dropped.set(None);
        let code = i32::from(waits.as_mut().poll(&mut context).is_pending());
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status}");
    assert_eq!(WOKEN.load(Ordering::SeqCst), 0);
    event.set();
    assert_eq!(WOKEN.load(Ordering::SeqCst), 2, "the table of the parent is as it was");
    assert!(waits.as_mut().poll(&mut context).is_ready());
}

/// A task that waits for a token in the parent can go on in the child, whose alarms are its own.
#[test]
fn a_wait_for_a_token_goes_on_in_the_child() {
    let (_turn, _watch) = (turn(), watch());
    let limit = RateLimiter::new(1, Duration::from_millis(20));
    limit.acquire().unwrap();
    let mut waits = Box::pin(limit.acquire_async());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waits.as_mut().poll(&mut context).is_pending());
    let code = in_child_that_starts_threads(|| i32::from(block_on(waits.as_mut()) != Ok(())));
    assert_eq!(code, 0);
    assert_eq!(block_on(waits), Ok(()));
}
