//! `sql`: what a database answers.
//!
//! Invariant: a database can't be watched, only asked: every `every`, over one connection that is kept; a pod that the
//! step's action removed is never asked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_model::{Mismatch, Place};
use muster_probe::{Class, ProbeError};
use muster_scenario::ast::{Fails, SqlAsk, SqlSubject};
use muster_scenario::matching::{Bound, Outcome};
use serde_json::{Value, json};

use crate::connections::{AskError, Asker};
use crate::context::StepContext;
use crate::expect::{bind_optional, prefixed};
use crate::failure::{FailureFacts, Trouble};
use crate::mark::Effects;
use crate::steps::fails;
use crate::wait::{Answer, Observe, Sighting};

/// How often a database is asked where `every` says nothing.
const EVERY: Duration = Duration::from_secs(1);

enum Ask {
    Query { sql: String, params: Vec<Value> },
    Tables(String),
}

/// Observes a query's result.
pub(crate) struct SqlObserver {
    step: Arc<StepContext>,
    place: Place,
    on: String,
    ask: Ask,
    rows: Option<Bound>,
    value: Option<Bound>,
    fails: Option<Fails>,
    every: Duration,
    asked: bool,
    nearest: String,
    help: Vec<String>,
    effects: Arc<Effects>,
}

impl SqlObserver {
    /// Fills in the templates of a subject.
    pub(crate) fn new(
        step: &Arc<StepContext>,
        subject: &SqlSubject,
        every: Option<Duration>,
        effects: &Arc<Effects>,
    ) -> Result<Self, Trouble> {
        let names = step.names();
        let ask = match &subject.ask {
            SqlAsk::Query { query, params } => Ask::Query {
                sql: step.value(query)?,
                params: params
                    .iter()
                    .map(|param| param.eval(&names).map_err(|error| Trouble::from_eval(&error)))
                    .collect::<Result<_, _>>()?,
            },
            SqlAsk::Tables(schema) => Ask::Tables(step.value(schema)?),
        };
        Ok(Self {
            step: Arc::clone(step),
            place: subject.place.clone(),
            on: subject.on.clone(),
            ask,
            rows: bind_optional(step, subject.rows.as_ref().map(|rows| &rows.pattern))?,
            value: bind_optional(step, subject.value.as_ref())?,
            fails: subject.fails.clone(),
            every: every.unwrap_or(EVERY),
            asked: false,
            nearest: String::new(),
            help: Vec::new(),
            effects: Arc::clone(effects),
        })
    }

    async fn look(&mut self) -> Result<Sighting, Trouble> {
        self.asked = true;
        let connections = &self.step.ctx.connections;
        let asker = Asker {
            step: &self.step,
            place: &self.place,
            removed: &self.effects.removed,
        };
        let answer = match &self.ask {
            Ask::Query { sql, params } => connections
                .query(asker, &self.on, sql, params)
                .await
                .map(|rows| Value::Array(rows.rows.into_iter().map(Value::Object).collect())),
            Ask::Tables(schema) => connections
                .tables(asker, &self.on, schema)
                .await
                .map(|tables| json!(tables)),
        };
        let rows = match answer {
            Ok(rows) => rows,
            Err(AskError::Trouble(trouble)) => return Err(trouble),
            Err(AskError::NotYet(why)) => return Ok(Answer::Unknown(why).into()),
            Err(AskError::Probe(error)) => return Ok(self.assess_error(&error)?.into()),
        };
        Ok(self.assess(rows)?.into())
    }

    fn assess_error(&mut self, error: &ProbeError) -> Result<Answer, Trouble> {
        let seen = tell(error);
        self.nearest.clone_from(&seen);
        if let Some(wanted) = &self.fails {
            let facts = FailureFacts {
                message: Some(error.message.clone()),
                sqlstate: error.sqlstate.clone(),
                kind: Some(error.kind.name().to_owned()),
                ..FailureFacts::default()
            };
            let mismatches = fails::compare(&self.step, wanted, &facts)?;
            return Ok(if mismatches.is_empty() {
                Answer::Holds {
                    seen,
                    value: Value::Null,
                }
            } else {
                Answer::Differs { seen, mismatches }
            });
        }
        let mismatches = vec![Mismatch::new("", "an answer", error.message.clone())];
        let mut help = error.hints.clone();
        help.extend(Some(error.help().to_owned()).filter(|text| !text.is_empty()));
        Ok(match error.class() {
            Class::Permanent => Answer::Final {
                seen,
                mismatches,
                help,
            },
            Class::NotYet => {
                self.help = help;
                Answer::Differs { seen, mismatches }
            }
            Class::Transient => Answer::Unknown(seen),
        })
    }

