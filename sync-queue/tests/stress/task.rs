//! Threads and tasks on the same queues and channels, on three executors, with tasks that give up
//! at random: each item is got once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use sync_core::task::block_on;
use sync_queue::channel::{self, Receiver, Sender};
use sync_queue::{LifoQueue, Queue};

use crate::give_up::give_up_after;
use crate::storm::Random;
use crate::watchdog::watch;

const TASKS: u64 = 4;
const ROUNDS: u64 = 150;

struct Objects {
    queue: Queue<u64>,
    stack: LifoQueue<u64>,
    /// Items go round: a task that gets one puts it back. The channel with room for none is used
    /// by pairs of a sender and a receiver.
    sender: Sender<u64>,
    receiver: Receiver<u64>,
    handed: (Sender<u64>, Receiver<u64>),
    sent: AtomicU64,
    received: AtomicU64,
}

impl Objects {
    fn new() -> Arc<Self> {
        let (sender, receiver) = channel::bounded(2);
        let objects = Self {
            queue: Queue::bounded(3),
            stack: LifoQueue::bounded(3),
            sender,
            receiver,
            handed: channel::bounded(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        };
        // Fewer items than room: a task that has one can always put it back.
        for item in 1..=2 {
            objects.queue.put(item).unwrap();
            objects.stack.put(item).unwrap();
        }
        objects.sender.send(1).unwrap();
        Arc::new(objects)
    }

    async fn task(self: Arc<Self>, seed: u64) {
        let mut random = Random::new(seed);
        for _ in 0..ROUNDS {
            let polls = random.below(4);
            if let Some(item) = give_up_after(self.queue.get_async(), polls).await {
                self.queue.put_async(item.unwrap()).await.unwrap();
            }
            let polls = random.below(4);
            if let Some(item) = give_up_after(self.stack.get_async(), polls).await {
                self.stack.put_async(item.unwrap()).await.unwrap();
            }
            let polls = random.below(4);
            if let Some(item) = give_up_after(self.receiver.recv_async(), polls).await {
                self.sender.send_async(item.unwrap()).await.unwrap();
            }
            // Of a send that is dropped it is not known whether its item was taken: the numbers of
            // the receivers are those of the sends that returned, and perhaps more.
            let polls = random.below(4);
            if seed % 2 == 0 {
                if give_up_after(self.handed.0.send_async(1), polls).await.is_some() {
                    self.sent.fetch_add(1, Ordering::Relaxed);
                }
            } else if give_up_after(self.handed.1.recv_async(), polls).await.is_some() {
                self.received.fetch_add(1, Ordering::Relaxed);
            }
            // No wait that gives up here: these must all end.
            let item = self.queue.get_async().await.unwrap();
            self.queue.put_async(item).await.unwrap();
            let item = self.receiver.recv_async().await.unwrap();
            self.sender.send_async(item).await.unwrap();
        }
    }

    fn thread(&self) {
        for _ in 0..ROUNDS {
            let item = self.queue.get().unwrap();
            self.queue.put(item).unwrap();
            let item = self.stack.get().unwrap();
            self.stack.put(item).unwrap();
            let item = self.receiver.recv().unwrap();
            self.sender.send(item).unwrap();
        }
    }

    fn check(&self) {
        let mut left = self.queue.drain();
        left.sort_unstable();
        assert_eq!(left, [1, 2]);
        let mut left = self.stack.drain();
        left.sort_unstable();
        assert_eq!(left, [1, 2]);
        assert_eq!(self.receiver.drain(), [1]);
        // An item that a dropped receive was given waits for the next one.
        let waits = std::iter::from_fn(|| self.handed.1.try_recv().ok()).count() as u64;
        let received = self.received.load(Ordering::Relaxed) + waits;
        assert!(received >= self.sent.load(Ordering::Relaxed));
    }
}

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Two threads and the tasks that `run` spawns and waits for.
fn share(run: impl FnOnce(Vec<Job>)) {
    let _watchdog = watch();
    let objects = Objects::new();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| objects.thread());
        }
        let job = |n| Box::pin(Arc::clone(&objects).task(0x9E37_79B9 + n)) as Job;
        run((0..TASKS).map(job).collect());
    });
    objects.check();
}

#[test]
fn threads_and_tasks_of_block_on() {
    share(|jobs| {
        let threads: Vec<_> =
            jobs.into_iter().map(|job| thread::spawn(move || block_on(job))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn threads_and_tasks_of_tokio() {
    use tokio::runtime::Builder;
    for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
        share(|jobs| {
            let runtime = builder.worker_threads(2).build().unwrap();
            runtime.block_on(async {
                let tasks: Vec<_> = jobs.into_iter().map(tokio::spawn).collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
    }
}

#[test]
fn threads_and_tasks_of_smols_executor() {
    share(|jobs| {
        let executor = async_executor::Executor::new();
        let tasks: Vec<_> = jobs.into_iter().map(|job| executor.spawn(job)).collect();
        block_on(executor.run(async {
            for task in tasks {
                task.await;
            }
        }));
    });
}
