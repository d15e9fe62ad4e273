//! The pool as an [`Executor`], the interface that it shares with pools of processes.

use sync_core::executor::{Executor, ExecutorError, Handle};

use super::ThreadPool;
use super::error::{JobError, SubmitError};
use super::handle::{self, JobHandle};

impl<R> Handle for JobHandle<R> {
    sync_core::__handle_items!(R, JobError);
}

impl<F, A, R> Executor<F, A, R> for ThreadPool
where
    F: Fn(A) -> R + Copy + Send + Sync + 'static,
    A: Send + 'static,
    R: Send + 'static,
{
    type Handle = JobHandle<R>;
    type Error = SubmitError<()>;

    fn submit(&self, f: F, argument: A) -> Result<JobHandle<R>, SubmitError<()>> {
        ThreadPool::submit(self, move || f(argument)).map_err(SubmitError::without_job)
    }

    fn map(
        &self,
        f: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, ExecutorError<SubmitError<()>, JobError>> {
        let results = ThreadPool::map(self, arguments, f).map_err(ExecutorError::Submit)?;
        results.collect::<Result<_, _>>().map_err(ExecutorError::Job)
    }

    sync_core::__executor_waits!(JobHandle<R>, handle);
}
