//! Handles to shared objects among the arguments and the results.

use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};
use sync_ipc::{
    Array, Barrier, BoundedSemaphore, Bytes, Condvar, Connection, Descriptor, Event, Item,
    JoinableQueue, Mutex, Process, ProcessError, Queue, RawArray, RawValue, Receiver,
    ReentrantMutex, Segment, Semaphore, Sender, ShareableList, SharedMemory, SpawnError, Value,
    pipe, queue,
};

/// One of each, nested.
#[derive(Serialize, Deserialize)]
struct Everything {
    segment: Segment,
    locks: (Mutex<u64>, ReentrantMutex<u64>),
    permits: Vec<(Semaphore, BoundedSemaphore)>,
    meeting: Option<(Event, Condvar, Barrier)>,
    queues: (Queue<u32>, JoinableQueue<u32>, Sender<u32>, Receiver<u32>),
    data: (Value<u32>, RawValue<u32>, Array<u32>, RawArray<u32>, SharedMemory, ShareableList),
    connection: Connection,
}

fn use_everything(all: Everything) -> u32 {
    assert_eq!(Mutex::<u64>::open(&all.segment, "mutex").unwrap().lock().unwrap().get(), 1);
    all.locks.0.lock().unwrap().set(10);
    all.locks.1.lock().unwrap().set(20);
    let (semaphore, bounded) = &all.permits[0];
    semaphore.try_acquire().unwrap().forget();
    bounded.try_acquire().unwrap().forget();
    let (event, condvar, barrier) = all.meeting.as_ref().unwrap();
    event.set();
    condvar.notify_all();
    assert_eq!(barrier.parties(), 2);
    barrier.wait().unwrap();
    let (fifo, joinable, sender, receiver) = &all.queues;
    fifo.put(1).unwrap();
    joinable.get().unwrap().done();
    sender.send(receiver.recv().unwrap() + 1).unwrap();
    let (value, raw, array, raw_array, memory, list) = &all.data;
    value.set(5).unwrap();
    raw.set(6);
    array.raw().set(1, 7).unwrap();
    raw_array.set(1, 8).unwrap();
    memory.write(0, b"from the child").unwrap();
    list.set(0, &Item::Int(9)).unwrap();
    all.connection.send("hello").unwrap();
    42
}
sync_ipc::entry!(use_everything);

#[test]
fn every_object_arrives_as_the_same_object() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let (ours, connection) = pipe().unwrap();
    let (to_child, from_parent) = queue::<u32>(4).unwrap();
    let (to_parent, from_child) = queue::<u32>(4).unwrap();
    let make = |name: &str| -> Everything {
        assert_eq!(name, "mutex");
        Everything {
            segment: segment.clone(),
            locks: (
                Mutex::create(&segment, name, 1).unwrap(),
                ReentrantMutex::create(&segment, "reentrant", 1).unwrap(),
            ),
            permits: vec![(
                Semaphore::create(&segment, "semaphore", 2, 2).unwrap(),
                BoundedSemaphore::create(&segment, "bounded", 2).unwrap(),
            )],
            meeting: Some((
                Event::create(&segment, "event").unwrap(),
                Condvar::create(&segment, "condvar").unwrap(),
                Barrier::create(&segment, "barrier", 2).unwrap(),
            )),
            queues: (
                Queue::create(&segment, "queue", 4).unwrap(),
                JoinableQueue::create(&segment, "joinable", 4).unwrap(),
                Sender::open(to_parent.segment()).unwrap(),
                Receiver::open(from_parent.segment()).unwrap(),
            ),
            data: (
                Value::create(&segment, "value", 0).unwrap(),
                RawValue::create(&segment, "raw", 0).unwrap(),
                Array::create(&segment, "array", &[0, 0]).unwrap(),
                RawArray::create(&segment, "raw array", &[0, 0]).unwrap(),
                SharedMemory::anonymous(100).unwrap(),
                ShareableList::create(&segment, "list", &[Item::Int(0)]).unwrap(),
            ),
            connection,
        }
    };
    let all = make("mutex");
    let (mutex, reentrant) = all.locks.clone();
    let (semaphore, bounded) = all.permits[0].clone();
    let (event, _, barrier) = all.meeting.clone().unwrap();
    let (fifo, joinable) = (all.queues.0.clone(), all.queues.1.clone());
    let data = all.data.clone();
    joinable.put(1).unwrap();
    to_child.send(3).unwrap();

    let process = Process::spawn(use_everything, all).unwrap();
    event.wait();
    barrier.wait().unwrap();
    assert_eq!(process.result().unwrap(), 42);
    assert_eq!(mutex.lock().unwrap().get(), 10);
    assert_eq!(reentrant.lock().unwrap().get(), 20);
    // The permits came back with the child's end, though it forgot to return them: `forget` gives
    // up a permit for good.
    assert_eq!((semaphore.available_permits(), bounded.available_permits()), (1, 1));
    assert_eq!(fifo.get().unwrap(), 1);
    assert!(joinable.join_timeout(crate::support::LIMIT).unwrap());
    assert_eq!(from_child.recv().unwrap(), 4);
    let (value, raw, array, raw_array, memory, list) = &data;
    assert_eq!((value.get().unwrap(), raw.get()), (5, 6));
    assert_eq!((array.raw().get(1), raw_array.get(1)), (Some(7), Some(8)));
    assert_eq!(memory.to_vec(0..14).unwrap(), b"from the child");
    assert_eq!(list.get(0).unwrap(), Item::Int(9));
    assert_eq!(ours.recv::<String>().unwrap(), "hello");
}

