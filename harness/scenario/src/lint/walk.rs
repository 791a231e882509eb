//! Every expression of a scenario, with where in the story it is read.
//!
//! Invariant: no expression of a scenario is left out.

use crate::ast::{
    Action, ActionKind, Credential, Expectation, Fails, LinePattern, LogLines, NamespaceSource, ObjectCheck,
    PatchBody, Save, Scenario, Select, SqlAsk, Step, Subject, Target, VarSource,
};
use crate::expr::{FromScalar, Program, Reference, Templated, Tree};
use crate::matching::Pattern;

/// Where in the story an expression is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// In the var of this index.
    Var(usize),
    /// In a namespace's name or labels.
    Namespace,
    /// In a connection.
    Connection,
    /// In a step.
    Step(Moment),
}

/// A moment of the story: steps count from 0, those of `finally` behind the others; in a step the action is 0, its
/// expectations follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub(super) step: usize,
    pub(super) part: usize,
}

/// An expression.
pub(super) struct Found<'s> {
    /// The program.
    pub(super) program: Program,
    /// The names it reads.
    pub(super) references: Vec<Reference>,
    /// Where.
    pub(super) site: Site,
    /// Whether it sees `self`.
    pub(super) sees_self: bool,
    /// The `when` conditions under which it is read, as they are written.
    pub(super) guards: Vec<&'s str>,
}

/// All expressions in the order of the story.
pub(super) fn expressions(scenario: &Scenario) -> Vec<Found<'_>> {
    let mut walk = Walk {
        found: Vec::new(),
        site: Site::Namespace,
        guards: Vec::new(),
    };
    for (index, var) in scenario.vars.iter().enumerate() {
        walk.site = Site::Var(index);
        if let VarSource::Value(tree) = &var.source {
            walk.tree(tree);
        }
    }
    walk.site = Site::Namespace;
    for namespace in &scenario.namespaces {
        let labels = match &namespace.source {
            NamespaceSource::Existing(name) => {
                walk.templated(name);
                continue;
            }
            NamespaceSource::Create { name, labels } => {
                walk.templated(name);
                labels
            }
            NamespaceSource::Lease { labels } => labels,
        };
        labels.iter().for_each(|(_, value)| walk.templated(value));
    }
    walk.site = Site::Connection;
    for connection in &scenario.connections {
        let postgres = &connection.postgres;
        walk.target(&postgres.through);
        walk.optional(postgres.port.as_ref());
        walk.optional(postgres.namespace.as_ref());
        walk.templated(&postgres.sslmode);
        let credentials = [
            Some(&postgres.database),
            Some(&postgres.user),
            postgres.password.as_ref(),
            postgres.sslrootcert.as_ref(),
        ];
        credentials
            .into_iter()
            .flatten()
            .for_each(|credential| walk.credential(credential));
    }
    for (index, step) in steps(scenario).enumerate() {
        walk.step(index, step);
    }
    walk.found
}

/// The steps, then those of `finally`.
pub(super) fn steps(scenario: &Scenario) -> impl Iterator<Item = &Step> {
    scenario.steps.iter().chain(&scenario.finally)
}

struct Walk<'s> {
    found: Vec<Found<'s>>,
    site: Site,
    guards: Vec<&'s str>,
}

impl<'s> Walk<'s> {
    fn program(&mut self, program: &Program, sees_self: bool) {
        self.found.push(Found {
            program: program.clone(),
            references: program.references(),
            site: self.site,
            sees_self,
            guards: self.guards.clone(),
        });
    }

    fn templated<T: FromScalar>(&mut self, value: &'s Templated<T>) {
        for program in value
            .template()
            .into_iter()
            .flat_map(|template| template.programs())
        {
            self.program(program, false);
        }
    }

    fn optional<T: FromScalar>(&mut self, value: Option<&'s Templated<T>>) {
        value.into_iter().for_each(|value| self.templated(value));
    }

    fn tree(&mut self, tree: &'s Tree) {
        for template in tree.templates() {
            template
                .programs()
                .for_each(|program| self.program(program, false));
        }
    }

    fn pattern(&mut self, pattern: &'s Pattern) {
        pattern
            .programs()
            .iter()
            .for_each(|program| self.program(program, true));
    }

