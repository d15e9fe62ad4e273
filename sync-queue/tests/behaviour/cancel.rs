//! A token ends every blocking call, the item comes back, and nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use sync_core::task::block_on;
use sync_core::{CancelToken, Cancelled};
use sync_queue::channel::{
    self, RecvCancelError, Select, SendCancelError, bounded, never, tick, unbounded,
};
use sync_queue::{
    GetCancelError, LifoQueue, PriorityQueue, PutCancelError, Queue, SimpleQueue, SubmitError,
    ThreadPool, Until, as_completed, wait_or_cancelled,
};

use crate::support::{LONG, blocked};
use crate::watchdog::watch;

/// Runs a call that has to wait, cancels it from another thread, and returns its result.
fn ends<R: Send>(call: impl FnOnce(&CancelToken) -> R + Send) -> R {
    let token = CancelToken::new();
    thread::scope(|scope| {
        let waits = scope.spawn(|| call(&token));
        thread::sleep(Duration::from_millis(2));
        assert!(!waits.is_finished(), "it did not wait");
        token.cancel();
        waits.join().unwrap()
    })
}

fn cancelled() -> CancelToken {
    let token = CancelToken::new();
    token.cancel();
    token
}

macro_rules! each_queue {
    ($test:ident, $queue:ident => $body:block) => {
        #[test]
        fn $test() {
            let _watchdog = watch();
            {
                let $queue = Queue::bounded(1);
                $body
            }
            {
                let $queue = LifoQueue::bounded(1);
                $body
            }
            {
                let $queue = PriorityQueue::bounded(1);
                $body
            }
        }
    };
}

each_queue!(a_token_ends_the_waits_for_a_queue, queue => {
    assert_eq!(ends(|token| queue.get_or_cancelled(token)), Err(GetCancelError::Cancelled));
    assert!(ends(|token| queue.get_task_or_cancelled(token).is_err()));
    let mut out = Vec::new();
    let got = ends(|token| queue.get_many_or_cancelled(&mut out, 5, token));
    assert_eq!((got, out.len()), (Err(GetCancelError::Cancelled), 0));
    queue.put(1).unwrap();
    let put = ends(|token| queue.put_or_cancelled(2, token));
    assert_eq!(put, Err(PutCancelError::Cancelled(2)));
    let put = ends(|token| queue.put_many_or_cancelled(vec![3, 4], token));
    assert_eq!(put, Err(PutCancelError::Cancelled(vec![3, 4])));
    assert_eq!(ends(|token| queue.join_or_cancelled(token)), Err(Cancelled));
    // Nothing of them is left: the queue goes on.
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.put_or_cancelled(5, &cancelled()), Ok(()));
    assert_eq!(queue.get_or_cancelled(&cancelled()), Ok(5));
    assert_eq!(queue.put_many_or_cancelled(vec![6, 7], &cancelled()),
        Err(PutCancelError::Cancelled(vec![7])), "the first one was put");
    assert_eq!(queue.get_many_or_cancelled(&mut out, 5, &cancelled()), Ok(1));
    (0..3).for_each(|_| queue.task_done().unwrap());
    assert_eq!(queue.join_or_cancelled(&cancelled()), Ok(()));
    queue.shutdown();
    assert_eq!(queue.get_or_cancelled(&cancelled()), Err(GetCancelError::ShutDown));
    assert_eq!(queue.put_or_cancelled(8, &cancelled()), Err(PutCancelError::ShutDown(8)));
});

#[test]
fn a_token_ends_the_waits_for_a_simple_queue() {
    let _watchdog = watch();
    let queue = SimpleQueue::new();
    assert_eq!(ends(|token| queue.get_or_cancelled(token)), Err(Cancelled));
    let mut out = Vec::new();
    assert_eq!(ends(|token| queue.get_many_or_cancelled(&mut out, 2, token)), Err(Cancelled));
    queue.put_many(vec![1, 2, 3]);
    assert_eq!(queue.get_or_cancelled(&cancelled()), Ok(1));
    assert_eq!(queue.get_many_or_cancelled(&mut out, 2, &cancelled()), Ok(2));
}

