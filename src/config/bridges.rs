//! The bridges of a configuration: each `[[bridge]]` of every file, built by its own crate and checked against the
//! others.

use std::collections::BTreeMap;
use std::path::PathBuf;

use torg_thing::config::{ConfigError, Document};
use torg_thing::{BridgeKind, NodeRef, SourceId};

use super::checked::BridgeConfig;
use super::raw::{BRIDGE_KEYS, BridgesOnly, ProfilesOnly};
use super::read::path;

/// Every bridge of every file, built.
pub(super) fn bridges(
    documents: &[Document<'_>],
    kinds: &[&'static BridgeKind],
    errors: &mut Vec<ConfigError>,
) -> Vec<BridgeConfig> {
    let profiles = profile_paths(documents, errors);
    let mut built = Vec::new();
    let mut names: BTreeMap<SourceId, &str> = BTreeMap::new();
    let mut nodes: BTreeMap<NodeRef, String> = BTreeMap::new();
    for document in documents {
        // What is wrong with a head has been told with the other sections.
        let heads = document.examine::<BridgesOnly>().0.unwrap_or_default();
        for (index, head) in heads.bridge.iter().enumerate() {
            let key = format!("bridge[{index}]");
            let name = match SourceId::parse(&head.name) {
                Ok(name) if head.name.is_empty() => {
                    errors.push(
                        document.error_at(&format!("{key}.name"), "is empty").allowed("a name such as \"plant\""),
                    );
                    name
                }
                Ok(name) => name,
                Err(error) => {
                    errors.push(document.error_at(&format!("{key}.name"), error.to_string()));
                    continue;
                }
            };
            if let Some(first) = names.insert(name.clone(), document.source().name()) {
                let message = format!("\"{name}\" names another bridge already (in {first})");
                errors.push(document.error_at(&format!("{key}.name"), message));
                continue;
            }
            let Some(kind) = kinds.iter().find(|kind| kind.name == head.kind) else {
                let known: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
                let error = document.unknown_at(&format!("{key}.kind"), "unknown value", known.iter().copied());
                errors.push(error.allowed(known.join(" or ")));
                continue;
            };
            let Some(section) = document.section(&key, &head.name, BRIDGE_KEYS, &profiles) else { continue };
            match (kind.build)(&section) {
                Ok(lines) => {
                    for line in &lines {
                        for node in &line.nodes {
                            if let Some(first) = nodes.insert(node.clone(), format!("{name}/{}", line.name)) {
                                errors.push(
                                    document.error_at(&key, format!("the node {node} is on line {first} already")),
                                );
                            }
                        }
                    }
                    built.push(BridgeConfig { kind: kind.name, name, lines });
                }
                Err(found) => errors.extend(found),
            }
        }
    }
    built
}

/// The directories with profiles of all files, in order.
fn profile_paths(documents: &[Document<'_>], errors: &mut Vec<ConfigError>) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for document in documents {
        let Some(only) = document.examine::<ProfilesOnly>().0 else { continue };
        for (index, text) in only.profiles.paths.iter().enumerate() {
            let key = format!("profiles.paths[{index}]");
            let directory = path(document, &key, text, errors);
            if !directory.is_dir() {
                errors.push(document.error_at(&key, format!("{} is not a directory", directory.display())));
            }
            paths.push(directory);
        }
    }
    paths
}

/// Whether a file has a bridge.
pub(super) fn has_bridge(document: &Document<'_>) -> bool {
    document.examine::<BridgesOnly>().0.is_some_and(|only| !only.bridge.is_empty())
}
