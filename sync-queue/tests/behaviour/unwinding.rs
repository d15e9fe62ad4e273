//! Nothing is lost by a panic of user code, wherever it runs: closures, results, callbacks,
//! initializers, items, `Ord`, and the payloads of these panics, which may panic when they are
//! dropped, and so may the payloads of those.
//!
//! Every test runs for each kind of panic. A panic that takes its thread along shows as a hang.

use std::cell::RefCell;
use std::cmp::Ordering as Order;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use sync_queue::{
    JobError, JobStatus, LifoQueue, PriorityQueue, Queue, SimpleQueue, SubmitError, ThreadPool,
    Until, as_completed, channel, spsc, wait, wait_async,
};

use crate::evil_waker::survives;
use crate::support::blocked;
use crate::watchdog::watch;

/// How often in a row the payload of a panic panics when it is dropped: a panic with a plain
/// payload, a payload that panics, one whose payload panics again.
const KINDS: [u32; 3] = [0, 1, 2];

/// Panics without the noise of the hook.
fn explode(levels: u32) -> ! {
    match levels {
        0 => resume_unwind(Box::new("it failed")),
        _ => resume_unwind(Box::new(Bomb(levels - 1))),
    }
}

/// Panics when it is dropped.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        explode(self.0);
    }
}

/// The same, counted.
struct Counted {
    kind: Option<u32>,
    drops: Arc<AtomicUsize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.fetch_add(1, SeqCst);
        if let Some(kind) = self.kind {
            explode(kind);
        }
    }
}

/// The only worker of the pool is alive.
fn still_works(pool: &ThreadPool) {
    assert!(matches!(pool.submit(|| 7).unwrap().result(), Ok(7)));
    let (told, hears) = mpsc::channel();
    pool.execute(move || told.send(8).unwrap()).unwrap();
    assert_eq!(hears.recv(), Ok(8));
}

/// A panic that may come out of a call, but must not go on from there.
fn swallowed(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        std::mem::forget(payload);
    }
}

#[test]
fn a_job_that_panics_ends_as_panicked_and_its_worker_goes_on() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        match pool.submit(move || explode(kind)).unwrap().result() {
            Err(JobError::Panicked(payload)) => std::mem::forget(payload),
            other => panic!("{other:?}"),
        }
        still_works(&pool);
    }
}

#[test]
fn a_job_without_a_handle_that_panics_leaves_its_worker_alone() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        pool.execute(move || explode(kind)).unwrap();
        let bomb = Bomb(kind);
        pool.execute(move || drop(bomb)).unwrap();
        still_works(&pool);
    }
}

#[test]
fn the_payload_of_a_job_whose_handle_is_gone_leaves_its_worker_alone() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        let (first, release) = blocked(&pool);
        drop(pool.submit(move || explode(kind)).unwrap());
        release.send(()).unwrap();
        assert!(first.result().is_ok());
        still_works(&pool);
    }
}

#[test]
fn a_result_that_panics_when_it_is_dropped_keeps_no_callback_from_being_called() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        let (first, release) = blocked(&pool);
        let handle = pool.submit(move || Bomb(kind)).unwrap();
        let (told, hears) = mpsc::channel();
        handle.on_done(move |status| told.send(status).unwrap());
        drop(handle);
        release.send(()).unwrap();
        assert_eq!(hears.recv(), Ok(JobStatus::Returned));
        assert!(first.result().is_ok());
        still_works(&pool);
    }
}

#[test]
fn a_handle_that_is_dropped_with_its_result_swallows_the_panic_of_its_drop() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        let handles = [(); 2].map(|()| pool.submit(move || Bomb(kind)).unwrap());
        let waited = wait(handles, Until::All, None);
        drop(waited);
        still_works(&pool);
    }
}

