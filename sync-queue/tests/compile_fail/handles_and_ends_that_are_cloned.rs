//! Unique handles and unique ends cannot be cloned.

use sync_queue::{ThreadPool, spsc};

fn main() {
    let pool = ThreadPool::new(1);
    let handle = pool.submit(|| 1).unwrap();
    let _ = handle.clone();
    let (producer, consumer) = spsc::<u8>(1);
    let _ = producer.clone();
    let _ = consumer.clone();
}
