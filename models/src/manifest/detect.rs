//! Shapes of the operations that only detectors use.

use super::{Dims, Manifest};
use crate::ops::{Nms, RoiAlign, Selected};

impl Manifest {
    pub(super) fn topk_of(&self, x: &Dims, k: i64) -> Dims {
        match x.as_ref() {
            &[n, m] if k >= 0 => [n, m.min(k)].into(),
            _ => self.fail("topk", format!("the {k} largest of each row of {x:?}")),
        }
    }

    pub(super) fn nms_of(&self, boxes: &Dims, scores: &Dims, p: &Nms<Dims>) -> Selected<Dims> {
        let thresholds = [&p.iou_threshold, &p.score_threshold].into_iter().all(|t| t.as_ref() == [1]);
        let out: Dims = match (boxes.as_ref(), scores.as_ref()) {
            (&[n, b, 4], &[sn, c, sb]) if n == sn && b == sb && p.cap > 0 && thresholds => [n, p.cap.min(c * b)].into(),
            _ => self.fail("nms", format!("boxes {boxes:?}, scores {scores:?}, {p:?}")),
        };
        Selected { scores: out.clone(), classes: out.clone(), rows: out }
    }

    pub(super) fn pool_regions(&self, levels: &[Dims], rois: &Dims, r: &RoiAlign) -> Dims {
        let (Some(&[n, c, _, _]), &[m, p, 4]) = (levels.first().map(AsRef::as_ref), rois.as_ref()) else {
            return self.fail("roi_align", format!("levels {levels:?}, regions {rois:?}"));
        };
        let alike = levels.iter().all(|l| matches!(l.as_ref(), &[ln, lc, _, _] if ln == n && lc == c));
        if !alike || n != m || levels.len() != r.scales.len() || r.output < 1 || r.sampling < 1 {
            return self.fail("roi_align", format!("levels {levels:?}, regions {rois:?}, {r:?}"));
        }
        [n * p, c, r.output, r.output].into()
    }
}