#[test]
fn cancelling_a_job_wakes_and_calls_all_that_wait_though_its_closure_panics_when_dropped() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        let (first, release) = blocked(&pool);
        let bomb = Bomb(kind);
        let handle = Arc::new(pool.submit(move || drop(bomb)).unwrap());
        let sleeper = {
            let handle = handle.clone();
            thread::spawn(move || handle.wait_timeout(std::time::Duration::MAX))
        };
        let (told, hears) = mpsc::channel();
        handle.on_done(move |status| told.send(status).unwrap());
        assert!(handle.cancel());
        // The worker is busy all the time: only the cancelling thread can have told them.
        assert_eq!(hears.recv(), Ok(JobStatus::Cancelled));
        assert!(sleeper.join().unwrap());
        release.send(()).unwrap();
        assert!(first.result().is_ok());
        still_works(&pool);
    }
}

#[test]
fn a_cancelling_shutdown_reaches_every_job_though_closures_panic_when_dropped() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        let drops = Arc::new(AtomicUsize::new(0));
        let (first, release) = blocked(&pool);
        let handles: Vec<_> = (0..6)
            .map(|_| {
                let inside = Counted { kind: Some(kind), drops: drops.clone() };
                pool.submit(move || drop(inside)).unwrap()
            })
            .collect();
        let inside = Counted { kind: Some(kind), drops: drops.clone() };
        pool.execute(move || drop(inside)).unwrap();
        pool.shutdown(false, true).unwrap();
        assert_eq!(drops.load(SeqCst), 7, "every closure is dropped once");
        // `wait` counts a cancelled job when it has been put aside: the shutdown did that.
        let waited = wait(handles, Until::All, None);
        assert_eq!(waited.done.len(), 6);
        assert!(waited.done.into_iter().all(|h| matches!(h.result(), Err(JobError::Cancelled))));
        release.send(()).unwrap();
        assert!(first.result().is_ok());
        pool.shutdown(true, false).unwrap();
    }
}

#[test]
fn a_pool_whose_initializer_panics_is_broken_and_fails_every_job() {
    let _watchdog = watch();
    for kind in KINDS {
        for closures in [None, Some(kind)] {
            let (go, waits) = mpsc::channel::<()>();
            let waits = std::sync::Mutex::new(waits);
            let pool = ThreadPool::builder()
                .max_workers(1)
                .initializer(move || {
                    let _ = waits.lock().unwrap().recv();
                    explode(kind)
                })
                .build()
                .unwrap();
            let drops = Arc::new(AtomicUsize::new(0));
            let handles: Vec<_> = (0..4)
                .map(|_| {
                    let inside = Counted { kind: closures, drops: drops.clone() };
                    pool.submit(move || drop(inside)).unwrap()
                })
                .collect();
            drop(go);
            assert!(handles.into_iter().all(|h| matches!(h.result(), Err(JobError::Broken))));
            pool.shutdown(true, false).unwrap();
            assert_eq!(drops.load(SeqCst), 4);
            assert!(pool.is_broken());
            assert!(matches!(pool.submit(|| ()), Err(SubmitError::Broken(_))));
        }
    }
}

#[test]
fn a_callback_that_panics_keeps_no_other_callback_and_no_wait_from_its_turn() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        let (first, release) = blocked(&pool);
        let handle = pool.submit(|| 1).unwrap();
        let (told, hears) = mpsc::channel();
        for number in 0..3 {
            let told = told.clone();
            handle.on_done(move |_| {
                told.send(number).unwrap();
                explode(kind);
            });
        }
        release.send(()).unwrap();
        let waited = wait([handle], Until::All, None);
        assert_eq!((0..3).map(|_| hears.recv().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
        // One that comes late is called by the thread that adds it, to the same end.
        waited.done[0].on_done(move |_| explode(kind));
        assert!(first.result().is_ok());
        still_works(&pool);
    }
}