#[test]
fn a_token_ends_the_waits_for_a_channel() {
    let _watchdog = watch();
    for capacity in [0, 1] {
        let (sender, receiver) = bounded(capacity);
        let received = ends(|token| receiver.recv_or_cancelled(token));
        assert_eq!(received, Err(RecvCancelError::Cancelled));
        (0..capacity).for_each(|_| sender.send(0).unwrap());
        let sent = ends(|token| sender.send_or_cancelled(7, token));
        assert_eq!(sent, Err(SendCancelError::Cancelled(7)));
        let mut select = Select::new();
        select.send(&sender);
        assert!(ends(|token| select.clone().select_or_cancelled(token).is_err()));
        assert_eq!(ends(|token| select.ready_or_cancelled(token)), Err(Cancelled));
        // Nothing of them is left.
        thread::scope(|scope| {
            let sends = scope.spawn(|| sender.send_or_cancelled(8, &CancelToken::new()));
            (0..capacity).for_each(|_| assert_eq!(receiver.recv(), Ok(0)));
            assert_eq!(receiver.recv_or_cancelled(&CancelToken::new()), Ok(8));
            assert_eq!(sends.join().unwrap(), Ok(()));
        });
        drop(receiver);
        let sent = sender.send_or_cancelled(9, &cancelled());
        assert_eq!(sent, Err(SendCancelError::Disconnected(9)));
    }
    let (sender, receiver) = unbounded();
    assert_eq!(sender.send_or_cancelled(1, &cancelled()), Ok(()));
    drop(sender);
    assert_eq!(receiver.recv_or_cancelled(&cancelled()), Ok(1));
    assert_eq!(receiver.recv_or_cancelled(&cancelled()), Err(RecvCancelError::Disconnected));
    let ends = [channel::after(LONG), tick(LONG), never()]
        .map(|clock| ends(|token| clock.recv_or_cancelled(token)));
    assert_eq!(ends, [Err(RecvCancelError::Cancelled); 3]);
    let soon = channel::after(Duration::from_millis(1));
    assert!(soon.recv_or_cancelled(&CancelToken::new()).is_ok());
}

#[test]
fn a_select_that_a_token_ends_goes_on_by_its_cases_and_clocks() {
    let _watchdog = watch();
    let (sender, receiver) = bounded::<u8>(0);
    let (soon, token) = (channel::after(Duration::from_millis(2)), CancelToken::new());
    let mut select = Select::new();
    select.recv(&receiver);
    let clock = select.recv(&soon);
    assert_eq!(select.ready_or_cancelled(&token), Ok(clock));
    let selected = select.select_or_cancelled(&token).unwrap();
    assert_eq!(selected.index(), clock);
    selected.recv(&soon).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| sender.send(7).unwrap());
        let selected = select.select_or_cancelled(&token).unwrap();
        assert_eq!(selected.recv(&receiver), Ok(7));
    });
}

#[test]
fn a_token_ends_the_waits_for_jobs_and_the_handles_come_back() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap();
    let (job, release) = blocked(&pool);
    let job = ends(|token| job.result_or_cancelled(token)).unwrap_err();
    let waited = ends(|token| wait_or_cancelled([job], Until::All, token));
    assert_eq!((waited.done.len(), waited.not_done.len()), (0, 1));
    let mut completed = as_completed(waited.not_done);
    assert!(ends(|token| completed.next_or_cancelled(token)).is_err());
    assert!(!ends(|token| pool.join_or_cancelled(token)).unwrap());
    let pending = pool.submit(|| 1).unwrap();
    let refused = ends(|token| pool.submit_or_cancelled(|| 2, token)).unwrap_err();
    assert!(matches!(refused, SubmitError::Full(_)));
    drop(release);
    let token = CancelToken::new();
    let job = completed.next_or_cancelled(&token).unwrap().unwrap();
    assert_eq!(job.result_or_cancelled(&token).unwrap().unwrap(), 42);
    assert!(completed.next_or_cancelled(&token).unwrap().is_none());
    assert_eq!(pending.result_or_cancelled(&token).unwrap().unwrap(), 1);
    assert_eq!(pool.submit_or_cancelled(|| 3, &token).unwrap().result().unwrap(), 3);
    assert!(pool.join_or_cancelled(&token).unwrap());

    let pool = ThreadPool::new(1);
    let gate = Arc::new(sync_core::Event::new());
    let inside = Arc::clone(&gate);
    let mut map = pool
        .map([1, 2], move |n| {
            inside.wait();
            n
        })
        .unwrap();
    assert!(ends(|token| map.next_or_cancelled(token)).is_err());
    gate.set();
    assert_eq!(map.next_or_cancelled(&token).unwrap().unwrap().unwrap(), 1);
    assert_eq!(map.next().unwrap().unwrap(), 2);
    assert!(map.next_or_cancelled(&token).unwrap().is_none());
}

