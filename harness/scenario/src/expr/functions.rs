//! The functions that expressions can call: CEL's standard ones, its extensions for strings, lists, numbers and
//! base64, and muster's own.
//!
//! Invariant: a function has no side effect and reads nothing but its arguments.

use std::sync::{Arc, LazyLock};

use cel::common::types::{DYN_TYPE, STRING_TYPE};
use cel::common::value::CowVal;
use cel::objects::Opaque;
use cel::{Env, ExecutionError, Value};
use sha2::Digest as _;

use super::convert::to_cel;
use crate::decode::{self, DecodeError, Quantity};

/// The environment of all programs.
pub(super) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(environment()));

/// What `regex(x)` gives: text that `$matches` takes as a pattern instead of escaping it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RegexText(pub(crate) String);

impl Opaque for RegexText {
    fn runtime_type_name(&self) -> &str {
        "regex"
    }
}

/// How a function may be called: name (qualified by a dot for a namespace), as a method or not, fewest and most
/// arguments (the receiver of a method not counted).
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) method: bool,
    pub(super) fewest: usize,
    pub(super) most: usize,
}

const fn call(name: &'static str, fewest: usize, most: usize) -> Signature {
    Signature {
        name,
        method: false,
        fewest,
        most,
    }
}

const fn method(name: &'static str, fewest: usize, most: usize) -> Signature {
    Signature {
        name,
        method: true,
        fewest,
        most,
    }
}

/// Every function, macros too.
pub(super) const SIGNATURES: &[Signature] = &[
    call("size", 1, 1),
    method("size", 0, 0),
    call("string", 1, 1),
    call("int", 1, 1),
    call("uint", 1, 1),
    call("double", 1, 1),
    call("bool", 1, 1),
    call("bytes", 1, 1),
    call("type", 1, 1),
    call("dyn", 1, 1),
    call("duration", 1, 1),
    call("timestamp", 1, 1),
    call("matches", 2, 2),
    method("matches", 1, 1),
    method("contains", 1, 1),
    method("startsWith", 1, 1),
    method("endsWith", 1, 1),
    method("getFullYear", 0, 1),
    method("getMonth", 0, 1),
    method("getDayOfYear", 0, 1),
    method("getDayOfMonth", 0, 1),
    method("getDate", 0, 1),
    method("getDayOfWeek", 0, 1),
    method("getHours", 0, 1),
    method("getMinutes", 0, 1),
    method("getSeconds", 0, 1),
    method("getMilliseconds", 0, 1),
    call("optional.of", 1, 1),
    call("optional.none", 0, 0),
    call("optional.ofNonZeroValue", 1, 1),
    method("hasValue", 0, 0),
    method("value", 0, 0),
    method("or", 1, 1),
    method("orValue", 1, 1),
    method("optMap", 2, 2),
    method("optFlatMap", 2, 2),
    call("has", 1, 1),
    method("all", 2, 2),
    method("exists", 2, 2),
    method("exists_one", 2, 2),
    method("existsOne", 2, 2),
    method("map", 2, 3),
    method("filter", 2, 2),
    method("charAt", 1, 1),
    method("indexOf", 1, 2),
    method("lastIndexOf", 1, 2),
    method("join", 0, 1),
    method("lowerAscii", 0, 0),
    method("upperAscii", 0, 0),
    method("trim", 0, 0),
    method("replace", 2, 3),
    method("split", 1, 2),
    method("substring", 1, 2),
    method("reverse", 0, 0),
    method("format", 1, 1),
    call("strings.quote", 1, 1),
    method("slice", 2, 2),
    method("flatten", 0, 1),
    method("distinct", 0, 0),
    method("sort", 0, 0),
    method("sortBy", 2, 2),
    call("lists.range", 1, 1),
    call("base64.encode", 1, 1),
    call("base64.decode", 1, 1),
    call("math.greatest", 1, usize::MAX),
    call("math.least", 1, usize::MAX),
    call("math.ceil", 1, 1),
    call("math.floor", 1, 1),
    call("math.round", 1, 1),
    call("math.trunc", 1, 1),
    call("math.abs", 1, 1),
    call("math.sign", 1, 1),
    call("math.sqrt", 1, 1),
    call("math.isNaN", 1, 1),
    call("math.isInf", 1, 1),
    call("math.isFinite", 1, 1),
    call("math.bitAnd", 2, 2),
    call("math.bitOr", 2, 2),
    call("math.bitXor", 2, 2),
    call("math.bitNot", 1, 1),
    call("math.bitShiftLeft", 2, 2),
    call("math.bitShiftRight", 2, 2),
    call("quantity", 1, 1),
    call("sha256", 1, 1),
    call("b64encode", 1, 1),
    call("b64decode", 1, 1),
    call("json", 1, 1),
    call("yaml", 1, 1),
    call("url", 1, 1),
    call("regex", 1, 1),
    call("semver", 1, 1),
    method("isLessThan", 1, 1),
    method("isGreaterThan", 1, 1),
    method("compareTo", 1, 1),
    method("major", 0, 0),
    method("minor", 0, 0),
    method("patch", 0, 0),
];

