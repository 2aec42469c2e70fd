//! One image: a shape, or several, on a textured background.

use std::f64::consts::TAU;

use models::host::Rgb;

use crate::KeyedRng;

const WIDTH: u32 = 240;
const HEIGHT: u32 = 180;
/// Sub-samples per pixel and axis at an outline.
const SUBSAMPLES: u32 = 3;

/// What is to be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Circle,
    Square,
    Star,
    Triangle,
}

impl Shape {
    /// Sorted by name.
    pub const ALL: [Self; 4] = [Self::Circle, Self::Square, Self::Star, Self::Triangle];

    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Star => "star",
            Self::Triangle => "triangle",
        }
    }

    /// Corners around the origin, of about the same area for every shape.
    fn outline(self) -> Vec<[f64; 2]> {
        let corner = |turn: f64, radius: f64| [radius * (turn * TAU).cos(), radius * (turn * TAU).sin()];
        let regular = |n: usize, radius: f64| (0..n).map(|i| corner(i as f64 / n as f64, radius)).collect();
        match self {
            Self::Circle => regular(48, 0.80),
            Self::Square => regular(4, 1.0),
            Self::Star => (0..10).map(|i| corner(f64::from(i) / 10.0, if i % 2 == 0 { 1.15 } else { 0.52 })).collect(),
            Self::Triangle => regular(3, 1.15),
        }
    }
}

/// An image with one `shape` in it, wholly inside.
pub fn image(shape: Shape, rng: &mut KeyedRng) -> Rgb {
    let mut image = empty(rng);
    let outline = outline(shape, [26.0, 62.0], rng);
    paint(&mut image, &outline, rng);
    grain(&mut image, rng);
    image
}

/// A shape in an image.
pub struct Placed {
    /// Which.
    pub shape: Shape,
    /// Its corners, `x y` in pixels.
    pub corners: Vec<[f64; 2]>,
}

impl Placed {
    /// The box around it: `x1 y1 x2 y2` in pixels.
    pub fn bounds(&self) -> [f64; 4] {
        bounds(&self.corners)
    }
}

/// An image with these shapes in it, wholly inside and apart from each other. A shape for which no room is found is left out.
pub fn scene(shapes: &[Shape], rng: &mut KeyedRng) -> (Rgb, Vec<Placed>) {
    let mut image = empty(rng);
    let mut placed: Vec<Placed> = Vec::new();
    for &shape in shapes {
        for _ in 0..50 {
            let outline = outline(shape, [11.0, 38.0], rng);
            let bounds = bounds(&outline.corners);
            let apart = |other: [f64; 4]| {
                bounds[0] > other[2] || other[0] > bounds[2] || bounds[1] > other[3] || other[1] > bounds[3]
            };
            if placed.iter().all(|other| apart(other.bounds())) {
                paint(&mut image, &outline, rng);
                placed.push(Placed { shape, corners: outline.corners });
                break;
            }
        }
    }
    grain(&mut image, rng);
    (image, placed)
}

/// A shape that has its place.
struct Outline {
    centre: [f64; 2],
    size: f64,
    corners: Vec<[f64; 2]>,
}

/// A background and what is on it that is no shape.
fn empty(rng: &mut KeyedRng) -> Rgb {
    let mut image = background(rng);
    for _ in 0..8 {
        bar(&mut image, rng);
    }
    image
}

fn outline(shape: Shape, [least, most]: [f64; 2], rng: &mut KeyedRng) -> Outline {
    let size = rng.between(least, most);
    let stretch = rng.between(0.88, 1.14);
    let turn = rng.unit() * TAU;
    let reach = size * 1.15 * 1.14;
    let centre = [rng.between(reach, f64::from(WIDTH) - reach), rng.between(reach, f64::from(HEIGHT) - reach)];
    let corners: Vec<[f64; 2]> = shape
        .outline()
        .into_iter()
        .map(|[x, y]| {
            let (x, y) = (x * size * stretch, y * size / stretch);
            [centre[0] + x * turn.cos() - y * turn.sin(), centre[1] + x * turn.sin() + y * turn.cos()]
        })
        .collect();
    Outline { centre, size, corners }
}

