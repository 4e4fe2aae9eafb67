//! How are frames cut out of a stream of bytes?

use std::{fmt, io};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use trial_wire::SIZE_BYTES;

/// How much room is made at a time: a peer that says "100 MiB follow" is not given them before they come.
const ROOM: usize = 64 << 10;

/// Why a stream is of no more use.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The peer has closed it, after a whole frame.
    Ended,
    /// It failed, or ended within a frame.
    Io(io::Error),
    /// A frame says that it is larger than may be, or smaller than nothing.
    Size(i32),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Ended => f.write_str("the peer has closed it"),
            Broken::Io(error) => write!(f, "{error}"),
            Broken::Size(size) => write!(f, "a frame of {size} bytes"),
        }
    }
}

/// The bytes that have come, as far as they are no whole frame yet.
pub(crate) struct Frames {
    buffer: BytesMut,
    largest: usize,
}

impl Frames {
    pub(crate) fn new(largest: usize) -> Frames {
        Frames { buffer: BytesMut::new(), largest }
    }

    /// The next frame, without its size. May be given up and called again: nothing is lost.
    pub(crate) async fn next(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Bytes, Broken> {
        loop {
            let missing = match self.whole()? {
                Ok(frame) => return Ok(frame),
                Err(missing) => missing,
            };
            self.buffer.reserve(missing.min(ROOM));
            if stream.read_buf(&mut self.buffer).await.map_err(Broken::Io)? == 0 {
                return Err(match self.buffer.is_empty() {
                    true => Broken::Ended,
                    false => Broken::Io(io::ErrorKind::UnexpectedEof.into()),
                });
            }
        }
    }

    /// The frame that the buffer begins with, or how many bytes it lacks.
    fn whole(&mut self) -> Result<Result<Bytes, usize>, Broken> {
        let Some(size) = self.buffer.first_chunk::<SIZE_BYTES>() else {
            return Ok(Err(ROOM));
        };
        let said = i32::from_be_bytes(*size);
        let size =
            usize::try_from(said).ok().filter(|size| *size <= self.largest).ok_or(Broken::Size(said))?;
        let whole = SIZE_BYTES + size;
        if self.buffer.len() < whole {
            return Ok(Err(whole - self.buffer.len()));
        }
        let mut frame = self.buffer.split_to(whole).freeze();
        let _ = frame.split_to(SIZE_BYTES);
        Ok(Ok(frame))
    }
}

/// Sends a whole frame, its size before it. Not to be given up before it is through.
pub(crate) async fn send(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    stream.write_all(frame).await?;
    // A socket has nothing to flush; the simulated one sends only now.
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_cut_out_however_they_come() {
        let mut frames = Frames::new(16);
        let mut bytes: &[u8] = &[0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        assert_eq!(frames.next(&mut bytes).await.ok().as_deref(), Some(&[1, 2, 3][..]));
        assert_eq!(frames.next(&mut bytes).await.ok().as_deref(), Some(&[][..]));
        assert_eq!(frames.next(&mut bytes).await.ok().as_deref(), Some(&[9][..]));
        assert!(matches!(frames.next(&mut bytes).await, Err(Broken::Ended)));
    }

    #[tokio::test]
    async fn a_size_out_of_bounds_breaks_the_stream() {
        for size in [17_i32, i32::MAX, -1, i32::MIN] {
            let bytes = size.to_be_bytes();
            let broken = Frames::new(16).next(&mut &bytes[..]).await;
            assert!(matches!(broken, Err(Broken::Size(said)) if said == size));
        }
        let mut cut: &[u8] = &[0, 0, 0, 3, 1];
        assert!(matches!(Frames::new(16).next(&mut cut).await, Err(Broken::Io(_))));
    }
}