#[test]
fn a_scope_does_not_return_before_its_jobs_whatever_panics() {
    let _watchdog = watch();
    for kind in KINDS {
        for body_panics in [false, true] {
            let pool = ThreadPool::new(2);
            let ended = AtomicU32::new(0);
            let (release, gate) = mpsc::channel::<()>();
            let gate = std::sync::Mutex::new(gate);
            let returned = AtomicBool::new(false);
            thread::scope(|threads| {
                let (pool, ended, returned) = (&pool, &ended, &returned);
                threads.spawn(move || {
                    swallowed(|| {
                        pool.scope(|scope| {
                            // Two that panic: the payload of the second one is not the scope's.
                            for _ in 0..2 {
                                scope.submit(move || explode(kind)).unwrap();
                            }
                            let bomb = Bomb(kind);
                            scope.submit(move || drop(bomb)).unwrap();
                            scope
                                .submit(move || {
                                    let _ = gate.lock().unwrap().recv();
                                    assert!(!returned.load(SeqCst), "the scope is gone");
                                    ended.fetch_add(1, SeqCst);
                                })
                                .unwrap();
                            if body_panics {
                                explode(kind);
                            }
                        });
                    });
                    returned.store(true, SeqCst);
                    assert_eq!(ended.load(SeqCst), 1, "the scope returned before its job");
                });
                // Time for a scope that returns too early to do so.
                thread::sleep(crate::support::A_MOMENT);
                assert!(!returned.load(SeqCst), "the scope returned before its job");
                drop(release);
            });
            still_works_in_two(&pool);
        }
    }
}

fn still_works_in_two(pool: &ThreadPool) {
    let (a, b) = (Arc::new(SimpleQueue::new()), Arc::new(SimpleQueue::new()));
    let (a2, b2) = (a.clone(), b.clone());
    let first = pool.submit(move || (a.put(()), b.get()).1).unwrap();
    let second = pool.submit(move || (b2.put(()), a2.get()).1).unwrap();
    assert!(first.result().is_ok() && second.result().is_ok());
}

#[test]
fn a_scope_over_a_pool_that_cancels_ends_though_closures_panic_when_dropped() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        let (first, release) = blocked(&pool);
        let text = String::from("borrowed");
        let drops = Arc::new(AtomicUsize::new(0));
        pool.scope(|scope| {
            for _ in 0..3 {
                let inside = Counted { kind: Some(kind), drops: drops.clone() };
                let text = &text;
                scope.submit(move || drop((inside, text.len()))).unwrap();
            }
            pool.shutdown(false, true).unwrap();
        });
        assert_eq!(drops.load(SeqCst), 3);
        release.send(()).unwrap();
        assert!(first.result().is_ok());
    }
}

#[test]
fn a_map_whose_jobs_panic_hands_out_every_result() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        let results = pool.map(0..5, move |n| if n % 2 == 0 { explode(kind) } else { n }).unwrap();
        let good: Vec<_> = results
            .filter_map(|result| match result {
                Ok(n) => Some(n),
                Err(why) => {
                    std::mem::forget(why);
                    None
                }
            })
            .collect();
        assert_eq!(good, [1, 3]);
        still_works(&pool);
    }
}

#[test]
fn a_task_whose_item_panics_when_dropped_is_done() {
    let _watchdog = watch();
    for kind in KINDS {
        let queue = Queue::unbounded();
        assert!(queue.put(Bomb(kind)).is_ok());
        let task = queue.get_task().unwrap();
        swallowed(|| drop(task));
        assert_eq!(queue.unfinished(), 0);
        queue.join();
    }
}

#[test]
fn every_item_is_dropped_once_though_several_panic() {
    let _watchdog = watch();
    const ITEMS: usize = 150;
    for kind in KINDS {
        let drops = Arc::new(AtomicUsize::new(0));
        // Every third one panics.
        let items = || {
            (0..ITEMS).map(|n| Counted { kind: (n % 3 == 1).then_some(kind), drops: drops.clone() })
        };
        let check = |what: &str, gone: Box<dyn FnOnce() + '_>| {
            drops.store(0, SeqCst);
            let ended = catch_unwind(AssertUnwindSafe(gone));
            assert_eq!(drops.load(SeqCst), ITEMS, "{what}");
            let payload = ended.expect_err("the first panic comes out");
            if kind == 0 {
                assert_eq!(payload.downcast_ref(), Some(&"it failed"), "{what}");
            }
            std::mem::forget(payload);
        };
        for queue in [Queue::unbounded(), Queue::bounded(ITEMS)] {
            items().for_each(|item| assert!(queue.put(item).is_ok()));
            check("Queue", Box::new(move || drop(queue)));
        }
        let simple = SimpleQueue::new();
        items().for_each(|item| simple.put(item));
        check("SimpleQueue", Box::new(move || drop(simple)));
        let lifo = LifoQueue::unbounded();
        items().for_each(|item| assert!(lifo.put(item).is_ok()));
        check("LifoQueue", Box::new(move || drop(lifo)));
        let priority = PriorityQueue::unbounded();
        items().for_each(|item| assert!(priority.put(Equal(item)).is_ok()));
        check("PriorityQueue", Box::new(move || drop(priority)));
        let (mut producer, consumer) = spsc(ITEMS);
        items().for_each(|item| assert!(producer.try_put(item).is_ok()));
        drop(producer);
        check("spsc", Box::new(move || drop(consumer)));
        for (sender, receiver) in [channel::unbounded(), channel::bounded(ITEMS)] {
            items().for_each(|item| assert!(sender.send(item).is_ok()));
            check("the last receiver", Box::new(move || drop(receiver)));
        }
    }
}

