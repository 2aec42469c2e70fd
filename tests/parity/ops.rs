//! The standard's node tests on Eager.

use models::manifest::Manifest;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::{Kind, Tensor};
use tests::cases::{self, Array, Case, Data};
use trainer::nn::eager::{Eager, Mode, T};
use trainer::nn::params::{Layout, Params};

use crate::support::device;

/// A case's tensor in libtorch, on the device that is tested.
pub fn tensor(array: &Array) -> Tensor {
    let flat = match &array.data {
        Data::F32(v) => Tensor::from_slice(v),
        Data::U8(v) => Tensor::from_slice(v),
        Data::I64(v) => Tensor::from_slice(v),
    };
    flat.reshape(array.shape.as_slice()).to_device(device())
}

/// A libtorch tensor outside.
pub fn array(tensor: &Tensor) -> Array {
    let flat = tensor.contiguous().reshape([-1]);
    let data = match tensor.kind() {
        Kind::Float => Data::F32(Vec::try_from(&flat).expect("floats")),
        Kind::Uint8 => Data::U8(Vec::try_from(&flat).expect("bytes")),
        Kind::Int64 => Data::I64(Vec::try_from(&flat).expect("integers")),
        other => panic!("{other:?} is not one of the element types"),
    };
    Array { shape: tensor.size(), data }
}

fn outputs(case: &Case, eager: &Eager, inputs: &[T]) -> Vec<Array> {
    tch::no_grad(|| case.call.on(eager, inputs).into_iter().map(|t| array(&t.into_tensor())).collect())
}

/// Runs every case, and fails with the names of all that failed: on a device that is seldom at hand, one name is too little.
fn each_case(check: impl Fn(&Case)) {
    let failed: Vec<String> = cases::all()
        .filter(|case| catch_unwind(AssertUnwindSafe(|| check(case))).is_err())
        .map(|case| case.name)
        .collect();
    assert!(failed.is_empty(), "{} cases failed on {:?}: {}", failed.len(), device(), failed.join(", "));
}

#[test]
fn eager_passes_the_standard_and_leaves_its_inputs_alone() {
    let params = Params::init(&Manifest::default(), 0, device(), Layout::Contiguous);
    let eager = Eager::new(&params, Mode::Evaluate);
    each_case(|case| {
        let tensors: Vec<Tensor> = case.inputs.iter().map(tensor).collect();
        let inputs: Vec<T> = tensors.iter().map(T::borrowed).collect();
        case.check("Eager", &outputs(case, &eager, &inputs));
        for (tensor, input) in tensors.iter().zip(&case.inputs) {
            // Bit for bit, NaN included.
            assert_eq!(format!("{:?}", array(tensor)), format!("{input:?}"), "{}: an input was changed", case.name);
        }
    });
}

#[test]
fn eager_passes_the_standard_on_images_that_are_not_contiguous() {
    let params = Params::init(&Manifest::default(), 0, device(), Layout::ChannelsLast);
    let eager = Eager::new(&params, Mode::Evaluate);
    each_case(|case| {
        let strided = |array: &Array| {
            let t = tensor(array);
            if t.dim() == 4 { t.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { t }
        };
        let inputs: Vec<T> = case.inputs.iter().map(|a| T::borrowed(&strided(a))).collect();
        case.check("Eager, channels last", &outputs(case, &eager, &inputs));
    });
}
