//! Requests for inference: a message becomes what V2 asks, and the tensors of its answer become a message.

use std::{collections::BTreeMap, sync::Arc};

use actix_web::web::Data;
use prost::{Message as _, bytes::Bytes};
use schemas::prediction::{ClassCount, Datatype, OutputParameters, RequestParameters, RequestedOutput, Unsupported};
use serde_json::{Map, Number, Value};

use super::{
    messages::{
        InferInputTensor, InferOutputTensor, InferParameter, InferRequestedOutputTensor, InferTensorContents,
        ModelInferRequest, ModelInferResponse, ParameterChoice,
    },
    methods::find,
    outline::{Outline, broken},
    receive::Message,
};
use crate::{
    admit::{Body, Reservation},
    coding::Coding,
    error::ServerError,
    metrics::Timings,
    state::State,
    v2::{Asked, Call, Elements, Input, Parsed, Parser, Reading, Rendered, bad},
};

/// Parameters by their names.
type Parameters = BTreeMap<String, InferParameter>;

/// The answer to a request, and the memory that it takes.
///
/// # Errors
/// Whatever is wrong with the request or goes wrong with its work.
pub(super) async fn infer(
    state: &Data<State>,
    message: Message,
    timings: Arc<Timings>,
) -> Result<(ModelInferResponse, Reservation), ServerError> {
    let body = plain(state, message).await?;
    let outline = Outline::of(&body.bytes, state.limits.max_images)?;
    let found = find(state, outline.model, outline.version)?;
    let mut reservation = body.reservation;
    reservation.absorb(state.admission.budget.reserve(outline.memory)?);
    let bytes = Bytes::from(body.bytes);
    let call = Call { state: state.clone(), found, timings };
    let answer = call.answer(Reading::Pool, move |parser| parse(parser, bytes, reservation)).await?;
    answer.render(|rendered| {
        let length: u64 = rendered.tensors.iter().map(|tensor| tensor.data.byte_length() as u64).sum();
        // Once as bytes, once within the message.
        let reservation = state.admission.budget.reserve(2 * length)?;
        Ok((respond(rendered), reservation))
    })
}

/// The message as it was before it was compressed.
async fn plain(state: &Data<State>, message: Message) -> Result<Body, ServerError> {
    let limit = state.limits.body_bytes();
    if message.coding == Coding::Identity {
        return message.plain(state, limit);
    }
    let shared = state.clone();
    state.pool.run(move || message.plain(&shared, limit)).await
}

fn parse(parser: &Parser<'_>, bytes: Bytes, reservation: Reservation) -> Result<Parsed, ServerError> {
    let request = ModelInferRequest::decode(bytes).map_err(|error| broken(&error))?;
    let asked = Asked {
        id: (!request.id.is_empty()).then_some(request.id),
        parameters: parameters(&request.parameters)?,
        inputs: inputs(request.inputs, request.raw_input_contents)?,
        outputs: Some(request.outputs.into_iter().map(output).collect()),
    };
    parser.understand(asked, reservation)
}

/// The parameters that V2 knows, read as those of JSON are.
fn parameters(given: &Parameters) -> Result<RequestParameters, ServerError> {
    let value = |(name, parameter): (&String, &InferParameter)| {
        let value = match &parameter.parameter_choice {
            None => Value::Null,
            Some(ParameterChoice::BoolParam(value)) => Value::Bool(*value),
            Some(ParameterChoice::Int64Param(value)) => Value::from(*value),
            Some(ParameterChoice::Uint64Param(value)) => Value::from(*value),
            Some(ParameterChoice::StringParam(value)) => Value::from(value.as_str()),
            Some(ParameterChoice::DoubleParam(value)) => match Number::from_f64(*value) {
                Some(number) => Value::Number(number),
                None => return bad(format!("the parameter {name:?} is no finite number")),
            },
        };
        Ok((name.clone(), value))
    };
    let values = given.iter().map(value).collect::<Result<Map<String, Value>, _>>()?;
    serde_json::from_value(Value::Object(values)).map_err(|_| {
        ServerError::Request(
            "an option among the parameters is of another type; thresholds and ratios are numbers, tile_grid_size is a text such \
             as 2x2"
                .to_owned(),
        )
    })
}

