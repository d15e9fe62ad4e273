//! The thread module.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use sync_core::thread::{
    self, Builder, Group, JoinError, JoinHandle, ShutDown, SpawnError, Thread,
};
use sync_core::{Barrier, Event};

use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

/// A thread that lives until the event is set.
fn until_set(event: &Arc<Event>) -> JoinHandle<()> {
    let event = Arc::clone(event);
    thread::spawn(move || event.wait()).unwrap()
}

#[test]
fn handles_go_where_the_result_may_be_shared() {
    fn everywhere<T: Send + Sync>() {}
    everywhere::<JoinHandle<String>>();
    everywhere::<Thread>();
    everywhere::<Group>();
    // A result that may be sent and not shared can be had all the same.
    let handle = thread::spawn(|| std::cell::Cell::new(3)).unwrap();
    assert_eq!(handle.join().unwrap().get(), 3);
}

#[test]
fn idents_and_states_also_with_other_stacks() {
    let _watch = watch();
    for stack in [0, 256 * 1024, 1024 * 1024] {
        let all_here = Arc::new(Barrier::new(10));
        let threads: Vec<_> = (0..10)
            .map(|_| {
                let all_here = Arc::clone(&all_here);
                let body = move || {
                    all_here.wait().unwrap();
                    (thread::current().ident(), thread::native_id())
                };
                Builder::new().stack_size(stack).spawn(body).unwrap()
            })
            .collect();
        let (mut idents, mut natives) = (BTreeSet::new(), BTreeSet::new());
        for thread in &threads {
            let &(ident, native) = thread.join().unwrap();
            assert_eq!((thread.ident(), thread.native_id()), (ident, Some(native)));
            assert!(!thread.is_alive());
            assert!(format!("{thread:?}").contains("stopped"));
            idents.insert(ident);
            natives.insert(native);
        }
        assert_eq!((idents.len(), natives.len()), (10, 10));
    }
}

#[test]
fn current_in_a_thread_that_was_not_started_here() {
    let here = thread::current();
    assert_eq!(here, thread::current());
    let there = std::thread::spawn(|| thread::current().ident()).join().unwrap();
    assert_ne!(here.ident(), there);
}

#[test]
fn a_foreign_thread_is_registered_while_it_runs() {
    let (send, receive) = mpsc::channel();
    let foreign = std::thread::spawn(move || {
        let me = thread::current();
        assert!(thread::enumerate().contains(&me));
        send.send(me).unwrap();
    });
    let record = receive.recv().unwrap();
    assert!(record.name().starts_with("Dummy-"));
    foreign.join().unwrap();
    assert!(!record.is_alive());
    assert!(!thread::enumerate().contains(&record));
}

// With 32 bits no size is refused for certain.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_thread_that_the_system_refuses() {
    let (ran, refused) = (Arc::new(AtomicU32::new(0)), 1_usize << (usize::BITS - 4));
    let theirs = Arc::clone(&ran);
    let error = Builder::new()
        .name("limbo")
        .stack_size(refused)
        .spawn(move || theirs.fetch_add(1, Ordering::Relaxed))
        .unwrap_err();
    assert!(matches!(error, SpawnError::System(_)), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert!(thread::enumerate().iter().all(|thread| &*thread.name() != "limbo"));
    assert_eq!(Arc::strong_count(&ran), 1, "the body is dropped");
    // In a group it is not waited for.
    let group = Group::new();
    assert!(Builder::new().stack_size(refused).spawn_in(&group.handle(), || ()).is_err());
}

