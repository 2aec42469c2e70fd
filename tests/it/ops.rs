//! The standard's node tests on the interpreters that need no libtorch.

use models::manifest::Manifest;
use tests::cases::{self, onnx};

#[test]
fn manifest_knows_every_shape() {
    let mut count = 0;
    for case in cases::all() {
        let manifest = Manifest::default();
        let inputs: Vec<_> = case.inputs.iter().map(|i| manifest.input(&i.shape)).collect();
        let outputs = case.call.on(&manifest, &inputs);
        let error = manifest.finish().err();
        assert!(error.is_none(), "{}: {error:?}", case.name);
        for (found, expected) in outputs.iter().zip(&case.outputs) {
            assert_eq!(found.as_ref(), expected.shape, "{}", case.name);
        }
        count += 1;
    }
    assert!(count > 280, "{count} cases");
}

#[test]
fn builder_and_onnx_runtime_pass_the_standard() {
    for case in cases::all() {
        for (interpreter, known) in [("Builder with sizes", true), ("Builder without sizes", false)] {
            case.check(interpreter, &onnx::outputs(&case.name, &case.call, &case.inputs, known));
        }
    }
}
