//! A worker's life, in its own process.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::eager::Eager;
use crate::process::body::Output;
use crate::process::entry::{self, Work};
use crate::process::handles::Descriptor;
use crate::process::lent::Mappings;
use crate::process::message::{self, Body, Received};

/// The tag of a worker's first message: its initializer has run.
pub(super) const READY: u64 = u64::MAX;

/// The exit code of a worker that could not read a task.
const NO_MEMORY: i32 = 102;

/// The tag instead of [`READY`] if its initializer panicked; the report is the body.
pub(super) const NOT_READY: u64 = u64::MAX - 1;

/// Some calls of one function with their arguments, on their way to a worker.
#[derive(Serialize, Deserialize)]
pub(super) struct Initializer {
    pub(super) entry: u32,
    pub(super) body: Vec<u8>,
    pub(super) descriptors: Vec<Descriptor>,
}

/// The tag of a task: `count` calls of the function with this number.
pub(super) fn tag(entry: u32, count: u32) -> u64 {
    u64::from(entry) | u64::from(count) << 32
}

/// Runs tasks until the pool closes the socket. Returns early if the initializer panicked.
pub(super) fn work(socket: Descriptor, initializer: Option<Initializer>) {
    let socket = OwnedFd::from(socket);
    if let Some(initializer) = initializer {
        let descriptors = initializer.descriptors.into_iter().map(OwnedFd::from).collect();
        let mut work = Work::new(initializer.body, 1, descriptors);
        entry::run_numbered(initializer.entry, &mut work);
        if !work.has_returned() {
            // The pool may be gone: then this process has no task left either.
            let report = work.finish().map_or(Body::empty(), |(report, _)| report);
            let _ = message::send(&socket, NOT_READY, &report, &[]);
            return;
        }
    }
    if message::send(&socket, READY, &Body::empty(), &[]).is_err() {
        return;
    }
    let (mut buffer, mut known, eager) = (Vec::new(), Mappings::default(), Eager::new());
    while let Ok(Received::Message(task)) = message::receive_eagerly(&socket, &mut buffer, &eager) {
        let (entry, count) = (task.tag as u32, (task.tag >> 32) as u32);
        // Without its arguments the task cannot be run: the pool learns it by this worker's end.
        // SAFETY: rule 1 of `lent`: the outcome is sent below, when the content was dropped.
        let Ok(body) = (unsafe { task.body.open_again(&mut known) }) else {
            std::process::exit(NO_MEMORY)
        };
        let lent = task.lent.and_then(|file| known.find(&file, 1));
        // SAFETY: rule 2 of `lent`: the output is complete before the outcome is sent.
        let output = lent.map_or_else(Output::default, |file| unsafe { Output::borrowed(file) });
        let mut work = Work::with_output(output, body, count, task.descriptors);
        entry::run_numbered(entry, &mut work);
        if !work.is_ours() {
            // A child that the task has forked: the worker sends the outcome, and gets the tasks.
            return;
        }
        drop(core::mem::take(&mut work.input));
        let sent = work.finish().and_then(|(outcomes, descriptors)| {
            message::send(&socket, task.tag, &outcomes, &descriptors)
        });
        if let Err(error) = sent {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                return;
            }
            // No memory or no descriptors for the result, or too many descriptors in it.
            let mut failed = Work::new(Vec::new(), 0, Vec::new());
            for _ in 0..count {
                failed.fail(entry::BAD_RESULT, &error.to_string());
            }
            let report = failed.finish().map_or(Body::empty(), |(report, _)| report);
            if message::send(&socket, task.tag, &report, &[]).is_err() {
                return;
            }
        }
    }
}
