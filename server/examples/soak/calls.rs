//! The client that speaks gRPC: inference, streams, questions about models, calls that are refused, and calls that it gives up.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    time::{Duration, Instant},
};

use image::ImageFormat::{Jpeg, Png};
use prost::{Message, bytes::Bytes};
use server::grpc::messages::{
    Empty, InferInputTensor, InferTensorContents, ModelInferRequest, ModelInferResponse, ModelReadyResponse,
    ModelRequest, ModelStatisticsResponse, ModelStreamInferResponse, RepositoryIndexRequest, RepositoryIndexResponse,
    RepositoryModelRequest, ServerReadyResponse,
};
use tonic::{Code, Status};

use super::{
    chance::Chance,
    grpc_client::Client as Channel,
    images::{noise, plain},
    shared::{Client, Shared},
    tally::{Group, Outcome},
    truth::{Said, Versions},
};

/// Calls on one connection.
const KEPT: usize = 40;
/// How long a connection is kept without a call, less than the server keeps it.
const IDLE: Duration = Duration::from_secs(1);
/// How long a call is waited for that is given up.
const PATIENCE: Duration = Duration::from_millis(2);

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Classes,
    Boxes,
    Pixels,
    Stream,
    Readiness,
    OfModel,
    Statistics,
    Index,
    UnknownModel,
    WrongShape,
    NoImage,
    Loading,
    /// Its deadline passes, or nearly so.
    Late,
    /// The client goes away while it waits.
    GivenUp,
}

const ALL: [Call; 14] = [
    Call::GivenUp,
    Call::Late,
    Call::Loading,
    Call::NoImage,
    Call::WrongShape,
    Call::UnknownModel,
    Call::Index,
    Call::Statistics,
    Call::OfModel,
    Call::Readiness,
    Call::Stream,
    Call::Pixels,
    Call::Boxes,
    Call::Classes,
];

pub struct Calls<'a> {
    shared: &'a Shared,
    chance: Chance,
    pause: Duration,
    /// What is done before chance decides; the next one is last.
    first: Vec<Call>,
    channel: Option<Channel>,
    called: usize,
    /// When the last call ended.
    used: Instant,
    images: Vec<Bytes>,
}

impl<'a> Calls<'a> {
    pub fn new(shared: &'a Shared, chance: Chance, pause: Duration) -> Self {
        let images = vec![noise(120, 80, Jpeg).into(), plain(40, 40, [3, 90, 160], Png).into()];
        Self { shared, chance, pause, first: ALL.to_vec(), channel: None, called: 0, used: Instant::now(), images }
    }

    fn encoded(&self, model: &str) -> ModelInferRequest {
        let contents = InferTensorContents { bytes_contents: self.images.clone(), ..InferTensorContents::default() };
        let input = InferInputTensor { contents: Some(contents), ..input("BYTES", &[self.images.len() as i64]) };
        ModelInferRequest { model_name: model.to_owned(), inputs: vec![input], ..ModelInferRequest::default() }
    }

    fn channel(&mut self) -> Channel {
        self.called += 1;
        let is_fresh = !self.called.is_multiple_of(KEPT) && self.used.elapsed() < IDLE;
        self.channel.take().filter(|_| is_fresh).unwrap_or_else(|| Channel::new(self.shared.grpc.port()))
    }

    /// Whether an inference is answered as the first one was.
    fn infer(
        &self,
        channel: &Channel,
        name: &'static str,
        model: &'static str,
        request: ModelInferRequest,
    ) -> Result<Outcome, String> {
        let before = self.shared.truth.versions(Some(model));
        match channel.infer(request) {
            Ok(answer) => self.compare(name, (model, before), answer),
            Err(status) => without_room(&status),
        }
    }

