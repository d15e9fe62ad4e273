//! `asyncio.Queue`, `PriorityQueue` and `LifoQueue`: workers that are tasks, a producer that is a
//! thread, `join` and the end. The program of the documentation of `asyncio.Queue`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sync_core::task::{block_on, block_on_timeout, join_all};
use sync_queue::{LifoQueue, PriorityQueue, Queue, ThreadPool, Until, as_completed, wait_async};

fn main() {
    let (queue, sum) = (Queue::bounded(4), AtomicU32::new(0));
    std::thread::scope(|scope| {
        // A thread and tasks share the queue.
        scope.spawn(|| {
            (1..=20).for_each(|n| queue.put(n).expect("it is open"));
            block_on(queue.join_async());
            queue.shutdown();
        });
        let worker = async |_| {
            let mut done = 0;
            while let Ok(n) = queue.get_async().await {
                sum.fetch_add(n, Ordering::Relaxed);
                queue.task_done().expect("it was got");
                done += 1;
            }
            done
        };
        let done: u32 = block_on(join_all((0..3).map(worker))).into_iter().sum();
        println!("three workers did {done} jobs, and the sum is {}", sum.load(Ordering::Relaxed));
    });

    block_on(async {
        let (by_value, last_first) = (PriorityQueue::unbounded(), LifoQueue::unbounded());
        for n in [3, 1, 2] {
            by_value.put_async(n).await.expect("it is open");
            last_first.put_async(n).await.expect("it is open");
        }
        let (mut ordered, mut stacked) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            ordered.push(by_value.get_async().await.expect("there is one"));
            stacked.push(last_first.get_async().await.expect("there is one"));
        }
        println!("by priority {ordered:?}, last first {stacked:?}");
    });

    // `asyncio.wait_for(queue.get(), timeout)`: no item is lost when the time is up.
    let empty = Queue::<u32>::unbounded();
    let got = block_on_timeout(empty.get_async(), Duration::from_millis(10));
    println!("timed out: {}", got.is_none());

    // `asyncio.wait` and `asyncio.as_completed` over jobs of a pool.
    let pool = ThreadPool::new(2);
    let jobs = || [1_u32, 2, 3].map(|n| pool.submit(move || n * n).expect("it is open"));
    block_on(async {
        let waited = wait_async(jobs(), Until::All).await;
        let mut done = as_completed(jobs());
        let mut sum = 0;
        while let Some(job) = done.next_async().await {
            sum += job.await.expect("it does not panic");
        }
        println!("{} jobs are done, and the sum is {sum}", waited.done.len());
    });
}
