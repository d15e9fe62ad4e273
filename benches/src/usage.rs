//! Resources that the process has used: processor time, context switches, reads from the disk.

use std::time::Duration;

/// Numbers that only grow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time, in user and system mode.
    pub cpu: Duration,
    /// How often a thread gave the processor up because it waited.
    pub voluntary: u64,
    /// How often something had to be read from the disk.
    pub disk_reads: u64,
}

impl Usage {
    /// Until now.
    pub fn now() -> Self {
        // SAFETY: `rusage` is plain numbers, for which all zeros are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a live, writable `rusage`.
        let done = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
        assert_eq!(done, 0, "getrusage of this process cannot fail");
        let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1_000);
        Self {
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            voluntary: usage.ru_nvcsw as u64,
            disk_reads: usage.ru_inblock as u64,
        }
    }

    /// From `earlier` to this.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            voluntary: self.voluntary - earlier.voluntary,
            disk_reads: self.disk_reads - earlier.disk_reads,
        }
    }
}