/// A thread that the system refuses is in the registry for a moment: what it is asked there is
/// answered at once.
// With 32 bits no size is refused for certain.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_number_of_a_thread_that_never_starts_is_not_waited_for() {
    let _watch = watch();
    let over = Arc::new(AtomicU32::new(0));
    let theirs = Arc::clone(&over);
    let asks = thread::spawn(move || {
        while theirs.load(Ordering::Relaxed) == 0 {
            for known in thread::enumerate() {
                let numbers = (known.ident(), known.native_id());
                assert!(&*known.name() != "refused" || numbers == (None, None));
            }
        }
    });
    for _ in 0..300 {
        let refused =
            Builder::new().name("refused").stack_size(1 << (usize::BITS - 4)).spawn(|| ());
        assert!(matches!(refused, Err(SpawnError::System(_))));
    }
    over.store(1, Ordering::Relaxed);
    assert!(asks.unwrap().join().is_ok());
}

#[test]
fn a_group_waits_for_its_threads() {
    let _watch = watch();
    let done = Arc::new(AtomicU32::new(0));
    let theirs = Arc::clone(&done);
    let group = Group::new();
    let _handle = group.spawn(move || {
        std::thread::sleep(SHORT);
        theirs.fetch_add(1, Ordering::Relaxed);
    });
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _group = group;
        panic!("with threads in the group");
    }));
    assert!(panicked.is_err());
    assert_eq!(done.load(Ordering::Relaxed), 1);
}

#[test]
fn joined_by_many() {
    let _watch = watch();
    for joiners in 2..20 {
        let gate = Arc::new(Event::new());
        let thread = until_set(&gate);
        std::thread::scope(|scope| {
            for _ in 0..joiners {
                let thread = thread.clone();
                scope.spawn(move || assert!(thread.join().is_ok()));
            }
            gate.set();
        });
    }
}

#[test]
fn join_with_a_timeout() {
    let _watch = watch();
    let gate = Arc::new(Event::new());
    let thread = until_set(&gate);
    assert_eq!(thread.join_timeout(SHORT), Err(JoinError::TimedOut));
    assert_eq!(thread.join_deadline(std::time::Instant::now()), Err(JoinError::TimedOut));
    assert_eq!(thread.try_join(), Err(JoinError::TimedOut));
    assert!(thread.is_alive());
    let thread = thread.into_result().unwrap_err();
    gate.set();
    assert_eq!(thread.join_timeout(Duration::MAX), Ok(&()));
    assert!(!thread.is_alive());
    assert_eq!(thread.try_join(), Ok(&()));
}

#[test]
fn the_body_is_dropped_when_it_ends() {
    let argument = Arc::new(());
    for panics in [false, true] {
        let theirs = Arc::clone(&argument);
        let thread = thread::spawn(move || {
            let _theirs = theirs;
            assert!(!panics, "on purpose");
        });
        let thread = thread.unwrap();
        assert_eq!(thread.join().is_err(), panics);
        assert_eq!(Arc::strong_count(&argument), 1);
    }
}

#[test]
fn debug_says_daemon_and_stopped() {
    let _watch = watch();
    let gate = Arc::new(Event::new());
    let theirs = Arc::clone(&gate);
    let thread = Builder::new().name("d").daemon(true).spawn(move || theirs.wait()).unwrap();
    assert_eq!(
        format!("{thread:?}"),
        "JoinHandle(Thread { name: \"d\", state: started, daemon: true })"
    );
    gate.set();
    while thread.is_alive() {
        std::thread::yield_now();
    }
    assert_eq!(
        format!("{:?}", thread.thread()),
        "Thread { name: \"d\", state: stopped, daemon: true }"
    );
    assert!(!format!("{:?}", thread::main_thread()).contains("daemon"));
}

#[test]
fn and_the_daemon_flag_is_inherited_unless_said() {
    let child = |parent: bool, said: Option<bool>| {
        let parent = Builder::new().daemon(parent).spawn(move || {
            let builder = said.map_or(Builder::new(), |daemon| Builder::new().daemon(daemon));
            builder.spawn(|| thread::current().is_daemon()).unwrap().join().cloned()
        });
        parent.unwrap().join().unwrap().clone().unwrap()
    };
    assert!(!thread::main_thread().is_daemon());
    for parent in [false, true] {
        assert_eq!(child(parent, None), parent);
        assert!(child(parent, Some(true)));
        assert!(!child(parent, Some(false)));
    }
}

