//! The settings of a pool of processes.

use core::num::NonZero;
use core::time::Duration;
use std::os::fd::OwnedFd;

/// The settings of a pool.
pub(super) struct Settings {
    pub(super) workers: usize,
    pub(super) name_prefix: String,
    pub(super) initializer: Option<InitialCall>,
    pub(super) max_tasks_per_child: Option<NonZero<u64>>,
    pub(super) task_limit: Option<Duration>,
    pub(super) retries: u32,
    pub(super) queue_limit: usize,
}

/// The call that each worker makes before its first task.
pub(super) struct InitialCall {
    pub(super) entry: u32,
    pub(super) body: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
}