    fn patterns<const N: usize>(&mut self, patterns: [&'s Option<Pattern>; N]) {
        patterns
            .into_iter()
            .flatten()
            .for_each(|pattern| self.pattern(pattern));
    }

    fn target(&mut self, target: &'s Target) {
        match &target.select {
            Select::Name(name) => self.templated(name),
            Select::Labels(labels) => labels.iter().for_each(|(_, value)| self.templated(value)),
        }
    }

    fn credential(&mut self, credential: &'s Credential) {
        match credential {
            Credential::Value(value) => self.templated(value),
            Credential::Secret { name, key, .. } => {
                self.templated(name);
                self.templated(key);
            }
        }
    }

    fn saves(&mut self, saves: &'s [Save]) {
        saves.iter().for_each(|save| self.program(&save.program, true));
    }

    fn step(&mut self, index: usize, step: &'s Step) {
        self.site = Site::Step(Moment { step: index, part: 0 });
        if let Some(when) = &step.when {
            self.program(when, false);
            self.guards.push(when.source());
        }
        self.optional(step.timeout.as_ref());
        self.optional(step.namespace.as_ref());
        if let Some(action) = &step.action {
            self.action(action);
        }
        if let Some(fails) = &step.fails {
            self.fails(fails);
        }
        self.saves(&step.save);
        for (part, expectation) in step.expect.iter().enumerate() {
            self.site = Site::Step(Moment {
                step: index,
                part: part + 1,
            });
            self.expectation(expectation);
        }
        self.guards.clear();
    }

    fn action(&mut self, action: &'s Action) {
        match &action.kind {
            ActionKind::Apply(apply) => {
                apply.files.iter().for_each(|file| self.templated(file));
                apply.objects.iter().for_each(|object| self.tree(object));
                apply.with.iter().for_each(|with| self.tree(with));
            }
            ActionKind::Patch(patch) => {
                self.target(&patch.target);
                let (PatchBody::Merge(body) | PatchBody::Json(body) | PatchBody::Strategic(body)) =
                    &patch.body;
                self.tree(body);
            }
            ActionKind::Delete(delete) => {
                self.target(&delete.target);
                self.optional(delete.grace_period.as_ref());
            }
            ActionKind::Scale(scale) => {
                self.target(&scale.target);
                self.templated(&scale.replicas);
            }
            ActionKind::Restart(restart) => self.target(&restart.target),
            ActionKind::Exec(exec) => {
                self.target(&exec.target);
                self.optional(exec.container.as_ref());
                exec.command.iter().for_each(|word| self.templated(word));
            }
            ActionKind::Script(script) => {
                self.templated(&script.run);
                script.env.iter().for_each(|(_, value)| self.templated(value));
            }
            ActionKind::Pause(pause) => self.templated(&pause.duration),
            ActionKind::RevertAll => {}
        }
    }

    fn fails(&mut self, fails: &'s Fails) {
        self.patterns([
            &fails.reason,
            &fails.status,
            &fails.message,
            &fails.code,
            &fails.stdout,
            &fails.stderr,
            &fails.sqlstate,
            &fails.kind,
        ]);
    }

    fn expectation(&mut self, expectation: &'s Expectation) {
        let guards = self.guards.len();
        if let Some(when) = &expectation.when {
            self.program(when, false);
            self.guards.push(when.source());
        }
        for time in [
            &expectation.within,
            &expectation.hold,
            &expectation.never,
            &expectation.every,
        ] {
            self.optional(time.as_ref());
        }
        self.optional(expectation.namespace.as_ref());
        self.subject(&expectation.subject);
        if let Some(fails_on) = &expectation.fails_on {
            self.expectation(fails_on);
        }
        self.saves(&expectation.save);
        self.guards.truncate(guards);
    }

    fn subject(&mut self, subject: &'s Subject) {
        match subject {
            Subject::Object(object) => {
                self.target(&object.target);
                for check in &object.checks {
                    match check {
                        ObjectCheck::Match(pattern) | ObjectCheck::Count(pattern) => self.pattern(pattern),
                        ObjectCheck::Cel(program) => self.program(program, true),
                        ObjectCheck::Absent(_) | ObjectCheck::Condition { .. } => {}
                    }
                }
            }
            Subject::Ready(ready) => {
                self.target(&ready.target);
                self.optional(ready.replicas.as_ref());
            }
            Subject::Crash(crash) => {
                self.target(&crash.target);
                self.optional(crash.container.as_ref());
                self.patterns([&crash.code, &crash.reason]);
                self.optional(crash.times.as_ref());
            }
            Subject::Log(log) => {
                self.target(&log.target);
                self.optional(log.container.as_ref());
                self.patterns([&log.count]);
                match &log.lines {
                    LogLines::One(line) => self.line(line),
                    LogLines::Ordered(lines) => lines.iter().for_each(|line| self.line(line)),
                }
            }
            Subject::Sql(sql) => {
                match &sql.ask {
                    SqlAsk::Query { query, params } => {
                        self.templated(query);
                        params.iter().for_each(|param| self.tree(param));
                    }
                    SqlAsk::Tables(schema) => self.templated(schema),
                }
                sql.rows.iter().for_each(|rows| self.pattern(&rows.pattern));
                self.patterns([&sql.value]);
                sql.fails.iter().for_each(|fails| self.fails(fails));
            }
        }
    }

    fn line(&mut self, line: &'s LinePattern) {
        match line {
            LinePattern::Contains(text) => self.templated(text),
            LinePattern::Raw(pattern) | LinePattern::Fields(pattern) => self.pattern(pattern),
        }
    }
}
