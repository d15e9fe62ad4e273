//! Proxies: the objects of a server, as its clients have them.

pub(super) mod containers;
pub(super) mod iteration;
pub(super) mod locks;
pub(super) mod special;
pub(super) mod waits;

use core::time::Duration;
use std::time::Instant;

use super::error::{ManagerError, Result};
use super::wire::Reply;

/// Makes a type a proxy: it can be cloned, and be passed to another process and into other objects
/// of the same manager.
macro_rules! proxy {
    (
        $(#[$attribute:meta])*
        $name:ident $(<$($parameter:ident),+>)?
    ) => {
        $(#[$attribute])*
        pub struct $name $(<$($parameter),+>)? {
            pub(in crate::manager) core: $crate::manager::link::Core,
            marker: ::core::marker::PhantomData<fn() $(-> ($($parameter,)+))?>,
        }

        impl $(<$($parameter),+>)? $name $(<$($parameter),+>)? {
            pub(in crate::manager) fn over(core: $crate::manager::link::Core) -> Self {
                Self { core, marker: ::core::marker::PhantomData }
            }
        }

        impl $(<$($parameter),+>)? Clone for $name $(<$($parameter),+>)? {
            /// Another proxy of the same object.
            fn clone(&self) -> Self {
                Self::over(self.core.clone())
            }
        }

        impl $(<$($parameter),+>)? ::core::fmt::Debug for $name $(<$($parameter),+>)? {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, concat!(stringify!($name), " ({:?})"), self.core)
            }
        }

        impl $(<$($parameter),+>)? ::serde::Serialize for $name $(<$($parameter),+>)? {
            /// Only among the arguments or the result of a process, or in a value of the same
            /// manager.
            fn serialize<S: ::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                ::serde::Serialize::serialize(&self.core, serializer)
            }
        }

        impl<'de $($(, $parameter)+)?> ::serde::Deserialize<'de> for $name $(<$($parameter),+>)? {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                <$crate::manager::link::Core as ::serde::Deserialize>::deserialize(deserializer)
                    .map(Self::over)
            }
        }
    };
}
pub(super) use proxy;

/// The time until `deadline`, as requests have it: the clocks of the server and the client may be
/// those of two machines.
fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// The error for an answer of the wrong kind.
fn unexpected() -> ManagerError {
    ManagerError::BadValue("the answer is of another kind".into())
}

pub(super) fn done(reply: &Reply) -> Result<()> {
    if matches!(reply, Reply::Done) { Ok(()) } else { Err(unexpected()) }
}

pub(super) fn flag(reply: &Reply) -> Result<bool> {
    if let Reply::Flag(flag) = reply { Ok(*flag) } else { Err(unexpected()) }
}

pub(super) fn number(reply: &Reply) -> Result<u64> {
    if let Reply::Number(number) = reply { Ok(*number) } else { Err(unexpected()) }
}

pub(super) fn length(reply: &Reply) -> Result<usize> {
    usize::try_from(number(reply)?).map_err(|_| unexpected())
}
