//! tonic's client, for methods that are called by their name.

use std::{
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    body::{Body as HttpBody, Frame},
    http::uri::PathAndQuery,
};
use prost::{Message, bytes::Bytes};
use server::grpc::messages::{ModelInferRequest, ModelInferResponse};
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Request, Response, Status, Streaming,
    client::{Grpc, GrpcService},
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

pub struct Client {
    runtime: Runtime,
    channel: Channel,
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
        let grpc = Grpc::new(channel.clone()).max_decoding_message_size(usize::MAX);
        Self { runtime, channel, grpc }
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

    /// Sends bytes in place of framed messages, and closes that side. How the call ends.
    pub fn bytes(&self, method: &str, data: &[u8]) -> Status {
        let body = Whole(Some(Bytes::copy_from_slice(data)));
        let request = hyper::Request::post(path(method).to_string()).header("content-type", "application/grpc");
        let request = request.body(tonic::body::Body::new(body)).unwrap();
        let mut channel = self.channel.clone();
        self.runtime.block_on(async {
            poll_fn(|context| GrpcService::<tonic::body::Body>::poll_ready(&mut channel, context)).await.unwrap();
            let answer = GrpcService::call(&mut channel, request).await.unwrap();
            if let Some(status) = Status::from_header_map(answer.headers()) {
                return status;
            }
            let mut body = answer.into_body();
            while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                if let Ok(trailers) = frame.unwrap().into_trailers() {
                    return Status::from_header_map(&trailers).unwrap();
                }
            }
            panic!("the call ended without a status");
        })
    }

    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// A body in one piece.
struct Whole(Option<Bytes>);

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
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
