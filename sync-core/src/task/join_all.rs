//! A wait for all of several things.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;

/// Waits until all futures have a result, and returns the results in the order of the futures.
///
/// They run at the same time, in one task: each is polled whenever any of them was woken. That is
/// for a few futures; give many futures to the tasks of an executor.
///
/// Dropping the wait drops the futures that are left; those of this workspace lose nothing then.
///
/// # Examples
///
/// ```
/// use sync_core::task::{block_on, join_all};
/// use sync_core::{Event, Semaphore};
///
/// let (ready, seats) = (Event::new(), Semaphore::new(2));
/// let visit = async |guest: u32| {
///     let _seat = seats.acquire_async().await.unwrap();
///     ready.wait_async().await;
///     guest * 10
/// };
/// std::thread::scope(|scope| {
///     scope.spawn(|| ready.set());
///     assert_eq!(block_on(join_all((1..=3).map(&visit))), [10, 20, 30]);
/// });
/// ```
#[doc(alias = "gather")]
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    // Not across an await: the iterator may not be `Send`.
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    running.extend(futures.into_iter().map(Box::pin));
    join(running).await
}

async fn join<F: Future>(futures: Vec<Pin<Box<F>>>) -> Vec<F::Output> {
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    // A future that has a result is dropped at once: it may hold a lock.
    let mut running: Vec<_> = futures.into_iter().enumerate().collect();
    poll_fn(|context| {
        running.retain_mut(|(at, future)| match future.as_mut().poll(context) {
            Poll::Ready(result) => {
                results[*at] = Some(result);
                false
            }
            Poll::Pending => true,
        });
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}
