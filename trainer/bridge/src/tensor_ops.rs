//! Both kernels as libtorch's own operations, for devices that have no kernel here. On the CPU they are slower than its kernels.

use crate::parameters::{NmsWithin, RoiAlign};
use tch::{Kind, TchError, Tensor};

type Result<T> = std::result::Result<T, TchError>;

/// Pairs of boxes that are compared at once.
const PAIRS: i64 = 1 << 24;

/// Rounds of the suppression between two looks at whether it has ended. A look waits for the device, a round too many changes nothing.
const ROUNDS: usize = 4;
/// Pairs of boxes up to which all of one class are compared, candidates or not.
const DENSE: i64 = 1 << 28;

/// [`nms`](crate::nms()) on any device.
pub fn nms(boxes: &Tensor, scores: &Tensor, p: &NmsWithin<'_>) -> Result<[Tensor; 3]> {
    let (images, classes, rows) = scores.size3()?;
    if classes == 1 && images * rows > 0 && images * rows * rows <= DENSE {
        return of_one_class(boxes, &scores.f_select(1, 0)?, p);
    }
    let cap = p.cap.min(classes * rows);
    let on = |kind| (kind, scores.device());
    let mut result = [
        Tensor::f_zeros([images * cap], on(Kind::Float))?,
        Tensor::f_full([images * cap], -1, on(Kind::Int64))?,
        Tensor::f_zeros([images * cap], on(Kind::Int64))?,
    ];
    // Row-major: by image, class and row, so that stable sorts keep the lower row first.
    let place = scores.f_gt_tensor(p.score_threshold)?.f_nonzero()?;
    if place.size()[0] > 0 && cap > 0 {
        let [image, class, row] = [0, 1, 2].map(|column| place.select(1, column));
        let score = scores.f_index(&[Some(&image), Some(&class), Some(&row)])?;
        let group = image.f_mul_scalar(classes)?.f_add(&class)?;
        let order = by_group_and_score(&group, &score)?;
        let groups = Groups::of(&group.f_index_select(0, &order)?)?;
        let sorted = boxes.f_index(&[Some(&image), Some(&row)])?.f_index_select(0, &order)?;
        let kept = groups.flat(&greedy(&groups.dense(&sorted)?, p.iou_threshold)?)?;

        let (survivors, _) = order.f_masked_select(&kept)?.f_sort(0, false)?;
        let [image, score] = [image.f_index_select(0, &survivors)?, score.f_index_select(0, &survivors)?];
        let order = by_group_and_score(&image, &score)?;
        let image = image.f_index_select(0, &order)?;
        let rank = Groups::of(&image)?.rank;
        let fits = rank.f_lt(cap)?;
        let to = image.f_mul_scalar(cap)?.f_add(&rank)?.f_masked_select(&fits)?;
        let chosen = order.f_masked_select(&fits)?;
        let place = place.f_index_select(0, &survivors.f_index_select(0, &chosen)?)?;
        let values = [score.f_index_select(0, &chosen)?, place.f_select(1, 1)?, place.f_select(1, 2)?];
        for (tensor, values) in result.iter_mut().zip(&values) {
            let _ = tensor.f_index_copy_(0, &to, values)?;
        }
    }
    let [scores, classes, rows] = result.map(|tensor| tensor.f_view([images, cap]));
    Ok([scores?, classes?, rows?])
}

