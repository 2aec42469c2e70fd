//! Names in a model file: of its metadata, its inputs and its outputs.

/// Key of the model's metadata properties under which the [`schemas::CheckpointMeta`] JSON lies.
pub const META_KEY: &str = "fovea";
/// Key of the model's metadata properties under which the [`schemas::Form`] lies.
pub const FORM_KEY: &str = "fovea.form";

/// Name of the images among the inputs; of a classifier the only one.
pub const INPUT: &str = schemas::prediction::IMAGES;
/// Name of a classifier's probabilities, its first output.
pub const OUTPUT: &str = "probabilities";
/// Name of a classifier's penultimate layer, an output of those files that were asked for it.
pub const FEATURES: &str = "features";

/// Name of the input of a prepared detector that holds the sizes of the original images.
pub const SIZES: &str = schemas::prediction::SIZES;
/// Name of the optional input below which scores are not answered.
pub const SCORE_THRESHOLD: &str = "score_threshold";
/// Name of the optional input above which overlapping boxes of a class are one.
pub const IOU_THRESHOLD: &str = "iou_threshold";
/// Name of a detector's boxes.
pub const BOXES: &str = "boxes";
/// Name of a detector's scores.
pub const SCORES: &str = "scores";
/// Name of a detector's labels.
pub const LABELS: &str = "labels";
/// Name of the masks of a detector that outlines what it finds.
pub const MASKS: &str = "masks";
/// Name of those masks pasted into the image, an output of those files that were asked for it.
pub const PIXELS: &str = "pixels";
/// Name of the optional input above which a pixel of [`PIXELS`] is the object's.
pub const MASK_THRESHOLD: &str = "mask_threshold";
