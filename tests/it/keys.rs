//! Every definition asks for exactly the published state dict.

use models::ops::Role;
use models::registry;
use tests::fixture::{self, Key};

#[track_caller]
fn manifest_keys(model: &str, classes: i64) -> Vec<Key> {
    let manifest = registry::find(model).expect("a model").manifest(classes, 224).expect("a sound definition");
    let entry = |(key, entry): (String, models::manifest::Entry)| {
        let dtype = match entry.role {
            Role::Counter => "int64",
            Role::Weight | Role::Bias | Role::NormWeight | Role::NormBias | Role::Buffer => "float32",
        };
        Key { key, dtype: dtype.to_owned(), shape: entry.shape }
    };
    manifest.entries().into_iter().map(entry).collect()
}

#[test]
fn keys_types_and_shapes_equal_the_published_state_dicts() {
    for model in registry::all() {
        let (mut ours, mut published) = (manifest_keys(model.name, 1000), fixture::keys(model.name));
        // As sets first: the message of a missing key is then about that key.
        let (mut ours_sorted, mut published_sorted) = (ours.clone(), published.clone());
        ours_sorted.sort();
        published_sorted.sort();
        for (o, p) in ours_sorted.iter().zip(&published_sorted) {
            assert_eq!(o, p, "{}", model.name);
        }
        assert_eq!(ours.len(), published.len(), "{}", model.name);
        // The order is the published one too, so that a saved file lists its tensors as people know them.
        let strip = |list: &mut Vec<Key>| list.drain(..).map(|k| k.key).collect::<Vec<_>>();
        assert_eq!(strip(&mut ours), strip(&mut published), "{}", model.name);
    }
}

#[test]
fn counts_equal_the_published_ones() {
    let published = [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("mobilenetv2", 3_504_872),
        ("efficientnet_lite0", 4_652_008),
    ];
    assert_eq!(published.len(), registry::all().len());
    for (name, count) in published {
        let manifest = registry::find(name).expect("a model").manifest(1000, 224).expect("a sound definition");
        assert_eq!(manifest.parameters(), count, "{name}");
        // The fixture counts the same, statistics and counters left out.
        let counted: i64 = fixture::keys(name)
            .iter()
            .filter(|k| k.dtype == "float32" && !k.key.contains("running_"))
            .map(|k| k.shape.iter().product::<i64>())
            .sum();
        assert_eq!(counted, count, "{name}");
    }
}

#[test]
fn only_the_head_depends_on_the_classes() {
    for model in registry::all() {
        let (many, few) = (manifest_keys(model.name, 1000), manifest_keys(model.name, 4));
        let head = format!("{}.", model.head());
        let changed: Vec<&str> = many.iter().zip(&few).filter(|(a, b)| a != b).map(|(a, _)| a.key.as_str()).collect();
        assert_eq!(changed, [format!("{head}weight"), format!("{head}bias")], "{}", model.name);
    }
}
