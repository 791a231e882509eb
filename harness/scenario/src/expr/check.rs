//! The checker: what a CEL expression gets wrong without being run.
//!
//! Invariant: only what is certainly wrong is an error; a value of unknown type is trusted.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use muster_model::Diagnostic;

use super::culprit::operator_name;
use super::functions::{SIGNATURES, Signature, is_qualified};
use super::program::Program;
use super::reference::qualified_name;
use crate::suggest::nearest;

impl Program {
    /// Checks functions, their number of arguments, types of literals, and root names against those allowed.
    ///
    /// Codes: `unknown-function`, `wrong-arity`, `type-error`, `unknown-name`.
    pub fn check(&self, roots: &[&str]) -> Vec<Diagnostic> {
        let mut check = Check {
            program: self,
            found: Vec::new(),
        };
        check.visit(self.root());
        let mut found = check.found;
        for reference in self.references() {
            let root = reference.path[0].as_str();
            if roots.contains(&root) || root == "now" {
                continue;
            }
            let mut diagnostic = Diagnostic::error(
                "unknown-name",
                format!("there is no name `{root}` here"),
                &reference.place,
            );
            diagnostic = match nearest(root, roots.iter().copied()) {
                Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
                None => diagnostic.help(format!("the names are {}", roots.join(", "))),
            };
            found.push(diagnostic);
        }
        found
    }
}

/// What is known about the type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Bool,
    Number,
    String,
    Bytes,
    Null,
    List,
    Map,
    Duration,
    Timestamp,
    Unknown,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Bytes => "bytes",
            Self::Null => "null",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Duration => "a duration",
            Self::Timestamp => "a timestamp",
            Self::Unknown => "a value",
        }
    }
}

