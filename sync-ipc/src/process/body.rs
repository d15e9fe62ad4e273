//! The bytes of a message: collected, carried, and read.
//!
//! A body of up to [`INLINE`] bytes goes through the socket. A longer one is in a memfd, into which
//! it is written while it is serialised: a long piece, such as [`Bytes`](super::Bytes), goes there
//! without a copy in between. The file is sealed when it is complete, so that the receiver can map
//! it and read the values from there: what lies in a sealed file cannot change any more. So a long
//! argument is copied twice, into the file and out of it.
//!
//! **Files that are used again.** New pages of a file cost more than the copies. The arguments of a
//! task of a pool are in a file that is not sealed against writing; when the task has ended in good
//! order, and so was read, the file is kept for a later one, and its worker keeps its mapping. The
//! file belongs to the pool: it writes to it before a task is sent and after the outcome of the
//! task before has arrived, and the worker reads it in between. So nothing changes while it is
//! borrowed.

use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use sync_core::Mutex;

use crate::memory::limits;

/// The longest body that goes through the socket: with the kernel's bookkeeping it fills less than
/// half of the default room of a socket.
pub(crate) const INLINE: usize = 1 << 16;

/// A piece that is this long goes straight into the file.
const PIECE: usize = 1 << 16;

/// The most bytes that are kept before they go into the file.
const KEPT: usize = 1 << 20;

/// The longest body whose file or memory is kept for the next one.
pub(crate) const REUSED: usize = 32 << 20;

/// The most files that are kept.
const SPARE: usize = 2;

/// Files whose bytes were read, of one pool.
#[derive(Debug, Default)]
pub(crate) struct Spares(Mutex<Vec<OwnedFd>>);

impl Spares {
    // A forked child's copy of the lock may be held for good: then there is no spare file.

    fn take(&self) -> Option<OwnedFd> {
        self.0.try_lock()?.pop()
    }

    fn keep(&self, file: OwnedFd) {
        if let Some(mut files) = self.0.try_lock() {
            if files.len() < SPARE {
                files.push(file);
            }
        }
    }
}

/// The seals under which the bytes of a file stay as they are.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);

/// Why a value was not serialised.
#[derive(Debug)]
pub(crate) enum EncodeError {
    Format(postcard::Error),
    /// There is no memory for it.
    Io(io::Error),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// The bytes of a message that is being written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// The part before `bytes`, if that was too much to be kept.
    file: Option<OwnedFd>,
    /// The number of bytes in the file.
    filed: usize,
    error: Option<io::Error>,
    /// Where the file is from, if it is used again.
    spares: Option<Arc<Spares>>,
}

