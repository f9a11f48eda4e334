//! A pseudo terminal as a serial line: the simulator holds one end, a program opens the other by its path.
//!
//! A pty has no baud rate and no parity: timing must come from [`crate::Timing`].

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
        Ok(Self { device: PtyDevice { end: AsyncFd::register(controller)?, _keeper: keeper }, path })
    }

    /// The path as text, for a configuration file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The device's end of a [`PtyPair`].
#[derive(Debug)]
pub struct PtyDevice {
    end: AsyncFd<OwnedFd>,
    _keeper: OwnedFd,
}

impl AsyncRead for PtyDevice {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.end.poll_read_ready(cx))?;
            let read = ready.try_io(|end| Ok(rustix::io::read(end.get_ref(), buf.initialize_unfilled())?));
            if let Ok(read) = read {
                buf.advance(read?);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for PtyDevice {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.end.poll_write_ready(cx))?;
            if let Ok(written) = ready.try_io(|end| Ok(rustix::io::write(end.get_ref(), bytes)?)) {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
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
