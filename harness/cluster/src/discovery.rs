//! Which kinds the API server serves, and which one a word means.
//!
//! Invariant: a word that fits several kinds is never guessed, except by kubectl's own order: a built-in group before
//! others, an exact name before a short name, the server's preferred version first.

use kube::client::APIGroupDiscoveryList;
use muster_model::ObjectRef;

use crate::error::ApiError;

/// A kind that the API server serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind {
    /// `apps`; empty for the core group.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `apps/v1`, or `v1` for the core group.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`, as it stands in the path.
    pub plural: String,
    /// `deployment`.
    pub singular: String,
    /// `deploy`.
    pub short_names: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// `get`, `list`, `watch`, `create`, ...
    pub verbs: Vec<String>,
    /// `status`, `scale`, ...
    pub subresources: Vec<String>,
}

impl Kind {
    /// `deployments.apps`, or `pods` for the core group, as kubectl prints it.
    pub fn resource(&self) -> String {
        match self.group.as_str() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// Whether it serves a verb, such as `watch`.
    pub fn serves(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// Whether it has a subresource, such as `scale`.
    pub fn has_subresource(&self, name: &str) -> bool {
        self.subresources.iter().any(|s| s == name)
    }

    /// The reference to an object of this kind. The namespace is dropped for cluster-scoped kinds.
    pub fn reference(&self, namespace: Option<&str>, name: &str) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespace: namespace.filter(|_| self.namespaced).map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// The path of the collection: `/apis/apps/v1/namespaces/db/deployments`.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let root = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }
}

/// A word that names no kind, or several.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The server serves no such kind, or not yet.
    #[error("the cluster serves no kind {kind}{}{}", in_version(.api_version.as_deref()), did_you_mean(.suggestions))]
    Unknown {
        /// As it was asked for.
        kind: String,
        /// As it was asked for.
        api_version: Option<String>,
        /// Kinds with a similar name, the nearest first.
        suggestions: Vec<String>,
    },
    /// Several groups serve it.
    #[error("{kind} may be {}: say which, with its group", .candidates.join(" or "))]
    Ambiguous {
        /// As it was asked for.
        kind: String,
        /// Such as `clusters.x.example.com`.
        candidates: Vec<String>,
    },
    /// The server could not be asked.
    #[error(transparent)]
    Api(#[from] ApiError),
}

fn in_version(api_version: Option<&str>) -> String {
    api_version.map(|v| format!(" in {v}")).unwrap_or_default()
}

fn did_you_mean(suggestions: &[String]) -> String {
    match suggestions {
        [] => {
            ": is its CustomResourceDefinition installed? kubectl api-resources lists what is served".into()
        }
        some => format!(": did you mean {}?", some.join(" or ")),
    }
}

/// All kinds of a server in the order of its discovery document: core first, the preferred version of a group first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Catalog {
    kinds: Vec<Kind>,
}

impl Catalog {
    /// From the aggregated discovery documents of `/api` and `/apis`, in this order.
    pub(crate) fn new(documents: impl IntoIterator<Item = APIGroupDiscoveryList>) -> Self {
        let mut kinds = Vec::new();
        for group in documents.into_iter().flat_map(|document| document.items) {
            let name = group.metadata.and_then(|m| m.name).unwrap_or_default();
            for version in group.versions {
                let Some(number) = version.version else { continue };
                for resource in version.resources {
                    let (Some(plural), Some(answer)) = (resource.resource, resource.response_kind) else {
                        continue;
                    };
                    let Some(kind) = answer.kind.filter(|kind| !kind.is_empty()) else {
                        continue;
                    };
                    kinds.push(Kind {
                        api_version: match name.as_str() {
                            "" => number.clone(),
                            group => format!("{group}/{number}"),
                        },
                        group: name.clone(),
                        version: number.clone(),
                        kind,
                        singular: resource.singular_resource.unwrap_or_default(),
                        plural,
                        short_names: resource.short_names,
                        namespaced: resource.scope.as_deref() == Some("Namespaced"),
                        verbs: resource.verbs,
                        subresources: resource
                            .subresources
                            .into_iter()
                            .filter_map(|s| s.subresource)
                            .collect(),
                    });
                }
            }
        }
        Self { kinds }
    }

