//! Points of outlines that do not belong to them.

use models::host::mask::Outline;

use super::Part;
use super::geometry::bounds;
use crate::outline::without_strays;

/// Drops the points of outlines that lie far from all others, which `trainer check` finds, and takes boxes from what is left;
/// each part notes how many.
pub fn drop_stray_points(parts: &mut [Part]) {
    for part in parts {
        let (mut points, mut objects, mut first) = (0, 0, None);
        for image in &mut part.images {
            if image.objects.iter().all(|object| object.polygon.is_empty()) {
                continue;
            }
            // Of an image whose size nobody knows, a square one is as good a guess as any: only shares of lengths matter.
            let size = image.measured().unwrap_or([1000; 2]);
            for object in image.objects.iter_mut().filter(|object| !object.polygon.is_empty()) {
                let Ok(outline) = Outline::from_segments(&object.polygon, [1.0; 2]) else { continue };
                let (kept, dropped) = without_strays(&outline, size);
                if dropped == 0 {
                    continue;
                }
                object.polygon = kept.rings.iter().map(|ring| ring.as_flattened().to_vec()).collect();
                object.corners = bounds(&object.polygon);
                (points, objects) = (points + dropped, objects + 1);
                first.get_or_insert_with(|| format!("{} ({})", image.path.display(), object.label));
            }
        }
        if let Some(first) = first {
            part.assumed.push(format!(
                "{points} points of {objects} outlines lie far from all others and were dropped, the first of {first}; boxes \
                 are around what is left"
            ));
        } else {
            part.assumed.push("no outline has a point far from all others; none was dropped".to_owned());
        }
    }
}
