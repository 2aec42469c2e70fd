//! Classifiers: `whole` files resize and cut in the graph, as `models::host::prepare` does.

use models::classify::{self, Classifier};
use models::host::TALL;
use models::ops::DType;
use runtime::Form;
use schemas::{CheckpointMeta, Labels, Preprocessing};

use super::contents::Contents;
use super::pixels::{Sizes, Window, cut, resize};
use crate::builder::{BuildError, Builder, Value};
use crate::graph::{DecisionKind, Dim, Graph};
use crate::source::ParamSource;

/// The classifier as a graph.
///
/// # Errors
/// When a parameter cannot be had or the definition does not fit together.
pub fn classifier(
    network: &Classifier,
    meta: &CheckpointMeta,
    contents: impl Into<Contents>,
    source: &dyn ParamSource,
) -> Result<Graph, BuildError> {
    let Contents { form, features, any_size, .. } = contents.into();
    let b = Builder::new(source);
    let p = &meta.preprocessing;
    let crop = i64::from(p.side());
    let classes = i64::try_from(meta.labels.len()).unwrap_or(i64::MAX);
    let prepared = match form {
        Form::Prepared => {
            let (sides, doc) = if any_size {
                ([Dim::Named("H"), Dim::Named("W")], "RGB images, already resized and cut to any size")
            } else {
                let doc = "RGB images, already resized and cut as metadata 'fovea' says under 'preprocessing'";
                ([Dim::Fixed(crop), Dim::Fixed(crop)], doc)
            };
            let [height, width] = sides;
            b.input("images", DType::U8, &[Dim::Named("N"), height, width, Dim::Fixed(3)], doc)
        }
        Form::Whole => {
            let dims = [Dim::Named("N"), Dim::Named("H"), Dim::Named("W"), Dim::Fixed(3)];
            let images =
                b.input("images", DType::U8, &dims, "RGB images of any height and width, at least 1 pixel each");
            let prepared = resize_and_cut(&b, &images, p);
            b.decide(DecisionKind::Pixels, &[], &[&prepared]);
            prepared
        }
    };
    b.at("normalise");
    let classified = network.classify(&b, &classify::normalise(&b, &prepared, p), crop, classes);
    let probabilities = classify::probabilities(&b, meta.task, meta.temperature, &classified.logits);
    let doc = match meta.task.labels() {
        Labels::Classes => "one probability for each class, independent of the others",
        Labels::Class | Labels::Boxes | Labels::Outlines => "one probability for each class; a row sums to 1",
    };
    b.output(&probabilities, runtime::OUTPUT, &[Dim::Named("N"), Dim::Fixed(classes)], doc);
    if features {
        let width = classified.features.dims().get(1).copied().flatten().unwrap_or(0);
        let doc = "the penultimate layer, to compare images by";
        b.output(&classified.features, runtime::FEATURES, &[Dim::Named("N"), Dim::Fixed(width)], doc);
    }
    b.finish()
}

/// `uint8 [N, H, W, 3]` to `uint8 [N, crop, crop, 3]`: the shorter side becomes `resize`, the longer
/// `resize * long / short` rounded down, and a square is cut from the middle.
///
/// The two passes of the resize are separate nodes with a cut between them, which saves work and bounds memory: a
/// image one pixel high and 16384 wide never becomes one of four million columns and 256 rows.
pub fn resize_and_cut(b: &Builder, images: &Value, p: &Preprocessing) -> Value {
    let s = Sizes { b };
    b.at("resize");
    let Some((resize_to, crop_to)) = p.crop() else {
        return b.misuse("Resize", format!("a classifier's images are cut, and {:?} does not cut", p.fit));
    };
    let (side, crop, zero) = (s.number(i64::from(resize_to)), s.number(i64::from(crop_to)), s.number(0));
    let (h, w) = (s.dim(images, 1), s.dim(images, 2));
    let short = b.binary("Min", &h, &w);
    let scaled = |length: &Value| b.binary("Div", &b.binary("Mul", length, &side), &short);
    let (out_h, out_w) = (scaled(&h), scaled(&w));
    let (top, left) = (offset(&s, &out_h, &crop), offset(&s, &out_w, &crop));
    let (bottom, right) = (b.binary("Add", &top, &crop), b.binary("Add", &left, &crop));
    let tall = b.binary("Greater", &h, &b.binary("Mul", &w, &s.number(TALL.into())));
    let pick = |yes: &Value, no: &Value| s.choose(&tall, yes, no);

    b.at("resize/first");
    let x = resize(&s, images, &pick(&out_h, &h), &pick(&w, &out_w), p.interpolation);
    let window = Window {
        top: &pick(&top, &zero),
        left: &pick(&zero, &left),
        bottom: &pick(&bottom, &h),
        right: &pick(&w, &right),
    };
    let x = cut(&s, &x, &window);

    b.at("resize/second");
    let x = resize(&s, &x, &pick(&crop, &out_h), &pick(&out_w, &crop), p.interpolation);
    let window = Window {
        top: &pick(&zero, &top),
        left: &pick(&left, &zero),
        bottom: &pick(&crop, &bottom),
        right: &pick(&right, &crop),
    };
    cut(&s, &x, &window)
}

/// `round_half_even((side - crop) / 2)`; `side` is at least `crop`.
fn offset(s: &Sizes, side: &Value, crop: &Value) -> Value {
    let two = s.number(2);
    let rest = s.b.binary("Sub", side, crop);
    let half = s.b.binary("Div", &rest, &two);
    // Half a pixel is left over when `rest` is odd; it goes up exactly when the lower neighbour is odd.
    let up = s.b.binary("Mul", &s.b.binary("Mod", &rest, &two), &s.b.binary("Mod", &half, &two));
    s.b.binary("Add", &half, &up)
}
