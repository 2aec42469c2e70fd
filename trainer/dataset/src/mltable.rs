//! Which JSONL files a user's data is: a JSONL file itself, or an MLTable (a folder with a file named `MLTable`, or
//! that file). Of an MLTable, `paths` and the transformations that describe JSON lines are understood.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::error::{DataError, wrong};
use super::foreign;

/// The JSONL files of one data set, in order, and what was not understood on the way.
#[derive(Debug)]
pub struct Source {
    /// Absolute paths.
    pub files: Vec<PathBuf>,
    /// Parts of an MLTable that were left aside, one text each.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct MlTable {
    paths: Vec<TablePath>,
    #[serde(default)]
    transformations: Vec<Value>,
}

#[derive(Deserialize)]
struct TablePath {
    file: Option<String>,
    folder: Option<String>,
    pattern: Option<String>,
}

/// Finds the JSONL files that `path` names.
///
/// # Errors
/// The path does not exist, is a folder without `MLTable`, or the MLTable cannot be read or names no file.
pub fn open(path: &Path) -> Result<Source, DataError> {
    let absolute = std::path::absolute(path).map_err(|e| DataError::io("resolve", path, e))?;
    let kind = std::fs::metadata(&absolute).map_err(|e| DataError::io("open", path, e))?;
    if kind.is_dir() {
        let table = absolute.join("MLTable");
        if !table.is_file() {
            return Err(wrong(
                path,
                "is a folder without an MLTable file; name a JSONL file or an MLTable folder, or make a JSONL from a folder per class with `trainer convert folders`",
            ));
        }
        return read_table(&table);
    }
    if absolute.file_name().is_some_and(|name| name == "MLTable") {
        return read_table(&absolute);
    }
    foreign::check(path)?;
    Ok(Source { files: vec![absolute], warnings: Vec::new() })
}

fn read_table(path: &Path) -> Result<Source, DataError> {
    let text = std::fs::read_to_string(path).map_err(|e| DataError::io("read", path, e))?;
    let table: MlTable =
        serde_saphyr::from_str(&text).map_err(|e| wrong(path, format!("is not a readable MLTable: {e}")))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut files = Vec::new();
    for entry in &table.paths {
        match (&entry.file, &entry.folder, &entry.pattern) {
            (Some(file), None, None) => files.push(local(path, folder, file)?),
            (None, Some(dir), None) => files.extend(matching(path, &local(path, folder, dir)?, "*.jsonl")?),
            (None, None, Some(pattern)) => files.extend(matching(path, folder, pattern)?),
            _ => return Err(wrong(path, "each entry of paths needs exactly one of file, folder, pattern")),
        }
    }
    if files.is_empty() {
        return Err(wrong(path, "paths names no JSONL file"));
    }
    files.iter().filter(|file| file.is_file()).try_for_each(|file| foreign::check(file))?;
    let warnings = table.transformations.iter().filter_map(|step| unread(path, step)).collect();
    Ok(Source { files, warnings })
}

fn local(table: &Path, folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    match name.split_once("://") {
        // Without the dots of `./train.jsonl`, which every message about a row would have in its middle.
        None => Ok(folder.join(name).components().collect()),
        Some(("file", rest)) => Ok(PathBuf::from(rest)),
        Some(_) => Err(wrong(
            table,
            format!("paths names {name:?}, which is not on this machine; download it and name the local copy"),
        )),
    }
}

/// Files below `folder` that match `pattern`, sorted. `*` stands for any text of a name, `?` for one character, and a part
/// `**` for any number of folders, also none; hidden folders and links to folders are not gone into for it.
fn matching(table: &Path, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, DataError> {
    let special = |part: &str| part.contains(['*', '?']);
    let parts: Vec<&str> = pattern.split('/').collect();
    let plain = parts.iter().position(|part| special(part)).unwrap_or(parts.len() - 1);
    let start = local(table, folder, &parts[..plain].iter().map(|part| format!("{part}/")).collect::<String>())?;
    if parts.last().is_none_or(|name| name.is_empty()) {
        return Err(wrong(table, format!("pattern {pattern:?} names no file")));
    }
    let mut found = Vec::new();
    descend(&start, &parts[plain..], &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

/// Adds the files below `folder` that match the parts of a pattern.
fn descend(folder: &Path, parts: &[&str], found: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let [part, rest @ ..] = parts else { return Ok(()) };
    if *part == "." || part.is_empty() {
        return descend(folder, rest, found);
    }
    let any_depth = *part == "**" && !rest.is_empty();
    if any_depth {
        descend(folder, rest, found)?;
    }
    for entry in std::fs::read_dir(folder).map_err(|e| DataError::io("list", folder, e))? {
        let path = entry.map_err(|e| DataError::io("list", folder, e))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match (any_depth, path.is_dir()) {
            (true, true) if !name.starts_with('.') && !path.is_symlink() => descend(&path, parts, found)?,
            (false, true) if !rest.is_empty() && glob(part, &name) => descend(&path, rest, found)?,
            (false, false) if rest.is_empty() && path.is_file() && glob(part, &name) => found.push(path),
            (true | false, true | false) => {}
        }
    }
    Ok(())
}

fn glob(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| glob(rest.as_str(), &name[at..]))
        }
        Some(wanted) => {
            let mut letters = name.chars();
            letters.next().is_some_and(|got| wanted == '?' || wanted == got) && glob(rest.as_str(), letters.as_str())
        }
    }
}

