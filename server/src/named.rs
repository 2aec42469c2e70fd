//! Options of the operator that are for the model of a name, or for all models.

use std::fmt::Display;

use anyhow::bail;

/// Whether the model that an option is for is there, or, with a repository, may come. `option` is as it was given.
pub(crate) fn check(
    option: impl Display,
    model: Option<&str>,
    models: &[&str],
    has_repository: bool,
) -> anyhow::Result<()> {
    if model.is_some_and(|model| !has_repository && !models.contains(&model)) {
        bail!("{option}: no --model has that name; there are {}", models.join(", "));
    }
    Ok(())
}

/// The models that an option is for, for the text of an error.
pub(crate) fn whom(model: Option<&str>) -> String {
    model.map_or("all models".to_owned(), |name| format!("the model '{name}'"))
}
