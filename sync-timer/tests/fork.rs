//! Calls in the child of a fork on each object that was copied into it: no call waits for a thread
//! that is not there.
#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sync_queue::ThreadPool;
use sync_timer::{
    Cancel, JoinError, ManualClock, Missed, Outcome, Pending, Periodic, Scheduler, ShutDown, Timer,
};

#[path = "../../sync-core/tests/support/children.rs"]
mod children;
use children::Children;

#[path = "fork/user_code.rs"]
mod user_code;

const HOUR: Duration = Duration::from_secs(3600);

/// Runs `child` in a forked process, and fails if it panics or does not end. The limit is far
/// beyond what a child takes on a busy machine.
#[track_caller]
fn in_child(what: &str, child: impl FnOnce()) {
    // SAFETY: the child runs the closure and leaves by `_exit`. glibc keeps the allocator usable in
    // the child; the threads of these tests hold no other lock that the closure needs.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
        // SAFETY: ends the child without the destructors of the parent's objects.
        unsafe { libc::_exit(if result.is_ok() { 0 } else { 1 }) };
    }
    let mut status = 0;
    for _ in 0..6000 {
        // SAFETY: `status` is writable, and the child is ours.
        match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
            0 => std::thread::sleep(Duration::from_millis(10)),
            ended => {
                assert_eq!((ended, status), (pid, 0), "{what} failed in the child");
                return;
            }
        }
    }
    // SAFETY: the child is ours and has not been waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    panic!("{what} hangs in the child");
}

/// A scheduler whose dispatcher sleeps, with a timer in it.
fn asleep() -> Scheduler {
    let scheduler = Scheduler::new();
    let (sender, receiver) = channel();
    scheduler.once(Duration::ZERO, move || sender.send(()).unwrap()).unwrap();
    receiver.recv().unwrap();
    scheduler.once(HOUR, || ()).unwrap();
    // Let the dispatcher get to its sleep: at the moment of the fork it should hold no lock.
    std::thread::sleep(Duration::from_millis(50));
    scheduler
}

#[test]
fn dropping_a_scheduler_returns_in_the_child() {
    let mut scheduler = Some(asleep());
    in_child("drop of a Scheduler", || drop(scheduler.take()));
    assert_eq!(scheduler.unwrap().shutdown(Pending::Discard), 1, "the timers are the parent's");
}

#[test]
fn a_shutdown_returns_in_the_child_and_leaves_the_timers_to_the_parent() {
    let scheduler = asleep();
    let token = Arc::new(());
    let held = Arc::clone(&token);
    scheduler.once(HOUR, move || drop(held)).unwrap();
    for pending in [Pending::Discard, Pending::Fire] {
        in_child("shutdown", || {
            assert_eq!(scheduler.shutdown(pending), 0);
            assert!(scheduler.is_shutdown());
            assert!(matches!(scheduler.once(HOUR, || ()), Err(ShutDown(_))));
            assert_eq!(Arc::strong_count(&token), 2);
            assert_eq!(scheduler.shutdown(Pending::Discard), 0, "again");
        });
    }
    assert!(!scheduler.is_shutdown());
    assert_eq!(scheduler.shutdown(Pending::Discard), 2);
}

#[test]
fn a_child_may_schedule_cancel_and_call_what_is_due_by_itself() {
    let scheduler = asleep();
    in_child("once, cancel and run_due", || {
        let handle = scheduler.once(HOUR, || ()).unwrap();
        assert_eq!(handle.cancel(), Cancel::Prevented);
        let (sender, receiver) = channel();
        scheduler.once(Duration::ZERO, move || sender.send(()).unwrap()).unwrap();
        assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err(), "no dispatcher");
        assert_eq!(scheduler.run_due(), 1);
        assert_eq!(receiver.try_recv(), Ok(()));
    });
}

#[test]
fn a_child_does_not_wait_for_a_callback_that_runs_in_the_parent() {
    let scheduler = Scheduler::new();
    let (begun, begins) = channel();
    let (go, wait) = channel::<()>();
    let handle = scheduler
        .once(Duration::ZERO, move || {
            begun.send(()).unwrap();
            _ = wait.recv();
        })
        .unwrap();
    begins.recv().unwrap();
    in_child("cancel_and_wait", || {
        assert!(handle.is_running());
        assert_eq!(handle.cancel_and_wait(), Cancel::Running);
        scheduler.shutdown(Pending::Fire);
    });
    let mut scheduler = Some(scheduler);
    in_child("drop beside a running callback", || drop(scheduler.take()));
    drop(go);
    assert_eq!(handle.cancel_and_wait(), Cancel::Done);
}

