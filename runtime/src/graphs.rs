//! Runs that are recorded once for each batch size and played again from then on: CUDA graphs.
//!
//! What is played again reads and writes the addresses that it was recorded with, and copies nothing by itself. So every size has
//! its own memory on the card, and images and answers are copied there and back around it.

use ndarray::{Array2, ArrayView4, s};
use ort::memory::Allocator;
use ort::session::{IoBinding, RunOptions, Session};
use ort::value::Tensor;

use crate::RuntimeError;
use crate::bound::fill;
use crate::execution::Buckets;
use crate::format::INPUT;
use crate::model::failed;
use crate::provider::Provider;

/// Key of a run's options under which lies the number of the recording that is made, or played again.
pub(crate) const RECORDING: &str = "gpu_graph_id";
/// Under that key, the number of runs that are neither recorded nor played again.
pub(crate) const UNRECORDED: &str = "-1";

/// The recordings of a classifier.
pub(crate) struct Graphs {
    buckets: Buckets,
    sizes: Vec<Recording>,
}

/// The memory of one batch size.
struct Recording {
    rows: usize,
    binding: IoBinding,
    options: RunOptions,
    /// uint8 `[rows, side, side, 3]`, where this processor writes it.
    images: Tensor<u8>,
    /// The same, where the card reads it.
    input: Tensor<u8>,
    outputs: Vec<Output>,
}

/// float `[rows, width]`
struct Output {
    name: String,
    /// Where the card writes it.
    written: Tensor<f32>,
    /// Where this processor reads it.
    read: Tensor<f32>,
}

/// What the outputs of a classifier are called, and how many columns they have.
pub(crate) type Columns = Vec<(String, usize)>;

impl Graphs {
    /// Memory for every size, of images of this side. What is recorded is recorded at the first run of each size.
    pub(crate) fn new(
        session: &Session,
        provider: Provider,
        buckets: Buckets,
        side: usize,
        outputs: &Columns,
    ) -> ort::Result<Self> {
        let (host, card) = (provider.host(session)?, provider.memory(session)?);
        let recording = |(i, rows): (usize, usize)| -> ort::Result<Recording> {
            let mut binding = session.create_binding()?;
            let images = Tensor::new(&host, [rows, side, side, 3])?;
            let input = Tensor::new(&card, [rows, side, side, 3])?;
            binding.bind_input(INPUT, &input)?;
            let mut all = Vec::with_capacity(outputs.len());
            for (name, width) in outputs {
                let shape = [rows, *width];
                let mut written = Tensor::<f32>::new(&card, shape)?;
                binding.bind_output(name.as_str(), &mut written)?;
                all.push(Output { name: name.clone(), written, read: Tensor::new(&Allocator::default(), shape)? });
            }
            let mut options = RunOptions::new()?;
            options.set(RECORDING, (i + 1).to_string())?;
            Ok(Recording { rows, binding, options, images, input, outputs: all })
        };
        let sizes = buckets.sizes().into_iter().enumerate().map(recording).collect::<ort::Result<_>>()?;
        Ok(Self { buckets, sizes })
    }

    /// The rows of an output for a batch.
    pub(crate) fn run(
        &mut self,
        session: &mut Session,
        images: &ArrayView4<'_, u8>,
        name: &str,
    ) -> Result<Array2<f32>, RuntimeError> {
        let n = images.dim().0;
        let rows = self.buckets.fit(n);
        let Some(recording) = self.sizes.iter_mut().find(|recording| recording.rows == rows) else {
            let most = self.sizes.last().map_or(0, |recording| recording.rows);
            let problem = format!("a batch of {n} images; at most {most} are recorded as a CUDA graph");
            return Err(RuntimeError::Input { problem });
        };
        let answer = recording.run(session, images, name).map_err(|e| failed(&e))?;
        let answer = answer.ok_or_else(|| RuntimeError::Run { reason: format!("no output named {name}") })?;
        Ok(answer.slice(s![..n, ..]).to_owned())
    }
}

impl Recording {
    fn run(
        &mut self,
        session: &mut Session,
        images: &ArrayView4<'_, u8>,
        name: &str,
    ) -> ort::Result<Option<Array2<f32>>> {
        fill(self.images.extract_tensor_mut().1, images);
        self.images.copy_into(&mut self.input)?;
        session.run_binding_with_options(&self.binding, &self.options)?;
        let Some(output) = self.outputs.iter_mut().find(|output| output.name == name) else { return Ok(None) };
        output.written.copy_into(&mut output.read)?;
        let (shape, values) = output.read.extract_tensor();
        let width = shape.last().map_or(0, |&width| usize::try_from(width).unwrap_or(0));
        Ok(Array2::from_shape_vec((self.rows, width), values.to_vec()).ok())
    }
}