/// [`nms`] of `[N, B, 4]` boxes and their `[N, B]` scores, where nearly every row is a candidate: no shape depends on the values, so that
/// only the suppression itself waits for the device.
fn of_one_class(boxes: &Tensor, scores: &Tensor, p: &NmsWithin<'_>) -> Result<[Tensor; 3]> {
    let (images, rows) = scores.size2()?;
    let cap = p.cap.min(rows);
    let counts = scores.f_gt_tensor(p.score_threshold)?;
    let none = scores.f_full_like(f64::NEG_INFINITY)?;
    let (sorted, order) = scores.f_where_self(&counts, &none)?.f_sort_stable(true, 1, true)?;
    let counts = counts.f_gather(1, &order, false)?.f_unsqueeze(2)?;
    let boxes = boxes.f_gather(1, &order.f_unsqueeze(2)?.f_expand([images, rows, 4], false)?, false)?;
    // A box that is NaN overlaps nothing.
    let boxes = boxes.f_where_self(&counts, &boxes.f_full_like(f64::NAN)?)?;
    let kept = greedy(&boxes, p.iou_threshold)?.f_logical_and(&counts.f_squeeze_dim(2)?)?;
    let first = kept.f_to_kind(Kind::Uint8)?.f_argsort_stable(true, 1, true)?.f_narrow(1, 0, cap)?;
    let kept = kept.f_gather(1, &first, false)?;
    let filled = |values: &Tensor| -> Result<Tensor> {
        let values = values.f_gather(1, &first, false)?;
        values.f_where_self(&kept, &values.f_zeros_like()?)
    };
    let class = kept.f_to_kind(Kind::Int64)?.f_sub_scalar(1)?;
    Ok([filled(&sorted)?, class, filled(&order)?])
}

/// The order by ascending group, within by descending score, within as it was.
fn by_group_and_score(group: &Tensor, score: &Tensor) -> Result<Tensor> {
    let by_score = score.f_argsort_stable(true, 0, true)?;
    by_score.f_index_select(0, &group.f_index_select(0, &by_score)?.f_argsort_stable(true, 0, false)?)
}

/// Groups of consecutive entries.
struct Groups {
    /// Number of groups, and of the entries of the largest.
    size: [i64; 2],
    /// Of each entry, its place in its group.
    rank: Tensor,
    /// Of each entry, its place in a dense table of `size`.
    place: Tensor,
}

impl Groups {
    /// Groups of equal keys, which stand side by side; there is at least one.
    fn of(keys: &Tensor) -> Result<Self> {
        let (_, group, counts) = keys.f_unique_consecutive(true, true, None)?;
        let first = counts.f_cumsum(0, Kind::Int64)?.f_sub(&counts)?;
        let rank =
            Tensor::f_arange(keys.size()[0], (Kind::Int64, keys.device()))?.f_sub(&first.f_index_select(0, &group)?)?;
        let largest = counts.f_max()?.f_int64_value(&[])?;
        let place = group.f_mul_scalar(largest)?.f_add(&rank)?;
        Ok(Self { size: [counts.size()[0], largest], rank, place })
    }

    /// `[entries, 4]` as `[groups, largest, 4]`, filled up with NaN.
    fn dense(&self, boxes: &Tensor) -> Result<Tensor> {
        let [groups, largest] = self.size;
        let mut table = Tensor::f_full([groups * largest, 4], f64::NAN, (boxes.kind(), boxes.device()))?;
        table.f_index_copy_(0, &self.place, boxes)?.f_view([groups, largest, 4])
    }

    /// `[groups, largest]` as `[entries]`.
    fn flat(&self, table: &Tensor) -> Result<Tensor> {
        table.f_reshape([-1])?.f_index_select(0, &self.place)
    }
}

/// Which of `[groups, boxes, 4]`, sorted by score, survive. Tiles of boxes are decided one after the other, and each then drops what it
/// overlaps of the rest. Within a tile, "kept unless a kept one before it overlaps" is repeated until nothing changes: after k rounds the
/// first k are decided, since a box depends on those before it only. So what several rounds leave as it was, one does too.
fn greedy(boxes: &Tensor, iou_threshold: &Tensor) -> Result<Tensor> {
    let (groups, count, _) = boxes.size3()?;
    let keep = Tensor::f_ones([groups, count], (Kind::Bool, boxes.device()))?;
    let tile = (PAIRS / (groups * count)).clamp(16, 1024);
    let mut start = 0;
    while start < count {
        let (length, rest) = (tile.min(count - start), count - start);
        let iou = iou(&boxes.f_narrow(1, start, length)?, &boxes.f_narrow(1, start, rest)?)?;
        let overlap = iou.f_gt_tensor(iou_threshold)?;
        let dropped_by = |kept: &Tensor, overlap: &Tensor| {
            overlap.f_logical_and(&kept.f_unsqueeze(2)?)?.f_any_dim(1, false)?.f_logical_not()
        };
        let inside = overlap.f_narrow(2, 0, length)?.f_triu(1)?;
        let mut here = keep.f_narrow(1, start, length)?;
        let mut kept = here.f_empty_like()?;
        kept.f_copy_(&here)?;
        loop {
            let mut next = here.f_logical_and(&dropped_by(&kept, &inside)?)?;
            for _ in 1..ROUNDS {
                next = here.f_logical_and(&dropped_by(&next, &inside)?)?;
            }
            if next.f_equal(&kept)? {
                break;
            }
            kept = next;
        }
        here.f_copy_(&kept)?;
        start += length;
        if start < count {
            let undropped = dropped_by(&kept, &overlap.f_narrow(2, length, rest - length)?)?;
            let _ = keep.f_narrow(1, start, count - start)?.f_logical_and_(&undropped)?;
        }
    }
    Ok(keep)
}

