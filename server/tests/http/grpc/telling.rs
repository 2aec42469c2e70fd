//! What the server tells of itself and its models: the same as over HTTP.

use std::collections::BTreeMap;

use schemas::prediction::{ModelConfig, ModelMetadata, ModelState, ServerMetadata, Statistics};
use server::grpc::messages::{
    DATA_TYPES, Empty, KINDS, ModelConfigResponse, ModelMetadataResponse, ModelReadyResponse, ModelRequest,
    ModelStatisticsResponse, RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelRequest,
    RepositoryParameter, ServerLiveResponse, ServerMetadataResponse, ServerReadyResponse,
};
use tonic::Code;

use super::{client::Client, encoded, red};
use crate::support::{Server, send};

fn of(name: &str, version: &str) -> ModelRequest {
    ModelRequest { name: name.to_owned(), version: version.to_owned() }
}

#[test]
fn both_protocols_tell_the_same() {
    let server = Server::with_detectors(&["--grpc", "127.0.0.1:0"]);
    let client = Client::new(server.grpc);
    assert!(client.call::<_, ServerLiveResponse>("ServerLive", Empty {}).unwrap().live);
    assert!(client.call::<_, ServerReadyResponse>("ServerReady", Empty {}).unwrap().ready);
    let told: ServerMetadataResponse = client.call("ServerMetadata", Empty {}).unwrap();
    let about: ServerMetadata = serde_json::from_value(server.get("/v2").json()).unwrap();
    assert_eq!((told.name, told.version, told.extensions), (about.name, about.version, about.extensions));

    for name in ["tiny", "whole", "multi", "d", "dw", "dt"] {
        for version in ["", "1"] {
            assert!(client.call::<_, ModelReadyResponse>("ModelReady", of(name, version)).unwrap().ready);
            let told: ModelMetadataResponse = client.call("ModelMetadata", of(name, version)).unwrap();
            let about: ModelMetadata =
                serde_json::from_value(server.get(&format!("/v2/models/{name}")).json()).unwrap();
            let tensors = told.inputs.iter().chain(&told.outputs);
            let expected = about.inputs.iter().chain(&about.outputs);
            let expected: Vec<_> =
                expected.map(|t| (t.name.clone(), t.datatype.to_string(), t.shape.clone())).collect();
            let tensors: Vec<_> = tensors.map(|t| (t.name.clone(), t.datatype.clone(), t.shape.clone())).collect();
            assert_eq!(tensors, expected);
            assert_eq!((told.name, told.versions, told.platform), (about.name, about.versions, about.platform));

            let told: ModelConfigResponse = client.call("ModelConfig", of(name, version)).unwrap();
            let told = told.config.unwrap();
            let about: ModelConfig =
                serde_json::from_value(server.get(&format!("/v2/models/{name}/config")).json()).unwrap();
            let inputs = told.input.iter().map(|t| (t.name.as_str(), DATA_TYPES[t.data_type as usize], &t.dims));
            let outputs = told.output.iter().map(|t| (t.name.as_str(), DATA_TYPES[t.data_type as usize], &t.dims));
            let expected = about.input.iter().chain(&about.output);
            let expected: Vec<_> = expected.map(|t| (t.name.as_str(), t.data_type.as_str(), &t.dims)).collect();
            assert_eq!(inputs.chain(outputs).collect::<Vec<_>>(), expected);
            assert_eq!(u64::try_from(told.max_batch_size).unwrap(), about.max_batch_size);
            assert_eq!((told.backend, told.platform), (about.backend, about.platform));
            assert_eq!(KINDS[told.instance_group[0].kind as usize], about.instance_group[0].kind);
            assert_eq!(told.dynamic_batching.unwrap().max_queue_delay_microseconds, 0);
        }
    }
    let told: RepositoryIndexResponse = client.call("RepositoryIndex", RepositoryIndexRequest { ready: true }).unwrap();
    let about = server.send(b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").json();
    let about: Vec<ModelState> = serde_json::from_value(about).unwrap();
    let rows: Vec<_> = told.models.into_iter().map(|m| (m.name, m.version, m.state, m.reason)).collect();
    assert_eq!(rows, about.into_iter().map(|m| (m.name, m.version, m.state, m.reason)).collect::<Vec<_>>());
}

#[test]
fn statistics_count_calls() {
    let server = Server::start(&["--grpc", "127.0.0.1:0"]);
    let client = Client::new(server.grpc);
    for _ in 0..3 {
        client.infer(encoded("tiny", &[red(9), red(200)])).unwrap();
    }
    client.infer(encoded("tiny", &[b"no image".to_vec()])).unwrap_err();
    let told: ModelStatisticsResponse = client.call("ModelStatistics", of("tiny", "")).unwrap();
    let [tiny] = &told.model_stats[..] else { panic!("{told:?}") };
    let stats = tiny.inference_stats.clone().unwrap();
    assert_eq!((stats.success.unwrap().count, stats.fail.unwrap().count), (3, 1));
    assert_eq!((tiny.name.as_str(), tiny.inference_count, tiny.version.as_str()), ("tiny", 6, "1"));
    assert_eq!(
        tiny.batch_stats.iter().map(|b| b.compute_infer.clone().unwrap().count).sum::<u64>(),
        tiny.execution_count
    );
    let about: Statistics = serde_json::from_value(server.get("/v2/models/tiny/stats").json()).unwrap();
    let about = &about.model_stats[0];
    assert_eq!((about.inference_count, about.last_inference), (tiny.inference_count, tiny.last_inference));
    assert_eq!(about.inference_stats.compute_infer.ns, stats.compute_infer.unwrap().ns);
    let all: ModelStatisticsResponse = client.call("ModelStatistics", of("", "")).unwrap();
    assert_eq!(all.model_stats.len(), 3);
    let metrics = server.get("/metrics").text();
    for line in [
        "fovea_requests_total{route=\"grpc_infer\",outcome=\"ok\"} 3",
        "fovea_requests_total{route=\"grpc_infer\",outcome=\"client_error\"} 1",
        "fovea_requests_total{route=\"grpc_stats\",outcome=\"ok\"} 2",
        "fovea_errors_total{code=\"invalid_image\"} 1",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line} is missing in\n{metrics}");
    }
}

