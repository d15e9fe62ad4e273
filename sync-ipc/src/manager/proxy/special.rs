//! Proxies of pools, and of types of the program's own.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::error::{ManagerError, Result};
use super::super::link::{Core, Takes, decode};
use super::super::shared::Shared;
use super::super::wire::{Call, Limit, Reply};
use super::{proxy, unexpected, until};
use crate::process::handles::{Incoming, Outgoing, encode_to_vec};
use crate::process::{Entry, entry};

proxy! {
    /// A pool of processes of a manager's server. Python's `Manager().Pool(n)`.
    ///
    /// It runs the entry points of the server's program, which are found by name; arguments and
    /// results are values without handles.
    Pool
}

impl Pool {
    fn apply_within<M, F: Entry<M>>(
        &self,
        f: F,
        args: &F::Args,
        limit: Limit,
    ) -> Result<Option<F::Output>> {
        let bad = |why: String| ManagerError::BadValue(why);
        let mut outgoing = Outgoing::default();
        let args = encode_to_vec(args, &mut outgoing).map_err(|error| bad(error.to_string()))?;
        if !outgoing.descriptors.is_empty() {
            return Err(bad("a handle does not go through a manager".into()));
        }
        let call = Call::Apply(entry::name_of(&f).to_owned(), args.into(), limit);
        let takes = limit.map_or(Takes::Unknown, |limit| Takes::Limit(Some(limit)));
        match self.core.call(call, takes)? {
            Reply::Maybe(None) => Ok(None),
            Reply::Outcome(outcome) => {
                let outcome = entry::only_outcome(&outcome, &mut Incoming::default());
                let outcome = outcome.map_err(|error| match error {
                    crate::ProcessError::Panicked(panic) => {
                        super::super::wire::Refusal::Panicked(panic.to_string()).into()
                    }
                    other => ManagerError::BadValue(other.to_string()),
                });
                outcome.map(Some)
            }
            _ => Err(unexpected()),
        }
    }

    /// Calls `f` in a worker of the pool, and waits for its result.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn apply<M, F: Entry<M>>(&self, f: F, args: &F::Args) -> Result<F::Output> {
        self.apply_within(f, args, None)?.ok_or_else(unexpected)
    }

    /// As [`apply`](Self::apply), waiting at most `timeout`. A call that is running goes on.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn apply_timeout<M, F: Entry<M>>(
        &self,
        f: F,
        args: &F::Args,
        timeout: Duration,
    ) -> Result<Option<F::Output>> {
        self.apply_within(f, args, Some(timeout))
    }

    /// As [`apply_timeout`](Self::apply_timeout), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn apply_deadline<M, F: Entry<M>>(
        &self,
        f: F,
        args: &F::Args,
        deadline: Instant,
    ) -> Result<Option<F::Output>> {
        self.apply_within(f, args, Some(until(deadline)))
    }
}

/// A proxy of a value of a type of the program's own; [`shared!`](crate::shared) defines one with
/// the type's methods over it.
pub struct SharedProxy<T> {
    pub(in crate::manager) core: Core,
    marker: PhantomData<fn() -> T>,
}

impl<T: Shared> SharedProxy<T> {
    pub(in crate::manager) fn over(core: Core) -> Self {
        Self { core, marker: PhantomData }
    }

    /// Calls a method by its name.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`](crate::manager::Refusal::NotRegistered) for another name;
    /// [`Refusal::Panicked`](crate::manager::Refusal::Panicked); other variants.
    pub fn call<A: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        method: &str,
        arguments: &A,
    ) -> Result<R> {
        match self.core.call(Self::request(method, arguments)?, Takes::Unknown)? {
            Reply::Outcome(result) => decode(&self.core.link, &result),
            _ => Err(unexpected()),
        }
    }

    pub(in crate::manager) fn request<A: Serialize + ?Sized>(
        method: &str,
        arguments: &A,
    ) -> Result<Call> {
        let arguments = postcard::to_stdvec(arguments)
            .map_err(|error| ManagerError::BadValue(error.to_string()))?;
        Ok(Call::Method(method.to_owned(), arguments.into()))
    }
}

impl<T> Clone for SharedProxy<T> {
    /// Another proxy of the same object.
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), marker: PhantomData }
    }
}

impl<T> fmt::Debug for SharedProxy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedProxy ({:?})", self.core)
    }
}

impl<T> Serialize for SharedProxy<T> {
    /// Only among the arguments or the result of a process, or in a value of the same manager.
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> core::result::Result<S::Ok, S::Error> {
        self.core.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for SharedProxy<T> {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> core::result::Result<Self, D::Error> {
        let core = Core::deserialize(deserializer)?;
        Ok(Self { core, marker: PhantomData })
    }
}
