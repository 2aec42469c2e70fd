//! Which cells and anchors of YOLOv5 answer for which object. Objects are few, so this is plain arithmetic on the host.

use super::target::Objects;

/// Anchors per cell.
pub const ANCHORS: usize = 3;

/// The cells of one level.
pub struct Grid {
    /// Number of rows and columns.
    pub size: [usize; 2],
    /// Width of a cell in pixels.
    pub stride: f64,
    /// Width and height of the anchors, in cells.
    pub anchors: [[f64; 2]; ANCHORS],
}

/// A cell and an anchor that answer for an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// Index of the image in the batch.
    pub image: usize,
    /// Index of the anchor.
    pub anchor: usize,
    /// Row of the cell.
    pub row: usize,
    /// Column of the cell.
    pub column: usize,
    /// The object's centre, in cells from the corner of this one: x, y.
    pub centre: [f64; 2],
    /// The object's width and height, in cells.
    pub size: [f64; 2],
    /// The object's class.
    pub class: i64,
}

/// The cells that may answer for an object beside its own, as columns and rows to go: left, above, right, below.
const NEIGHBOURS: [[i8; 2]; 5] = [[0, 0], [-1, 0], [0, -1], [1, 0], [0, 1]];

/// The matches of one level, first the objects' own cells, then the neighbours to the left, above, right and below; within
/// these by anchor, then by object. Later ones count where two answer for the same cell.
///
/// An anchor answers for an object when neither side is `threshold` times the other's, or more. A neighbouring cell does
/// when the object's centre lies in the half of its own cell that is on that side, and more than a cell from the edge.
pub fn assign(objects: &Objects, grid: &Grid, threshold: f64) -> Vec<Match> {
    let mut matches = vec![];
    for side in NEIGHBOURS {
        for (anchor, shape) in grid.anchors.iter().enumerate() {
            for image in 0..objects.images() {
                for object in objects.image(image) {
                    let [x1, y1, x2, y2] = object.bounds.map(|v| v / grid.stride);
                    let (centre, size) = ([0.5 * (x1 + x2), 0.5 * (y1 + y2)], [x2 - x1, y2 - y1]);
                    if largest_ratio(size, *shape) < threshold && is_near(centre, side, grid.size) {
                        let cell = cell(centre, side, grid.size);
                        let [row, column] = cell;
                        let centre = [centre[0] - column as f64, centre[1] - row as f64];
                        matches.push(Match { image, anchor, row, column, centre, size, class: object.class });
                    }
                }
            }
        }
    }
    matches
}

/// How many times the longer one the longer side of two is, over both directions.
fn largest_ratio(a: [f64; 2], b: [f64; 2]) -> f64 {
    let ratio = |a: f64, b: f64| (a / b).max(b / a);
    ratio(a[0], b[0]).max(ratio(a[1], b[1]))
}

/// Whether the centre (x, y) lies on that side of its cell, and more than a cell from that edge of the `[rows, columns]`.
fn is_near(centre: [f64; 2], side: [i8; 2], [rows, columns]: [usize; 2]) -> bool {
    let near = |position: f64, side: i8, cells: usize| {
        let from_edge = match side {
            0 => return true,
            -1 => position,
            _ => cells as f64 - position,
        };
        from_edge > 1.0 && from_edge.fract() < 0.5
    };
    near(centre[0], side[0], columns) && near(centre[1], side[1], rows)
}

/// Row and column of the cell that holds the centre after half a cell to that side, within the grid.
fn cell(centre: [f64; 2], side: [i8; 2], [rows, columns]: [usize; 2]) -> [usize; 2] {
    let index = |position: f64, side: i8, cells: usize| {
        // A float cast takes what is below 0 to 0.
        ((position + 0.5 * f64::from(side)) as usize).min(cells - 1)
    };
    [index(centre[1], side[1], rows), index(centre[0], side[0], columns)]
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;
    use crate::tasks::detect::Target;

    fn objects(boxes: &[[f64; 4]]) -> Objects {
        let labels: Vec<i64> = (0..boxes.len() as i64).collect();
        let boxes = Tensor::from_slice(boxes.as_flattened()).view([-1, 4]);
        Objects::of(&[Target { boxes, labels: Tensor::from_slice(&labels) }])
    }

    /// 4 rows of 6 cells of 8 px.
    fn grid(anchors: [[f64; 2]; 3]) -> Grid {
        Grid { size: [4, 6], stride: 8.0, anchors }
    }

    fn cells(boxes: &[[f64; 4]]) -> Vec<(usize, usize)> {
        let grid = grid([[1.0, 1.0], [1e6, 1.0], [1.0, 1e6]]);
        assign(&objects(boxes), &grid, 4.0).iter().map(|m| (m.row, m.column)).collect()
    }

    #[test]
    fn neighbours_by_hand() {
        // Centre at (2.25, 1.75) cells: its own, the one to the left, the one below.
        assert_eq!(cells(&[[14.0, 10.0, 22.0, 18.0]]), [(1, 2), (1, 1), (2, 2)]);
        // Centre at (2.75, 1.25): its own, above, right.
        assert_eq!(cells(&[[18.0, 6.0, 26.0, 14.0]]), [(1, 2), (0, 2), (1, 3)]);
        // Centre at (0.25, 3.75): nothing lies beyond the left and the lower edge.
        assert_eq!(cells(&[[-2.0, 26.0, 6.0, 34.0]]), [(3, 0)]);
        // Centre at (2.5, 1.5), the very middle: no side is nearer.
        assert_eq!(cells(&[[16.0, 8.0, 24.0, 16.0]]), [(1, 2)]);
        // Centre on the line between cells 1 and 2 and at 1.5 rows: on the near side of both neighbours; half a
        // cell to the right is still its own.
        assert_eq!(cells(&[[12.0, 8.0, 20.0, 16.0]]), [(1, 2), (1, 1), (1, 2)]);
        // Centre on the right edge of the image: the last cell.
        assert_eq!(cells(&[[44.0, 8.0, 52.0, 16.0]]), [(1, 5), (1, 5)]);
    }

    #[test]
    fn anchors_by_hand() {
        let grid = grid([[1.0, 1.0], [4.0, 1.0], [0.2, 1.0]]);
        // 8 x 8 px is 1 x 1 cell: four times as wide an anchor is too wide by a hair, a fifth too narrow.
        let matches = assign(&objects(&[[16.0, 8.0, 24.0, 16.0]]), &grid, 4.0);
        assert_eq!(matches.iter().map(|m| m.anchor).collect::<Vec<_>>(), [0]);
        assert_eq!(assign(&objects(&[[16.0, 8.0, 24.0, 16.0]]), &grid, 4.001).len(), 2);
        let first = matches[0];
        assert_eq!((first.centre, first.size, first.class), ([0.5, 0.5], [1.0, 1.0], 0));
    }

    #[test]
    fn order_is_side_anchor_object() {
        let grid = grid([[1.0, 1.0], [1.5, 1.5], [1e6, 1.0]]);
        let matches = assign(&objects(&[[14.0, 10.0, 22.0, 18.0], [13.0, 10.0, 21.0, 16.0]]), &grid, 4.0);
        let order: Vec<_> = matches.iter().map(|m| (m.row, m.column, m.anchor, m.class)).collect();
        let own = [(1, 2, 0, 0), (1, 2, 0, 1), (1, 2, 1, 0), (1, 2, 1, 1)];
        let left = own.map(|(row, column, anchor, class)| (row, column - 1, anchor, class));
        let below = own.map(|(row, column, anchor, class)| (row + 1, column, anchor, class));
        assert_eq!(order, [own, left, below].concat());
    }
}
