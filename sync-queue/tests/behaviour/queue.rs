//! `Queue`, bounded and unbounded. What the other orders share with it is tested through it: it is
//! the same code.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_queue::{GetError, PutError, Queue, ShutDown, TaskGuard, TooManyDone};

use crate::support::{A_MOMENT, Drops, LONG};
use crate::watchdog::watch;

#[test]
fn task_done_on_a_fresh_queue_is_an_error() {
    let queue = Queue::<u8>::unbounded();
    assert_eq!(queue.task_done(), Err(queue.task_done().unwrap_err()));
    assert_eq!(queue.unfinished(), 0);
    queue.put(1).unwrap();
    assert_eq!(queue.task_done(), Ok(()));
    assert!(queue.task_done().is_err());
    assert_eq!(queue.unfinished(), 0, "nothing wrapped around");
}

#[test]
fn join_returns_after_all_was_processed_twice_on_one_queue() {
    let _watchdog = watch();
    let queue = Queue::unbounded();
    for _ in 0..2 {
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(n) = queue.get().unwrap() {
                        sum.fetch_add(n, Ordering::Relaxed);
                        queue.task_done().unwrap();
                    }
                    queue.task_done().unwrap();
                });
            }
            for n in 0..100 {
                queue.put(Some(n)).unwrap();
            }
            queue.join();
            // Relaxed: join orders it.
            assert_eq!(sum.load(Ordering::Relaxed), 4950);
            queue.put_many(vec![None, None]).unwrap();
            queue.join();
        });
    }
    assert!(queue.task_done().is_err());
}

#[test]
fn first_in_first_out() {
    for queue in [Queue::bounded(3), Queue::unbounded()] {
        for n in [111, 333, 222] {
            queue.put(n).unwrap();
        }
        assert_eq!(queue.try_iter().collect::<Vec<_>>(), [111, 333, 222]);
    }
}

