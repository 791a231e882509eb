//! A connection to Postgres and its statements.
//!
//! Invariant: one call is one statement, and its values do not depend on the server's settings.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures::{StreamExt as _, pin_mut};
use serde_json::{Map, Value};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::cancel::CancelOnDrop;
use crate::dial::Dialer;
use crate::error::{Kind, ProbeError};
use crate::values::{to_json, to_literal};

/// The most rows that a query may return: an expectation names its rows.
pub const MOST_ROWS: usize = 10_000;

/// The answer to a statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// The names of the columns, in order; empty if the statement returns no rows.
    pub columns: Vec<String>,
    /// The rows in order.
    pub rows: Vec<Map<String, Value>>,
    /// How many rows the server says it returned or changed.
    pub affected: u64,
}

/// A connection. It ends when this is dropped.
pub struct Postgres {
    pub(super) client: Client,
    pub(super) dialer: Dialer,
    pub(super) tls: Option<MakeRustlsConnect>,
    pub(super) host: String,
    pub(super) over_tls: bool,
    /// Why the connection ended.
    pub(super) end: Arc<Mutex<Option<String>>>,
    pub(super) statements: AtomicU64,
}

impl Postgres {
    /// Runs one statement. Values of the result become JSON: numbers, booleans, null, lists for arrays, JSON for
    /// json, RFC 3339 for times, and text for all else. Parameters are `$1`, `$2`, ...: they are given to the server as
    /// the types that the statement wants. Dropping the future cancels the statement in the server.
    ///
    /// # Errors
    /// [`Kind::Sql`], [`Kind::UndefinedTable`] and [`Kind::ReadOnly`] from the server, [`Kind::Lost`], and
    /// [`Kind::Usage`] for several statements, a wrong number of parameters, two columns of one name and more than
    /// [`MOST_ROWS`] rows.
    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Rows, ProbeError> {
        let doing = "run the statement";
        let guard = CancelOnDrop::new(self);
        let result = self.run(doing, sql, params).await;
        guard.disarm();
        result.map_err(|error| self.explain(error))
    }

    /// The names of a schema's tables (partitioned and foreign ones too, no views), sorted.
    ///
    /// # Errors
    /// [`Kind::UndefinedTable`] if there is no such schema, else as [`query`](Self::query).
    pub async fn tables(&self, schema: &str) -> Result<Vec<String>, ProbeError> {
        let rows = self
            .query(
                "select c.relname::text as name from pg_catalog.pg_namespace n \
                 left join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p', 'f') \
                 where n.nspname = $1 order by c.relname::text collate \"C\"",
                &[Value::from(schema)],
            )
            .await?;
        if rows.rows.is_empty() {
            let mut error = ProbeError::new(
                Kind::UndefinedTable,
                &format!("list the tables of schema {schema}"),
                format!("schema \"{schema}\" does not exist"),
            );
            error.sqlstate = Some("3F000".to_owned());
            return Err(error);
        }
        let name = |row: Map<String, Value>| Some(row.get("name")?.as_str()?.to_owned());
        Ok(rows.rows.into_iter().filter_map(name).collect())
    }

    /// Whether the connection is encrypted.
    pub fn is_over_tls(&self) -> bool {
        self.over_tls
    }