#[test]
fn what_is_not_there_is_said_to_be_so() {
    let server = Server::start(&["--grpc", "127.0.0.1:0"]);
    let client = Client::new(server.grpc);
    for method in ["ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"] {
        for (name, version) in [("nope", ""), ("tiny", "2"), ("../etc/passwd", ""), ("tiny\0", "1")] {
            let status = client.call::<_, Empty>(method, of(name, version)).unwrap_err();
            assert_eq!(status.code(), Code::NotFound, "{method} {name}: {status:?}");
            assert_eq!(status.metadata().get("error-code").unwrap(), "unknown_model");
        }
    }
    for method in ["TraceSetting", "Nonsense", ""] {
        let status = client.call::<_, Empty>(method, Empty {}).unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{method}: {status:?}");
    }
    for method in ["RepositoryModelLoad", "RepositoryModelUnload"] {
        let status = client.call::<_, Empty>(method, Empty {}).unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{method}: {status:?}");
    }
    // Names are short.
    let status = client.call::<_, Empty>("ModelReady", of(&"m".repeat(5000), "")).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}

#[test]
fn models_are_loaded_and_unloaded_where_clients_may() {
    let server = Server::start(&["--grpc", "127.0.0.1:0", "--model-control", "explicit"]);
    let client = Client::new(server.grpc);
    let model = |name: &str| RepositoryModelRequest { model_name: name.to_owned(), parameters: BTreeMap::new() };
    let ready = || client.call::<_, ModelReadyResponse>("ModelReady", of("tiny", "")).map(|told| told.ready);
    client.call::<_, Empty>("RepositoryModelUnload", model("tiny")).unwrap();
    assert_eq!(ready().unwrap_err().code(), Code::NotFound);
    client.call::<_, Empty>("RepositoryModelLoad", model("tiny")).unwrap();
    assert!(ready().unwrap());
    for method in ["RepositoryModelLoad", "RepositoryModelUnload"] {
        assert_eq!(client.call::<_, Empty>(method, model("nope")).unwrap_err().code(), Code::NotFound);
    }
    let parameters = BTreeMap::from([("config".to_owned(), RepositoryParameter {})]);
    let status = client.call::<_, Empty>("RepositoryModelLoad", RepositoryModelRequest { parameters, ..model("tiny") });
    assert_eq!(status.unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn the_address_is_told() {
    let mut command = Server::command(&["--grpc", "127.0.0.1:0", "--json"]);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    let port = |text: &serde_json::Value| text.as_str().unwrap().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let (http, grpc) = (port(&told["listening"]), port(&told["grpc"]));
    let _server = Server::from_child(child, http);
    assert_eq!(send(http, b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status, 200);
    assert!(Client::new(grpc).call::<_, ServerLiveResponse>("ServerLive", Empty {}).unwrap().live);
}