/// IoU of all pairs: `[G,A,4]` and `[G,B,4]` give `[G,A,B]`, by the operations of the kernel in their order.
fn iou(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = (a.f_unsqueeze(2)?, b.f_unsqueeze(1)?);
    let side = |boxes: &Tensor, side| boxes.f_select(3, side);
    let length = |axis| -> Result<Tensor> {
        let end = side(&a, axis + 2)?.f_minimum(&side(&b, axis + 2)?)?;
        end.f_sub(&side(&a, axis)?.f_maximum(&side(&b, axis)?)?)?.f_clamp_min(0.0)
    };
    let area = |boxes: &Tensor| -> Result<Tensor> {
        side(boxes, 2)?.f_sub(&side(boxes, 0)?)?.f_mul(&side(boxes, 3)?.f_sub(&side(boxes, 1)?)?)
    };
    let shared = length(0)?.f_mul(&length(1)?)?;
    shared.f_div(&area(&a)?.f_add(&area(&b)?)?.f_sub(&shared)?)
}

/// [`roi_align`](crate::roi_align()) on any device. A bin is a weighted sum of pixels, which is what an embedding bag is; its gradient
/// is libtorch's. The pixels of all levels stand in one table, so that no shape depends on which roi is of which level, and nothing
/// waits for the device. For the same reason a roi that names no image gives NaN here, and no error.
pub fn roi_align(levels: &[&Tensor], rois: &Tensor, level_of: &Tensor, p: &RoiAlign<'_>) -> Result<Tensor> {
    let (_, channels, ..) = levels[0].size4()?;
    let kind = levels[0].kind();
    let exact = if kind == Kind::Double { Kind::Double } else { Kind::Float };
    let count = rois.size()[0];
    if count == 0 {
        // A sum of no rows still has a gradient, of zeros.
        let nothing = levels.iter().map(|level| level.f_narrow(0, 0, 0)?.f_sum(kind)).collect::<Result<Vec<_>>>()?;
        let nothing = Tensor::f_stack(&nothing, 0)?.f_sum(kind)?;
        return nothing.f_expand([0, channels, p.output, p.output], false)?.f_contiguous();
    }
    let pixels = |level: &&Tensor| level.f_permute([0, 2, 3, 1])?.f_reshape([-1, channels])?.f_to_kind(exact);
    let table = Tensor::f_cat(&levels.iter().map(pixels).collect::<Result<Vec<_>>>()?, 0)?;
    let (index, weight) = tch::no_grad(|| bags(levels, &rois.f_to_kind(exact)?, level_of, p))?;
    let taps = 4 * p.sampling * p.sampling;
    let starts = Tensor::f_arange_start_step(0, index.size()[0], taps, (Kind::Int64, index.device()))?;
    let (sums, ..) = Tensor::f_embedding_bag(&table, &index, &starts, false, 0, false, Some(&weight), false)?;
    sums.f_view([count, p.output, p.output, channels])?.f_permute([0, 3, 1, 2])?.f_contiguous()?.f_to_kind(kind)
}

