//! Ends threads that do not come back to the checker: a thread runs over the end of its stack,
//! never comes back, or blocks in the system.
//!
//! All are ended from outside. A stack that overflows hits its guard page, and the handler of the
//! fault makes the coroutine return, in place of going on. For a thread that never comes back
//! another thread of the system looks four times a second whether the scheduler has had a turn; if
//! its patience has run out, or if memory runs out, it sends the model's thread a signal whose
//! handler does the same. The signal is only heeded where the thread holds no lock of the
//! allocator: in code of the program itself, and, when patience has run out, in a system call in
//! which it sleeps (a lock, a channel or a `park` of `std`, a read). There the thread first looks
//! where it is: the handler lets it call [`linux::look_around`], on top of its own stack.
//!
//! Patience is no time of the day. It is spent by the processor time that the thread uses, and by
//! the looks at which the thread sleeps. A thread that wants to run and gets no processor, because
//! the machine is busy or the process is stopped, spends nothing.

/// Why a coroutine was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Overflow,
    /// It runs on and on.
    Stuck,
    /// It sleeps in a system call.
    Blocked,
    Memory,
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use linux::{Watch, arm, disarm, place, watch};

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) use elsewhere::{Watch, arm, disarm, place, watch};

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod linux {
    use super::Cause;
    use corosensei::stack::DefaultStack;
    use corosensei::trap::CoroutineTrapHandler;
    use corosensei::{Coroutine, trap::TrapHandlerRegs};
    use std::cell::{Cell, RefCell};
    use std::ffi::{c_int, c_void};
    use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
    use std::sync::{Arc, Mutex, Once, OnceLock, Weak};
    use std::time::Duration;

    thread_local! {
        /// The coroutine that runs on this thread of the system.
        static RUNNING: Cell<Option<CoroutineTrapHandler<()>>> = const { Cell::new(None) };
        /// The watcher's record of this thread, while a coroutine runs.
        static RECORD: Cell<*const Watch> = const { Cell::new(std::ptr::null()) };
        static ENDED: Cell<Option<Cause>> = const { Cell::new(None) };
        /// Where it was.
        static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
    /// The program's own code.
    static CODE: (AtomicUsize, AtomicUsize) = (AtomicUsize::new(0), AtomicUsize::new(0));

    /// The watcher's record of a thread that explores.
    #[derive(Debug)]
    pub(crate) struct Watch {
        thread: libc::pthread_t,
        /// Its number in `/proc/self/task`.
        tid: libc::pid_t,
        /// The clock of the processor time that it uses.
        clock: Option<libc::clockid_t>,
        /// Turns of the scheduler, and steps.
        turns: AtomicU64,
        /// The turn that the watcher asks to end.
        asked: AtomicU64,
        /// Whether memory, not patience, has run out.
        full: AtomicBool,
    }

    impl Watch {
        pub(crate) fn turn(&self) {
            // Relaxed: no data is published through it. Only this thread changes it, so that its
            // handler of signals reads the newest value.
            self.turns.store(self.turns.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }

    static WATCHED: Mutex<Vec<Weak<Watch>>> = Mutex::new(Vec::new());

    /// Before a coroutine is resumed.
    pub(crate) fn arm(co: &Coroutine<(), (), (), DefaultStack>, watch: &Arc<Watch>) {
        RUNNING.set(Some(co.trap_handler()));
        RECORD.set(Arc::as_ptr(watch));
    }

    /// After it has come back: why it was ended from outside, if it was.
    pub(crate) fn disarm() -> Option<Cause> {
        RUNNING.set(None);
        RECORD.set(std::ptr::null());
        ENDED.take()
    }

    /// Where the coroutine was that was ended from outside, if that is known.
    pub(crate) fn place() -> Option<String> {
        PLACE.take()
    }

    /// Looks after the current thread of the system as long as the value lives.
    pub(crate) fn watch() -> Arc<Watch> {
        install();
        // SAFETY: no requirements.
        let (thread, tid) = unsafe { (libc::pthread_self(), libc::gettid()) };
        let mut clock = 0;
        // SAFETY: the thread is alive, and `clock` may be written.
        let found = unsafe { libc::pthread_getcpuclockid(thread, &raw mut clock) } == 0;
        let clock = found.then_some(clock);
        let watch = Arc::new(Watch {
            thread,
            tid,
            clock,
            turns: AtomicU64::new(1),
            asked: AtomicU64::new(0),
            full: AtomicBool::new(false),
        });
        let mut watched = WATCHED.lock().unwrap_or_else(|e| e.into_inner());
        watched.retain(|w| w.strong_count() > 0);
        watched.push(Arc::downgrade(&watch));
        watch
    }

    /// The time between two looks.
    const LOOK: Duration = Duration::from_millis(250);

    /// The state of a thread at a look.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Look {
        turns: u64,
        /// The processor time that the thread has used in its life.
        used: Duration,
        /// Whether the thread sleeps. One that waits for a processor, or for a page of memory, does
        /// not.
        asleep: bool,
    }

    impl Watch {
        fn look(&self) -> Look {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: `time` may be written. The clock of a thread that has ended is refused.
            let known =
                self.clock.is_some_and(|c| unsafe { libc::clock_gettime(c, &raw mut time) } == 0);
            let used = match (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) {
                (Ok(seconds), Ok(nanos)) if known => Duration::new(seconds, nanos),
                _ => Duration::ZERO,
            };
            let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", self.tid));
            // The name of the thread, in parentheses, may have anything in it.
            let asleep = stat
                .is_ok_and(|text| text.rsplit_once(") ").is_some_and(|(_, s)| s.starts_with('S')));
            Look { turns: self.turns.load(Relaxed), used, asleep }
        }
    }

    /// The patience that a thread has spent since its last turn.
    #[derive(Clone, Copy, Debug)]
    struct Spent {
        last: Look,
        spent: Duration,
    }

    impl Spent {
        fn new(first: Look) -> Spent {
            Spent { last: first, spent: Duration::ZERO }
        }

        fn add(&mut self, look: Look) {
            if look.turns == self.last.turns {
                self.spent += look.used.saturating_sub(self.last.used);
                if look.asleep && self.last.asleep {
                    self.spent += LOOK;
                }
            } else {
                self.spent = Duration::ZERO;
            }
            self.last = look;
        }
    }

    fn setting(name: &str, default: u64) -> u64 {
        std::env::var(name).ok().and_then(|t| t.parse().ok()).unwrap_or(default)
    }

    /// Bytes of memory that the process has.
    fn resident() -> u64 {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = text.split_ascii_whitespace().nth(1).and_then(|t| t.parse::<u64>().ok());
        pages.unwrap_or(0) * 4096
    }

    fn look() {
        // Under a debugger one may stand still as long as one likes: 0 turns it off.
        let patience = Duration::from_secs(setting("VERIFY_STUCK_SECONDS", 20));
        let memory = setting("VERIFY_MEMORY_MIB", 4096) << 20;
        let mut seen: Vec<(Weak<Watch>, Spent)> = Vec::new();
        loop {
            std::thread::sleep(LOOK);
            let watched: Vec<Arc<Watch>> = WATCHED
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .iter()
                .filter_map(Weak::upgrade)
                .collect();
            let full = !watched.is_empty() && resident() > memory;
            let mut now = Vec::new();
            for w in &watched {
                let look = w.look();
                // A weak reference keeps the address from another record.
                let before = seen.iter().find(|s| std::ptr::eq(s.0.as_ptr(), Arc::as_ptr(w)));
                let mut spent = before.map_or_else(|| Spent::new(look), |s| s.1);
                spent.add(look);
                now.push((Arc::downgrade(w), spent));
                let cause = if full && spent.spent >= 2 * LOOK {
                    Cause::Memory
                } else if !patience.is_zero() && spent.spent >= patience {
                    Cause::Stuck
                } else {
                    continue;
                };
                w.full.store(cause == Cause::Memory, Relaxed);
                w.asked.store(look.turns, Relaxed);
                // In the allocator it is not heeded: asked again until it is.
                for _ in 0..200 {
                    if w.turns.load(Relaxed) != look.turns {
                        break;
                    }
                    // SAFETY: the thread explores, so it is alive: it has had no turn since.
                    unsafe { libc::pthread_kill(w.thread, libc::SIGURG) };
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            seen = now;
        }
    }

    fn install() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: the callback only looks at what it is given.
            unsafe { libc::dl_iterate_phdr(Some(code_of), std::ptr::null_mut()) };
            // SAFETY: the handlers only do what a handler may: thread-locals without destructors,
            // and registers of the interrupted context.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_fault as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                let mut before: libc::sigaction = std::mem::zeroed();
                libc::sigaction(libc::SIGSEGV, &raw const action, &raw mut before);
                let _ = BEFORE.set(before);
                action.sa_sigaction = on_signal as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
                libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut());
            }
            let looker = std::thread::Builder::new().name("verify-watch".into());
            drop(looker.spawn(look));
        });
    }

    /// Notes where the code of the first object, the program itself, lies.
    unsafe extern "C" fn code_of(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        _data: *mut c_void,
    ) -> c_int {
        // SAFETY: the caller gives a valid description.
        unsafe {
            let info = &*info;
            for i in 0..usize::from(info.dlpi_phnum) {
                let header = &*info.dlpi_phdr.add(i);
                if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
                    let start = info.dlpi_addr as usize + header.p_vaddr as usize;
                    CODE.0.store(start, Relaxed);
                    CODE.1.store(start + header.p_memsz as usize, Relaxed);
                }
            }
        }
        1
    }

    /// The registers that matter: where the code is, where the stack is.
    unsafe fn registers(context: *mut c_void) -> (usize, usize) {
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: the kernel gives a valid context.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            {
                let regs = &(*context).uc_mcontext.gregs;
                (regs[libc::REG_RIP as usize] as usize, regs[libc::REG_RSP as usize] as usize)
            }
            #[cfg(target_arch = "aarch64")]
            {
                ((*context).uc_mcontext.pc as usize, (*context).uc_mcontext.sp as usize)
            }
        }
    }

    /// Lets the running coroutine return when the context is in it. Says whether it was.
    unsafe fn end(context: *mut c_void, sp: usize, cause: Cause) -> bool {
        let Some(handler) = RUNNING.get() else {
            return false;
        };
        if !handler.stack_ptr_in_bounds(sp) {
            return false;
        }
        ENDED.set(Some(cause));
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: the frames of the coroutine are given up, as in `Runtime::teardown`; it is not
        // resumed again.
        unsafe {
            let regs = handler.setup_trap_handler(|| ());
            #[cfg(target_arch = "x86_64")]
            {
                let TrapHandlerRegs { rip, rsp, rbp, rdi, rsi } = regs;
                let g = &mut (*context).uc_mcontext.gregs;
                g[libc::REG_RIP as usize] = rip as i64;
                g[libc::REG_RSP as usize] = rsp as i64;
                g[libc::REG_RBP as usize] = rbp as i64;
                g[libc::REG_RDI as usize] = rdi as i64;
                g[libc::REG_RSI as usize] = rsi as i64;
            }
            #[cfg(target_arch = "aarch64")]
            {
                let TrapHandlerRegs { pc, sp, x0, x1, x29, lr } = regs;
                let m = &mut (*context).uc_mcontext;
                (m.pc, m.sp) = (pc, sp);
                m.regs[0] = x0;
                m.regs[1] = x1;
                m.regs[29] = x29;
                m.regs[30] = lr;
            }
        }
        true
    }

    /// Returns whether the instruction at which a thread was interrupted, or the one before, is a
    /// system call: the thread sleeps in it.
    unsafe fn in_system_call(pc: usize) -> bool {
        #[cfg(target_arch = "x86_64")]
        const CODE: [u8; 2] = [0x0f, 0x05]; // syscall
        #[cfg(target_arch = "aarch64")]
        const CODE: [u8; 4] = [0x01, 0x00, 0x00, 0xd4]; // svc #0
        // SAFETY: the thread has just executed the instruction at one of both places, and code is
        // readable.
        let at = |pc: usize| unsafe {
            std::ptr::with_exposed_provenance::<[u8; CODE.len()]>(pc).read_unaligned()
        };
        at(pc) == CODE || at(pc - CODE.len()) == CODE
    }

    /// Lets the interrupted coroutine call [`look_around`] in place of going on. Says whether it
    /// can.
    #[cfg(target_arch = "x86_64")]
    unsafe fn call_look_around(context: *mut c_void, sp: usize, cause: Cause) -> bool {
        /// Room for a walk up the stack.
        const ROOM: usize = 256 << 10;
        let Some(handler) = RUNNING.get() else { return false };
        if !handler.stack_ptr_in_bounds(sp - ROOM) {
            return false;
        }
        ENDED.set(Some(cause));
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: the kernel gives a valid context. As after a call instruction, the address of
        // the interrupted instruction is on top of the stack. What lay there (the red zone of the
        // interrupted function) is not needed again: the coroutine does not go on.
        unsafe {
            let regs = &mut (*context).uc_mcontext.gregs;
            let top = sp - 8;
            let pc = regs[libc::REG_RIP as usize];
            std::ptr::with_exposed_provenance_mut::<i64>(top).write(pc);
            regs[libc::REG_RSP as usize] = top as i64;
            regs[libc::REG_RIP as usize] = verify_look_around as *const () as i64;
        }
        true
    }

    #[cfg(target_arch = "aarch64")]
    unsafe fn call_look_around(_: *mut c_void, _: usize, _: Cause) -> bool {
        false
    }

    // Aligns the stack, which may have been anywhere, and describes it for those who walk it.
    #[cfg(target_arch = "x86_64")]
    std::arch::global_asm!(
        ".hidden verify_look_around",
        ".globl verify_look_around",
        "verify_look_around:",
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "and rsp, -16",
        "cld",
        "call {look_around}",
        "ud2",
        ".cfi_endproc",
        look_around = sym look_around,
    );

    #[cfg(target_arch = "x86_64")]
    unsafe extern "C" {
        fn verify_look_around();
    }

    /// Notes where the thread of the model is, and gives it up.
    #[cfg(target_arch = "x86_64")]
    extern "C" fn look_around() -> ! {
        super::super::provenance::leave();
        let trace = std::backtrace::Backtrace::force_capture().to_string();
        PLACE.set(own_place(&trace));
        super::super::halt_current()
    }

    /// The innermost place in a backtrace that is neither in `std` nor in this crate.
    #[cfg(target_arch = "x86_64")]
    fn own_place(trace: &str) -> Option<String> {
        let foreign = ["verify::", "std::", "core::", "alloc::", "corosensei::", "syscall"];
        // With line tables only, names are without their crate.
        let is_this = |at: &str| at.contains("engine/runtime/watchdog.rs:");
        let mut skip = true;
        for line in trace.lines().map(str::trim) {
            match line.strip_prefix("at ") {
                Some(at) if !skip && !at.starts_with("/rustc/") && !is_this(at) => {
                    return Some(at.trim_start_matches("./").to_string());
                }
                Some(_) => {}
                None => {
                    let name = line.split_once(": ").map_or(line, |(_, name)| name);
                    let name = name.trim_start_matches('<');
                    skip = foreign.iter().any(|krate| name.starts_with(krate));
                }
            }
        }
        None
    }

    unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        // SAFETY: the kernel gives valid arguments.
        unsafe {
            let (_, sp) = registers(context);
            let near = (*info).si_addr().addr().abs_diff(sp) < 64 << 10;
            if near && end(context, sp, Cause::Overflow) {
                return;
            }
            // A fault of other code: the handler before this one gets it.
            match BEFORE.get() {
                Some(before)
                    if before.sa_flags & libc::SA_SIGINFO != 0 && before.sa_sigaction > 1 =>
                {
                    type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
                    let handler: Handler = std::mem::transmute(before.sa_sigaction);
                    handler(signal, info, context);
                }
                _ => {
                    let mut action: libc::sigaction = std::mem::zeroed();
                    action.sa_sigaction = libc::SIG_DFL;
                    libc::sigaction(signal, &raw const action, std::ptr::null_mut());
                }
            }
        }
    }

    unsafe extern "C" fn on_signal(
        _signal: c_int,
        _info: *mut libc::siginfo_t,
        context: *mut c_void,
    ) {
        // SAFETY: the kernel gives a valid context. The record lives while the coroutine runs.
        unsafe {
            if ENDED.get().is_some() {
                // It is on its way out.
                return;
            }
            let Some(record) = RECORD.get().as_ref() else { return };
            if record.asked.load(Relaxed) != record.turns.load(Relaxed) {
                // It has had a turn since the watcher looked.
                return;
            }
            let (pc, sp) = registers(context);
            let own = (CODE.0.load(Relaxed)..CODE.1.load(Relaxed)).contains(&pc);
            let cause = match (own, record.full.load(Relaxed)) {
                (true, true) => Cause::Memory,
                (true, false) => Cause::Stuck,
                (false, false) if in_system_call(pc) => Cause::Blocked,
                (false, _) => return,
            };
            if cause == Cause::Memory || !call_look_around(context, sp, cause) {
                end(context, sp, cause);
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod elsewhere {
    use super::Cause;
    use corosensei::Coroutine;
    use corosensei::stack::DefaultStack;

    /// A watchdog that watches nothing.
    #[derive(Debug)]
    pub(crate) struct Watch;

    impl Watch {
        pub(crate) fn turn(&self) {}
    }

    pub(crate) fn watch() -> std::sync::Arc<Watch> {
        std::sync::Arc::new(Watch)
    }

    pub(crate) fn arm(_: &Coroutine<(), (), (), DefaultStack>, _: &std::sync::Arc<Watch>) {}

    pub(crate) fn disarm() -> Option<Cause> {
        None
    }

    pub(crate) fn place() -> Option<String> {
        None
    }
}