impl Output {
    /// For bytes that are read once, before the sender learns that they were.
    pub(crate) fn reused(spares: &Arc<Spares>) -> Self {
        Self { spares: Some(Arc::clone(spares)), ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.filed + self.bytes.len()
    }

    /// The first byte, of an output that is not long.
    pub(crate) fn first(&self) -> Option<u8> {
        if self.filed == 0 { self.bytes.first().copied() } else { None }
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        match len.checked_sub(self.filed) {
            Some(kept) => self.bytes.truncate(kept),
            None => {
                // The bytes behind it in the file are overwritten, or not sent.
                self.filed = len;
                self.bytes.clear();
            }
        }
    }

    /// Writes `piece`, after what was kept, into the file.
    #[cold]
    fn file(&mut self, piece: &[u8]) -> io::Result<()> {
        let end = self.len() as u64 + piece.len() as u64;
        limits::file_size(end)?;
        if self.file.is_none() {
            self.file = self.spares.as_ref().and_then(|spares| spares.take());
        }
        if self.file.is_none() {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = memfd_create("sync-ipc-message", flags)?;
            if self.spares.is_some() {
                // A system that refuses costs the receiver a copy.
                let _ = fcntl_add_seals(&file, SealFlags::SHRINK);
            }
            self.file = Some(file);
        }
        let Some(file) = &self.file else { unreachable!("made above") };
        for mut bytes in [&self.bytes[..], piece] {
            while !bytes.is_empty() {
                let at = self.filed as u64;
                let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, bytes, at))?;
                bytes = &bytes[written..];
                self.filed += written;
            }
        }
        self.bytes.clear();
        Ok(())
    }

    /// Notes the error, and returns one for the serialiser.
    #[cold]
    fn filing(&mut self, piece: &[u8]) -> postcard::Result<()> {
        self.file(piece).map_err(|error| {
            self.error = Some(error);
            postcard::Error::SerializeBufferFull
        })
    }

    /// The error of a serialisation into this.
    pub(crate) fn error_of(&mut self, error: postcard::Error) -> EncodeError {
        self.error.take().map_or(EncodeError::Format(error), EncodeError::Io)
    }

    /// All bytes, as they are sent.
    pub(crate) fn finish(mut self) -> io::Result<Body> {
        if self.filed == 0 && self.bytes.len() <= INLINE {
            return Ok(Body::Inline(self.bytes));
        }
        let length = self.len();
        self.file(&[])?;
        let Some(file) = self.file else { unreachable!("written to above") };
        let is_reused = self.spares.is_some();
        Ok(if is_reused { Body::Beside(file, length) } else { Body::sealed(file, length) })
    }
}

/// Lends an output to postcard.
pub(super) struct Into<'a>(pub(super) &'a mut Output);

impl postcard::ser_flavors::Flavor for Into<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.bytes.push(byte);
        if self.0.bytes.len() < KEPT { Ok(()) } else { self.0.filing(&[]) }
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() >= PIECE {
            return self.0.filing(bytes);
        }
        self.0.bytes.extend_from_slice(bytes);
        if self.0.bytes.len() < KEPT { Ok(()) } else { self.0.filing(&[]) }
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// The bytes of a message, or the file that they are in. Long ones are copied into and out of the
/// file where that holds up no other thread: before a lock is taken, or after.
#[derive(Debug)]
pub(crate) enum Body {
    Inline(Vec<u8>),
    /// The file and the length, which was not checked.
    Beside(OwnedFd, usize),
}

impl Body {
    /// Puts bytes that are too long for a socket into a file.
    #[cfg(any(test, feature = "manager"))]
    pub(crate) fn new(bytes: Vec<u8>) -> io::Result<Self> {
        Output { bytes, ..Output::default() }.finish()
    }

    /// Puts bytes into a file, however few they are.
    pub(super) fn beside(bytes: &[u8]) -> io::Result<Self> {
        let mut output = Output::default();
        output.file(bytes)?;
        let (Some(file), length) = (output.file, output.filed) else { unreachable!("made above") };
        Ok(Self::sealed(file, length))
    }

    fn sealed(file: OwnedFd, length: usize) -> Self {
        // A system that refuses costs the receiver a copy.
        let _ = fcntl_add_seals(&file, SEALS | SealFlags::SEAL);
        Self::Beside(file, length)
    }

    /// No bytes.
    pub(crate) fn empty() -> Self {
        Self::Inline(Vec::new())
    }

    /// The first byte, if that is known without reading a file.
    pub(crate) fn first(&self) -> Option<u8> {
        match self {
            Self::Inline(bytes) => bytes.first().copied(),
            Self::Beside(..) => None,
        }
    }

    /// Keeps the file of a body that was read and is sent to no other process.
    pub(crate) fn reuse(self, spares: &Spares) {
        let Self::Beside(file, length) = self else { return };
        let is_sealed = fcntl_get_seals(&file).is_ok_and(|seals| seals.contains(SealFlags::WRITE));
        if length <= REUSED && !is_sealed {
            spares.keep(file);
        }
    }

    /// All bytes, to be read.
    pub(crate) fn open(self) -> io::Result<Content> {
        match self {
            Self::Inline(bytes) => Ok(Content::Bytes(bytes)),
            Self::Beside(file, length) => Content::of_file(&file, length).ok_or_else(not_a_message),
        }
    }

