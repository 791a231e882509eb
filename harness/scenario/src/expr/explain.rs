//! Explaining a false boolean: the sub-expressions that made it false, with their values.
//!
//! Invariant: a literal explains nothing and is never listed.

use cel::Context;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, operators};
use serde_json::Value;

use super::convert::to_json;
use super::program::Program;

/// The most sub-expressions that are listed.
const MOST: usize = 16;

/// The sub-expressions that explain why a program is false, outermost first.
pub(super) fn because(program: &Program, context: &Context<'_, '_>) -> Vec<(String, Value)> {
    let mut explanation = Explanation {
        program,
        list: Vec::new(),
    };
    explanation.explain(program.root(), context, false);
    explanation.list
}

struct Explanation<'p> {
    program: &'p Program,
    list: Vec<(String, Value)>,
}

impl Explanation<'_> {
    /// Lists what made `expr` have the boolean value `value`.
    fn explain(&mut self, expr: &IdedExpr, context: &Context<'_, '_>, value: bool) {
        match &expr.expr {
            Expr::Call(call) => self.call(expr, call, context, value),
            Expr::Comprehension(c) => self.comprehension(expr, c, context, value),
            _ => self.show(expr, context),
        }
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr, context: &Context<'_, '_>, value: bool) {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, operands) => {
                for operand in operands {
                    if truth(operand, context) == Some(value) {
                        if !is_leaf(operand) && !is_connective(operand) {
                            self.show(operand, context);
                        }
                        self.explain(operand, context, value);
                    }
                }
            }
            (operators::LOGICAL_NOT, [operand]) => self.explain(operand, context, !value),
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.show(condition, context);
                let taken = if truth(condition, context) == Some(true) {
                    yes
                } else {
                    no
                };
                self.explain(taken, context, value);
            }
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, _) => self.show(expr, context),
            (_, args) => {
                for part in call.target.as_deref().into_iter().chain(args) {
                    self.show(part, context);
                }
            }
        }
    }

    fn comprehension(
        &mut self,
        expr: &IdedExpr,
        c: &ComprehensionExpr,
        context: &Context<'_, '_>,
        value: bool,
    ) {
        self.show(&c.iter_range, context);
        // `all` folds with &&, `exists` with ||; the predicate is the second operand.
        let Expr::Call(step) = &c.loop_step.expr else {
            return;
        };
        let decides = match (step.func_name.as_str(), value) {
            (operators::LOGICAL_AND, false) => false,
            (operators::LOGICAL_OR, true) => true,
            _ => return,
        };
        let [_, predicate] = step.args.as_slice() else {
            return;
        };
        let Ok(range) = cel::Value::resolve(&c.iter_range, context) else {
            return;
        };
        let items: Vec<cel::Value> = match &range {
            cel::Value::List(items) => items.iter().cloned().collect(),
            cel::Value::Map(map) => map.map.keys().map(cel::Value::from).collect(),
            _ => return,
        };
        for item in items {
            let mut inner = context.new_inner_scope();
            inner.add_variable_from_value(c.iter_var.as_str(), item.clone());
            if truth(predicate, &inner) == Some(decides) {
                if let Ok(item) = to_json(&item) {
                    self.push(c.iter_var.clone(), item);
                }
                if !std::ptr::eq(expr, predicate) {
                    self.explain(predicate, &inner, decides);
                }
                return;
            }
        }
    }

    fn show(&mut self, expr: &IdedExpr, context: &Context<'_, '_>) {
        if is_leaf(expr) {
            return;
        }
        if let Ok(value) = cel::Value::resolve(expr, context)
            && let Ok(value) = to_json(&value)
        {
            self.push(self.program.text_of(expr), value);
        }
    }

    fn push(&mut self, text: String, value: Value) {
        if self.list.len() < MOST && !self.list.iter().any(|(known, v)| *known == text && *v == value) {
            self.list.push((text, value));
        }
    }
}

fn truth(expr: &IdedExpr, context: &Context<'_, '_>) -> Option<bool> {
    match cel::Value::resolve(expr, context) {
        Ok(cel::Value::Bool(value)) => Some(value),
        _ => None,
    }
}

fn is_leaf(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::Literal(_) => true,
        Expr::List(list) => list.elements.iter().all(is_leaf),
        Expr::Map(map) => map.entries.is_empty(),
        _ => false,
    }
}

fn is_connective(expr: &IdedExpr) -> bool {
    matches!(&expr.expr, Expr::Call(call)
        if matches!(call.func_name.as_str(), operators::LOGICAL_AND | operators::LOGICAL_OR))
}
