//! A thread and a task contend for one queue, channel, select or job, kind by kind. The test
//! `a_thread_meets_every_wait_of_a_task` of sync-xtask holds this file against the list of the
//! calls that tasks have.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use sync_core::task::block_on;
use sync_queue::channel::{Receiver, Sender, bounded, select, unbounded};
use sync_queue::{
    LifoQueue, PriorityQueue, Queue, SimpleQueue, ThreadPool, Until, as_completed, wait, wait_async,
};

use crate::watchdog::watch;

const EACH: u64 = 300;

/// A thread and a task put, and a thread and a task get, until the end: each item comes out once.
macro_rules! contend_for_a_queue {
    ($queue:expr) => {{
        let queue = $queue;
        let sum = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                while let Ok(item) = queue.get() {
                    sum.fetch_add(item, SeqCst);
                    queue.task_done().unwrap();
                }
            });
            scope.spawn(|| {
                block_on(async {
                    while let Ok(item) = queue.get_async().await {
                        sum.fetch_add(item, SeqCst);
                        queue.task_done().unwrap();
                    }
                });
            });
            let puts = scope.spawn(|| (0..EACH).for_each(|item| queue.put(item).unwrap()));
            block_on(async {
                for item in 0..EACH {
                    queue.put_async(item).await.unwrap();
                }
            });
            puts.join().unwrap();
            let joins = scope.spawn(|| queue.join());
            block_on(queue.join_async());
            joins.join().unwrap();
            queue.shutdown();
        });
        assert_eq!(sum.load(SeqCst), EACH * (EACH - 1));
    }};
}

#[test]
fn a_thread_and_a_task_contend_for_a_queue_of_every_kind() {
    let _watchdog = watch();
    contend_for_a_queue!(Queue::bounded(1));
    contend_for_a_queue!(Queue::bounded(16));
    contend_for_a_queue!(Queue::unbounded());
    contend_for_a_queue!(LifoQueue::bounded(1));
    contend_for_a_queue!(LifoQueue::unbounded());
    contend_for_a_queue!(PriorityQueue::bounded(1));
    contend_for_a_queue!(PriorityQueue::unbounded());

    let queue = SimpleQueue::new();
    let sum = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..EACH {
                sum.fetch_add(queue.get(), SeqCst);
            }
        });
        scope.spawn(|| {
            block_on(async {
                for _ in 0..EACH {
                    sum.fetch_add(queue.get_async().await, SeqCst);
                }
            });
        });
        (0..2 * EACH).for_each(|item| queue.put(item));
    });
    assert_eq!(sum.load(SeqCst), EACH * (2 * EACH - 1));
}

/// A thread, a task and a select send, and a thread, a task and a select receive.
fn contend_for_a_channel((sender, receiver): (Sender<u64>, Receiver<u64>)) {
    let _watchdog = watch();
    let sum = AtomicU64::new(0);
    let add = |item: u64| {
        sum.fetch_add(item, SeqCst);
    };
    thread::scope(|scope| {
        let (one, two, three) = (sender.clone(), sender.clone(), sender);
        scope.spawn(move || (0..EACH).for_each(|item| one.send(item).unwrap()));
        scope.spawn(move || {
            block_on(async {
                for item in 0..EACH {
                    two.send_async(item).await.unwrap();
                }
            });
        });
        scope.spawn(move || {
            for item in 0..EACH {
                select! { send(three, item) -> sent => sent.unwrap() }
            }
        });
        scope.spawn(|| receiver.iter().for_each(add));
        scope.spawn(|| {
            block_on(async {
                while let Ok(item) = receiver.recv_async().await {
                    add(item);
                }
            });
        });
        loop {
            select! {
                recv(receiver) -> item => match item {
                    Ok(item) => add(item),
                    Err(_) => break,
                }
            }
        }
    });
    assert_eq!(sum.load(SeqCst), 3 * EACH * (EACH - 1) / 2);
}

#[test]
fn a_thread_a_task_and_a_select_contend_for_a_channel_of_every_kind() {
    contend_for_a_channel(bounded(0));
    contend_for_a_channel(bounded(1));
    contend_for_a_channel(bounded(16));
    contend_for_a_channel(unbounded());
}

#[test]
fn a_thread_and_a_task_wait_for_the_jobs_of_one_pool() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    for _ in 0..20 {
        let jobs = || [0, 1, 2].map(|n| pool.submit(move || n).unwrap());
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(wait(jobs(), Until::All, None).done.len(), 3);
                assert_eq!(as_completed(jobs()).count(), 3);
                jobs().into_iter().for_each(|job| assert!(job.result().is_ok()));
            });
            scope.spawn(|| {
                block_on(async {
                    assert_eq!(wait_async(jobs(), Until::All).await.done.len(), 3);
                    let mut completed = as_completed(jobs());
                    while let Some(job) = completed.next_async().await {
                        assert!(job.into_future().await.is_ok());
                    }
                });
            });
        });
    }
}