fn paint(image: &mut Rgb, outline: &Outline, rng: &mut KeyedRng) {
    let colour = contrasting(mean(image, outline.centre, outline.size), rng);
    fill(image, &outline.corners, colour, rng.between(0.85, 1.0));
}

/// Smallest box around points: `x1 y1 x2 y2`.
fn bounds(corners: &[[f64; 2]]) -> [f64; 4] {
    let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    corners.iter().fold(start, |[x1, y1, x2, y2], &[x, y]| [x1.min(x), y1.min(y), x2.max(x), y2.max(y)])
}

/// Waves of a few colours.
fn background(rng: &mut KeyedRng) -> Rgb {
    let base: [f64; 3] = std::array::from_fn(|_| rng.between(50.0, 205.0));
    let waves: Vec<([f64; 2], f64, [f64; 3])> = (0..4)
        .map(|_| {
            let (direction, length) = (rng.unit() * TAU, rng.between(8.0, 160.0));
            let step = TAU / length;
            let strength = std::array::from_fn(|_| rng.between(-22.0, 22.0));
            ([direction.cos() * step, direction.sin() * step], rng.unit() * TAU, strength)
        })
        .collect();
    let mut image = Rgb::filled(WIDTH, HEIGHT, [0; 3]);
    for (at, pixel) in image.data.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = ((at as u32 % WIDTH) as f64, (at as u32 / WIDTH) as f64);
        let mut value = base;
        for (step, phase, strength) in &waves {
            let wave = (x * step[0] + y * step[1] + phase).sin();
            value.iter_mut().zip(strength).for_each(|(value, strength)| *value += wave * strength);
        }
        *pixel = value.map(|value| value.round() as u8);
    }
    image
}

/// A thin bar, so that edges alone tell nothing.
fn bar(image: &mut Rgb, rng: &mut KeyedRng) {
    let centre = [rng.between(0.0, f64::from(WIDTH)), rng.between(0.0, f64::from(HEIGHT))];
    let (length, width, turn) = (rng.between(8.0, 45.0), rng.between(1.0, 4.0), rng.unit() * TAU);
    let along = [turn.cos() * length, turn.sin() * length];
    let across = [-turn.sin() * width, turn.cos() * width];
    let corners = [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)]
        .map(|(a, b)| [centre[0] + a * along[0] + b * across[0], centre[1] + a * along[1] + b * across[1]]);
    let colour = std::array::from_fn(|_| rng.between(0.0, 255.0));
    fill(image, &corners, colour, 0.8);
}

/// A random colour that stands out from `from` (Euclidean distance of at least 100 of 441).
fn contrasting(from: [f64; 3], rng: &mut KeyedRng) -> [f64; 3] {
    for _ in 0..64 {
        let colour: [f64; 3] = std::array::from_fn(|_| rng.between(0.0, 255.0));
        let distance: f64 = colour.iter().zip(from).map(|(a, b)| (a - b) * (a - b)).sum();
        if distance >= 100.0 * 100.0 {
            return colour;
        }
    }
    from.map(|value| if value < 128.0 { 255.0 } else { 0.0 })
}

/// Mean colour of the square of half side `reach` around `centre`.
fn mean(image: &Rgb, centre: [f64; 2], reach: f64) -> [f64; 3] {
    let (columns, rows) =
        (span(centre[0] - reach, centre[0] + reach, WIDTH), span(centre[1] - reach, centre[1] + reach, HEIGHT));
    let mut sum = [0.0; 3];
    let mut n = 0.0f64;
    for y in rows {
        for x in columns.clone() {
            let at = ((y * WIDTH + x) * 3) as usize;
            sum.iter_mut().zip(&image.data[at..]).for_each(|(sum, value)| *sum += f64::from(*value));
            n += 1.0;
        }
    }
    sum.map(|sum| sum / n.max(1.0))
}

