//! Entry points: functions that a new process of this program can begin with.
//!
//! [`entry!`](crate::entry) puts a [`Registration`] for a function into a slice that the linker
//! collects (`linkme`), so that a function is found by its name in every process of the program,
//! whichever crate it is in. A function item is a type of its own; the parent finds the
//! registration by that type, which makes arguments and result typed at the call.

use core::any::{TypeId, type_name};
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_core::fork::ProcessMark;
use sync_core::user_code;

use super::body::{Body, Content, Output};
use super::handles::{Incoming, Outgoing, decode, encode};
use super::{ProcessError, codec, panics};

/// A function that a process can begin with, and a [`Pool`](crate::Pool) can run: a plain function
/// of up to four arguments that is registered with [`entry!`](crate::entry).
///
/// `M` distinguishes functions of different numbers of arguments, and is inferred. A function of
/// one argument takes `Args` itself, a function of several takes a tuple, a function of none takes
/// `()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the entry point of a process",
    note = "an entry point is a plain function whose arguments and result implement serde's \
            `Serialize` and `DeserializeOwned`"
)]
pub trait Entry<M>: Copy + 'static {
    /// The arguments of the function.
    type Args: Serialize + DeserializeOwned;
    /// The result of the function.
    type Output: Serialize + DeserializeOwned;

    /// Calls the function in this process.
    fn call(self, args: Self::Args) -> Self::Output;
}

macro_rules! entry_for {
    ($marker:ty, ($($name:ident: $argument:ident),*), $args:ty, $pattern:pat) => {
        impl<F, R, $($argument),*> Entry<$marker> for F
        where
            F: Fn($($argument),*) -> R + Copy + 'static,
            R: Serialize + DeserializeOwned,
            $($argument: Serialize + DeserializeOwned,)*
        {
            type Args = $args;
            type Output = R;

            fn call(self, $pattern: $args) -> R {
                self($($name),*)
            }
        }
    };
}

entry_for!(fn() -> R, (), (), ());
entry_for!(fn(A) -> R, (a: A), A, a);
entry_for!(fn(A, B) -> R, (a: A, b: B), (A, B), (a, b));
entry_for!(fn(A, B, C) -> R, (a: A, b: B, c: C), (A, B, C), (a, b, c));
entry_for!(fn(A, B, C, D) -> R, (a: A, b: B, c: C, d: D), (A, B, C, D), (a, b, c, d));

/// A function in the list of this program's entry points.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    name: fn() -> &'static str,
    id: fn() -> TypeId,
    run: fn(&mut Work),
}

/// The entry points of this program.
#[linkme::distributed_slice]
pub static ENTRIES: [Registration];

impl Registration {
    /// Called by [`entry!`](crate::entry): `name` and `id` are of the function's own type, and
    /// `run` calls it.
    #[must_use]
    pub const fn new(name: fn() -> &'static str, id: fn() -> TypeId, run: fn(&mut Work)) -> Self {
        Self { name, id, run }
    }

    pub(crate) fn name(&self) -> &'static str {
        (self.name)()
    }

    pub(crate) fn run(&self, work: &mut Work) {
        (self.run)(work);
    }
}

/// The name of a function's own type, which contains its path.
pub fn name_of<M, F: Entry<M>>(_: &F) -> &'static str {
    type_name::<F>()
}

/// The identity of a function's own type.
pub fn id_of<M, F: Entry<M>>(_: &F) -> TypeId {
    TypeId::of::<F>()
}

/// The number of a function in this program's list.
pub(crate) fn find<M, F: Entry<M>>(_: &F) -> Option<usize> {
    let id = TypeId::of::<F>();
    ENTRIES.iter().position(|entry| (entry.id)() == id)
}

/// The number of the function of this name in this program's list.
#[cfg(feature = "manager")]
pub(crate) fn number_of(name: &str) -> Option<usize> {
    ENTRIES.iter().position(|entry| entry.name() == name)
}

/// A number for the list of entry points: parent and child are of the same program if it is the
/// same.
pub(crate) fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    for entry in ENTRIES {
        hasher.write(entry.name().as_bytes());
        hasher.write_u8(0);
    }
    hasher.finish()
}

