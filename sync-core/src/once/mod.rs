//! Primitives that run or write once: a closure, a value that is written, a value that is made at
//! its first use.

pub(crate) mod lazy_lock;
#[allow(clippy::module_inception, reason = "a file has the name of its primitive")]
pub(crate) mod once;
pub(crate) mod once_lock;
