//! Programs: parsed CEL with a place in a file.
//!
//! Invariant: a program that parsed has at most [`LONGEST`] bytes and [`DEEPEST`] nested comprehensions, since CEL
//! evaluation itself knows no cost limit.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr, operators};
use cel::{Context, ExecutionError};
use muster_model::{Diagnostic, Diagnostics, Place};
use serde_json::Value;

use super::convert::{Wanted, to_json, wanted_to_cel};
use super::culprit::{culprit, operator_name};
use super::functions::ENV;
use super::mask::{MASK, MASKED, mask, unmask};
use super::reference::{Chain, Reference, chains};
use super::scope::{EvalError, Scope};
use super::syntax::syntax_error;
use super::{explain, lex};
use crate::node::{Node, NodeKind};

/// The longest source, in bytes.
pub const LONGEST: usize = 4096;
/// How many comprehensions (`all`, `exists`, `map`, `filter`) may stand in one another.
pub(super) const DEEPEST: usize = 3;
/// How deep brackets may nest.
const BRACKETS: usize = 24;
/// How many operators, dots and brackets a source may have: parsing and evaluating recurse over them.
const OPERATORS: usize = 400;
/// What parsing and evaluating may need of the stack at these limits, in an unoptimised build, with a margin.
const STACK: usize = 32 * 1024 * 1024;

/// A parsed CEL expression. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

struct Inner {
    source: String,
    place: Place,
    /// Where the source begins in the file, if it stands there as it is.
    base: Option<usize>,
    program: cel::Program,
    chains: Vec<Chain>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({:?} at {})", self.inner.source, self.inner.place)
    }
}

/// A boolean with the values that explain it.
#[derive(Debug, Clone)]
pub struct Truth {
    /// The boolean.
    pub value: bool,
    /// Each relevant sub-expression's source with its value, outermost first, for a false boolean.
    pub because: Vec<(String, Value)>,
}

impl Program {
    /// Parses bare CEL at a place.
    ///
    /// # Errors
    /// A [`Diagnostic`] at the offending token, with code `cel-syntax`, `cel-too-long` or `cel-too-deep`.
    pub fn parse(source: &str, place: &Place) -> Result<Self, Diagnostic> {
        let base = base(source, place);
        if source.trim().is_empty() {
            return Err(Diagnostic::error("cel-syntax", "the expression is empty", place)
                .help("write a CEL expression, such as self.status.phase == 'Bound'"));
        }
        if source.len() > LONGEST {
            return Err(Diagnostic::error(
                "cel-too-long",
                format!("the expression has {} bytes, more than {LONGEST}", source.len()),
                place,
            )
            .help("split it, or compute it in a var or a save"));
        }
        if lex::depth(source) > BRACKETS || lex::operators(source) > OPERATORS {
            return Err(
                Diagnostic::error("cel-too-deep", "the expression is too deeply nested", place)
                    .help("split it, or compute it in a var or a save"),
            );
        }
        let program = with_stack(|| ENV.compile(&mask(source)))
            .map_err(|errors| syntax_error(source, place, base, &errors))?;
        let nested = comprehensions(program.expression());
        if nested > DEEPEST {
            return Err(Diagnostic::error(
                "cel-too-deep",
                format!("{nested} comprehensions stand in one another, more than {DEEPEST}"),
                place,
            )
            .help("compute the inner ones in a save, or match with $each and $some"));
        }
        let chains = chains(program.expression());
        Ok(Self {
            inner: Arc::new(Inner {
                source: source.to_owned(),
                place: place.clone(),
                base,
                program,
                chains,
            }),
        })
    }