/// Pixels from `low` to `high` that lie in the image.
fn span(low: f64, high: f64, size: u32) -> std::ops::Range<u32> {
    (low.floor().max(0.0) as u32)..(high.ceil().clamp(0.0, f64::from(size)) as u32)
}

/// Fills a polygon, smooth at its edges.
fn fill(image: &mut Rgb, corners: &[[f64; 2]], colour: [f64; 3], opacity: f64) {
    let [left, top, right, bottom] = bounds(corners);
    for y in span(top, bottom, HEIGHT) {
        for x in span(left, right, WIDTH) {
            let inside = (0..SUBSAMPLES * SUBSAMPLES).filter(|sub| {
                let offset = |step: u32| (f64::from(step) + 0.5) / f64::from(SUBSAMPLES);
                contains(corners, f64::from(x) + offset(sub % SUBSAMPLES), f64::from(y) + offset(sub / SUBSAMPLES))
            });
            let share = inside.count() as f64 / f64::from(SUBSAMPLES * SUBSAMPLES) * opacity;
            let at = ((y * WIDTH + x) * 3) as usize;
            for (value, colour) in image.data[at..at + 3].iter_mut().zip(colour) {
                *value = (f64::from(*value) * (1.0 - share) + colour * share).round() as u8;
            }
        }
    }
}

/// Even-odd rule.
fn contains(corners: &[[f64; 2]], x: f64, y: f64) -> bool {
    let mut inside = false;
    let mut previous = corners[corners.len() - 1];
    for &corner in corners {
        if (corner[1] > y) != (previous[1] > y) {
            let cut = corner[0] + (y - corner[1]) / (previous[1] - corner[1]) * (previous[0] - corner[0]);
            inside ^= x < cut;
        }
        previous = corner;
    }
    inside
}

/// Sensor noise, the same in the three channels of a pixel up to a little.
fn grain(image: &mut Rgb, rng: &mut KeyedRng) {
    let strength = rng.between(4.0, 24.0);
    for pixel in image.data.as_chunks_mut::<3>().0 {
        // Four uniform bytes of one draw: their sum is close to normal.
        let draw = rng.below(1 << 32);
        let bytes = (0..4).map(|i| (draw >> (8 * i) & 0xff) as f64).sum::<f64>();
        let noise = (bytes / 510.0 - 1.0) * strength;
        for value in pixel {
            *value = (f64::from(*value) + noise).round().clamp(0.0, 255.0) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_have_about_the_same_area() {
        for shape in Shape::ALL {
            let corners = shape.outline();
            let twice: f64 =
                corners.iter().zip(corners.iter().cycle().skip(1)).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum();
            assert!((1.7..2.1).contains(&(twice / 2.0)), "{}: {}", shape.name(), twice / 2.0);
        }
    }

    #[test]
    fn inside_and_outside() {
        let square = [[1.0, 1.0], [3.0, 1.0], [3.0, 3.0], [1.0, 3.0]];
        assert!(contains(&square, 2.0, 2.9) && !contains(&square, 0.5, 2.0) && !contains(&square, 2.0, 3.1));
        let star = Shape::Star.outline();
        assert!(contains(&star, 1.1, 0.0) && contains(&star, -0.4, 0.0) && !contains(&star, -1.0, 0.0));
    }

    #[test]
    fn the_shape_stands_out() {
        for number in 0..20 {
            let mut rng = KeyedRng::new("test", &[number]);
            let colour = contrasting([128.0; 3], &mut rng);
            let distance: f64 = colour.iter().map(|c| (c - 128.0) * (c - 128.0)).sum::<f64>().sqrt();
            assert!(distance >= 100.0);
        }
    }
}
