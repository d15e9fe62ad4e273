//! The interface that a pool of threads and a pool of processes share.
//!
//! `sync_queue::ThreadPool` and `sync_ipc::Pool` implement [`Executor`] for plain functions of one
//! argument, so that code moves between threads and processes by changing one type. A function that
//! processes run must be registered (`sync_ipc::entry!`), and its argument and result must
//! implement serde's traits; threads require `Send` instead. The pools have methods of the same
//! names of their own: call those of the trait in generic code, or as `Executor::submit(&pool, f,
//! argument)`.
//!
//! ```
//! use sync_core::executor::{Executor, ExecutorError, Handle, Until};
//!
//! fn sum_of<E, F>(pool: &E, f: F, until: u64) -> u64
//! where
//!     F: Fn(u64) -> u64 + Copy,
//!     E: Executor<F, u64, u64>,
//! {
//!     let handles = (0..until).map(|n| pool.submit(f, n).ok().expect("the pool is open"));
//!     let (done, not_done) = pool.wait(handles.collect(), Until::All, None);
//!     assert!(not_done.is_empty());
//!     done.into_iter().map(|handle| handle.result().ok().expect("it does not panic")).sum()
//! }
//! ```

use core::error::Error;
use core::fmt;
use core::time::Duration;

/// A submitted job.
pub trait Handle: Sized {
    /// The result of the job.
    type Output;
    /// The reason why a job has no result.
    type Error: Error;

    /// Waits for the result.
    ///
    /// # Errors
    ///
    /// The job panicked, was cancelled, or was lost with its worker.
    fn result(self) -> Result<Self::Output, Self::Error>;

    /// As [`result`](Self::result), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// The handle, if the job was not done in time.
    fn result_timeout(self, timeout: Duration) -> Result<Result<Self::Output, Self::Error>, Self>;

    /// Cancels the job if no worker has begun it. `true`: it is cancelled, now or before.
    fn cancel(&self) -> bool;

    /// Whether the job has ended, well or not.
    fn is_done(&self) -> bool;
}

/// When a wait for several jobs has waited long enough: of [`Executor::wait`], and of the function
/// `wait` of each pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "return_when")]
pub enum Until {
    /// One job is done.
    #[doc(alias = "FIRST_COMPLETED")]
    First,
    /// One job panicked, failed, was lost or has lapsed; or all are done. Being cancelled is no
    /// error.
    #[doc(alias = "FIRST_EXCEPTION")]
    FirstError,
    /// All jobs are done.
    #[doc(alias = "ALL_COMPLETED")]
    All,
}

/// Python's names.
impl Until {
    /// [`First`](Self::First).
    pub const FIRST_COMPLETED: Self = Self::First;
    /// [`FirstError`](Self::FirstError).
    pub const FIRST_EXCEPTION: Self = Self::FirstError;
    /// [`All`](Self::All).
    pub const ALL_COMPLETED: Self = Self::All;
}

/// Why a [`map`](Executor::map) has no results.
#[derive(Debug)]
pub enum ExecutorError<S, J> {
    /// A job was not submitted.
    Submit(S),
    /// A job has no result.
    Job(J),
}

impl<S: fmt::Display, J: fmt::Display> fmt::Display for ExecutorError<S, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit(error) => error.fmt(f),
            Self::Job(error) => error.fmt(f),
        }
    }
}

impl<S: Error, J: Error> Error for ExecutorError<S, J> {}

/// The error of the [`map`](Executor::map) of an executor.
pub type MapError<E, F, A, R> = ExecutorError<
    <E as Executor<F, A, R>>::Error,
    <<E as Executor<F, A, R>>::Handle as Handle>::Error,
>;

/// A pool of workers that run functions `F` of an argument `A` with a result `R`.
pub trait Executor<F, A, R> {
    /// The handle of a submitted job.
    type Handle: Handle<Output = R>;
    /// The reason why a job is not submitted.
    type Error: Error;

    /// Submits `f(argument)`, waiting for room in the backlog if that is bounded.
    ///
    /// # Errors
    ///
    /// The pool takes no more jobs, or cannot run this one.
    fn submit(&self, f: F, argument: A) -> Result<Self::Handle, Self::Error>;

    /// Calls `f` with each argument, and returns the results in the order of the arguments.
    ///
    /// # Errors
    ///
    /// The error of the first argument, in their order, that has no result.
    fn map(
        &self,
        f: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, MapError<Self, F, A, R>>
    where
        Self: Sized;

    /// Waits for several jobs, at most for `timeout`, and returns those that are done and those
    /// that are not.
    fn wait(
        &self,
        handles: Vec<Self::Handle>,
        until: Until,
        timeout: Option<Duration>,
    ) -> (Vec<Self::Handle>, Vec<Self::Handle>);

    /// Returns the handles, each as soon as its job is done.
    fn as_completed(&self, handles: Vec<Self::Handle>) -> impl Iterator<Item = Self::Handle>;
}

/// The items of [`Handle`], by the type's own methods of the same names.
#[doc(hidden)]
#[macro_export]
macro_rules! __handle_items {
    ($output:ty, $error:ty) => {
        type Output = $output;
        type Error = $error;

        fn result(self) -> ::core::result::Result<$output, $error> {
            Self::result(self)
        }

        fn result_timeout(
            self,
            timeout: ::core::time::Duration,
        ) -> ::core::result::Result<::core::result::Result<$output, $error>, Self> {
            Self::result_timeout(self, timeout)
        }

        fn cancel(&self) -> bool {
            Self::cancel(self)
        }

        fn is_done(&self) -> bool {
            Self::is_done(self)
        }
    };
}

/// The waits of an [`Executor`], by the functions of the same names in the module `$module`.
#[doc(hidden)]
#[macro_export]
macro_rules! __executor_waits {
    ($handle:ty, $module:ident) => {
        fn wait(
            &self,
            handles: Vec<$handle>,
            until: $crate::executor::Until,
            timeout: ::core::option::Option<::core::time::Duration>,
        ) -> (Vec<$handle>, Vec<$handle>) {
            let waited = $module::wait(handles, until, timeout);
            (waited.done, waited.not_done)
        }

        fn as_completed(&self, handles: Vec<$handle>) -> impl Iterator<Item = $handle> {
            $module::as_completed(handles)
        }
    };
}
