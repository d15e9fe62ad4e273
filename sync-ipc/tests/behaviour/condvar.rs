use std::thread;
use std::time::{Duration, Instant};

use sync_ipc::{Condvar, Mutex, ReentrantMutex, Segment};

use crate::processes::{Child, FOR_EVER, fork, until};

struct World {
    /// The number of waiters, and the number of woken waiters.
    counts: Mutex<[u32; 2]>,
    condvar: Condvar,
}

fn world() -> World {
    let segment = Segment::anonymous(16384).expect("a segment");
    World {
        counts: Mutex::create(&segment, "counts", [0; 2]).expect("room"),
        condvar: Condvar::create(&segment, "condvar").expect("room"),
    }
}

impl World {
    /// Waits once and counts itself; 0 if it was notified.
    fn waiter(&self, timeout: Duration) -> i32 {
        let mut guard = self.counts.lock().expect("clean");
        guard.update(|[waiting, _]| *waiting += 1);
        let (mut guard, notified) = self.condvar.wait_for(guard, timeout).expect("clean");
        guard.update(|[waiting, woken]| {
            *waiting -= 1;
            *woken += u32::from(notified);
        });
        i32::from(!notified)
    }

    fn counts(&self) -> [u32; 2] {
        self.counts.lock().expect("clean").get()
    }

    fn waiters(&self, count: usize) -> Vec<Child> {
        let before = self.counts()[0] as usize;
        let children = (0..count).map(|_| fork(|| self.waiter(FOR_EVER))).collect();
        until("all wait", || self.counts()[0] as usize == before + count);
        children
    }
}

#[test]
fn notify_wakes_exactly_one() {
    let world = world();
    let mut child = world.waiters(1);
    thread::scope(|scope| {
        let ours = scope.spawn(|| world.waiter(FOR_EVER));
        until("both wait", || world.counts()[0] == 2);
        world.condvar.notify_one();
        until("one woke", || world.counts()[1] == 1);
        thread::sleep(Duration::from_millis(70));
        assert_eq!(world.counts(), [1, 1], "longer than any bound, and still one");
        world.condvar.notify_one();
        assert_eq!(ours.join().expect("no panic"), 0);
    });
    assert_eq!(child[0].join(), 0);
    assert_eq!(world.counts(), [0, 2]);
}

#[test]
fn waiters_that_timed_out_absorb_nothing() {
    let world = world();
    let mut late: Vec<Child> =
        (0..4).map(|_| fork(|| world.waiter(Duration::from_millis(20)))).collect();
    assert!(late.iter_mut().all(|child| child.join() == 1));
    let mut children = world.waiters(4);
    world.condvar.notify_all();
    assert!(children.iter_mut().all(|child| child.join() == 0));
    assert_eq!(world.counts(), [0, 4]);
}

#[test]
fn notify_n() {
    let world = world();
    let mut children = world.waiters(6);
    assert_eq!(world.condvar.notify_many(2), 2);
    until("two woke", || world.counts()[1] == 2);
    assert_eq!(world.condvar.notify_many(4), 4);
    until("six woke", || world.counts()[1] == 6);
    assert_eq!(world.condvar.notify_many(3), 0, "no thread waits, nothing is stored");
    assert!(children.iter_mut().all(|child| child.join() == 0));
    assert_eq!(world.waiter(Duration::from_millis(10)), 1);
}

#[test]
fn timeouts() {
    let world = world();
    let started = Instant::now();
    assert_eq!(world.waiter(Duration::from_millis(30)), 1);
    assert!(started.elapsed() >= Duration::from_millis(30));
    let guard = world.counts.lock().expect("clean");
    let (guard, met) = world
        .condvar
        .wait_while_for(guard, Duration::from_millis(30), |[_, woken]| *woken < 4)
        .expect("clean");
    assert!(!met);
    let (guard, met) =
        world.condvar.wait_while_for(guard, Duration::from_millis(30), |_| false).expect("clean");
    assert!(met);
    let (_guard, notified) = world.condvar.wait_until(guard, Instant::now()).expect("clean");
    assert!(!notified);
}

#[test]
fn a_killed_waiter_neither_hangs_notify_nor_takes_the_notification_along() {
    let world = world();
    let mut first = world.waiters(1);
    let mut second = world.waiters(1);
    // Stopped, notified, and killed before it could see it.
    first[0].signal(libc::SIGSTOP);
    world.condvar.notify_one();
    first[0].kill();
    assert_eq!(second[0].join(), 0, "the dead one's notification goes to the other");
}

