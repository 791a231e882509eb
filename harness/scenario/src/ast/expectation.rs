//! Expectations: what a step observes.
//!
//! Invariant: exactly one subject; the common keys mean the same for each.

use std::time::Duration;

use muster_model::Place;

use crate::ast::{Fails, Save, Target};
use crate::expr::{Program, Templated, Tree};
use crate::matching::Pattern;

/// One expectation.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// Where it begins.
    pub place: Place,
    /// `name`, if given.
    pub name: Option<String>,
    /// What is observed.
    pub subject: Subject,
    /// `within`: becomes true before; default 30s.
    pub within: Option<Templated<Duration>>,
    /// `for`: stays true during.
    pub hold: Option<Templated<Duration>>,
    /// `never`: may not become true during.
    pub never: Option<Templated<Duration>>,
    /// `every`: how often what can only be asked is asked (sql); default 1s.
    pub every: Option<Templated<Duration>>,
    /// `edge: true`: must be seen false at or after the mark, then true.
    pub edge: bool,
    /// `any: true`: one selected object is enough.
    pub any: bool,
    /// `when`.
    pub when: Option<Program>,
    /// `namespace`: an alias.
    pub namespace: Option<Templated<String>>,
    /// `save`: names with bare CEL over `self`.
    pub save: Vec<Save>,
    /// `fails_on`: ends the wait at once with a failure.
    pub fails_on: Option<Box<Expectation>>,
}

/// The subjects.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a scenario has few expectations, and boxes would be in the way"
)]
pub enum Subject {
    /// `object`.
    Object(ObjectSubject),
    /// `ready`.
    Ready(ReadySubject),
    /// `crash`.
    Crash(CrashSubject),
    /// `log`.
    Log(LogSubject),
    /// `sql`.
    Sql(SqlSubject),
}

/// `object`.
#[derive(Debug, Clone)]
pub struct ObjectSubject {
    /// Which.
    pub target: Target,
    /// The checks; at least one.
    pub checks: Vec<ObjectCheck>,
}

/// A check on an object or a set of objects.
#[derive(Debug, Clone)]
pub enum ObjectCheck {
    /// `match`.
    Match(Pattern),
    /// `cel`: bare CEL over `self`.
    Cel(Program),
    /// `absent`.
    Absent(Absent),
    /// `count`.
    Count(Pattern),
    /// `condition: Ready=True`.
    Condition {
        /// The condition's type.
        name: String,
        /// Its status.
        status: String,
        /// Where it is written.
        place: Place,
    },
}

/// The two forms of `absent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// `absent: true`: it was seen earlier in this scenario.
    AfterSeen,
    /// `absent: from-start`.
    FromStart,
}

/// `ready`.
#[derive(Debug, Clone)]
pub struct ReadySubject {
    /// Which.
    pub target: Target,
    /// `replicas`: the desired number, needed where it is 0.
    pub replicas: Option<Templated<i64>>,
}

/// `crash`: a container that ended since the mark.
#[derive(Debug, Clone)]
pub struct CrashSubject {
    /// A pod, an owner, or a selector of pods.
    pub target: Target,
    /// `container`; any by default.
    pub container: Option<Templated<String>>,
    /// `code`.
    pub code: Option<Pattern>,
    /// `reason`, such as `OOMKilled`.
    pub reason: Option<Pattern>,
    /// `times`, by default 1.
    pub times: Option<Templated<i64>>,
}

/// `log`.
#[derive(Debug, Clone)]
pub struct LogSubject {
    /// A pod, an owner, or a selector of pods.
    pub target: Target,
    /// `container`.
    pub container: Option<Templated<String>>,
    /// `line` or `lines`.
    pub lines: LogLines,
    /// `count`: how many lines match, with `line` only.
    pub count: Option<Pattern>,
    /// `from`.
    pub from: LogFrom,
    /// `across: restarts`.
    pub across_restarts: bool,
}

/// What lines are looked for.
#[derive(Debug, Clone)]
pub enum LogLines {
    /// `line`: one.
    One(LinePattern),
    /// `lines`: in this order.
    Ordered(Vec<LinePattern>),
}

/// One line's pattern.
#[derive(Debug, Clone)]
pub enum LinePattern {
    /// Contained in the raw line.
    Contains(Templated<String>),
    /// `{$matches: ...}` or another single operator: against the raw line.
    Raw(Pattern),
    /// A map: against the fields of the line (JSON, logfmt, klog).
    Fields(Pattern),
}

/// Whose lines count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFrom {
    /// `any-pod`.
    #[default]
    AnyPod,
    /// `every-pod`: owned, not terminating, at least the desired number.
    EveryPod,
}

/// `sql`.
#[derive(Debug, Clone)]
pub struct SqlSubject {
    /// Where it is written.
    pub place: Place,
    /// `on`: a connection's name.
    pub on: String,
    /// Where the name is written.
    pub on_place: Place,
    /// What is asked.
    pub ask: SqlAsk,
    /// `rows`: the whole result.
    pub rows: Option<SqlRows>,
    /// `value`: the only column of the only row.
    pub value: Option<Pattern>,
    /// `fails`: the query must fail like this.
    pub fails: Option<Fails>,
}

/// What is asked of a database.
#[derive(Debug, Clone)]
pub enum SqlAsk {
    /// `query` with `params`.
    Query {
        /// The statement.
        query: Templated<String>,
        /// `$1`, `$2`...
        params: Vec<Tree>,
    },
    /// `tables: public`: the names of the tables of a schema, one row each.
    Tables(Templated<String>),
}

/// `rows`.
#[derive(Debug, Clone)]
pub struct SqlRows {
    /// For a plain list: whole by itself, so length must agree. A map of operators (`{$len, $each, $contains}`) as it is.
    pub pattern: Pattern,
    /// `ordered: true`.
    pub ordered: bool,
}
