//! The pool as an [`Executor`], the interface that it shares with pools of threads.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_core::executor::{Executor, ExecutorError, Handle};

use super::handle::{self, JobHandle};
use super::job::JobError;
use super::{Pool, SubmitError};

impl<R: DeserializeOwned> Handle for JobHandle<R> {
    sync_core::__handle_items!(R, JobError);
}

impl<F, A, R> Executor<F, A, R> for Pool
where
    F: Fn(A) -> R + Copy + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Handle = JobHandle<R>;
    type Error = SubmitError;

    fn submit(&self, f: F, argument: A) -> Result<JobHandle<R>, SubmitError> {
        Pool::submit::<fn(A) -> R, F>(self, f, argument)
    }

    fn map(
        &self,
        f: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, ExecutorError<SubmitError, JobError>> {
        let results = Pool::map_async::<fn(A) -> R, F>(self, f, arguments);
        results.map_err(ExecutorError::Submit)?.results().map_err(ExecutorError::Job)
    }

    sync_core::__executor_waits!(JobHandle<R>, handle);
}