    /// The kind that a word means: `Deployment`, `deployment`, `deployments`, `deploy`, `deployments.apps`,
    /// `deployments.v1.apps`, in any case; with an `apiVersion`, only in that.
    pub(crate) fn resolve(&self, word: &str, api_version: Option<&str>) -> Result<Kind, ResolveError> {
        let (name, suffix) = match word.split_once('.') {
            Some((name, suffix)) => (name, Some(suffix)),
            None => (word, None),
        };
        let in_reach = |kind: &&Kind| {
            let group = match suffix {
                None => true,
                Some(suffix) => {
                    suffix.eq_ignore_ascii_case(&kind.group)
                        || suffix
                            .split_once('.')
                            .is_some_and(|(version, group)| version == kind.version && group == kind.group)
                }
            };
            group && api_version.is_none_or(|wanted| wanted == kind.api_version)
        };
        let exact = |kind: &&Kind| {
            [&kind.kind, &kind.plural, &kind.singular]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        };
        let short = |kind: &&Kind| kind.short_names.iter().any(|s| s.eq_ignore_ascii_case(name));
        let mut found: Vec<&Kind> = self.kinds.iter().filter(in_reach).filter(exact).collect();
        if found.is_empty() {
            found = self.kinds.iter().filter(in_reach).filter(short).collect();
        }
        // The first of each group is the server's preferred version.
        let mut groups: Vec<&Kind> = Vec::new();
        for kind in found {
            if !groups.iter().any(|known| known.group == kind.group) {
                groups.push(kind);
            }
        }
        match groups.as_slice() {
            [] => Err(ResolveError::Unknown {
                kind: word.to_owned(),
                api_version: api_version.map(str::to_owned),
                suggestions: self.suggest(name, api_version),
            }),
            [one] => Ok((*one).clone()),
            [first, ..] if is_built_in(&first.group) => Ok((*first).clone()),
            several => match several.iter().find(|kind| is_built_in(&kind.group)) {
                Some(built_in) => Ok((*built_in).clone()),
                None => Err(ResolveError::Ambiguous {
                    kind: word.to_owned(),
                    candidates: several.iter().map(|kind| kind.resource()).collect(),
                }),
            },
        }
    }

