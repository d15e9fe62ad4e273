//! Lines of a child, prefixed by its name.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{ChildStderr, ChildStdout};

/// Copies each line of a child's output to this process's, with the child's name before it, until
/// the child and all that inherited its output have closed it.
pub(super) fn forward(
    name: &str,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
) -> io::Result<()> {
    if let Some(stdout) = stdout {
        start(name, stdout, io::stdout)?;
    }
    if let Some(stderr) = stderr {
        start(name, stderr, io::stderr)?;
    }
    Ok(())
}

fn start<W: Write + 'static>(
    name: &str,
    from: impl Read + Send + 'static,
    into: fn() -> W,
) -> io::Result<()> {
    let prefix = format!("[{name}] ");
    let thread = std::thread::Builder::new().name(format!("log of {name}"));
    thread.spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            line.extend_from_slice(prefix.as_bytes());
            match from.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if line.last() != Some(&b'\n') {
                line.push(b'\n');
            }
            // In one call, so that lines of several processes do not mix. An output that is closed
            // must not stop the child, so reading goes on.
            let _ = into().write_all(&line);
        }
    })?;
    Ok(())
}
