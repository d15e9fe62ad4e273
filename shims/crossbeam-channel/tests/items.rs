//! Every item of `crossbeam-channel` 0.5, and every method of its types, called once. The file
//! compiles with `crossbeam-channel` itself, too.

use std::error::Error;
use std::time::{Duration, Instant};

use crossbeam_channel::{
    IntoIter, Iter, ReadyTimeoutError, Receiver, RecvError, RecvTimeoutError, Select,
    SelectTimeoutError, SelectedOperation, SendError, SendTimeoutError, Sender, TryIter,
    TryReadyError, TryRecvError, TrySelectError, TrySendError, after, at, bounded, never, select,
    select_biased, tick, unbounded,
};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(60);

fn soon() -> Instant {
    Instant::now() + SHORT
}

#[test]
fn each_method_of_a_sender_and_a_receiver() {
    let (sender, receiver): (Sender<i32>, Receiver<i32>) = bounded(2);
    assert!(sender.is_empty() && receiver.is_empty() && !sender.is_full() && !receiver.is_full());
    assert_eq!((sender.capacity(), receiver.capacity()), (Some(2), Some(2)));
    sender.send(1).unwrap();
    sender.try_send(2).unwrap();
    assert_eq!((sender.len(), receiver.len()), (2, 2));
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(sender.send_timeout(3, SHORT), Err(SendTimeoutError::Timeout(3)));
    assert_eq!(sender.send_deadline(3, soon()), Err(SendTimeoutError::Timeout(3)));
    assert!(sender.same_channel(&sender.clone()) && receiver.same_channel(&receiver.clone()));
    assert_eq!((receiver.recv(), receiver.try_recv()), (Ok(1), Ok(2)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert_eq!(receiver.recv_deadline(soon()), Err(RecvTimeoutError::Timeout));
    sender.send_timeout(3, LONG).unwrap();
    sender.send_deadline(4, soon()).unwrap();
    let ended: TryIter<'_, i32> = receiver.try_iter();
    assert_eq!(ended.collect::<Vec<_>>(), [3, 4]);
    sender.send(5).unwrap();
    assert!(!format!("{sender:?}{receiver:?}").is_empty());
    drop(sender);
    let ended: Iter<'_, i32> = receiver.iter();
    assert_eq!(ended.collect::<Vec<_>>(), [5]);
    assert_eq!((&receiver).into_iter().next(), None);
    assert_eq!(receiver.recv(), Err(RecvError));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    let ended: IntoIter<i32> = receiver.into_iter();
    assert_eq!(ended.count(), 0);

    let (sender, receiver) = unbounded();
    assert_eq!((sender.capacity(), receiver.capacity()), (None, None));
    drop(receiver);
    assert_eq!(sender.send(1), Err(SendError(1)));
    assert_eq!(sender.try_send(1), Err(TrySendError::Disconnected(1)));
    assert_eq!(sender.send_timeout(1, LONG), Err(SendTimeoutError::Disconnected(1)));
}

#[test]
fn each_method_of_an_error() {
    fn shows<E: Error + Send + 'static>(error: E) -> bool {
        !error.to_string().is_empty() && !format!("{error:?}").is_empty()
    }
    assert!(shows(SendError(1)) && shows(RecvError) && shows(TrySelectError));
    assert!(shows(SelectTimeoutError));
    assert!(!format!("{TryReadyError:?}{ReadyTimeoutError:?}").is_empty());
    assert!(shows(TrySendError::Full(1)) && shows(SendTimeoutError::Timeout(1)));
    assert!(shows(TryRecvError::Empty) && shows(RecvTimeoutError::Timeout));
    assert!(TrySendError::Full(1).is_full() && TrySendError::Disconnected(1).is_disconnected());
    assert!(SendTimeoutError::Timeout(1).is_timeout());
    assert!(SendTimeoutError::Disconnected(1).is_disconnected());
    assert!(TryRecvError::Empty.is_empty() && TryRecvError::Disconnected.is_disconnected());
    assert!(RecvTimeoutError::Timeout.is_timeout());
    assert!(RecvTimeoutError::Disconnected.is_disconnected());
    assert_eq!(SendError(1).into_inner(), TrySendError::Full(1).into_inner());
    assert_eq!(SendTimeoutError::Timeout(1).into_inner(), 1);
    assert_eq!(TrySendError::from(SendError(1)), TrySendError::Disconnected(1));
    assert_eq!(SendTimeoutError::from(SendError(1)), SendTimeoutError::Disconnected(1));
    assert_eq!(TryRecvError::from(RecvError), TryRecvError::Disconnected);
    assert_eq!(RecvTimeoutError::from(RecvError), RecvTimeoutError::Disconnected);
}

#[test]
fn each_channel_of_the_clock() {
    let started = Instant::now();
    assert!(after(SHORT).recv().unwrap() >= started + SHORT);
    assert!(at(started).recv().is_ok() && tick(SHORT).recv().is_ok());
    assert!(never::<()>().try_recv().is_err());
}

#[test]
fn each_method_of_select() {
    let ((sender, receiver), (full, _items)) = (unbounded(), bounded(0));
    let mut select: Select<'_> = Select::new();
    let receives = select.recv(&receiver);
    let sends = select.send(&full);
    assert!(select.try_select().is_err() && select.select_timeout(SHORT).is_err());
    assert!(select.select_deadline(soon()).is_err() && select.try_ready().is_err());
    assert!(select.ready_timeout(SHORT).is_err() && select.ready_deadline(soon()).is_err());
    sender.send(1).unwrap();
    assert_eq!((select.ready(), select.try_ready()), (receives, Ok(receives)));
    let operation: SelectedOperation<'_> = select.select();
    assert_eq!(operation.index(), receives);
    assert_eq!(operation.recv(&receiver), Ok(1));
    sender.send(2).unwrap();
    assert_eq!(select.select_timeout(LONG).unwrap().recv(&receiver), Ok(2));
    select.remove(receives);
    drop(_items);
    let operation = select.try_select().unwrap();
    assert_eq!(operation.index(), sends);
    assert_eq!(operation.send(&full, 3), Err(SendError(3)));
    let mut biased = Select::new_biased();
    assert_eq!(biased.recv(&receiver), 0);
    assert!(Select::default().try_select().is_err());
}

#[test]
fn each_form_of_the_macros() {
    let ((sender, receiver), (other, from_other)) = (bounded(1), unbounded::<i32>());
    let chosen = select! {
        recv(receiver) -> item => item.unwrap(),
        send(sender, 5) -> sent => { sent.unwrap(); 0 }
        default => unreachable!("there is room"),
    };
    assert_eq!(chosen, 0);
    let chosen = select_biased! {
        recv(from_other) -> _ => 1,
        recv(receiver) -> item => item.unwrap(),
        default(LONG) => 3,
    };
    assert_eq!(chosen, 5);
    select! {
        recv(receiver) -> _ => unreachable!("it is empty"),
        default(SHORT) => {}
    }
    select! {
        recv(receiver) -> _ => unreachable!("it is empty"),
        recv(after(SHORT)) -> _ => {}
    }
    drop((sender, other));
    select! { recv(from_other) -> item => assert!(item.is_err()) }
}
