//! `handle!` and `argument!`: the traits that the handles to objects in a segment share.

/// Makes a handle to an object in a segment a value that can be cloned, and that can be among the
/// arguments of a process: `$block` is its block, `$clone` a second handle to the same object.
macro_rules! handle {
    ([$($parameter:ident: $bound:path)?] $handle:ty, |$this:ident| $block:expr, $clone:expr) => {
        handle!([$($parameter: $bound)?] $handle, |$this| $block, $clone, <$handle>::open);
    };
    (
        [$($parameter:ident: $bound:path)?] $handle:ty, |$this:ident| $block:expr, $clone:expr,
        $open:expr
    ) => {
        impl<$($parameter)?> Clone for $handle
        where $($parameter: $bound)?
        {
            /// Another handle to the same object.
            fn clone(&self) -> Self {
                let $this = self;
                $clone
            }
        }

        argument!([$($parameter: $bound)?] $handle, |$this| $block, $open);
    };
}

/// Makes a handle to an object in a segment a value that can be among the arguments of a process:
/// `$block` is its block, `$open` opens the object in a segment by its name.
macro_rules! argument {
    ([$($parameter:ident: $bound:path)?] $handle:ty, |$this:ident| $block:expr, $open:expr) => {
        #[cfg(feature = "process")]
        impl<$($parameter)?> serde::Serialize for $handle
        where $($parameter: $bound)?
        {
            /// Only among the arguments or the result of a process.
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $this = self;
                $crate::process::handles::serialize_object($block, serializer)
            }
        }

        #[cfg(feature = "process")]
        impl<'de, $($parameter)?> serde::Deserialize<'de> for $handle
        where $($parameter: $bound)?
        {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (segment, name) = <($crate::Segment, String)>::deserialize(deserializer)?;
                let open: fn(&$crate::Segment, &str) -> $crate::Result<Self> = $open;
                open(&segment, &name).map_err(serde::de::Error::custom)
            }
        }
    };
}
