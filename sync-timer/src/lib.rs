#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod clock;
mod interval;
mod missed;
mod scheduler;
mod slack;
mod timer;
pub mod wheel;

pub use clock::{Bell, Clock, ManualClock, Monotonic};
pub use interval::{Interval, Stopper, TickError};
pub use missed::Missed;
pub use scheduler::{
    Cancel, CancelOnDrop, EveryError, Executor, Failure, Pending, Scheduler, SchedulerBuilder,
    ShutDown, Tick, TimerHandle,
};
pub use timer::{JoinError, Outcome, StartError, Timer};
