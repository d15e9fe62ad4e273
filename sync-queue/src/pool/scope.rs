//! Jobs that borrow from the stack of who submits them.

use core::any::Any;
use core::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use sync_core::Mutex;

use crate::pool::error::SubmitError;
use crate::pool::handle::JobHandle;
use crate::pool::worker::Inner;
use crate::queue::fifo::Queue;
use crate::queue::simple::SimpleQueue;

/// Submits jobs that may borrow what lives longer than the scope. From [`ThreadPool::scope`](crate::ThreadPool::scope).
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    pool: &'env Arc<Inner>,
    /// A task for every job that exists.
    jobs: Arc<Queue<()>>,
    handles: SimpleQueue<JobHandle<()>>,
    panicked: Arc<Mutex<Option<Box<dyn Any + Send>>>>,
    /// Invariant, as in `std::thread::scope`: neither lifetime may be stretched or shrunk.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// Counts a job of a scope until this is dropped.
struct Counted(Arc<Queue<()>>);

impl Drop for Counted {
    fn drop(&mut self) {
        // As many as were put.
        let _ = self.0.task_done();
    }
}

/// In this order: the closure, and with it all that is borrowed, is gone before the job stops
/// counting.
struct Scoped<F> {
    job: F,
    counted: Counted,
}

/// Calls `f` with a scope over the pool, and waits for all jobs submitted to it before returning.
pub(super) fn scope<'env, R>(
    pool: &'env Arc<Inner>,
    f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
) -> R {
    let scope = Scope {
        pool,
        jobs: Arc::new(Queue::unbounded()),
        handles: SimpleQueue::new(),
        panicked: Arc::new(Mutex::new(None)),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    // A worker runs itself what nobody has begun.
    for handle in scope.handles.try_iter() {
        drop(handle.result());
    }
    // Whatever became of the jobs: their closures are gone after this.
    scope.jobs.join();
    match (result, scope.panicked.lock().take()) {
        (Ok(result), None) => result,
        (Err(panic), _) | (_, Some(panic)) => resume_unwind(panic),
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Submits a job that is done when the scope ends.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] if the pool takes no more jobs; the closure has been dropped.
    pub fn submit<F>(&'scope self, job: F) -> Result<(), SubmitError<()>>
    where
        F: FnOnce() + Send + 'scope,
    {
        // Unbounded and never shut down.
        let _ = self.jobs.put(());
        let scoped = Scoped { job, counted: Counted(Arc::clone(&self.jobs)) };
        let panicked = Arc::clone(&self.panicked);
        let job: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || {
            let Scoped { job, counted } = scoped;
            if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
                panicked.lock().get_or_insert(panic);
            }
            drop(counted);
        });
        // SAFETY: what is borrowed for 'scope is used by the closure until it is dropped, run or
        // not, and `scope` does not return, by panic or otherwise, before `Counted`, which is
        // dropped after the closure's own, says that it is (`join`).
        let job = unsafe {
            core::mem::transmute::<
                Box<dyn FnOnce() + Send + 'scope>,
                Box<dyn FnOnce() + Send + 'static>,
            >(job)
        };
        match self.pool.submit(job, true) {
            Ok(job) => {
                self.handles.put(JobHandle::new(job));
                Ok(())
            }
            Err(SubmitError::ShutDown(_)) => Err(SubmitError::ShutDown(())),
            Err(SubmitError::Full(_)) => Err(SubmitError::Full(())),
            Err(SubmitError::Broken(_)) => Err(SubmitError::Broken(())),
            Err(SubmitError::Forked(_)) => Err(SubmitError::Forked(())),
            Err(SubmitError::NoThread(_, why)) => Err(SubmitError::NoThread((), why)),
        }
    }
}
