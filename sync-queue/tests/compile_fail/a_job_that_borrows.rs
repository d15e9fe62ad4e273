//! A job may outlive the caller: it borrows nothing, except in a scope.

use sync_queue::ThreadPool;

fn main() {
    let pool = ThreadPool::new(1);
    let text = String::from("local");
    let _ = pool.submit(|| text.len());
    let _ = pool.execute(|| drop(text.len()));
}
