//! Waits of tasks for locks, permits and channels. The peers: tokio, async-lock, async-channel,
//! kanal, flume and futures.
//!
//! * `lock-alone`, `permit-alone`, `put-get-alone`: one task that never has to wait, polled by a
//!   loop without an executor. `blocking` is our own call for threads: the distance to it is the
//!   cost of being a task.
//! * `lock`, `permit`: eight tasks; each holds the lock, or one of two permits, across a point
//!   where it lets the others run, so that all of them wait in line;
//! * `one-to-one-<capacity>`, `many-to-one-<capacity>`, `many-to-many-<capacity>`: items through a
//!   channel, from one task or four to one task or four.
//!
//! The last two groups run on tokio's executor: on its current thread (1) and on two threads (2).

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use crate::compare::shapes::{self, expect};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// The tasks of a contended workload.
const TASKS: u64 = 8;

/// The tasks on the crowded side of a channel.
const CROWD: u64 = 4;

/// A lock, or a semaphore, around a count.
trait Turns: Send + Sync + 'static {
    const PEER: &'static str;
    fn new(permits: usize) -> Self;
    /// Takes a turn, calls `hold`, and ends the turn.
    fn turn<F: Future<Output = ()> + Send>(
        &self,
        hold: impl FnOnce() -> F + Send,
    ) -> impl Future<Output = ()> + Send;
}

/// Writes a peer whose turn begins with an expression that returns a guard.
macro_rules! turns {
    ($name:ident, $peer:expr, $inner:ty, $new:expr, |$it:ident| $take:expr) => {
        struct $name($inner);

        impl Turns for $name {
            const PEER: &'static str = $peer;

            fn new(permits: usize) -> Self {
                let new: fn(usize) -> $inner = $new;
                Self(new(permits))
            }

            #[inline]
            async fn turn<F: Future<Output = ()> + Send>(&self, hold: impl FnOnce() -> F + Send) {
                let $it = &self.0;
                let guard = $take;
                hold().await;
                drop(guard);
            }
        }
    };
}

turns!(OurLock, OURS, sync_core::Mutex<()>, |_| sync_core::Mutex::new(()), |it| {
    it.lock_async().await
});
turns!(TokioLock, "tokio", tokio::sync::Mutex<()>, |_| tokio::sync::Mutex::new(()), |it| {
    it.lock().await
});
turns!(AsyncLock, "async-lock", async_lock::Mutex<()>, |_| async_lock::Mutex::new(()), |it| {
    it.lock().await
});
turns!(FuturesLock, "futures", futures::lock::Mutex<()>, |_| futures::lock::Mutex::new(()), |it| {
    it.lock().await
});
turns!(
    OurPermits,
    OURS,
    sync_core::Semaphore,
    |permits| sync_core::Semaphore::new(permits as u32),
    |it| it.acquire_async().await.expect("it is open")
);
turns!(TokioPermits, "tokio", tokio::sync::Semaphore, tokio::sync::Semaphore::new, |it| it
    .acquire()
    .await
    .expect("it is open"));
turns!(AsyncPermits, "async-lock", async_lock::Semaphore, async_lock::Semaphore::new, |it| it
    .acquire()
    .await);

/// Our call for threads. Its guard cannot be held across an await: for a task that never waits.
struct Blocking<T>(T);

impl Turns for Blocking<sync_core::Mutex<()>> {
    const PEER: &'static str = "blocking";

    fn new(_: usize) -> Self {
        Self(sync_core::Mutex::new(()))
    }

    #[inline]
    async fn turn<F: Future<Output = ()> + Send>(&self, hold: impl FnOnce() -> F + Send) {
        {
            let guard = self.0.lock();
            at_once(hold());
            drop(guard);
        }
    }
}

impl Turns for Blocking<sync_core::Semaphore> {
    const PEER: &'static str = "blocking";

    fn new(permits: usize) -> Self {
        Self(sync_core::Semaphore::new(permits as u32))
    }

    #[inline]
    async fn turn<F: Future<Output = ()> + Send>(&self, hold: impl FnOnce() -> F + Send) {
        let permit = self.0.acquire().expect("it is open");
        hold().await;
        drop(permit);
    }
}

/// The two ends of a channel.
trait Channel: 'static {
    const PEER: &'static str;
    type Sender: Send + 'static;
    type Receiver: Send + 'static;
    fn open(capacity: usize) -> (Self::Sender, Self::Receiver);
    fn another(sender: &Self::Sender) -> Self::Sender;
    fn send(sender: &mut Self::Sender, item: u64) -> impl Future<Output = ()> + Send;
    /// `None`: all senders are gone.
    fn recv(receiver: &mut Self::Receiver) -> impl Future<Output = Option<u64>> + Send;
}

