//! Which types are sent to other threads and shared between them.

use core::marker::PhantomData;

use sync_ipc::*;

/// Plain data that must stay with its thread, as far as its author is concerned.
#[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)]
#[repr(C)]
struct Local {
    number: u32,
    stays: PhantomData<*const ()>,
}

/// Whether a type is `Send`, and `Sync`: the method of the type itself is chosen where its bound
/// holds, and the trait's where not.
struct Has<T>(PhantomData<T>);

trait HasNot {
    fn is_send(&self) -> bool {
        false
    }
    fn is_sync(&self) -> bool {
        false
    }
}

impl<T> HasNot for Has<T> {}

impl<T: Send> Has<T> {
    fn is_send(&self) -> bool {
        true
    }
}

struct HasSync<T>(PhantomData<T>);

impl<T> HasNot for HasSync<T> {}

impl<T: Sync> HasSync<T> {
    fn is_sync(&self) -> bool {
        true
    }
}

macro_rules! table {
    ($($type:ty),* $(,)?) => {
        [$((
            stringify!($type),
            Has::<$type>(PhantomData).is_send(),
            HasSync::<$type>(PhantomData).is_sync(),
        )),*]
    };
}

#[test]
fn handles_and_guards_are_sent_and_shared_but_for_those_that_a_thread_owns() {
    let both = table![
        Segment,
        TrustedSegment,
        Mutex<u64>,
        Guard<'_, u64>,
        RwLock<u64>,
        RwLockReadGuard<'_, u64>,
        RwLockWriteGuard<'_, u64>,
        ReentrantMutex<u64>,
        Semaphore,
        BoundedSemaphore,
        Permit<'_>,
        Event,
        Condvar,
        Barrier,
        Queue<u64>,
        Lease<'_, u64>,
        JoinableQueue<u64>,
        Task<'_, u64>,
        Sender<u64>,
        Receiver<u64>,
        ByteQueue,
        InPlaceQueue<u64>,
        Loan<'_, u64>,
        InPlaceLease<'_, u64>,
        Value<u64>,
        RawValue<u64>,
        Array<u64>,
        RawArray<u64>,
        SharedMemory,
        ShareableList,
        Connection,
        Listener,
        Readiness,
        Error,
        // The value is copied, so that its thread does not matter: any thread can make one of any
        // bytes.
        Mutex<Local>,
        RwLock<Local>,
        Queue<Local>,
        InPlaceQueue<Local>,
        Guard<'_, Local>,
    ];
    for (name, sent, shared) in both {
        assert!(sent && shared, "{name}: {sent} {shared}");
    }
    // A thread owns the lock.
    let neither = table![
        ReentrantGuard<'_, u64>,
        ArrayGuard<'_, u64>,
        // They lend the item itself.
        Loan<'_, Local>,
        InPlaceLease<'_, Local>,
    ];
    for (name, sent, shared) in neither {
        assert!(!sent && !shared, "{name}: {sent} {shared}");
    }
    // An item that owns its copy is where the copy may be.
    let [(_, sent, shared)] = table![Lease<'_, Local>];
    assert!(!sent && !shared);
}