fn make_segment(value: u64) -> (Segment, Mutex<u64>, Descriptor) {
    let segment = Segment::anonymous(4096).unwrap();
    let mutex = Mutex::create(&segment, "mutex", value).unwrap();
    let mut file = std::fs::File::from(
        rustix::fs::memfd_create("file", rustix::fs::MemfdFlags::CLOEXEC).unwrap(),
    );
    file.write_all(b"a file of the child").unwrap();
    (segment, mutex, Descriptor::from(OwnedFd::from(file)))
}
sync_ipc::entry!(make_segment);

#[test]
fn a_result_brings_handles_of_a_process_that_has_ended() {
    let process = Process::spawn(make_segment, 7).unwrap();
    process.join().unwrap();
    let (segment, mutex, file) = process.result().unwrap();
    assert_eq!(mutex.lock().unwrap().get(), 7);
    assert_eq!(Mutex::<u64>::open(&segment, "mutex").unwrap().lock().unwrap().get(), 7);
    let mut file = std::fs::File::from(OwnedFd::from(file));
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "a file of the child");
}

#[test]
fn a_handle_is_serialised_nowhere_else() {
    let segment = Segment::anonymous(4096).unwrap();
    let error = postcard_bytes(&segment).unwrap_err();
    assert!(error.contains("serialised") || !error.is_empty());
    let (ours, _theirs) = pipe().unwrap();
    assert!(ours.send(&segment).is_err());
}

fn postcard_bytes(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

fn double(bytes: Bytes) -> Bytes {
    Bytes(bytes.0.iter().map(|byte| byte.wrapping_mul(2)).collect())
}

fn lengths(texts: Vec<String>) -> Vec<usize> {
    texts.iter().map(String::len).collect()
}
sync_ipc::entry!(double, lengths);

#[test]
fn large_arguments_and_results_arrive_though_no_process_reads_meanwhile() {
    for size in [0, 1, 65_000, 65_536, 70_000, 3 << 20] {
        let bytes: Vec<u8> = (0..size).map(|at| at as u8).collect();
        let process = Process::spawn(double, Bytes(bytes.clone())).unwrap();
        // Joined before the result is read: Python deadlocks here.
        assert_eq!(process.join().unwrap(), 0);
        let doubled = process.result().unwrap().0;
        assert!(doubled.iter().zip(&bytes).all(|(new, old)| *new == old.wrapping_mul(2)));
        assert_eq!(doubled.len(), size);
    }
    let texts: Vec<String> = (0..20_000).map(|n| "x".repeat(n % 20)).collect();
    let expected: Vec<usize> = texts.iter().map(String::len).collect();
    assert_eq!(Process::spawn(lengths, texts).unwrap().result().unwrap(), expected);
}

#[derive(Serialize, Deserialize)]
struct Unwritable(#[serde(serialize_with = "refuse")] u32);

fn refuse<S: serde::Serializer>(_: &u32, _: S) -> Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("cannot be written"))
}

