//! One side of an spsc queue is one thread at a time: it is not cloned, and not used by reference.

use sync_queue::spsc;

fn main() {
    let (producer, consumer) = spsc::<u8>(1);
    let _ = producer.clone();
    let _ = (&producer).try_put(1);
    let _ = (&consumer).try_get();
}
