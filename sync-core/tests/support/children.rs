//! Children that code under test forks, told to the test that waits for them.

use std::sync::Arc;

/// Says which children were forked, over a pipe. A channel of std is no way: its receiver may hold
/// the channel's lock at the fork, and the child waits for it when it drops its copy of the sender.
#[derive(Clone)]
pub(crate) struct Children(Arc<[libc::c_int; 2]>);

impl Children {
    pub(crate) fn new() -> Self {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        Self(Arc::new(ends))
    }

    /// Forks. In the parent the child is told; the child returns `true`, and is killed if it hangs.
    pub(crate) fn fork(&self) -> bool {
        // SAFETY: the child goes on with the code that is under test.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: an alarm for a child that hangs.
            unsafe { libc::alarm(60) };
            return true;
        }
        let bytes = pid.to_ne_bytes();
        // SAFETY: the bytes can be read, and the descriptor is open.
        let written = unsafe { libc::write(self.0[1], bytes.as_ptr().cast(), bytes.len()) };
        assert_eq!(written, bytes.len() as isize);
        false
    }

    /// Waits for the next child that was told to end, and returns its status: 0, if it came back
    /// from the code that forked it and its thread ended.
    pub(crate) fn status(&self) -> libc::c_int {
        let (mut bytes, mut status) = ([0; size_of::<libc::pid_t>()], 0);
        // SAFETY: the bytes can be written, and the descriptor is open.
        let read = unsafe { libc::read(self.0[0], bytes.as_mut_ptr().cast(), bytes.len()) };
        assert_eq!(read, bytes.len() as isize);
        let pid = libc::pid_t::from_ne_bytes(bytes);
        assert!(pid > 0, "fork failed");
        // SAFETY: `status` is writable, and the child is ours.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        status
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        if let Some(ends) = Arc::get_mut(&mut self.0) {
            // SAFETY: the descriptors are open, and no other copy uses them.
            ends.iter().for_each(|&end| _ = unsafe { libc::close(end) });
        }
    }
}
