//! Images divided into regions of one colour (Felzenszwalb and Huttenlocher 2004, "Efficient Graph-Based Image
//! Segmentation").

use models::host::Rgb;

/// Standard deviation of the smoothing, in pixels (section 5 of the paper).
const SIGMA: f32 = 0.8;
/// Smaller segments are joined with a neighbour.
const LEAST: u32 = 20;

/// The differences of neighbouring pixels of an image, smallest first; they serve for every scale.
pub struct Edges {
    pixels: usize,
    /// Difference of colour in levels (0 to 255 of each channel), and the two pixels.
    edges: Vec<(f32, u32, u32)>,
}

impl Edges {
    /// Of a smoothed image, each pixel with its eight neighbours.
    #[must_use]
    pub fn of(image: &Rgb) -> Self {
        let (width, height) = (image.width as usize, image.height as usize);
        let colours = smoothed(image);
        let mut edges = Vec::with_capacity(4 * width * height);
        for y in 0..height {
            for x in 0..width {
                let from = y * width + x;
                let mut to = |inside: bool, other: fn(usize, usize) -> usize| {
                    if inside {
                        let other = other(from, width);
                        edges.push((distance(colours[from], colours[other]), from as u32, other as u32));
                    }
                };
                to(x + 1 < width, |at, _| at + 1);
                to(y + 1 < height, |at, width| at + width);
                to(x + 1 < width && y + 1 < height, |at, width| at + width + 1);
                to(x > 0 && y + 1 < height, |at, width| at + width - 1);
            }
        }
        // Stable: equal ones stay in the order of the pixels.
        edges.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { pixels: width * height, edges }
    }

    /// The segments, each with its pixels in order, by their first pixel. Two are joined where they differ by no more than
    /// either differs within itself plus `scale` divided by its number of pixels; so a larger `scale` makes larger segments.
    #[must_use]
    pub fn segments(&self, scale: f32) -> Vec<Vec<u32>> {
        let mut forest = Forest::new(self.pixels, scale);
        for &(weight, a, b) in &self.edges {
            let (a, b) = (forest.root(a), forest.root(b));
            if a != b && weight <= forest.limit[a as usize].min(forest.limit[b as usize]) {
                let joined = forest.join(a, b);
                forest.limit[joined as usize] = weight + scale / forest.size[joined as usize] as f32;
            }
        }
        for &(_, a, b) in &self.edges {
            let (a, b) = (forest.root(a), forest.root(b));
            if a != b && forest.size[a as usize].min(forest.size[b as usize]) < LEAST {
                forest.join(a, b);
            }
        }
        let mut number = vec![usize::MAX; self.pixels];
        let mut segments: Vec<Vec<u32>> = Vec::new();
        for pixel in 0..self.pixels as u32 {
            let root = forest.root(pixel) as usize;
            if number[root] == usize::MAX {
                number[root] = segments.len();
                segments.push(Vec::new());
            }
            segments[number[root]].push(pixel);
        }
        segments
    }
}

/// Sets of pixels that can be joined. Of a root, how many pixels it has and up to which difference it may be joined.
struct Forest {
    parent: Vec<u32>,
    size: Vec<u32>,
    limit: Vec<f32>,
}

impl Forest {
    fn new(pixels: usize, scale: f32) -> Self {
        Self { parent: (0..pixels as u32).collect(), size: vec![1; pixels], limit: vec![scale; pixels] }
    }

    fn root(&mut self, mut pixel: u32) -> u32 {
        while self.parent[pixel as usize] != pixel {
            let above = self.parent[self.parent[pixel as usize] as usize];
            self.parent[pixel as usize] = above;
            pixel = above;
        }
        pixel
    }

    /// Joins two roots and returns the new one.
    fn join(&mut self, a: u32, b: u32) -> u32 {
        let (root, other) = if self.size[a as usize] >= self.size[b as usize] { (a, b) } else { (b, a) };
        self.parent[other as usize] = root;
        self.size[root as usize] += self.size[other as usize];
        root
    }
}

fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

/// The image after a Gaussian of [`SIGMA`], cut off at four deviations; beyond a border its last pixel goes on.
fn smoothed(image: &Rgb) -> Vec<[f32; 3]> {
    let (width, height) = (image.width as usize, image.height as usize);
    let reach = (4.0 * SIGMA).ceil() as isize;
    let bell = |d: isize| (-0.5 * (d as f32 / SIGMA).powi(2)).exp();
    let total: f32 = (-reach..=reach).map(bell).sum();
    let taps: Vec<(isize, f32)> = (-reach..=reach).map(|d| (d, bell(d) / total)).collect();
    let near = |at: usize, d: isize, length: usize| at.saturating_add_signed(d).min(length - 1);
    let sum = |values: &mut dyn Iterator<Item = ([f32; 3], f32)>| {
        values.fold([0.0; 3], |all, (colour, weight)| std::array::from_fn(|c| colour[c].mul_add(weight, all[c])))
    };
    let pixels: Vec<[f32; 3]> = image.data.as_chunks::<3>().0.iter().map(|p| p.map(f32::from)).collect();
    let across: Vec<[f32; 3]> = (0..width * height)
        .map(|at| {
            let (y, x) = (at / width, at % width);
            sum(&mut taps.iter().map(|&(d, weight)| (pixels[y * width + near(x, d, width)], weight)))
        })
        .collect();
    (0..width * height)
        .map(|at| {
            let (y, x) = (at / width, at % width);
            sum(&mut taps.iter().map(|&(d, weight)| (across[near(y, d, height) * width + x], weight)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Left half black, upper right red, lower right grey.
    fn flag() -> Rgb {
        let mut image = Rgb::filled(40, 30, [0; 3]);
        for y in 0..30 {
            for x in 20..40 {
                let colour = if y < 15 { [200, 0, 0] } else { [120; 3] };
                image.data[(y * 40 + x) * 3..][..3].copy_from_slice(&colour);
            }
        }
        image
    }

    #[test]
    fn areas_of_one_colour_are_segments() {
        let image = flag();
        let segments = Edges::of(&image).segments(500.0);
        let mut all: Vec<u32> = segments.concat();
        all.sort_unstable();
        assert_eq!(all, (0..1200).collect::<Vec<u32>>(), "each pixel is in one segment");
        assert!(segments.iter().all(|s| s.len() >= LEAST as usize));
        // Well inside an area, everything is of one segment, and the three areas are of three.
        let of = |x: u32, y: u32| segments.iter().position(|s| s.contains(&(y * 40 + x))).unwrap();
        assert_eq!((of(3, 3), of(25, 3), of(25, 25)), (of(14, 27), of(36, 11), of(36, 20)));
        let mut three = [of(3, 3), of(25, 3), of(25, 25)];
        three.sort_unstable();
        assert!(three[0] < three[1] && three[1] < three[2], "{three:?}");
        // So large a scale joins all.
        assert_eq!(Edges::of(&image).segments(1e6).len(), 1);
    }

    #[test]
    fn specks_are_joined_with_what_is_around_them() {
        let mut image = Rgb::filled(30, 30, [50; 3]);
        image.data[(15 * 30 + 15) * 3..][..3].copy_from_slice(&[255; 3]);
        // Smoothed, it is a spot of rings, each smaller than a segment may be.
        let segments = Edges::of(&image).segments(1.0);
        assert!(segments.iter().all(|s| s.len() >= LEAST as usize) && segments.len() < 4, "{segments:?}");
        assert!(segments[0].contains(&0) && segments[0].contains(&899));
    }
}
