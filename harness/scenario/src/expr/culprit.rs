//! Finding the part of an expression that failed.
//!
//! Invariant: the part found fails by itself with the error of the whole.

use cel::common::ast::{Expr, IdedExpr, operators};
use cel::{Context, ExecutionError};

/// The smallest sub-expression that fails with the same error.
pub(super) fn culprit<'e>(
    expr: &'e IdedExpr,
    error: &ExecutionError,
    context: &Context<'_, '_>,
) -> &'e IdedExpr {
    let fails = |part: &IdedExpr| cel::Value::resolve(part, context).is_err_and(|e| e == *error);
    let inner = match &expr.expr {
        Expr::Call(call) => call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .find(|part| !is_namespace(part, context) && fails(part)),
        Expr::Select(select) => Some(&*select.operand).filter(|part| fails(part)),
        Expr::List(list) => list.elements.iter().find(|part| fails(part)),
        Expr::Comprehension(c) => Some(&c.iter_range).filter(|part| fails(part)),
        _ => None,
    };
    inner.map_or(expr, |inner| culprit(inner, error, context))
}

/// Whether an expression is the namespace of a function, such as `base64`, which has no value.
fn is_namespace(expr: &IdedExpr, context: &Context<'_, '_>) -> bool {
    matches!(&expr.expr, Expr::Ident(name) if context.get_variable(name).is_none()
        && matches!(name.as_str(), "base64" | "math" | "lists" | "strings" | "optional"))
}

/// `_>_` as the user wrote it: `>`.
pub(super) fn operator_name(function: &str) -> String {
    match function {
        operators::INDEX | operators::OPT_INDEX => "`[ ]`".to_owned(),
        operators::CONDITIONAL => "`? :`".to_owned(),
        operators::IN => "`in`".to_owned(),
        "_._" => "`.`".to_owned(),
        other => {
            let bare = other.trim_matches('_');
            format!("`{}`", if bare.is_empty() { other } else { bare })
        }
    }
}