#[test]
fn wait_lets_go_of_all_levels() {
    let segment = Segment::anonymous(16384).expect("a segment");
    let mutex = ReentrantMutex::create(&segment, "m", 0_u32).expect("room");
    let condvar = Condvar::create(&segment, "c").expect("room");
    let outer = mutex.lock().expect("free");
    let inner = mutex.lock().expect("ours");
    let mut child = fork(|| {
        mutex.try_lock_for(FOR_EVER).expect("let go of").set(1);
        condvar.notify_one();
        0
    });
    let inner = condvar.wait_while(inner, |value| *value == 0).expect("clean");
    assert_eq!(inner.depth(), 2);
    drop((inner, outer));
    assert!(!mutex.is_locked());
    assert_eq!(child.join(), 0);
}

#[test]
fn more_waiters_than_cells_still_wake() {
    let segment = Segment::anonymous(16384).expect("a segment");
    let mutex = Mutex::create(&segment, "m", 0_u32).expect("room");
    let condvar = Condvar::with_waiters(&segment, "c", 1).expect("room");
    let mut children = [(); 3].map(|()| {
        fork(|| {
            drop(
                condvar
                    .wait_while(mutex.lock().expect("clean"), |value| *value == 0)
                    .expect("clean"),
            );
            0
        })
    });
    thread::sleep(Duration::from_millis(10));
    mutex.lock().expect("clean").set(1);
    condvar.notify_all();
    assert_eq!(children.each_mut().map(Child::join), [0; 3]);
}

#[test]
fn waits_that_end_by_time_and_one_that_ends_by_another_process() {
    let world = world();
    let guard = world.counts.lock().expect("clean");
    let started = Instant::now();
    let (guard, met) = world
        .condvar
        .wait_while_for(guard, Duration::from_millis(100), |[_, woken]| *woken < 4)
        .expect("clean");
    assert!(!met && started.elapsed() >= Duration::from_millis(100));
    let (guard, notified) = world.condvar.wait_for(guard, Duration::ZERO).expect("clean");
    assert!(!notified);
    drop(guard);
    let mut child = world.waiters(1);
    world.condvar.notify_all();
    assert_eq!(child[0].join(), 0);
}

extern "C" fn nothing(_: i32) {}

#[test]
fn a_signal_neither_ends_the_wait_nor_loses_the_lock() {
    // Python raises KeyboardInterrupt; here a handler runs, the wait goes on, and its end holds the
    // lock.
    let world = world();
    let mut waiter = fork(|| {
        let handler: extern "C" fn(i32) = nothing;
        // SAFETY: a handler that does nothing.
        unsafe { libc::signal(libc::SIGINT, handler as usize) };
        let mut guard = world.counts.lock().expect("clean");
        guard.update(|[waiting, _]| *waiting += 1);
        let (guard, notified) = world.condvar.wait_for(guard, FOR_EVER).expect("clean");
        i32::from(!notified || !world.counts.is_locked_by_us() || guard.get()[1] != 1)
    });
    until("it waits", || world.counts()[0] == 1);
    for _ in 0..5 {
        waiter.signal(libc::SIGINT);
        thread::sleep(Duration::from_millis(2));
    }
    world.counts.lock().expect("clean").update(|[_, woken]| *woken = 1);
    world.condvar.notify_one();
    assert_eq!(waiter.join(), 0);
}

#[test]
fn waiting_takes_a_guard() {
    // Python: AssertionError without the lock. Here `wait` takes a guard, and gives it back:
    // that this compiles proves it. This test shows that the lock is released meanwhile.
    let world = world();
    let guard = world.counts.lock().expect("free");
    let mut child = fork(|| world.counts.try_lock_for(FOR_EVER).is_err().into());
    let (_guard, _) = world.condvar.wait_for(guard, Duration::from_millis(30)).expect("clean");
    assert_eq!(child.join(), 0, "free while we waited");
    // To notify without the lock is allowed, and wakes no thread that is not enrolled.
    assert_eq!(world.condvar.notify_many(1), 0);
}

#[test]
fn a_full_list_of_waiters_does_not_outlast_a_timeout() {
    let segment = Segment::anonymous(16384).expect("a segment");
    let waiting = Mutex::create(&segment, "waiting", 0_u32).expect("room");
    let condvar = Condvar::with_waiters(&segment, "c", 1).expect("room");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut guard = waiting.lock().expect("clean");
            guard.set(1);
            drop(condvar.wait_for(guard, Duration::from_secs(20)).expect("clean"));
        });
        until("the list is full", || waiting.lock().expect("clean").get() == 1);
        let started = Instant::now();
        let guard = waiting.lock().expect("clean");
        // The condition ends a wait that the deadline does not.
        let still = |_: &u32| started.elapsed() < Duration::from_secs(10);
        let timeout = Duration::from_millis(100);
        let (guard, done) = condvar.wait_while_for(guard, timeout, still).expect("clean");
        assert!(!done && started.elapsed() >= timeout, "{:?}", started.elapsed());
        drop(guard);
        condvar.notify_all();
    });
}