/// Whether `name` is a function in a namespace, such as `base64.encode`.
pub(super) fn is_qualified(name: &str) -> bool {
    name.contains('.') && SIGNATURES.iter().any(|s| s.name == name)
}

type Result<T> = std::result::Result<T, ExecutionError>;

fn environment() -> Env {
    let mut env = Env::stdlib();
    // Declaring fails only for a name that is declared twice: the test of the table below would show it.
    let _ = env.add_extension(cel::extensions::strings);
    let _ = env.add_extension(cel::extensions::lists);
    let _ = env.add_extension(cel::extensions::math);
    let _ = env.add_extension(cel::extensions::encoders);
    let _ = env.add_extension(super::semver::extension);
    let own: [(&str, cel::common::functions::Function); 7] = [
        ("sha256", sha256),
        ("b64encode", b64encode),
        ("b64decode", b64decode),
        ("json", json),
        ("yaml", yaml),
        ("url", url),
        ("regex", regex),
    ];
    for (name, function) in own {
        let _ = env.add_overload(name, &format!("{name}_string"), vec![STRING_TYPE], function);
    }
    let _ = env.add_overload("quantity", "quantity_dyn", vec![DYN_TYPE], quantity);
    env
}

/// The argument as text.
pub(super) fn text(function: &str, args: &[CowVal<'_, '_>]) -> Result<String> {
    let value = args
        .first()
        .map(|arg| Value::try_from(arg.as_ref()))
        .transpose()?
        .unwrap_or(Value::Null);
    match value {
        Value::String(text) => Ok(text.as_str().to_owned()),
        other => Err(ExecutionError::function_error(
            function,
            format!("expected a string, got {}", other.type_of()),
        )),
    }
}

pub(super) fn give<'b, 'v>(value: impl Into<Value>) -> Result<CowVal<'b, 'v>> {
    Ok(CowVal::Owned(value.into().try_into()?))
}

fn decoded<'b, 'v>(
    function: &str,
    result: std::result::Result<serde_json::Value, DecodeError>,
) -> Result<CowVal<'b, 'v>> {
    let value = result.map_err(|e| ExecutionError::function_error(function, e))?;
    let owned = Value::try_from(to_cel(&value).as_ref())?;
    give(owned)
}

/// A Kubernetes quantity as a number: an int where it is whole, else a double. A number stays as it is.
fn quantity<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    if let Some(arg) = args.first()
        && let number @ (Value::Int(_) | Value::UInt(_) | Value::Float(_)) = Value::try_from(arg.as_ref())?
    {
        return give(number);
    }
    let quantity = Quantity::parse(&text("quantity", &args)?)
        .map_err(|e| ExecutionError::function_error("quantity", e))?;
    match quantity.as_integer() {
        Some(whole) => give(whole),
        None => give(quantity.as_f64()),
    }
}