/// A channel with many receivers.
trait Shared: Channel {
    fn another_receiver(receiver: &Self::Receiver) -> Self::Receiver;
}

/// Writes a peer. `|sender, item|` sends, `|receiver|` receives.
macro_rules! channel {
    (
        $name:ident, $peer:expr, $sender:ty, $receiver:ty, $open:expr,
        |$s:ident, $item:ident| $send:expr, |$r:ident| $recv:expr
    ) => {
        struct $name;

        impl Channel for $name {
            const PEER: &'static str = $peer;
            type Sender = $sender;
            type Receiver = $receiver;

            fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
                let open: fn(usize) -> (Self::Sender, Self::Receiver) = $open;
                open(capacity)
            }

            fn another(sender: &Self::Sender) -> Self::Sender {
                sender.clone()
            }

            #[inline]
            async fn send($s: &mut Self::Sender, $item: u64) {
                $send
            }

            #[inline]
            async fn recv($r: &mut Self::Receiver) -> Option<u64> {
                $recv
            }
        }
    };
    (shared $name:ident, $($rest:tt)*) => {
        channel!($name, $($rest)*);

        impl Shared for $name {
            fn another_receiver(receiver: &Self::Receiver) -> Self::Receiver {
                receiver.clone()
            }
        }
    };
}

channel!(
    shared Ours,
    OURS,
    sync_queue::channel::Sender<u64>,
    sync_queue::channel::Receiver<u64>,
    sync_queue::channel::bounded,
    |sender, item| sender.send_async(item).await.expect("the receiver is there"),
    |receiver| receiver.recv_async().await.ok()
);
channel!(
    Tokio,
    "tokio",
    tokio::sync::mpsc::Sender<u64>,
    tokio::sync::mpsc::Receiver<u64>,
    tokio::sync::mpsc::channel,
    |sender, item| sender.send(item).await.expect("the receiver is there"),
    |receiver| receiver.recv().await
);
channel!(
    shared AsyncChannel,
    "async-channel",
    async_channel::Sender<u64>,
    async_channel::Receiver<u64>,
    async_channel::bounded,
    |sender, item| sender.send(item).await.expect("the receiver is there"),
    |receiver| receiver.recv().await.ok()
);
channel!(
    shared Kanal,
    "kanal",
    kanal::AsyncSender<u64>,
    kanal::AsyncReceiver<u64>,
    kanal::bounded_async,
    |sender, item| sender.send(item).await.expect("the receiver is there"),
    |receiver| receiver.recv().await.ok()
);
channel!(
    shared Flume,
    "flume",
    flume::Sender<u64>,
    flume::Receiver<u64>,
    flume::bounded,
    |sender, item| sender.send_async(item).await.expect("the receiver is there"),
    |receiver| receiver.recv_async().await.ok()
);
channel!(
    Futures,
    "futures",
    futures::channel::mpsc::Sender<u64>,
    futures::channel::mpsc::Receiver<u64>,
    futures::channel::mpsc::channel,
    |sender, item| {
        futures::SinkExt::send(sender, item).await.expect("the receiver is there");
    },
    |receiver| futures::StreamExt::next(receiver).await
);

type Queue = Arc<sync_queue::Queue<u64>>;

channel!(
    OurQueue,
    OURS,
    Queue,
    Queue,
    |capacity| {
        let queue = Arc::new(sync_queue::Queue::bounded(capacity));
        (Arc::clone(&queue), queue)
    },
    |queue, item| queue.put_async(item).await.expect("it is open"),
    |queue| queue.get_async().await.ok()
);
channel!(
    BlockingQueue,
    "blocking",
    Queue,
    Queue,
    OurQueue::open,
    |queue, item| queue.put(item).expect("it is open"),
    |queue| queue.get().ok()
);

