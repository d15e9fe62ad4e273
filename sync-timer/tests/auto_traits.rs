//! The automatic traits of every public type, beside the type of the standard library that does
//! something like it.

use core::marker::PhantomData;
use core::panic::{RefUnwindSafe, UnwindSafe};

use sync_timer::wheel::{Key, TimerWheel};
use sync_timer::{
    Cancel, CancelOnDrop, EveryError, Failure, Interval, JoinError, ManualClock, Missed, Monotonic,
    Notifier, Outcome, Pending, Periodic, Scheduler, SchedulerBuilder, ShutDown, StartError,
    Stopper, Tick, TickError, Timer, TimerHandle,
};

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

#[test]
fn automatic_traits() {
    let all = "Send Sync UnwindSafe RefUnwindSafe";
    let table = [
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
        (row!(TimerWheel<u8>), all),
        (row!(TimerWheel<core::cell::Cell<u8>>), "Send UnwindSafe"),
        (row!(TimerWheel<std::rc::Rc<u8>>), "UnwindSafe RefUnwindSafe"),
        (row!(TimerWheel<*const u8>), "UnwindSafe RefUnwindSafe"),
        (row!(Key), all),
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
    ];
    let mut wrong = 0;
    for ((name, has), expected) in table {
        println!("{name:<40} {has}");
        if has != expected {
            println!("{:<40} expected: {expected}", "");
            wrong += 1;
        }
    }
    assert_eq!(wrong, 0, "types differ from the table");
}
