//! References: the names that an expression reads.
//!
//! Invariant: variables of comprehensions (`x` in `list.map(x, ...)`) are no references.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use muster_model::Place;

use super::functions::is_qualified;

/// A name that an expression reads: a root and its literal members.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Such as `["vars", "dsn"]`.
    pub path: Vec<String>,
    /// Where the chain stands.
    pub place: Place,
}

/// A chain of members in a program's tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chain {
    pub(super) path: Vec<String>,
    /// How many of `path`, from the start, must exist: `has(a.b)` and `a.?b` ask for less than they name.
    pub(super) needed: usize,
    /// The ids of the root's node and of the last member's.
    pub(super) first: u64,
    pub(super) last: u64,
}

/// The names of CEL's types, which look like variables in `type(x) == int`.
const TYPES: &[&str] = &[
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "optional_type",
];

/// All chains of an expression, in the written order.
pub(super) fn chains(expr: &IdedExpr) -> Vec<Chain> {
    let mut walk = Walk {
        locals: Vec::new(),
        found: Vec::new(),
    };
    walk.visit(expr);
    walk.found
}

struct Walk<'e> {
    locals: Vec<&'e str>,
    found: Vec<Chain>,
}

impl<'e> Walk<'e> {
    fn visit(&mut self, expr: &'e IdedExpr) {
        if let Some(chain) = self.chain(expr) {
            if let Some(chain) = chain {
                self.found.push(chain);
            }
            return;
        }
        match &expr.expr {
            Expr::Call(call) => {
                if let Some(target) = &call.target {
                    let qualified = qualified_name(target).map(|name| format!("{name}.{}", call.func_name));
                    if !qualified.is_some_and(|name| is_qualified(&name)) {
                        self.visit(target);
                    }
                }
                call.args.iter().for_each(|arg| self.visit(arg));
            }
            Expr::Select(select) => self.visit(&select.operand),
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.visit_entry(&entry.expr)),
            Expr::Struct(message) => message
                .entries
                .iter()
                .for_each(|entry| self.visit_entry(&entry.expr)),
            Expr::Comprehension(c) => {
                self.visit(&c.iter_range);
                self.visit(&c.accu_init);
                let outer = self.locals.len();
                self.locals.push(&c.iter_var);
                self.locals.extend(c.iter_var2.as_deref());
                self.locals.push(&c.accu_var);
                self.visit(&c.loop_cond);
                self.visit(&c.loop_step);
                self.visit(&c.result);
                self.locals.truncate(outer);
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn visit_entry(&mut self, entry: &'e EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key);
                self.visit(&entry.value);
            }
        }
    }

    /// The chain that an expression is; `Some(None)` for one that starts at a local variable.
    fn chain(&self, expr: &'e IdedExpr) -> Option<Option<Chain>> {
        match &expr.expr {
            Expr::Ident(name) => {
                let name = name.strip_prefix('.').unwrap_or(name);
                if self.locals.contains(&name) || TYPES.contains(&name) {
                    return Some(None);
                }
                Some(Some(Chain {
                    path: vec![super::mask::unmask(name).to_owned()],
                    needed: 1,
                    first: expr.id,
                    last: expr.id,
                }))
            }
            Expr::Select(select) => self.member(&select.operand, &select.field, !select.test, expr.id),
            Expr::Call(call) if call.target.is_none() => {
                let [operand, index] = call.args.as_slice() else {
                    return None;
                };
                let Expr::Literal(LiteralValue::String(key)) = &index.expr else {
                    return None;
                };
                match call.func_name.as_str() {
                    operators::INDEX => self.member(operand, key.inner(), true, index.id),
                    operators::OPT_INDEX | operators::OPT_SELECT => {
                        self.member(operand, key.inner(), false, expr.id)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn member(&self, operand: &'e IdedExpr, key: &str, needed: bool, id: u64) -> Option<Option<Chain>> {
        let chain = self.chain(operand)?;
        Some(chain.map(|mut chain| {
            // Behind an optional member nothing is needed.
            if needed && chain.needed == chain.path.len() {
                chain.needed += 1;
            }
            chain.path.push(key.to_owned());
            chain.last = id;
            chain
        }))
    }
}

/// `a.b.c` for a chain of plain selections.
pub(super) fn qualified_name(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", qualified_name(&select.operand)?, select.field))
        }
        _ => None,
    }
}