    /// Lowers a scalar that holds bare CEL; says so if it is no scalar, or holds `${{`.
    pub fn lower(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let NodeKind::Scalar { text, .. } = &node.kind else {
            diagnostics.push(
                Diagnostic::error(
                    "wrong-type",
                    format!("expected a CEL expression, found {}", super::describe(node)),
                    &node.place,
                )
                .help("write it in one line, such as self.status.phase == 'Bound'"),
            );
            return None;
        };
        if text.contains("${{") {
            diagnostics.push(
                Diagnostic::error("template-in-cel", "`${{` has no meaning here", &node.place)
                    .help("write bare CEL here, without ${{ }}"),
            );
            return None;
        }
        match Self::parse(text, &node.place) {
            Ok(program) => Some(program),
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                None
            }
        }
    }

    /// The source.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// The place.
    pub fn place(&self) -> &Place {
        &self.inner.place
    }

    /// The value in a scope.
    ///
    /// # Errors
    /// [`EvalError`]; it is `not_yet` for a key or an element that doesn't exist.
    pub fn eval(&self, scope: &Scope) -> Result<Value, EvalError> {
        let value = self.eval_cel(scope)?;
        to_json(&value).map_err(|what| {
            EvalError::fatal(
                format!("`{}` gives {what}", self.inner.source),
                &self.place_of(self.inner.program.expression()),
            )
        })
    }

    /// The boolean in a scope; any other type is an error.
    ///
    /// # Errors
    /// As [`Program::eval`], and if the value is no boolean.
    pub fn eval_bool(&self, scope: &Scope) -> Result<Truth, EvalError> {
        with_stack(|| self.truth(scope))
    }

    fn truth(&self, scope: &Scope) -> Result<Truth, EvalError> {
        let context = self.context(scope);
        let root = self.inner.program.expression();
        let value = cel::Value::resolve(root, &context).map_err(|e| self.error(e, scope, &context))?;
        match value {
            cel::Value::Bool(true) => Ok(Truth {
                value: true,
                because: Vec::new(),
            }),
            cel::Value::Bool(false) => Ok(Truth {
                value: false,
                because: explain::because(self, &context),
            }),
            other => Err(EvalError::fatal(
                format!(
                    "`{}` gives a value of type {}, not a boolean: compare it, as in `... == ...`",
                    self.inner.source,
                    other.type_of()
                ),
                &self.place_of(root),
            )),
        }
    }

    /// The names it reads, each cut to what must exist (`has(vars.x)` reads `vars`).
    pub fn references(&self) -> Vec<Reference> {
        self.inner
            .chains
            .iter()
            .map(|chain| Reference {
                path: chain.path[..chain.needed].to_vec(),
                place: self.place_of_range(self.chain_range(chain)),
            })
            .collect()
    }

    /// The CEL value in a scope.
    pub(super) fn eval_cel(&self, scope: &Scope) -> Result<cel::Value, EvalError> {
        with_stack(|| {
            let context = self.context(scope);
            self.inner
                .program
                .execute(&context)
                .map_err(|e| self.error(e, scope, &context))
        })
    }

    pub(super) fn root(&self) -> &IdedExpr {
        self.inner.program.expression()
    }

    /// A context with what the expression reads of a scope.
    fn context<'s>(&self, scope: &'s Scope) -> Context<'s, 's> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        let mut roots: Vec<&str> = self.inner.chains.iter().map(|c| c.path[0].as_str()).collect();
        roots.sort_unstable();
        roots.dedup();
        for root in roots {
            let masked = if root == MASKED { MASK } else { root };
            match scope.get(root) {
                Some(Value::String(text)) if root == "now" => {
                    if let Some(time) = timestamp(text) {
                        context.add_variable_from_value(masked, time);
                    }
                }
                Some(value) => {
                    let mut wanted = Wanted::default();
                    for chain in self.inner.chains.iter().filter(|c| c.path[0] == root) {
                        wanted.add(&chain.path[1..]);
                    }
                    context.add_variable_as_val(masked, wanted_to_cel(value, &wanted));
                }
                None if root == "now" => {
                    if let Some(time) = timestamp(&jiff::Timestamp::now().to_string()) {
                        context.add_variable_from_value(masked, time);
                    }
                }
                None => {}
            }
        }
        context
    }

    /// The error of an evaluation, at the sub-expression that caused it.
    fn error(&self, error: ExecutionError, scope: &Scope, context: &Context<'_, '_>) -> EvalError {
        let culprit = culprit(self.root(), &error, context);
        let text = &self.inner.source[self.range_of(culprit)];
        let not_yet = match &error {
            ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_) => true,
            // A member of null: what it is a member of doesn't exist yet.
            ExecutionError::NoSuchOverload(e) => {
                matches!(e.function(), "_._" | operators::INDEX)
                    && e.argument_types().first().is_some_and(|t| t == "null_type")
            }
            _ => false,
        };
        let message = match &error {
            ExecutionError::NoSuchKey(key) => {
                let siblings = self.siblings(culprit, scope);
                match siblings.as_deref() {
                    Some([]) => format!("`{text}`: there is no `{key}`, and nothing beside it"),
                    Some(keys) => {
                        format!("`{text}`: there is no `{key}`, only {}", keys.join(", "))
                    }
                    None => format!("`{text}`: there is no `{key}`"),
                }
            }
            ExecutionError::IndexOutOfBounds(index) => format!(
                "`{text}`: there is no element {}",
                to_json(index).map_or_else(|_| "of that number".to_owned(), |i| i.to_string())
            ),
            ExecutionError::UndeclaredReference(name) => {
                format!("`{text}`: `{}` is not known here", unmask(name))
            }
            ExecutionError::NoSuchOverload(e) if not_yet => format!(
                "`{text}`: a member of null ({})",
                e.argument_types().get(1).map_or("", String::as_str)
            ),
            ExecutionError::NoSuchOverload(e) => format!(
                "`{text}`: {} doesn't take {}",
                operator_name(e.function()),
                e.argument_types().join(" and ")
            ),
            ExecutionError::FunctionError { message, .. } => format!("`{text}`: {message}"),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                format!("`{text}`: division by zero")
            }
            ExecutionError::Overflow(..) => format!("`{text}`: the number is too large"),
            ExecutionError::UnexpectedType { got, want } => {
                format!("`{text}`: expected {want}, got {got}")
            }
            other => format!("`{text}`: {other}"),
        };
        EvalError {
            message,
            place: self.place_of(culprit),
            not_yet,
        }
    }

    /// The keys beside the one that a chain's end doesn't find, at most 8.
    fn siblings(&self, expr: &IdedExpr, scope: &Scope) -> Option<Vec<String>> {
        let chain = chains(expr).into_iter().next()?;
        let mut value = scope.get(&chain.path[0])?;
        for key in &chain.path[1..] {
            match value {
                Value::Object(map) => match map.get(key) {
                    Some(member) => value = member,
                    None => {
                        let mut keys: Vec<String> = map.keys().take(8).cloned().collect();
                        if map.len() > 8 {
                            keys.push("...".to_owned());
                        }
                        return Some(keys);
                    }
                },
                _ => return None,
            }
        }
        None
    }

    /// The source of a sub-expression.
    pub(super) fn text_of(&self, expr: &IdedExpr) -> String {
        self.inner.source[self.range_of(expr)].to_owned()
    }

    /// The place of a sub-expression.
    pub(super) fn place_of(&self, expr: &IdedExpr) -> Place {
        self.place_of_range(self.range_of(expr))
    }

    fn place_of_range(&self, range: Range<usize>) -> Place {
        match self.inner.base {
            Some(base) => Place::new(
                Arc::clone(&self.inner.place.file),
                base + range.start..base + range.end,
            ),
            None => self.inner.place.clone(),
        }
    }

    fn chain_range(&self, chain: &Chain) -> Range<usize> {
        let info = self.inner.program.source_info();
        let at = |id| info.offset_for(id).unwrap_or((0, 0));
        let (start, _) = at(chain.first);
        let (last, stop) = at(chain.last);
        let source = &self.inner.source;
        let end = if source.as_bytes().get(last as usize) == Some(&b'.') {
            lex::word_end(source, last as usize + 1)
        } else {
            lex::after(source, stop as usize)
        };
        let (start, end) = lex::balance(source, start as usize, end);
        cut(source, start, end)
    }

    /// The byte range of a sub-expression in the source.
    fn range_of(&self, expr: &IdedExpr) -> Range<usize> {
        let source = &self.inner.source;
        let mut range = (usize::MAX, 0);
        self.cover(expr, &mut range);
        if range.0 >= range.1 {
            return 0..source.len();
        }
        let (start, end) = lex::balance(source, range.0, range.1);
        cut(source, start, end)
    }

    /// Widens a range to all tokens of an expression.
    fn cover(&self, expr: &IdedExpr, range: &mut (usize, usize)) {
        let source = &self.inner.source;
        if let Some((start, stop)) = self.inner.program.source_info().offset_for(expr.id) {
            let (mut start, mut end) = (start as usize, lex::after(source, stop as usize));
            match &expr.expr {
                Expr::Select(select) if !select.test => end = lex::word_end(source, end),
                Expr::Call(call) if call.func_name == operators::OPT_SELECT => {
                    end = lex::word_end(source, end);
                }
                // The token of a call is its parenthesis; the name stands before it.
                Expr::Call(call) if call.target.is_none() && source[start..].starts_with('(') => {
                    start = lex::word_start(source, start);
                }
                Expr::Select(_) => start = lex::word_start(source, start),
                _ => {}
            }
            range.0 = range.0.min(start);
            range.1 = range.1.max(end);
        }
        match &expr.expr {
            Expr::Call(call) => {
                call.target.iter().for_each(|target| self.cover(target, range));
                if call.func_name == operators::OPT_SELECT {
                    call.args
                        .first()
                        .into_iter()
                        .for_each(|arg| self.cover(arg, range));
                } else {
                    call.args.iter().for_each(|arg| self.cover(arg, range));
                }
            }
            Expr::Select(select) => self.cover(&select.operand, range),
            Expr::List(list) => list.elements.iter().for_each(|e| self.cover(e, range)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| match &entry.expr {
                EntryExpr::StructField(field) => self.cover(&field.value, range),
                EntryExpr::MapEntry(entry) => {
                    self.cover(&entry.key, range);
                    self.cover(&entry.value, range);
                }
            }),
            Expr::Comprehension(c) => {
                for part in [&c.iter_range, &c.loop_cond, &c.loop_step, &c.result] {
                    self.cover(part, range);
                }
            }
            Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        }
    }
}