    fn suggest(&self, name: &str, api_version: Option<&str>) -> Vec<String> {
        // The right kind in another version is the likeliest slip of the pen.
        if api_version.is_some() {
            let mut elsewhere: Vec<String> = self
                .kinds
                .iter()
                .filter(|kind| kind.kind.eq_ignore_ascii_case(name))
                .map(|kind| format!("{} in {}", kind.kind, kind.api_version))
                .collect();
            elsewhere.dedup();
            if !elsewhere.is_empty() {
                return elsewhere;
            }
        }
        let name = name.to_lowercase();
        let mut near: Vec<(usize, &str)> = self
            .kinds
            .iter()
            .filter_map(|kind| {
                let distance = [&kind.kind.to_lowercase(), &kind.plural, &kind.singular]
                    .iter()
                    .map(|known| strsim::damerau_levenshtein(known, &name))
                    .min()?;
                (distance <= 1 + name.len() / 5).then_some((distance, kind.kind.as_str()))
            })
            .collect();
        near.sort();
        near.dedup_by_key(|(_, kind)| *kind);
        near.into_iter()
            .take(3)
            .map(|(_, kind)| kind.to_owned())
            .collect()
    }
}

/// Groups of Kubernetes itself: core, those without a dot (`apps`), and `*.k8s.io` served by the API server.
fn is_built_in(group: &str) -> bool {
    !group.contains('.')
        || matches!(
            group,
            "admissionregistration.k8s.io"
                | "apiextensions.k8s.io"
                | "apiregistration.k8s.io"
                | "authentication.k8s.io"
                | "authorization.k8s.io"
                | "certificates.k8s.io"
                | "coordination.k8s.io"
                | "discovery.k8s.io"
                | "events.k8s.io"
                | "flowcontrol.apiserver.k8s.io"
                | "networking.k8s.io"
                | "node.k8s.io"
                | "rbac.authorization.k8s.io"
                | "resource.k8s.io"
                | "scheduling.k8s.io"
                | "storage.k8s.io"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let document = |text: &str| serde_json::from_str::<APIGroupDiscoveryList>(text).unwrap();
        Catalog::new([
            document(include_str!("../tests/data/discovery-api.json")),
            document(include_str!("../tests/data/discovery-apis.json")),
        ])
    }

    fn meant(word: &str) -> String {
        let kind = catalog().resolve(word, None).unwrap();
        format!("{} {}", kind.api_version, kind.kind)
    }

    #[test]
    fn a_kind_is_found_by_every_name_that_kubectl_knows() {
        for word in [
            "deployment",
            "deployments",
            "deploy",
            "Deployment",
            "DEPLOYMENT",
            "deployments.apps",
            "deployment.apps",
            "deployments.v1.apps",
        ] {
            assert_eq!(meant(word), "apps/v1 Deployment", "{word}");
        }
        assert_eq!(meant("po"), "v1 Pod");
        assert_eq!(meant("sa"), "v1 ServiceAccount");
        assert_eq!(meant("crd"), "apiextensions.k8s.io/v1 CustomResourceDefinition");
    }

    #[test]
    fn the_core_group_goes_before_another_that_serves_the_same_name() {
        assert_eq!(meant("event"), "v1 Event");
        assert_eq!(meant("events.events.k8s.io"), "events.k8s.io/v1 Event");
        let kind = catalog().resolve("Event", Some("events.k8s.io/v1")).unwrap();
        assert_eq!(kind.api_version, "events.k8s.io/v1");
    }

    #[test]
    fn scope_verbs_and_subresources_come_from_the_server() {
        let deployment = catalog().resolve("deploy", None).unwrap();
        assert!(deployment.namespaced && deployment.serves("watch") && deployment.has_subresource("scale"));
        assert_eq!(
            deployment.path(Some("db")),
            "/apis/apps/v1/namespaces/db/deployments"
        );
        assert_eq!(deployment.path(None), "/apis/apps/v1/deployments");
        let node = catalog().resolve("node", None).unwrap();
        assert!(!node.namespaced);
        assert_eq!(node.path(Some("db")), "/api/v1/nodes");
        assert_eq!(node.reference(Some("db"), "n").namespace, None);
    }

    #[test]
    fn two_groups_of_strangers_are_ambiguous() {
        let kind = |group: &str| Kind {
            group: group.into(),
            version: "v1".into(),
            api_version: format!("{group}/v1"),
            kind: "Cluster".into(),
            plural: "clusters".into(),
            singular: "cluster".into(),
            short_names: vec![],
            namespaced: true,
            verbs: vec![],
            subresources: vec![],
        };
        let catalog = Catalog {
            kinds: vec![kind("a.example.com"), kind("b.example.com")],
        };
        assert_eq!(
            catalog.resolve("cluster", None).unwrap_err().to_string(),
            "cluster may be clusters.a.example.com or clusters.b.example.com: say which, with its group"
        );
        assert!(catalog.resolve("cluster.b.example.com", None).is_ok());
        assert!(catalog.resolve("cluster", Some("a.example.com/v1")).is_ok());
    }

    #[test]
    fn an_unknown_kind_says_what_was_likely_meant() {
        assert_eq!(
            catalog().resolve("Deploymnt", None).unwrap_err().to_string(),
            "the cluster serves no kind Deploymnt: did you mean Deployment?"
        );
        assert_eq!(
            catalog()
                .resolve("Deployment", Some("extensions/v1beta1"))
                .unwrap_err()
                .to_string(),
            "the cluster serves no kind Deployment in extensions/v1beta1: did you mean Deployment in apps/v1?"
        );
        let unknown = catalog().resolve("spireserver", None).unwrap_err().to_string();
        assert!(
            unknown.contains("is its CustomResourceDefinition installed?"),
            "{unknown}"
        );
    }
}
