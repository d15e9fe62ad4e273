//! The limits of a manager's server.

use core::time::Duration;

/// The limits of a server. Python's managers have none.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// The time that a client has to prove that it knows the key. Default: 5 s.
    pub handshake: Duration,
    /// The number of clients that are in that time at once; others are disconnected. Default: 64.
    pub handshakes: u32,
    /// The number of connections. A client has one, and one more for each thread that calls at the
    /// same time as others. Default: 1024.
    pub connections: u32,
    /// The bytes of one message. Default: 64 MiB.
    pub message: u64,
    /// The number of objects. Default: 1,000,000.
    pub objects: u64,
    /// The bytes of all stored values together, with 64 bytes for each. Default: 1 GiB.
    pub stored_bytes: u64,
    /// The number of workers of one pool. Default: 64.
    pub pool_workers: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            handshakes: 64,
            connections: 1024,
            message: 64 << 20,
            objects: 1_000_000,
            stored_bytes: 1 << 30,
            pool_workers: 64,
        }
    }
}