#[test]
fn a_scheduler_without_a_thread_works_in_the_child() {
    let clock = ManualClock::new();
    let scheduler = Arc::new(Scheduler::builder().clock(clock.clone()).build_without_thread());
    let handle = scheduler.every(HOUR, Missed::Skip, |_| ()).unwrap();
    // A callback runs on another thread at the moment of the fork.
    let (begun, begins) = channel();
    let (go, wait) = channel::<()>();
    let running = scheduler
        .once(Duration::ZERO, move || {
            begun.send(()).unwrap();
            _ = wait.recv();
        })
        .unwrap();
    let runner = {
        let scheduler = Arc::clone(&scheduler);
        std::thread::spawn(move || scheduler.run_due())
    };
    begins.recv().unwrap();
    in_child("a scheduler without a thread", || {
        clock.advance(HOUR);
        assert_eq!(scheduler.run_due(), 1);
        assert_eq!(handle.cancel_and_wait(), Cancel::Prevented);
        assert_eq!(running.cancel_and_wait(), Cancel::Running);
        assert_eq!(scheduler.shutdown(Pending::Fire), 0);
        assert_eq!(scheduler.shutdown(Pending::Discard), 0);
    });
    drop(go);
    assert_eq!(runner.join().unwrap(), 1);
}

#[test]
fn a_fork_within_a_callback_does_not_fire_the_parents_timers_twice() {
    let mut pipe = [0; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    let scheduler = Scheduler::new();
    let (sender, receiver) = channel();
    let child = Arc::new(Mutex::new(0));
    let pid = Arc::clone(&child);
    // Both are due together; after the first, the child's copy of the dispatcher returns to its
    // loop.
    let at = Instant::now() + Duration::from_millis(20);
    scheduler
        .at(at, move || {
            // SAFETY: the child goes on with the code of the dispatcher, which is under test.
            *pid.lock().unwrap() = unsafe { libc::fork() };
        })
        .unwrap();
    scheduler
        .at(at, move || {
            // SAFETY: the buffer has one byte, and the descriptor is open.
            assert_eq!(unsafe { libc::write(pipe[1], b"x".as_ptr().cast(), 1) }, 1);
            sender.send(()).unwrap();
        })
        .unwrap();
    receiver.recv().unwrap();
    let pid = *child.lock().unwrap();
    assert!(pid > 0, "fork failed");
    let mut status = 0;
    // SAFETY: `status` is writable, and the child is ours. It ends when its only thread does.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    // SAFETY: closes a descriptor of this test.
    unsafe { libc::close(pipe[1]) };
    let mut bytes = [0; 4];
    // SAFETY: the buffer has four bytes, and the descriptor is open.
    let written = unsafe { libc::read(pipe[0], bytes.as_mut_ptr().cast(), 4) };
    assert_eq!(written, 1, "once in the parent, and not in the child");
    // SAFETY: closes a descriptor of this test.
    unsafe { libc::close(pipe[0]) };
}

/// Ends the threads of a scope, also if the test fails in it.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs `test` while other threads call `act` again and again: its locks are held at many forks.
fn beside<R>(threads: usize, act: impl Fn() + Sync, test: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    act();
                }
            });
        }
        test()
    })
}

/// Schedules and cancels.
fn once(scheduler: &Scheduler) {
    drop(scheduler.once(HOUR, || ()).unwrap().cancel_on_drop());
}

/// The forks come while other threads of the parent schedule and cancel: the lock of the shard is
/// held at many of them.
#[test]
fn the_child_that_a_callback_forks_waits_for_no_lock_of_the_parent() {
    let pool = ThreadPool::new(1);
    let builder = || Scheduler::builder().shards(1);
    for scheduler in [builder().build().unwrap(), builder().executor(pool).build().unwrap()] {
        let children = Children::new();
        let test = || {
            for _ in 0..60 {
                let forks = children.clone();
                scheduler.once(Duration::ZERO, move || _ = forks.fork()).unwrap();
                assert_eq!(children.status(), 0);
            }
            let forks = children.clone();
            let mut left = 10;
            let tick = scheduler.every(Duration::from_millis(1), Missed::Skip, move |tick| {
                forks.fork();
                left -= 1;
                if left == 0 {
                    tick.stop();
                }
            });
            (0..10).for_each(|_| assert_eq!(children.status(), 0));
            _ = tick.unwrap().cancel_and_wait();
        };
        beside(2, || once(&scheduler), test);
        scheduler.shutdown(Pending::Discard);
    }
}

/// A call of `run_due` comes back in the child at once, with what it has called so far.
#[test]
fn a_callback_that_forks_ends_the_childs_run_due() {
    let clock = ManualClock::new();
    let builder = Scheduler::builder().shards(1).clock(clock.clone());
    let scheduler = builder.build_without_thread();
    let test = || {
        for _ in 0..20 {
            let (children, parent) = (Children::new(), std::process::id());
            let forks = children.clone();
            scheduler.once(Duration::ZERO, move || _ = forks.fork()).unwrap();
            let second = move || assert_eq!(std::process::id(), parent, "called in the child");
            scheduler.once(Duration::ZERO, second).unwrap();
            let called = scheduler.run_due();
            if std::process::id() != parent {
                // SAFETY: ends the child without running what belongs to the parent.
                unsafe { libc::_exit(i32::from(called != 1)) };
            }
            assert_eq!(children.status(), 0);
            assert_eq!(called, 2);
        }
    };
    beside(1, || once(&scheduler), test);
}

