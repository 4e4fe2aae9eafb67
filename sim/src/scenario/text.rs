//! How does the text of a scenario become a tree that still knows where everything stood?
//!
//! JSON with comments and trailing commas, and nothing else: no single quotes, no missing commas, no key
//! given twice.

use std::{collections::HashMap, ops::Range};

use jsonc_parser::{CollectOptions, ParseOptions, ast, common::Ranged};
use serde_json::{Map, Value};

use super::diagnostic::Problem;

/// How deep a file may nest: far deeper than the format does, and not so deep that reading it fails.
const DEPTH: usize = 64;

const STRICT: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads `text` as a tree. Refuses what is not JSON, an empty file, and one that nests too deep.
pub fn parse(text: &str) -> Result<ast::Value<'_>, Problem> {
    if let Some(at) = too_deep(text) {
        return Err(Problem::new(
            format!("this nests deeper than {DEPTH} levels"),
            at..at + 1,
            "one too many",
        ));
    }
    let parsed = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &STRICT).map_err(|error| {
        let at = error.range();
        let end = at.end.max(at.start + 1);
        let problem = Problem::new(
            format!("this is not JSON: {}", sentence(&error.kind().to_string())),
            at.start..end,
            "here",
        );
        problem.with_help(advice(&error.kind().to_string()))
    })?;
    parsed.value.ok_or_else(|| {
        Problem::new("the file is empty", 0..0, "")
            .with_help("copy one of scenarios/, or see `trial schema`".to_string())
    })
}

fn sentence(kind: &str) -> String {
    let mut letters = kind.trim_end_matches('.').chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

fn advice(kind: &str) -> Option<String> {
    let kind = kind.to_lowercase();
    let advice = if kind.contains("expected comma") && !kind.contains("unexpected") {
        "entries are separated by commas"
    } else if kind.contains("single") || kind.contains("quote") {
        "strings stand in double quotes"
    } else {
        return None;
    };
    Some(advice.into())
}

/// Where a file opens one bracket too many, strings and comments left out.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                while at < bytes.len() && bytes[at] != b'\n' {
                    at += 1;
                }
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = text[at + 2..].find("*/").map_or(bytes.len(), |end| at + 2 + end + 1);
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH {
                    return Some(at);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The tree as plain JSON. Keys that are given twice are told in `problems`.
pub fn to_json(value: &ast::Value<'_>, problems: &mut Vec<Problem>) -> Value {
    match value {
        ast::Value::StringLit(it) => Value::String(it.value.to_string()),
        ast::Value::BooleanLit(it) => Value::Bool(it.value),
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::NumberLit(it) => serde_json::from_str(it.value).unwrap_or_else(|_| {
            problems.push(Problem::new(
                format!("`{}` is not a number of JSON", it.value),
                bytes(it),
                "not a number",
            ));
            Value::Null
        }),
        ast::Value::Array(it) => Value::Array(it.elements.iter().map(|e| to_json(e, problems)).collect()),
        ast::Value::Object(it) => {
            let mut map = Map::new();
            let mut seen = HashMap::new();
            for property in &it.properties {
                let key = property.name.as_str();
                let here = bytes(&property.name);
                if let Some(before) = seen.insert(key, here.clone()) {
                    let problem = Problem::new(format!("`{key}` is given twice"), here, "second time here");
                    let problem = problem.with_context(before, "first time here");
                    problems.push(problem.with_help(
                        "keep one of them: plain JSON readers silently take the last".to_string(),
                    ));
                }
                map.insert(key.into(), to_json(&property.value, problems));
            }
            Value::Object(map)
        }
    }
}

fn bytes(of: &impl Ranged) -> Range<usize> {
    let range = of.range();
    range.start..range.end
}

/// A place in the tree: what stands there, or the nearest thing around it that does stand in the file.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    value: Option<&'a ast::Value<'a>>,
    nearest: &'a ast::Value<'a>,
    name: Option<&'a ast::ObjectPropName<'a>>,
}

impl<'a> Place<'a> {
    /// The whole file.
    pub fn root(value: &'a ast::Value<'a>) -> Place<'a> {
        Place { value: Some(value), nearest: value, name: None }
    }

    /// What stands under `key`.
    pub fn key(self, key: &str) -> Place<'a> {
        let Some(ast::Value::Object(object)) = self.value else { return self.missing() };
        match object.properties.iter().find(|property| property.name.as_str() == key) {
            Some(it) => Place { value: Some(&it.value), nearest: &it.value, name: Some(&it.name) },
            None => self.missing(),
        }
    }

    /// What stands at a position of a list.
    pub fn nth(self, at: usize) -> Place<'a> {
        let Some(ast::Value::Array(array)) = self.value else { return self.missing() };
        match array.elements.get(at) {
            Some(it) => Place { value: Some(it), nearest: it, name: None },
            None => self.missing(),
        }
    }

    /// The only entry of an object, as an externally tagged enum is written.
    pub fn variant(self) -> Place<'a> {
        match self.value {
            Some(ast::Value::Object(object)) if object.properties.len() == 1 => {
                let it = &object.properties[0];
                Place { value: Some(&it.value), nearest: &it.value, name: Some(&it.name) }
            }
            _ => self,
        }
    }

    fn missing(self) -> Place<'a> {
        Place { value: None, ..self }
    }

    /// Whether something stands there.
    pub fn exists(self) -> bool {
        self.value.is_some()
    }

    /// The bytes to mark: of the value, or of what is nearest; for a long object or list its first line.
    pub fn bytes(self) -> Range<usize> {
        match (self.value, self.nearest) {
            (None, ast::Value::Object(_) | ast::Value::Array(_)) => self.opening(),
            _ => bytes(self.nearest),
        }
    }

    /// The bytes of the key it stands under; of the value if it has none.
    pub fn name(self) -> Range<usize> {
        self.name.map_or_else(|| self.bytes(), bytes)
    }

    /// The key it stands under, or the bracket that opens it.
    fn opening(self) -> Range<usize> {
        let start = bytes(self.nearest).start;
        self.name.map_or(start..start + 1, bytes)
    }

    /// The bytes of the key that this object has; of its opening otherwise.
    pub fn own_key(self, key: &str) -> Range<usize> {
        let at = self.key(key);
        if at.exists() { at.name() } else { self.opening() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_json_and_nothing_else_is() {
        for text in ["{ \"a\": [1, 2,], } // end", "/* é */ {}", "{\"a\": \"// not a comment [\"}"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "{'a': 1}",
            "{a: 1}",
            "{\"a\": 0x10}",
            "{\"a\": NaN}",
            "{\"a\": +1}",
            "{\"a\" 1}",
            "[1 2]",
            "{\"a\": .5}",
            "{} {}",
            "{\"a\": ",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_that_nests_too_deep_is_refused_and_not_read() {
        let text = "[".repeat(100_000);
        assert_eq!(parse(&text).err().map(|problem| problem.at), Some(64..65));
        assert!(
            parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]").is_ok()
        );
    }
}
