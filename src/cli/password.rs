//! Passwords: from a person without echo, or from the first line of standard input.
//!
//! A password is never an argument and never an environment variable: both can be read by others on the machine.
//!
//! # Why
//! `rustix` for the terminal's modes: it is there for files and locks already, and safe.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::{Failure, Terminal};

/// Longest password accepted, in bytes. RFC 8265 sets no limit; this one keeps a mistaken file out of memory.
pub const PASSWORD_BYTES_MAX: u64 = 1024;

/// A password. It has no `Display`, and `Debug` does not show it.
pub struct Password(String);

impl Password {
    /// The password itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A password made by this program itself.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The password of an existing account.
///
/// # Errors
/// Standard input holds none, or there is no terminal to ask at.
pub(super) fn existing(terminal: &mut Terminal<'_>, from_stdin: bool, jid: &str) -> Result<Password, Failure> {
    if from_stdin { first_line(terminal.input) } else { ask(&format!("Password of {jid}: ")) }
}

/// A new password; a person types it twice.
///
/// # Errors
/// As [`existing`]; also when the two differ.
pub(super) fn new(terminal: &mut Terminal<'_>, from_stdin: bool, jid: &str) -> Result<Password, Failure> {
    if from_stdin {
        return first_line(terminal.input);
    }
    let first = ask(&format!("New password of {jid}: "))?;
    let second = ask("The same again: ")?;
    if first.0 == second.0 { Ok(first) } else { Err(Failure::failed("The two passwords differ; nothing was changed.")) }
}

/// The first line of `input`, without its line end.
fn first_line(input: &mut dyn BufRead) -> Result<Password, Failure> {
    let mut line = Vec::new();
    input
        .take(PASSWORD_BYTES_MAX + 2)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::failed(format!("Standard input could not be read: {error}.")))?;
    let text = String::from_utf8(line).map_err(|_| Failure::failed("The password is not UTF-8 text."))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    checked(text.strip_suffix('\r').unwrap_or(text))
}

/// Refuses what cannot be a password.
fn checked(text: &str) -> Result<Password, Failure> {
    if text.is_empty() {
        return Err(Failure::failed("The password is empty; nothing was changed."));
    }
    if text.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(Failure::failed(format!("The password is longer than {PASSWORD_BYTES_MAX} bytes.")));
    }
    Ok(Password(text.to_owned()))
}

/// Asks at the controlling terminal, with echo off from before the question until after the answer.
fn ask(prompt: &str) -> Result<Password, Failure> {
    let no_terminal = |_| Failure::failed("There is no terminal to ask for the password: use --password-stdin.");
    let mut tty = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let before = tcgetattr(&tty).map_err(|errno| no_terminal(errno.into()))?;
    let quiet = Quiet::new(&tty, before).map_err(no_terminal)?;
    let mut answer = vec![0; ANSWER_BYTES];
    let asked = (&tty).write_all(prompt.as_bytes()).and_then(|()| (&tty).read(&mut answer));
    drop(quiet);
    let length = asked.map_err(no_terminal)?;
    tty.write_all(b"\n").map_err(no_terminal)?;
    let answer = answer.get(..length).unwrap_or_default();
    if answer.contains(&INTERRUPT) {
        return Err(Failure::failed("Cancelled; nothing was changed."));
    }
    first_line(&mut &*answer)
}

/// What a terminal gives in one line at most (Linux: N_TTY_BUF_SIZE).
const ANSWER_BYTES: usize = 4096;

/// Ctrl-C. It ends the answer like Enter does, instead of the process: that would leave the terminal without echo.
const INTERRUPT: u8 = 3;

/// Echo is off as long as this lives.
struct Quiet<'a> {
    tty: &'a std::fs::File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn new(tty: &'a std::fs::File, before: Termios) -> io::Result<Self> {
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        tcsetattr(tty, OptionalActions::Flush, &quiet)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // Nothing can be done if the terminal has gone.
        let _ = tcsetattr(self.tty, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut input: &[u8]) -> Result<String, String> {
        first_line(&mut input).map(|password| password.0).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_first_line_is_the_password_with_or_without_line_end() {
        assert_eq!(read(b"secret"), Ok("secret".to_owned()));
        assert_eq!(read(b"secret\nmore"), Ok("secret".to_owned()));
        assert_eq!(read(b"secret\r\n"), Ok("secret".to_owned()));
    }

    #[test]
    fn spaces_belong_to_the_password() {
        assert_eq!(read(b" a b \n"), Ok(" a b ".to_owned()));
    }

    #[test]
    fn an_empty_password_is_refused() {
        assert!(read(b"").is_err());
        assert!(read(b"\nx").is_err());
    }

    #[test]
    fn a_password_at_the_limit_is_taken_and_above_it_refused() {
        let limit = usize::try_from(PASSWORD_BYTES_MAX).unwrap();
        assert!(read(&vec![b'x'; limit]).is_ok());
        assert!(read(&vec![b'x'; limit + 1]).is_err());
    }

    #[test]
    fn debug_does_not_show_a_password() {
        assert_eq!(format!("{:?}", Password("secret".to_owned())), "***");
    }
}
