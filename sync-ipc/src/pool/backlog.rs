//! The tasks of a pool that wait for a worker.

use std::collections::VecDeque;
use std::sync::Arc;

use super::job::Job;
use super::settings::Settings;

/// The descriptors among the arguments of all tasks in the backlog, unless it has one task only, or
/// there are more than half as many workers.
const WAITING_DESCRIPTORS: usize = 64;

/// The tasks that wait for a worker, in their order.
#[derive(Default)]
pub(super) struct Backlog {
    jobs: VecDeque<Arc<Job>>,
    /// The number of descriptors among their arguments.
    descriptors: usize,
}

impl Backlog {
    pub(super) fn jobs(&self) -> &VecDeque<Arc<Job>> {
        &self.jobs
    }

    /// All of them, taken.
    pub(super) fn take(&mut self) -> VecDeque<Arc<Job>> {
        self.descriptors = 0;
        core::mem::take(&mut self.jobs)
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether the task may be added: not if there are too many, or too many descriptors. A task
    /// that has too many by itself waits alone.
    pub(super) fn has_room_for(&self, job: &Job, settings: &Settings) -> bool {
        let most = WAITING_DESCRIPTORS.max(settings.workers.saturating_mul(2));
        let descriptors = self.descriptors + job.descriptors;
        self.len() < settings.queue_limit
            && (job.descriptors == 0 || self.descriptors == 0 || descriptors <= most)
    }

    pub(super) fn push_back(&mut self, job: Arc<Job>) {
        self.descriptors += job.descriptors;
        self.jobs.push_back(job);
    }

    pub(super) fn push_front(&mut self, job: Arc<Job>) {
        self.descriptors += job.descriptors;
        self.jobs.push_front(job);
    }

    pub(super) fn pop_front(&mut self) -> Option<Arc<Job>> {
        let job = self.jobs.pop_front()?;
        self.descriptors -= job.descriptors;
        Some(job)
    }
}