#[test]
fn a_token_ends_every_wait_for_a_place_in_the_backlog() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(1).queue_limit(1).by_priority().build().unwrap();
    let (job, release) = blocked(&pool);
    let pending = pool.submit(|| 1).unwrap();
    assert!(ends(|token| {
        let refused = pool.submit_with_priority_or_cancelled(7, || (), token);
        matches!(refused, Err(SubmitError::Full(_)))
    }));
    assert!(ends(|token| {
        let refused = pool.submit_within_or_cancelled(LONG, || (), token);
        matches!(refused, Err(SubmitError::Full(_)))
    }));
    assert!(ends(|token| {
        matches!(pool.execute_or_cancelled(|| (), token), Err(SubmitError::Full(_)))
    }));
    let future = ends(|token| pool.spawn_future_or_cancelled(std::future::ready(7), token));
    match future {
        Err(SubmitError::Full(future)) => assert_eq!(block_on(future), 7, "the future comes back"),
        other => panic!("{other:?}"),
    }
    assert!(ends(|token| {
        matches!(pool.map_or_cancelled([1], |n| n, token), Err(SubmitError::Full(())))
    }));
    drop(release);
    let token = CancelToken::new();
    assert_eq!(
        pool.spawn_future_or_cancelled(std::future::ready(7), &token).unwrap().result().unwrap(),
        7
    );
    assert_eq!(
        pool.map_or_cancelled([1, 2], |n| n, &token).unwrap().map(Result::unwrap).sum::<i32>(),
        3
    );
    assert_eq!((job.result().unwrap(), pending.result().unwrap()), (42, 1));
    let pool = ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap();
    let (job, release) = blocked(&pool);
    let pending = pool.submit(|| 1).unwrap();
    pool.scope(|scope| {
        assert!(ends(|token| {
            matches!(scope.submit_or_cancelled(|| (), token), Err(SubmitError::Full(())))
        }));
        drop(release);
        scope.submit_or_cancelled(|| (), &token).unwrap();
    });
    assert_eq!((job.result().unwrap(), pending.result().unwrap()), (42, 1));
}

/// The token ends the wait for the oldest result and the wait for a place of the next job, and each
/// item is handed to its job once.
#[test]
fn a_token_ends_the_waits_of_a_map_that_looks_ahead_and_no_item_is_lost() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap();
    let (job, release) = blocked(&pool);
    let token = CancelToken::new();
    // Two of the three jobs find no place.
    let mut map = pool.map_ahead(1..=5, |n| n * n, 3);
    for _ in 0..3 {
        assert!(matches!(ends(|token| map.next_or_cancelled(token)), Err(Cancelled)));
    }
    drop(release);
    let mut squares = Vec::new();
    squares.push(map.next_or_cancelled(&token).unwrap().unwrap().unwrap());
    squares.push(map.next().unwrap().unwrap());
    while let Some(square) = map.next_or_cancelled(&token).unwrap() {
        squares.push(square.unwrap());
    }
    assert_eq!(squares, [1, 4, 9, 16, 25]);
    assert_eq!(job.result().unwrap(), 42);

    // A result that is there is returned, also if the token is cancelled.
    let mut map = pool.map_ahead(1..=2, |n| n, 1);
    assert_eq!(map.next().unwrap().unwrap(), 1);
    pool.join().unwrap();
    let stop = cancelled();
    let got = loop {
        match map.next_or_cancelled(&stop) {
            Ok(got) => break got,
            Err(Cancelled) => pool.join().unwrap(),
        }
    };
    assert_eq!(got.unwrap().unwrap(), 2);
    assert!(map.next_or_cancelled(&stop).unwrap().is_none());
    let mut map = pool.map_ahead(1.., |n: i32| n, 1);
    pool.shutdown(true, true).unwrap();
    assert!(matches!(map.next_or_cancelled(&token), Ok(Some(Err(_)))), "the pool refuses");
    assert!(map.next_or_cancelled(&token).unwrap().is_none());
}

/// A call that is cancelled at the moment at which it gets what it waits for loses nothing.
#[test]
fn cancellation_at_the_last_moment_loses_no_item() {
    let _watchdog = watch();
    for capacity in [0, 1] {
        let (sender, receiver) = bounded(capacity);
        let queue = Queue::bounded(1);
        let out = AtomicU32::new(0);
        thread::scope(|scope| {
            let gets = scope.spawn(|| {
                while let Ok(_) | Err(RecvCancelError::Cancelled) = {
                    let token = CancelToken::new();
                    let cancels = token.clone();
                    let cancel = scope.spawn(move || cancels.cancel());
                    let received = receiver.recv_or_cancelled(&token);
                    if received.is_ok() {
                        out.fetch_add(1, SeqCst);
                    }
                    cancel.join().unwrap();
                    received
                } {}
            });
            let mut sent = 0;
            for n in 0..150 {
                let token = CancelToken::new();
                let cancels = token.clone();
                let cancel = scope.spawn(move || cancels.cancel());
                if sender.send_or_cancelled(n, &token).is_ok() {
                    sent += 1;
                }
                if queue.put_or_cancelled(n, &token).is_err_and(|error| error.into_inner() == n) {
                    queue.get().unwrap();
                }
                cancel.join().unwrap();
            }
            drop(sender);
            gets.join().unwrap();
            assert_eq!(out.load(SeqCst), sent);
        });
    }
}
