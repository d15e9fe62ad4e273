//! The automatic traits of every public type, beside the type of the standard library that does
//! something like it.

use core::marker::PhantomData;
use core::panic::{RefUnwindSafe, UnwindSafe};

use sync_timer::wheel;
use sync_timer::{
    Calendar, Cancel, CancelOnDrop, Debounced, EveryError, Failure, Interval, JoinError,
    ManualClock, Missed, Monotonic, Notifier, Outcome, Pending, Periodic, Scheduler,
    SchedulerBuilder, ShutDown, Sleep, StartError, Stopper, Throttled, Tick, TickError, Ticks,
    TimeoutError, Timer, TimerHandle,
};

#[path = "../../sync-core/tests/support/public_items.rs"]
mod public_items;

/// Whether a type has a trait: the inherent constant is preferred, where its bound holds.
struct Probe<T: ?Sized>(PhantomData<T>);

macro_rules! probe {
    ($($lacks:ident, $constant:ident: $bound:path;)*) => {
        $(
            trait $lacks {
                const $constant: bool = false;
            }
            impl<T: ?Sized> $lacks for Probe<T> {}
            impl<T: ?Sized + $bound> Probe<T> {
                const $constant: bool = true;
            }
        )*
    };
}

probe! {
    NotSend, SEND: Send;
    NotSync, SYNC: Sync;
    NotUnwindSafe, UNWIND_SAFE: UnwindSafe;
    NotRefUnwindSafe, REF_UNWIND_SAFE: RefUnwindSafe;
}

/// One row of the table: a type and its traits, in the words of the table.
macro_rules! row {
    ($type:ty) => {{
        let traits = [
            (Probe::<$type>::SEND, "Send"),
            (Probe::<$type>::SYNC, "Sync"),
            (Probe::<$type>::UNWIND_SAFE, "UnwindSafe"),
            (Probe::<$type>::REF_UNWIND_SAFE, "RefUnwindSafe"),
        ];
        let has = traits.iter().filter(|(has, _)| *has).map(|(_, name)| *name);
        (stringify!($type), has.collect::<Vec<_>>().join(" "))
    }};
}

/// Each type, its traits, and the traits that it shall have.
fn table() -> Vec<((&'static str, String), &'static str)> {
    let all = "Send Sync UnwindSafe RefUnwindSafe";
    vec![
        (row!(Scheduler), all),
        (row!(TimerHandle), all),
        (row!(CancelOnDrop), all),
        (row!(Timer), all),
        (row!(std::thread::JoinHandle<()>), "Send Sync"),
        (row!(Interval), all),
        (row!(Stopper), all),
        (row!(ManualClock), all),
        (row!(Monotonic), all),
        (row!(Notifier), all),
        (row!(std::sync::Condvar), all),
        // It holds the user's hook and executor, of which nothing is known.
        (row!(SchedulerBuilder), "Send Sync"),
        (row!(Periodic), all),
        // A tick is a cell of its callback's.
        (row!(Tick), "Send UnwindSafe"),
        // It lends a payload, which is `Send` alone.
        (row!(Failure<'static>), ""),
        (row!(Box<dyn core::any::Any + Send>), "Send"),
        (row!(wheel::TimerWheel<u8>), all),
        (row!(wheel::TimerWheel<core::cell::Cell<u8>>), "Send UnwindSafe"),
        (row!(wheel::TimerWheel<std::rc::Rc<u8>>), "UnwindSafe RefUnwindSafe"),
        (row!(wheel::TimerWheel<*const u8>), "UnwindSafe RefUnwindSafe"),
        (row!(wheel::Key), all),
        (row!(Cancel), all),
        (row!(Pending), all),
        (row!(Missed), all),
        (row!(Outcome), all),
        (row!(TickError), all),
        (row!(JoinError), all),
        (row!(StartError), "Send Sync"),
        (row!(std::io::Error), "Send Sync"),
        (row!(ShutDown<fn()>), all),
        (row!(EveryError<fn()>), all),
        (row!(ShutDown<std::rc::Rc<u8>>), "UnwindSafe RefUnwindSafe"),
        (row!(Debounced), all),
        (row!(Throttled), all),
        (row!(Sleep), all),
        (row!(Ticks), all),
        (row!(TimeoutError), all),
        // It holds the user's clock and function, of which one thread at a time may know.
        (row!(Calendar<fn()>), "Send"),
    ]
}

#[test]
fn automatic_traits() {
    let mut wrong = 0;
    for ((name, has), expected) in table() {
        println!("{name:<40} {has}");
        if has != expected {
            println!("{:<40} expected: {expected}", "");
            wrong += 1;
        }
    }
    assert_eq!(wrong, 0, "types differ from the table");
}

#[test]
fn every_public_type_is_in_the_table() {
    let sources =
        [("", include_str!("../src/lib.rs")), ("wheel", include_str!("../src/wheel/mod.rs"))];
    let table = table();
    let names: Vec<_> =
        table.iter().map(|((name, _), _)| name.split('<').next().unwrap_or_default()).collect();
    // Two traits, and a type of the feature `cron`.
    public_items::assert_complete(&sources, &names, &["Clock", "Executor", "CronError"]);
}
