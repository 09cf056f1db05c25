//! A connection as it comes in. The libraries above bound what a peer may send; this cuts the one
//! that sends nothing of use, or takes nothing of what is sent to it.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use self::frames::{Frames, TooMany};

mod frames;

/// What a peer may do before it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireLimits {
    /// The bytes that tell which HTTP it speaks must have arrived within this.
    pub first_byte_ms_max: u64,
    /// A connection that takes no byte for so long, although there are some for it, is cut.
    pub write_ms_max: u64,
    /// Frames of HTTP/2 in a second that carry neither a call nor data (PING, SETTINGS,
    /// RST_STREAM, WINDOW_UPDATE, …).
    pub control_frames_per_second: u32,
}

/// A connection that is measured.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    frames: Frames,
    /// Runs until it is known what the peer speaks.
    opening: Option<Pin<Box<Sleep>>>,
    write_max: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// Measures a connection from its first byte on.
    #[must_use]
    pub fn new(stream: TcpStream, limits: WireLimits) -> Self {
        let opening = sleep(Duration::from_millis(limits.first_byte_ms_max));
        Self {
            stream,
            frames: Frames::new(limits.control_frames_per_second),
            opening: Some(Box::pin(opening)),
            write_max: Duration::from_millis(limits.write_ms_max),
            stalled: None,
        }
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.stream)
    }

    /// Runs the clock of a peer that takes nothing.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.write_max)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(cut(ErrorKind::TimedOut, "it takes nothing of what is sent to it")))
    }
}

/// The end of a connection that does no good.
fn cut(kind: ErrorKind, why: &'static str) -> io::Error {
    tracing::warn!(why, "connection cut");
    io::Error::new(kind, why)
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.stream().poll_read(context, buffer)?.is_pending() {
            let Some(opening) = &mut self.opening else { return Poll::Pending };
            ready!(opening.as_mut().poll(context));
            let why = "it did not say what it speaks in time";
            return Poll::Ready(Err(cut(ErrorKind::TimedOut, why)));
        }
        if let Err(TooMany) = self.frames.pass(&buffer.filled()[before..]) {
            let why = "it sends too many frames that carry nothing";
            return Poll::Ready(Err(cut(ErrorKind::InvalidData, why)));
        }
        if self.frames.have_begun() {
            self.opening = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
