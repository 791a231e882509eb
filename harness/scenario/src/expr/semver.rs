//! Versions in expressions: `semver(cluster.version).isLessThan(semver('1.34'))`.
//!
//! Invariant: the names are those of Kubernetes' CEL library; a leading `v` and missing minor or patch numbers are
//! accepted, as its `semver(s, true)` does.

use std::sync::Arc;

use cel::common::functions::Function;
use cel::common::types::{STRING_TYPE, Type};
use cel::common::value::CowVal;
use cel::objects::Opaque;
use cel::{DeclarationError, Env, ExecutionError, Value};

const NAME: &str = "kubernetes.Semver";

#[derive(Debug, PartialEq, Eq)]
struct Version(semver::Version);

impl Opaque for Version {
    fn runtime_type_name(&self) -> &str {
        NAME
    }
}

type Result<T> = std::result::Result<T, ExecutionError>;

/// Adds `semver` and its methods to an environment.
pub(super) fn extension(env: &mut Env) -> std::result::Result<(), DeclarationError> {
    let version = || Type::new_opaque_type(NAME);
    env.add_overload("semver", "semver_string", vec![STRING_TYPE], parse)?;
    let numbers: [(&str, Function); 3] = [("major", major), ("minor", minor), ("patch", patch)];
    for (name, function) in numbers {
        env.add_member_overload(name, &format!("semver_{name}"), version(), vec![], function)?;
    }
    let comparisons: [(&str, Function); 3] = [
        ("isLessThan", is_less),
        ("isGreaterThan", is_greater),
        ("compareTo", compare_to),
    ];
    for (name, function) in comparisons {
        let id = format!("semver_{name}");
        env.add_member_overload(name, &id, version(), vec![version()], function)?;
    }
    Ok(())
}

/// Reads a version, with or without `v`, of one to three numbers.
fn read(text: &str) -> Option<semver::Version> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let end = bare.find(['-', '+']).unwrap_or(bare.len());
    let (numbers, rest) = bare.split_at(end);
    let padded = match numbers.matches('.').count() {
        0 => format!("{numbers}.0.0{rest}"),
        1 => format!("{numbers}.0{rest}"),
        _ => bare.to_owned(),
    };
    semver::Version::parse(&padded).ok()
}

fn parse<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    let text = super::functions::text("semver", &args)?;
    let version = read(&text).ok_or_else(|| {
        ExecutionError::function_error("semver", format!("`{text}` is no version such as 1.34.2"))
    })?;
    let opaque: Arc<dyn Opaque> = Arc::new(Version(version));
    super::functions::give(Value::Opaque(opaque))
}

/// Gives what a function makes of the version that an argument is.
fn with<T>(args: &[CowVal<'_, '_>], index: usize, make: impl FnOnce(&semver::Version) -> T) -> Result<T> {
    let value = args
        .get(index)
        .map(|arg| Value::try_from(arg.as_ref()))
        .transpose()?;
    match &value {
        Some(Value::Opaque(opaque)) => opaque.downcast_ref::<Version>().map(|version| make(&version.0)),
        _ => None,
    }
    .ok_or_else(|| ExecutionError::function_error("semver", "expected a version: wrap it in semver(...)"))
}

fn number<'b, 'v>(args: &[CowVal<'_, '_>], part: fn(&semver::Version) -> u64) -> Result<CowVal<'b, 'v>> {
    let number = with(args, 0, part)?;
    super::functions::give(i64::try_from(number).unwrap_or(i64::MAX))
}

fn major<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    number(&args, |version| version.major)
}

fn minor<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    number(&args, |version| version.minor)
}

fn patch<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    number(&args, |version| version.patch)
}

/// How two versions compare by precedence (build metadata aside).
fn ordering(args: &[CowVal<'_, '_>]) -> Result<std::cmp::Ordering> {
    with(args, 0, |a| with(args, 1, |b| a.cmp_precedence(b)))?
}

fn is_less<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    super::functions::give(ordering(&args)?.is_lt())
}

fn is_greater<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    super::functions::give(ordering(&args)?.is_gt())
}

fn compare_to<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>> {
    super::functions::give(i64::from(ordering(&args)? as i8))
}
