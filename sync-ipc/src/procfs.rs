//! Reads files of `/proc` without allocating: a forked child reads it at its first use
//! of a segment, and the tests step through that.

use core::ffi::CStr;

use rustix::fs::{CWD, Mode, OFlags, openat, stat};
use rustix::io::{Errno, read};

/// A path under `/proc`, made of text and numbers.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    bytes: [u8; 64],
    len: usize,
}

impl Path {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; 64], len: 0 }
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        // The last byte stays 0. Numbers and the short texts of this crate fit; a longer
        // path would lead nowhere.
        let count = text.len().min(self.bytes.len() - 1 - self.len);
        self.bytes[self.len..][..count].copy_from_slice(&text.as_bytes()[..count]);
        self.len += count;
        self
    }

    pub(crate) fn number(self, mut number: u64) -> Self {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.text(core::str::from_utf8(&digits[at..]).unwrap_or_default())
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

/// The beginning of a file, as much as fits.
fn beginning<'a>(path: &CStr, buffer: &'a mut [u8]) -> rustix::io::Result<&'a [u8]> {
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let count = loop {
        match read(&file, &mut *buffer) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    Ok(&buffer[..count])
}

fn parse(digits: &[u8]) -> Option<u64> {
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.copied().try_fold(None, |sum: Option<u64>, digit| {
        Some(Some(sum.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit - b'0'))?))
    })?
}

/// The number of this process's PID namespace.
pub(crate) fn namespace() -> rustix::io::Result<u64> {
    Ok(stat(c"/proc/self/ns/pid")?.st_ino)
}

/// Returns the number of bytes that the system could provide without swapping.
pub(crate) fn available_memory() -> Option<usize> {
    let mut buffer = [0; 512];
    let about = beginning(c"/proc/meminfo", &mut buffer).ok()?;
    let key = b"MemAvailable:";
    let line = about.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(key))?;
    let digits = line.iter().position(u8::is_ascii_digit)?;
    usize::try_from(parse(&line[digits..])?).ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_text_and_numbers() {
        assert_eq!(
            Path::new().text("/proc/").number(0).text("/fd/").number(u64::MAX).as_c_str(),
            c"/proc/0/fd/18446744073709551615"
        );
        assert_eq!(Path::new().text(&"x".repeat(100)).as_c_str().to_bytes().len(), 63);
    }

    #[test]
    fn numbers_are_parsed() {
        assert_eq!(
            (parse(b"42 x"), parse(b""), parse(b"x"), parse(b"99999999999999999999")),
            (Some(42), None, None, None)
        );
    }

    #[test]
    fn the_system_answers() {
        assert!(namespace().is_ok_and(|number| number > 0));
        assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
