//! `ready`: a rollout that is complete by its controller's word *and* by its pods, or a condition that says so.
//!
//! Invariant: at least one object must exist; what the step's action removed never counts.

use std::sync::Arc;

use async_trait::async_trait;
use muster_model::{Mismatch, Object};
use muster_scenario::ast::{ReadySubject, Select, Target};
use muster_scenario::expr::Templated;
use serde_json::Value;

use crate::causes;
use crate::context::StepContext;
use crate::expect::pod_set::PodSet;
use crate::expect::readiness::{Demand, Readiness, SERVICE_NAME, assess, belongs};
use crate::expect::watched::{Look, Watched};
use crate::failure::Trouble;
use crate::mark::Effects;
use crate::pods::PodWatch;
use crate::target::{Found, Which};
use crate::wait::{Answer, Observe, Sighting};

enum Mode {
    /// Pods and those that own them.
    Pods,
    /// Services and their endpoint slices.
    Services(Box<Services>),
    /// Anything else.
    Plain(Box<Watched>),
}

/// A watch on Services and on their endpoint slices.
struct Services {
    services: Watched,
    slices: Watched,
    services_listed: bool,
    slices_listed: bool,
}

impl Services {
    fn new(step: &Arc<StepContext>, target: &Target, found: &Found, namespace: &str) -> Self {
        let place = &target.place;
        let labels = match &found.which {
            Which::Name(name) => vec![(
                SERVICE_NAME.to_owned(),
                Templated::Lit(name.clone(), place.clone()),
            )],
            // Several Services: their slices are told apart by that label.
            Which::Labels(_) => Vec::new(),
        };
        let slices = Target {
            place: place.clone(),
            kind: "endpointslices.discovery.k8s.io".to_owned(),
            api_version: None,
            select: Select::Labels(labels),
        };
        Self {
            services: Watched::new(step, target, namespace.to_owned()),
            slices: Watched::new(step, &slices, namespace.to_owned()),
            services_listed: false,
            slices_listed: false,
        }
    }

    /// The first call lists both; later ones wait for a change of either.
    async fn next(&mut self) -> Result<Look, Trouble> {
        if !self.services_listed {
            let look = self.services.next().await?;
            if matches!(look, Look::Unserved(_)) {
                return Ok(look);
            }
            self.services_listed = true;
        }
        if !self.slices_listed {
            let look = self.slices.next().await?;
            self.slices_listed = matches!(look, Look::Seen { .. });
            return Ok(look);
        }
        tokio::select! {
            look = self.services.next() => look,
            look = self.slices.next() => look,
        }
    }
}

/// Observes readiness.
pub(crate) struct ReadyObserver {
    pods: PodSet,
    target: Target,
    namespace: String,
    mode: Option<Mode>,
    replicas: Option<i64>,
    any: bool,
    effects: Arc<Effects>,
}

impl ReadyObserver {
    /// Fills in the templates of a subject.
    pub(crate) fn new(
        step: &Arc<StepContext>,
        subject: &ReadySubject,
        namespace: String,
        any: bool,
        effects: &Arc<Effects>,
    ) -> Result<Self, Trouble> {
        Ok(Self {
            pods: PodSet::new(step, &subject.target, namespace.clone()),
            target: subject.target.clone(),
            namespace,
            mode: None,
            replicas: step.optional(subject.replicas.as_ref())?,
            any,
            effects: Arc::clone(effects),
        })
    }

    fn mode_for(&self, found: &Found) -> Mode {
        let step = self.pods.step();
        if PodWatch::can_own_pods(&found.kind) && found.kind.kind != "Job" {
            return Mode::Pods;
        }
        if found.kind.kind == "Service" {
            let services = Services::new(step, &self.target, found, &self.namespace);
            return Mode::Services(Box::new(services));
        }
        Mode::Plain(Box::new(Watched::new(step, &self.target, self.namespace.clone())))
    }

    async fn look(&mut self, fresh: bool) -> Result<Sighting, Trouble> {
        let found = match self.pods.find().await? {
            Ok(found) => found,
            Err(unserved) => return Ok(Answer::Unknown(unserved).into()),
        };
        if fresh {
            self.mode = None;
            self.pods.reset();
        }
        if self.mode.is_none() {
            self.mode = Some(self.mode_for(&found));
        }
        let look = match &mut self.mode {
            Some(Mode::Plain(watched)) => watched.next().await?,
            Some(Mode::Services(services)) => services.next().await?,
            Some(Mode::Pods) | None => Look::Seen {
                gap: self.pods.next().await?,
            },
        };
        let gap = match look {
            Look::Unserved(why) => return Ok(Answer::Unknown(why).into()),
            Look::Seen { gap } => gap,
        };
        Ok(Sighting {
            answer: self.assess(),
            gap,
        })
    }

