//! Integration tests that need libtorch: what a definition computes on Eager is what the oracles computed, and what the
//! exported file computes.

/// One test per model, so that they run side by side and a failure names its model.
macro_rules! each_model {
    ($module:ident, $check:path) => {
        mod $module {
            each_model!(
                @tests $check, efficientnet_lite0 mobilenetv2 resnet18 resnet34 resnet50 resnet101 resnet152 resnest50
                resnest101 seresnext vits16r224 vitb16r224 vitl16r224 dinov2_small dinov2_base convnextv2_atto
                convnextv2_femto convnextv2_pico convnextv2_nano convnextv2_tiny convnextv2_base
            );
        }
    };
    (@tests $check:path, $($model:ident)*) => {
        $(
            #[test]
            fn $model() {
                $check(models::registry::find(stringify!($model)).expect("a model"));
            }
        )*

        #[test]
        fn every_model_is_listed() {
            let listed = [$(stringify!($model)),*];
            let classifiers = models::registry::all().iter().filter(|m| m.classifier().is_some());
            assert!(classifiers.map(|m| m.name).all(|name| listed.contains(&name)));
        }
    };
}

mod detect_forward;
mod detect_loss;
mod files;
mod forward;
mod onnx;
mod onnx_detect;
mod ops;
mod random;
mod support;
mod vision;
