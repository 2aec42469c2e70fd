//! Outlines of fewer points.

use models::host::mask::{Fill, Outline};

use super::Part;
use super::geometry::bounds;

/// Gives each outline of more than `most` points as many at most, and notes in each part how many these were and how much of
/// their pixels they keep. Boxes are taken anew.
pub fn simplify(parts: &mut [Part], most: usize) {
    for part in parts {
        let (mut before, mut after, mut kept) = (0, 0, Vec::new());
        for image in &mut part.images {
            if image.objects.iter().all(|object| object.polygon.iter().map(Vec::len).sum::<usize>() <= 2 * most) {
                continue;
            }
            let Ok([width, height]) = image.measured() else { continue };
            for object in &mut image.objects {
                let outline = Outline::from_segments(&object.polygon, [f64::from(width), f64::from(height)]);
                let Some(outline) = outline.ok().filter(|outline| outline.points() > most) else { continue };
                let simple = outline.simplified(most);
                let window = outline.window(width, height);
                let masks = [&outline, &simple].map(|outline| outline.rasterise(Fill::CocoEvenOdd, window));
                kept.push(masks[1].overlap(&masks[0], false));
                (before, after) = (before + outline.points(), after + simple.points());
                object.polygon = simple.fractions(width, height);
                object.corners = bounds(&object.polygon);
            }
        }
        if let Some(least) = kept.iter().copied().reduce(f64::min) {
            let mean = kept.iter().sum::<f64>() / kept.len() as f64;
            part.assumed.push(format!(
                "outlines of more than {most} points, which were simplified: {}; {before} points became {after}, and the overlap (IoU) with their pixels \
                 before is {mean:.4} on average and at least {least:.4}",
                kept.len()
            ));
        }
    }
}
