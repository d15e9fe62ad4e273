//! Timers.
#![forbid(unsafe_code)]

mod clock;
mod missed;
mod scheduler;
mod slack;
pub mod wheel;

pub use clock::{Bell, Clock, ManualClock, Monotonic};
pub use missed::Missed;
pub use scheduler::{
    Cancel, CancelOnDrop, EveryError, Executor, Failure, Pending, Scheduler, SchedulerBuilder, ShutDown, Tick, TimerHandle,
};
