//! A pool and the child of a fork: the child has one thread, and none of the pool's.
#![cfg(target_os = "linux")]

use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sync_core::CancelToken;
use sync_core::task::block_on;
use sync_queue::{
    JobError, JobHandle, JobStatus, LifoQueue, PriorityQueue, Queue, SimpleQueue, SubmitError,
    ThreadPool, Until, as_completed, channel, wait, wait_async, wait_or_cancelled,
};

#[path = "../../sync-core/tests/support/watchdog.rs"]
mod watchdog;
use watchdog::watch;

#[path = "../../sync-core/tests/support/wakes.rs"]
mod wakes;
use wakes::{Wakes, poll};

#[path = "../../sync-core/tests/support/children.rs"]
mod children;
use children::Children;

/// Runs `f` in a child, which ends with the number it returns; that number.
fn in_child(f: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child uses what the C library keeps usable after a fork (memory among it), and
    // what is tested here.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // A child that hangs is killed. A child that panicked through its only thread would end by
        // 0.
        // SAFETY: an alarm, and the end of the child without running what belongs to the parent.
        unsafe {
            libc::alarm(60);
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(255);
            libc::_exit(code);
        }
    }
    code(pid)
}

/// The exit code of a child.
fn code(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "the child ended with status {status:#x}");
    libc::WEXITSTATUS(status)
}

#[test]
fn a_child_does_not_wait_for_its_parents_threads() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let gate = Arc::new(sync_queue::Queue::unbounded());
    let inside = gate.clone();
    let early = pool.submit(|| 1).unwrap();
    while !early.is_done() {
        std::thread::yield_now();
    }
    let running = pool.submit(move || inside.get().unwrap()).unwrap();
    while !running.is_running() {
        std::thread::yield_now();
    }
    let pending = [(); 4].map(|()| pool.submit(|| 2).unwrap());
    let mut held = Some((pool, early, running, pending));
    let failed = in_child(|| {
        let (pool, early, running, pending) = held.take().unwrap();
        let [first, second, third, fourth] = pending;
        if !matches!(early.result(), Ok(1)) {
            return 1;
        }
        if !matches!(running.result(), Err(JobError::Forked))
            || !matches!(first.result(), Err(JobError::Forked))
        {
            return 2;
        }
        let waited = wait([second], Until::All, None);
        if waited.done.len() != 1
            || !as_completed([third]).all(|handle| matches!(handle.result(), Err(JobError::Forked)))
        {
            return 3;
        }
        if fourth.wait_timeout(Duration::from_secs(3600)) || !fourth.cancel() {
            return 4;
        }
        match pool.submit(|| 7) {
            Err(SubmitError::Forked(job)) if job() == 7 => {}
            _ => return 5,
        }
        if pool.execute(|| ()).is_ok()
            || pool.map([1], |n| n).is_ok()
            || pool.shutdown(true, true).is_err()
        {
            return 6;
        }
        drop(pool);
        // A pool of its own it may have.
        if !matches!(ThreadPool::new(1).submit(|| 8).map(|handle| handle.result()), Ok(Ok(8))) {
            return 7;
        }
        0
    });
    assert_eq!(failed, 0, "which check of the child failed");
    // The parent's own is as it was.
    let (pool, early, running, pending) = held.unwrap();
    assert!(matches!(early.result(), Ok(1)));
    gate.put(3).unwrap();
    assert!(matches!(running.result(), Ok(3)));
    assert!(pending.into_iter().all(|handle| matches!(handle.result(), Ok(2))));
    pool.shutdown(true, false).unwrap();
}

#[test]
fn a_job_that_forks() {
    let _watchdog = watch();
    let ran = Arc::new(AtomicU32::new(0));
    let pool = ThreadPool::new(1);
    let forks = pool
        .submit(|| {
            // SAFETY: as in `in_child`; the child goes on in the worker, which is its only thread.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // SAFETY: see `in_child`.
                unsafe { libc::alarm(60) };
            }
            pid
        })
        .unwrap();
    let count = ran.clone();
    let next = pool.submit(move || count.fetch_add(1, SeqCst)).unwrap();
    let pid = forks.result().unwrap();
    assert!(pid > 0);
    // The worker ends in the child, which is all there is to it.
    assert_eq!(code(pid), 0);
    assert!(matches!(next.result(), Ok(0)));
    pool.shutdown(true, false).unwrap();
    assert_eq!(ran.load(SeqCst), 1);
}