/// The forks come while other threads of the parent call the timer.
#[test]
fn the_child_that_a_timers_function_forks_waits_for_no_lock_of_the_parent() {
    for _ in 0..100 {
        let children = Children::new();
        let forks = children.clone();
        let timer = Timer::new(Duration::ZERO, move || _ = forks.fork());
        let test = || {
            timer.start().unwrap();
            assert_eq!(children.status(), 0);
        };
        beside(2, || _ = timer.outcome(), test);
        assert_eq!(timer.join(), Ok(Outcome::Ran));
    }
}

#[test]
fn a_scheduler_on_a_pool_can_be_dropped_in_the_child() {
    let mut scheduler = Some(Scheduler::builder().executor(ThreadPool::new(1)).build().unwrap());
    let (sender, receiver) = channel();
    let callback = move || sender.send(()).unwrap();
    scheduler.as_ref().unwrap().once(Duration::ZERO, callback).unwrap();
    receiver.recv().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    in_child("drop of a Scheduler on a pool", || drop(scheduler.take()));
}

#[test]
fn a_started_timer_is_not_alive_in_the_child_and_a_join_returns() {
    let timer = Timer::new(HOUR, || ());
    timer.start().unwrap();
    in_child("a timer that waits", || {
        assert!(!timer.is_alive());
        assert_eq!(timer.join(), Err(JoinError::Forked));
        assert_eq!(timer.join_timeout(HOUR), Err(JoinError::Forked));
        assert!(timer.start().is_err());
        assert_eq!(timer.outcome(), None);
        assert!(timer.cancel());
        assert_eq!(timer.join(), Ok(Outcome::Cancelled));
        assert_eq!(timer.outcome(), Some(Outcome::Cancelled));
    });
    assert!(timer.is_alive(), "the parent's is untouched");
    assert!(timer.cancel());
    in_child("a timer that was over", || assert_eq!(timer.join(), Ok(Outcome::Cancelled)));
}

#[test]
fn a_timer_whose_function_runs_in_the_parent_is_not_alive_in_the_child() {
    let (begun, begins) = channel();
    let (go, wait) = channel::<()>();
    let timer = Timer::new(Duration::ZERO, move || {
        begun.send(()).unwrap();
        _ = wait.recv();
    });
    timer.start().unwrap();
    begins.recv().unwrap();
    in_child("a timer that runs", || {
        assert!(!timer.is_alive());
        assert!(!timer.cancel());
        assert_eq!(timer.join(), Err(JoinError::Forked));
    });
    drop(go);
    assert_eq!(timer.join(), Ok(Outcome::Ran));
}

#[test]
fn a_timer_can_be_started_in_the_child() {
    let timer = Timer::new(Duration::from_millis(1), || ());
    in_child("a timer that is started", || {
        timer.start().unwrap();
        assert_eq!(timer.join(), Ok(Outcome::Ran));
    });
    assert_eq!(timer.join(), Err(JoinError::NotStarted));
}

#[test]
fn a_scheduler_of_the_childs_own_works() {
    let _parents = asleep();
    in_child("a new scheduler", || {
        let scheduler = Scheduler::new();
        let (sender, receiver) = channel();
        scheduler.once(Duration::from_millis(1), move || sender.send(()).unwrap()).unwrap();
        assert_eq!(receiver.recv(), Ok(()));
        drop(scheduler);
    });
}

/// The forks come while other threads of the parent schedule and cancel: a shard's lock is held at
/// many of them.
#[test]
fn no_drop_and_no_shutdown_in_the_child_waits_for_a_lock_of_the_parent() {
    let builder = || Scheduler::builder().shards(1);
    for scheduler in [builder().build().unwrap(), builder().build_without_thread()] {
        let test = || {
            for _ in 0..20 {
                let debounced = scheduler.debounced(HOUR, || ()).unwrap();
                let throttled = scheduler.throttled(HOUR, || ()).unwrap();
                assert!(debounced.call() && throttled.call());
                let mut held = Some((
                    scheduler.once(HOUR, || ()).unwrap().cancel_on_drop(),
                    (debounced, throttled),
                    (scheduler.sleep(HOUR), scheduler.ticks(Periodic::new(HOUR))),
                ));
                in_child("drop of what a scheduler gave out", || {
                    drop(held.take());
                    scheduler.shutdown(Pending::Discard);
                    assert!(scheduler.is_shutdown());
                });
            }
        };
        beside(2, || once(&scheduler), test);
        scheduler.shutdown(Pending::Discard);
    }
}

/// The fork comes while another thread is in a call of a timer that was not started.
#[test]
fn a_timer_whose_lock_is_held_at_the_fork_answers_in_the_child() {
    let timer = Timer::new(HOUR, || ());
    let test = || {
        for _ in 0..30 {
            in_child("a call of a timer that another thread called at the fork", || {
                timer.cancel();
                _ = timer.is_alive();
                _ = timer.outcome();
                _ = timer.join_timeout(Duration::ZERO);
                _ = timer.start();
            });
        }
    };
    beside(1, || _ = timer.cancel(), test);
}