/// Runs what recurses over an expression where the stack is large enough for it.
fn with_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK / 2, STACK, work)
}

/// A range that can be cut out of the source.
fn cut(source: &str, start: usize, end: usize) -> Range<usize> {
    let end = end.min(source.len());
    if start <= end && source.is_char_boundary(start) && source.is_char_boundary(end) {
        start..end
    } else {
        0..source.len()
    }
}

/// Where a source begins in the file, if the place's text holds it as it is.
fn base(source: &str, place: &Place) -> Option<usize> {
    place.text().find(source).map(|at| place.span.start + at)
}

/// A CEL timestamp from RFC 3339 text.
fn timestamp(text: &str) -> Option<cel::Value> {
    static PARSE: LazyLock<Option<cel::Program>> = LazyLock::new(|| ENV.compile("timestamp(text)").ok());
    let mut context = Context::with_env(Arc::clone(&ENV));
    context.add_variable_from_value("text", text);
    PARSE.as_ref()?.execute(&context).ok()
}

/// How many comprehensions stand in one another. The range of one is outside of it.
fn comprehensions(expr: &IdedExpr) -> usize {
    let most = |exprs: &mut dyn Iterator<Item = &IdedExpr>| exprs.map(comprehensions).max().unwrap_or(0);
    match &expr.expr {
        Expr::Comprehension(c) => {
            let inner = most(&mut [&c.loop_cond, &c.loop_step, &c.result].into_iter()) + 1;
            inner.max(comprehensions(&c.iter_range))
        }
        Expr::Call(call) => most(&mut call.args.iter().chain(call.target.as_deref())),
        Expr::Select(select) => comprehensions(&select.operand),
        Expr::List(list) => most(&mut list.elements.iter()),
        Expr::Map(map) => map
            .entries
            .iter()
            .map(|entry| match &entry.expr {
                EntryExpr::StructField(field) => comprehensions(&field.value),
                EntryExpr::MapEntry(entry) => comprehensions(&entry.key).max(comprehensions(&entry.value)),
            })
            .max()
            .unwrap_or(0),
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
