//! A pseudo terminal as a serial line: the simulator holds one end, a program opens the other by its path.
//!
//! A pty has no baud rate and no parity: timing must come from [`crate::Timing`].
//!
//! # Why
//!
//! The controller's descriptor is registered with the runtime as if it were a pipe: the same read, write and readiness calls,
//! and the only registration of a foreign descriptor that tokio offers without `unsafe`.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

/// Both ends of a virtual serial line.
#[derive(Debug)]
pub struct PtyPair {
    /// The device's end, for [`crate::serve`].
    pub device: PtyDevice,
    /// The path of the end that a serial program opens, such as `/dev/pts/4`.
    pub path: PathBuf,
}

impl PtyPair {
    /// Asks the system for a new pair in raw mode. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of the system, for instance when it has no pseudo terminals left.
    pub fn open() -> io::Result<Self> {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        let path = PathBuf::from(OsString::from_vec(ptsname(&controller, Vec::new())?.into_bytes()));
        // Held open so that the device's end does not report an error while no program has the line open.
        let keeper = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut terminal = tcgetattr(&keeper)?;
        terminal.make_raw();
        tcsetattr(&keeper, OptionalActions::Now, &terminal)?;
        let flags = rustix::fs::fcntl_getfl(&controller)?;
        rustix::fs::fcntl_setfl(&controller, flags | OFlags::NONBLOCK)?;
        let controller = File::from(controller);
        let writer = pipe::Sender::from_file_unchecked(controller.try_clone()?)?;
        let reader = pipe::Receiver::from_file_unchecked(controller)?;
        Ok(Self { device: PtyDevice { reader, writer, _keeper: keeper }, path })
    }

    /// The path as text, for a configuration file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The device's end of a [`PtyPair`].
#[derive(Debug)]
pub struct PtyDevice {
    reader: pipe::Receiver,
    writer: pipe::Sender,
    _keeper: OwnedFd,
}

impl AsyncRead for PtyDevice {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for PtyDevice {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_cross_unchanged_both_ways() {
        let mut pair = PtyPair::open().unwrap();
        let mut program = std::fs::OpenOptions::new().read(true).write(true).open(pair.path()).unwrap();
        let all: Vec<u8> = (0..=255).collect();
        program.write_all(&all).unwrap();
        let mut seen = vec![0; 256];
        pair.device.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen, all);
        pair.device.write_all(&all).await.unwrap();
        let mut back = vec![0; 256];
        program.read_exact(&mut back).unwrap();
        assert_eq!(back, all);
    }
}