/// Calls of one function, as they arrived, and their outcomes, as they are sent back.
///
/// The outcomes: the number of calls from the first on that returned (4 bytes), and their results;
/// then for each of the other calls a byte (see [`RETURNED`]) and the value or text that belongs to
/// it.
#[derive(Debug)]
pub struct Work {
    /// The arguments of `count` calls, one after another, from `at` on.
    pub(crate) input: Content,
    pub(crate) at: usize,
    pub(crate) count: u32,
    pub(crate) incoming: Incoming,
    output: Output,
    pub(crate) outgoing: Outgoing,
    /// Whether a call panicked.
    pub(crate) panicked: bool,
    /// The number of calls that were begun.
    begun: u32,
    /// The number of calls before the first that failed, once one has.
    before_failure: Option<u32>,
    /// The process that runs the calls.
    mark: ProcessMark,
}

/// The call returned; its result follows.
pub(crate) const RETURNED: u8 = 0;
/// The call panicked; a [`Panic`](super::Panic) follows.
pub(crate) const PANICKED: u8 = 1;
/// The arguments do not match the function; a text follows.
pub(crate) const BAD_ARGUMENTS: u8 = 2;
/// The result could not be serialised; a text follows.
pub(crate) const BAD_RESULT: u8 = 3;

impl Work {
    pub(crate) fn new(input: impl Into<Content>, count: u32, descriptors: Vec<OwnedFd>) -> Self {
        Self::with_output(Output::default(), input, count, descriptors)
    }

    /// With the outcomes in `output`, which is empty.
    pub(crate) fn with_output(
        mut output: Output,
        input: impl Into<Content>,
        count: u32,
        descriptors: Vec<OwnedFd>,
    ) -> Self {
        // An output without room for them has an error, which `finish` returns.
        let _ = output.put([0; HEAD]);
        Self {
            input: input.into(),
            at: 0,
            count,
            incoming: Incoming::new(descriptors),
            output,
            outgoing: Outgoing::default(),
            panicked: false,
            begun: 0,
            before_failure: None,
            mark: ProcessMark::current(),
        }
    }

    /// Whether this process runs the calls. `false` in a child that a call has forked and that
    /// came back from it: the outcomes are its parent's.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.mark.is_current()
    }

    /// Replaces the bytes that the present call has written after `before` by the report of its
    /// failure.
    fn fail_at(&mut self, before: usize, kind: u8, what: &impl Serialize) {
        self.output.truncate(before);
        if self.before_failure.is_none() {
            self.before_failure = Some(self.begun.saturating_sub(1));
        }
        self.mark(kind);
        // Texts can always be serialised.
        let _ = encode(what, &mut self.output, &mut self.outgoing);
    }

    #[cold]
    fn mark(&mut self, kind: u8) {
        // An output without room for it has none for what follows either.
        let _ = self.output.put([kind]);
    }

    /// A call that was not run.
    pub(crate) fn fail(&mut self, kind: u8, what: &impl Serialize) {
        self.begun += 1;
        self.fail_at(self.output.len(), kind, what);
    }

    /// Whether all calls returned.
    pub(crate) fn has_returned(&self) -> bool {
        self.before_failure.is_none()
    }

    /// The outcomes, and the descriptors among them.
    pub(crate) fn finish(mut self) -> io::Result<(Body, Vec<OwnedFd>)> {
        let returned = self.before_failure.unwrap_or(self.begun);
        self.output.patch(0, returned.to_le_bytes())?;
        Ok((self.output.finish()?, self.outgoing.descriptors))
    }
}

/// The bytes before the first outcome.
const HEAD: usize = 4;

/// Runs the calls of `work`. Everything of the user's runs in here: the function, and the
/// serialisation of its arguments and results.
///
/// In a child that a call has forked and that came back from it, it returns at once.
pub fn run<M, F: Entry<M>>(function: &F, work: &mut Work) {
    let content = core::mem::take(&mut work.input);
    let mut input = &content[work.at..];
    let mut is_read = true;
    // A call whose arguments cannot be read ends it: where the next ones begin is not known.
    while work.begun < work.count && is_read {
        let mut before = work.output.len();
        let called = user_code::run(|| {
            while work.begun < work.count {
                work.begun += 1;
                before = work.output.len();
                is_read = false;
                let args = match decode::<F::Args>(&mut input, &mut work.incoming) {
                    Ok(args) => args,
                    Err(error) => {
                        work.fail_at(before, BAD_ARGUMENTS, &error.to_string());
                        return;
                    }
                };
                is_read = true;
                let result = function.call(args);
                if !work.is_ours() {
                    return;
                }
                if work.before_failure.is_some() {
                    work.mark(RETURNED);
                }
                let written = encode(&result, &mut work.output, &mut work.outgoing);
                if let Err(error) = written {
                    work.fail_at(before, BAD_RESULT, &error.to_string());
                }
            }
        });
        // The output may lie in memory that the parent shares.
        if !work.is_ours() {
            return;
        }
        if let Err(payload) = called {
            work.panicked = true;
            let panic = panics::take(&*payload);
            user_code::dispose_payload(payload);
            work.fail_at(before, PANICKED, &panic);
        }
    }
}

