//! Keeps the stacks of loom's threads for the next execution.
//!
//! Loom runs each thread of a model on a stack of its own, which the `generator` crate maps and
//! protects before each execution and unmaps after it: six system calls and five page faults in an
//! execution of two threads, four fifths of the processor time of a small model. `generator` has no
//! setting for this. It calls the C library's `mmap`, `mprotect` and `munmap` by name, so this
//! program defines functions of these names: a stack that is unmapped is put aside, still mapped
//! and with its guard page, and the next call for a stack of its size returns it. Every other call
//! goes to the kernel. The C library's own mappings (allocations, the stacks of threads) do not
//! pass through here, because it does not call its own functions by their exported names.
//!
//! A stack that is reused is not zeroed. `generator` requires nothing of its contents.

use core::ffi::{c_int, c_long, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A stack that was mapped here.
#[derive(Clone, Copy)]
struct Stack {
    bottom: usize,
    bytes: usize,
    /// Bytes at the bottom that are protected.
    guard: usize,
    in_use: bool,
}

const UNMAPPED: Stack = Stack { bottom: 0, bytes: 0, guard: 0, in_use: false };

/// More than the test threads need: each has up to five stacks in use. A stack that finds no room
/// here is mapped and unmapped as if this file were not there.
static STACKS: Mutex<[Stack; 256]> = Mutex::new([UNMAPPED; 256]);

fn stacks() -> MutexGuard<'static, [Stack; 256]> {
    STACKS.lock().unwrap_or_else(PoisonError::into_inner)
}

const STACK_FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;

/// Maps memory: a stack that was put aside, or what the kernel returns.
///
/// # Safety
/// As mmap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    address: *mut c_void,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    let is_stack = address.is_null() && flags == STACK_FLAGS;
    if is_stack {
        let mut stacks = stacks();
        if let Some(stack) = stacks.iter_mut().find(|s| s.bytes == bytes && !s.in_use) {
            stack.in_use = true;
            return core::ptr::with_exposed_provenance_mut(stack.bottom);
        }
    }
    // SAFETY: as the caller promises.
    let mapped = unsafe {
        libc::syscall(libc::SYS_mmap, address, bytes, protection, flags, file as c_long, offset)
    };
    if is_stack && mapped != -1 {
        let mut stacks = stacks();
        if let Some(free) = stacks.iter_mut().find(|s| s.bytes == 0) {
            *free = Stack { bottom: mapped as usize, bytes, guard: 0, in_use: true };
        }
    }
    core::ptr::with_exposed_provenance_mut(mapped as usize)
}

/// Protects memory, unless it is the guard page of a stack that has it already.
///
/// # Safety
/// As mprotect(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mprotect(address: *mut c_void, bytes: usize, protection: c_int) -> c_int {
    if protection == libc::PROT_NONE {
        let mut stacks = stacks();
        if let Some(stack) = stacks.iter_mut().find(|s| s.in_use && s.bottom == address.addr()) {
            if stack.guard == bytes {
                return 0;
            }
            stack.guard = bytes;
        }
    }
    // SAFETY: as the caller promises.
    unsafe { libc::syscall(libc::SYS_mprotect, address, bytes, protection) as c_int }
}

/// Unmaps memory; a stack of ours is put aside.
///
/// # Safety
/// As munmap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn munmap(address: *mut c_void, bytes: usize) -> c_int {
    let mut stacks = stacks();
    let ours = |s: &&mut Stack| s.in_use && s.bottom == address.addr() && s.bytes == bytes;
    if let Some(stack) = stacks.iter_mut().find(ours) {
        stack.in_use = false;
        return 0;
    }
    drop(stacks);
    // SAFETY: as the caller promises.
    unsafe { libc::syscall(libc::SYS_munmap, address, bytes) as c_int }
}
