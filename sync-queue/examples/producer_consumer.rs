//! Python: `q.task_done()`, `q.join()`, `q.shutdown()`.
//!
//! Two producers, three consumers; `join` returns when every item has been dealt with; a shutdown
//! sends everybody home.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use sync_queue::Queue;

fn main() {
    let queue = Queue::bounded(4);
    let total = AtomicU64::new(0);

    thread::scope(|scope| {
        for consumer in 0..3 {
            let (queue, total) = (&queue, &total);
            scope.spawn(move || {
                let mut dealt_with = 0;
                // The guard calls task_done when it is dropped, even if the work panics.
                while let Ok(task) = queue.get_task() {
                    total.fetch_add(*task, Ordering::Relaxed);
                    dealt_with += 1;
                }
                println!("consumer {consumer} goes home after {dealt_with} items");
            });
        }
        thread::scope(|producers| {
            for producer in 0..2 {
                let queue = &queue;
                producers.spawn(move || {
                    for item in 0..50 {
                        queue.put(producer * 1000 + item).expect("not shut down yet");
                    }
                });
            }
        });
        queue.join();
        println!("all is done: {}", total.load(Ordering::Relaxed));
        queue.shutdown();
    });
    assert_eq!(total.into_inner(), 2 * 1225 + 50 * 1000);
}
