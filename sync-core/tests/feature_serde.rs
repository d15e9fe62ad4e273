//! The feature `serde`: a lock is its data.
#![cfg(feature = "serde")]

use serde::{Deserialize, Serialize};
use sync_core::{FairMutex, Mutex, OnceLock, ReentrantMutex, RwLock};

#[derive(Default, Serialize, Deserialize)]
struct Locks {
    mutex: Mutex<u8>,
    fair: FairMutex<String>,
    reentrant: ReentrantMutex<u8>,
    rwlock: RwLock<Vec<u8>>,
    once: OnceLock<u8>,
    empty: OnceLock<u8>,
}

#[test]
fn there_and_back() {
    let text = r#"{"mutex":1,"fair":"two","reentrant":3,"rwlock":[4],"once":5,"empty":null}"#;
    let locks: Locks = serde_json::from_str(text).unwrap();
    assert_eq!((*locks.mutex.lock(), &**locks.fair.lock(), *locks.reentrant.lock()), (1, "two", 3));
    assert_eq!(
        (&**locks.rwlock.read(), locks.once.get(), locks.empty.get()),
        (&[4][..], Some(&5), None)
    );
    assert_eq!(serde_json::to_string(&locks).unwrap(), text);
}
