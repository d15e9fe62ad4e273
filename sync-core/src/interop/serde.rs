//! `serde`: a lock is written as its data, taken for the time of writing, and read as a free lock
//! over the data.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{FairMutex, Mutex, OnceLock, ReentrantMutex, RwLock};

macro_rules! as_the_data {
    ($($Lock:ident: $take:ident),*) => {$(
        /// Waits for the lock.
        impl<T: ?Sized + Serialize> Serialize for $Lock<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.$take().serialize(serializer)
            }
        }

        impl<'de, T: Deserialize<'de>> Deserialize<'de> for $Lock<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                T::deserialize(deserializer).map(Self::new)
            }
        }
    )*};
}

as_the_data!(Mutex: lock, FairMutex: lock, ReentrantMutex: lock, RwLock: read);

/// As the `Option` that [`get`](OnceLock::get) returns.
impl<T: Serialize> Serialize for OnceLock<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OnceLock<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or_else(Self::new, Self::from))
    }
}
