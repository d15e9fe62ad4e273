#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod clock;
mod disposed;
mod interval;
mod missed;
mod scheduler;
mod slack;
mod timer;
pub mod wheel;

#[doc(hidden)]
pub use clock::Notifier as Bell;
pub use clock::{Clock, ManualClock, Monotonic, Notifier};
pub use interval::{Interval, Stopper, TickError};
pub use missed::Missed;
pub use scheduler::{
    Cancel, CancelOnDrop, EveryError, Executor, Failure, Pending, Periodic, Scheduler,
    SchedulerBuilder, ShutDown, Tick, TimerHandle,
};
pub use timer::{JoinError, Outcome, StartError, Timer};
