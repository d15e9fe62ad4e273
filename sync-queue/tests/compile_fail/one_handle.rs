//! A job has one handle, whose result is taken once.

use sync_queue::ThreadPool;

fn main() {
    let pool = ThreadPool::new(1);
    let handle = pool.submit(|| 1).unwrap();
    let _ = handle.clone();
    let _ = handle.result();
    let _ = handle.result();
}
