//! Which topics fit a pattern?
//!
//! Regular expressions in the syntax of RE2, which is what Kafka's coordinators apply (KIP-848), as far as names of
//! topics can tell: they are letters, digits, `.`, `_` and `-` of ASCII. A pattern fits a whole name. However long
//! pattern and name are, looking takes no longer than their product.

mod syntax;
mod matching;

use alloc::sync::Arc;

use self::matching::Program;

/// A pattern that names of topics may fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub Arc<str>);

impl Pattern {
    /// Whether it is a regular expression at all, and none that is too large.
    pub fn is_valid(&self) -> bool {
        self.program().is_some()
    }

    /// Whether a name fits. Nothing fits what is no regular expression.
    pub fn fits(&self, name: &str) -> bool {
        self.program().is_some_and(|program| program.fits(name))
    }

    /// [`Pattern::fits`] for many names.
    pub fn matcher(&self) -> impl Fn(&str) -> bool + use<> {
        let program = self.program();
        move |name| program.as_ref().is_some_and(|program| program.fits(name))
    }

    fn program(&self) -> Option<Program> {
        Program::of(&syntax::parse(&self.0)?)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    #[test]
    fn a_pattern_fits_whole_names() {
        for (pattern, fitting, others) in [
            ("orders", &["orders"][..], &["order", "orders2", ""][..]),
            ("or.*", &["or", "orders"], &["for", "o"]),
            ("a*b|c.", &["b", "aaab", "cx"], &["ab|cx", "c", "a"]),
            (".*.*.*.*.*.*.*.*.*.*.*.*z", &["z", "aaz"], &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]),
            ("", &[""], &["a"]),
            ("a||b", &["a", "", "b"], &["ab"]),
            ("(or|aud)(ders|it)s?", &["orders", "orderss", "audit", "audits"], &["or", "auditss"]),
            ("a+b?c{2}d{1,2}e{2,}", &["accdee", "abccdee", "aaccddeeee"], &["abcdee", "accde"]),
            ("^a$|\\Ab\\z", &["a", "b"], &["ab", ""]),
            ("a^b|a$b", &[], &["ab", "a", "b"]),
            ("[a-cx]+-[^a-c]", &["abcx-d", "x--"], &["d-d", "a-b", "-d"]),
            ("[]a]b|[^]a]c|[a-]d|[+--]e", &["ab", "bc", "-d", "-e"], &["ac", "bb", "bd", "*e"]),
            ("[[:digit:]]+|[[:^alpha:].]x", &["42", "1x", ".x"], &["a", "ax"]),
            ("\\d\\D\\w\\W", &["1a_-", "0-a."], &["aa_-", "1a--"]),
            ("[\\d\\-]+[\\W]", &["1-2.", "--"], &["1a."]),
            ("a\\.b\\Q.*\\E+", &["a.b.*", "a.b.***"], &["axb.*", "a.b.."]),
            ("(?i)or(?-i:D)ers", &["ORDers", "orDERS"], &["ordersd", "orders"]),
            ("(?P<who>a)(?:b)(?<what>c)", &["abc"], &["ab"]),
            ("a\\b-\\b.\\B.", &["a-bc"], &["a-b-", "ab-b"]),
            ("a{,2}|b{x}|{", &["a{,2}", "b{x}", "{"], &["aa", "b"]),
            ("\\x61\\x{62}\\143\\t*", &["abc"], &["ab"]),
            ("\\pL\\p{Lu}\\PN[\\p{Nd}]", &["aBc1"], &["abc1", "aB11"]),
            ("(a*)*(b|)+?", &["", "aaab", "bbb"], &["ba"]),
        ] {
            let it = Pattern(pattern.into());
            assert!(it.is_valid(), "{pattern}");
            for name in fitting {
                assert!(it.fits(name), "{pattern} {name}");
            }
            for name in others {
                assert!(!it.fits(name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn what_is_no_regular_expression_fits_nothing() {
        for pattern in [
            "(",
            "a)",
            "[a",
            "[]",
            "*",
            "+a",
            "a**",
            "a+*",
            "|*",
            "(?",
            "(?z)a",
            "(?P<a",
            "(?P<>a)",
            "(?=a)",
            "(?<!a)",
            "[b-a]",
            "[a-\\d]",
            "[[:what:]]",
            "a\\",
            "\\1",
            "\\C",
            "\\Z",
            "\\pX",
            "\\p{What}",
            "\\x",
            "\\x{}",
            "\\x{110000}",
            "a{1001}",
            "a{2,1}",
            "(a{100}){11}",
            "(?i-)a",
            "(?--i)a",
        ] {
            let it = Pattern(pattern.into());
            assert!(!it.is_valid(), "{pattern}");
            assert!(!it.fits(pattern) && !it.fits("a") && !it.fits(""), "{pattern}");
        }
    }

    #[test]
    fn what_would_take_too_long_or_too_much_is_none() {
        let deep = format!("{}{}", "(".repeat(1_000), ")".repeat(1_000));
        assert!(!Pattern(deep.into()).is_valid());
        let wide: String = "(a{1000}|b)".repeat(1_000);
        assert!(!Pattern(wide.into()).is_valid());
        let long = "a".repeat(1 << 15);
        assert!(!Pattern(long.as_str().into()).is_valid());
        let it = Pattern("(a?){1000}".into());
        assert!(it.fits(&"a".repeat(249)) && it.matcher()(""));
    }
}
