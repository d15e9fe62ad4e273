//! What the features `deadlock` and `stats` see of the locks.
//!
//! A lock with guards has a [`Watch`] beside its raw lock and tells it three things: that this
//! thread [asks](Watch::asks), how that [ended](Asks::ended), and that it has
//! [released](Watch::released). Without the features a `Watch` and an [`Asks`] have no bytes, and
//! what is told is nothing: the code is the same instruction for instruction.
//!
//! The raw locks that any thread may release have no watch: they belong to nobody, so there is no
//! order in which a thread holds them.
//!
//! What is done here is no part of any algorithm: it uses `std` and `core` and not the facade, and
//! the models are made without it.

#[cfg(not(any(feature = "deadlock", feature = "stats")))]
mod off;
#[cfg(any(feature = "deadlock", feature = "stats"))]
mod on;

#[cfg(not(any(feature = "deadlock", feature = "stats")))]
use self::off as build;
#[cfg(any(feature = "deadlock", feature = "stats"))]
use self::on as build;

pub(crate) use self::build::{Asks, Waits, Watch};