/// A pool with one worker, which runs a job until the sender goes.
fn busy() -> (ThreadPool, JobHandle<u32>, mpsc::Sender<()>) {
    let pool = ThreadPool::new(1);
    let (release, gate) = mpsc::channel::<()>();
    let (begins, begun) = mpsc::channel();
    let handle = pool.submit(move || {
        begins.send(()).unwrap();
        let _ = gate.recv();
        7
    });
    begun.recv().unwrap();
    (pool, handle.unwrap(), release)
}

#[test]
fn a_scope_that_forks_ends_in_the_child_at_once() {
    let _watchdog = watch();
    let (pool, running, release) = busy();
    let mut pid = 0;
    let ran = AtomicU32::new(0);
    let text = String::from("borrowed");
    pool.scope(|scope| {
        for _ in 0..3 {
            scope.submit(|| drop(ran.fetch_add(text.len() as u32, SeqCst).to_string())).unwrap();
        }
        // SAFETY: see `in_child`.
        pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: see `in_child`.
            unsafe { libc::alarm(60) };
            // A child can submit nothing, and learns that.
            if !matches!(scope.submit(|| ()), Err(SubmitError::Forked(()))) {
                // SAFETY: see `in_child`.
                unsafe { libc::_exit(1) };
            }
        } else {
            drop(release);
        }
    });
    if pid == 0 {
        let status = if ran.load(SeqCst) == 0 { 0 } else { 2 };
        // A scope over a pool that was left behind ends, too.
        pool.scope(|_| ());
        // SAFETY: see `in_child`.
        unsafe { libc::_exit(status) };
    }
    assert_eq!(code(pid), 0);
    assert_eq!(ran.load(SeqCst), 3 * 8);
    assert!(matches!(running.result(), Ok(7)));
}

#[test]
fn every_wait_for_a_job_ends_in_the_child() {
    let _watchdog = watch();
    type Wait = fn(JobHandle<u32>) -> bool;
    let waits: [(&str, Wait); 15] = [
        ("result_timeout of zero", |job| {
            matches!(job.result_timeout(Duration::ZERO), Ok(Err(JobError::Forked)))
        }),
        ("result", |job| matches!(job.result(), Err(JobError::Forked))),
        ("result_timeout", |job| {
            matches!(job.result_timeout(Duration::from_secs(3600)), Ok(Err(JobError::Forked)))
        }),
        ("result_deadline", |job| {
            let later = Instant::now() + Duration::from_secs(3600);
            matches!(job.result_deadline(later), Ok(Err(JobError::Forked)))
        }),
        ("wait_timeout", |job| !job.wait_timeout(Duration::MAX)),
        ("wait", |job| wait([job], Until::All, None).done.len() == 1),
        ("as_completed", |job| as_completed([job]).count() == 1),
        ("await", |job| matches!(block_on(job.into_future()), Err(JobError::Forked))),
        ("wait_async", |job| block_on(wait_async([job], Until::All)).done.len() == 1),
        ("next_async", |job| block_on(as_completed([job]).next_async()).is_some()),
        ("result_or_cancelled", |job| {
            matches!(job.result_or_cancelled(&CancelToken::new()), Ok(Err(JobError::Forked)))
        }),
        ("wait_or_cancelled", |job| {
            wait_or_cancelled([job], Until::All, &CancelToken::new()).done.len() == 1
        }),
        ("next_or_cancelled", |job| {
            matches!(as_completed([job]).next_or_cancelled(&CancelToken::new()), Ok(Some(_)))
        }),
        ("on_done", |job| {
            job.on_done(|_| ());
            job.status() == JobStatus::Running
        }),
        ("drop", |job| {
            drop(job);
            true
        }),
    ];
    for (name, asks) in waits {
        let (pool, running, release) = busy();
        let mut held = Some((pool, running));
        let failed = in_child(|| {
            let (pool, running) = held.take().unwrap();
            let right = asks(running);
            drop(pool);
            i32::from(!right)
        });
        assert_eq!(failed, 0, "{name}");
        drop(release);
        assert!(matches!(held.unwrap().1.result(), Ok(7)), "{name}");
    }
}

