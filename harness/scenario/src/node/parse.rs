//! From text to nodes, by the parser's events.
//!
//! Invariant: what the parser accepts and we don't (duplicate keys, anchors in scenarios, keys that are no text) is
//! reported and read on, so that one run shows all errors of a file.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use muster_model::{Diagnostic, Diagnostics, Place, SourceFile};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle, Tag, options};

use super::{Entry, Node, NodeKind, Style, syntax};

/// More nodes than this made by aliases is an attack or an accident.
const MAX_ALIASED: usize = 100_000;

/// Reads a scenario file: each document is a node. Anchors, aliases, tags and `<<` are errors.
///
/// A document with a syntax error is left out, the others are still read.
pub fn parse_scenario(file: &Arc<SourceFile>, diagnostics: &mut Diagnostics) -> Vec<Node> {
    Builder::new(file, diagnostics, true).run()
}

/// Reads a manifest file as kubectl does: aliases and `<<` are resolved, core tags are obeyed. Empty documents are left
/// out. JSON is YAML.
pub fn parse_manifest(file: &Arc<SourceFile>, diagnostics: &mut Diagnostics) -> Vec<Node> {
    Builder::new(file, diagnostics, false).run()
}

/// A collection that is being read.
struct Frame {
    start: usize,
    block: bool,
    anchor: usize,
    body: Body,
}

enum Body {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        key: Option<Key>,
        merged: Vec<Node>,
    },
}

struct Key {
    text: String,
    place: Place,
    /// The key can't be kept: it is no text or it stood there before.
    dropped: bool,
    merge: bool,
}

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    diagnostics: &'a mut Diagnostics,
    strict: bool,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Option<Node>>,
    aliased: usize,
    documents: Vec<Node>,
}