#[derive(Serialize, Deserialize)]
struct Unreadable(#[serde(deserialize_with = "refuse_to_read")] u32);

fn refuse_to_read<'de, D: serde::Deserializer<'de>>(_: D) -> Result<u32, D::Error> {
    Err(serde::de::Error::custom("cannot be read"))
}

fn take_unwritable(_: Unwritable) {}
fn give_unwritable() -> Unwritable {
    Unwritable(1)
}
fn take_unreadable(_: Unreadable) {}
fn give_unreadable() -> Unreadable {
    Unreadable(1)
}
sync_ipc::entry!(take_unwritable, give_unwritable, take_unreadable, give_unreadable);

#[test]
fn what_cannot_be_serialised_is_an_error_on_either_side() {
    let error = Process::spawn(take_unwritable, Unwritable(1)).unwrap_err();
    assert!(matches!(error, SpawnError::BadArguments(_)), "{error:?}");
    let error = Process::spawn(give_unwritable, ()).unwrap().result().map(|_| ()).unwrap_err();
    assert!(matches!(error, ProcessError::BadResult(_)), "{error:?}");
    let error = Process::spawn(take_unreadable, Unreadable(1)).unwrap().result().unwrap_err();
    assert!(matches!(error, ProcessError::NotBegun(_)), "{error:?}");
    let error = Process::spawn(give_unreadable, ()).unwrap().result().map(|_| ()).unwrap_err();
    assert!(matches!(error, ProcessError::BadResult(_)), "{error:?}");
}

#[test]
fn more_descriptors_than_a_message_carries_are_refused() {
    let file = || Descriptor::from(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
    let many: Vec<Descriptor> = (0..260).map(|_| file()).collect();
    let error = Process::spawn(count_descriptors, many).unwrap_err();
    assert!(matches!(error, SpawnError::TooManyDescriptors), "{error:?}");
    let some: Vec<Descriptor> = (0..200).map(|_| file()).collect();
    assert_eq!(Process::spawn(count_descriptors, some).unwrap().result().unwrap(), 200);
}

fn count_descriptors(descriptors: Vec<Descriptor>) -> usize {
    descriptors.len()
}
sync_ipc::entry!(count_descriptors);

fn take_descriptor(_: Descriptor) {}
sync_ipc::entry!(take_descriptor);

#[test]
fn the_parent_keeps_no_copy_of_the_arguments() {
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let process = Process::spawn(take_descriptor, Descriptor::from(OwnedFd::from(theirs))).unwrap();
    // The end of the other side: no process has it any more, though the handle lives.
    ours.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    assert_eq!(std::io::Read::read(&mut ours, &mut [0]).unwrap(), 0);
    process.result().unwrap();
}

fn send_late(sender: Sender<u32>) {
    std::thread::sleep(std::time::Duration::from_millis(200));
    sender.send(7).unwrap();
}
sync_ipc::entry!(send_late);

#[test]
fn a_half_of_a_queue_counts_on_its_way_to_a_process() {
    let (sender, receiver) = queue::<u32>(1).unwrap();
    let process = Process::spawn(send_late, sender).unwrap();
    let limit = std::time::Duration::from_secs(60);
    assert_eq!(receiver.recv_timeout(limit), Ok(7));
    assert_eq!(receiver.recv_timeout(limit), Err(sync_ipc::RecvError::Disconnected));
    process.result().unwrap();
}