/// A warning where a transformation would change what is read here.
fn unread(path: &Path, step: &Value) -> Option<String> {
    let (name, body) = match step {
        Value::String(name) => (name.as_str(), &Value::Null),
        Value::Object(map) => map.iter().next().map(|(name, body)| (name.as_str(), body))?,
        _ => return Some(format!("{}: transformation {step} is not understood and was left aside", path.display())),
    };
    match name {
        "read_json_lines" => match body.get("encoding").and_then(Value::as_str) {
            None | Some("utf8" | "utf-8" | "UTF8" | "UTF-8" | "utf_8" | "ascii") => None,
            Some(other) => Some(format!("{}: encoding {other} is read as UTF-8", path.display())),
        },
        "convert_column_types" => None,
        other => Some(format!("{}: transformation {other} is not applied", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> (tempfile::TempDir, Result<Source, DataError>) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.jsonl", "b.jsonl", "c.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::write(dir.path().join("MLTable"), text).unwrap();
        let source = open(dir.path());
        (dir, source)
    }

    #[track_caller]
    fn names(source: &Source) -> Vec<String> {
        source.files.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn azure_example() {
        let (_dir, source) = table(
            "$schema: https://x/MLTable.schema.json\ntype: mltable\npaths:\n  - file: ./a.jsonl\ntransformations:\n  - read_json_lines:\n        encoding: utf8\n        invalid_lines: error\n        include_path_column: false\n  - convert_column_types:\n      - columns: image_url\n        column_type: stream_info",
        );
        let source = source.unwrap();
        assert_eq!(names(&source), ["a.jsonl"]);
        assert!(!source.files[0].to_str().unwrap().contains("/./"), "{:?}", source.files);
        assert!(source.warnings.is_empty(), "{:?}", source.warnings);
    }

    #[test]
    fn several_files_folders_and_patterns() {
        let (_dir, source) = table("paths:\n  - file: b.jsonl\n  - pattern: ./a*.json?\n  - folder: .\n");
        assert_eq!(names(&source.unwrap()), ["b.jsonl", "a.jsonl", "a.jsonl", "b.jsonl"]);
    }

    #[test]
    fn patterns_go_down() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.jsonl", "x/b.jsonl", "x/y/c.jsonl", "x/y/d.txt", ".git/e.jsonl", "z/y/f.jsonl"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        for (pattern, expected) in [
            ("./**/*.jsonl", &["a.jsonl", "b.jsonl", "c.jsonl", "f.jsonl"][..]),
            ("**/y/*.jsonl", &["c.jsonl", "f.jsonl"]),
            ("x/**/*.jsonl", &["b.jsonl", "c.jsonl"]),
            ("?/y/*.jsonl", &["c.jsonl", "f.jsonl"]),
            ("*/b.jsonl", &["b.jsonl"]),
            ("x/b.jsonl", &["b.jsonl"]),
        ] {
            std::fs::write(dir.path().join("MLTable"), format!("paths:\n  - pattern: '{pattern}'\n")).unwrap();
            assert_eq!(names(&open(dir.path()).unwrap()), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_not_applied_is_said() {
        let (_dir, source) =
            table("paths: [{file: a.jsonl}]\ntransformations:\n  - read_json_lines: {encoding: latin1}\n  - take: 5\n");
        let warnings = source.unwrap().warnings;
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("latin1") && warnings[1].contains("take"), "{warnings:?}");
    }

    #[test]
    fn unusable_tables() {
        for (text, part) in [
            ("paths: []", "names no JSONL"),
            ("paths:\n  - {}\n", "exactly one of"),
            ("paths: [{file: 'azureml://datastores/x/paths/a.jsonl'}]", "not on this machine"),
            ("pathes: 1", "not a readable MLTable"),
            ("\u{1}: [", "not a readable MLTable"),
        ] {
            let message = table(text).1.unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(open(empty.path()).unwrap_err().to_string().contains("convert folders"));
        assert!(open(&empty.path().join("none.jsonl")).is_err());
    }
}