fn output(output: InferRequestedOutputTensor) -> RequestedOutput<'static> {
    let parameters = OutputParameters {
        binary_data: None,
        classification: output.parameters.get("classification").and_then(class_count),
        shared_memory_region: output.parameters.contains_key("shared_memory_region").then_some(Unsupported),
    };
    RequestedOutput { name: output.name.into(), parameters: Some(parameters) }
}

/// A number of classes; a parameter without a value says nothing, as null does in JSON.
fn class_count(given: &InferParameter) -> Option<ClassCount> {
    given.parameter_choice.as_ref().map(|choice| match choice {
        ParameterChoice::Int64Param(count) => Number::from(*count).into(),
        ParameterChoice::Uint64Param(count) => Number::from(*count).into(),
        ParameterChoice::BoolParam(_) | ParameterChoice::StringParam(_) | ParameterChoice::DoubleParam(_) => {
            ClassCount::NONE
        }
    })
}

/// The inputs, whose elements are all in a list of bytes of their own or all within them.
fn inputs(inputs: Vec<InferInputTensor>, raw: Vec<Bytes>) -> Result<Vec<Input<'static>>, ServerError> {
    if raw.is_empty() {
        return inputs.into_iter().map(|input| input_of(input, None)).collect();
    }
    if raw.len() != inputs.len() {
        return bad(format!("raw_input_contents hold {} elements for {} inputs", raw.len(), inputs.len()));
    }
    inputs.into_iter().zip(raw).map(|(input, raw)| input_of(input, Some(raw))).collect()
}

fn input_of(input: InferInputTensor, raw: Option<Bytes>) -> Result<Input<'static>, ServerError> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = input;
    if parameters.contains_key("shared_memory_region") {
        return bad("the parameter shared_memory_region is not supported");
    }
    let Ok(datatype) = serde_json::from_value::<Datatype>(Value::String(datatype)) else {
        return bad(format!("datatype of {name:.64} is none of {}", Datatype::NAMES.join(", ")));
    };
    let elements = match (contents, raw) {
        (Some(_), Some(_)) => {
            return bad(format!("{name:.64} has both contents and raw_input_contents; send one"));
        }
        (None, None) => return bad(format!("{name:.64} has neither contents nor raw_input_contents")),
        (None, Some(raw)) => Elements::Raw(raw),
        (Some(contents), None) => elements(datatype, contents),
    };
    let lengths = shape.iter().map(|&length| u64::try_from(length)).collect::<Result<_, _>>();
    match lengths {
        Ok(shape) => Ok(Input { name: name.into(), datatype, shape, elements }),
        Err(_) => bad(format!("shape of {name:.64} holds a negative number")),
    }
}

/// The list that the type has a place in. What stands in others is not looked at, as nothing else is that the protocol does not
/// foresee.
fn elements(datatype: Datatype, contents: InferTensorContents) -> Elements<'static> {
    let InferTensorContents { int64_contents, uint_contents, bytes_contents } = contents;
    match datatype {
        Datatype::Bytes => Elements::Blobs(bytes_contents),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => Elements::Unsigned(uint_contents),
        Datatype::Int64 => Elements::Integers(int64_contents),
        // No input is of these; that is said where the names are known.
        Datatype::Bool
        | Datatype::Uint64
        | Datatype::Int8
        | Datatype::Int16
        | Datatype::Int32
        | Datatype::Fp16
        | Datatype::Fp32
        | Datatype::Fp64
        | Datatype::Bf16 => Elements::Raw(Bytes::new()),
    }
}

fn respond(rendered: Rendered) -> ModelInferResponse {
    let Rendered { model, version, id, tensors } = rendered;
    let mut response = ModelInferResponse {
        model_name: model,
        model_version: version,
        id: id.unwrap_or_default(),
        ..ModelInferResponse::default()
    };
    for tensor in tensors {
        response.outputs.push(InferOutputTensor {
            name: tensor.name.to_owned(),
            datatype: tensor.data.datatype().to_string(),
            shape: tensor.shape.iter().map(|&length| i64::try_from(length).unwrap_or(i64::MAX)).collect(),
        });
        response.raw_output_contents.push(tensor.data.to_bytes().into());
    }
    response
}
