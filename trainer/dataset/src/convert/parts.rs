//! Names that others give to the parts of a data set, and names that are none of anybody's data.

use std::path::Path;

/// The part that a folder or list is named after, whatever its capitals: `train` of `Training`, `validation` of `VALID`,
/// `test` of `Testing`; nothing for any other name.
pub fn part_named(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let bare = ["set", "_set", "-set"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    match bare.trim_end_matches(['_', '-', ' ']) {
        "train" | "training" => Some("train"),
        "val" | "valid" | "validate" | "validating" | "validation" | "dev" => Some("validation"),
        "test" | "testing" => Some("test"),
        _ => None,
    }
}

/// Name of a part that a file or folder is named after: `train` of `train.coco.json`, `train_annotations.jsonl`,
/// `training-mltable-folder` and `train/_annotations.coco.json`, `validation` of `val.txt`, otherwise the stem.
pub fn part_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let endings = [".coco", "-mltable-folder"];
    let bare = endings.iter().find_map(|ending| stem.strip_suffix(ending)).unwrap_or(&stem);
    let bare = match bare.strip_suffix("_annotations") {
        Some("") => {
            let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
            return part_named(&folder).unwrap_or(bare).to_owned();
        }
        Some(named) => named,
        None => bare,
    };
    part_named(bare).unwrap_or(bare).to_owned()
}

/// Whether systems and tools leave such a file or folder beside the real ones: a name that begins with a dot, `__MACOSX`,
/// `Thumbs.db` and the like.
pub fn is_litter(path: &Path) -> bool {
    const NAMES: [&str; 6] = ["__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "__pycache__"];
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.starts_with('.') || NAMES.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_however_they_are_spelled() {
        for (name, part) in [
            ("Train", Some("train")),
            ("training_set", Some("train")),
            ("VALID", Some("validation")),
            ("val", Some("validation")),
            ("Testing", Some("test")),
            ("test-set", Some("test")),
            ("trainer", None),
            ("set", None),
            ("cat", None),
        ] {
            assert_eq!(part_named(name), part, "{name}");
        }
    }

    #[test]
    fn litter_is_no_data() {
        for name in [".DS_Store", "._a.jpg", "__MACOSX", "x/Thumbs.db", ".ipynb_checkpoints"] {
            assert!(is_litter(Path::new(name)), "{name}");
        }
        assert!(!is_litter(Path::new(".x/a.jpg")));
    }
}
