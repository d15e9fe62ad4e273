//! The waits for a closure, or a value, that another thread makes. The token ends the wait; it does
//! not end a closure that runs.

use core::convert::Infallible;

use super::token::{CancelToken, Cancelled};
use crate::once::lazy_lock::LazyLock;
use crate::once::once::{Changed, Once, OnceState};
use crate::once::once_lock::OnceLock;
use crate::primitive::steps::Waiting;

impl Once {
    /// Like [`wait`](Self::wait), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled before a closure had run.
    ///
    /// # Panics
    ///
    /// Like [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
        in_time(self.is_completed() || self.sleep_by(true, |changed| until(token, changed)))
    }

    /// Like [`wait_force`](Self::wait_force), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// Like [`wait_or_cancelled`](Self::wait_or_cancelled).
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn wait_force_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
        in_time(self.is_completed() || self.sleep_by(false, |changed| until(token, changed)))
    }

    /// Like [`call_once`](Self::call_once); the wait for a closure of another thread ends when the
    /// token is cancelled. The token does not end `f`.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while another thread ran a closure.
    ///
    /// # Panics
    ///
    /// Like [`call_once`](Self::call_once).
    #[track_caller]
    pub fn call_once_or_cancelled(
        &self,
        f: impl FnOnce(),
        token: &CancelToken,
    ) -> Result<(), Cancelled> {
        in_time(self.call_once_by(None, f, |changed| until(token, changed)))
    }

    /// Like [`call_once_force`](Self::call_once_force), with the token of
    /// [`call_once_or_cancelled`](Self::call_once_or_cancelled).
    ///
    /// # Errors
    ///
    /// Like [`call_once_or_cancelled`](Self::call_once_or_cancelled).
    ///
    /// # Panics
    ///
    /// If `f` panics.
    #[track_caller]
    pub fn call_once_force_or_cancelled(
        &self,
        f: impl FnOnce(&OnceState),
        token: &CancelToken,
    ) -> Result<(), Cancelled> {
        in_time(self.call_once_force_by(f, |changed| until(token, changed)))
    }
}

/// Waits for the next state of a [`Once`].
fn until(token: &CancelToken, changed: Changed<'_>) -> Option<u32> {
    token.block_on(Waiting::new(changed)).ok()
}

fn in_time(done: bool) -> Result<(), Cancelled> {
    if done { Ok(()) } else { Err(Cancelled) }
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// Like [`force`](Self::force); the wait for another thread that makes the value ends when the
    /// token is cancelled. The token does not end the function.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while another thread made the value.
    ///
    /// # Panics
    ///
    /// Like [`force`](Self::force).
    #[track_caller]
    pub fn force_or_cancelled<'a>(this: &'a Self, token: &CancelToken) -> Result<&'a T, Cancelled> {
        Self::force_by(this, |changed| until(token, changed)).ok_or(Cancelled)
    }
}

impl<T> OnceLock<T> {
    /// Like [`wait`](Self::wait), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the cell was empty.
    pub fn wait_or_cancelled(&self, token: &CancelToken) -> Result<&T, Cancelled> {
        token.block_on(self.wait_async())
    }

    /// Like [`get_or_init`](Self::get_or_init); the wait for another thread or task that makes the
    /// value ends when the token is cancelled. The token does not end `f`.
    ///
    /// ```
    /// use sync_core::{CancelToken, OnceLock};
    ///
    /// let (stop, cell) = (CancelToken::new(), OnceLock::new());
    /// assert_eq!(cell.get_or_init_or_cancelled(|| 7, &stop), Ok(&7));
    /// ```
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while another thread or task made the value.
    ///
    /// # Panics
    ///
    /// Like [`get_or_init`](Self::get_or_init).
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn get_or_init_or_cancelled(
        &self,
        f: impl FnOnce() -> T,
        token: &CancelToken,
    ) -> Result<&T, Cancelled> {
        self.get_or_try_init_or_cancelled(|| Ok::<T, Infallible>(f()), token)
            .map(|made| match made {
                Ok(value) => value,
            })
    }

    /// Like [`get_or_try_init`](Self::get_or_try_init), with the token of
    /// [`get_or_init_or_cancelled`](Self::get_or_init_or_cancelled).
    ///
    /// # Errors
    ///
    /// The outer error is [`Cancelled`]; the inner one is that of `f`.
    ///
    /// # Panics
    ///
    /// Like [`get_or_init`](Self::get_or_init).
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn get_or_try_init_or_cancelled<E>(
        &self,
        f: impl FnOnce() -> Result<T, E>,
        token: &CancelToken,
    ) -> Result<Result<&T, E>, Cancelled> {
        self.get_or_try_init_by(f, |changed| until(token, changed)).ok_or(Cancelled)
    }

    /// Like [`set`](Self::set); the wait for another thread or task that writes a value ends when
    /// the token is cancelled.
    ///
    /// # Errors
    ///
    /// The given value. The outer error: the token was cancelled while another thread or task wrote
    /// a value. The inner error: the cell has a value already.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn set_or_cancelled(&self, value: T, token: &CancelToken) -> Result<Result<(), T>, T> {
        let mut value = Some(value);
        let there =
            self.get_or_init_or_cancelled(|| value.take().expect("called once"), token).is_ok();
        match value {
            None => Ok(Ok(())),
            Some(value) if there => Ok(Err(value)),
            Some(value) => Err(value),
        }
    }
}
