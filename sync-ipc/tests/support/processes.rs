//! Processes for tests: forked, stopped, killed, and stepped through one instruction at a time.
//!
//! A child is forked, without an `exec`: it is there at once, at the very code that is tested.
//! It calls nothing but the crate and `_exit`.
#![allow(unreachable_pub, reason = "each test target uses its own part of this file")]
#![allow(dead_code, reason = "each test target uses its own part of this file")]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it: no claim about speed.
pub const FOR_EVER: Duration = Duration::from_secs(240);

/// A forked child; killed and reaped when dropped.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    status: Option<i32>,
}

/// Forks a child. The result of its function is its exit code; a panic is 101.
pub fn fork(act: impl FnOnce() -> i32) -> Child {
    // SAFETY: the child runs `act` and leaves by `_exit`; glibc makes its allocator usable after a
    // fork.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", io::Error::last_os_error()),
        0 => {
            let code = catch_unwind(AssertUnwindSafe(act)).unwrap_or(101);
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
        pid => Child { pid, status: None },
    }
}

/// Runs a test in a process of its own. Tests run as threads of one process, and a child that one
/// test forks has copies of the descriptors of all other tests: a test that depends on a descriptor
/// being the last one must not run next to them.
#[track_caller]
pub fn alone(test: impl FnOnce()) {
    let code = fork(|| {
        test();
        0
    })
    .join();
    assert_eq!(code, 0, "the test failed in its own process, see above");
}

impl Child {
    pub fn pid(&self) -> i32 {
        self.pid
    }

    pub fn signal(&self, signal: i32) {
        assert!(self.status.is_none(), "the child was reaped");
        // SAFETY: our own child, not yet reaped, so the pid is still its.
        let sent = unsafe { libc::kill(self.pid, signal) };
        assert_eq!(sent, 0, "kill: {}", io::Error::last_os_error());
    }

    /// Kills and reaps.
    pub fn kill(&mut self) {
        if self.status.is_none() {
            self.signal(libc::SIGKILL);
            self.reap();
        }
    }

    fn wait_for(&mut self, flags: i32) -> i32 {
        let mut status = 0;
        loop {
            // SAFETY: a pid of ours and a place for the status.
            let got = unsafe { libc::waitpid(self.pid, &mut status, flags) };
            if got == self.pid {
                return status;
            }
            assert_eq!(
                io::Error::last_os_error().kind(),
                io::ErrorKind::Interrupted,
                "waitpid: {}",
                io::Error::last_os_error()
            );
        }
    }

    fn reap(&mut self) {
        loop {
            let status = self.wait_for(0);
            if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                self.status = Some(status);
                return;
            }
        }
    }

    /// Waits for its end and gives its exit code, or minus the signal.
    pub fn join(&mut self) -> i32 {
        let started = Instant::now();
        while self.status.is_none() {
            let mut status = 0;
            // SAFETY: as in `wait_for`.
            match unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) } {
                0 => {
                    assert!(started.elapsed() < FOR_EVER, "child {} does not end", self.pid);
                    std::thread::sleep(Duration::from_micros(200));
                }
                got if got == self.pid
                    && (libc::WIFEXITED(status) || libc::WIFSIGNALED(status)) =>
                {
                    self.status = Some(status)
                }
                _ => {}
            }
        }
        let status = self.status.expect("set by the loop");
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `done`, for conditions that another process brings about.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < FOR_EVER, "still not so after a minute: {what}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// A child that stands still between `prepare` and `act`, to be stepped through `act`.
#[derive(Debug)]
pub struct Stepped {
    pub child: Child,
    pub steps: u64,
    finished: bool,
}

/// An instruction of a run: its address, and how often it had been begun before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub address: usize,
    pub before: u32,
}