/// Of equal rank, all of them.
struct Equal<T>(T);

impl<T> PartialEq for Equal<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Equal<T> {}

impl<T> PartialOrd for Equal<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Equal<T> {
    fn cmp(&self, _: &Self) -> Order {
        Order::Equal
    }
}

/// Compares by the number, until `armed` is set: then it panics.
struct Ranked(u32, Arc<AtomicBool>, u32);

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Order {
        if self.1.load(SeqCst) {
            explode(self.2);
        }
        self.0.cmp(&other.0)
    }
}

#[test]
fn a_comparison_that_panics_leaves_the_priority_queue_as_it_was() {
    let _watchdog = watch();
    for kind in KINDS {
        let armed = Arc::new(AtomicBool::new(false));
        let item = |n| Ranked(n, armed.clone(), kind);
        type Call = fn(&PriorityQueue<Ranked>, Ranked);
        let calls: [(&str, Call); 8] = [
            ("put", |queue, item| assert!(queue.put(item).is_ok())),
            ("put_many", |queue, item| assert!(queue.put_many(vec![item]).is_ok())),
            ("force_put", |queue, item| assert!(queue.force_put(item).is_ok())),
            ("get", |queue, _| assert!(queue.get().is_ok())),
            ("get_many", |queue, _| assert!(queue.get_many(&mut Vec::new(), 4).is_ok())),
            ("get_task", |queue, _| assert!(queue.get_task().is_ok())),
            ("drain", |queue, _| drop(queue.drain())),
            ("shutdown_now", |queue, _| drop(queue.shutdown_now())),
        ];
        for (name, call) in calls {
            for full in [false, true] {
                let queue = PriorityQueue::bounded(if full { 6 } else { 100 });
                [5, 1, 4, 2, 6, 3].into_iter().for_each(|n| assert!(queue.put(item(n)).is_ok()));
                if full && matches!(name, "put" | "put_many") {
                    continue;
                }
                let extra = item(0);
                armed.store(true, SeqCst);
                let panicked = catch_unwind(AssertUnwindSafe(|| call(&queue, extra)));
                armed.store(false, SeqCst);
                std::mem::forget(panicked.expect_err(name));
                assert!(!queue.is_shutdown(), "{name}");
                assert_eq!((queue.len(), queue.unfinished()), (6, 6), "{name}");
                let left: Vec<_> = queue.try_iter().map(|item| item.0).collect();
                assert_eq!(left, [1, 2, 3, 4, 5, 6], "{name}");
            }
        }
    }
}

