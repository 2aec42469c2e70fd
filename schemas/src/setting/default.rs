//! Defaults that depend on the model or the task.

use super::{GradClip, Optimizer, Settings};
use crate::Task;

impl Settings {
    /// The defaults of a model in a task. A model without its own gets the task's.
    ///
    /// The values are the specification's, with these exceptions: `efficientnet_lite0`, which the specification does not
    /// have, comes with a recipe tried on small sets of photographs; `checkpoint_frequency` is 0.
    #[must_use]
    pub fn defaults(task: Task, model_name: &str) -> Self {
        let mut s = Self::default();
        match task {
            Task::ImageClassification => {}
            Task::ImageClassificationMultilabel => s.learning_rate = 0.035,
            Task::ImageObjectDetection | Task::ImageInstanceSegmentation => {
                (s.training_batch_size, s.validation_batch_size) = (2, 1);
                (s.learning_rate, s.number_of_workers) = (0.005, 4);
            }
        }
        let multilabel = task == Task::ImageClassificationMultilabel;
        match model_name {
            "vits16r224" => s.vision_transformer(128, if multilabel { 0.025 } else { 0.0125 }),
            "vitb16r224" => s.vision_transformer(48, if multilabel { 0.025 } else { 0.0125 }),
            "vitl16r224" => s.vision_transformer(10, if multilabel { 0.002 } else { 0.001 }),
            "efficientnet_lite0" => {
                (s.optimizer, s.learning_rate, s.number_of_epochs) = (Optimizer::Adamw, 1e-3, 10);
                (s.training_batch_size, s.validation_batch_size) = (16, 16);
            }
            "yolov5" => {
                (s.number_of_epochs, s.learning_rate, s.number_of_workers) = (30, 0.01, 8);
                (s.training_batch_size, s.validation_batch_size) = (16, 16);
                (s.box_score_thresh, s.box_detections_per_img, s.ema_decay) = (0.1, 300, 0.9999);
            }
            _ => {}
        }
        s
    }

    fn vision_transformer(&mut self, batch: u32, learning_rate: f64) {
        (self.training_batch_size, self.validation_batch_size, self.learning_rate) = (batch, batch, learning_rate);
        (self.grad_clip_type, self.grad_clip_value) = (GradClip::Norm, 1.0);
    }
}
