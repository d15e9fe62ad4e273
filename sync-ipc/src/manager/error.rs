//! Errors of a manager's clients.

use core::fmt;
use std::io;

use super::wire::Refusal;
use crate::auth::AuthError;
use crate::process::SpawnError;

/// Why a call of a manager has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum ManagerError {
    /// No server can be reached at the address.
    Unreachable(io::Error),
    /// The keys differ, or the other end is no server.
    Auth(AuthError),
    /// The connection ended in the call: the server has ended, or disconnected this client. It is
    /// not known whether the call was run. The next call connects again.
    Gone,
    /// The server did not answer in time. As for [`Gone`](Self::Gone).
    NoAnswer,
    /// The server refused the call, for this reason.
    Refused(Refusal),
    /// A value cannot be serialised, or the server's answer is no value of the requested type.
    BadValue(String),
    /// This process is the child of a fork, and the connection stayed with the parent. Connect
    /// again.
    Forked,
    /// The server was not started.
    Spawn(SpawnError),
    /// The system refused.
    Io(io::Error),
}

impl ManagerError {
    /// The reason, if the server refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl fmt::Display for ManagerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "the manager cannot be reached: {error}"),
            Self::Auth(error) => error.fmt(f),
            Self::Gone => f.write_str("the manager has ended, or closed the connection"),
            Self::NoAnswer => f.write_str("the manager did not answer in time"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::BadValue(why) => write!(f, "the value cannot be passed on: {why}"),
            Self::Forked => f.write_str("the connection was left behind by a fork"),
            Self::Spawn(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ManagerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(error) | Self::Io(error) => Some(error),
            Self::Auth(error) => Some(error),
            Self::Refused(refusal) => Some(refusal),
            Self::Spawn(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Refusal> for ManagerError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<AuthError> for ManagerError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Io(error) => Self::Unreachable(error),
            AuthError::Closed => Self::Unreachable(io::ErrorKind::ConnectionReset.into()),
            other => Self::Auth(other),
        }
    }
}

impl From<SpawnError> for ManagerError {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}

impl From<io::Error> for ManagerError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) type Result<T> = core::result::Result<T, ManagerError>;
