//! Which seed?

use std::{
    hash::{BuildHasher, Hasher},
    str::FromStr,
};

use crate::scenario::values::Seed;

/// A seed as the command line takes it: `0x…`, decimal, a 40-digit commit hash, or `random`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedArg(pub Seed);

impl FromStr for SeedArg {
    type Err = String;
    fn from_str(text: &str) -> Result<SeedArg, String> {
        if text == "random" {
            // Keyed by the operating system, differently for every process.
            let hasher = std::hash::RandomState::new().build_hasher();
            return Ok(SeedArg(Seed(hasher.finish())));
        }
        if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let first = u64::from_str_radix(&text[..16], 16).map_err(|error| error.to_string())?;
            return Ok(SeedArg(Seed(first)));
        }
        let why = "write 0x9c1f2ab4, a decimal number below 2^64, a 40-digit commit hash, or random";
        text.parse().map(SeedArg).map_err(|_| format!("`{text}` is not a seed: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_four_forms() {
        assert_eq!("0x10".parse(), Ok(SeedArg(Seed(16))));
        assert_eq!("16".parse(), Ok(SeedArg(Seed(16))));
        let commit = "00000000000000ffaaaaaaaaaaaaaaaaaaaaaaaa";
        assert_eq!(commit.parse(), Ok(SeedArg(Seed(255))));
        assert!("random".parse::<SeedArg>().is_ok());
        for text in ["", "0x", "-1", "18446744073709551616", "abc", "0xg"] {
            assert!(text.parse::<SeedArg>().is_err(), "{text}");
        }
    }
}
