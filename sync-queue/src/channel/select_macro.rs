//! `select!` and `select_biased!`.
//!
//! A muncher reads one case after another: `@case` up to the `=>`, `@body` or `@default` the rest.
//! `@case` binds a reference to the end in a scope around all that follows. Each step is an
//! expansion of its own, so the name `end` is a different name in each. When no case is left,
//! `@run` makes an array of the cases and the call, and `@complete` a chain of `if`s that completes
//! the chosen case. An expansion nests three levels a case: 40 cases fit into the default
//! `recursion_limit`.

/// Waits for the first of several sends and receives, then runs the body of that case.
///
/// | case | body runs with |
/// |---|---|
/// | `recv(receiver) -> pattern => body` | what [`recv`](crate::channel::Receiver::recv) returns |
/// | `send(sender, item) -> pattern => body` | what [`send`](crate::channel::Sender::send) returns; `item` is evaluated when the case was chosen, and only then |
/// | `default => body` | no case can go on at the moment |
/// | `default(timeout) => body` | no case could go on within `timeout`, a `Duration` |
///
/// A body that is a block needs no comma after it. The macro is an expression: all bodies have one
/// type. There is at most one `default`; without it the macro waits as long as it takes. A case can
/// go on when its operation would not wait, which includes that the other side is gone. Among
/// several such cases one is chosen at random; [`select_biased!`](crate::select_biased!) chooses
/// the first.
///
/// The expression of an item runs while the place of the item is taken, and receivers of that
/// channel wait for the item, those with a limit of time and those that never sleep too: see
/// [`SelectedOperation`](crate::channel::SelectedOperation). An item that takes long to make is
/// made before the select.
///
/// The answers are linearisable: `default` runs only if there was a moment at which no case could
/// go on. A select on both ends of a channel with room for none never meets itself.
///
/// For a number of cases that is not known when the program is written, there is
/// [`Select`](crate::channel::Select).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sync_queue::channel::{self, select};
///
/// let (sender, receiver) = channel::bounded(1);
/// let (_stop, stopped) = channel::bounded::<()>(0);
///
/// // Room for an item.
/// select! {
///     send(sender, 7) -> sent => sent.unwrap(),
///     recv(stopped) -> _ => return,
/// }
/// // An item.
/// let got = select! {
///     recv(receiver) -> item => item.ok(),
///     recv(stopped) -> _ => None,
///     default(Duration::from_secs(1)) => None,
/// };
/// assert_eq!(got, Some(7));
/// // Neither.
/// select! {
///     recv(receiver) -> item => panic!("{item:?}"),
///     recv(stopped) -> _ => {}
///     default => {}
/// }
/// ```
///
/// # Panics
///
/// If the expression of an item panics, the panic goes on to the caller, and the channel is as if
/// the case had not been chosen.
#[macro_export]
macro_rules! select {
    ($($cases:tt)*) => {
        $crate::__select!(@case false [] [] $($cases)*)
    };
}

/// Like [`select!`](crate::select!); among several cases that can go on, chooses the first.
///
/// # Examples
///
/// ```
/// use sync_queue::channel::{self, select_biased};
///
/// let (urgent_sender, urgent) = channel::unbounded();
/// let (sender, receiver) = channel::unbounded();
/// sender.send("later").unwrap();
/// urgent_sender.send("now").unwrap();
/// let first = select_biased! {
///     recv(urgent) -> item => item,
///     recv(receiver) -> item => item,
/// };
/// assert_eq!(first, Ok("now"));
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($cases:tt)*) => {
        $crate::__select!(@case true [] [] $($cases)*)
    };
}

