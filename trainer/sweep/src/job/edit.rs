//! `--set a.b=value`: changes of a job before it is read.

use schemas::SettingSpec;

use super::error::{Place, Problem};
use super::fields::Log;
use super::tree::{self, Entry, Node, Tree};

/// Applies `a.b.0=value`: a name of a mapping or the number of a list's item at each step, the value in YAML. What is not there
/// yet is made, in mappings; a name that no field may have is refused when the tree is read. A setting may have any of its names.
pub(super) fn apply(tree: &mut Tree, change: &str, log: &mut Log) {
    let place = Place::Option(format!("--set {change}"));
    let Some((path, value)) = change.split_once('=').filter(|(path, _)| !path.trim().is_empty()) else {
        log.error_at(&place, "", Problem::refused("write --set NAME=VALUE, such as --set limits.max_trials=4"));
        return;
    };
    let value = if value.trim().is_empty() {
        Tree { place: place.clone(), node: Node::Null }
    } else {
        match tree::yaml(value) {
            Ok(value) => value.moved(&place),
            Err((_, problem)) => return log.error_at(&place, "", problem),
        }
    };
    let steps: Vec<&str> = path.trim().split('.').collect();
    if let Err(problem) = put(tree, &steps, value, &place) {
        log.error_at(&place, "", problem);
    }
}

fn put(tree: &mut Tree, steps: &[&str], value: Tree, place: &Place) -> Result<(), Problem> {
    let [step, rest @ ..] = steps else {
        *tree = value;
        return Ok(());
    };
    if tree.node == Node::Null {
        *tree = Tree { place: place.clone(), node: Node::Map(Vec::new()) };
    }
    let kind = tree.kind();
    match &mut tree.node {
        Node::List(items) => {
            let count = items.len();
            let item = step.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            let item = item.ok_or_else(|| {
                let last = count.saturating_sub(1);
                Problem::refused(format!("`{step}` is no item of a list of {count}; give a number from 0 to {last}"))
            })?;
            put(item, rest, value, place)
        }
        Node::Map(entries) => {
            let at = match entries.iter().position(|entry| same(&entry.name, step)) {
                Some(at) => at,
                None => {
                    let tree = Tree { place: place.clone(), node: Node::Null };
                    entries.push(Entry { name: (*step).to_owned(), place: place.clone(), tree });
                    entries.len() - 1
                }
            };
            let entry = &mut entries[at];
            put(&mut entry.tree, rest, value, place)?;
            if rest.is_empty() {
                entry.name = (*step).to_owned();
                entry.place = place.clone();
            }
            Ok(())
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => {
            Err(Problem::refused(format!("there is no `{step}` in {kind}; name the field above it")))
        }
    }
}

/// Whether two names mean the same field.
fn same(one: &str, other: &str) -> bool {
    let setting = |name: &str| SettingSpec::find(name).map(|spec| spec.name);
    one == other || setting(one).is_some_and(|name| setting(other) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, changes: &[&str], expected: &serde_json::Value) {
        let (mut tree, mut log) = (tree::yaml(text).unwrap(), Log::default());
        for change in changes {
            apply(&mut tree, change, &mut log);
        }
        assert_eq!(&tree.json(), expected);
        assert!(log.errors.is_empty(), "{:?}", log.errors);
    }

    #[test]
    fn values_are_yaml_and_paths_are_made() {
        let json = serde_json::json!({"a": {"b": 2}, "l": [{"x": [1, 2]}, 5], "n": {"m": {"k": "text"}}});
        check("a: {b: 1}\nl: [{x: 0}, 4]\n", &["a.b=2", "l.0.x=[1, 2]", "l.1=5", "n.m.k=text"], &json);
    }

    #[test]
    fn other_names_of_a_setting_are_replaced() {
        let json = serde_json::json!({"p": {"grad_accumulation_step": 4}});
        check("p: {gradient_accumulation_step: 2}", &["p.grad_accumulation_step=4"], &json);
        check("p: {momentum: 2}", &["p="], &serde_json::json!({"p": null}));
    }

    #[test]
    fn what_is_not_there_is_said() {
        for (change, part) in [
            ("l.2=1", "from 0 to 1"),
            ("l.x=1", "no item"),
            ("a.b.c=1", "no `c` in 1"),
            ("a", "--set NAME=VALUE"),
            ("a=[1", "no YAML"),
        ] {
            let (mut tree, mut log) = (tree::yaml("a: {b: 1}\nl: [3, 4]\n").unwrap(), Log::default());
            apply(&mut tree, change, &mut log);
            let text = log.errors[0].problem.to_string();
            assert!(text.contains(part), "{change}: {text}");
        }
    }
}
