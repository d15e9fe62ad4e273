//! The instrument of a lock: its reports to the features `deadlock` and `stats`.
//!
//! A lock with guards has an [`Instrument`] next to its raw lock and reports three things to it:
//! that the calling thread [attempts](Instrument::attempt) to take the lock, how the attempt
//! [ended](Attempt::ended), and that the thread has [released](Instrument::released) the lock.
//! Without the features an `Instrument` and an [`Attempt`] have no bytes and the calls have no
//! code: the locks are compiled to the same instructions as the raw locks.
//!
//! The raw locks that any thread may release have no instrument: no thread owns them, so there is
//! no order in which a thread holds them.
//!
//! This code is no part of any algorithm: it uses `std` and `core` and not the facade, and the
//! models are built without it.

#[cfg(not(any(feature = "deadlock", feature = "stats")))]
mod off;
#[cfg(any(feature = "deadlock", feature = "stats"))]
mod on;

#[cfg(not(any(feature = "deadlock", feature = "stats")))]
use self::off as build;
#[cfg(any(feature = "deadlock", feature = "stats"))]
use self::on as build;

pub(crate) use self::build::{Attempt, Instrument, Waits};