/// The number of calls that returned before the first that did not, and what follows.
pub(crate) fn returned(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    Some((u32::from_le_bytes(*head), rest))
}

/// Whether the only call of these outcomes panicked.
pub(crate) fn is_panic(bytes: &[u8]) -> bool {
    returned(bytes).is_some_and(|(count, rest)| count == 0 && rest.first() == Some(&PANICKED))
}

/// Reads the outcome of the only call.
pub(crate) fn only_outcome<R: DeserializeOwned>(
    bytes: &[u8],
    incoming: &mut Incoming,
) -> Result<R, ProcessError> {
    match returned(bytes) {
        Some((0, mut rest)) => outcome(&mut rest, incoming),
        Some((_, mut rest)) => {
            decode(&mut rest, incoming).map_err(|error| ProcessError::BadResult(error.to_string()))
        }
        None => Err(ProcessError::NotBegun("the process reported nothing".into())),
    }
}

/// Reads the outcome of a call after those that returned. If it cannot be read, `bytes` is empty
/// afterwards: where the next outcome begins is not known.
pub(crate) fn outcome<R: DeserializeOwned>(
    bytes: &mut &[u8],
    incoming: &mut Incoming,
) -> Result<R, ProcessError> {
    let Some((kind, mut rest)) = bytes.split_first() else {
        return Err(ProcessError::NotBegun("the process reported nothing".into()));
    };
    // Also if a `Deserialize` of the user's panics.
    *bytes = &[];
    let bad = |error: codec::Error| ProcessError::BadResult(error.to_string());
    let outcome = match *kind {
        RETURNED => Ok(decode(&mut rest, incoming).map_err(bad)?),
        PANICKED => Err(ProcessError::Panicked(decode(&mut rest, incoming).map_err(bad)?)),
        BAD_ARGUMENTS => Err(ProcessError::NotBegun(decode(&mut rest, incoming).map_err(bad)?)),
        _ => Err(ProcessError::BadResult(decode(&mut rest, incoming).map_err(bad)?)),
    };
    *bytes = rest;
    outcome
}

/// Runs the calls of `work` by the function with this number in the list.
pub(crate) fn run_numbered(number: u32, work: &mut Work) {
    match usize::try_from(number).ok().and_then(|number| ENTRIES.get(number)) {
        Some(registration) => registration.run(work),
        None => work.fail(BAD_ARGUMENTS, &format!("no entry point has the number {number}")),
    }
}

/// Registers functions as entry points, so that a [`Process`](crate::Process) can begin with them
/// and a [`Pool`](crate::Pool) can run them.
///
/// The functions stay unchanged. Write it once for each function, anywhere in any crate of the
/// program; of a generic function, register instances (`sum::<u32>`).
///
/// ```
/// fn square(n: u64) -> u64 {
///     n * n
/// }
/// fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
/// sync_ipc::entry!(square, add);
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     sync_ipc::init();
///     assert_eq!(sync_ipc::Process::spawn(square, 12)?.result()?, 144);
///     assert_eq!(sync_ipc::Process::spawn(add, (40, 2))?.result()?, 42);
///     Ok(())
/// }
/// ```
///
/// In tests (`cargo test`), which have no `main` of their own, it also plants the hook of
/// [`init_before_main!`](crate::init_before_main).
#[macro_export]
macro_rules! entry {
    ($($function:expr),+ $(,)?) => {
        $(const _: () = {
            #[$crate::__private::linkme::distributed_slice($crate::__private::ENTRIES)]
            #[linkme(crate = $crate::__private::linkme)]
            static ENTRY: $crate::__private::Registration = $crate::__private::Registration::new(
                || $crate::__private::name_of(&$function),
                || $crate::__private::id_of(&$function),
                |work| $crate::__private::run(&$function, work),
            );
        };)+
        #[cfg(test)]
        $crate::init_before_main!();
    };
}

/// Calls [`init`](crate::init) before `main`, for programs whose `main` is not theirs: tests of a
/// crate that uses processes but registers no entry point itself. [`entry!`](crate::entry) does it
/// by itself in tests.
///
/// In a child process the entry point then runs before `main`, and `main` is never reached.
#[macro_export]
macro_rules! init_before_main {
    () => {
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static HOOK: extern "C" fn() = $crate::__private::before_main;
        };
    };
}
