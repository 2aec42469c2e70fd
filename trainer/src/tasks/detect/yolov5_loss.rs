//! The loss of YOLOv5 (v6 and v7, anchor-based).
//!
//! Three parts. `box`: 1 - CIoU, mean over the matches of a level. `objectness`: cross entropy over all cells, mean over a
//! level, where the target of a cell is the CIoU that its match reaches now, 0 without one. `class`: cross entropy of the
//! classes, mean over matches and classes; 0 with a single class, which has nothing to tell apart. Each is summed over
//! levels and multiplied by its gain; the sum of the three is multiplied by the number of images.

use std::collections::BTreeMap;

use tch::{Kind, Reduction, Tensor};

use super::boxes::{CentreSize, ciou};
use super::target::{Objects, Target};
use super::transfer::{host, precise, upload};
use super::yolov5_assignment::{ANCHORS, Grid, Match, assign};
use crate::tasks::losses::Losses;

/// Width of a cell of each level, in pixels.
pub const STRIDES: [i64; 3] = [8, 16, 32];

/// What is weighted how.
#[derive(Clone, Copy, Debug)]
pub struct Hyper {
    /// Of the box loss.
    pub box_gain: f64,
    /// Of the objectness loss.
    pub obj_gain: f64,
    /// Of the class loss.
    pub cls_gain: f64,
    /// An anchor answers for an object when their sides are less than so many times each other.
    pub anchor_threshold: f64,
    /// How much of the certainty of a class label is spread evenly over "yes" and "no"; 0 to 1.
    pub label_smoothing: f64,
    /// Weights of the objectness of the levels: small objects, which are the rarest in a grid, count most.
    pub balance: [f64; 3],
}

impl Default for Hyper {
    /// For 80 classes at 640 px.
    fn default() -> Self {
        Self {
            box_gain: 0.05,
            obj_gain: 1.0,
            cls_gain: 0.5,
            anchor_threshold: 4.0,
            label_smoothing: 0.0,
            balance: [4.0, 1.0, 0.4],
        }
    }
}

impl Hyper {
    /// The gains for a number of classes and a side of the (square) training images in pixels: that of the classes grows
    /// with their number, that of objectness with the number of cells. The side is that of the run, also where single
    /// batches are larger or smaller.
    pub fn for_run(self, classes: i64, image_side: i64) -> Self {
        let obj_gain = self.obj_gain * (image_side as f64 / 640.0).powi(2);
        Self { obj_gain, cls_gain: self.cls_gain * classes as f64 / 80.0, ..self }
    }
}

/// The loss of a batch; parts `box`, `objectness` and `class`.
///
/// `heads`: per level the raw convolution `[N, 3 (5 + C), H, W]` in any memory layout, where an anchor's channels are x, y,
/// w, h, objectness, classes. `anchors` `[3, 3, 2]`: width and height per level and anchor, in cells of that level; like
/// the targets best kept on the CPU, so that nothing waits for the device.
pub fn loss(heads: &[Tensor; 3], targets: &[Target], anchors: &Tensor, hyper: &Hyper) -> Losses {
    let maps = heads.each_ref().map(by_anchor);
    let objects = Objects::of(targets);
    let grids = grids(&maps, anchors);
    let matches = grids.each_ref().map(|grid| assign(&objects, grid, hyper.anchor_threshold));
    let (kind, device) = (precise(maps[0].kind()), maps[0].device());

    let mut wanted = Tensor::zeros([maps.iter().map(cells).sum::<i64>()], (kind, device));
    let (mut distance, mut class) = (wanted.sum(kind), wanted.sum(kind));
    if matches.iter().any(|m| !m.is_empty()) {
        let matched = Matched::new(&maps, &grids, &matches);
        let overlap = matched.ciou();
        let reached = overlap.detach().clamp_min(0.0).index_select(0, &matched.winners);
        let _ = wanted.scatter_(0, &matched.cells, &reached);
        distance = ((1.0_f64 - overlap) * &matched.weight).sum(kind) * hyper.box_gain;
        class = matched.class_loss(hyper.label_smoothing) * hyper.cls_gain;
    }
    let objectness = objectness(&maps, &wanted, hyper.balance) * hyper.obj_gain;
    Losses::sum([("box", distance), ("objectness", objectness), ("class", class)], objects.images() as f64)
}

/// `[N, 3 (5 + C), H, W]` as `[N, 3, 5 + C, H, W]`, without a copy.
fn by_anchor(head: &Tensor) -> Tensor {
    let size = head.size();
    let anchors = ANCHORS as i64;
    head.view([size[0], anchors, size[1] / anchors, size[2], size[3]])
}

/// Images, anchors, rows and columns of `[N, 3, 5 + C, H, W]`.
fn places(map: &Tensor) -> [i64; 4] {
    let size = map.size();
    [size[0], size[1], size[3], size[4]]
}

/// The number of places, each of which has one objectness.
fn cells(map: &Tensor) -> i64 {
    places(map).iter().product()
}

fn grids(maps: &[Tensor; 3], anchors: &Tensor) -> [Grid; 3] {
    let anchors: Vec<f64> = host(anchors);
    let shape = |level: usize, anchor: usize| [0, 1].map(|axis| anchors[(level * ANCHORS + anchor) * 2 + axis]);
    std::array::from_fn(|level| {
        let [_, _, rows, columns] = places(&maps[level]);
        let anchors = std::array::from_fn(|anchor| shape(level, anchor));
        Grid { size: [rows as usize, columns as usize], stride: STRIDES[level] as f64, anchors }
    })
}

