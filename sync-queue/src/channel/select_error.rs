//! The errors of a select: no case could go on.

use core::error::Error;
use core::fmt;

macro_rules! errors {
    ($($(#[doc = $doc:literal])* $Error:ident: $text:literal;)+) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $Error;

        impl fmt::Display for $Error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl Error for $Error {}
    )+};
}

errors! {
    /// No case could go on. From [`Select::try_select`](crate::channel::Select::try_select).
    TrySelectError: "no case of the select is ready";
    /// No case could go on in time. From
    /// [`Select::select_timeout`](crate::channel::Select::select_timeout).
    SelectTimeoutError: "timed out while selecting";
    /// No case could go on. From [`Select::try_ready`](crate::channel::Select::try_ready).
    TryReadyError: "no case of the select is ready";
    /// No case could go on in time. From
    /// [`Select::ready_timeout`](crate::channel::Select::ready_timeout).
    ReadyTimeoutError: "timed out while waiting for a ready case";
}
