//! What is in one file, and how much of it is on the platter?

use bytes::Bytes;
use trial_model::{disk::Content, rng::Rng, time::Instant, units::Ratio};

/// The content of a file, whatever its name.
///
/// What is read is the page cache. What survives the power is the flushed beginning; of the rest, a drawn
/// part.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    now: Pieces,
    /// How many bytes of the beginning are on the platter, as they are now.
    flushed: u64,
    /// What the platter still has instead, if flushed bytes were cut off or replaced since.
    before: Option<Pieces>,
    /// Something that was not flushed yet, and when it was written: the length of the file then.
    written: Option<(Instant, u64)>,
}

/// A stretch of content in the pieces it was written in. A batch is kept as a value and encoded when its
/// bytes are wanted.
#[derive(Clone, Debug, Default)]
struct Pieces {
    pieces: Vec<Piece>,
    len: u64,
}

#[derive(Clone, Debug)]
struct Piece {
    start: u64,
    content: Content,
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.now.len
    }

    pub(super) fn append(&mut self, at: Instant, content: Content) {
        self.now.push(content);
        self.note_written(at);
    }

    /// Adds the first `len` bytes of `content` only.
    pub(super) fn append_part(&mut self, at: Instant, content: &Content, len: u64) {
        if len > 0 {
            self.append(at, Content::Bytes(bytes_of(content).slice(..len as usize)));
        }
    }

    pub(super) fn replace(&mut self, at: Instant, bytes: Bytes) {
        self.keep_flushed();
        self.now = Pieces::default();
        self.flushed = 0;
        self.written = None;
        self.append(at, Content::Bytes(bytes));
    }

    /// Cuts it down to `len`; longer than it is changes nothing.
    pub(super) fn truncate(&mut self, at: Instant, len: u64) {
        if len >= self.now.len {
            return;
        }
        if len < self.flushed {
            self.keep_flushed();
            self.flushed = len;
        }
        self.now.truncate(len);
        self.written = None;
        self.note_written(at);
    }

    /// Brings everything to the platter.
    pub(super) fn flush(&mut self) {
        self.flushed = self.now.len;
        self.before = None;
        self.written = None;
    }

    /// Brings to the platter what was written up to `until`, as far as is known.
    pub(super) fn write_back(&mut self, until: Instant) {
        if let Some((at, len)) = self.written
            && at <= until
        {
            self.flushed = self.flushed.max(len);
            self.before = None;
            self.written = None;
        }
    }

    pub(super) fn read(&self, at: u64, len: u64) -> Bytes {
        self.now.read(at, len)
    }

    /// Flips a bit of the byte at `at`, on the platter and in the page cache.
    pub(super) fn flip(&mut self, at: u64, bit: u8) {
        self.now.rewrite(at, at + 1, |bytes| bytes[0] ^= 1 << bit);
    }

    /// Loses what a power failure takes: all, none or some of what is not flushed, cut at any byte; perhaps
    /// some of what stays was never written and is zero; and what had been cut off or replaced may be back.
    pub(super) fn lose_power(&mut self, rng: &mut Rng, holes: Ratio) {
        if let Some(before) = self.before.take()
            && rng.chance(Ratio(1, 2))
        {
            self.now = before;
            return self.flush();
        }
        let unsure = self.now.len - self.flushed;
        if unsure > 0 {
            let kept = match rng.below(4) {
                0 => 0,
                1 => unsure,
                _ => rng.below(unsure),
            };
            self.now.truncate(self.flushed + kept);
            if kept > 0 && rng.chance(holes) {
                let from = self.flushed + rng.below(kept);
                let most = (self.now.len - from).min(PAGE);
                let to = from + rng.between(1, most);
                self.now.rewrite(from, to, |bytes| bytes.fill(0));
            }
        }
        self.flush();
    }

    fn note_written(&mut self, at: Instant) {
        // An earlier note stays: what it tells of goes to the platter first.
        self.written.get_or_insert((at, self.now.len));
    }

    fn keep_flushed(&mut self) {
        if self.before.is_none() && self.flushed > 0 {
            let mut before = self.now.clone();
            before.truncate(self.flushed);
            self.before = Some(before);
        }
    }
}

/// What a disk writes at once.
const PAGE: u64 = 4_096;

impl Pieces {
    fn push(&mut self, content: Content) {
        let len = content.len();
        if len > 0 {
            self.pieces.push(Piece { start: self.len, content });
            self.len += len;
        }
    }

    fn truncate(&mut self, len: u64) {
        if len >= self.len {
            return;
        }
        let keep = self.pieces.partition_point(|piece| piece.start < len);
        self.pieces.truncate(keep);
        self.len = len;
        if let Some(last) = self.pieces.last_mut()
            && last.start + last.content.len() > len
        {
            last.content = Content::Bytes(bytes_of(&last.content).slice(..(len - last.start) as usize));
        }
    }

    fn read(&self, at: u64, len: u64) -> Bytes {
        let end = at.saturating_add(len).min(self.len);
        if at >= end {
            return Bytes::new();
        }
        let first = self.pieces.partition_point(|piece| piece.start <= at) - 1;
        let pieces = &self.pieces[first..];
        if let Content::Bytes(bytes) = &pieces[0].content
            && pieces[0].start + bytes.len() as u64 >= end
        {
            return bytes.slice((at - pieces[0].start) as usize..(end - pieces[0].start) as usize);
        }
        let mut all = Vec::with_capacity((end - at) as usize);
        for piece in pieces.iter().take_while(|piece| piece.start < end) {
            match &piece.content {
                // The usual case of a long read: spelled where it is wanted.
                Content::Batch(batch) if piece.start >= at && piece.start + piece.content.len() <= end => {
                    batch.encode_into(&mut all);
                }
                content => {
                    let bytes = bytes_of(content);
                    let to = (end - piece.start).min(bytes.len() as u64) as usize;
                    all.extend_from_slice(&bytes[at.saturating_sub(piece.start) as usize..to]);
                }
            }
        }
        all.into()
    }

    fn rewrite(&mut self, from: u64, to: u64, change: impl Fn(&mut [u8])) {
        for piece in &mut self.pieces {
            let end = piece.start + piece.content.len();
            if piece.start < to && from < end {
                let mut bytes = bytes_of(&piece.content).to_vec();
                let within = from.max(piece.start) - piece.start..to.min(end) - piece.start;
                change(&mut bytes[within.start as usize..within.end as usize]);
                piece.content = Content::Bytes(bytes.into());
            }
        }
    }
}

/// The bytes that `content` stands for.
pub(super) fn bytes_of(content: &Content) -> Bytes {
    match content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::Batch(batch) => batch.encode(),
    }
}
