//! `litmus FILE [--json]`: everything that a small concurrent program may do. See
//! [`verify::litmus`] for the language.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use verify::litmus::{self, ParseError, Program};

const USAGE: &str = "\
Explores a litmus program: how many complete executions the Rust memory model (RC11) gives it, \
 and every outcome.

Usage: litmus [--json] FILE

  FILE           the program; `-` reads it from standard input
  --json         print {\"executions\": …, \"outcomes\": [{\"registers\": {…}, \"final\": {…}}, …]}
  -h, --help     print this
  -V, --version  print the version

A program declares locations, then threads:

  x = 0; y = 0;                                        // locations and their initial values
  thread { x.store(1, Release); r1 = y.load(Acquire); }
  thread { y.store(1, Release); r2 = x.load(Acquire); }

Operations: x.store(v, O)  r = x.load(O)  r = x.swap(v, O)  r = x.fetch_add(v, O)
            r = x.compare_exchange(expected, new, O, O)  fence(O)
            assume(r == v)  if (r == v) { … } else { … }
A value v is an unsigned integer or a register of the same thread; `r = ` may be left out. O is \
 Relaxed, Acquire,
Release, AcqRel or SeqCst. Conditions know ==, !=, && and ||. Comments start with // or #.

Exits with 0, or with 2 and a message if the arguments, the file or the program are wrong.
";

/// A problem with the arguments, the file or the program.
const WRONG_INPUT: u8 = 2;

enum Request {
    Help,
    Version,
    Explore { file: String, json: bool },
}

fn main() -> ExitCode {
    let printed = match request(std::env::args_os().skip(1)) {
        Ok(Request::Help) => print(USAGE),
        Ok(Request::Version) => print(&format!("litmus {}\n", env!("CARGO_PKG_VERSION"))),
        Ok(Request::Explore { file, json }) => match explore(&file) {
            Ok(found) if json => print(&format!("{}\n", found.to_json())),
            Ok(found) => print(&found.to_string()),
            Err(message) => return wrong_input(&message),
        },
        Err(message) => {
            return wrong_input(&format!(
                "{message}\n\nUsage: litmus [--json] FILE (more with --help)"
            ));
        }
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough: `litmus … | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("litmus: cannot write the result: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn wrong_input(message: &str) -> ExitCode {
    eprintln!("litmus: {message}");
    ExitCode::from(WRONG_INPUT)
}

fn request(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Request, String> {
    let mut file = None;
    let mut json = false;
    let mut options = true;
    for argument in arguments {
        let argument = argument
            .into_string()
            .map_err(|argument| format!("the argument {argument:?} is no UTF-8 text"))?;
        match argument.as_str() {
            "--" if options => options = false,
            "--json" if options => json = true,
            "-h" | "--help" if options => return Ok(Request::Help),
            "-V" | "--version" if options => return Ok(Request::Version),
            option if options && option.len() > 1 && option.starts_with('-') => {
                return Err(format!("unknown option `{option}`"));
            }
            _ if file.is_some() => {
                return Err(format!("one file at a time: `{argument}` is the second"));
            }
            _ => file = Some(argument),
        }
    }
    let file = file.ok_or("no file given")?;
    Ok(Request::Explore { file, json })
}

fn explore(file: &str) -> Result<litmus::Exploration, String> {
    let (name, bytes) = match file {
        "-" => {
            let mut bytes = Vec::new();
            ("standard input", io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes))
        }
        _ => (file, std::fs::read(file)),
    };
    let bytes = bytes.map_err(|error| format!("cannot read {name}: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("{name}: line {line}: no UTF-8 text from byte {valid} of the file on")
    })?;
    let program: Program =
        text.parse().map_err(|error| format!("{name}: {}", pointed(&text, &error)))?;
    Ok(litmus::explore(&program))
}

/// The error with the line it is about and a caret under the place.
fn pointed(text: &str, error: &ParseError) -> String {
    let mut message = error.to_string();
    let line = text.lines().nth(error.line - 1).unwrap_or("").trim_start_matches('\u{feff}');
    if line.chars().count() <= 160 && !line.trim().is_empty() {
        let number = error.line.to_string();
        // A tab above stays a tab below, so that the caret stands where it should.
        let space: String = line
            .chars()
            .take(error.column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        message += &format!("\n{number} | {line}\n{:width$} | {space}^", "", width = number.len());
    }
    message
}
