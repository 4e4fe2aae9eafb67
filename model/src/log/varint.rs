//! How does Kafka spell small numbers in few bytes? Zigzag, seven bits a byte, the least first.

use alloc::vec::Vec;

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// How many bytes `number` takes.
pub fn size(number: i64) -> usize {
    let bits = 64 - (zigzag(number) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Adds `number` to `out`.
pub fn put(out: &mut Vec<u8>, number: i64) {
    let mut rest = zigzag(number);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The number at the beginning of `bytes` and how many bytes it takes; `None` if there is none or it has more
/// than 64 bits.
pub fn read(bytes: &[u8]) -> Option<(i64, usize)> {
    let (mut number, mut shift) = (0u64, 0);
    for (at, byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(((number >> 1) as i64 ^ -((number & 1) as i64), at + 1));
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_from_as_many_bytes_as_promised() {
        for number in [0, -1, 1, 63, 64, -64, -65, 300, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put(&mut out, number);
            assert_eq!(out.len(), size(number), "{number}");
            assert_eq!(read(&out), Some((number, out.len())));
        }
    }

    #[test]
    fn a_number_of_too_many_bits_is_refused() {
        assert_eq!(read(&[0xff; 11]), None);
        assert_eq!(read(&[0x80]), None, "cut short");
    }
}
