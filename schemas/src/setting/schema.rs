//! JSON Schemas of the settings, made from the same table that checks them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::kind::{Kind, RowKey, TileGrid};
use super::source::Source;
use super::spec::SettingSpec;
use super::table::{SETTINGS, Settings};

impl SettingSpec {
    /// JSON Schema of the setting's value in its canonical form.
    #[must_use]
    pub fn value_schema(&self) -> Map<String, Value> {
        let mut map = Map::from_iter([("description".to_owned(), Value::from(self.help))]);
        map.extend(self.kind.schema());
        map
    }
}

impl Kind {
    /// JSON Schema of a value in its canonical form.
    pub(crate) fn schema(&self) -> Map<String, Value> {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
        match *self {
            Kind::Bool => {
                put("type", Value::from("boolean"));
            }
            Kind::Int { min, max } => {
                put("type", Value::from("integer"));
                put("minimum", Value::from(min));
                put("maximum", Value::from(max));
            }
            Kind::Float { min, max, exclusive_min, exclusive_max } => {
                put("type", Value::from("number"));
                put(if exclusive_min { "exclusiveMinimum" } else { "minimum" }, Value::from(min));
                put(if exclusive_max { "exclusiveMaximum" } else { "maximum" }, Value::from(max));
            }
            Kind::Choice(words) => {
                put("type", Value::from("string"));
                put("enum", json!(words));
            }
            Kind::Grid => {
                put("type", Value::from("string"));
                put("pattern", Value::from(TileGrid::canonical_pattern()));
            }
            Kind::Key => RowKey::schema().into_iter().for_each(|(key, value)| drop(put(key, value))),
        }
        map
    }
}

fn object(property: impl Fn(&SettingSpec) -> Value) -> Schema {
    let properties: Map<String, Value> = SETTINGS.iter().map(|spec| (spec.name.to_owned(), property(spec))).collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// Stands for the settings of a plan in schemas: each with its value and where that came from.
pub(crate) struct SourcedSettings;

impl JsonSchema for SourcedSettings {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("SourcedSettings")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = generator.subschema_for::<Source>();
        object(|spec| {
            json!({
                "type": "object",
                "properties": { "value": spec.value_schema(), "source": source },
                "required": ["value", "source"],
                "additionalProperties": false,
            })
        })
    }
}

impl JsonSchema for Settings {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Settings")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        object(|spec| Value::Object(spec.value_schema()))
    }
}