#[test]
fn every_end_of_a_pool_returns_at_once_in_the_child() {
    let _watchdog = watch();
    type End = fn(ThreadPool) -> bool;
    let ends: [(&str, End); 9] = [
        ("drop", |pool| {
            drop(pool);
            true
        }),
        ("shutdown", |pool| pool.shutdown(true, false).is_ok()),
        ("a cancelling shutdown", |pool| pool.shutdown(true, true).is_ok()),
        ("map", |pool| matches!(pool.map([1], |n| n), Err(SubmitError::Forked(())))),
        ("map_ahead", |pool| {
            let first = pool.map_ahead([1], |n| n, 1).next();
            matches!(first, Some(Err(JobError::Refused(SubmitError::Forked(())))))
        }),
        ("join", |pool| pool.join().is_ok()),
        ("join_timeout", |pool| pool.join_timeout(Duration::MAX) == Ok(true)),
        ("join_or_cancelled", |pool| pool.join_or_cancelled(&CancelToken::new()) == Ok(true)),
        ("resize, busy", |pool| {
            pool.resize(8);
            pool.resize(1);
            pool.busy() == 0
        }),
    ];
    for (name, ends) in ends {
        let (pool, running, release) = busy();
        let called = Arc::new(AtomicU32::new(0));
        let count = called.clone();
        running.on_done(move |_| drop(count.fetch_add(1, SeqCst).to_string()));
        let mut held = Some(pool);
        let failed = in_child(|| i32::from(!ends(held.take().unwrap())));
        assert_eq!(failed, 0, "{name}");
        drop(release);
        assert!(matches!(running.result(), Ok(7)), "{name}");
        // Waits for the callback, which is called in the parent and once.
        drop(held);
        assert_eq!(called.load(SeqCst), 1, "{name}");
    }
}

#[test]
fn a_cancelled_job_and_an_iterator_from_before_the_fork_end_in_the_child() {
    let _watchdog = watch();
    let (pool, running, release) = busy();
    let cancelled = [(); 3].map(|()| {
        let handle = pool.submit(|| 1).unwrap();
        assert!(handle.cancel());
        handle
    });
    let [first, second, third] = cancelled;
    let pending = [(); 2].map(|()| pool.submit(|| 2).unwrap());
    let mut held = Some((as_completed([running, first]), as_completed(pending), second, third));
    let failed = in_child(|| {
        let (iterator, mut timed, second, third) = held.take().unwrap();
        if iterator.count() != 2 {
            return 1;
        }
        let later = Instant::now() + Duration::from_secs(3600);
        if (0..2).any(|_| !matches!(timed.next_deadline(later), Ok(Some(_)))) {
            return 2;
        }
        if wait([second], Until::All, None).done.len() != 1 || as_completed([third]).count() != 1 {
            return 3;
        }
        0
    });
    assert_eq!(failed, 0, "which check of the child failed");
    drop(release);
    let (iterator, timed, ..) = held.unwrap();
    assert_eq!((iterator.count(), timed.count()), (2, 2));
    pool.shutdown(true, false).unwrap();
}

#[test]
fn a_wait_that_runs_a_job_that_forks_ends_in_the_child() {
    let _watchdog = watch();
    for way in ["wait", "as_completed", "scope"] {
        let pool = Arc::new(ThreadPool::new(2));
        let children = Children::new();
        let forks = children.clone();
        let (release, gate) = mpsc::channel::<()>();
        let inner = pool.clone();
        let parent = std::process::id();
        let outer = pool.submit(move || {
            let (begins, begun) = mpsc::channel();
            let held = move || {
                begins.send(()).unwrap();
                let _ = gate.recv();
            };
            let forks = move || _ = forks.fork();
            // The other worker runs `held`, so `forks` is run by the wait.
            let right = if way == "scope" {
                inner.scope(|scope| {
                    scope.submit(held).unwrap();
                    begun.recv().unwrap();
                    scope.submit(forks).unwrap();
                });
                true
            } else {
                let held = inner.submit(held).unwrap();
                begun.recv().unwrap();
                let handles = [inner.submit(forks).unwrap(), held];
                match way {
                    "wait" => wait(handles, Until::All, None).done.len() == 2,
                    _ => as_completed(handles).count() == 2,
                }
            };
            if std::process::id() != parent {
                // SAFETY: see `in_child`.
                unsafe { libc::_exit(i32::from(!right)) };
            }
            right
        });
        assert_eq!(children.status(), 0, "{way}");
        drop(release);
        assert!(outer.unwrap().result().unwrap(), "{way}");
    }
}

/// A pipe that counts, over all processes, how often something was run.
struct Runs([libc::c_int; 2]);

impl Runs {
    fn new() -> Self {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        Self(ends)
    }