#[test]
fn the_main_thread() {
    let main = thread::main_thread();
    assert_eq!(&*main.name(), "MainThread");
    assert!(main.is_alive());
    assert_eq!(main, thread::main_thread());
    // The test runner's threads are not the main thread.
    assert_ne!(thread::current(), main);
    assert!(thread::enumerate().contains(&main));
}

#[test]
fn a_thread_that_is_never_joined_leaves_nothing() {
    let _watch = watch();
    let kept = Arc::new(());
    let theirs = Arc::clone(&kept);
    let (record, gate) = {
        let gate = Arc::new(Event::new());
        let inside = Arc::clone(&gate);
        let handle = thread::spawn(move || {
            inside.wait();
            theirs
        });
        (handle.unwrap().thread().clone(), gate)
    };
    gate.set();
    while record.is_alive() {
        std::thread::yield_now();
    }
    assert_eq!(Arc::strong_count(&kept), 1, "the result went with the last handle and the thread");
    assert!(!thread::enumerate().contains(&record));
}

#[test]
fn callbacks_once_before_joining_and_nothing_afterwards() {
    let _watch = watch();
    let order = Arc::new(Mutex::new(Vec::new()));
    let stop = Arc::new(Event::new());
    let group = Group::new();
    let handle = group.handle();
    let (said, waits) = (Arc::clone(&order), Arc::clone(&stop));
    group
        .spawn(move || {
            waits.wait();
            said.lock().unwrap().push("member");
        })
        .unwrap();
    for name in ["first", "second"] {
        let (said, stop, inside) = (Arc::clone(&order), Arc::clone(&stop), handle.clone());
        let callback = move || {
            said.lock().unwrap().push(name);
            assert_eq!(inside.at_exit(|| ()), Err(ShutDown), "registering has ended");
            if name == "first" {
                // The last to be called: it lets the member end.
                stop.set();
            }
        };
        handle.at_exit(callback).unwrap();
    }
    group.join();
    assert_eq!(*order.lock().unwrap(), ["second", "first", "member"]);
    let ran = Arc::new(AtomicU32::new(0));
    let theirs = Arc::clone(&ran);
    assert!(matches!(
        handle.spawn(move || theirs.fetch_add(1, Ordering::Relaxed)),
        Err(SpawnError::ShutDown)
    ));
    assert_eq!((ran.load(Ordering::Relaxed), Arc::strong_count(&ran)), (0, 1));
}

#[test]
fn a_thread_started_by_a_member_is_waited_for_and_a_daemon_is_not() {
    let _watch = watch();
    let done = Arc::new(AtomicU32::new(0));
    let never = Arc::new(Event::new());
    let group = Group::new();
    let (inside, theirs) = (group.handle(), Arc::clone(&done));
    group
        .spawn(move || {
            std::thread::sleep(SHORT);
            let late = move || {
                std::thread::sleep(SHORT);
                theirs.fetch_add(1, Ordering::Relaxed);
            };
            inside.spawn(late).unwrap();
        })
        .unwrap();
    let waits = Arc::clone(&never);
    let daemon =
        Builder::new().daemon(true).spawn_in(&group.handle(), move || waits.wait()).unwrap();
    drop(group);
    assert_eq!(done.load(Ordering::Relaxed), 1);
    assert!(daemon.is_alive());
    never.set();
    daemon.join().unwrap();
}

#[test]
fn joining_the_current_thread() {
    let _watch = watch();
    let myself = Arc::new(OnceLock::<JoinHandle<()>>::new());
    let ready = Arc::new(Event::new());
    let (mine, waits) = (Arc::clone(&myself), Arc::clone(&ready));
    let thread = thread::spawn(move || {
        waits.wait();
        let me = mine.get().unwrap();
        assert_eq!(me.join(), Err(JoinError::CurrentThread));
        assert_eq!(me.try_join(), Err(JoinError::CurrentThread));
        assert_eq!(me.join_timeout(Duration::MAX), Err(JoinError::CurrentThread));
    });
    let thread = thread.unwrap();
    myself.set(thread.clone()).unwrap();
    // th_47: another is blocked in a join of it meanwhile.
    let joins = std::thread::spawn({
        let thread = thread.clone();
        move || thread.join().cloned()
    });
    std::thread::sleep(SHORT);
    ready.set();
    assert_eq!(thread.join(), Ok(&()));
    assert_eq!(joins.join().unwrap(), Ok(()));
}