impl<'a> Builder<'a> {
    fn new(file: &'a Arc<SourceFile>, diagnostics: &'a mut Diagnostics, strict: bool) -> Self {
        Self {
            file,
            diagnostics,
            strict,
            stack: Vec::new(),
            anchors: HashMap::new(),
            aliased: 0,
            documents: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Node> {
        let file = self.file.clone();
        let options = options! {
            emit_comments: false,
            emit_anchor_events: true,
            emit_unresolved_aliases: true,
        };
        let mut parser = Parser::new_from_str_with_options(file.text(), options);
        while let Some(next) = parser.next_event() {
            match next {
                Ok((event, span)) => self.event(event, &span),
                Err(error) => {
                    self.diagnostics.push(syntax::diagnostic(&file, &error));
                    self.stack.clear();
                    if !matches!(parser.proceed_next_document(), Ok(true)) {
                        break;
                    }
                }
            }
        }
        self.documents
    }

    fn event(&mut self, event: Event<'_>, span: &Span) {
        let bytes = span.byte_range().unwrap_or(0..0);
        match event {
            Event::DocumentStart(..) => {
                self.stack.clear();
                self.anchors.clear();
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text.into_owned(), style, &bytes, tag.as_deref(), span);
                self.finish(node, anchor);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", span);
                self.open(&bytes, style, anchor, Body::Sequence(Vec::new()));
            }
            Event::MappingStart(style, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", span);
                let body = Body::Mapping {
                    entries: Vec::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.open(&bytes, style, anchor, body);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&bytes),
            Event::Anchor(_, name) if self.strict => self.report(
                "anchor",
                format!("the anchor `&{name}` is not allowed in a scenario"),
                &bytes,
            ),
            Event::Alias(id) => self.alias(id, &bytes),
            Event::UnresolvedAlias(name) => {
                let diagnostic = Diagnostic::error(
                    "unknown-anchor",
                    format!("nothing is anchored as `&{name}`"),
                    &self.place(&bytes),
                )
                .help("quote the text if the `*` belongs to it");
                self.diagnostics.push(diagnostic);
                let node = self.null(&bytes);
                self.finish(node, 0);
            }
            _ => {}
        }
    }

    fn place(&self, bytes: &Range<usize>) -> Place {
        Place::new(self.file.clone(), bytes.clone())
    }

    fn null(&self, bytes: &Range<usize>) -> Node {
        let kind = NodeKind::Scalar {
            text: String::new(),
            style: Style::Plain,
        };
        Node {
            place: self.place(bytes),
            kind,
        }
    }

    fn report(&mut self, code: &'static str, message: String, bytes: &Range<usize>) {
        let mut diagnostic = Diagnostic::error(code, message, &self.place(bytes));
        if self.strict {
            diagnostic = diagnostic
                .help("write the value where it is used, or make it a var and read `${{ vars.name }}`");
        }
        self.diagnostics.push(diagnostic);
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        bytes: &Range<usize>,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Node {
        let mut style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        // The parser says `~` for a missing value, with an empty span.
        let missing = style == Style::Plain && bytes.is_empty();
        if let Some(tag) = tag {
            match tag.core_suffix() {
                _ if self.strict => self.tag_error(tag, span),
                Some("str") => style = Style::Quoted,
                Some("int" | "float" | "bool" | "null") => {}
                _ if tag.handle().is_empty() && tag.suffix() == "!" => style = Style::Quoted,
                _ => self.tag_error(tag, span),
            }
        }
        let place = match self.stack.last() {
            Some(Frame {
                body: Body::Mapping { key: Some(key), .. },
                ..
            }) if missing => key.place.clone(),
            _ => self.place(bytes),
        };
        let text = if missing { String::new() } else { text };
        Node {
            place,
            kind: NodeKind::Scalar { text, style },
        }
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, allowed: &str, span: &Span) {
        if let Some(tag) = tag
            && (self.strict || tag.core_suffix() != Some(allowed))
        {
            self.tag_error(tag, span);
        }
    }

    fn tag_error(&mut self, tag: &Tag, span: &Span) {
        let start = span.tag_start().and_then(|mark| mark.byte_offset());
        let bytes = start.map_or(span.byte_range().unwrap_or(0..0), |start| {
            start..start + tag.original().len()
        });
        let name = tag.original();
        let message = if self.strict {
            format!("the tag `{name}` is not allowed in a scenario")
        } else {
            format!("unknown tag `{name}`")
        };
        let diagnostic = Diagnostic::error("tag", message, &self.place(&bytes))
            .help("quote the text for a string; a plain `3` or `true` is a number or a boolean");
        self.diagnostics.push(diagnostic);
    }

    fn alias(&mut self, id: usize, bytes: &Range<usize>) {
        if self.strict {
            let name = self.place(bytes).text().to_owned();
            self.report(
                "anchor",
                format!("the alias `{name}` is not allowed in a scenario"),
                bytes,
            );
        }
        let node = match self.anchors.get(&id) {
            Some(Some(node)) if self.aliased <= MAX_ALIASED => {
                let node = node.clone();
                self.aliased += count(&node);
                if self.aliased > MAX_ALIASED {
                    let message = format!("the aliases of this file make more than {MAX_ALIASED} values");
                    self.report("anchor", message, bytes);
                }
                node
            }
            Some(Some(_)) => self.null(bytes),
            _ => {
                self.report(
                    "anchor",
                    "this alias stands inside what it names".to_owned(),
                    bytes,
                );
                self.null(bytes)
            }
        };
        self.finish(node, 0);
    }

    fn open(&mut self, bytes: &Range<usize>, style: StructureStyle, anchor: usize, body: Body) {
        if anchor != 0 {
            self.anchors.insert(anchor, None);
        }
        let block = style == StructureStyle::Block;
        self.stack.push(Frame {
            start: bytes.start,
            block,
            anchor,
            body,
        });
    }

    fn close(&mut self, bytes: &Range<usize>) {
        let Some(frame) = self.stack.pop() else { return };
        // A block collection's end event stands at the start of what follows.
        let end = if frame.block {
            self.file.text().len()
        } else {
            bytes.end
        };
        let line_end = self.file.text()[frame.start..end]
            .find(['\n', '\r'])
            .map_or(end, |at| frame.start + at);
        let line = self.file.text()[frame.start..line_end].trim_end();
        let place = self.place(&(frame.start..frame.start + line.len()));
        let kind = match frame.body {
            Body::Sequence(items) => NodeKind::Sequence(items),
            Body::Mapping {
                mut entries, merged, ..
            } => {
                merged
                    .into_iter()
                    .for_each(|source| self.merge(source, &mut entries));
                NodeKind::Mapping(entries)
            }
        };
        self.finish(Node { place, kind }, frame.anchor);
    }

    /// Puts a finished node where it belongs.
    fn finish(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Some(node.clone()));
        }
        let Some(mut frame) = self.stack.pop() else {
            // An empty document says nothing; a scenario file may end in `---`.
            if !node.is_null() {
                self.documents.push(node);
            }
            return;
        };
        match &mut frame.body {
            Body::Sequence(items) => items.push(node),
            Body::Mapping { entries, key, merged } => match key.take() {
                None => *key = Some(self.key(node, entries)),
                Some(key) if key.merge => merged.push(node),
                Some(key) if key.dropped => {}
                Some(key) => entries.push(Entry {
                    key: key.text,
                    key_place: key.place,
                    value: node,
                }),
            },
        }
        self.stack.push(frame);
    }

    fn key(&mut self, node: Node, entries: &[Entry]) -> Key {
        let (text, style) = match node.kind {
            NodeKind::Scalar { text, style } => (text, style),
            _ => {
                let templated = node.place.text().starts_with('{');
                let mut diagnostic = Diagnostic::error("key-type", "a key must be a text", &node.place);
                if templated {
                    diagnostic = diagnostic
                        .help("for a template write \"${{ ... }}\", in quotes; `{{` opens a map inside a map in YAML");
                }
                self.diagnostics.push(diagnostic);
                return Key {
                    text: String::new(),
                    place: node.place,
                    dropped: true,
                    merge: false,
                };
            }
        };
        let merge = text == "<<" && style == Style::Plain;
        if merge && self.strict {
            self.report(
                "anchor",
                "the merge key `<<` is not allowed in a scenario".to_owned(),
                &node.place.span,
            );
            return Key {
                text,
                place: node.place,
                dropped: true,
                merge: false,
            };
        }
        let first = entries.iter().find(|entry| entry.key == text && !merge);
        if let Some(first) = first {
            let diagnostic = Diagnostic::error(
                "duplicate-key",
                format!("the key `{text}` stands here twice"),
                &node.place,
            )
            .label("again here")
            .related(&first.key_place, "first here")
            .help("remove one of them");
            self.diagnostics.push(diagnostic);
        }
        Key {
            dropped: first.is_some(),
            text,
            place: node.place,
            merge,
        }
    }

    /// Adds the entries of a `<<` value; what is written, or merged before, stays.
    fn merge(&mut self, node: Node, entries: &mut Vec<Entry>) {
        let sources = match node.kind {
            NodeKind::Sequence(items) => items,
            _ => vec![node],
        };
        for source in sources {
            let NodeKind::Mapping(merged) = source.kind else {
                let diagnostic =
                    Diagnostic::error("merge-key", "`<<` takes a map or a list of maps", &source.place);
                self.diagnostics.push(diagnostic);
                continue;
            };
            for entry in merged {
                if !entries.iter().any(|known| known.key == entry.key) {
                    entries.push(entry);
                }
            }
        }
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.kind {
        NodeKind::Scalar { .. } => 0,
        NodeKind::Sequence(items) => items.iter().map(count).sum(),
        NodeKind::Mapping(entries) => entries.iter().map(|entry| count(&entry.value)).sum(),
    }
}
