//! A task guard calls its task done: it does not outlive the queue.

use sync_queue::Queue;

fn main() {
    let queue = Queue::unbounded();
    queue.put(1).unwrap();
    let task = queue.get_task().unwrap();
    drop(queue);
    drop(task);
}