#[test]
fn full_and_empty_at_each_step() {
    let _watchdog = watch();
    let queue = Queue::bounded(5);
    for _ in 0..2 {
        assert!(queue.is_empty() && !queue.is_full());
        for n in 0..5 {
            assert!(!queue.is_full());
            queue.put(n).unwrap();
            assert!(!queue.is_empty());
            assert_eq!(queue.len(), n + 1);
        }
        assert!(queue.is_full());
        assert_eq!(queue.try_put(9), Err(PutError::Full(9)));
        let begun = Instant::now();
        assert_eq!(queue.put_timeout(9, Duration::from_millis(10)), Err(PutError::Full(9)));
        assert!(begun.elapsed() >= Duration::from_millis(10));
        thread::scope(|scope| {
            scope.spawn(|| queue.put(5).unwrap());
            thread::sleep(A_MOMENT);
            assert_eq!(queue.get(), Ok(0));
        });
        thread::scope(|scope| {
            scope.spawn(|| queue.put_timeout(6, LONG).unwrap());
            thread::sleep(A_MOMENT);
            assert_eq!(queue.get(), Ok(1));
        });
        assert_eq!(queue.try_iter().collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
        assert_eq!(queue.try_get(), Err(GetError::Empty));
        let begun = Instant::now();
        assert_eq!(queue.get_timeout(Duration::from_millis(10)), Err(GetError::Empty));
        assert!(begun.elapsed() >= Duration::from_millis(10));
        for patience in [Duration::MAX, LONG] {
            thread::scope(|scope| {
                let getter = scope.spawn(|| queue.get_timeout(patience));
                thread::sleep(A_MOMENT);
                queue.put(7).unwrap();
                assert_eq!(getter.join().unwrap(), Ok(7));
            });
        }
    }
}

#[test]
fn shutdown_of_an_empty_queue() {
    for queue in [Queue::bounded(1), Queue::unbounded()] {
        queue.shutdown();
        assert_eq!(queue.put(1), Err(ShutDown(1)));
        assert_eq!(queue.get(), Err(ShutDown(())));
    }
}

#[test]
fn shutdown_with_an_item_inside() {
    for queue in [Queue::bounded(2), Queue::unbounded()] {
        queue.put(1).unwrap();
        queue.shutdown();
        assert_eq!(queue.try_put(2), Err(PutError::ShutDown(2)));
        assert_eq!(queue.get(), Ok(1));
        assert_eq!(queue.get(), Err(ShutDown(())));
    }
}

#[test]
fn shutdown_now_with_an_item_inside() {
    for queue in [Queue::bounded(2), Queue::unbounded()] {
        queue.put(1).unwrap();
        assert_eq!(queue.shutdown_now(), [1]);
        assert_eq!(queue.get(), Err(ShutDown(())));
        assert!(queue.is_empty());
    }
}

#[test]
fn shutdown_has_no_way_back() {
    let queue = Queue::<u8>::bounded(1);
    assert!(!queue.is_shutdown());
    queue.shutdown();
    assert!(queue.is_shutdown());
    assert!(queue.shutdown_now().is_empty());
    assert!(queue.is_shutdown());
    queue.shutdown();
    assert!(queue.is_shutdown());
}

#[test]
fn shutdown_beats_full() {
    let queue = Queue::bounded(1);
    queue.put(1).unwrap();
    queue.shutdown();
    assert_eq!(queue.try_put(2), Err(PutError::ShutDown(2)));
    assert_eq!(queue.put_timeout(2, Duration::ZERO), Err(PutError::ShutDown(2)));
    assert_eq!(queue.force_put(2), Err(ShutDown(2)));
    assert_eq!(queue.put_many(vec![2, 3]), Err(ShutDown(vec![2, 3])));
}

#[test]
fn all_methods_after_shutdown_now_in_one_thread() {
    for queue in [Queue::bounded(2), Queue::unbounded()] {
        queue.put("a").unwrap();
        queue.put("b").unwrap();
        assert_eq!(queue.shutdown_now(), ["a", "b"]);
        assert_eq!(queue.put("c"), Err(ShutDown("c")));
        assert_eq!(queue.try_put("c"), Err(PutError::ShutDown("c")));
        assert_eq!(queue.get(), Err(ShutDown(())));
        assert_eq!(queue.try_get(), Err(GetError::ShutDown));
        assert_eq!(queue.get_many(&mut Vec::new(), 1), Err(ShutDown(())));
        assert!(queue.task_done().is_err());
        queue.join();
        assert_eq!(queue.unfinished(), 0);
    }
}

/// Four writers, six readers, and a shutdown in the middle.
fn many_threads(now: bool) {
    let _watchdog = watch();
    for queue in [Queue::bounded(7), Queue::unbounded()] {
        let (put, got) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let drained = thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..16384 {
                        match queue.put(n) {
                            Ok(()) => put.fetch_add(1, Ordering::Relaxed),
                            Err(ShutDown(back)) => {
                                assert_eq!(back, n);
                                break;
                            }
                        };
                    }
                });
            }
            for _ in 0..6 {
                scope.spawn(|| {
                    while let Ok(task) = queue.get_task() {
                        got.fetch_add(1, Ordering::Relaxed);
                        drop(task);
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| queue.join());
            }
            while got.load(Ordering::Relaxed) < 1000 {
                thread::yield_now();
            }
            if now {
                let drained = queue.shutdown_now().len();
                assert!(queue.is_empty());
                drained
            } else {
                queue.shutdown();
                0
            }
        });
        assert_eq!(put.into_inner(), got.into_inner() + drained);
        assert_eq!(queue.unfinished(), 0);
        assert!(queue.is_empty());
    }
}

#[test]
fn shutdown_among_many_threads() {
    many_threads(false);
}

#[test]
fn shutdown_now_among_many_threads() {
    many_threads(true);
}

#[test]
fn three_getters_two_items_one_shutdown() {
    let _watchdog = watch();
    for queue in [Queue::bounded(2), Queue::unbounded()] {
        queue.put_many(vec![1, 2]).unwrap();
        let got: Vec<_> = thread::scope(|scope| {
            let getters: Vec<_> = (0..3).map(|_| scope.spawn(|| queue.get())).collect();
            queue.shutdown();
            getters.into_iter().map(|getter| getter.join().unwrap()).collect()
        });
        assert_eq!(got.iter().flatten().sum::<i32>(), 3);
        assert_eq!(got.iter().filter(|got| got.is_err()).count(), 1);
    }
}

