//! Batches that are padded to a few sizes, in memory that stays bound to the session.
//!
//! A card wants few shapes: for each new one kernels are chosen, and memory is laid out, anew. It also wants images in memory
//! that it can fetch by itself (pinned), which ONNX Runtime's arena hands out again and again.

use ndarray::ArrayView4;
use ort::memory::{Allocator, MemoryInfo};
use ort::session::{IoBinding, RunOptions, Session, SessionOutputs};
use ort::value::Tensor;

use crate::RuntimeError;
use crate::execution::Buckets;
use crate::format::{INPUT, SIZES};
use crate::model::failed;
use crate::provider::{Provider, cpu_memory};

/// What a model is run on, after it has been checked against the file.
pub(crate) struct Inputs<'a> {
    /// uint8 `[n, h, w, 3]`.
    pub images: ArrayView4<'a, u8>,
    /// Of prepared detectors.
    pub sizes: Option<&'a [[i64; 2]]>,
    /// By name, where they are not the file's own.
    pub thresholds: Vec<(&'static str, f32)>,
}

/// A session's memory.
pub(crate) struct Bound {
    binding: IoBinding,
    host: Allocator,
    answers: MemoryInfo<'static>,
    outputs: Vec<String>,
    buckets: Buckets,
}

impl Bound {
    pub(crate) fn new(session: &Session, provider: Provider, buckets: Buckets) -> ort::Result<Self> {
        let host = provider.host(session)?;
        let outputs = session.outputs().iter().map(|output| output.name().to_owned()).collect();
        Ok(Self { binding: session.create_binding()?, host, answers: cpu_memory()?, outputs, buckets })
    }

    /// Runs a batch and returns all outputs, with rows for the padding at their end.
    pub(crate) fn run<'a>(
        &'a mut self,
        session: &'a mut Session,
        options: &RunOptions,
        inputs: &Inputs<'_>,
    ) -> Result<SessionOutputs<'a>, RuntimeError> {
        self.bind(inputs).map_err(|e| failed(&e))?;
        session.run_binding_with_options(&self.binding, options).map_err(|e| failed(&e))
    }

    fn bind(&mut self, inputs: &Inputs<'_>) -> ort::Result<()> {
        // A threshold of the batch before must not stay.
        self.binding.clear_inputs();
        let (n, h, w, c) = inputs.images.dim();
        let rows = self.buckets.fit(n);
        let mut images = Tensor::<u8>::new(&self.host, [rows, h, w, c])?;
        fill(images.try_extract_tensor_mut::<u8>()?.1, &inputs.images);
        self.binding.bind_input(INPUT, &images)?;
        if let Some(sizes) = inputs.sizes {
            let mut all = sizes.as_flattened().to_vec();
            // What is found in a black image is cut off; it needs a size all the same.
            all.extend([h as i64, w as i64].repeat(rows - n));
            self.binding.bind_input(SIZES, &Tensor::from_array(([rows, 2], all))?)?;
        }
        for &(name, value) in &inputs.thresholds {
            self.binding.bind_input(name, &Tensor::from_array(([1], vec![value]))?)?;
        }
        // Bound anew, because what is left from the batch before has its shape.
        for name in &self.outputs {
            self.binding.bind_output_to_device(name.as_str(), &self.answers)?;
        }
        self.binding.synchronize_inputs()
    }
}

/// Writes images to the front of a buffer that is at least as long, and makes the rest black.
pub(crate) fn fill(buffer: &mut [u8], images: &ArrayView4<'_, u8>) {
    let (front, rest) = buffer.split_at_mut(images.len());
    match images.as_slice() {
        Some(pixels) => front.copy_from_slice(pixels),
        None => front.iter_mut().zip(images).for_each(|(to, &from)| *to = from),
    }
    rest.fill(0);
}