    /// What is to be ready, and what belongs to it.
    fn objects(&self) -> (Vec<Arc<Object>>, Vec<Arc<Object>>) {
        match &self.mode {
            Some(Mode::Plain(watched)) => (watched.objects(), Vec::new()),
            Some(Mode::Services(watch)) => (watch.services.objects(), watch.slices.objects()),
            _ => match self.pods.watch() {
                Some(watch) if watch.has_owner() => (watch.owners(), watch.pods()),
                Some(watch) => (watch.pods(), Vec::new()),
                None => (Vec::new(), Vec::new()),
            },
        }
    }

    fn assess(&self) -> Answer {
        let display = self.pods.display();
        let (objects, parts) = self.objects();
        if objects.is_empty() {
            return Answer::Differs {
                seen: format!("{display} does not exist"),
                mismatches: vec![Mismatch::new("", format!("{display} to exist"), "nothing")],
            };
        }
        let mut ready = Vec::new();
        let mut waiting: Option<Answer> = None;
        for object in &objects {
            let own: Vec<_> = parts
                .iter()
                .filter(|part| belongs(object, part))
                .cloned()
                .collect();
            let demand = Demand {
                generation: self.effects.generation_of(object.uid()),
                removed: &self.effects.removed,
                replicas: self.replicas,
                since: self.pods.step().mark.time,
            };
            let reference = object.reference();
            match assess(object, &own, &demand) {
                Readiness::Ready(seen) => ready.push((format!("{reference}: {seen}"), object)),
                Readiness::NotYet(mismatch) => {
                    let seen = format!("{reference}: {}: {}", mismatch.path, mismatch.found);
                    waiting.get_or_insert(Answer::Differs {
                        seen,
                        mismatches: vec![mismatch],
                    });
                }
                Readiness::Never(mismatch) if !self.any => {
                    let seen = format!("{reference}: {}: {}", mismatch.path, mismatch.found);
                    return Answer::Final {
                        seen,
                        mismatches: vec![mismatch],
                        help: Vec::new(),
                    };
                }
                Readiness::Never(mismatch) => {
                    let seen = format!("{reference}: {}: {}", mismatch.path, mismatch.found);
                    waiting.get_or_insert(Answer::Differs {
                        seen,
                        mismatches: vec![mismatch],
                    });
                }
            }
        }
        match waiting {
            Some(answer) if !self.any || ready.is_empty() => answer,
            _ => {
                let seen = ready
                    .iter()
                    .map(|(seen, _)| seen.as_str())
                    .collect::<Vec<_>>()
                    .join(", ");
                let named = matches!(self.pods.found().map(|f| &f.which), Some(Which::Name(_)));
                let value = if named {
                    ready[0].1.0.clone()
                } else {
                    Value::Array(ready.iter().map(|(_, object)| object.0.clone()).collect())
                };
                Answer::Holds { seen, value }
            }
        }
    }
}

#[async_trait]
impl Observe for ReadyObserver {
    async fn next(&mut self) -> Result<Sighting, Trouble> {
        self.look(false).await
    }

    async fn fresh(&mut self) -> Result<Sighting, Trouble> {
        self.look(true).await
    }

    fn acted(&mut self, effects: &Arc<Effects>) {
        self.effects = Arc::clone(effects);
    }

    fn subject(&self) -> String {
        format!("ready {}", self.pods.display())
    }

    fn expected(&self) -> String {
        match self.replicas {
            Some(replicas) => format!("{} ready with {replicas} replicas", self.pods.display()),
            None => format!("{} ready", self.pods.display()),
        }
    }

    async fn causes(&mut self) -> Vec<String> {
        let (objects, parts) = self.objects();
        match self.pods.found() {
            Some(found) => {
                let all: Vec<_> = objects.into_iter().chain(parts).collect();
                causes::of_target(self.pods.step(), found, &all, None).await
            }
            None => Vec::new(),
        }
    }

    fn help(&self) -> Vec<String> {
        match self.pods.found() {
            Some(found) if self.objects().0.is_empty() => vec![causes::look_hint(self.pods.step(), found)],
            _ => Vec::new(),
        }
    }
}