    /// As [`open`](Self::open), with a mapping from before if the file is used again.
    ///
    /// # Safety
    ///
    /// No process writes to a file that is not sealed against it while the content lives.
    pub(crate) unsafe fn open_again(self, known: &mut Mappings) -> io::Result<Content> {
        match self {
            // SAFETY: the caller's promise.
            Self::Beside(file, length) => match unsafe { known.find(&file, length) } {
                Some(mapped) => Ok(Content::Again(mapped, length)),
                None => Content::of_file(&file, length).ok_or_else(not_a_message),
            },
            inline => inline.open(),
        }
    }
}

fn not_a_message() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a whole message")
}

/// Mappings of files that are used again, the last ones of a worker.
#[derive(Debug, Default)]
pub(crate) struct Mappings(VecDeque<(u64, Arc<Mapped>)>);

impl Mappings {
    /// The mapping of a file that is not sealed against writing, and cannot become shorter. `None`
    /// for another one.
    ///
    /// # Safety
    ///
    /// No process writes to the file while the mapping is read.
    unsafe fn find(&mut self, file: &OwnedFd, length: usize) -> Option<Arc<Mapped>> {
        let seals = fcntl_get_seals(file).ok()?;
        if !seals.contains(SealFlags::SHRINK) || seals.contains(SealFlags::WRITE) || length == 0 {
            return None;
        }
        let about = fstat(file).ok()?;
        let size = usize::try_from(about.st_size).ok().filter(|size| *size >= length)?;
        // A mapping keeps its file, so the number is no other file's.
        if let Some(at) = self.0.iter().position(|(inode, _)| *inode == about.st_ino) {
            if self.0[at].1.length >= length {
                return Some(Arc::clone(&self.0[at].1));
            }
            self.0.remove(at);
        }
        let mapped = Arc::new(Mapped::new(file, size, MapFlags::SHARED)?);
        self.0.push_back((about.st_ino, Arc::clone(&mapped)));
        if self.0.len() > SPARE {
            self.0.pop_front();
        }
        Some(mapped)
    }
}

/// The bytes of a message that has arrived.
#[derive(Debug)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    Mapped(Mapped),
    /// The first bytes of a file that is used again.
    Again(Arc<Mapped>, usize),
}

impl Default for Content {
    fn default() -> Self {
        Self::Bytes(Vec::new())
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Mapped(mapped) => mapped,
            // As long at least: it was checked.
            Self::Again(mapped, length) => &mapped[..*length],
        }
    }
}

impl Content {
    /// The first `length` bytes of a file; `None` if it is shorter, or cannot be read.
    fn of_file(file: &OwnedFd, length: usize) -> Option<Self> {
        if fstat(file).ok()?.st_size < i64::try_from(length).ok()? {
            return None;
        }
        if length > 0 && fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALS)) {
            if let Some(mapped) = Mapped::new(file, length, MapFlags::PRIVATE) {
                return Some(Self::Mapped(mapped));
            }
        }
        let mut bytes = vec![0; length];
        let mut at = 0;
        while at < length {
            let read =
                rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut bytes[at..], at as u64));
            match read {
                Ok(read) if read > 0 => at += read,
                _ => return None,
            }
        }
        Some(Self::Bytes(bytes))
    }

    /// All bytes, in a vector.
    #[cfg(feature = "manager")]
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            other => other.to_vec(),
        }
    }
}

/// A sealed file, mapped to be read.
///
/// **Invariant.** `length` bytes from `pointer` are mapped until the value is dropped, and belong
/// to a file that no process can shorten, and that none writes to while they are borrowed: it is
/// sealed against that, or the caller of [`Body::open_again`] has promised it.
#[derive(Debug)]
pub(crate) struct Mapped {
    pointer: NonNull<u8>,
    length: usize,
}

