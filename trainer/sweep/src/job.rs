//! Studies from job files: the specification's YAML, in its newer and its older style.
