//! Diagnostics as text: the source line, a caret, what to do.
//!
//! Invariant: this is the only renderer of diagnostics.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use muster_model::{Diagnostic, Diagnostics, Place, Severity};

use crate::text::count;

/// All diagnostics in their order, and a line that counts them. Empty if there are none.
pub fn render(diagnostics: &Diagnostics, coloured: bool) -> String {
    if diagnostics.list.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    for diagnostic in &diagnostics.list {
        text.push_str(&one(diagnostic, coloured));
        text.push_str("\n\n");
    }
    let errors = diagnostics.errors();
    let warnings = diagnostics.list.len() - errors;
    let parts: Vec<String> = [(errors, "error"), (warnings, "warning")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| count(n, what))
        .collect();
    text.push_str(&parts.join(", "));
    text.push('\n');
    text
}

/// One diagnostic, without a line break at its end.
pub fn one(diagnostic: &Diagnostic, coloured: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code)
        .elements(Vec::<Origin<'_>>::new());
    group = add_snippet(group, &diagnostic.place, &diagnostic.label, diagnostic);
    for (index, (place, label)) in diagnostic.related.iter().enumerate() {
        let shown = place.file == diagnostic.place.file
            || diagnostic.related[..index]
                .iter()
                .any(|(other, _)| other.file == place.file);
        if !shown {
            group = add_snippet(group, place, label, diagnostic);
        }
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.decor_style(DecorStyle::Ascii).render(&[group])
}

/// The lines of one file: a place, and the related places in the same file.
fn add_snippet<'a>(
    group: Group<'a>,
    place: &'a Place,
    label: &'a str,
    diagnostic: &'a Diagnostic,
) -> Group<'a> {
    if place.file.text().is_empty() {
        return group.element(Origin::path(place.file.path()));
    }
    let is_main = *place == diagnostic.place;
    let kind = if is_main {
        AnnotationKind::Primary
    } else {
        AnnotationKind::Context
    };
    let annotation = kind.span(first_line(place));
    let mut snippet = Snippet::source(place.file.text())
        .path(place.file.path())
        .annotation(if label.is_empty() {
            annotation
        } else {
            annotation.label(label)
        });
    for (other, label) in &diagnostic.related {
        if other.file == place.file && other != place {
            snippet = snippet.annotation(
                AnnotationKind::Context
                    .span(first_line(other))
                    .label(label.as_str()),
            );
        }
    }
    group.element(snippet)
}

/// A span up to the end of its first line: a caret under a whole mapping hides what it is about.
fn first_line(place: &Place) -> std::ops::Range<usize> {
    let text = place.text();
    let length = text.find('\n').unwrap_or(text.len());
    place.span.start..place.span.start + text[..length].trim_end().len()
}
