//! Children that are started without sync-ipc: this program again, in a mode that a variable names.

use std::io::{Read, Write};
use std::process::Command;

const VARIABLE: &str = "SYNC_BENCHES_BARE";

/// The monotonic clock, which is one for all processes.
pub(super) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for a time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// This program, which prints the time of its first instruction.
pub(super) fn first() -> Command {
    command("first")
}

/// This program, which sends back each 8 bytes that it reads.
pub(super) fn echo() -> Command {
    command("echo")
}

fn command(mode: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env(VARIABLE, mode);
    command
}

/// Runs a bare child and ends the process, if this process is one. First in `main`.
pub fn run_if_child() {
    let Some(mode) = std::env::var_os(VARIABLE) else { return };
    let mut out = std::io::stdout().lock();
    if mode == "first" {
        let _ = out.write_all(&now().to_ne_bytes());
    } else {
        let (mut input, mut word) = (std::io::stdin().lock(), [0; 8]);
        while input.read_exact(&mut word).is_ok() && out.write_all(&word).is_ok() {
            if out.flush().is_err() {
                break;
            }
        }
    }
    let _ = out.flush();
    std::process::exit(0);
}

/// In tests, whose `main` is not ours.
#[cfg(test)]
#[used]
#[unsafe(link_section = ".init_array")]
static HOOK: extern "C" fn() = {
    extern "C" fn hook() {
        run_if_child();
        super::peers::init();
    }
    hook
};
