//! Which provider ran which operators. Of all that ONNX Runtime says about it, the profile of a run says what happened.

use std::{collections::BTreeMap, env, fmt, fs, io, path::PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

/// What stands in place of an operator for a part of the graph that a provider runs as a whole.
const PART: &str = "subgraph";

/// The operators that ran, by the provider that ran them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Of each provider, by its name in ONNX Runtime, how many nodes of each type of operator it ran. A part of the graph that it runs
    /// as a whole counts as one node, of the type `subgraph`.
    pub operators: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Placement {
    /// How many nodes each provider ran.
    #[must_use]
    pub fn nodes(&self) -> BTreeMap<String, usize> {
        self.operators.iter().map(|(provider, types)| (provider.clone(), types.values().sum())).collect()
    }

    /// How many nodes this provider ran.
    #[must_use]
    pub fn on(&self, provider: &str) -> usize {
        self.operators.get(provider).map_or(0, |types| types.values().sum())
    }

    /// Reads the profile of a run. A node that ran several times counts once.
    ///
    /// # Errors
    /// What is no such profile, or says nothing of nodes.
    pub(crate) fn parse(profile: &[u8]) -> Result<Self, String> {
        let events: Vec<Event> =
            serde_json::from_slice(profile).map_err(|e| format!("ONNX Runtime's profile does not parse: {e}"))?;
        let mut seen = BTreeMap::new();
        for event in events {
            let Arguments { provider: Some(provider), op_name: Some(operator) } = event.args else { continue };
            // A provider that takes a part of the graph as a whole gives it a name of its own, with a number that changes.
            let is_part = operator.strip_prefix(&provider).is_some_and(|rest| rest.starts_with('_'));
            let operator = if is_part { PART.to_owned() } else { operator };
            seen.insert((provider, event.name), operator);
        }
        let mut placement = Self::default();
        for ((provider, _), operator) in seen {
            *placement.operators.entry(provider).or_default().entry(operator).or_default() += 1;
        }
        if placement.operators.is_empty() {
            return Err("ONNX Runtime's profile names no node".to_owned());
        }
        Ok(placement)
    }
}

/// `CPUExecutionProvider 3 (Gather 1, Shape 2), CUDAExecutionProvider 40 (Conv 40)`
impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (provider, types)) in self.operators.iter().enumerate() {
            let types: Vec<String> = types.iter().map(|(operator, n)| format!("{operator} {n}")).collect();
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{provider} {} ({})", self.on(provider), types.join(", "))?;
        }
        Ok(())
    }
}

/// One thing in a profile.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: Arguments,
}

/// What a profile says of a node's run; of other things it says other words.
#[derive(Default, Deserialize)]
struct Arguments {
    provider: Option<String>,
    op_name: Option<String>,
}

/// A folder of our own for one profile, whose name ONNX Runtime makes itself.
pub(crate) struct ProfileFolder(TempDir);

impl ProfileFolder {
    /// Makes the folder among the system's temporary files.
    pub(crate) fn new() -> Result<Self, String> {
        let made = tempfile::Builder::new().prefix("fovea-profile-").tempdir();
        made.map(Self).map_err(|e| {
            let place = env::temp_dir();
            format!("{} cannot hold the profile of a run: {e}; name a folder that can in TMPDIR", place.display())
        })
    }

    /// What the file's name has to begin with.
    pub(crate) fn prefix(&self) -> PathBuf {
        self.0.path().join("run")
    }

    /// Reads the one file that was written.
    pub(crate) fn read(&self) -> Result<Placement, String> {
        let unread = |e: io::Error| format!("the profile of a run cannot be read: {e}");
        let only = fs::read_dir(self.0.path()).map_err(unread)?.next();
        let file = only.ok_or("ONNX Runtime wrote no profile of its run")?.map_err(unread)?;
        Placement::parse(&fs::read(file.path()).map_err(unread)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_counted_once_for_each_provider() {
        let node = |name: &str, operator: &str, provider: &str| {
            format!(
                r#"{{"cat":"Node","name":"{name}_kernel_time","args":{{"op_name":"{operator}","provider":"{provider}","node_index":"1"}}}}"#
            )
        };
        let profile = format!(
            r#"[{{"cat":"Session","name":"model_run","args":{{}}}},{},{},{},{},{{"cat":"Node","name":"fence","args":{{"op_name":"Conv"}}}}]"#,
            node("conv_0", "Conv", "CUDAExecutionProvider"),
            node("conv_1", "Conv", "CUDAExecutionProvider"),
            node("conv_0", "Conv", "CUDAExecutionProvider"),
            node("shape_2", "Shape", "CPUExecutionProvider"),
        );
        let placement = Placement::parse(profile.as_bytes()).unwrap();
        assert_eq!((placement.on("CUDAExecutionProvider"), placement.on("CPUExecutionProvider")), (2, 1));
        assert_eq!(placement.on("TensorrtExecutionProvider"), 0);
        assert_eq!(placement.to_string(), "CPUExecutionProvider 1 (Shape 1), CUDAExecutionProvider 2 (Conv 2)");
    }

    #[test]
    fn a_part_of_the_graph_is_one_node_whatever_its_name() {
        let node = |name: &str, operator: &str| {
            let args = format!(r#"{{"op_name":"{operator}","provider":"OtherExecutionProvider"}}"#);
            format!(r#"{{"cat":"Node","name":"{name}_kernel_time","args":{args}}}"#)
        };
        let part = "OtherExecutionProvider_3511704397280105722_0";
        let profile = format!("[{},{}]", node(part, part), node("add", "Add"));
        let placement = Placement::parse(profile.as_bytes()).unwrap();
        assert_eq!(placement.to_string(), "OtherExecutionProvider 2 (Add 1, subgraph 1)");
    }

    #[test]
    fn a_profile_that_says_nothing_is_an_error() {
        for profile in ["", "{}", "[]", r#"[{"cat":"Session","name":"model_run"}]"#] {
            assert!(Placement::parse(profile.as_bytes()).is_err(), "{profile}");
        }
    }
}
