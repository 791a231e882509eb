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
use crate::expect::readiness::{Demand, Readiness, assess};
use crate::expect::watched::{Look, Watched};
use crate::failure::Trouble;
use crate::mark::Effects;
use crate::pods::PodWatch;
use crate::target::{Found, Which};
use crate::wait::{Answer, Observe, Sighting};

enum Mode {
    /// Pods and those that own them.
    Pods,
    /// A Service: its endpoint slices.
    Service(Box<Watched>),
    /// Anything else.
    Plain(Box<Watched>),
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
        if let ("Service", Which::Name(name)) = (found.kind.kind.as_str(), &found.which) {
            let place = self.target.place.clone();
            let slices = Target {
                place: place.clone(),
                kind: "endpointslices.discovery.k8s.io".to_owned(),
                api_version: None,
                select: Select::Labels(vec![(
                    "kubernetes.io/service-name".to_owned(),
                    Templated::Lit(name.clone(), place),
                )]),
            };
            return Mode::Service(Box::new(Watched::new(step, &slices, self.namespace.clone())));
        }
        Mode::Plain(Box::new(Watched::new(step, &self.target, self.namespace.clone())))
    }

    async fn look(&mut self, fresh: bool) -> Result<Sighting, Trouble> {
        let found = match self.pods.find().await? {
            Ok(found) => found,
            Err(unserved) => return Ok(Answer::Unknown(unserved).into()),
        };
        if self.mode.is_none() {
            self.mode = Some(self.mode_for(&found));
        }
        let gap = match &mut self.mode {
            Some(Mode::Plain(watched) | Mode::Service(watched)) => {
                let look = if fresh {
                    watched.fresh().await?
                } else {
                    watched.next().await?
                };
                match look {
                    Look::Unserved(why) => return Ok(Answer::Unknown(why).into()),
                    Look::Seen { gap } => gap,
                }
            }
            Some(Mode::Pods) | None => {
                if fresh {
                    self.pods.reset();
                }
                self.pods.next().await?
            }
        };
        Ok(Sighting {
            answer: self.assess(),
            gap,
        })
    }

    fn objects(&self) -> (Vec<Arc<Object>>, Vec<Arc<Object>>) {
        match &self.mode {
            Some(Mode::Plain(watched) | Mode::Service(watched)) => (watched.objects(), Vec::new()),
            _ => match self.pods.watch() {
                Some(watch) if watch.has_owner() => (watch.owners(), watch.pods()),
                Some(watch) => (watch.pods(), Vec::new()),
                None => (Vec::new(), Vec::new()),
            },
        }
    }

    fn assess(&self) -> Answer {
        let display = self.pods.display();
        let (objects, pods) = self.objects();
        if let Some(Mode::Service(_)) = self.mode {
            return assess_service(&display, &objects);
        }
        if objects.is_empty() {
            return Answer::Differs {
                seen: format!("{display} does not exist"),
                mismatches: vec![Mismatch::new("", format!("{display} to exist"), "nothing")],
            };
        }
        let mut ready = Vec::new();
        let mut waiting: Option<Answer> = None;
        for object in &objects {
            let own: Vec<_> = pods.iter().filter(|pod| owned(object, pod)).cloned().collect();
            let demand = Demand {
                generation: self.effects.generation_of(object.uid()),
                removed: &self.effects.removed,
                replicas: self.replicas,
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

/// Of several owners, whose pod is it? With one owner the watch has told already.
fn owned(owner: &Object, pod: &Object) -> bool {
    pod.is_owned_by(owner.uid()) || owner.kind() == "Deployment"
}

fn assess_service(display: &str, slices: &[Arc<Object>]) -> Answer {
    let endpoints: Vec<_> = slices
        .iter()
        .flat_map(|slice| slice.list(&["endpoints"]))
        .collect();
    let ready = endpoints
        .iter()
        .filter(|endpoint| {
            // Unset means ready: discovery.k8s.io/v1 EndpointConditions.
            endpoint
                .get("conditions")
                .and_then(|c| c.get("ready"))
                .and_then(Value::as_bool)
                .unwrap_or(true)
        })
        .count();
    if ready > 0 {
        let value = Value::Array(slices.iter().map(|slice| slice.0.clone()).collect());
        return Answer::Holds {
            seen: format!("{display}: {ready} ready endpoints"),
            value,
        };
    }
    Answer::Differs {
        seen: format!("{display}: {} endpoints, none ready", endpoints.len()),
        mismatches: vec![Mismatch::new(
            "endpoints",
            "a ready one",
            format!("{} not ready", endpoints.len()),
        )],
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
        let (objects, pods) = self.objects();
        match self.pods.found() {
            Some(found) => {
                let all: Vec<_> = objects.into_iter().chain(pods).collect();
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