#[test]
fn blocked_putters_get_their_items_back() {
    let _watchdog = watch();
    for now in [false, true] {
        let queue = Queue::bounded(2);
        queue.put_many(vec![1, 2]).unwrap();
        thread::scope(|scope| {
            let timed = scope.spawn(|| queue.put_timeout(3, LONG));
            let putter = scope.spawn(|| queue.put(4));
            let many = scope.spawn(|| queue.put_many(vec![5, 6]));
            thread::sleep(A_MOMENT);
            if now {
                assert_eq!(queue.shutdown_now(), [1, 2]);
            } else {
                queue.shutdown();
            }
            assert_eq!(timed.join().unwrap(), Err(PutError::ShutDown(3)));
            assert_eq!(putter.join().unwrap(), Err(ShutDown(4)));
            assert_eq!(many.join().unwrap(), Err(ShutDown(vec![5, 6])));
        });
    }
}

#[test]
fn join_outlives_a_shutdown_and_ends_with_the_last_task() {
    let _watchdog = watch();
    let queue = Queue::bounded(1);
    queue.put(1).unwrap();
    thread::scope(|scope| {
        let joiners = [scope.spawn(|| queue.join()), scope.spawn(|| queue.join())];
        thread::sleep(A_MOMENT);
        queue.shutdown();
        thread::sleep(A_MOMENT);
        assert!(
            joiners.iter().all(|joiner| !joiner.is_finished()),
            "plain shutdown does not end a join"
        );
        let task = queue.get_task().unwrap();
        assert_eq!(*task, 1);
    });
    let queue = Queue::bounded(1);
    queue.put(1).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| queue.join());
        scope.spawn(|| queue.join());
        thread::sleep(A_MOMENT);
        assert_eq!(queue.shutdown_now(), [1]);
    });
}

#[test]
fn join_waits_for_items_in_flight_after_shutdown_now() {
    let queue = Queue::unbounded();
    queue.put_many(vec![1, 2, 3]).unwrap();
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.shutdown_now(), [2, 3]);
    assert_eq!(queue.unfinished(), 1);
    assert!(!queue.join_timeout(Duration::from_millis(1)));
    queue.task_done().unwrap();
    assert!(queue.join_timeout(Duration::ZERO));
}

#[test]
fn getters_and_joiners_through_a_shutdown() {
    let _watchdog = watch();
    let queue = Queue::bounded(2);
    queue.put_many(vec![1, 2]).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                queue.get().unwrap();
                queue.task_done().unwrap();
            });
            scope.spawn(|| queue.join());
        }
        queue.shutdown();
    });
}

#[test]
fn a_blocked_getter_wakes_at_shutdown() {
    let _watchdog = watch();
    for queue in [Queue::<u8>::bounded(2), Queue::unbounded()] {
        thread::scope(|scope| {
            let getter = scope.spawn(|| queue.get());
            let timed = scope.spawn(|| queue.get_timeout(LONG));
            let many = scope.spawn(|| queue.get_many(&mut Vec::new(), 3));
            thread::sleep(A_MOMENT);
            queue.shutdown();
            assert_eq!(getter.join().unwrap(), Err(ShutDown(())));
            assert_eq!(timed.join().unwrap(), Err(GetError::ShutDown));
            assert_eq!(many.join().unwrap(), Err(ShutDown(())));
        });
    }
}

#[test]
fn an_expired_time_still_takes_what_is_there() {
    let queue = Queue::bounded(1);
    let past = Instant::now() - Duration::from_secs(1);
    assert_eq!(queue.put_deadline(1, past), Ok(()));
    assert_eq!(queue.put_deadline(2, past), Err(PutError::Full(2)));
    assert_eq!(queue.put_timeout(2, Duration::ZERO), Err(PutError::Full(2)));
    assert_eq!(queue.get_deadline(past), Ok(1));
    assert_eq!(queue.get_deadline(past), Err(GetError::Empty));
    assert_eq!(queue.get_timeout(Duration::ZERO), Err(GetError::Empty));
}

#[test]
fn no_limit_is_never_full() {
    let queue = Queue::with_maxsize(0);
    assert_eq!(queue.capacity(), None);
    for n in 0..10_000 {
        queue.put(n).unwrap();
        assert!(!queue.is_full());
    }
    assert_eq!(queue.len(), 10_000);
    assert!(queue.try_iter().eq(0..10_000));
    assert_eq!(Queue::<u8>::with_maxsize(3).capacity(), Some(3));
}

