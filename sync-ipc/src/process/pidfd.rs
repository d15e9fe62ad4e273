//! Descriptors that stand for processes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use super::message::wait_readable;

pub(super) fn open(pid: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Whether the process has ended by `deadline`; `None` waits without limit.
pub(super) fn has_ended(pidfd: impl AsFd, deadline: Option<Instant>) -> io::Result<bool> {
    let [ended] = wait_readable([pidfd.as_fd()], deadline)?;
    Ok(ended)
}

/// Sends a signal. It is not an error if the process has ended.
pub(super) fn signal(pidfd: impl AsFd, signal: Signal) -> io::Result<()> {
    match pidfd_send_signal(pidfd, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes the status of a child that has ended: its exit code, or minus the signal. `Ok(None)`: it
/// has not ended. An error: its status was taken by other code of this program.
pub(super) fn reap(pidfd: impl AsFd) -> io::Result<Option<i32>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), options))?;
    let Some(status) = status else { return Ok(None) };
    Ok(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(code),
        (None, Some(signal)) => Some(-signal),
        (None, None) => None,
    })
}
