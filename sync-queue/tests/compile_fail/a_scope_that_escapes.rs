//! A scope cannot be kept to submit jobs to after its end.

use sync_queue::ThreadPool;

fn main() {
    let pool = ThreadPool::new(1);
    let mut kept = None;
    pool.scope(|scope| kept = Some(scope));
    drop(kept);
}
