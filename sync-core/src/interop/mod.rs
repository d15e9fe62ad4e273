//! The traits of other crates.

crate::primitive::const_items! {
    #[cfg(feature = "lock_api")]
    pub(crate) mod lock_api;
}
#[cfg(feature = "serde")]
mod serde;