    /// A piece of user code that is counted.
    fn counted(&self) -> impl Fn() + Send + Sync + 'static {
        let end = self.0[1];
        // SAFETY: the buffer has one byte.
        move || assert_eq!(unsafe { libc::write(end, b"x".as_ptr().cast(), 1) }, 1)
    }

    /// How often something was run, once everything that runs it has ended.
    fn count(self) -> isize {
        let mut bytes = [0_u8; 100];
        // SAFETY: the buffer has a hundred bytes; the descriptors are this test's.
        unsafe {
            libc::close(self.0[1]);
            let count = libc::read(self.0[0], bytes.as_mut_ptr().cast(), bytes.len());
            libc::close(self.0[0]);
            count
        }
    }
}

/// Runs nothing, and is counted when it is dropped.
struct CountedDrop<F: Fn()>(F);

impl<F: Fn()> Drop for CountedDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

#[test]
fn the_child_that_an_initializer_forks_runs_no_job_and_breaks_no_pool() {
    let _watchdog = watch();
    for panics in [false, true] {
        let (runs, drops) = (Runs::new(), Runs::new());
        let children = Children::new();
        let forks = children.clone();
        let (release, gate) = mpsc::channel::<()>();
        let gate = std::sync::Mutex::new(gate);
        let pool = ThreadPool::builder()
            .max_workers(1)
            .initializer(move || {
                let _ = gate.lock().unwrap().recv();
                if forks.fork() && panics {
                    panic!("in the child");
                }
            })
            .exit_hook(runs.counted())
            .build()
            .unwrap();
        // Each is in the backlog at the fork.
        let jobs = [(); 3].map(|()| {
            let (job, dropped) = (runs.counted(), CountedDrop(drops.counted()));
            let handle = pool.submit(move || {
                let _dropped = dropped;
                job();
            });
            handle.unwrap()
        });
        jobs[0].on_done({
            let callback = runs.counted();
            move |_| callback()
        });
        drop(release);
        assert_eq!(children.status(), 0, "panics: {panics}");
        assert!(jobs.into_iter().all(|job| job.result().is_ok()));
        drop(pool);
        // The jobs, the callback and the hook, in the parent.
        assert_eq!((runs.count(), drops.count()), (5, 3), "panics: {panics}");
    }
}

#[test]
fn the_child_that_a_callback_forks_calls_no_other() {
    let _watchdog = watch();
    let runs = Runs::new();
    let children = Children::new();
    let forks = children.clone();
    let (pool, running, release) = busy();
    running.on_done(move |_| _ = forks.fork());
    let other = runs.counted();
    running.on_done(move |_| other());
    let next = pool.submit(runs.counted()).unwrap();
    drop(release);
    assert_eq!(children.status(), 0);
    assert!(next.result().is_ok() && running.result().is_ok());
    assert_eq!(runs.count(), 2);
}

#[test]
fn the_child_that_an_exit_hook_forks_ends() {
    let _watchdog = watch();
    let children = Children::new();
    let forks = children.clone();
    let builder = ThreadPool::builder().max_workers(1);
    let pool = builder.exit_hook(move || _ = forks.fork()).build().unwrap();
    pool.submit(|| ()).unwrap().result().unwrap();
    drop(pool);
    assert_eq!(children.status(), 0);
}

/// A future on a pool, whose first poll forks and is pending. Its second poll ends a child.
struct Forking {
    forks: Option<Children>,
    wakes: bool,
    parent: u32,
}

