//! Forks in wakers. A child that comes back from one calls no other waker of the parent, waits for
//! no lock of the parent, and returns from the call that woke it.

use std::pin::Pin;
use std::task::{Context, Wake, Waker};

use sync_core::task::Alarm;

use super::objects::children::Children;
use super::*;

/// The first of several wakers forks when it is called or dropped; the others end a child that does
/// that to them.
struct Forks {
    parent: u32,
    /// The waker that forks, once.
    children: Option<(Children, AtomicBool)>,
}

impl Forks {
    fn waker(children: Option<&Children>) -> Waker {
        let children = children.map(|children| (children.clone(), AtomicBool::new(false)));
        Waker::from(Arc::new(Self { parent: process(), children }))
    }

    fn call(&self) {
        match &self.children {
            Some((children, done)) if !done.swap(true, Ordering::Relaxed) => _ = children.fork(),
            Some(_) => {}
            None => assert_parent(self.parent),
        }
    }
}

fn assert_parent(parent: u32) {
    if process() != parent {
        // SAFETY: ends the child.
        unsafe { libc::_exit(9) };
    }
}

impl Wake for Forks {
    fn wake(self: Arc<Self>) {
        self.call();
    }
}

impl Drop for Forks {
    fn drop(&mut self) {
        self.call();
    }
}

/// Polls futures once, each with a waker of its own, of which the first forks. Returns whether the
/// first one waits.
fn waiting<F: Future>(futures: &mut [Pin<Box<F>>], children: &Children) -> bool {
    let mut polls = futures.iter_mut().enumerate().map(|(number, future)| {
        let waker = Forks::waker((number == 0).then_some(children));
        future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
    });
    let first = polls.next();
    polls.for_each(drop);
    first == Some(true)
}

/// Calls `wake` on a thread of its own while other threads take the lock of the object's tasks. The
/// thread that forked (one that gives up may pass a wake on) ends the child when it comes back.
fn wakes(children: &Children, busy: impl Fn() + Sync, wake: impl FnOnce() + Send) {
    let (parent, stop) = (process(), AtomicBool::new(false));
    let ends_the_child = || {
        if process() != parent {
            // SAFETY: ends the child, whose other threads are not there.
            unsafe { libc::_exit(0) };
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    busy();
                    ends_the_child();
                }
            });
        }
        scope.spawn(|| {
            wake();
            ends_the_child();
        });
        let status = children.status();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(status, 0);
    });
}

/// Starts a wait and gives it up.
fn give_up(future: impl Future) {
    let mut future = std::pin::pin!(future);
    let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn a_waker_that_forks_in_a_wake_of_many_tasks() {
    let (_turn, _watch) = (turn(), watch());
    for _ in 0..40 {
        let (event, children) = (Event::new(), Children::new());
        let mut tasks: Vec<_> = (0..40).map(|_| Box::pin(event.wait_async())).collect();
        assert!(waiting(&mut tasks, &children));
        wakes(&children, || give_up(event.wait_async()), || event.set());
        assert!(tasks.into_iter().all(|task| block_on(async {
            task.await;
            true
        })));
    }
}

#[test]
fn a_waker_that_forks_where_permits_are_handed_over() {
    let (_turn, _watch) = (turn(), watch());
    for _ in 0..40 {
        let (semaphore, children) = (Semaphore::new(0), Children::new());
        let mut tasks: Vec<_> = (0..20).map(|_| Box::pin(semaphore.acquire_async())).collect();
        assert!(waiting(&mut tasks, &children));
        wakes(&children, || give_up(semaphore.acquire_async()), || semaphore.add_permits(20));
        assert!(tasks.into_iter().all(|task| block_on(task).is_ok()));
    }
}

/// An object drops the wakers of futures that were forgotten.
#[test]
fn a_waker_that_forks_when_its_object_drops_it() {
    let (_turn, _watch) = (turn(), watch());
    for _ in 0..10 {
        let (event, children) = (Box::new(Event::new()), Children::new());
        let mut tasks: Vec<_> = (0..40).map(|_| Box::pin(event.wait_async())).collect();
        assert!(waiting(&mut tasks, &children));
        std::mem::forget(tasks);
        wakes(&children, std::thread::yield_now, || drop(event));
    }
}

/// The alarms of a process have one thread. Its copy in the child wakes no task of the parent, and
/// ends, and with it the child.
#[test]
fn a_waker_that_forks_at_an_alarm() {
    let (_turn, _watch) = (turn(), watch());
    let children = Children::new();
    let mut delay = 20 * MOMENT;
    let alarms = loop {
        let moment = std::time::Instant::now() + delay;
        let mut alarms: Vec<_> = (0..20).map(|_| Box::pin(Alarm::new(moment))).collect();
        if waiting(&mut alarms, &children) {
            break alarms;
        }
        // The time was up before the poll.
        delay *= 2;
    };
    assert_eq!(children.status(), 0);
    alarms.into_iter().for_each(block_on);
    // The parent's thread goes on.
    block_on(Alarm::new(std::time::Instant::now() + MOMENT));
}