/// The hook is one for the whole process: tests that set it take turns, and look at their own
/// threads only.
static HOOK: Mutex<()> = Mutex::new(());

#[test]
fn a_panic_ends_its_thread_only_and_every_joiner_learns_of_it() {
    let thread = Builder::new()
        .name("panics")
        .spawn(|| -> u32 { panic!("number {}", std::hint::black_box(7)) })
        .unwrap();
    let other = thread.clone();
    let expected = Err(JoinError::Panicked("number 7".into()));
    assert_eq!(thread.join(), expected);
    assert_eq!(other.join(), expected);
    let payload = thread.take_panic().expect("the payload is for the first who asks");
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "number 7");
    assert!(other.take_panic().is_none());
    let odd = thread::spawn(|| std::panic::panic_any(7_u8)).unwrap();
    assert!(matches!(odd.join(), Err(JoinError::Panicked(_))));
    assert_eq!(*odd.into_result().unwrap().unwrap_err().downcast::<u8>().unwrap(), 7);
}

#[test]
fn the_hook() {
    let _turn = HOOK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&heard);
    thread::set_panic_hook(move |report| {
        if &*report.thread().name() == "reported" {
            assert_eq!(report.thread(), &thread::current());
            assert!(report.payload().is::<&str>());
            notes.lock().unwrap().push(report.message().to_owned());
            panic!("the hook itself");
        }
    });
    let panics = |text: &'static str| {
        Builder::new().name("reported").spawn(move || std::panic::panic_any(text)).unwrap()
    };
    let expected = Err(JoinError::Panicked("one".into()));
    assert_eq!(panics("one").join().map(|_: &()| ()), expected, "a hook that fails harms no other");
    assert!(thread::take_panic_hook());
    assert!(!thread::take_panic_hook());
    assert!(panics("two").join().map(|_: &()| ()).is_err());
    assert_eq!(*heard.lock().unwrap(), ["one"]);
}

#[test]
#[cfg(target_os = "linux")]
fn the_systems_name() {
    fn shown() -> Vec<u8> {
        let mut name =
            std::fs::read(format!("/proc/self/task/{}/comm", thread::native_id())).unwrap();
        name.pop();
        name
    }
    let cases: [(&str, &[u8]); 5] = [
        ("short", b"short"),
        ("exactly fifteen", b"exactly fifteen"),
        ("much longer than that", b"much longer tha"),
        ("cut\0here", b"cut"),
        // Fifteen bytes end in the middle of a letter.
        ("12345678901234\u{e9}", b"12345678901234\xc3"),
    ];
    for (name, expected) in cases {
        let named = Builder::new().name(name).spawn(shown).unwrap();
        assert_eq!(
            String::from_utf8_lossy(named.join().unwrap()),
            String::from_utf8_lossy(expected)
        );
        assert_eq!(&*named.name(), name, "we keep all of it");
        let renamed = thread::spawn(move || {
            thread::current().set_name(name);
            shown()
        });
        assert_eq!(renamed.unwrap().join().unwrap(), expected);
    }
}

#[test]
fn stack_sizes() {
    for size in [1, 123, Builder::MIN_STACK_SIZE - 1, usize::MAX] {
        let error = Builder::new().stack_size(size).spawn(|| ()).unwrap_err();
        assert!(matches!(error, SpawnError::StackSize(refused) if refused == size), "{error}");
    }
    for size in [0, Builder::MIN_STACK_SIZE * 4, 4096 * 256 + 1] {
        assert_eq!(Builder::new().stack_size(size).spawn(|| 1).unwrap().join(), Ok(&1));
    }
    let deep =
        Builder::new().stack_size(64 << 20).spawn(|| std::hint::black_box([1_u8; 4 << 20])[7]);
    assert_eq!(deep.unwrap().join(), Ok(&1));
}

