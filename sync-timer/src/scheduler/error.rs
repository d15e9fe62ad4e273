//! Errors that give the callback back.

use core::fmt;
use std::error::Error;

/// The scheduler has been shut down; the callback that it did not take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShutDown<F>(pub F);

impl<F> fmt::Debug for ShutDown<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShutDown(..)")
    }
}

impl<F> fmt::Display for ShutDown<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the scheduler has been shut down")
    }
}

impl<F> Error for ShutDown<F> {}

/// Why a periodic timer was not scheduled; the callback that was not taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum EveryError<F> {
    /// The scheduler has been shut down.
    ShutDown(F),
    /// A period of zero.
    ZeroPeriod(F),
}

impl<F> EveryError<F> {
    /// The callback.
    pub fn into_inner(self) -> F {
        match self {
            Self::ShutDown(callback) | Self::ZeroPeriod(callback) => callback,
        }
    }
}

impl<F> fmt::Debug for EveryError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShutDown(_) => "ShutDown(..)",
            Self::ZeroPeriod(_) => "ZeroPeriod(..)",
        })
    }
}

impl<F> fmt::Display for EveryError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShutDown(_) => "the scheduler has been shut down",
            Self::ZeroPeriod(_) => "a periodic timer needs a period greater than zero",
        })
    }
}

impl<F> Error for EveryError<F> {}