#[test]
#[should_panic(expected = "room for at least one item")]
fn room_for_nothing_is_an_error() {
    let _ = Queue::<u8>::bounded(0);
}

#[test]
fn a_blocked_put_fails_after_shutdown_even_if_room_appears() {
    let _watchdog = watch();
    for _ in 0..50 {
        let queue = Queue::bounded(1);
        queue.put(1).unwrap();
        thread::scope(|scope| {
            let putter = scope.spawn(|| queue.put(2));
            thread::sleep(Duration::from_millis(1));
            queue.shutdown();
            assert_eq!(queue.get(), Ok(1));
            match putter.join().unwrap() {
                Err(ShutDown(2)) => assert_eq!(queue.get(), Err(ShutDown(()))),
                other => panic!("the queue was shut down before there was room: {other:?}"),
            }
        });
    }
}

#[test]
fn both_shutdowns_in_either_order() {
    let queue = Queue::unbounded();
    queue.put(1).unwrap();
    queue.shutdown();
    assert_eq!(queue.shutdown_now(), [1]);
    queue.shutdown();
    assert_eq!(queue.get(), Err(ShutDown(())));
}

#[test]
fn task_done_counts_puts_not_gets() {
    let queue = Queue::unbounded();
    queue.put(1).unwrap();
    queue.task_done().unwrap();
    queue.join();
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.shutdown_now(), [1], "what is called done already is not counted again");
    assert_eq!(queue.unfinished(), 0);
}

#[test]
fn join_on_a_fresh_queue_and_after_puts() {
    let queue = Queue::bounded(4);
    queue.join();
    queue.put(1).unwrap();
    assert_eq!(queue.unfinished(), 1);
    assert!(!queue.join_timeout(Duration::ZERO));
    assert!(!queue.join_deadline(Instant::now()));
    queue.put(2).unwrap();
    queue.task_done().unwrap();
    assert!(!queue.join_timeout(Duration::from_millis(1)));
    queue.task_done().unwrap();
    assert!(queue.join_timeout(Duration::ZERO));
}

#[test]
fn endless_timeouts_do_not_overflow() {
    let queue = Queue::bounded(1);
    queue.put_timeout(1, Duration::MAX).unwrap();
    assert_eq!(queue.get_timeout(Duration::from_secs(u64::MAX)), Ok(1));
    thread::scope(|scope| {
        let joiner = scope.spawn(|| queue.join_timeout(Duration::MAX));
        thread::sleep(A_MOMENT);
        queue.task_done().unwrap();
        assert!(joiner.join().unwrap());
    });
}

#[test]
fn a_task_guard_is_done_when_dropped_even_by_a_panic() {
    let queue = Queue::unbounded();
    queue.put_many(vec![1, 2, 3]).unwrap();
    drop(queue.get_task().unwrap());
    assert_eq!(queue.unfinished(), 2);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _task = queue.get_task().unwrap();
        std::panic::resume_unwind(Box::new("the task failed"));
    }));
    assert!(panicked.is_err());
    assert_eq!(queue.unfinished(), 1);
    let mut task = queue.get_task().unwrap();
    *task += 10;
    assert_eq!(format!("{task:?}"), "TaskGuard(13)");
    assert_eq!(TaskGuard::done(task), 13);
    assert_eq!(queue.unfinished(), 0);
}

#[test]
fn force_put_evicts_the_oldest_and_counts_it_done() {
    let queue = Queue::bounded(2);
    assert_eq!(queue.force_put(1), Ok(None));
    assert_eq!(queue.force_put(2), Ok(None));
    assert_eq!(queue.force_put(3), Ok(Some(1)));
    assert_eq!(queue.force_put(4), Ok(Some(2)));
    assert_eq!((queue.len(), queue.unfinished()), (2, 2));
    assert_eq!(queue.try_iter().collect::<Vec<_>>(), [3, 4]);
    let queue = Queue::unbounded();
    assert_eq!(queue.force_put(1), Ok(None));
    queue.shutdown();
    assert_eq!(queue.force_put(2), Err(ShutDown(2)));
}

