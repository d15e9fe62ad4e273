//! Objects that are more than data: pools, types of the program's own, and shared memory.

use core::time::Duration;

use sync_core::user_code;

use super::super::shared::AnyShared;
use super::super::wire::{Call, Refusal, Reply};
use super::monitor::Caller;
use super::store::Served;
use crate::error::Error;
use crate::pool::Pool;
use crate::random::random;
use crate::segment::Segment;

/// The time between two looks at whether the client that waits for a job is still there.
const LOOK: Duration = Duration::from_millis(20);

/// A pool of processes of the server's.
pub(super) struct ServedPool(Pool);

impl ServedPool {
    pub(super) fn new(workers: u64) -> Result<Self, Refusal> {
        let workers = usize::try_from(workers).unwrap_or(usize::MAX);
        let pool = Pool::new(workers).map_err(|error| Refusal::System(error.to_string()))?;
        Ok(Self(pool))
    }
}

impl Served for ServedPool {
    fn call(&self, caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Apply(entry, arguments, limit) = call else { return Err(Refusal::WrongType) };
        let submitted = self.0.submit_by_name(&entry, arguments.into());
        let job = submitted.map_err(|error| Refusal::Job(error.to_string()))?;
        let deadline = limit.and_then(|limit| std::time::Instant::now().checked_add(limit));
        loop {
            if job.wait_timeout(LOOK) {
                let outcome = job.outcome().map_err(|error| Refusal::Job(error.to_string()))?;
                return Ok(Reply::Outcome(outcome.into()));
            }
            if caller.session.has_ended() {
                job.cancel();
                return Err(Refusal::Interrupted);
            }
            if deadline.is_some_and(|deadline| deadline <= std::time::Instant::now()) {
                job.cancel();
                return Ok(Reply::Maybe(None));
            }
        }
    }
}

/// A value of a type of the program's own.
pub(super) struct User(pub(super) Box<dyn AnyShared>);

impl Served for User {
    fn call(&self, _caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Method(name, arguments) = call else { return Err(Refusal::WrongType) };
        match user_code::run(|| self.0.call_by_name(&name, &arguments)) {
            Ok(Some(result)) => result.map(|result| Reply::Outcome(result.into())),
            Ok(None) => Err(Refusal::NotRegistered(name)),
            Err(payload) => {
                let message = user_code::message(&*payload).to_owned();
                user_code::dispose_payload(payload);
                Err(Refusal::Panicked(message))
            }
        }
    }
}

/// A named segment, which the server holds.
pub(super) struct Memory {
    name: String,
    segment: Segment,
}

impl Memory {
    pub(super) fn new(size: u64) -> Result<Self, Refusal> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        loop {
            let number = random::<8>().map_err(|error| Refusal::System(error.to_string()))?;
            let name = format!("managed-{:016x}", u64::from_ne_bytes(number));
            match Segment::create(&name, size) {
                Ok(segment) => return Ok(Self { name, segment }),
                Err(Error::AlreadyExists) => {}
                Err(error) => return Err(Refusal::System(error.to_string())),
            }
        }
    }
}

impl Served for Memory {
    fn call(&self, _caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        match call {
            Call::MemoryName => Ok(Reply::Text(self.name.clone())),
            _ => Err(Refusal::WrongType),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // A client that still has the memory keeps it, without the name.
        let _ = self.segment.unlink_own();
    }
}
