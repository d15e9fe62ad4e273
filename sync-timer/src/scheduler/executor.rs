//! Executors: what runs the callbacks, if not the dispatcher.

use std::sync::Arc;

use sync_queue::ThreadPool;

/// Runs callbacks for a scheduler, usually on other threads.
///
/// [`ThreadPool`] is one: with it a slow callback delays no other, as long as a worker is free. The
/// scheduler submits without waiting: where the pool's backlog is limited and full, or the pool has
/// been shut down, the callback is refused.
///
/// ```
/// use std::sync::mpsc::channel;
/// use std::time::Duration;
/// use sync_queue::ThreadPool;
/// use sync_timer::Scheduler;
///
/// let scheduler = Scheduler::builder().executor(ThreadPool::new(2)).build()?;
/// let (sender, receiver) = channel();
/// let slow = sender.clone();
/// scheduler.once(Duration::ZERO, move || {
///     std::thread::sleep(Duration::from_millis(50));
///     slow.send("slow").unwrap();
/// })?;
/// scheduler.once(Duration::from_millis(1), move || sender.send("quick").unwrap())?;
/// assert_eq!(receiver.recv(), Ok("quick"));
/// assert_eq!(receiver.recv(), Ok("slow"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Executor: Send + Sync {
    /// Runs `job` soon, once. Called on the scheduler's dispatcher, which fires nothing else until
    /// this returns: an executor with a full queue should not wait. Dropping `job` without running
    /// it is a refusal, and is reported as [`Failure::Refused`](crate::Failure::Refused). A
    /// one-shot timer ends by it. For a periodic timer it is a missed tick, which follows the
    /// timer's [`Missed`](crate::Missed); the timer goes on. A panic of this method is reported,
    /// and is a refusal if `job` was dropped by it.
    fn execute(&self, job: Box<dyn FnOnce() + Send>);
}

impl<E: Executor + ?Sized> Executor for Arc<E> {
    fn execute(&self, job: Box<dyn FnOnce() + Send>) {
        (**self).execute(job);
    }
}

impl Executor for ThreadPool {
    fn execute(&self, job: Box<dyn FnOnce() + Send>) {
        // The error has the job in it, and drops it. A handle that is dropped lets its job go on.
        let _ = self.try_submit(job);
    }
}
