//! The automatic traits of every public type (sent, shared, used after a panic), next to the type
//! of std or crossbeam-channel that it stands for.

use std::cell::Cell;
use std::fmt::Write;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::sync::mpsc;

use sync_queue::channel;

#[path = "../../sync-core/tests/support/public_items.rs"]
mod public_items;

/// Whether a type has a marker trait.
macro_rules! has {
    ($T:ty, $Marker:path) => {{
        struct Probe<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code, reason = "not used by the types that have the marker")]
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Otherwise for Probe<T> {}
        #[allow(dead_code, reason = "not used by the types that lack the marker")]
        impl<T: ?Sized + $Marker> Probe<T> {
            const HAS: bool = true;
        }
        <Probe<$T>>::HAS
    }};
}

macro_rules! row {
    ($T:ty) => {{
        let has = [has!($T, Send), has!($T, Sync), has!($T, UnwindSafe), has!($T, RefUnwindSafe)];
        let letters = [['S', '-'], ['Y', '-'], ['U', '-'], ['R', '-']];
        has.into_iter()
            .zip(letters)
            .map(|(has, [yes, no])| if has { yes } else { no })
            .collect::<String>()
    }};
}

/// For items that are Send and Sync (`u8`), only Send (`Cell`), neither (`Rc`).
macro_rules! rows {
    ($table:ident, $($name:literal: $($T:ident)::+ $(<$lt:lifetime>)?),* $(,)?) => {$(
        writeln!(
            $table,
            "{:28} {} {} {}",
            $name,
            row!($($T)::+<$($lt,)? u8>),
            row!($($T)::+<$($lt,)? Cell<u8>>),
            row!($($T)::+<$($lt,)? Rc<u8>>),
        ).unwrap();
    )*};
}

const EXPECTED: &str = "\
type                         u8   Cell Rc
Queue                        SYUR SYUR --UR
LifoQueue                    SYUR SYUR --UR
PriorityQueue                SYUR SYUR --UR
SimpleQueue                  SYUR SYUR --UR
Producer                     SYUR SYUR --UR
Consumer                     SYUR SYUR --UR
TaskGuard                    SY-- S--- ----
channel::Sender              SYUR SYUR --UR
channel::Receiver            SYUR SYUR --UR
channel::WeakSender          SYUR SYUR --UR
channel::RecvFuture          S-U- S-U- --U-
channel::SendFuture          S-U- S-U- --U-
channel::Iter                SYUR SYUR --UR
channel::TryIter             SYUR SYUR --UR
channel::IntoIter            SYUR SYUR --UR
channel::SendError           SYUR S-U- --UR
channel::TrySendError        SYUR S-U- --UR
channel::SendTimeoutError    SYUR S-U- --UR
channel::SendCancelError     SYUR S-U- --UR
JobHandle                    SYUR SYUR SYUR
JobFuture                    S-UR S-UR S-UR
AsCompleted                  SYUR SYUR SYUR
Map                          SYUR SYUR SYUR
Waited                       SYUR SYUR SYUR
Unfinished                   SYUR SYUR SYUR
ShutDown                     SYUR S-U- --UR
PutError                     SYUR S-U- --UR
PutCancelError               SYUR S-U- --UR
SubmitError                  SY-- S--- ----
crossbeam Sender             SYUR SYUR --UR
crossbeam Receiver           SYUR SYUR --UR
crossbeam Iter               SYUR SYUR --UR
crossbeam TryIter            SYUR SYUR --UR
crossbeam IntoIter           SYUR SYUR --UR
crossbeam SendError          SYUR S-U- --UR
crossbeam TrySendError       SYUR S-U- --UR
std Sender                   SYUR SYUR --UR
std SyncSender               SYUR SYUR --UR
std Receiver                 S-UR S-UR --UR
channel::Select              SY--
channel::SelectedOperation   ----
crossbeam Select             SY--
crossbeam SelectedOperation  --UR
channel::RecvError           SYUR
channel::TryRecvError        SYUR
channel::RecvTimeoutError    SYUR
channel::RecvCancelError     SYUR
channel::TrySelectError      SYUR
channel::SelectTimeoutError  SYUR
channel::TryReadyError       SYUR
channel::ReadyTimeoutError   SYUR
Iter                         SYUR
TryIter                      SYUR
Iter of Rc                   --UR
TryIter of Rc                --UR
MapAhead                     SY--
MapAhead over Rc             ----
Until                        SYUR
JobStatus                    SYUR
ThreadPool                   SYUR
Builder                      SY--
Scope                        SYUR
JobError                     S---
BuildError                   SYUR
InsideWorker                 SYUR
GetError                     SYUR
GetCancelError               SYUR
TooManyDone                  SYUR
";

