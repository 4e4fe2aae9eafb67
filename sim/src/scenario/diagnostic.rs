//! How is someone told that a scenario file is wrong? A sentence, the place, and what to write instead.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet, renderer::DecorStyle};

/// A mistake in a file, with the bytes that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in a sentence.
    pub title: String,
    /// The bytes that are wrong.
    pub at: Range<usize>,
    /// What to know about them.
    pub label: String,
    /// Other bytes that it does not agree with, and what to know about those.
    pub context: Option<Box<(Range<usize>, String)>>,
    /// What to write instead.
    pub help: Option<String>,
    /// Whether the file is in a format of another version, rather than wrong.
    pub other_version: bool,
}

impl Problem {
    /// `title`, shown by the bytes `at`.
    pub fn new(title: impl Into<String>, at: Range<usize>, label: impl Into<String>) -> Problem {
        Problem {
            title: title.into(),
            at,
            label: label.into(),
            context: None,
            help: None,
            other_version: false,
        }
    }

    /// With other bytes that it does not agree with.
    #[must_use]
    pub fn with_context(mut self, at: Range<usize>, label: impl Into<String>) -> Problem {
        // Two marks on the same bytes say no more than one.
        if at != self.at {
            self.context = Some(Box::new((at, label.into())));
        }
        self
    }

    /// With advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Option<String>>) -> Problem {
        self.help = help.into();
        self
    }
}

/// "did you mean": the name of `names` nearest to `wrong`, if one is near enough.
pub fn suggest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = |name: &str| {
        let distance = strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase());
        (distance <= 1 + name.chars().count() / 4).then_some(distance)
    };
    let nearest =
        names.into_iter().filter(|name| *name != wrong).filter_map(|name| Some((near(name)?, name))).min()?;
    Some(format!("did you mean `{}`?", nearest.1))
}

/// All problems of one file, as rustc shows its own; with colours if `styled`.
pub fn render(path: &str, text: &str, problems: &[Problem], styled: bool) -> String {
    let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Unicode);
    let mut out = String::new();
    for problem in problems {
        let mut snippet = Snippet::source(text).path(path).annotation(
            AnnotationKind::Primary.span(within(text, &problem.at)).label(problem.label.as_str()),
        );
        if let Some((at, label)) = problem.context.as_deref() {
            snippet =
                snippet.annotation(AnnotationKind::Context.span(within(text, at)).label(label.as_str()));
        }
        let mut group = Level::ERROR.primary_title(problem.title.as_str()).element(snippet);
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    out
}

/// `at` cut to what `text` has, on the borders of its characters.
fn within(text: &str, at: &Range<usize>) -> Range<usize> {
    let border = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = border(at.start);
    start..border(at.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_suggested_only_if_it_is_near() {
        let names = ["leader.elected", "isr.expand"];
        assert_eq!(suggest("leader_elected", names).as_deref(), Some("did you mean `leader.elected`?"));
        assert_eq!(suggest("banana", names), None);
    }

    #[test]
    fn the_mark_stands_under_the_bytes_after_wide_characters() {
        let text = "{ \"é→名\": 1, \"x\": 2 }";
        let at = text.find("\"x\"").expect("is there");
        let shown = render("f.json", text, &[Problem::new("wrong", at..at + 3, "here")], false);
        let mark = shown.lines().find(|line| line.contains('━')).expect("has a mark");
        let line = shown.lines().find(|line| line.contains("\"x\"")).expect("has the line");
        let columns = |text: &str| text.chars().map(|c| if c == '名' { 2 } else { 1 }).sum::<usize>();
        let before = |line: &str, what: &str| columns(&line[..line.find(what).expect("is there")]);
        assert_eq!(before(mark, "━"), before(line, "\"x\""));
    }
}