struct Check<'p> {
    program: &'p Program,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    fn report(&mut self, code: &'static str, message: String, expr: &IdedExpr, help: Option<String>) {
        let mut diagnostic = Diagnostic::error(code, message, &self.program.place_of(expr));
        if let Some(help) = help {
            diagnostic = diagnostic.help(help);
        }
        self.found.push(diagnostic);
    }

    /// Checks an expression and says what is known about its type.
    fn visit(&mut self, expr: &IdedExpr) -> Type {
        match &expr.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Bytes(_) => Type::Bytes,
                LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => Type::Number,
                LiteralValue::Null => Type::Null,
                LiteralValue::String(_) => Type::String,
            },
            Expr::List(list) => {
                for element in &list.elements {
                    self.visit(element);
                }
                Type::List
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    match &entry.expr {
                        EntryExpr::StructField(field) => {
                            self.visit(&field.value);
                        }
                        EntryExpr::MapEntry(entry) => {
                            self.visit(&entry.key);
                            self.visit(&entry.value);
                        }
                    }
                }
                Type::Map
            }
            Expr::Select(select) => {
                self.visit(&select.operand);
                if select.test { Type::Bool } else { Type::Unknown }
            }
            Expr::Comprehension(c) => {
                let range = self.visit(&c.iter_range);
                if !matches!(range, Type::List | Type::Map | Type::Unknown) {
                    self.report(
                        "type-error",
                        format!("{} has no elements", range.name()),
                        &c.iter_range,
                        None,
                    );
                }
                self.visit(&c.accu_init);
                self.visit(&c.loop_step);
                Type::Unknown
            }
            Expr::Call(call) => {
                let qualified = call
                    .target
                    .as_deref()
                    .and_then(qualified_name)
                    .map(|target| format!("{target}.{}", call.func_name))
                    .filter(|name| is_qualified(name));
                let target = match (&call.target, &qualified) {
                    (Some(target), None) => Some(self.visit(target)),
                    _ => None,
                };
                let types: Vec<Type> = call.args.iter().map(|arg| self.visit(arg)).collect();
                if let Some(result) = self.operator(expr, &call.func_name, &types) {
                    return result;
                }
                let name = qualified.unwrap_or_else(|| call.func_name.clone());
                self.function(expr, &name, target, types.len())
            }
            Expr::Struct(message) => {
                self.report(
                    "unknown-function",
                    format!("there is no message type `{}`", message.type_name),
                    expr,
                    Some("write a map: {'key': value}".to_owned()),
                );
                Type::Unknown
            }
            Expr::Ident(_) | Expr::Unspecified => Type::Unknown,
        }
    }

    /// The type that an operator gives; `None` if the name is no operator's.
    fn operator(&mut self, expr: &IdedExpr, name: &str, types: &[Type]) -> Option<Type> {
        let known = |t: &Type| *t != Type::Unknown;
        match (name, types) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, operands) => {
                if let Some(wrong) = operands.iter().find(|t| known(t) && **t != Type::Bool) {
                    self.wrong(expr, name, &format!("takes booleans, not {}", wrong.name()));
                }
                Some(Type::Bool)
            }
            (operators::EQUALS | operators::NOT_EQUALS, [a, b]) => {
                if known(a) && known(b) && a != b && *a != Type::Null && *b != Type::Null {
                    let always = if name == operators::EQUALS {
                        "false"
                    } else {
                        "true"
                    };
                    self.wrong(
                        expr,
                        name,
                        &format!("is always {always} between {} and {}", a.name(), b.name()),
                    );
                }
                Some(Type::Bool)
            }
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [a, b],
            ) => {
                let ordered = |t: &Type| !matches!(t, Type::Null | Type::List | Type::Map);
                if !ordered(a) || !ordered(b) || (known(a) && known(b) && a != b) {
                    self.wrong(
                        expr,
                        name,
                        &format!("can't compare {} with {}", a.name(), b.name()),
                    );
                }
                Some(Type::Bool)
            }
            (operators::IN, [_, container]) => {
                if !matches!(container, Type::List | Type::Map | Type::Unknown) {
                    self.wrong(
                        expr,
                        name,
                        &format!("looks into a list or a map, not {}", container.name()),
                    );
                }
                Some(Type::Bool)
            }
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO,
                [a, b],
            ) => {
                let time = |t: &Type| matches!(t, Type::Duration | Type::Timestamp);
                let never = |t: &Type| matches!(t, Type::Bool | Type::Null | Type::Map);
                let text = |t: &Type| matches!(t, Type::String | Type::Bytes | Type::List);
                if never(a)
                    || never(b)
                    || (name != operators::ADD && (text(a) || text(b)))
                    || (known(a) && known(b) && a != b && !(time(a) && time(b)))
                {
                    let help = (matches!(a, Type::String) || matches!(b, Type::String))
                        .then(|| "convert with string(x) or int(x)".to_owned());
                    self.report(
                        "type-error",
                        format!(
                            "{} doesn't take {} and {}",
                            operator_name(name),
                            a.name(),
                            b.name()
                        ),
                        expr,
                        help,
                    );
                    return Some(Type::Unknown);
                }
                Some(if a == b && !time(a) { *a } else { Type::Unknown })
            }
            (operators::NEGATE, [a]) => {
                if known(a) && !matches!(a, Type::Number | Type::Duration) {
                    self.wrong(expr, name, &format!("doesn't take {}", a.name()));
                }
                Some(*a)
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                if known(condition) && *condition != Type::Bool {
                    self.wrong(
                        expr,
                        name,
                        &format!("needs a boolean before `?`, not {}", condition.name()),
                    );
                }
                Some(if yes == no { *yes } else { Type::Unknown })
            }
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, [container, _]) => {
                if !matches!(container, Type::List | Type::Map | Type::Unknown) {
                    self.wrong(expr, name, &format!("doesn't look into {}", container.name()));
                }
                Some(Type::Unknown)
            }
            (operators::NOT_STRICTLY_FALSE, _) => Some(Type::Bool),
            _ => None,
        }
    }

    fn wrong(&mut self, expr: &IdedExpr, operator: &str, what: &str) {
        self.report(
            "type-error",
            format!("{} {what}", operator_name(operator)),
            expr,
            None,
        );
    }

    fn function(&mut self, expr: &IdedExpr, name: &str, target: Option<Type>, args: usize) -> Type {
        // What a macro expands to, such as `math.@max` for `math.greatest`.
        if name.contains('@') {
            return Type::Unknown;
        }
        let method = target.is_some();
        let named: Vec<&Signature> = SIGNATURES.iter().filter(|s| s.name == name).collect();
        if named.is_empty() {
            let help = nearest(name, SIGNATURES.iter().map(|s| s.name)).map_or_else(
                || "see the list of functions in the reference of expressions".to_owned(),
                |n| format!("did you mean `{n}`?"),
            );
            self.report(
                "unknown-function",
                format!("there is no function `{name}`"),
                expr,
                Some(help),
            );
            return Type::Unknown;
        }
        let Some(signature) = named.iter().find(|s| s.method == method) else {
            let (message, help) = if method {
                (
                    format!("`{name}` is no method"),
                    format!("write {name}(x) instead of x.{name}()"),
                )
            } else {
                (
                    format!("`{name}` is a method"),
                    format!("write x.{name}(...) instead of {name}(x, ...)"),
                )
            };
            self.report("wrong-arity", message, expr, Some(help));
            return Type::Unknown;
        };
        if args < signature.fewest || args > signature.most {
            let wanted = if signature.fewest == signature.most {
                signature.fewest.to_string()
            } else if signature.most == usize::MAX {
                format!("{} or more", signature.fewest)
            } else {
                format!("{} to {}", signature.fewest, signature.most)
            };
            self.report(
                "wrong-arity",
                format!("`{name}` takes {wanted} argument(s), not {args}"),
                expr,
                None,
            );
        }
        if matches!(
            name,
            "startsWith" | "endsWith" | "matches" | "lowerAscii" | "split" | "trim"
        ) && let Some(target) = target
            && !matches!(target, Type::String | Type::Unknown)
        {
            self.report(
                "type-error",
                format!("`{name}` is a method of strings, not of {}", target.name()),
                expr,
                None,
            );
        }
        match name {
            "size" | "int" | "uint" | "double" | "quantity" | "indexOf" | "lastIndexOf" => Type::Number,
            "string" | "sha256" | "b64encode" | "b64decode" | "lowerAscii" | "upperAscii" | "trim"
            | "replace" | "join" | "base64.encode" | "charAt" | "substring" => Type::String,
            "bool" | "matches" | "contains" | "startsWith" | "endsWith" | "hasValue" => Type::Bool,
            "split" | "lists.range" => Type::List,
            "duration" => Type::Duration,
            "timestamp" => Type::Timestamp,
            "bytes" | "base64.decode" => Type::Bytes,
            "url" => Type::Map,
            _ => Type::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{Place, SourceFile};

    const ROOTS: &[&str] = &["vars", "saved", "self", "namespace"];

    fn problems(source: &str) -> Vec<(&'static str, String)> {
        let file = SourceFile::new("s.yaml", source);
        let place = Place::new(file, 0..source.len());
        Program::parse(source, &place)
            .unwrap()
            .check(ROOTS)
            .into_iter()
            .map(|d| {
                (
                    d.code,
                    format!("{}|{}|{}", d.place.text(), d.message, d.help.join(",")),
                )
            })
            .collect()
    }

    #[test]
    fn a_right_expression_has_no_problems() {
        for source in [
            "self.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')",
            "base64.encode(b'x') == vars.x",
            "has(self.x) && self.x in ['a', 'b']",
            "size(self.items) > 1 ? 'a' + string(1) : namespace",
            "now - timestamp(self.metadata.creationTimestamp) < duration('1h')",
            "type(self.x) == int",
            "math.greatest(1, 2, self.n) >= 2.5",
            "self.?x.orValue(1) == 1",
            "self.x == null || self.x != 'a'",
            "quantity(self.a) <= quantity('1Gi')",
            "-1 < self.x",
        ] {
            assert_eq!(problems(source), [], "{source}");
        }
    }

    #[test]
    fn an_unknown_function_is_found_with_a_suggestion() {
        let found = problems("self.name.startWith('a')");
        assert_eq!(found[0].0, "unknown-function");
        assert!(found[0].1.ends_with("did you mean `startsWith`?"), "{found:?}");
        assert_eq!(problems("nosuch(1)")[0].0, "unknown-function");
    }

    #[test]
    fn a_wrong_number_of_arguments_is_found() {
        assert_eq!(problems("size(1, 2)")[0].0, "wrong-arity");
        assert!(problems("contains('a', 'b')")[0].1.contains("write x.contains"));
        assert!(problems("self.x.quantity()")[0].1.contains("write quantity(x)"));
    }

    #[test]
    fn types_of_literals_that_never_fit_are_found() {
        for (source, place) in [
            ("self.a && 'a' > 1", "'a' > 1"),
            ("'a' + 1 == vars.x", "'a' + 1"),
            ("size(self.a) == '1'", "size(self.a) == '1'"),
            ("!'x'", "!'x'"),
            ("1 in 'abc'", "1 in 'abc'"),
            ("'abc'.all(c, true)", "'abc'"),
            ("1 ? 2 : 3", "1 ? 2 : 3"),
        ] {
            let found = problems(source);
            assert_eq!(found.len(), 1, "{source}: {found:?}");
            assert_eq!(found[0].0, "type-error");
            assert!(found[0].1.starts_with(&format!("{place}|")), "{found:?}");
        }
    }

    #[test]
    fn an_unknown_root_is_found_with_a_suggestion() {
        let found = problems("var1.x == 1 && save.y == 2 && [1].all(x, x > z)");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|f| f.0 == "unknown-name"));
        assert!(found[1].1.contains("did you mean `saved`?"));
        assert!(found[2].1.contains("the names are vars, saved, self, namespace"));
    }
}