/// All workloads of tasks.
pub fn workloads() -> Vec<Workload> {
    let mut all = vec![
        Workload::single(
            "async",
            "lock-alone",
            vec![
                alone::<OurLock>(),
                alone::<Blocking<sync_core::Mutex<()>>>(),
                alone::<TokioLock>(),
                alone::<AsyncLock>(),
                alone::<FuturesLock>(),
            ],
        ),
        Workload::single(
            "async",
            "permit-alone",
            vec![
                alone::<OurPermits>(),
                alone::<Blocking<sync_core::Semaphore>>(),
                alone::<TokioPermits>(),
                alone::<AsyncPermits>(),
            ],
        ),
        Workload::single(
            "async",
            "put-get-alone",
            vec![
                put_get::<OurQueue>(),
                put_get::<BlockingQueue>(),
                put_get::<Tokio>(),
                put_get::<AsyncChannel>(),
                put_get::<Kanal>(),
                put_get::<Flume>(),
                put_get::<Futures>(),
            ],
        ),
    ];
    for threads in [1, 2] {
        let mut add = |name: String, contestants| {
            all.push(Workload::team("async", name, threads, contestants).paced_by_ops());
        };
        add(
            "lock".into(),
            vec![
                crowd::<OurLock>(threads),
                crowd::<TokioLock>(threads),
                crowd::<AsyncLock>(threads),
                crowd::<FuturesLock>(threads),
            ],
        );
        add(
            "permit".into(),
            vec![
                crowd::<OurPermits>(threads),
                crowd::<TokioPermits>(threads),
                crowd::<AsyncPermits>(threads),
            ],
        );
        for capacity in [1, 64] {
            for (name, senders) in [("one", 1), ("many", CROWD)] {
                add(
                    format!("{name}-to-one-{capacity}"),
                    vec![
                        to_one::<Ours>(threads, capacity, senders),
                        to_one::<Tokio>(threads, capacity, senders),
                        to_one::<AsyncChannel>(threads, capacity, senders),
                        to_one::<Kanal>(threads, capacity, senders),
                        to_one::<Flume>(threads, capacity, senders),
                        to_one::<Futures>(threads, capacity, senders),
                    ],
                );
            }
            add(
                format!("many-to-many-{capacity}"),
                vec![
                    to_many::<Ours>(threads, capacity),
                    to_many::<AsyncChannel>(threads, capacity),
                    to_many::<Kanal>(threads, capacity),
                    to_many::<Flume>(threads, capacity),
                ],
            );
        }
    }
    all
}

/// Polls a future that has nothing to wait for.
#[inline]
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("no other task has what it wants"),
    }
}

fn alone<L: Turns>() -> Contestant {
    let make = || (L::new(1), AtomicU64::new(0));
    let ops = |(turns, count): &(L, AtomicU64), n| {
        at_once(async {
            for _ in 0..n {
                turns.turn(|| async {}).await;
            }
        });
        count.store(count.load(Relaxed) + n, Relaxed);
    };
    shapes::looping(L::PEER, make, ops, |(_, count)| count.load(Relaxed))
}

fn put_get<C: Channel>() -> Contestant {
    shapes::custom(C::PEER, || {
        let (mut sender, mut receiver) = C::open(64);
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let start = Instant::now();
            let right = at_once(async {
                let mut right = 0;
                for number in 0..ops {
                    C::send(&mut sender, number).await;
                    right += u64::from(C::recv(&mut receiver).await == Some(number));
                }
                right
            });
            let elapsed = start.elapsed();
            expect(ops, right)?;
            Ok(Outcome::timed(ops, elapsed))
        }
    })
}

/// An executor with this many threads.
fn executor(threads: usize) -> Runtime {
    let built = match threads {
        1 => Builder::new_current_thread().build(),
        _ => Builder::new_multi_thread().worker_threads(threads).build(),
    };
    built.expect("the system has threads")
}

