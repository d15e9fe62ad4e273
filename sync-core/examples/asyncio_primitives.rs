//! The programs of the documentation of `asyncio`'s primitives, without a runtime: `Lock`, `Event`,
//! `Condition`, `Semaphore`, `BoundedSemaphore`, `Barrier`, `gather` and a cancelled task.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sync_core::task::{block_on, block_on_timeout, join_all};
use sync_core::{Barrier, BoundedSemaphore, CancelToken, Condvar, Event, Mutex, Semaphore};

/// Lets the other tasks run once: `await asyncio.sleep(0)`.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// `async with lock:` around a change that lets other tasks run in between.
async fn lock() {
    let count = Mutex::new(0);
    let increment = async |_| {
        let mut count = count.lock_async().await;
        let seen = *count;
        pause().await;
        *count = seen + 1;
    };
    join_all((0..4).map(increment)).await;
    println!("the lock counted {}", *count.lock_async().await);
}

/// `await event.wait()`.
async fn event() {
    let event = Event::new();
    let waiter = async || {
        event.wait_async().await;
        "got it"
    };
    let setter = async || {
        pause().await;
        event.set();
        "set it"
    };
    let mut got = pin!(waiter());
    let mut set = pin!(setter());
    let futures: [std::pin::Pin<&mut dyn Future<Output = &str>>; 2] = [got.as_mut(), set.as_mut()];
    println!("the event: {:?}", join_all(futures).await);
}

/// `async with cond: await cond.wait_for(...)`.
async fn condition() {
    let (ready, changed) = (Mutex::new(false), Condvar::new());
    let waits = async {
        let ready = ready.lock_async().await;
        let ready = changed.wait_while_async(ready, |ready| !*ready).await;
        assert!(*ready);
    };
    let notifies = async {
        pause().await;
        *ready.lock_async().await = true;
        changed.notify_all();
    };
    join_both(waits, notifies).await;
    println!("the condition holds");
}

async fn join_both(one: impl Future<Output = ()>, two: impl Future<Output = ()>) {
    let (one, two) = (pin!(one), pin!(two));
    let both: [std::pin::Pin<&mut dyn Future<Output = ()>>; 2] = [one, two];
    join_all(both).await;
}

/// `async with sem:`.
async fn semaphore() {
    let (seats, inside) = (Semaphore::new(2), AtomicU32::new(0));
    let visit = async |_| {
        let _seat = seats.acquire_async().await.expect("it is open");
        let guests = inside.fetch_add(1, Ordering::Relaxed) + 1;
        pause().await;
        inside.fetch_sub(1, Ordering::Relaxed);
        guests
    };
    let most = join_all((0..6).map(visit)).await.into_iter().max();
    println!("two at a time: {}", most == Some(2));
}

/// One `release()` too many is an error.
async fn bounded() {
    let seats = BoundedSemaphore::new(1);
    drop(seats.acquire_async().await);
    println!("one release too many: {}", seats.release(1).is_err());
}

/// `await barrier.wait()`; one of the parties is the leader.
async fn barrier() {
    let barrier = Barrier::new(3);
    let leaders = join_all((0..3).map(async |_| {
        let result = barrier.wait_async().await.expect("it is not broken");
        u32::from(result.is_leader())
    }));
    println!("leaders: {}", leaders.await.into_iter().sum::<u32>());
}

/// `task.cancel()`: a wait that is dropped leaves nothing behind.
async fn cancel() {
    let (seats, stop) = (Semaphore::new(0), CancelToken::new());
    stop.cancel();
    let waited = stop.until_cancelled(seats.acquire_async()).await;
    println!("cancelled: {}", waited.is_err());
    seats.add_permits(1);
    assert_eq!(seats.available_permits(), 1);
}

fn main() {
    block_on(async {
        lock().await;
        event().await;
        condition().await;
        semaphore().await;
        bounded().await;
        barrier().await;
        cancel().await;
    });
    // `asyncio.wait_for(event.wait(), timeout=0.01)`.
    let never = Event::new();
    let waited = block_on_timeout(never.wait_async(), Duration::from_millis(10));
    println!("timed out: {}", waited.is_none());
}