    /// Whether the connection has ended: connect anew.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    async fn run(&self, doing: &str, sql: &str, params: &[Value]) -> Result<Rows, ProbeError> {
        let usage = |message: String| ProbeError::new(Kind::Usage, doing, message);
        // The driver can't tell an empty statement from one without rows.
        if is_empty(sql) {
            return Err(usage(
                "the statement is empty: write one, such as `select 1`".to_owned(),
            ));
        }
        // Preparing checks the statement, refuses several, and tells the types. The answer is then fetched by the
        // simple protocol, whose text format the server knows for every type.
        let statement = self
            .client
            .prepare(sql)
            .await
            .map_err(|error| ProbeError::driver(doing, Some(sql), &error, true))?;
        if statement.params().len() != params.len() {
            return Err(usage(format!(
                "the statement has {} parameter(s) ($1, ...), and {} value(s) are given",
                statement.params().len(),
                params.len()
            )));
        }
        let columns: Vec<(String, Type)> = statement
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), column.type_().clone()))
            .collect();
        for (index, (name, _)) in columns.iter().enumerate() {
            if columns[..index].iter().any(|(other, _)| other == name) {
                return Err(usage(format!(
                    "the statement returns two columns named `{name}`: name one of them with `as`"
                )));
            }
        }
        if params.is_empty() {
            return self.fetch(doing, sql, Some(sql), &columns).await;
        }
        let literals: Vec<String> = statement
            .params()
            .iter()
            .zip(params)
            .map(|(type_, value)| to_literal(type_, value))
            .collect();
        if literals.iter().any(|literal| literal.contains('\0')) {
            return Err(usage(
                "a parameter holds a NUL character, which Postgres can't store".to_owned(),
            ));
        }
        let name = format!("muster_{}", self.statements.fetch_add(1, Ordering::Relaxed));
        self.batch(doing, &format!("PREPARE {name} AS {sql}")).await?;
        let rows = self
            .fetch(
                doing,
                &format!("EXECUTE {name}({})", literals.join(", ")),
                None,
                &columns,
            )
            .await;
        if rows.as_ref().is_err_and(|error| error.kind == Kind::Lost) {
            return rows;
        }
        // In a failed transaction this fails, too; the statement's own error says more.
        let freed = self.batch(doing, &format!("DEALLOCATE {name}")).await;
        rows.and_then(|rows| freed.map(|()| rows))
    }

    async fn batch(&self, doing: &str, sql: &str) -> Result<(), ProbeError> {
        self.client
            .batch_execute(sql)
            .await
            .map_err(|error| ProbeError::driver(doing, None, &error, true))
    }

    /// Runs a statement by the simple protocol. `shown`: what a position in an error counts in.
    async fn fetch(
        &self,
        doing: &str,
        sql: &str,
        shown: Option<&str>,
        columns: &[(String, Type)],
    ) -> Result<Rows, ProbeError> {
        let failed = |error: tokio_postgres::Error| ProbeError::driver(doing, shown, &error, true);
        let stream = self.client.simple_query_raw(sql).await.map_err(failed)?;
        pin_mut!(stream);
        let mut answer = Rows {
            columns: columns.iter().map(|(name, _)| name.clone()).collect(),
            rows: Vec::new(),
            affected: 0,
        };
        while let Some(message) = stream.next().await {
            match message.map_err(failed)? {
                SimpleQueryMessage::Row(row) => {
                    if answer.rows.len() == MOST_ROWS {
                        return Err(ProbeError::new(
                            Kind::Usage,
                            doing,
                            format!(
                                "the statement returns more than {MOST_ROWS} rows: add a `where` or a `limit`"
                            ),
                        ));
                    }
                    let value = |(index, (name, type_)): (usize, &(String, Type))| {
                        let value = row.get(index).map_or(Value::Null, |text| to_json(type_, text));
                        (name.clone(), value)
                    };
                    answer.rows.push(columns.iter().enumerate().map(value).collect());
                }
                SimpleQueryMessage::CommandComplete(count) => answer.affected = count,
                _ => {}
            }
        }
        Ok(answer)
    }

    /// Says why the connection ended, where the statement only knows that it did.
    fn explain(&self, mut error: ProbeError) -> ProbeError {
        let end = match self.end.lock() {
            Ok(end) => end,
            Err(poisoned) => poisoned.into_inner(),
        };
        if let (Kind::Lost, None, Some(why)) = (error.kind, &error.sqlstate, &*end) {
            error.message.clone_from(why);
        }
        error
    }
}

/// Whether a statement is nothing but white space, semicolons and comments (block comments nest).
fn is_empty(sql: &str) -> bool {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("/*") {
            let mut depth = 0usize;
            loop {
                if let Some(after) = rest.strip_prefix("/*") {
                    depth += 1;
                    rest = after;
                } else if let Some(after) = rest.strip_prefix("*/") {
                    depth -= 1;
                    rest = after;
                } else {
                    let mut chars = rest.chars();
                    if chars.next().is_none() {
                        // An open comment: the server says so.
                        return false;
                    }
                    rest = chars.as_str();
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            return rest.is_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_of_comments_alone_is_empty() {
        for sql in [
            "",
            " \n",
            ";",
            "-- a",
            "-- a\n;",
            "/* a /* b */ c */",
            "/**/ -- x\n",
        ] {
            assert!(is_empty(sql), "{sql}");
        }
        for sql in ["select 1", "-- a\nselect 1", "/* a */ select 1", "/* open", "- 1"] {
            assert!(!is_empty(sql), "{sql}");
        }
    }
}