/// Tasks that all want a turn, and hold it while the others run. A semaphore has two permits.
fn crowd<L: Turns>(threads: usize) -> Contestant {
    shapes::custom(L::PEER, move || {
        let executor = executor(threads);
        let turns = Arc::new((L::new(2), AtomicU64::new(0)));
        let mut done = 0;
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let share = ops.div_ceil(TASKS);
            let start = Instant::now();
            executor.block_on(async {
                let tasks: Vec<_> = (0..TASKS)
                    .map(|_| {
                        let turns = Arc::clone(&turns);
                        tokio::spawn(async move {
                            for _ in 0..share {
                                let (turns, count) = &*turns;
                                let hold = || async {
                                    tokio::task::yield_now().await;
                                    count.fetch_add(1, Relaxed);
                                };
                                turns.turn(hold).await;
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.expect("no task panics");
                }
            });
            let elapsed = start.elapsed();
            done += share * TASKS;
            expect(done, turns.1.load(Relaxed))?;
            Ok(Outcome::timed(share * TASKS, elapsed))
        }
    })
}

fn to_one<C: Channel>(threads: usize, capacity: usize, senders: u64) -> Contestant {
    stream::<C>(threads, capacity, senders, |receiver| vec![receiver])
}

fn to_many<C: Shared>(threads: usize, capacity: usize) -> Contestant {
    stream::<C>(threads, capacity, CROWD, |receiver| {
        let mut all: Vec<_> = (1..CROWD).map(|_| C::another_receiver(&receiver)).collect();
        all.push(receiver);
        all
    })
}

/// Items from some tasks to others. The sum of the items that arrive is checked.
fn stream<C: Channel>(
    threads: usize,
    capacity: usize,
    senders: u64,
    receivers: fn(C::Receiver) -> Vec<C::Receiver>,
) -> Contestant {
    shapes::custom(C::PEER, move || {
        let executor = executor(threads);
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let share = ops.div_ceil(senders);
            let (sender, receiver) = C::open(capacity);
            let start = Instant::now();
            let sum = executor.block_on(async {
                let receiving: Vec<_> = receivers(receiver)
                    .into_iter()
                    .map(|mut receiver| {
                        tokio::spawn(async move {
                            let mut sum = 0;
                            while let Some(item) = C::recv(&mut receiver).await {
                                sum += item;
                            }
                            sum
                        })
                    })
                    .collect();
                for _ in 0..senders {
                    let mut sender = C::another(&sender);
                    tokio::spawn(async move {
                        for item in 1..=share {
                            C::send(&mut sender, item).await;
                        }
                    });
                }
                drop(sender);
                let mut sum = 0;
                for task in receiving {
                    sum += task.await.expect("no task panics");
                }
                sum
            });
            let elapsed = start.elapsed();
            expect(senders * share * (share + 1) / 2, sum)?;
            Ok(Outcome::timed(senders * share, elapsed))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::Cell;

    use super::*;

    /// Counts the allocations of each thread.
    struct Counting;

    thread_local! {
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }

    // SAFETY: passes everything on to the system's allocator.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            COUNT.set(COUNT.get() + 1);
            // SAFETY: passed on to the caller.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            // SAFETY: passed on to the caller.
            unsafe { System.dealloc(memory, layout) }
        }
    }

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    /// The bytes of a future, and the allocations of a wait that is not the first and is dropped.
    fn cost<F: Future>(peer: &str, start: impl Fn() -> F) -> String {
        let wait = || {
            let mut future = pin!(start());
            let mut context = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut context).is_pending(), "{peer} has to wait");
        };
        wait();
        let before = COUNT.get();
        wait();
        format!("{peer} {}, {}", size_of::<F>(), COUNT.get() - before)
    }

    fn row(what: &str, costs: &[String]) -> String {
        format!("| {what} | {} |", costs.join(" | "))
    }

    /// Prints them, for `--nocapture`.
    #[test]
    fn sizes_of_futures_and_allocations_of_waits() {
        let locks = row("a lock", &{
            let (ours, tokio) = (sync_core::Mutex::new(()), tokio::sync::Mutex::new(()));
            let (other, futures) = (async_lock::Mutex::new(()), futures::lock::Mutex::new(()));
            let _held =
                (ours.lock(), tokio.try_lock().unwrap(), other.try_lock(), futures.try_lock());
            [
                cost("ours", || ours.lock_async()),
                cost("tokio", || tokio.lock()),
                cost("async-lock", || other.lock()),
                cost("futures", || futures.lock()),
            ]
        });
        let permits = row("a permit", &{
            let (ours, tokio) = (sync_core::Semaphore::new(0), tokio::sync::Semaphore::new(0));
            let other = async_lock::Semaphore::new(0);
            [
                cost("ours", || ours.acquire_async()),
                cost("tokio", || tokio.acquire()),
                cost("async-lock", || other.acquire()),
                String::new(),
            ]
        });
        let items = row("an item", &{
            let (_a, ours) = sync_queue::channel::bounded::<u64>(1);
            let (_b, other) = async_channel::bounded::<u64>(1);
            let (_c, kanal) = kanal::bounded_async::<u64>(1);
            let (_d, flume) = flume::bounded::<u64>(1);
            [
                cost("ours", || ours.recv_async()),
                cost("async-channel", || other.recv()),
                cost("kanal", || kanal.recv()),
                cost("flume", || flume.recv_async()),
            ]
        });
        let queue = sync_queue::Queue::<u64>::bounded(1);
        let gets = row("an item of a queue", &{
            let none = String::new;
            [cost("ours", || queue.get_async()), none(), none(), none()]
        });
        for row in [locks, permits, items, gets] {
            println!("{row}");
            let ours = row.split(" | ").nth(1).expect("ours is first");
            assert!(ours.ends_with(", 0"), "a wait of ours allocates: {row}");
        }
    }
}
