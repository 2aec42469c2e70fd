//! Settings of the optimizer, which means the same to every task.

use crate::lab::Effect;

pub static EFFECTS: &[Effect] = &[
    ("optimizer", |lab| lab.other_weights("--optimizer adam", "--optimizer adamw --weight_decay 0.1")),
    ("momentum", |lab| lab.other_weights("--momentum 0.5", "")),
    ("nesterov", |lab| lab.other_weights("--nesterov false", "")),
    ("weight_decay", |lab| lab.other_weights("--weight_decay 0.1", "")),
    ("beta1", |lab| lab.other_weights("--optimizer adam --beta1 0.5", "--optimizer adam")),
    ("beta2", |lab| lab.other_weights("--optimizer adam --beta2 0.5", "--optimizer adam")),
];