    fn compare(
        &self,
        name: &'static str,
        (model, before): (&'static str, Versions),
        mut answer: ModelInferResponse,
    ) -> Result<Outcome, String> {
        let versions = Versions { newest: self.shared.truth.versions(Some(model)).newest, ..before };
        let named = std::mem::take(&mut answer.model_version);
        let named = named.parse::<u64>().map_err(|_| format!("the answer names version '{named}'"))?;
        self.shared.truth.compare(name, Said { versions, named: Some(named), body: answer.encode_to_vec() })
    }

    fn go(&self, call: Call, channel: &Channel) -> Result<Outcome, String> {
        let of = |name: &str| ModelRequest { name: name.to_owned(), version: String::new() };
        match call {
            Call::Classes => self.infer(channel, "gRPC: classes", "classifier", self.encoded("classifier")),
            Call::Boxes => self.infer(channel, "gRPC: boxes", "detector", self.encoded("detector")),
            Call::Pixels => self.infer(channel, "gRPC: pixels", "whole", pixels(&[1, 8, 8, 3])),
            Call::Stream => self.stream(channel),
            Call::Readiness => said(channel.call("ServerReady", Empty {}), |told: &ServerReadyResponse| told.ready),
            Call::OfModel => said(channel.call("ModelReady", of("masks")), |told: &ModelReadyResponse| told.ready),
            Call::Statistics => said(channel.call("ModelStatistics", of("")), |told: &ModelStatisticsResponse| {
                told.model_stats.len() >= 4
            }),
            Call::Index => said(
                channel.call("RepositoryIndex", RepositoryIndexRequest::default()),
                |told: &RepositoryIndexResponse| told.models.len() >= 4,
            ),
            Call::UnknownModel => refused(channel.infer(self.encoded("nothing")), Code::NotFound),
            Call::WrongShape => refused(channel.infer(pixels(&[1, 9, 9, 3])), Code::InvalidArgument),
            Call::NoImage => {
                let mut request = self.encoded("classifier");
                if let Some(contents) = &mut request.inputs[0].contents {
                    contents.bytes_contents[1] = Bytes::from_static(b"no image");
                }
                refused(channel.infer(request), Code::InvalidArgument)
            }
            Call::Loading => {
                let request = RepositoryModelRequest { model_name: "whole".to_owned(), parameters: BTreeMap::new() };
                refused(channel.call::<_, Empty>("RepositoryModelLoad", request), Code::PermissionDenied)
            }
            Call::Late => match channel.infer_within(self.encoded("classifier"), PATIENCE) {
                Ok(_) => Ok(Outcome::Right),
                Err(status) if [Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()) => Ok(Outcome::Right),
                Err(status) => without_room(&status),
            },
            Call::GivenUp => {
                let call =
                    channel.future::<_, ModelInferResponse>("ModelInfer", tonic::Request::new(self.encoded("masks")));
                match channel.run(async { tokio::time::timeout(PATIENCE, call).await }) {
                    Err(_) | Ok(Ok(_)) => Ok(Outcome::Right),
                    Ok(Err(status)) => without_room(&status),
                }
            }
        }
    }

    fn stream(&self, channel: &Channel) -> Result<Outcome, String> {
        let before = self.shared.truth.versions(Some("classifier"));
        let requests = vec![self.encoded("classifier"), self.encoded("nothing"), self.encoded("classifier")];
        let (answers, status) = channel.stream::<ModelStreamInferResponse>(requests);
        if let Some(status) = status {
            return without_room(&status);
        }
        let count = answers.len();
        let answers = <[ModelStreamInferResponse; 3]>::try_from(answers);
        let [first, unknown, last] = answers.map_err(|_| format!("{count} answers to 3 requests"))?;
        if unknown.error_message.is_empty() {
            return Err("a model that does not exist has answered".to_owned());
        }
        for one in [first, last] {
            match one.infer_response {
                Some(mut answer) if one.error_message.is_empty() => {
                    // Only of a stream: that nothing more comes for this request.
                    answer.parameters.clear();
                    self.compare("gRPC: classes", ("classifier", before), answer)?;
                }
                _ if one.error_message.contains("busy") => return Ok(Outcome::WithoutRoom),
                _ => return Err(one.error_message),
            }
        }
        Ok(Outcome::Right)
    }
}

fn input(datatype: &str, shape: &[i64]) -> InferInputTensor {
    let (name, datatype) = ("images".to_owned(), datatype.to_owned());
    InferInputTensor { name, datatype, shape: shape.to_vec(), ..InferInputTensor::default() }
}

/// 192 pixels' bytes, said to be of this shape.
fn pixels(shape: &[i64]) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "whole".to_owned(),
        inputs: vec![input("UINT8", shape)],
        raw_input_contents: vec![Bytes::from((0..192).collect::<Vec<u8>>())],
        ..ModelInferRequest::default()
    }
}

/// A call that is not answered had no room, or is wrong.
fn without_room(status: &Status) -> Result<Outcome, String> {
    match status.code() {
        Code::ResourceExhausted => Ok(Outcome::WithoutRoom),
        code => Err(format!("{code:?}: {}", status.message())),
    }
}

fn said<T: Debug>(answer: Result<T, Status>, is_right: impl FnOnce(&T) -> bool) -> Result<Outcome, String> {
    match answer {
        Ok(told) if is_right(&told) => Ok(Outcome::Right),
        Ok(told) => Err(format!("it says {told:?}")),
        Err(status) => without_room(&status),
    }
}

fn refused<T: Debug>(answer: Result<T, Status>, code: Code) -> Result<Outcome, String> {
    match answer {
        Err(status) if status.code() == code => Ok(Outcome::Right),
        Err(status) => without_room(&status),
        Ok(told) => Err(format!("it is answered: {told:?}")),
    }
}

impl Client for Calls<'_> {
    fn step(&mut self) {
        let call = self.first.pop().unwrap_or_else(|| *self.chance.of(&ALL));
        let channel = self.channel();
        let result = self.go(call, &channel);
        self.used = Instant::now();
        self.shared.tally.count(Group::Grpc, &format!("{call:?}"), result);
        match call {
            // Its connection goes with it.
            Call::GivenUp => drop(channel),
            Call::Classes
            | Call::Boxes
            | Call::Pixels
            | Call::Stream
            | Call::Readiness
            | Call::OfModel
            | Call::Statistics
            | Call::Index
            | Call::UnknownModel
            | Call::WrongShape
            | Call::NoImage
            | Call::Loading
            | Call::Late => self.channel = Some(channel),
        }
        let pause = self.chance.around(self.pause);
        self.shared.gate.wait(pause);
    }

    fn rest(&mut self) {
        self.channel = None;
    }
}
