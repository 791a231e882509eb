//! Variables: values that a scenario declares, new for each attempt.
//!
//! Invariant: a secret is registered for masking before anything can show it.

use muster_scenario::ast::{Var, VarSource};
use muster_scenario::expr::Scope;
use rand::Rng;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::failure::Trouble;

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// So many random characters of `[A-Za-z0-9]`.
pub(crate) fn random(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]))
        .collect()
}

/// Five random characters that a Kubernetes name may end with.
pub(crate) fn suffix() -> String {
    const ALLOWED: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rng = rand::rng();
    (0..5)
        .map(|_| char::from(ALLOWED[rng.random_range(0..ALLOWED.len())]))
        .collect()
}

/// Gives each variable its value, in the written order. The namespaces may not be there yet: `known` has the real names
/// of those whose names don't depend on variables.
pub(crate) fn set_all(ctx: &Context, namespace: &str, known: &Map<String, Value>) -> Result<(), Trouble> {
    for var in &ctx.scenario.vars {
        let mut names = ctx.names(namespace);
        names.set("namespaces", Value::Object(known.clone()));
        let value = value_of(ctx, var, &names)?;
        if var.secret {
            let text = match &value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            ctx.secrets
                .register(&format!("vars.{}", var.name), &text)
                .map_err(|error| Trouble::failed(error.to_string(), &var.place))?;
        }
        ctx.set_var(&var.name, value);
    }
    Ok(())
}

fn value_of(ctx: &Context, var: &Var, names: &Scope) -> Result<Value, Trouble> {
    let given = ctx.options.vars.get(&var.name);
    match (&var.source, given) {
        (VarSource::Value(tree), given) => {
            let declared = tree.eval(names).map_err(|error| Trouble::from_eval(&error))?;
            match given {
                None => Ok(declared),
                Some(text) => typed(text, &declared)
                    .ok_or_else(|| Trouble::failed(not_of_type(var, text, &declared), &var.place)),
            }
        }
        (_, Some(text)) => Ok(json!(text)),
        (VarSource::Random(length), None) => Ok(json!(random(*length))),
        (VarSource::Env(name), None) => match std::env::var(name) {
            Ok(value) => Ok(json!(value)),
            Err(_) => Err(Trouble::failed(
                format!(
                    "vars.{} takes its value from the environment variable {name}, which is not set",
                    var.name
                ),
                &var.place,
            )
            .help(format!("set {name}, or give --var {}=VALUE", var.name))),
        },
    }
}

/// What is wrong with a text given for a variable by `--var`: it is not of the type that the scenario declares. A value
/// that is made of other values is only known in the run.
pub fn wrong_var(var: &Var, text: &str) -> Option<String> {
    let VarSource::Value(tree) = &var.source else {
        return None;
    };
    let declared = tree.literal()?;
    typed(text, &declared)
        .is_none()
        .then(|| not_of_type(var, text, &declared))
}

fn not_of_type(var: &Var, text: &str, declared: &Value) -> String {
    format!(
        "--var {}={text} is no {}, as the scenario declares it",
        var.name,
        kind(declared)
    )
}

/// The text of `--var` as the type of the declared value.
fn typed(text: &str, declared: &Value) -> Option<Value> {
    match declared {
        Value::String(_) | Value::Null => Some(json!(text)),
        Value::Bool(_) => text.parse::<bool>().ok().map(Value::from),
        Value::Number(number) if number.is_f64() => text.parse::<f64>().ok().map(Value::from),
        Value::Number(_) => text.parse::<i64>().ok().map(Value::from),
        Value::Array(_) | Value::Object(_) => {
            let parsed: Value = serde_json::from_str(text).ok()?;
            (parsed.is_array() == declared.is_array()).then_some(parsed)
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::Array(_) => "list (as JSON)",
        Value::Object(_) => "map (as JSON)",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_takes_the_declared_type() {
        assert_eq!(typed("3", &json!(1)), Some(json!(3)));
        assert_eq!(typed("three", &json!(1)), None);
        assert_eq!(typed("3", &json!("1")), Some(json!("3")));
        assert_eq!(typed("true", &json!(false)), Some(json!(true)));
        assert_eq!(typed("[1]", &json!([])), Some(json!([1])));
        assert_eq!(typed("{}", &json!([])), None);
    }

    #[test]
    fn random_values_have_the_length_and_the_letters() {
        let value = random(24);
        assert_eq!(value.len(), 24);
        assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(value, random(24));
    }
}
