//! How is CRC-32C (Castagnoli) computed fast without the processor's help?

use crc::{CRC_32_ISCSI, Crc, Digest, Table};

static TABLES: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// A checksum in the making.
pub struct Crc32c(Digest<'static, u32, Table<16>>);

impl Crc32c {
    /// Of nothing yet.
    pub fn new() -> Crc32c {
        Crc32c(TABLES.digest())
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of everything taken in.
    pub fn value(self) -> u32 {
        self.0.finalize()
    }
}

/// The checksum of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    TABLES.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue_comes_out() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
