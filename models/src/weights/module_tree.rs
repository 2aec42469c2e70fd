//! The tensors of a whole module as `torch.save(model)` writes it: an instance whose attributes `_parameters`, `_buffers` and
//! `_modules` are dictionaries, the last of which holds modules again. They get the names that PyTorch's `state_dict` has for
//! them. Of what classes the modules are does not matter.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::value::{Id, Pickle, Tensor, Value};

/// What may be spent on naming the tensors of a file: the characters of each name and, in modules, [`ENTRY`] beside them. A
/// module may stand in many places, so that a few hundred bytes can describe a tree of any size; a ResNet-152 takes about
/// 100 thousand.
pub(super) const BUDGET: usize = 1 << 24;
const ENTRY: usize = 16;

/// A tensor under its name.
pub(super) type Named = (String, Rc<Tensor>);

/// Whether a value is a module.
pub(super) fn is_module(pickle: &Pickle, id: Id) -> bool {
    let is_dict = |name: &str| pickle.attribute(id, name).is_some_and(|id| matches!(pickle.values[id], Value::Dict(_)));
    is_dict("_parameters") && is_dict("_buffers") && is_dict("_modules")
}

/// The tensors of the module at `root`, in the order of its `state_dict`: a module's own parameters and buffers, then those
/// of its parts. What naming them takes is taken from `budget`.
pub(super) fn tensors(pickle: &Pickle, root: Id, budget: &mut usize) -> Result<Vec<Named>, String> {
    let mut found = Vec::new();
    let mut waiting = vec![(root, String::new())];
    while let Some((module, prefix)) = waiting.pop() {
        spend(pickle.attributes(module).len(), budget)?;
        let passing = passing(pickle, module, budget)?;
        let mut named = |name: &'static str| -> Result<Vec<(String, Id)>, String> {
            let dict = pickle.attribute(module, name);
            let mut entries = Vec::new();
            for (key, id) in dict.and_then(|dict| pickle.entries(dict)).into_iter().flatten() {
                spend(ENTRY + prefix.len() + key.len(), budget)?;
                if name != "_buffers" || !passing.contains(key) {
                    entries.push((format!("{prefix}{key}"), id));
                }
            }
            Ok(entries)
        };
        let (parameters, buffers, parts) = (named("_parameters")?, named("_buffers")?, named("_modules")?);
        found.extend(parameters.into_iter().chain(buffers).filter_map(|(name, id)| match &pickle.values[id] {
            Value::Tensor(tensor) => Some((name, Rc::clone(tensor))),
            _ => None, // a layer without a bias has None there
        }));
        waiting.extend(parts.into_iter().rev().map(|(name, id)| (id, name + ".")));
    }
    Ok(found)
}

/// Takes what naming something costs from the budget of a file.
pub(super) fn spend(cost: usize, budget: &mut usize) -> Result<(), String> {
    *budget = budget.checked_sub(cost).ok_or(
        "holds modules in each other so often, or names so long, that listing its tensors has no end; save the state dict \
         (torch.save(model.state_dict(), ...))",
    )?;
    Ok(())
}

/// Buffers of a module that its `state_dict` leaves out.
fn passing<'a>(pickle: &'a Pickle, module: Id, budget: &mut usize) -> Result<BTreeSet<&'a str>, String> {
    let names = pickle.attribute(module, "_non_persistent_buffers_set").map(|id| &pickle.values[id]);
    let Some(Value::List(names)) = names else { return Ok(BTreeSet::new()) };
    spend(ENTRY * names.len(), budget)?;
    Ok(names.iter().filter_map(|id| pickle.text(*id)).collect())
}