impl Future for Forking {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
        let Some(children) = self.forks.take() else {
            if std::process::id() != self.parent {
                // SAFETY: ends the child.
                unsafe { libc::_exit(9) };
            }
            return Poll::Ready(5);
        };
        // The child is woken or not, and is the end of the future in either case.
        if !children.fork() || self.wakes {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[test]
fn the_child_that_the_poll_of_a_future_forks_ends_and_polls_no_more() {
    let _watchdog = watch();
    for wakes in [false, true] {
        let (children, parent) = (Children::new(), std::process::id());
        let pool = Arc::new(ThreadPool::new(1));
        let future = Forking { forks: Some(children.clone()), wakes, parent };
        let job = pool.spawn_future(future).unwrap();
        assert_eq!(children.status(), 0, "wakes: {wakes}");
        assert!(matches!(job.result(), Ok(5)));
        // By a wait of a worker, which comes back from it.
        let (inner, forks) = (pool.clone(), children.clone());
        let outer = pool.submit(move || {
            let future = Forking { forks: Some(forks), wakes, parent };
            let result = inner.spawn_future(future).unwrap().result();
            if std::process::id() != parent {
                // SAFETY: see `in_child`.
                unsafe { libc::_exit(i32::from(!matches!(result, Err(JobError::Forked)))) };
            }
            result
        });
        assert_eq!(children.status(), 0, "in a wait, wakes: {wakes}");
        assert!(matches!(outer.unwrap().result(), Ok(Ok(5))));
    }
}

#[test]
fn the_child_that_a_cancelled_jobs_callback_forks_comes_back_from_the_shutdown() {
    let _watchdog = watch();
    let (runs, drops) = (Runs::new(), Runs::new());
    let parent = std::process::id();
    let (pool, running, release) = busy();
    let children = Children::new();
    let forks = children.clone();
    let first = pool.submit(|| ()).unwrap();
    first.on_done(move |_| _ = forks.fork());
    for _ in 0..2 {
        let dropped = CountedDrop(drops.counted());
        let pending = pool.submit(move || drop(dropped)).unwrap();
        let callback = runs.counted();
        pending.on_done(move |_| callback());
    }
    std::thread::scope(|scope| {
        // Lets the worker end once the child is there, so that the parent's shutdown returns.
        scope.spawn(move || {
            assert_eq!(children.status(), 0);
            drop(release);
        });
        assert!(pool.shutdown(true, true).is_ok());
        if std::process::id() == parent {
            return;
        }
        // SAFETY: see `in_child`.
        unsafe { libc::_exit(0) };
    });
    assert!(matches!(running.result(), Ok(7)));
    assert_eq!((runs.count(), drops.count()), (2, 2));
}

#[test]
fn the_child_that_the_naming_of_a_thread_forks_starts_none() {
    let _watchdog = watch();
    let runs = Runs::new();
    let (children, parent) = (Children::new(), std::process::id());
    // The first thread's name, and that of a further one.
    for forks_at in [0, 1] {
        let forks = children.clone();
        let builder = ThreadPool::builder().max_workers(2).thread_name(move |number| {
            if number == forks_at {
                forks.fork();
            }
            String::from("named")
        });
        let pool = builder.build().unwrap();
        let (begins, begun) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        let held = pool.submit(move || {
            begins.send(()).unwrap();
            gate.recv().is_err()
        });
        if std::process::id() != parent {
            // SAFETY: see `in_child`.
            unsafe { libc::_exit(i32::from(!matches!(held, Err(SubmitError::Forked(_))))) };
        }
        begun.recv().unwrap();
        let counted = pool.submit(runs.counted());
        if std::process::id() != parent {
            let result = counted.map(JobHandle::result);
            // SAFETY: see `in_child`.
            unsafe { libc::_exit(i32::from(!matches!(result, Ok(Err(JobError::Forked))))) };
        }
        assert_eq!(children.status(), 0, "name {forks_at}");
        drop(release);
        assert!(counted.unwrap().result().is_ok() && held.unwrap().result().unwrap());
    }
    assert_eq!(runs.count(), 2);
}

/// A thread of the parent sleeps in each queue and each channel with room: the child goes on with
/// its copy, alone and with a thread of its own.
#[test]
fn queues_that_threads_of_the_parent_wait_for_are_of_use_in_the_child() {
    let _watchdog = watch();
    static QUEUE: std::sync::LazyLock<Queue<u32>> = std::sync::LazyLock::new(Queue::unbounded);
    static FULL: std::sync::LazyLock<Queue<u32>> = std::sync::LazyLock::new(|| Queue::bounded(1));
    static LIFO: std::sync::LazyLock<LifoQueue<u32>> =
        std::sync::LazyLock::new(LifoQueue::unbounded);
    static PRIORITY: std::sync::LazyLock<PriorityQueue<u32>> =
        std::sync::LazyLock::new(PriorityQueue::unbounded);
    static SIMPLE: std::sync::LazyLock<SimpleQueue<u32>> =
        std::sync::LazyLock::new(SimpleQueue::new);
    let (sender, receiver) = channel::bounded(4);
    let waits = receiver.clone();
    FULL.put(0).unwrap();
    let parents: [Box<dyn FnOnce() -> u32 + Send>; 6] = [
        Box::new(|| QUEUE.get().unwrap()),
        Box::new(|| {
            FULL.put(1).unwrap();
            1
        }),
        Box::new(|| LIFO.get().unwrap()),
        Box::new(|| PRIORITY.get().unwrap()),
        Box::new(|| SIMPLE.get()),
        Box::new(move || waits.recv().unwrap()),
    ];
    let parents = parents.map(std::thread::spawn);
    // Time to fall asleep.
    std::thread::sleep(Duration::from_millis(50));
    /// Alone: nothing is inside, an item goes in and out. With a thread: it waits for an item.
    fn goes_on(
        put: impl Fn(u32) -> bool,
        get: impl Fn() -> Option<u32> + Sync,
        timed: impl Fn() -> Option<u32>,
    ) -> bool {
        let alone = timed().is_none() && put(2) && get() == Some(2);
        let with_a_thread = std::thread::scope(|scope| {
            let waits = scope.spawn(|| (get(), get()));
            std::thread::sleep(Duration::from_millis(2));
            let both = put(3) && put(4);
            // The last one may come first.
            both && matches!(waits.join().unwrap(), (Some(3), Some(4)) | (Some(4), Some(3)))
        });
        alone && with_a_thread && timed().is_none()
    }
    const MOMENT: Duration = Duration::from_millis(1);
    let failed = in_child(|| {
        let checks = [
            goes_on(
                |n| QUEUE.put(n).is_ok(),
                || QUEUE.get().ok(),
                || QUEUE.get_timeout(MOMENT).ok(),
            ),
            FULL.put_timeout(5, MOMENT).is_err() && FULL.get() == Ok(0) && FULL.put(6).is_ok(),
            goes_on(|n| LIFO.put(n).is_ok(), || LIFO.get().ok(), || LIFO.get_timeout(MOMENT).ok()),
            goes_on(
                |n| PRIORITY.put(n).is_ok(),
                || PRIORITY.get().ok(),
                || PRIORITY.get_timeout(MOMENT).ok(),
            ),
            goes_on(
                |n| {
                    SIMPLE.put(n);
                    true
                },
                || Some(SIMPLE.get()),
                || SIMPLE.get_timeout(MOMENT),
            ),
            goes_on(
                |n| sender.send(n).is_ok(),
                || receiver.recv().ok(),
                || receiver.recv_timeout(MOMENT).ok(),
            ),
        ];
        checks.iter().position(|check| !check).map_or(0, |at| at as i32 + 1)
    });
    assert_eq!(failed, 0, "which queue failed in the child");
    // The parent's own are as they were.
    QUEUE.put(1).unwrap();
    assert_eq!(FULL.get(), Ok(0));
    LIFO.put(1).unwrap();
    PRIORITY.put(1).unwrap();
    SIMPLE.put(1);
    sender.send(1).unwrap();
    assert!(parents.into_iter().all(|parent| parent.join().unwrap() == 1));
}

#[test]
fn a_child_calls_no_waker_of_its_parent_and_may_go_on_with_its_waits() {
    let _watchdog = watch();
    let (queue, (sender, receiver)) = (Queue::bounded(2), channel::bounded(2));
    let (parents, childs) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let mut get = pin!(queue.get_async());
    let mut receive = pin!(receiver.recv_async());
    assert!(poll(get.as_mut(), &parents).is_pending());
    assert!(poll(receive.as_mut(), &parents).is_pending());
    let failed = in_child(|| {
        // The child's own tasks are behind those of the parent, which take nothing.
        let (mut own, mut next) = (pin!(queue.get_async()), pin!(receiver.recv_async()));
        assert!(poll(own.as_mut(), &childs).is_pending());
        assert!(poll(next.as_mut(), &childs).is_pending());
        queue.put(1).unwrap();
        sender.send(1).unwrap();
        let woken = (parents.0.load(SeqCst), childs.0.load(SeqCst));
        let got = poll(own, &childs) == Poll::Ready(Ok(1));
        let received = poll(next, &childs) == Poll::Ready(Ok(1));
        // The thread that forked may be the executor of the waits from before.
        let again = poll(get.as_mut(), &childs).is_pending();
        let again = again && poll(receive.as_mut(), &childs).is_pending();
        queue.put(2).unwrap();
        sender.send(2).unwrap();
        let woken = (woken, parents.0.load(SeqCst), childs.0.load(SeqCst));
        let goes_on = poll(get.as_mut(), &childs) == Poll::Ready(Ok(2))
            && poll(receive.as_mut(), &childs) == Poll::Ready(Ok(2));
        let all = woken == ((0, 2), 0, 4) && got && received && again && goes_on;
        i32::from(!all)
    });
    assert_eq!(failed, 0);
    queue.put(3).unwrap();
    sender.send(3).unwrap();
    assert_eq!(parents.0.load(SeqCst), 2);
    assert_eq!(poll(get, &parents), Poll::Ready(Ok(3)));
    assert_eq!(poll(receive, &parents), Poll::Ready(Ok(3)));
}