#[test]
fn a_thread_is_counted_while_it_runs() {
    let _watch = watch();
    let gate = Arc::new(Event::new());
    let thread = until_set(&gate);
    assert!(thread::enumerate().contains(&thread));
    // Other tests start threads at the same time: the count is what the list says, and more than
    // one.
    assert!(thread::active_count() >= 2);
    gate.set();
    thread.join().unwrap();
    assert!(!thread::enumerate().contains(&thread));
}

#[test]
fn join_any_number_of_times() {
    let thread = thread::spawn(|| thread::current().ident()).unwrap();
    for _ in 0..3 {
        assert_eq!(thread.join(), Ok(&thread.ident()));
    }
    let other = thread.clone();
    let thread = thread.into_result().unwrap_err();
    drop(other);
    assert!(thread.into_result().unwrap().is_ok(), "the last handle has the result itself");
}

#[test]
fn alive_from_the_start() {
    let gate = Arc::new(Event::new());
    let thread = until_set(&gate);
    assert!(thread.is_alive());
    // Its numbers are known once it has begun, and asking never waits.
    while thread.native_id().is_none() {
        std::thread::yield_now();
    }
    gate.set();
}

#[test]
fn everything_it_wrote_is_seen() {
    let cell = Arc::new(AtomicU32::new(0));
    let theirs = Arc::clone(&cell);
    let thread = thread::spawn(move || theirs.store(1, Ordering::Relaxed)).unwrap();
    thread.join().unwrap();
    assert_eq!(cell.load(Ordering::Relaxed), 1);
}

#[test]
fn used_while_thread_locals_are_destroyed() {
    struct Last(Arc<AtomicU32>);
    impl Drop for Last {
        fn drop(&mut self) {
            let me = thread::current();
            assert_eq!(me.ident(), me.ident());
            let lock = sync_core::Mutex::new(1);
            self.0.fetch_add(*lock.lock(), Ordering::Relaxed);
        }
    }
    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }
    let dropped = Arc::new(AtomicU32::new(0));
    for ask_first in [false, true] {
        let theirs = Arc::clone(&dropped);
        let foreign = std::thread::spawn(move || {
            if ask_first {
                let _ = thread::current();
            }
            LAST.set(Some(Last(theirs)));
            if !ask_first {
                let _ = thread::current();
            }
        });
        foreign.join().unwrap();
    }
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

#[test]
fn a_result_whose_drop_panics_keeps_no_thread_waiting() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped on purpose");
        }
    }
    let _watch = watch();
    let gate = Arc::new(Event::new());
    let inside = Arc::clone(&gate);
    let record = thread::spawn(move || {
        inside.wait();
        Bomb
    });
    let record = record.unwrap().thread().clone();
    gate.set();
    while record.is_alive() {
        std::thread::yield_now();
    }
}

/// A child process that runs one test of this file with `variable` set; its exit status and what it
/// printed on both streams.
fn in_a_process(test: &str, variable: &str) -> std::process::Output {
    let this = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new(this);
    command
        .args(["--exact", &format!("thread::{test}"), "--nocapture", "--test-threads=1"])
        .env(variable, "1");
    command.output().unwrap()
}

#[test]
fn thread_locals_are_there_until_the_thread_is_over() {
    struct Reads(mpsc::Sender<(u64, bool)>);
    thread_local! {
        static VALUE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
        static LAST: RefCell<Option<Reads>> = const { RefCell::new(None) };
    }
    impl Drop for Reads {
        fn drop(&mut self) {
            self.0.send((VALUE.get(), thread::current().is_alive())).unwrap();
        }
    }
    let (sender, receiver) = mpsc::channel();
    let body = move || {
        VALUE.set(7);
        LAST.set(Some(Reads(sender)));
    };
    thread::spawn(body).unwrap().join().unwrap();
    // The thread's result is there before its thread-locals are destroyed, so it counts as over by
    // then.
    assert_eq!(receiver.recv().unwrap().0, 7);
}