#[test]
fn many_at_once() {
    let _watchdog = watch();
    for queue in [Queue::bounded(100), Queue::unbounded()] {
        queue.put_many((0..100).collect()).unwrap();
        let mut got = Vec::new();
        assert_eq!(queue.get_many(&mut got, 0), Ok(0));
        while got.len() < 100 {
            assert!(queue.get_many(&mut got, 1000).unwrap() > 0);
        }
        assert!(got.into_iter().eq(0..100));
        assert_eq!(queue.try_get_many(&mut Vec::new(), 1), Err(GetError::Empty));
        queue.put_many(Vec::new()).unwrap();
        assert_eq!(queue.unfinished(), 100);
    }
    let queue = Queue::bounded(3);
    assert_eq!(queue.try_put_many((0..5).collect()), Err(PutError::Full(vec![3, 4])));
    assert_eq!(queue.drain(), [0, 1, 2]);
    thread::scope(|scope| {
        scope.spawn(|| queue.put_many((0..1000).collect()).unwrap());
        let mut got = Vec::new();
        while got.len() < 1000 {
            queue.get_many(&mut got, 2).unwrap();
        }
        assert!(got.into_iter().eq(0..1000));
    });
}

#[test]
fn every_item_is_dropped_exactly_once() {
    for make in [|| Queue::bounded(200), || Queue::unbounded()] {
        let drops = Drops::default();
        let queue = make();
        for _ in 0..200 {
            queue.put(drops.item()).unwrap();
        }
        for _ in 0..50 {
            drop(queue.get().unwrap());
        }
        assert_eq!(drops.count(), 50);
        drop(queue);
        assert_eq!(drops.count(), 200);
        let queue = make();
        queue.put(drops.item()).unwrap();
        drop(queue.shutdown_now());
        drop(queue.put(drops.item()));
        assert_eq!(drops.count(), 202);
    }
}

#[test]
fn a_panicking_drop_loses_no_other_item() {
    struct Bad(Drops, bool);
    impl Drop for Bad {
        fn drop(&mut self) {
            self.0.0.fetch_add(1, Ordering::SeqCst);
            if self.1 {
                std::panic::resume_unwind(Box::new("dropped badly"));
            }
        }
    }
    for make in [|| Queue::bounded(200), || Queue::unbounded()] {
        let drops = Drops::default();
        let queue = make();
        for n in 0..200 {
            queue.put(Bad(drops.clone(), n == 70)).unwrap();
        }
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(queue))).unwrap_err();
        assert_eq!(drops.count(), 200);
    }
}

#[test]
fn debug_and_errors_show_what_they_are() {
    struct Opaque;
    let queue = Queue::bounded(1);
    assert_eq!(
        format!("{queue:?}"),
        "Queue { len: 0, capacity: Some(1), unfinished: 0, shutdown: false, .. }"
    );
    queue.put(Opaque).unwrap();
    assert_eq!(format!("{:?}", queue.try_put(Opaque)), "Err(Full(..))");
    assert_eq!(queue.try_put(Opaque).unwrap_err().to_string(), "the queue is full");
    queue.shutdown();
    assert_eq!(queue.put(Opaque).unwrap_err().to_string(), "the queue has been shut down");
    let error: Box<dyn std::error::Error> = Box::new(queue.put(Opaque).unwrap_err());
    assert!(error.source().is_none());
    let error: TooManyDone = Queue::<u8>::default().task_done().unwrap_err();
    assert_eq!(error.to_string(), "task_done was called more often than items were put");
}

#[test]
fn iterators() {
    let queue: Queue<_> = (0..5).collect();
    assert_eq!(queue.try_iter().take(2).sum::<i32>(), 1);
    queue.shutdown();
    let mut rest = Vec::new();
    for n in &queue {
        rest.push(n);
    }
    assert_eq!(rest, [2, 3, 4]);
}

#[test]
fn a_negative_time_cannot_be_written() {
    let _watchdog = watch();
    // `Duration` has no negative values; what is left of the case is a deadline that has passed.
    assert!(
        Duration::try_from_secs_f64(-1.0).is_err()
            && Duration::ZERO.checked_sub(Duration::from_nanos(1)).is_none()
    );
    let queue = Queue::bounded(1);
    let passed = Instant::now();
    assert_eq!(queue.get_deadline(passed), Err(GetError::Empty));
    queue.put(1).unwrap();
    assert_eq!(queue.put_deadline(2, passed), Err(PutError::Full(2)));
}

