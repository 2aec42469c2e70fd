//! The Python names that mean something here. Every other name is a name and nothing more: no code of its is looked up or run.

use super::dtype::Dtype;

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    DefaultDict,
    Dict,
    Set,
    RebuildTensor,
    RebuildTensorV2,
    RebuildFromType,
    RebuildParameter,
    Storage(Dtype),
    /// A class or a function of which nothing is known.
    Unknown,
}

/// Modules by which a pickle acts on the machine of a Python that loads it. Weights have no use for them.
const ACTING_MODULES: [&str; 15] = [
    "commands",
    "ctypes",
    "importlib",
    "multiprocessing",
    "nt",
    "os",
    "platform",
    "posix",
    "pty",
    "runpy",
    "shutil",
    "socket",
    "subprocess",
    "sys",
    "webbrowser",
];
/// Functions of Python's own that do.
const ACTING_FUNCTIONS: [&str; 8] =
    ["__import__", "breakpoint", "compile", "eval", "exec", "execfile", "input", "open"];

/// What a name means; the error is of a file that was made to do harm.
pub(super) fn global(module: &str, name: &str) -> Result<Global, String> {
    let is_builtin = matches!(module, "builtins" | "__builtin__");
    let outermost = module.split('.').next().unwrap_or_default();
    if ACTING_MODULES.contains(&outermost) || is_builtin && ACTING_FUNCTIONS.contains(&name) {
        let text = format!("{module}.{name}");
        return Err(format!(
            "'{}' is refused: weights have no use for it, and a Python that loads this file would run it; nothing was \
             executed here; get the file from somebody you trust",
            text.escape_debug()
        ));
    }
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("collections", "defaultdict") => Global::DefaultDict,
        (_, "dict") if is_builtin => Global::Dict,
        (_, "set" | "frozenset") if is_builtin => Global::Set,
        ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
        ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::RebuildParameter,
        ("torch", "FloatStorage") => Global::Storage(Dtype::F32),
        ("torch", "DoubleStorage") => Global::Storage(Dtype::F64),
        ("torch", "HalfStorage") => Global::Storage(Dtype::F16),
        ("torch", "BFloat16Storage") => Global::Storage(Dtype::Bf16),
        ("torch", "LongStorage") => Global::Storage(Dtype::I64),
        ("torch", "IntStorage") => Global::Storage(Dtype::I32),
        ("torch", "ShortStorage") => Global::Storage(Dtype::I16),
        ("torch", "CharStorage") => Global::Storage(Dtype::I8),
        ("torch", "ByteStorage") => Global::Storage(Dtype::U8),
        ("torch", "BoolStorage") => Global::Storage(Dtype::Bool),
        _ => Global::Unknown,
    })
}
