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
#[cfg(feature = "cron")]
pub use scheduler::CronError;
pub use scheduler::{
    Calendar, Cancel, CancelOnDrop, Debounced, EveryError, Executor, Failure, Pending, Periodic,
    Scheduler, SchedulerBuilder, ShutDown, Sleep, Throttled, Tick, Ticks, TimeoutError,
    TimerHandle,
};
pub use timer::{JoinError, Outcome, StartError, Timer};