/// The steps of the two macros. `$biased`, the cases that were read, and the default, come first.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // Nothing at all.
    (@case $biased:tt [] []) => {
        compile_error!("a `select!` without cases would wait forever")
    };
    // No case is left.
    (@case $biased:tt [$($cases:tt)*] [$($default:tt)*]) => {
        $crate::__select!(@run $biased [$($cases)*] [$($default)*])
    };
    // A case up to its `=>`: bind its end, and read the body inside.
    (@case $biased:tt $cases:tt $default:tt
        recv($receiver:expr $(,)?) -> $result:pat => $($rest:tt)+) => {
        match $receiver {
            ref end => {
                let end: &$crate::channel::Receiver<_> = end;
                $crate::__select!(
                    @body $biased $cases $default {recv end () ($result)} $($rest)+
                )
            }
        }
    };
    (@case $biased:tt $cases:tt $default:tt
        send($sender:expr, $item:expr $(,)?) -> $result:pat => $($rest:tt)+) => {
        match $sender {
            ref end => {
                let end: &$crate::channel::Sender<_> = end;
                $crate::__select!(
                    @body $biased $cases $default {send end ($item) ($result)} $($rest)+
                )
            }
        }
    };
    (@case $biased:tt $cases:tt [] default $(())? => $($rest:tt)+) => {
        $crate::__select!(@default $biased $cases [] $($rest)+)
    };
    (@case $biased:tt $cases:tt [] default($timeout:expr $(,)?) => $($rest:tt)+) => {
        $crate::__select!(@default $biased $cases [($timeout)] $($rest)+)
    };
    // Tokens that are no case.
    (@case $biased:tt $cases:tt [$($default:tt)+] default $($rest:tt)*) => {
        compile_error!("there is more than one `default` in this `select!`")
    };
    (@case $biased:tt $cases:tt $default:tt recv $arguments:tt => $($rest:tt)*) => {
        compile_error!("`recv(..)` is followed by `-> pattern`, then by `=>`")
    };
    (@case $biased:tt $cases:tt $default:tt send $arguments:tt => $($rest:tt)*) => {
        compile_error!("`send(..)` is followed by `-> pattern`, then by `=>`")
    };
    (@case $biased:tt $cases:tt $default:tt default $($rest:tt)*) => {
        compile_error!("`default` is `default => body` or `default(timeout) => body`")
    };
    (@case $biased:tt $cases:tt $default:tt $($rest:tt)*) => {
        compile_error!(concat!(
            "expected `recv(receiver) -> pattern => body`, ",
            "`send(sender, item) -> pattern => body` or `default => body`, found `",
            stringify!($($rest)*),
            "`"
        ))
    };
    // The body: a block with or without a comma, or an expression with a comma unless it is last.
    (@body $biased:tt [$($cases:tt)*] $default:tt {$($case:tt)*}
        { $($body:tt)* }, $($rest:tt)*) => {
        $crate::__select!(@case $biased [$($cases)* {$($case)* { $($body)* }}] $default $($rest)*)
    };
    (@body $biased:tt [$($cases:tt)*] $default:tt {$($case:tt)*}
        $body:expr, $($rest:tt)*) => {
        $crate::__select!(@case $biased [$($cases)* {$($case)* { $body }}] $default $($rest)*)
    };
    (@body $biased:tt [$($cases:tt)*] $default:tt {$($case:tt)*}
        { $($body:tt)* } $($rest:tt)*) => {
        $crate::__select!(@case $biased [$($cases)* {$($case)* { $($body)* }}] $default $($rest)*)
    };
    (@body $biased:tt [$($cases:tt)*] $default:tt {$($case:tt)*}
        $body:expr) => {
        $crate::__select!(@case $biased [$($cases)* {$($case)* { $body }}] $default)
    };
    // The body of the default, in the same forms.
    (@default $biased:tt $cases:tt [$($timeout:tt)?]
        { $($body:tt)* }, $($rest:tt)*) => {
        $crate::__select!(@case $biased $cases [$($timeout)? { $($body)* }] $($rest)*)
    };
    (@default $biased:tt $cases:tt [$($timeout:tt)?]
        $body:expr, $($rest:tt)*) => {
        $crate::__select!(@case $biased $cases [$($timeout)? { $body }] $($rest)*)
    };
    (@default $biased:tt $cases:tt [$($timeout:tt)?]
        { $($body:tt)* } $($rest:tt)*) => {
        $crate::__select!(@case $biased $cases [$($timeout)? { $($body)* }] $($rest)*)
    };
    (@default $biased:tt $cases:tt [$($timeout:tt)?]
        $body:expr) => {
        $crate::__select!(@case $biased $cases [$($timeout)? { $body }])
    };
    // The call.
    (@run $biased:tt [$($cases:tt)*] []) => {{
        let cases: &mut [$crate::channel::internal::Case<'_>] =
            &mut $crate::__select!(@array $($cases)*);
        let selected = $crate::channel::internal::select(cases, $biased);
        let index = selected.index();
        $crate::__select!(@complete selected index; $($cases)*)
    }};
    (@run $biased:tt [$($cases:tt)*] [$default:block]) => {{
        let cases: &mut [$crate::channel::internal::Case<'_>] =
            &mut $crate::__select!(@array $($cases)*);
        match $crate::channel::internal::try_select(cases, $biased) {
            ::core::result::Result::Err(_) => $default,
            ::core::result::Result::Ok(selected) => {
                let index = selected.index();
                $crate::__select!(@complete selected index; $($cases)*)
            }
        }
    }};
    (@run $biased:tt [$($cases:tt)*] [($timeout:expr) $default:block]) => {{
        let cases: &mut [$crate::channel::internal::Case<'_>] =
            &mut $crate::__select!(@array $($cases)*);
        match $crate::channel::internal::select_timeout(cases, $timeout, $biased) {
            ::core::result::Result::Err(_) => $default,
            ::core::result::Result::Ok(selected) => {
                let index = selected.index();
                $crate::__select!(@complete selected index; $($cases)*)
            }
        }
    }};
    // The array of the cases.
    (@array $({$kind:ident $end:ident $item:tt $result:tt $body:tt})*) => {
        [$($crate::channel::internal::Case::$kind($end)),*]
    };
    // The chosen case: counts down to it.
    (@complete $selected:ident $left:expr;) => {
        $crate::channel::internal::no_such_case($selected)
    };
    (@complete $selected:ident $left:expr;
        {$kind:ident $end:ident $item:tt ($result:pat) $body:block} $($cases:tt)*) => {
        if $left == 0 {
            let $result = $crate::__select!(@finish $kind $selected $end $item);
            $body
        } else {
            $crate::__select!(@complete $selected $left - 1; $($cases)*)
        }
    };
    (@finish recv $selected:ident $end:ident ()) => { $selected.recv($end) };
    (@finish send $selected:ident $end:ident ($item:expr)) => { $selected.send($end, $item) };
}
