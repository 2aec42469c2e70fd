//! The objects of a batch.

use tch::{Device, Kind, Tensor};

use super::transfer::{host, upload};

/// The objects of one image, as many as there are; none is usual.
pub struct Target {
    /// Float `[M, 4]`, `xyxy` in pixels of the network's input.
    pub boxes: Tensor,
    /// Int64 `[M]`, class from 0.
    pub labels: Tensor,
}

/// One object on the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object {
    /// `xyxy`, pixels of the network's input; finite, with an area.
    pub bounds: [f64; 4],
    /// Class from 0.
    pub class: i64,
    /// Row in the target of its image.
    pub row: usize,
}

/// The objects of a batch on the host, image after image.
///
/// Boxes without an area or with a coordinate that is no number are left out: nothing can be learned from them, and a
/// matcher that grants every object its best anchor would give them all anchors at once.
pub struct Objects {
    list: Vec<Object>,
    /// Index of the first object of each image, and the number of objects.
    starts: Vec<usize>,
}

impl Objects {
    /// Reads the targets of a batch, one per image.
    pub fn of(targets: &[Target]) -> Self {
        let (mut list, mut starts) = (Vec::new(), vec![0]);
        for target in targets {
            let boxes: Vec<f64> = host(&target.boxes);
            let labels: Vec<i64> = host(&target.labels);
            let rows = boxes.as_chunks().0.iter().zip(labels).enumerate();
            let objects = rows.map(|(row, (bounds, class))| Object { bounds: *bounds, class, row });
            list.extend(objects.filter(Object::is_sound));
            starts.push(list.len());
        }
        Self { list, starts }
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether no image has an object.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All objects, image after image.
    pub fn all(&self) -> &[Object] {
        &self.list
    }

    /// The objects of one image.
    pub fn image(&self, image: usize) -> &[Object] {
        &self.list[self.starts[image]..self.starts[image + 1]]
    }

    /// Where the objects of one image begin among all.
    pub fn first(&self, image: usize) -> usize {
        self.starts[image]
    }

    /// The boxes of all objects, `[number of objects, 4]`.
    pub fn boxes(&self, kind: Kind, device: Device) -> Tensor {
        let values: Vec<f64> = self.list.iter().flat_map(|o| o.bounds).collect();
        upload(&values, kind, device).view([-1, 4])
    }

    /// The rows of one image in a tensor with a row per object.
    pub fn of_image(&self, rows: &Tensor, image: usize) -> Tensor {
        rows.narrow(0, self.first(image) as i64, self.image(image).len() as i64)
    }
}

impl Object {
    fn is_sound(&self) -> bool {
        let [x1, y1, x2, y2] = self.bounds;
        self.bounds.iter().all(|v| v.is_finite()) && x2 > x1 && y2 > y1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_without_an_area_are_left_out() {
        let boxes = [
            [0.0, 0.0, 4.0, 4.0],
            [1.0, 1.0, 1.0, 9.0],
            [5.0, 5.0, 2.0, 9.0],
            [f64::NAN, 0.0, 1.0, 1.0],
            [1.0, 2.0, 3.0, 5.0],
        ];
        let full = Target {
            boxes: Tensor::from_slice(boxes.as_flattened()).view([-1, 4]),
            labels: Tensor::from_slice(&[4i64, 3, 2, 1, 0]),
        };
        let empty = || Target {
            boxes: Tensor::zeros([0, 4], (Kind::Float, Device::Cpu)),
            labels: Tensor::zeros([0], (Kind::Int64, Device::Cpu)),
        };
        let objects = Objects::of(&[empty(), full, empty()]);
        assert_eq!(objects.images(), 3);
        assert!(objects.image(0).is_empty() && objects.image(2).is_empty());
        assert_eq!(objects.image(1).iter().map(|o| (o.class, o.row)).collect::<Vec<_>>(), [(4, 0), (0, 4)]);
        assert_eq!(host::<f32>(&objects.boxes(Kind::Float, Device::Cpu)), [0.0, 0.0, 4.0, 4.0, 1.0, 2.0, 3.0, 5.0]);
        assert_eq!(objects.of_image(&objects.boxes(Kind::Double, Device::Cpu), 2).size(), [0, 4]);
        assert_eq!(Objects::of(&[empty()]).boxes(Kind::Float, Device::Cpu).size(), [0, 4]);
    }
}
