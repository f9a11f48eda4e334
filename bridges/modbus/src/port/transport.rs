//! How a line is opened: a serial device, a socket, or whatever a test brings.

use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_serial::{DataBits, FlowControl, Parity, SerialPortBuilderExt, SerialStream, StopBits};

/// A line that is open.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// How to open a line; asked again after every loss.
#[async_trait]
pub trait Connect: Send + Sync + fmt::Debug {
    /// Opens the line.
    ///
    /// # Errors
    /// Those of the system.
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>>;
}

/// A TCP endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpConnect {
    /// `host:port`; names are resolved at each attempt.
    pub address: Arc<str>,
}

#[async_trait]
impl Connect for TcpConnect {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let stream = TcpStream::connect(&*self.address).await?;
        // Small frames, one at a time: nothing is gained by waiting for more.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// How a serial line is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SerialSettings {
    /// Bits per second.
    pub baud: u32,
    /// Parity bit.
    pub parity: Parity,
    /// One or two.
    pub stop_bits: StopBits,
}

impl SerialSettings {
    /// Bits of one character: start, eight data bits, parity, stop.
    pub fn character_bits(&self) -> u32 {
        let parity = u32::from(self.parity != Parity::None);
        let stop = if self.stop_bits == StopBits::Two { 2 } else { 1 };
        9 + parity + stop
    }
}

/// A serial device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialConnect {
    /// Path of the device.
    pub path: Arc<str>,
    /// Its settings.
    pub settings: SerialSettings,
}

#[async_trait]
impl Connect for SerialConnect {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let SerialSettings { baud, parity, stop_bits } = self.settings;
        let stream: SerialStream = tokio_serial::new(&*self.path, baud)
            .data_bits(DataBits::Eight)
            .parity(parity)
            .stop_bits(stop_bits)
            .flow_control(FlowControl::None)
            .open_native_async()?;
        Ok(Box::new(stream))
    }
}