#[test]
fn a_daemon_can_be_joined_for_a_while_and_after_its_end() {
    let _watch = watch();
    let gate = Arc::new(Event::new());
    let inside = Arc::clone(&gate);
    let daemon = Builder::new().daemon(true).spawn(move || inside.wait()).unwrap();
    assert_eq!(daemon.join_timeout(SHORT), Err(JoinError::TimedOut), "an error instead of a hang");
    gate.set();
    assert_eq!(daemon.join(), Ok(&()));
    assert_eq!(daemon.join(), Ok(&()));
}

#[test]
fn daemons_at_work_when_the_process_ends() {
    if std::env::var_os("TH_27").is_some() {
        let gate = Arc::new(Barrier::new(41));
        for _ in 0..40 {
            let gate = Arc::clone(&gate);
            let writes = move || {
                gate.wait().unwrap();
                let mut sink = std::fs::File::create("/dev/null").unwrap();
                loop {
                    std::io::Write::write_all(&mut sink, b"still at it").unwrap();
                }
            };
            Builder::new().daemon(true).spawn(writes).unwrap();
        }
        gate.wait().unwrap();
        std::process::exit(0);
    }
    if cfg!(unix) {
        let child = in_a_process("daemons_at_work_when_the_process_ends", "TH_27");
        assert!(child.status.success(), "{child:?}");
        assert!(child.stderr.is_empty(), "{}", String::from_utf8_lossy(&child.stderr));
    }
}

/// `spawn` consumes the builder; that there is no second time is shown by a `compile_fail` example
/// of [`Builder::spawn`].
#[test]
fn a_builder_starts_once() {
    fn start(builder: Builder, body: fn() -> u8) -> Result<JoinHandle<u8>, SpawnError> {
        builder.spawn(body)
    }
    let builder = Builder::new().name("twice");
    let again = builder.clone();
    let first = start(builder, || 1).unwrap();
    // A clone of a builder is another thread, and the first is unaffected.
    let second = start(again, || 2).unwrap();
    assert_eq!((first.join(), second.join()), (Ok(&1), Ok(&2)));
    assert_ne!(first.ident(), second.ident());
}

/// There is no handle of a thread that was not started: `spawn` is what returns one.
#[test]
fn a_handle_is_of_a_started_thread() {
    let handle: Result<JoinHandle<()>, SpawnError> = Builder::new().spawn(|| ());
    let handle = handle.unwrap();
    assert_eq!(handle.join(), Ok(&()));
    assert!(handle.ident().is_some() && handle.native_id().is_some());
    // One that could not be started has no handle either.
    assert!(Builder::new().stack_size(1).spawn(|| ()).is_err());
}

/// A stack that overflows ends the process, as Rust's own threads do; what there is instead of an
/// error is the size of the stack.
#[test]
fn a_deep_recursion_needs_a_large_stack() {
    fn deep(levels: u32) -> u32 {
        let frame = std::hint::black_box([1_u8; 1024]);
        if levels == 0 { 0 } else { deep(levels - 1) + u32::from(frame[levels as usize % 1024]) }
    }
    let enough = Builder::new().stack_size(256 << 20).spawn(|| deep(20_000)).unwrap();
    assert_eq!(enough.join(), Ok(&20_000));
    if std::env::var_os("TH_34").is_some() {
        let _ = Builder::new()
            .stack_size(Builder::MIN_STACK_SIZE * 4)
            .spawn(|| deep(20_000))
            .unwrap()
            .join();
        return;
    }
    if cfg!(target_os = "linux") {
        let child = in_a_process("a_deep_recursion_needs_a_large_stack", "TH_34");
        assert!(!child.status.success());
        assert!(
            String::from_utf8_lossy(&child.stderr).contains("overflowed its stack"),
            "{child:?}"
        );
    }
}

