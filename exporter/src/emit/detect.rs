//! Operations that only detectors use: the best of many, suppression, pooling of regions.

use models::ops::{DType, Nms, Ops, RoiAlign, Selected};

use crate::builder::{Builder, Emit, Length, Value};
use crate::emit::{can_be, product};
use crate::graph::Attribute;

impl Builder<'_> {
    pub(super) fn topk_of(&self, x: &Value, k: i64) -> (Value, Value) {
        let &[n, m] = x.dims() else {
            let wrong = self.misuse("TopK", format!("input {:?} is not 2-D", x.dims()));
            return (wrong.clone(), wrong);
        };
        if k < 0 {
            self.misuse("TopK", format!("the {k} largest"));
        }
        self.floats("TopK", &[x]);
        let count = match m {
            Some(m) => self.ints(&[m.min(k)]),
            None => self.binary("Min", &self.shape_of(x, 1..2), &self.ints(&[k])),
        };
        let dims = vec![n, m.map(|m| m.min(k))];
        let attributes = vec![("axis", Attribute::Int(1))];
        let inputs = [Some(x), Some(&count)];
        self.emit_pair(Emit { op: "TopK", inputs: &inputs, attributes, dtype: DType::F32, dims }, DType::I64)
    }

    pub(super) fn rows(&self, x: &Value, index: &Value) -> Value {
        let (&[n, _, ref rest @ ..], &[m, k]) = (x.dims(), index.dims()) else {
            return self.misuse("GatherND", format!("rows {:?} of {:?}", index.dims(), x.dims()));
        };
        if n.zip(m).is_some_and(|(n, m)| n != m) || index.dtype() != DType::I64 {
            return self.misuse("GatherND", format!("rows {:?} {:?} of {:?}", index.dtype(), index.dims(), x.dims()));
        }
        let dims = [&[n.or(m), k], rest].concat();
        let index = self.unsqueezed(index, 2);
        let attributes = vec![("batch_dims", Attribute::Int(1))];
        self.emit(Emit { op: "GatherND", inputs: &[Some(x), Some(&index)], attributes, dtype: x.dtype(), dims })
    }

    pub(super) fn nms_of(&self, boxes: &Value, scores: &Value, p: &Nms<Value>) -> Selected<Value> {
        let op = "NonMaxSuppression";
        let fits = match (boxes.dims(), scores.dims()) {
            (&[n, b, last], &[sn, _, sb]) => can_equal(n, sn) && can_equal(b, sb) && can_be(last, 4) && p.cap > 0,
            _ => false,
        };
        let all = [boxes, scores, &p.iou_threshold, &p.score_threshold];
        if !fits || !self.floats(op, &all) {
            let problem = format!("boxes {:?}, scores {:?}, cap {}", boxes.dims(), scores.dims(), p.cap);
            let wrong = self.misuse(op, problem);
            return Selected { scores: wrong.clone(), classes: wrong.clone(), rows: wrong };
        }
        // Of one class no more than the cap can be among the best of all classes.
        let cap = self.ints(&[p.cap]);
        let inputs = [boxes, scores, &cap, &p.iou_threshold, &p.score_threshold].map(Some);
        let dims = vec![None, Some(3)];
        let kept = self.emit(Emit { op, inputs: &inputs, attributes: vec![], dtype: DType::I64, dims });
        let inputs = [Some(scores), Some(&kept)];
        let found = self.emit(Emit {
            op: "GatherND",
            inputs: &inputs,
            attributes: vec![],
            dtype: DType::F32,
            dims: vec![None],
        });

        // What is not kept is below every score that passes a threshold.
        let lowest = self.scalar(f32::NEG_INFINITY);
        let shape = self.shape_of(scores, 0..3);
        let nothing = self.same_as("Expand", &[Some(&lowest), Some(&shape)], vec![], scores);
        let dense = self.same_as("ScatterND", &[Some(&nothing), Some(&kept), Some(&found)], vec![], scores);
        let (best, at) = self.topk_of(&self.flatten(&dense, 1), p.cap);

        let padding = self.compare("Equal", &best, &lowest);
        let boxes = self.divisor(scores, 2);
        let (class, row) = (self.binary("Div", &at, &boxes), self.binary("Mod", &at, &boxes));
        Selected {
            scores: self.choose(&padding, &self.scalar(0.0), &best),
            classes: self.choose(&padding, &self.integer(-1), &class),
            rows: self.choose(&padding, &self.integer(0), &row),
        }
    }

    pub(super) fn spread(&self, x: &Value, w: &Value, b: Option<&Value>, stride: [i64; 2]) -> Value {
        let op = "ConvTranspose";
        let (&[n, cin, h, width], &[Some(wi), Some(cout), Some(kh), Some(kw)]) = (x.dims(), w.dims()) else {
            return self.misuse(op, format!("input {:?} or weight {:?} is not 4-D", x.dims(), w.dims()));
        };
        if !can_be(cin, wi) || b.is_some_and(|b| b.dims() != [Some(cout)]) {
            let (x, w, b) = (x.dims(), w.dims(), b.map(Value::dims));
            return self.misuse(op, format!("input {x:?}, weight {w:?}, bias {b:?}"));
        }
        self.floats(op, &[x, w]);
        let attributes =
            vec![("kernel_shape", Attribute::Ints(vec![kh, kw])), ("strides", Attribute::Ints(stride.to_vec()))];
        let side = |length: Length, stride: i64, kernel: i64| length.map(|n| (n - 1) * stride + kernel);
        let dims = vec![n, Some(cout), side(h, stride[0], kh), side(width, stride[1], kw)];
        let inputs: Vec<_> = [Some(x), Some(w)].into_iter().chain(b.map(Some)).collect();
        self.emit(Emit { op, inputs: &inputs, attributes, dtype: DType::F32, dims })
    }

    pub(super) fn pool_regions(&self, levels: &[Value], rois: &Value, r: &RoiAlign) -> Value {
        let &[n, p, last] = rois.dims() else {
            return self.misuse("RoiAlign", format!("regions {:?} are not 3-D", rois.dims()));
        };
        let fits = levels.len() == r.scales.len() && levels.iter().all(|l| l.dims().len() == 4) && !levels.is_empty();
        if !fits || !can_be(last, 4) || r.output < 1 || r.sampling < 1 {
            let levels: Vec<_> = levels.iter().map(Value::dims).collect();
            return self.misuse("RoiAlign", format!("levels {levels:?}, regions {:?}, {r:?}", rois.dims()));
        }
        self.floats("RoiAlign", &levels.iter().chain([rois]).collect::<Vec<_>>());
        let count = product(&[n, p]);
        let regions = self.reshaped(rois, &[-1, 4]);
        let each = self.counting(&self.squeezed(&self.shape_of(&regions, 0..1), 0));
        let image = self.binary("Div", &each, &self.divisor(rois, 1));
        let level = self.level(&regions, r);

        let (mut pooled, mut order) = (Vec::new(), Vec::new());
        for (i, (features, scale)) in (0..).zip(levels.iter().zip(&r.scales)) {
            let own = self.places(&self.compare("Equal", &level, &self.integer(i)));
            let (regions, image) = (self.gathered(&regions, &own), self.gathered(&image, &own));
            #[expect(clippy::cast_possible_truncation, reason = "ONNX attributes are float32")]
            let attributes = vec![
                ("coordinate_transformation_mode", Attribute::Text("output_half_pixel")),
                ("mode", Attribute::Text("avg")),
                ("output_height", Attribute::Int(r.output)),
                ("output_width", Attribute::Int(r.output)),
                ("sampling_ratio", Attribute::Int(r.sampling)),
                ("spatial_scale", Attribute::Float(*scale as f32)),
            ];
            let dims = vec![None, features.dims()[1], Some(r.output), Some(r.output)];
            let inputs = [Some(features), Some(&regions), Some(&image)];
            pooled.push(self.emit(Emit { op: "RoiAlign", inputs: &inputs, attributes, dtype: DType::F32, dims }));
            order.push(own);
        }
        let pooled = self.joined(&pooled.iter().collect::<Vec<_>>(), 0);
        let order = self.joined(&order.iter().collect::<Vec<_>>(), 0);
        // Region `order[i]` is in row i: written down the other way round, row `back[i]` holds region i.
        let inputs = [Some(&each), Some(&order), Some(&each)];
        let back = self.same_as("ScatterElements", &inputs, vec![("axis", Attribute::Int(0))], &each);
        let mut out = self.gathered(&pooled, &back);
        out.dims = [&[count], &out.dims[1..]].concat().into();
        out
    }

    /// I64 `[R]`: which of the levels, from 0, each of R regions is taken from.
    fn level(&self, regions: &Value, r: &RoiAlign) -> Value {
        let size = self.binary("Sub", &self.part(regions, 1, [2, 4]), &self.part(regions, 1, [0, 2]));
        let area = self.unsqueezed(&self.reduced("ReduceProd", &size, 1), 1);
        let bounds = r.area_bounds();
        let count: Length = i64::try_from(bounds.len()).ok();
        let bounds = self.constant(&bounds, &[count.unwrap_or(0)]);
        self.reduced("ReduceSum", &self.counted(&self.compare("GreaterOrEqual", &area, &bounds), DType::I64), 1)
    }
}

fn can_equal(a: Length, b: Length) -> bool {
    a.zip(b).is_none_or(|(a, b)| a == b)
}