fn table() -> String {
    let mut table = String::from("type                         u8   Cell Rc\n");
    rows!(
        table,
        "Queue": sync_queue::Queue,
        "LifoQueue": sync_queue::LifoQueue,
        "PriorityQueue": sync_queue::PriorityQueue,
        "SimpleQueue": sync_queue::SimpleQueue,
        "Producer": sync_queue::Producer,
        "Consumer": sync_queue::Consumer,
        "TaskGuard": sync_queue::TaskGuard<'static>,
        "channel::Sender": channel::Sender,
        "channel::Receiver": channel::Receiver,
        "channel::WeakSender": channel::WeakSender,
        "channel::RecvFuture": channel::RecvFuture<'static>,
        "channel::SendFuture": channel::SendFuture<'static>,
        "channel::Iter": channel::Iter<'static>,
        "channel::TryIter": channel::TryIter<'static>,
        "channel::IntoIter": channel::IntoIter,
        "channel::SendError": channel::SendError,
        "channel::TrySendError": channel::TrySendError,
        "channel::SendTimeoutError": channel::SendTimeoutError,
        "channel::SendCancelError": channel::SendCancelError,
        "JobHandle": sync_queue::JobHandle,
        "JobFuture": sync_queue::JobFuture,
        "AsCompleted": sync_queue::AsCompleted,
        "Map": sync_queue::Map,
        "Waited": sync_queue::Waited,
        "Unfinished": sync_queue::Unfinished,
        "ShutDown": sync_queue::ShutDown,
        "PutError": sync_queue::PutError,
        "PutCancelError": sync_queue::PutCancelError,
        "SubmitError": sync_queue::SubmitError,
        "crossbeam Sender": crossbeam_channel::Sender,
        "crossbeam Receiver": crossbeam_channel::Receiver,
        "crossbeam Iter": crossbeam_channel::Iter<'static>,
        "crossbeam TryIter": crossbeam_channel::TryIter<'static>,
        "crossbeam IntoIter": crossbeam_channel::IntoIter,
        "crossbeam SendError": crossbeam_channel::SendError,
        "crossbeam TrySendError": crossbeam_channel::TrySendError,
        "std Sender": mpsc::Sender,
        "std SyncSender": mpsc::SyncSender,
        "std Receiver": mpsc::Receiver,
    );
    macro_rules! plain {
        ($($name:literal: $T:ty),* $(,)?) => {$(
            writeln!(table, "{:28} {}", $name, row!($T)).unwrap();
        )*};
    }
    plain!(
        "channel::Select": channel::Select<'static>,
        "channel::SelectedOperation": channel::SelectedOperation<'static>,
        "crossbeam Select": crossbeam_channel::Select<'static>,
        "crossbeam SelectedOperation": crossbeam_channel::SelectedOperation<'static>,
        "channel::RecvError": channel::RecvError,
        "channel::TryRecvError": channel::TryRecvError,
        "channel::RecvTimeoutError": channel::RecvTimeoutError,
        "channel::RecvCancelError": channel::RecvCancelError,
        "channel::TrySelectError": channel::TrySelectError,
        "channel::SelectTimeoutError": channel::SelectTimeoutError,
        "channel::TryReadyError": channel::TryReadyError,
        "channel::ReadyTimeoutError": channel::ReadyTimeoutError,
        "Iter": sync_queue::Iter<'static, sync_queue::Queue<u8>>,
        "TryIter": sync_queue::TryIter<'static, sync_queue::Queue<u8>>,
        "Iter of Rc": sync_queue::Iter<'static, sync_queue::Queue<Rc<u8>>>,
        "TryIter of Rc": sync_queue::TryIter<'static, sync_queue::Queue<Rc<u8>>>,
        "MapAhead": sync_queue::MapAhead<'static, std::ops::Range<u8>, fn(u8) -> u8, u8>,
        "MapAhead over Rc": sync_queue::MapAhead<'static, std::vec::IntoIter<Rc<u8>>, fn(), u8>,
        "Until": sync_queue::Until,
        "JobStatus": sync_queue::JobStatus,
        "ThreadPool": sync_queue::ThreadPool,
        "Builder": sync_queue::Builder,
        "Scope": sync_queue::Scope<'static, 'static>,
        "JobError": sync_queue::JobError,
        "BuildError": sync_queue::BuildError,
        "InsideWorker": sync_queue::InsideWorker,
        "GetError": sync_queue::GetError,
        "GetCancelError": sync_queue::GetCancelError,
        "TooManyDone": sync_queue::TooManyDone,
    );
    table
}

#[test]
fn the_markers_of_every_type_are_those_of_the_table() {
    let table = table();
    println!("{table}");
    for (line, expected) in table.lines().zip(EXPECTED.lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(table, EXPECTED);
}

#[test]
fn the_channels_have_the_markers_of_crossbeams() {
    let table = table();
    let markers = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line[28..].to_owned()
    };
    for name in ["Sender", "Receiver", "Iter", "TryIter", "IntoIter", "SendError", "TrySendError"] {
        assert_eq!(
            markers(&format!("channel::{name}")),
            markers(&format!("crossbeam {name}")),
            "{name}"
        );
    }
}

#[test]
fn every_public_type_is_in_the_table() {
    let sources =
        [("", include_str!("../src/lib.rs")), ("channel", include_str!("../src/channel/mod.rs"))];
    let table = table();
    let names: Vec<_> = table.lines().map(|line| line[..28].trim_end()).collect();
    // One is there only with the feature `futures-core`, and one in a hidden module.
    let others = ["channel::RecvStream", "channel::Case"];
    public_items::assert_complete(&sources, &names, &others);
}
