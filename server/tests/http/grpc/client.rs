//! tonic's client, for methods that are called by their name.

use std::{marker::PhantomData, time::Duration};

use hyper::http::uri::PathAndQuery;
use prost::Message;
use server::grpc::messages::{ModelInferRequest, ModelInferResponse};
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Request, Response, Status, Streaming,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

pub struct Client {
    runtime: Runtime,
    grpc: Grpc<Channel>,
}

fn path(method: &str) -> PathAndQuery {
    format!("/inference.GRPCInferenceService/{method}").parse().unwrap()
}

impl Client {
    pub fn new(port: u16) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let endpoint: Endpoint = format!("http://127.0.0.1:{port}").parse().unwrap();
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        Self { runtime, grpc: Grpc::new(channel).max_decoding_message_size(usize::MAX) }
    }

    /// From now on messages are compressed.
    pub fn compressed(mut self, encoding: CompressionEncoding) -> Self {
        self.grpc = self.grpc.send_compressed(encoding);
        self
    }

    pub fn call<Q, A>(&self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.runtime.block_on(self.future(method, Request::new(request))).map(Response::into_inner)
    }

    /// A call that has not begun.
    pub fn future<Q, A>(
        &self,
        method: &str,
        request: Request<Q>,
    ) -> impl Future<Output = Result<Response<A>, Status>> + use<Q, A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (mut grpc, path) = (self.grpc.clone(), path(method));
        async move {
            grpc.ready().await.unwrap();
            grpc.unary(request, path, Prost(PhantomData)).await
        }
    }

    pub fn infer(&self, request: ModelInferRequest) -> Result<ModelInferResponse, Status> {
        self.call("ModelInfer", request)
    }

    pub fn infer_within(&self, request: ModelInferRequest, time: Duration) -> Result<ModelInferResponse, Status> {
        let mut request = Request::new(request);
        request.set_timeout(time);
        self.runtime.block_on(self.future("ModelInfer", request)).map(Response::into_inner)
    }

    /// The answers to a stream of requests, until it ends.
    pub fn stream<A>(&self, requests: Vec<ModelInferRequest>) -> (Vec<A>, Option<Status>)
    where
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        self.runtime.block_on(async {
            grpc.ready().await.unwrap();
            let requests = Request::new(futures_util::stream::iter(requests));
            let answer = grpc.streaming(requests, path("ModelStreamInfer"), Prost(PhantomData)).await;
            let mut answers: Streaming<A> = match answer {
                Ok(answer) => answer.into_inner(),
                Err(status) => return (Vec::new(), Some(status)),
            };
            let mut found = Vec::new();
            loop {
                match answers.message().await {
                    Ok(Some(one)) => found.push(one),
                    Ok(None) => return (found, None),
                    Err(status) => return (found, Some(status)),
                }
            }
        })
    }

    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// Messages of prost.
pub struct Prost<Q, A>(PhantomData<(Q, A)>);

impl<Q: Message + 'static, A: Message + Default + 'static> Codec for Prost<Q, A> {
    type Encode = Q;
    type Decode = A;
    type Encoder = Prost<Q, A>;
    type Decoder = Prost<Q, A>;

    fn encoder(&mut self) -> Self {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> Self {
        Self(PhantomData)
    }
}

impl<Q: Message, A> Encoder for Prost<Q, A> {
    type Item = Q;
    type Error = Status;

    fn encode(&mut self, item: Q, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(to).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<Q, A: Message + Default> Decoder for Prost<Q, A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        A::decode(from).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
