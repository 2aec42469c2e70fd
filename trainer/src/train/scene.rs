//! What the objects of the training images look like, as far as the size of the images that a detector is shown depends on it.

use dataset::Images;
use models::registry::Scene;

/// Images that are looked at, evenly spaced.
const LOOKED_AT: usize = 500;
/// The share of the objects that are smaller than a small one.
const SMALLER: f64 = 0.1;

/// Of the training images; nothing where there are no objects, or no image can be read.
pub fn of(data: &dyn Images, on_processor: bool) -> Option<Scene> {
    let (mut sides, mut aspects) = (Vec::new(), Vec::new());
    for index in (0..data.len()).step_by(data.len().div_ceil(LOOKED_AT).max(1)) {
        let objects = data.objects(index);
        if objects.is_empty() {
            continue;
        }
        // An image that cannot be read has no size, and is left out of training too.
        let Ok([width, height]) = data.size(index) else { continue };
        let (longer, shorter) = (f64::from(width.max(height)), f64::from(width.min(height)));
        aspects.push(longer / shorter);
        let area = f64::from(width) * f64::from(height);
        sides.extend(objects.iter().filter(|object| !object.is_crowd).map(|object| {
            let [x1, y1, x2, y2] = object.corners.map(f64::from);
            ((x2 - x1) * (y2 - y1) * area).sqrt() / longer
        }));
    }
    let small = at(&mut sides, SMALLER)?;
    Some(Scene { small, aspect: at(&mut aspects, 0.5)?, on_processor })
}

/// The value that a share of the others is below.
fn at(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get((share * values.len() as f64) as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn the_tenth_of_a_hundred_values() {
        let mut values: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!((at(&mut values, 0.1), at(&mut values, 0.5)), (Some(10.0), Some(50.0)));
        assert_eq!((at(&mut [3.0], 0.1), at(&mut [], 0.5)), (Some(3.0), None));
    }
}