/// Of every bin of every roi the pixels, as rows of the table of all levels, and their weights, both flat.
fn bags(levels: &[&Tensor], rois: &Tensor, level_of: &Tensor, p: &RoiAlign<'_>) -> Result<(Tensor, Tensor)> {
    let images = levels[0].size4()?.0;
    let (mut shapes, mut start) = (Vec::new(), 0);
    for level in levels {
        let (_, _, height, width) = level.size4()?;
        shapes.extend([height, width, start]);
        start += images * height * width;
    }
    let upload = |error: crate::BridgeError| TchError::Torch(error.to_string());
    let many = levels.len() as i64;
    let shapes = crate::upload(&shapes, &[many, 3], rois.device()).map_err(upload)?.f_index_select(0, level_of)?;
    let scales = crate::upload(p.scales, &[many, 1], rois.device()).map_err(upload)?.f_to_kind(rois.kind())?;
    let scales = scales.f_index_select(0, level_of)?.f_squeeze_dim(1)?;
    let column = |c: i64| rois.f_select(1, c);
    let side = |start: i64, size: &Tensor| -> Result<(Tensor, Tensor)> {
        let from = column(start)?.f_mul(&scales)?;
        let length = column(start + 2)?.f_mul(&scales)?.f_sub(&from)?.f_clamp_min(1.0)?;
        let size = size.f_to_kind(rois.kind())?.f_view([-1, 1, 1])?;
        taps(&from.f_view([-1, 1, 1])?, &length.f_div_scalar(p.output)?.f_view([-1, 1, 1])?, &size, p)
    };
    let [height, width, first] = [0, 1, 2].map(|c| shapes.select(1, c));
    let ((x, x_weight), (y, y_weight)) = (side(1, &width)?, side(2, &height)?);
    // [rois, rows, columns, taps along y, taps along x]
    let rows = |t: &Tensor| t.f_unsqueeze(2)?.f_unsqueeze(4);
    let columns = |t: &Tensor| t.f_unsqueeze(1)?.f_unsqueeze(3);
    let each = |t: &Tensor| t.f_view([-1, 1, 1, 1, 1]);
    let named = column(0)?;
    let is_there = named.f_ge(0)?.f_logical_and(&named.f_lt(images)?)?;
    let image = named.f_where_self(&is_there, &named.f_zeros_like()?)?.f_to_kind(Kind::Int64)?;
    let row = each(&image)?.f_mul(&each(&height)?)?.f_add(&rows(&y)?)?;
    let index = row.f_mul(&each(&width)?)?.f_add(&columns(&x)?)?.f_add(&each(&first)?)?.f_reshape([-1])?;
    let weight = rows(&y_weight)?.f_mul(&columns(&x_weight)?)?;
    let weight = weight.f_where_self(&each(&is_there)?, &weight.f_full_like(f64::NAN)?)?;
    Ok((index, weight.f_reshape([-1])?))
}

/// Pixels along one side of `size` `[rois, 1, 1]` and their weights, both `[rois, output, 2 * sampling]`, of samples that start at `from`,
/// with bins of `bin`.
fn taps(from: &Tensor, bin: &Tensor, size: &Tensor, p: &RoiAlign<'_>) -> Result<(Tensor, Tensor)> {
    let on = (from.kind(), from.device());
    let bins = Tensor::f_arange(p.output, on)?.f_view([1, -1, 1])?;
    let samples = Tensor::f_arange(p.sampling, on)?.f_add_scalar(0.5)?.f_view([1, 1, -1])?;
    let at = from.f_add(&bins.f_mul(bin)?)?.f_add(&samples.f_mul(bin)?.f_div_scalar(p.sampling)?)?;
    // NaN compares false, so it lies outside.
    let inside = at.f_ge(-1)?.f_logical_and(&at.f_le_tensor(size)?)?;
    let last = size.f_sub_scalar(1)?;
    let at = at.f_where_self(&inside, &at.f_zeros_like()?)?.f_clamp_min(0)?.f_minimum(&last)?;
    let low = at.f_floor()?;
    let share = at.f_sub(&low)?;
    let high = low.f_add_scalar(1)?.f_minimum(&last)?;
    let weight = inside.f_to_kind(from.kind())?.f_div_scalar(p.sampling)?;
    let pixels = Tensor::f_stack(&[low, high], 3)?.f_flatten(2, 3)?.f_to_kind(Kind::Int64)?;
    let high_weight = share.f_mul(&weight)?;
    Ok((pixels, Tensor::f_stack(&[weight.f_sub(&high_weight)?, high_weight], 3)?.f_flatten(2, 3)?))
}
