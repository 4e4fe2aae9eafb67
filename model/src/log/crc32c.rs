//! How is CRC-32C (Castagnoli) computed fast, with and without the processor's help?

#[cfg(not(feature = "fast-crc"))]
use crc::{CRC_32_ISCSI, Crc, Table};

/// Sixteen bytes at a time, from tables.
#[cfg(not(feature = "fast-crc"))]
static TABLES: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// The checksum of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c_of(&[bytes])
}

/// The checksum of `parts`, one after the other.
#[cfg(not(feature = "fast-crc"))]
pub fn crc32c_of(parts: &[&[u8]]) -> u32 {
    let mut digest = TABLES.digest();
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}

/// The checksum of `parts`, one after the other.
#[cfg(feature = "fast-crc")]
pub fn crc32c_of(parts: &[&[u8]]) -> u32 {
    parts.iter().fold(0, |crc, part| ::crc32c::crc32c_append(crc, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue_comes_out_in_one_part_or_two() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c_of(&[b"1234", b"", b"56789"]), 0xe306_9283);
    }
}