#[test]
fn a_callback_runs_once_and_none_can_come_too_late() {
    let _watch = watch();
    let ran = Arc::new(AtomicU32::new(0));
    let group = Group::new();
    let handle = group.handle();
    let count = Arc::clone(&ran);
    handle
        .at_exit(move || {
            count.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
    group.join();
    let count = Arc::clone(&ran);
    assert_eq!(
        handle.at_exit(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }),
        Err(ShutDown)
    );
    assert_eq!((ran.load(Ordering::SeqCst), Arc::strong_count(&ran)), (1, 1), "and it is dropped");
}

#[test]
fn a_panic_is_reported_with_its_thread() {
    let _turn = HOOK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&heard);
    thread::set_panic_hook(move |report| {
        if &*report.thread().name() == "th_45" {
            notes.lock().unwrap().push((report.thread().ident(), report.message().to_owned()));
        }
    });
    let fails = Builder::new().name("th_45").spawn(|| panic!("what went wrong")).unwrap();
    assert!(fails.join().map(|_: &()| ()).is_err());
    thread::take_panic_hook();
    assert_eq!(*heard.lock().unwrap(), [(fails.ident(), "what went wrong".to_owned())]);
}

#[test]
fn a_self_join_is_told_while_another_joins_it() {
    let _watch = watch();
    let joined = Arc::new(OnceLock::<JoinHandle<()>>::new());
    let (mine, joins_me) = (Arc::clone(&joined), Arc::new(Event::new()));
    let waits = Arc::clone(&joins_me);
    let t1 = thread::spawn(move || {
        waits.wait();
        let me = loop {
            if let Some(me) = mine.get() {
                break me;
            }
            std::thread::yield_now();
        };
        assert_eq!(me.join(), Err(JoinError::CurrentThread));
    })
    .unwrap();
    joined.set(t1.clone()).unwrap();
    let theirs = t1.clone();
    let t0 = thread::spawn(move || {
        joins_me.set();
        theirs.join().cloned()
    })
    .unwrap();
    assert_eq!(t0.join(), Ok(&Ok(())), "the thread that had joined it gets its result");
    assert_eq!(t1.join(), Ok(&()));
    drop(Arc::try_unwrap(joined).map(drop));
}

#[test]
fn a_daemon_starts_daemons() {
    let parent = Builder::new()
        .daemon(true)
        .spawn(|| thread::spawn(|| thread::current().is_daemon()).unwrap().join().cloned());
    assert_eq!(parent.unwrap().join(), Ok(&Ok(true)));
}

#[test]
fn a_join_says_whether_the_time_was_up() {
    let _watch = watch();
    let gate = Arc::new(Event::new());
    let thread = until_set(&gate);
    assert_eq!((thread.join_timeout(SHORT), thread.is_alive()), (Err(JoinError::TimedOut), true));
    gate.set();
    assert_eq!(thread.join_timeout(Duration::from_secs(3600)), Ok(&()));
    assert!(!thread.is_alive());
}

/// Only joining oneself is noticed: two threads that join each other wait as long as they said.
#[test]
fn two_that_join_each_other_are_not_noticed() {
    let _watch = watch();
    let handles = Arc::new([const { OnceLock::<JoinHandle<bool>>::new() }; 2]);
    let ready = Arc::new(Event::new());
    for me in 0..2 {
        let (handles_of_both, waits) = (Arc::clone(&handles), Arc::clone(&ready));
        let body = move || {
            waits.wait();
            let met = handles_of_both[1 - me].get().unwrap().join_timeout(SHORT);
            met == Err(JoinError::TimedOut)
        };
        handles[me].set(thread::spawn(body).unwrap()).unwrap();
    }
    ready.set();
    let gave_up = [0, 1].map(|at| *handles[at].get().unwrap().join().unwrap());
    assert!(gave_up.contains(&true), "the first to give up found the other waiting for it");
}
