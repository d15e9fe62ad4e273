//! Threads and tasks on the same objects, on three executors, with tasks that give up at random.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use sync_core::task::block_on;
use sync_core::{Barrier, Condvar, FairMutex, Mutex, RwLock, Semaphore};

use crate::give_up::give_up_after;
use crate::storm::Random;
use crate::watchdog::watch;

const TASKS: usize = 4;
const ROUNDS: u32 = 300;

struct Objects {
    lock: Mutex<u32>,
    fair: FairMutex<u32>,
    shared: RwLock<u32>,
    seats: Semaphore,
    inside: AtomicU32,
    turn: (Mutex<u32>, Condvar),
}

impl Objects {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lock: Mutex::new(0),
            fair: FairMutex::new(0),
            shared: RwLock::new(0),
            seats: Semaphore::new(2),
            inside: AtomicU32::new(0),
            turn: (Mutex::new(0), Condvar::new()),
        })
    }

    /// Returns the number of increments of each lock.
    async fn task(self: Arc<Self>, seed: u64) -> u32 {
        let mut random = Random::new(seed);
        let mut done = 0;
        for _ in 0..ROUNDS {
            let polls = random.below(4);
            if let Some(mut guard) = give_up_after(self.lock.lock_async(), polls).await {
                *guard += 1;
                done += 1;
            }
            if let Some(mut guard) = give_up_after(self.fair.lock_async(), random.below(4)).await {
                *guard += 1;
                done += 1;
            }
            if let Some(mut guard) = give_up_after(self.shared.write_async(), random.below(4)).await
            {
                *guard += 1;
                done += 1;
            }
            drop(give_up_after(self.shared.read_async(), random.below(4)).await);
            let n = 1 + random.below(2) as u32;
            let permit = give_up_after(self.seats.acquire_many_async(n), random.below(4)).await;
            if let Some(permit) = permit {
                assert!(self.inside.fetch_add(n, Ordering::SeqCst) + n <= 2);
                self.inside.fetch_sub(n, Ordering::SeqCst);
                drop(permit);
            }
            // No wait that gives up here: these must all end.
            *self.lock.lock_async().await += 1;
            drop(self.seats.acquire_async().await.unwrap());
            done += 1;
        }
        done
    }

    fn thread(&self) -> u32 {
        for _ in 0..ROUNDS {
            *self.lock.lock() += 1;
            *self.fair.lock() += 1;
            *self.shared.write() += 1;
            drop(self.shared.read());
            drop(self.seats.acquire_many(2).unwrap());
        }
        3 * ROUNDS
    }

    fn check(&self, done: u32) {
        assert_eq!(*self.lock.lock() + *self.fair.lock() + *self.shared.read(), done);
        assert_eq!(self.seats.available_permits(), 2);
    }
}

/// Two threads and the tasks that `run` spawns and waits for.
fn contend(run: impl FnOnce(Vec<Job>) -> u32) {
    let _watch = watch();
    let objects = Objects::new();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let objects = Arc::clone(&objects);
            thread::spawn(move || objects.thread())
        })
        .collect();
    let jobs = (0..TASKS as u64)
        .map(|n| {
            let objects = Arc::clone(&objects);
            Box::pin(objects.task(0x9E37_79B9 + n)) as Job
        })
        .collect();
    let mut done = run(jobs);
    for thread in threads {
        done += thread.join().unwrap();
    }
    objects.check(done);
}

type Job = std::pin::Pin<Box<dyn Future<Output = u32> + Send>>;

#[test]
fn threads_and_tasks_of_block_on() {
    contend(|jobs| {
        let threads: Vec<_> =
            jobs.into_iter().map(|job| thread::spawn(move || block_on(job))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
}

#[test]
fn threads_and_tasks_of_tokio_on_two_threads() {
    contend(|jobs| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let handles: Vec<_> = jobs.into_iter().map(|job| runtime.spawn(job)).collect();
        handles.into_iter().map(|handle| runtime.block_on(handle).unwrap()).sum()
    });
}

#[test]
fn threads_and_tasks_of_tokio_on_one_thread() {
    contend(|jobs| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let handles: Vec<_> = jobs.into_iter().map(|job| tokio::spawn(job)).collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await.unwrap();
            }
            sum
        })
    });
}

#[test]
fn threads_and_tasks_of_smols_executor() {
    contend(|jobs| {
        let executor = async_executor::Executor::new();
        let tasks: Vec<_> = jobs.into_iter().map(|job| executor.spawn(job)).collect();
        block_on(executor.run(async {
            let mut sum = 0;
            for task in tasks {
                sum += task.await;
            }
            sum
        }))
    });
}

/// A thread and a task pass a turn to each other through a condition variable, and meet at a
/// barrier.
#[test]
fn a_thread_and_a_task_alternate() {
    let _watch = watch();
    let objects = Objects::new();
    let barrier = Arc::new(Barrier::new(2));
    let (theirs, other) = (Arc::clone(&objects), Arc::clone(&barrier));
    let thread = thread::spawn(move || {
        for _ in 0..ROUNDS {
            let mut turn = theirs.turn.0.lock();
            theirs.turn.1.wait_while(&mut turn, |turn| *turn % 2 == 0);
            *turn += 1;
            drop(turn);
            theirs.turn.1.notify_all();
            other.wait().unwrap();
        }
    });
    block_on(async {
        for _ in 0..ROUNDS {
            let turn = objects.turn.0.lock_async().await;
            let mut turn = objects.turn.1.wait_while_async(turn, |turn| *turn % 2 == 1).await;
            *turn += 1;
            drop(turn);
            objects.turn.1.notify_all();
            barrier.wait_async().await.unwrap();
        }
    });
    thread.join().unwrap();
    assert_eq!(*objects.turn.0.lock(), 2 * ROUNDS);
}