    fn assess(&mut self, rows: Value) -> Result<Answer, Trouble> {
        let number = rows.as_array().map_or(0, Vec::len);
        let count = if number == 1 {
            "1 row".to_owned()
        } else {
            format!("{number} rows")
        };
        if self.fails.is_some() {
            let mismatch = Mismatch::new("", "a failure", count.clone());
            return Ok(Answer::Differs {
                seen: format!("no failure: {count}"),
                mismatches: vec![mismatch],
            });
        }
        let outcome = match (&self.rows, &self.value) {
            (Some(pattern), _) => pattern.check(&rows),
            (None, Some(pattern)) => match single(&rows) {
                Some(value) => match pattern.check(&value) {
                    Outcome::Holds => Outcome::Holds,
                    Outcome::Differs(mismatches) => Outcome::Differs(prefixed("value", mismatches)),
                    Outcome::Invalid(mismatches) => Outcome::Invalid(prefixed("value", mismatches)),
                },
                None => Outcome::Differs(vec![Mismatch::new(
                    "value",
                    "one row with one column",
                    count.clone(),
                )]),
            },
            (None, None) => Outcome::Holds,
        };
        let shown = shorten(&rows);
        Ok(match outcome {
            Outcome::Holds => Answer::Holds {
                seen: count,
                value: if self.value.is_some() {
                    single(&rows).unwrap_or(Value::Null)
                } else {
                    rows
                },
            },
            Outcome::Differs(mismatches) => {
                self.nearest.clone_from(&shown);
                Answer::Differs {
                    seen: format!("{count}: {shown}"),
                    mismatches,
                }
            }
            Outcome::Invalid(mismatches) => {
                self.nearest.clone_from(&shown);
                Answer::Final {
                    seen: format!("{count}: {shown}"),
                    mismatches,
                    help: Vec::new(),
                }
            }
        })
    }
}

/// What the server said, without the statement, which the report names anyway.
fn tell(error: &ProbeError) -> String {
    let mut text = error.message.clone();
    if let Some(code) = &error.sqlstate {
        text.push_str(&format!(" (SQLSTATE {code})"));
    }
    if let Some(position) = &error.position {
        text.push_str(&format!(
            " at line {}, column {} of the statement",
            position.line, position.column
        ));
    }
    text
}

fn single(rows: &Value) -> Option<Value> {
    match rows.as_array()?.as_slice() {
        [Value::Object(row)] if row.len() == 1 => row.values().next().cloned(),
        _ => None,
    }
}

fn shorten(rows: &Value) -> String {
    let text = rows.to_string();
    if text.chars().count() <= 300 {
        text
    } else {
        text.chars().take(300).chain(['…']).collect()
    }
}

#[async_trait]
impl Observe for SqlObserver {
    async fn next(&mut self) -> Result<Sighting, Trouble> {
        if self.asked {
            tokio::time::sleep(self.every).await;
        }
        self.look().await
    }

    async fn fresh(&mut self) -> Result<Sighting, Trouble> {
        self.look().await
    }

    fn subject(&self) -> String {
        match &self.ask {
            Ask::Query { sql, .. } => {
                let line: String = sql.split_whitespace().collect::<Vec<_>>().join(" ");
                let cut: String = line.chars().take(60).collect();
                let dots = if line.chars().count() > 60 { "…" } else { "" };
                format!("sql on {}: {cut}{dots}", self.on)
            }
            Ask::Tables(schema) => format!("sql on {}: tables of schema {schema}", self.on),
        }
    }

    fn expected(&self) -> String {
        if let Some(rows) = &self.rows {
            format!("rows {}", rows.summary())
        } else if let Some(value) = &self.value {
            format!("the value {}", value.summary())
        } else if self.fails.is_some() {
            "the statement to fail".to_owned()
        } else {
            "the statement to succeed".to_owned()
        }
    }

    fn nearest(&self) -> String {
        self.nearest.clone()
    }

    fn help(&self) -> Vec<String> {
        self.help.clone()
    }
}