/// The SHA-256 of a text's UTF-8 bytes, in lower-case hexadecimal digits.
fn sha256<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    let digest = sha2::Sha256::digest(text("sha256", &args)?.as_bytes());
    give(
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>(),
    )
}

/// The base64 of a text's UTF-8 bytes.
fn b64encode<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    use base64::Engine as _;
    give(base64::engine::general_purpose::STANDARD.encode(text("b64encode", &args)?))
}

/// The text that a base64 holds.
fn b64decode<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    let text = decode::base64(&text("b64decode", &args)?)
        .map_err(|e| ExecutionError::function_error("b64decode", e))?;
    give(text)
}

fn json<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    decoded("json", decode::json(&text("json", &args)?))
}

fn yaml<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    decoded("yaml", decode::yaml(&text("yaml", &args)?))
}

fn url<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    decoded("url", decode::url(&text("url", &args)?))
}

fn regex<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    let opaque: Arc<dyn Opaque> = Arc::new(RegexText(text("regex", &args)?));
    give(Value::Opaque(opaque))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cel::Context;

    fn eval(source: &str) -> std::result::Result<Value, ExecutionError> {
        ENV.compile(source)
            .unwrap()
            .execute(&Context::with_env(Arc::clone(&ENV)))
    }

    #[test]
    fn every_function_of_the_table_exists() {
        for signature in SIGNATURES {
            let count = signature.fewest.max(usize::from(signature.most > 0));
            // Arguments as macros want them: a variable first.
            let args: Vec<&str> = ["x", "x", "x"].into_iter().take(count).collect();
            let args = args.join(", ");
            let source = match signature.name {
                "has" => "has([0].map(x, {'a': x})[0].a)".to_owned(),
                name if signature.method => format!("[0].map(x, x.{name}({args}))"),
                name => format!("[0].map(x, {name}({args}))"),
            };
            let result = eval(&source);
            assert!(
                !matches!(result, Err(ExecutionError::UndeclaredReference(_))),
                "{source}: {result:?}"
            );
        }
    }

    #[test]
    fn own_functions_do_what_they_say() {
        for source in [
            "quantity('500m') == 0.5",
            "quantity('1Gi') == 1073741824",
            "quantity('500m') < quantity('1')",
            "quantity(2) < quantity('3k')",
            "sha256('abc') == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'",
            "b64decode(b64encode('ä')) == 'ä'",
            "json('{\"a\": [1, 2]}').a[1] + 1 == 3",
            "yaml('a: {b: x}').a.b == 'x'",
            "url('postgresql://u@h:5432/d?sslmode=require').query.sslmode == 'require'",
            "'a,b'.split(',').join('-') == 'a-b'",
            "' A '.trim().lowerAscii().replace('a', 'b') == 'b'",
            "string(base64.decode(base64.encode(b'x'))) == 'x'",
            "timestamp('2026-01-01T00:00:00Z') + duration('1h') > timestamp('2026-01-01T00:59:00Z')",
            "'a1'.matches('^a[0-9]$')",
            "semver('v1.34.4').isGreaterThan(semver('1.34'))",
            "semver('1.9.0').isLessThan(semver('1.10.0'))",
            "semver('1.2.0-rc.1').compareTo(semver('1.2')) == -1",
            "semver('v1.34.4+k3s1').minor() == 34",
        ] {
            assert_eq!(eval(source), Ok(Value::Bool(true)), "{source}");
        }
    }

    #[test]
    fn wrong_text_is_an_error_of_the_function() {
        for source in [
            "quantity('x')",
            "json('{')",
            "b64decode('!')",
            "url('x')",
            "semver('x')",
        ] {
            assert!(
                matches!(eval(source), Err(ExecutionError::FunctionError { .. })),
                "{source}"
            );
        }
    }
}
