//! A queue hands its items to other threads: items that must stay in theirs are refused.

use std::rc::Rc;
use sync_queue::{LifoQueue, Queue, SimpleQueue, channel, spsc};

fn shared<T: Sync>(_: &T) {}
fn sent<T: Send>(_: T) {}

fn main() {
    shared(&Queue::<Rc<u8>>::unbounded());
    shared(&LifoQueue::<Rc<u8>>::unbounded());
    shared(&SimpleQueue::<Rc<u8>>::new());
    let (sender, receiver) = channel::unbounded::<Rc<u8>>();
    sent(sender);
    sent(receiver);
    let (producer, consumer) = spsc::<Rc<u8>>(1);
    sent(producer);
    sent(consumer);
}
