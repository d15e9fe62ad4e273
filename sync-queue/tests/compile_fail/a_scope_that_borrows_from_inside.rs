//! The jobs of a scope borrow only values that outlive the scope.

use sync_queue::ThreadPool;

fn main() {
    let pool = ThreadPool::new(1);
    pool.scope(|scope| {
        let text = String::from("inside");
        scope.submit(|| drop(text.len())).unwrap();
    });
}
