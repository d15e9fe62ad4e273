//! Signals whose handler returns and that restart no system call, to all threads of processes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A signal without effect in a process that does not handle it.
const SIGNAL: libc::c_int = libc::SIGURG;

extern "C" fn nothing(_: libc::c_int) {}

/// Lets the signals interrupt the system calls of this process.
pub(crate) fn handle() {
    // SAFETY: a handler that does nothing; all zeros is no flag and an empty mask.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(SIGNAL, &action, std::ptr::null_mut()), 0);
    }
}

/// Runs `act` while each thread of the processes gets signals, many in each millisecond.
pub(crate) fn during<T>(pids: impl Fn() -> Vec<u32> + Sync, act: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: only its end matters.
            while !done.load(Ordering::Relaxed) {
                for pid in pids() {
                    signal_threads(pid);
                }
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                // Relaxed: only its end matters.
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _end = End(&done);
        act()
    })
}

fn signal_threads(pid: u32) {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for thread in threads {
        let number = thread.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        if let Some(number) = number {
            // SAFETY: a signal without effect. The thread may have ended.
            unsafe { libc::syscall(libc::SYS_tgkill, pid, number, SIGNAL) };
        }
    }
}