/// The cross entropy of every cell of every level with its target; `wanted` has them level after level.
fn objectness(maps: &[Tensor; 3], wanted: &Tensor, balance: [f64; 3]) -> Tensor {
    let mut start = 0;
    let mut total = wanted.sum(wanted.kind()) * 0.0;
    for (map, weight) in maps.iter().zip(balance) {
        let wanted = wanted.narrow(0, start, cells(map)).view(places(map));
        start += cells(map);
        let logits = map.select(2, 4).to_kind(wanted.kind());
        total += logits.binary_cross_entropy_with_logits(&wanted, None::<&Tensor>, None, Reduction::Mean) * weight;
    }
    total
}

/// All matches of a batch, level after level.
struct Matched {
    /// `[n, 5 + C]`: what the network says there.
    predicted: Tensor,
    /// `[n, 2]`: the object's centre from the cell's corner, its size, and the anchor's size, in cells.
    centre: Tensor,
    size: Tensor,
    anchor: Tensor,
    /// `[n]`: 1 / the number of matches of the level.
    weight: Tensor,
    /// Int64 `[n]`: the object's class.
    class: Tensor,
    /// Int64 `[w]`: of the matches in one place the last, ...
    winners: Tensor,
    /// ... and that place among the cells of all levels.
    cells: Tensor,
}

impl Matched {
    fn new(maps: &[Tensor; 3], grids: &[Grid; 3], matches: &[Vec<Match>; 3]) -> Self {
        let (kind, device) = (precise(maps[0].kind()), maps[0].device());
        let (mut values, mut columns, mut last) = (vec![], [const { Vec::<i64>::new() }; 5], BTreeMap::new());
        let mut start = 0;
        for ((map, grid), matches) in maps.iter().zip(grids).zip(matches) {
            let [_, anchors, rows, cols] = places(map);
            for m in matches {
                let [image, anchor, row, column] = [m.image, m.anchor, m.row, m.column].map(|v| v as i64);
                last.insert(start + ((image * anchors + anchor) * rows + row) * cols + column, columns[0].len() as i64);
                for (list, value) in columns.iter_mut().zip([image, anchor, row, column, m.class]) {
                    list.push(value);
                }
                values.extend([m.centre, m.size, grid.anchors[m.anchor]].as_flattened());
                values.push(1.0 / matches.len() as f64);
            }
            start += cells(map);
        }
        // Everything the device needs to know of the matches, in two uploads.
        let (count, places) = (columns[0].len() as i64, last.len() as i64);
        let integers: Vec<i64> =
            columns.into_iter().flatten().chain(last.values().copied()).chain(last.keys().copied()).collect();
        let integers = upload(&integers, Kind::Int64, device).split_with_sizes([5 * count, places, places], 0);
        let columns = integers[0].view([5, count]).unbind(0);
        let values = upload(&values, kind, device).view([count, 7]);

        let mut first = 0;
        let mut predicted = vec![];
        for (map, matches) in maps.iter().zip(matches).filter(|(_, matches)| !matches.is_empty()) {
            let level: Vec<Tensor> = columns[..4].iter().map(|c| c.narrow(0, first, matches.len() as i64)).collect();
            let index = [Some(&level[0]), Some(&level[1]), Some(&level[2]), Some(&level[3])];
            predicted.push(map.permute([0, 1, 3, 4, 2]).index(&index));
            first += matches.len() as i64;
        }
        Self {
            predicted: Tensor::cat(&predicted, 0).to_kind(kind),
            centre: values.narrow(1, 0, 2),
            size: values.narrow(1, 2, 2),
            anchor: values.narrow(1, 4, 2),
            weight: values.select(1, 6),
            class: columns[4].shallow_clone(),
            winners: integers[1].shallow_clone(),
            cells: integers[2].shallow_clone(),
        }
    }

    /// The CIoU of each match `[n]`: a centre is predicted within half a cell around the cell, a size up to four times the
    /// anchor.
    fn ciou(&self) -> Tensor {
        let doubled = self.predicted.narrow(1, 0, 4).sigmoid() * 2.0;
        let size = doubled.narrow(1, 2, 2).square() * &self.anchor;
        let predicted = CentreSize { centre: doubled.narrow(1, 0, 2) - 0.5, size };
        let object = CentreSize { centre: self.centre.shallow_clone(), size: self.size.shallow_clone() };
        ciou(&predicted, &object)
    }

    /// The sum over levels of the mean cross entropy over a level's matches and the classes, a scalar.
    fn class_loss(&self, smoothing: f64) -> Tensor {
        let classes = self.predicted.size()[1] - 5;
        let logits = self.predicted.narrow(1, 5, classes);
        if classes == 1 {
            return self.weight.sum(self.weight.kind()) * 0.0;
        }
        let mut wanted = logits.full_like(0.5 * smoothing).detach();
        let _ = wanted.scatter_value_(1, &self.class.unsqueeze(1), 1.0 - 0.5 * smoothing);
        let weight = self.weight.unsqueeze(1);
        logits.binary_cross_entropy_with_logits(&wanted, Some(&weight), None, Reduction::Sum) / classes as f64
    }
}