#[test]
fn the_capacity_cannot_change() {
    let _watchdog = watch();
    // It is given once, and no method takes `&mut self`: there is no queue with more inside than it
    // has room for.
    let queue = Queue::bounded(3);
    let room = |queue: &Queue<u32>| (queue.capacity(), queue.len(), queue.is_full());
    for n in 0..3 {
        assert_eq!(room(&queue), (Some(3), n as usize, false));
        queue.put(n).unwrap();
    }
    assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
    assert_eq!(queue.force_put(4), Ok(Some(0)));
    assert_eq!(queue.try_put_many(vec![5]), Err(PutError::Full(vec![5])));
    assert_eq!(room(&queue), (Some(3), 3, true));
    drop(queue.shutdown_now());
    assert_eq!(room(&queue), (Some(3), 0, false));
}

#[test]
fn a_deadline_counts_only_where_there_is_something_to_wait_for() {
    let _watchdog = watch();
    let passed = Instant::now();
    let unbounded = Queue::unbounded();
    assert_eq!(unbounded.put_deadline(1, passed), Ok(()));
    assert_eq!(unbounded.get_deadline(passed), Ok(1), "something was inside");
    let bounded = Queue::bounded(1);
    assert_eq!(bounded.put_deadline(1, passed), Ok(()), "there was room");
    assert_eq!(
        (bounded.try_put(2), bounded.try_get(), bounded.try_get()),
        (Err(PutError::Full(2)), Ok(1), Err(GetError::Empty))
    );
}

#[test]
fn shutdown_beats_full_and_empty_and_time() {
    let _watchdog = watch();
    let (empty, full) = (Queue::bounded(1), Queue::bounded(1));
    full.put(0).unwrap();
    empty.shutdown();
    full.shutdown();
    let passed = Instant::now();
    for queue in [&empty, &full] {
        assert_eq!(queue.put(1), Err(ShutDown(1)));
        assert_eq!(queue.try_put(1), Err(PutError::ShutDown(1)));
        assert_eq!(queue.put_timeout(1, Duration::ZERO), Err(PutError::ShutDown(1)));
        assert_eq!(queue.put_deadline(1, passed), Err(PutError::ShutDown(1)));
        assert_eq!(queue.force_put(1), Err(ShutDown(1)));
        assert_eq!(queue.try_put_many(vec![1, 2]), Err(PutError::ShutDown(vec![1, 2])));
    }
    assert_eq!(empty.try_get(), Err(GetError::ShutDown));
    assert_eq!(empty.get_timeout(Duration::ZERO), Err(GetError::ShutDown));
    assert_eq!(empty.get_deadline(passed), Err(GetError::ShutDown));
    assert_eq!(empty.try_get_many(&mut Vec::new(), 1), Err(GetError::ShutDown));
    assert_eq!(full.get(), Ok(0), "what is inside can still be got");
}

#[test]
fn a_plain_shutdown_leaves_joiners_alone() {
    let _watchdog = watch();
    let queue = Queue::bounded(1);
    queue.put(1).unwrap();
    thread::scope(|scope| {
        let joins = scope.spawn(|| queue.join());
        queue.shutdown();
        assert!(!queue.join_timeout(A_MOMENT), "the item is still inside");
        assert!(!joins.is_finished());
        assert_eq!(queue.get(), Ok(1));
        assert!(
            !queue.join_timeout(Duration::from_millis(1)) && !joins.is_finished(),
            "got is not done"
        );
        queue.task_done().unwrap();
        joins.join().unwrap();
    });
    queue.join();
}

#[test]
fn a_wait_that_is_woken_for_nothing_goes_on_for_the_rest_of_its_time() {
    let _watchdog = watch();
    let queue = Queue::bounded(1);
    let time = Duration::from_millis(60);
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let begun = Instant::now();
            (queue.get_timeout(time), begun.elapsed())
        });
        // Each put may wake the waiter, each get takes the item away from under it.
        while !waits.is_finished() {
            queue.put(1).unwrap();
            if queue.try_get().is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let (answer, elapsed) = waits.join().unwrap();
        assert!(answer == Ok(1) || elapsed >= time, "given up after {elapsed:?}");
        let _ = queue.try_get();
    });
    queue.put(2).unwrap();
    assert_eq!(queue.get_deadline(Instant::now() - time), Ok(2), "looked again before it gave up");
}
