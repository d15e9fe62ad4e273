//! Jobs and their results go from thread to thread.

use std::rc::Rc;
use sync_queue::ThreadPool;

fn main() {
    let pool = ThreadPool::new(1);
    let count = Rc::new(1);
    let _ = pool.submit(move || drop(count));
    let _ = pool.submit(|| Rc::new(1));
}