impl Stepped {
    /// Starts the child and waits until it stands at the first instruction.
    pub fn new<A>(prepare: impl FnOnce() -> A, act: impl FnOnce(&A)) -> Self {
        let mut child = fork(|| {
            let prepared = prepare();
            // SAFETY: asks our parent to trace us, which it is waiting for; a stop is how it takes
            // over.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::kill(libc::getpid(), libc::SIGSTOP);
            }
            act(&prepared);
            // SAFETY: reports that the child is through.
            unsafe { libc::kill(libc::getpid(), libc::SIGSTOP) };
            core::mem::forget(prepared);
            0
        });
        let status = child.wait_for(0);
        assert!(
            libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGSTOP,
            "child did not stop: {status:#x}"
        );
        Self { child, steps: 0, finished: false }
    }

    /// One instruction further; `false` if the child is through.
    pub fn step(&mut self) -> bool {
        self.go_on(libc::PTRACE_SINGLESTEP)
    }

    fn go_on(&mut self, how: libc::c_uint) -> bool {
        if self.finished {
            return false;
        }
        self.resume(how);
        self.stopped()
    }

    fn resume(&mut self, how: libc::c_uint) {
        // SAFETY: our own child, stopped, traced by this thread.
        let resumed = unsafe { libc::ptrace(how, self.child.pid, 0, 0) };
        assert_eq!(resumed, 0, "ptrace: {}", io::Error::last_os_error());
    }

    /// Waits until it stops; `false` if it is through.
    fn stopped(&mut self) -> bool {
        let status = self.child.wait_for(0);
        assert!(libc::WIFSTOPPED(status), "child ended by itself: {status:#x}");
        match libc::WSTOPSIG(status) {
            libc::SIGTRAP => {
                self.steps += 1;
                true
            }
            libc::SIGSTOP => {
                self.finished = true;
                false
            }
            other => panic!("child got signal {other} after {} instructions", self.steps),
        }
    }

    /// On to the next entry into or return from the kernel; `false` if the child is through.
    pub fn syscall(&mut self) -> bool {
        self.go_on(libc::PTRACE_SYSCALL)
    }

    /// `count` instructions further, or to the end.
    pub fn steps(&mut self, count: u64) -> bool {
        (0..count).all(|_| self.step())
    }

    /// Lets it run to the end of what it does, and then ends it.
    pub fn finish(&mut self) {
        assert!(!self.go_on(libc::PTRACE_CONT), "a trap that was not set");
        self.child.kill();
    }

    /// Steps to the end and returns the instructions. An instruction that repeats itself (`rep
    /// movsb`) counts once.
    pub fn trace(&mut self) -> Vec<Instruction> {
        let mut run: Vec<Instruction> = Vec::new();
        let mut seen = std::collections::HashMap::new();
        loop {
            let address = self.registers(|_| {});
            if run.last().is_none_or(|last| last.address != address) {
                let count = seen.entry(address).or_insert(0_u32);
                run.push(Instruction { address, before: *count });
                *count += 1;
            }
            if !self.step() {
                return run;
            }
        }
    }

    /// The address of the next instruction.
    pub fn address(&mut self) -> usize {
        self.registers(|_| {})
    }

    /// Runs, at full speed, until it is about to begin that instruction for that time; `false` if
    /// it never does.
    ///
    /// By a breakpoint: stepping there takes a thousand times as long, and an operation of 2,000
    /// instructions takes 2,000 of these.
    pub fn run_to(&mut self, target: Instruction) -> bool {
        for turn in 0..=target.before {
            if self.registers(|_| {}) != target.address {
                let original = self.exchange_code(target.address, BREAKPOINT);
                self.resume(libc::PTRACE_CONT);
                let hit = self.stopped();
                if hit {
                    self.exchange_code(target.address, original);
                    // The processor stands behind the breakpoint or at it.
                    self.registers(|at| *at = target.address);
                } else {
                    return false;
                }
            }
            if turn < target.before {
                // Past it, and past its repetitions.
                while self.registers(|_| {}) == target.address {
                    if !self.step() {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Where the next instruction is, after `change` may have moved it.
    fn registers(&mut self, change: impl FnOnce(&mut usize)) -> usize {
        // SAFETY: plain integers.
        let mut registers: libc::user_regs_struct = unsafe { core::mem::zeroed() };
        let mut place =
            libc::iovec { iov_base: (&raw mut registers).cast(), iov_len: size_of_val(&registers) };
        // SAFETY: our own stopped child, and a place for all of its general registers.
        let got = unsafe {
            libc::ptrace(libc::PTRACE_GETREGSET, self.child.pid, NT_PRSTATUS, &raw mut place)
        };
        assert_eq!(got, 0, "ptrace: {}", io::Error::last_os_error());
        let pointer = instruction_pointer(&mut registers);
        let mut address = *pointer as usize;
        change(&mut address);
        if address != *pointer as usize {
            *pointer = address as u64;
            // SAFETY: our own stopped child, and a place for all of its general registers.
            let set = unsafe {
                libc::ptrace(libc::PTRACE_SETREGSET, self.child.pid, NT_PRSTATUS, &raw mut place)
            };
            assert_eq!(set, 0, "ptrace: {}", io::Error::last_os_error());
        }
        address
    }

    /// Puts other code into the child's own copy of a page; gives what was there.
    fn exchange_code(&mut self, address: usize, code: Code) -> Code {
        let aligned = address & !(size_of::<libc::c_long>() - 1);
        // SAFETY: our own stopped child; glibc gives the word itself, or -1 for an address that is
        // not there, which then cannot be written to.
        let word = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.child.pid, aligned, 0) };
        let mut bytes = word.to_ne_bytes();
        let place = &mut bytes[address - aligned..][..size_of::<Code>()];
        let before = Code::from_ne_bytes((&*place).try_into().expect("as long"));
        place.copy_from_slice(&code.to_ne_bytes());
        // SAFETY: our own stopped child; the page is the child's own copy.
        let done = unsafe {
            libc::ptrace(
                libc::PTRACE_POKETEXT,
                self.child.pid,
                aligned,
                libc::c_long::from_ne_bytes(bytes),
            )
        };
        assert_eq!(done, 0, "ptrace: {}", io::Error::last_os_error());
        before
    }
}

const NT_PRSTATUS: libc::c_long = 1;

#[cfg(target_arch = "x86_64")]
mod processor {
    pub(super) type Code = u8;
    /// `int3`
    pub(super) const BREAKPOINT: Code = 0xcc;
    pub(super) fn instruction_pointer(registers: &mut libc::user_regs_struct) -> &mut u64 {
        &mut registers.rip
    }
}
#[cfg(target_arch = "aarch64")]
mod processor {
    pub(super) type Code = u32;
    /// `brk #0`
    pub(super) const BREAKPOINT: Code = 0xd420_0000;
    pub(super) fn instruction_pointer(registers: &mut libc::user_regs_struct) -> &mut u64 {
        &mut registers.pc
    }
}
use processor::{BREAKPOINT, Code, instruction_pointer};
