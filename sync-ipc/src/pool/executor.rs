//! The pool as an [`Executor`], the interface that it shares with pools of threads.

use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_core::executor::{Executor, ExecutorError, Handle, Until};

use super::handle::{self, JobHandle};
use super::job::JobError;
use super::{Pool, SubmitError};

impl<R: DeserializeOwned> Handle for JobHandle<R> {
    type Output = R;
    type Error = JobError;

    fn result(self) -> Result<R, JobError> {
        JobHandle::result(self)
    }

    fn result_timeout(self, timeout: Duration) -> Result<Result<R, JobError>, Self> {
        JobHandle::result_timeout(self, timeout)
    }

    fn cancel(&self) -> bool {
        JobHandle::cancel(self)
    }

    fn is_done(&self) -> bool {
        JobHandle::is_done(self)
    }
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

    fn wait(
        &self,
        handles: Vec<JobHandle<R>>,
        until: Until,
        timeout: Option<Duration>,
    ) -> (Vec<JobHandle<R>>, Vec<JobHandle<R>>) {
        let waited = handle::wait(handles, until, timeout);
        (waited.done, waited.not_done)
    }

    fn as_completed(&self, handles: Vec<JobHandle<R>>) -> impl Iterator<Item = JobHandle<R>> {
        handle::as_completed(handles)
    }
}
