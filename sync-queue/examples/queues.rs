//! Python: `queue.Queue()`, `queue.LifoQueue()`, `queue.PriorityQueue()`, `put_nowait`,
//! `get(timeout=...)`, `queue.Full`, `queue.Empty`.
//!
//! The same items through three orders; calls that do not wait, or not for long, meet "full" and
//! "empty".

use std::time::{Duration, Instant};

use sync_queue::{GetError, LifoQueue, PriorityQueue, PutError, Queue};

fn main() {
    let items = [3, 1, 2];

    let fifo = Queue::bounded(3);
    let lifo = LifoQueue::bounded(3);
    let priority = PriorityQueue::bounded(3);
    for item in items {
        fifo.put(item).expect("no thread shuts it down");
        lifo.put(item).expect("no thread shuts it down");
        priority.put(item).expect("no thread shuts it down");
    }

    // put_nowait on a full queue: the item comes back with the error.
    match fifo.try_put(4) {
        Err(PutError::Full(item)) => println!("no room for {item}"),
        other => panic!("{other:?}"),
    }
    // put(4, timeout=0.05)
    let begun = Instant::now();
    assert_eq!(fifo.put_timeout(4, Duration::from_millis(50)), Err(PutError::Full(4)));
    println!("still no room after {:?}", begun.elapsed());

    println!("first in, first out: {:?}", fifo.try_iter().collect::<Vec<_>>());
    println!("last in, first out:  {:?}", lifo.try_iter().collect::<Vec<_>>());
    println!("lowest first:        {:?}", priority.try_iter().collect::<Vec<_>>());

    // get_nowait and get(timeout=0.05) on an empty queue.
    assert_eq!(fifo.try_get(), Err(GetError::Empty));
    assert_eq!(fifo.get_timeout(Duration::from_millis(50)), Err(GetError::Empty));
    println!("nothing is left");
}