// SAFETY: memory that is only read, and belongs to the process and no thread of it.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// The caller has checked the length and the seals of the file.
    fn new(file: &OwnedFd, length: usize, kind: MapFlags) -> Option<Self> {
        let flags = kind | MapFlags::POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let pointer =
            unsafe { mmap(core::ptr::null_mut(), length, ProtFlags::READ, flags, file, 0) };
        Some(Self { pointer: NonNull::new(pointer.ok()?.cast())?, length })
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the type's invariant: mapped, and not changed while they are borrowed.
        unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and borrowed by nothing any more.
        let _ = unsafe { munmap(self.pointer.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &impl serde::Serialize, output: &mut Output) {
        postcard::serialize_with_flavor(value, Into(output)).unwrap();
    }

    #[test]
    fn short_and_long_outputs_arrive_as_they_were_written() {
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, KEPT, 3 * KEPT + 5] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let body = Body::new(bytes.clone()).unwrap();
            assert_eq!(matches!(body, Body::Inline(_)), length <= INLINE);
            assert!(*body.open().unwrap() == *bytes);
        }
        let body = Body::beside(b"few").unwrap();
        assert_eq!(*body.open().unwrap(), *b"few");
    }

    #[test]
    fn truncating_takes_back_what_is_in_the_file_and_what_is_kept() {
        let long = "long".repeat(KEPT);
        let mut output = Output::default();
        encoded(&1_u8, &mut output);
        let before = output.len();
        encoded(&long, &mut output);
        output.truncate(before);
        encoded(&"short", &mut output);
        let after = output.len();
        encoded(&long, &mut output);
        output.push(9);
        output.truncate(after);
        let content = output.finish().unwrap().open().unwrap();
        assert_eq!(*content, *b"\x01\x05short");
    }

    #[test]
    fn files_are_used_again_and_bring_nothing_of_the_body_before() {
        let (mut known, spares) = (Mappings::default(), Arc::new(Spares::default()));
        for length in [3 * INLINE, 5 * INLINE, 2 * INLINE, 4 * INLINE] {
            let text = char::from(b'a' + (length / INLINE) as u8).to_string().repeat(length);
            let mut output = Output::reused(&spares);
            encoded(&text, &mut output);
            let body = output.finish().unwrap();
            let Body::Beside(file, sent) = body else { panic!("it is long") };
            // As the receiver has it.
            let received = Body::Beside(file.try_clone().unwrap(), sent);
            // SAFETY: the file is written to in the next turn, after the content.
            let content = unsafe { received.open_again(&mut known) }.unwrap();
            assert!(matches!(content, Content::Again(..)));
            assert!(postcard::from_bytes::<String>(&content).unwrap() == text);
            drop(content);
            assert_eq!(known.0.len(), 1, "one file, mapped once or again when it has grown");
            Body::Beside(file, sent).reuse(&spares);
            assert_eq!(spares.0.lock().len(), 1);
        }
        // A sealed one is not kept.
        Body::beside(b"sealed").unwrap().reuse(&spares);
        assert_eq!(spares.0.lock().len(), 1);
    }

    #[test]
    fn a_file_that_is_not_sealed_is_copied_and_one_that_is_too_short_is_an_error() {
        let file = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        rustix::io::pwrite(&file, b"bytes", 0).unwrap();
        let body = |length| Body::Beside(file.try_clone().unwrap(), length);
        assert!(matches!(body(5).open(), Ok(Content::Bytes(bytes)) if bytes == b"bytes"));
        assert!(body(6).open().is_err());
        assert!(body(usize::MAX).open().is_err());
        let Body::Beside(file, length) = Body::beside(b"sealed").unwrap() else { unreachable!() };
        assert!(
            rustix::io::pwrite(&file, b"x", 0).is_err() && rustix::fs::ftruncate(&file, 0).is_err()
        );
        assert!(matches!(Content::of_file(&file, length), Some(Content::Mapped(_))));
        assert!(Content::of_file(&file, length + 1).is_none());
    }
}