#[test]
fn a_comparison_that_panics_in_the_middle_of_a_batch_ends_the_batch() {
    let _watchdog = watch();
    /// Panics from the `n`th comparison on.
    struct Late(u32, Arc<AtomicU32>, u32);
    impl PartialEq for Late {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Late {}
    impl PartialOrd for Late {
        fn partial_cmp(&self, other: &Self) -> Option<Order> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Late {
        fn cmp(&self, other: &Self) -> Order {
            if self.1.fetch_sub(1, SeqCst) == 0 {
                self.1.store(0, SeqCst);
                explode(self.2);
            }
            self.0.cmp(&other.0)
        }
    }
    for kind in KINDS {
        for fuse in 0..40 {
            let left = Arc::new(AtomicU32::new(u32::MAX));
            let queue = PriorityQueue::unbounded();
            (0..20).for_each(|n| assert!(queue.put(Late(n, left.clone(), kind)).is_ok()));
            let mut out = Vec::new();
            left.store(fuse, SeqCst);
            swallowed(|| {
                let _ = queue.get_many(&mut out, 15);
            });
            left.store(u32::MAX, SeqCst);
            let mut all: Vec<_> = out.iter().map(|item| item.0).collect();
            all.extend(queue.try_iter().map(|item| item.0));
            assert!(all.into_iter().eq(0..20), "after {fuse} comparisons");

            // The items that a drain took out before the panic are returned.
            (0..20).for_each(|n| assert!(queue.put(Late(n, left.clone(), kind)).is_ok()));
            let mut drained = Vec::new();
            left.store(fuse, SeqCst);
            swallowed(|| drained = queue.drain());
            left.store(u32::MAX, SeqCst);
            let mut all: Vec<_> = drained.iter().map(|item| item.0).collect();
            all.extend(queue.try_iter().map(|item| item.0));
            assert!(all.into_iter().eq(0..20), "a drain, after {fuse} comparisons");
        }
    }
}

#[test]
fn an_initializer_that_panics_when_dropped_harms_no_thread() {
    let _watchdog = watch();
    for kind in KINDS {
        for by_its_own_job in [false, true] {
            let drops = Arc::new(AtomicUsize::new(0));
            let inside = Counted { kind: Some(kind), drops: drops.clone() };
            let initializer = move || _ = &inside;
            let pool = ThreadPool::builder().max_workers(1).initializer(initializer);
            let pool = Arc::new(pool.build().unwrap());
            still_works(&pool);
            if by_its_own_job {
                let (release, gate) = mpsc::channel::<()>();
                let last = pool.clone();
                pool.execute(move || {
                    let _ = gate.recv();
                    drop(last);
                })
                .unwrap();
                drop(pool);
                drop(release);
                while drops.load(SeqCst) == 0 {
                    thread::yield_now();
                }
            } else {
                drop(pool);
            }
            assert_eq!(drops.load(SeqCst), 1);
        }
    }
}

#[test]
fn a_comparison_that_panics_in_a_woken_put_wakes_another_one() {
    let _watchdog = watch();
    let armed = Arc::new(AtomicBool::new(false));
    /// Panics once in a comparison, if it is a late one.
    struct Once(u32, Arc<AtomicBool>);
    impl PartialEq for Once {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Once {}
    impl PartialOrd for Once {
        fn partial_cmp(&self, other: &Self) -> Option<Order> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Once {
        fn cmp(&self, other: &Self) -> Order {
            if self.0.max(other.0) >= 10 && self.1.swap(false, SeqCst) {
                explode(0);
            }
            self.0.cmp(&other.0)
        }
    }
    let queue = PriorityQueue::bounded(2);
    (0..2).for_each(|n| assert!(queue.put(Once(n, armed.clone())).is_ok()));
    armed.store(true, SeqCst);
    let put = &|n| {
        let item = Once(n, armed.clone());
        catch_unwind(AssertUnwindSafe(|| queue.put(item).is_ok())).ok()
    };
    let mut ended = thread::scope(|threads| {
        let putters = [10, 11].map(|n| threads.spawn(move || put(n)));
        // Time for both to fall asleep.
        thread::sleep(crate::support::A_MOMENT * 5);
        assert!(queue.get().is_ok());
        putters.map(|putter| putter.join().unwrap())
    });
    ended.sort_unstable();
    assert_eq!(ended, [None, Some(true)]);
}

/// Every kind of wait of a task for jobs.
#[test]
fn a_waker_that_panics_harms_no_worker_and_no_other_wait_for_a_job() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    for way in ["a handle", "wait_async", "next_async"] {
        // Two waits end at once, with the job that holds up the pool.
        let go = RefCell::new(None);
        let first = RefCell::new(None);
        survives(
            way,
            &|| {
                if go.borrow().is_none() {
                    let (handle, release) = blocked(&pool);
                    *go.borrow_mut() = Some(release);
                    first.replace(Some(handle));
                }
                let behind = pool.submit(|| ()).unwrap();
                match way {
                    "a handle" => Box::pin(async { behind.await.unwrap() }),
                    "wait_async" => {
                        Box::pin(async { drop(wait_async([behind], Until::All).await) })
                    }
                    _ => Box::pin(async {
                        drop(as_completed([behind]).next_async().await);
                    }),
                }
            },
            &|| {
                drop(go.take());
                pool.join().unwrap();
            },
        );
        drop(first.take());
        still_works(&pool);
    }
}

#[test]
fn every_hook_of_a_pool_may_panic() {
    let _watchdog = watch();
    for kind in KINDS {
        let drops = Arc::new(AtomicUsize::new(0));
        let counted = |kind| {
            let drops = drops.clone();
            Counted { kind, drops }
        };
        let (namer, exit) = (counted(Some(kind)), counted(Some(kind)));
        let exits = Arc::new(AtomicUsize::new(0));
        let ended = exits.clone();
        let pool = ThreadPool::builder()
            .max_workers(2)
            .thread_name(move |_| {
                let _ = &namer;
                explode(kind)
            })
            .exit_hook(move || {
                let _ = &exit;
                ended.fetch_add(1, SeqCst);
                explode(kind)
            })
            .build()
            .unwrap();
        still_works_in_two(&pool);
        pool.join().unwrap();
        pool.resize(1);
        still_works(&pool);
        pool.resize(3);
        still_works_in_two(&pool);
        assert_eq!(pool.workers().min(1), 1);
        pool.shutdown(true, false).unwrap();
        assert!(exits.load(SeqCst) >= 2, "each worker calls the hook");
        drop(pool);
        assert_eq!(drops.load(SeqCst), 2, "both hooks are dropped");
    }
}

#[test]
fn a_job_that_lapses_or_goes_by_priority_may_panic() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::builder().max_workers(1).by_priority().build().unwrap();
        let (first, release) = blocked(&pool);
        let drops = Arc::new(AtomicUsize::new(0));
        let inside = Counted { kind: Some(kind), drops: drops.clone() };
        let lapses = pool.submit_within(Duration::ZERO, move || drop(inside)).unwrap();
        let (told, hears) = mpsc::channel();
        lapses.on_done(move |status| {
            told.send(status).unwrap();
            explode(kind)
        });
        let urgent = pool.submit_with_priority(5, move || explode(kind)).unwrap();
        let future = pool.spawn_future(async move { explode(kind) }).unwrap();
        release.send(()).unwrap();
        assert!(matches!(lapses.result(), Err(JobError::Lapsed)));
        assert_eq!(hears.recv(), Ok(JobStatus::Lapsed));
        for failed in [urgent.result(), future.result()] {
            match failed {
                Err(JobError::Panicked(payload)) => std::mem::forget(payload),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(first.result().is_ok());
        still_works(&pool);
        assert_eq!(drops.load(SeqCst), 1);
    }
}

#[test]
fn a_map_that_looks_ahead_survives_its_items_its_function_and_its_pool() {
    let _watchdog = watch();
    for kind in KINDS {
        let pool = ThreadPool::new(1);
        // The iterator panics in the middle: the jobs before that go on, and so does the map.
        let mut items = 0;
        let from = std::iter::from_fn(|| {
            items += 1;
            match items {
                3 => explode(kind),
                6 => None,
                n => Some(n),
            }
        });
        let mut map = pool.map_ahead(from, |n: u32| n, 2);
        let mut results = Vec::new();
        for _ in 0..6 {
            swallowed(|| results.extend(map.next()));
        }
        let results: Vec<_> = results.into_iter().map(|result| result.unwrap()).collect();
        assert_eq!(results, [1, 2, 4, 5]);
        drop(map);
        // The function panics, and so does the drop of an item that is refused.
        let drops = Arc::new(AtomicUsize::new(0));
        let items = (0..3).map(|_| Counted { kind: Some(kind), drops: drops.clone() });
        let mut map = pool.map_ahead(items, |item: Counted| std::mem::forget(item), 1);
        assert!(map.next().unwrap().is_ok());
        pool.shutdown(true, false).unwrap();
        match map.next() {
            Some(Err(JobError::Refused(SubmitError::ShutDown(())))) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(drops.load(SeqCst), 1);
    }
}
