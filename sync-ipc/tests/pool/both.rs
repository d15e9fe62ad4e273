//! One piece of code over a pool of threads and over a pool of processes.

use std::time::Duration;

use sync_core::executor::{Executor, ExecutorError, Handle, Until};

use super::support::{LIMIT, fail_at_three, sleep_for, square};

/// A program that is generic over its workers.
fn use_all_of_it<E, F, G, H>(pool: &E, square: F, fail_at_three: G, sleep_for: H)
where
    F: Fn(u64) -> u64 + Copy,
    G: Fn(u64) -> u64 + Copy,
    H: Fn(u64) -> u64 + Copy,
    E: Executor<F, u64, u64> + Executor<G, u64, u64> + Executor<H, u64, u64>,
{
    assert_eq!(pool.submit(square, 12).ok().unwrap().result().ok().unwrap(), 144);
    assert_eq!(pool.map(square, 0..100).ok().unwrap(), (0..100).map(|n| n * n).collect::<Vec<_>>());
    assert!(pool.map(square, []).ok().unwrap().is_empty());
    // The panic of one job is the error of the map.
    assert!(matches!(pool.map(fail_at_three, 0..6), Err(ExecutorError::Job(_))));
    let handles = (0..6).map(|n| pool.submit(fail_at_three, n).ok().unwrap()).collect();
    let (done, not_done) = Executor::<G, _, _>::wait(pool, handles, Until::All, Some(LIMIT));
    assert_eq!((done.len(), not_done.len()), (6, 0));
    let results: Vec<_> = done.into_iter().map(|handle| handle.result().ok()).collect();
    assert_eq!(results, [Some(0), Some(1), Some(2), None, Some(4), Some(5)]);
    // The quick one comes first.
    let handles: Vec<_> =
        [300, 1].map(|time| pool.submit(sleep_for, time).ok().unwrap()).into_iter().collect();
    let mut times = Executor::<H, _, _>::as_completed(pool, handles);
    assert_eq!(times.next().unwrap().result().ok().unwrap(), 1);
    assert_eq!(times.next().unwrap().result().ok().unwrap(), 300);
    assert!(times.next().is_none());
    let slow = pool.submit(sleep_for, 200).ok().unwrap();
    let (done, not_done) =
        Executor::<H, _, _>::wait(pool, vec![slow], Until::First, Some(Duration::ZERO));
    assert!(done.is_empty());
    let slow = not_done.into_iter().next().unwrap();
    let slow = slow.result_timeout(Duration::from_millis(1)).expect_err("not done yet");
    assert!(!slow.cancel() || slow.is_done());
}

#[test]
fn the_same_code_runs_over_threads_and_over_processes() {
    use_all_of_it(&sync_queue::ThreadPool::new(2), square, fail_at_three, sleep_for);
    use_all_of_it(&sync_ipc::Pool::new(2).unwrap(), square, fail_at_three, sleep_for);
}
