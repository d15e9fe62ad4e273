//! A wait for the first of several things.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::task::Poll;

/// Waits until one of several futures has a result, and returns its index and the result.
///
/// The futures are those of anything that can be awaited: events, semaphores, locks, queues, joins,
/// timers, a token. If several have a result, none is preferred. The other futures go on: await
/// them later, or drop them; those of this workspace lose nothing then.
///
/// A thread waits with [`block_on`](fn@crate::task::block_on) around it.
///
/// # Examples
///
/// ```
/// use std::pin::pin;
/// use sync_core::task::{block_on, wait_any};
/// use sync_core::{Event, Latch};
///
/// let (stop, done) = (Event::new(), Latch::new(1));
/// std::thread::scope(|scope| {
///     scope.spawn(|| done.count_down(1));
///     let (stop, done) = (pin!(stop.wait_async()), pin!(done.wait_async()));
///     assert_eq!(block_on(wait_any(&mut [stop, done])), (1, ()));
/// });
/// ```
///
/// # Panics
///
/// If there is no future; it would wait forever.
pub async fn wait_any<T>(
    futures: &mut [Pin<&mut (dyn Future<Output = T> + Send + '_)>],
) -> (usize, T) {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let count = futures.len();
    assert!(count > 0, "a wait for nothing");
    // Relaxed: it only spreads the starts.
    let start = TURN.fetch_add(1, Relaxed) % count;
    poll_fn(|context| {
        for at in (start..count).chain(0..start) {
            if let Poll::Ready(output) = futures[at].as_mut().poll(context) {
                return Poll::Ready((at, output));
            }
        }
        Poll::Pending
    })
    .await
}
