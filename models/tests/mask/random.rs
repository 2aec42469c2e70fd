//! The script's random numbers and masks.

use models::host::mask::{Outline, Paste};

/// `x <- (x * M + I) mod 2^64`, output `x >> 33`.
pub struct Lcg(pub u64);

impl Lcg {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// Width, height and the values column by column.
pub fn mask(random: &mut Lcg) -> (u32, u32, Vec<bool>) {
    let (height, width) = (1 + random.below(40), 1 + random.below(40));
    let pixels = (width * height) as usize;
    let longest = 1 + random.below(3) * random.below(60);
    let (mut values, mut inside) = (Vec::new(), random.below(2) == 1);
    while values.len() < pixels {
        let length = random.below(longest) as usize + 1;
        values.resize(values.len() + length, inside);
        inside = !inside;
    }
    if random.below(8) == 0 {
        values = vec![random.below(2) == 1; pixels];
    }
    values.truncate(pixels);
    (width as u32, height as u32, values)
}

/// Width, height and rings of pixels.
pub fn polygons(random: &mut Lcg) -> (u32, u32, Outline) {
    let (width, height) = (1 + random.below(90), 1 + random.below(90));
    let unit = random.pick(&[1, 2, 5, 7, 10, 64, 1000]);
    let margin = random.pick(&[0, 0, 3, 40]);
    let rings = (0..1 + random.below(3)).map(|_| {
        let most = random.pick(&[1, 4, 20]);
        let points = 3 + random.below(most);
        let mut coordinate = |side: u64| {
            let value = random.below((side + 2 * margin) * unit + 1);
            (value as f64 - (margin * unit) as f64) / unit as f64
        };
        (0..points).map(|_| [coordinate(width), coordinate(height)]).collect()
    });
    let rings = rings.collect();
    (width as u32, height as u32, Outline { rings })
}

/// The image, probabilities and box of one mask.
pub fn paste(random: &mut Lcg) -> (Paste, Vec<f32>, [f32; 4]) {
    let most = random.pick(&[60, 60, 60, 700]);
    let (width, height) = (1 + random.below(most), 1 + random.below(most));
    let unit = random.pick(&[1, 2, 16, 100]);
    let reach = random.pick(&[0, 0, 10, 200]);
    let [[x1, x2], [y1, y2]] = [width, height].map(|side| {
        let ends = [0, 1].map(|_| random.below((side + 2 * reach) * unit + 1) as f64 / unit as f64 - reach as f64);
        [ends[0].min(ends[1]), ends[0].max(ends[1])]
    });
    let (kind, row, column, spread) = (random.below(4), random.below(28), random.below(28), 1 + random.below(300));
    let mut values = Vec::new();
    for (y, x) in (0..28_u64).flat_map(|y| (0..28_u64).map(move |x| (y, x))) {
        let distance = x.abs_diff(column).pow(2) + y.abs_diff(row).pow(2);
        values.push(match kind {
            0 => random.below(65) as f32 / 64.0,
            1 => 0.5,
            _ => 64_u64.saturating_sub(distance * 64 / spread) as f32 / 64.0,
        });
    }
    let threshold = random.pick(&[0.5, 0.5, 0.25, 0.9]);
    (Paste { width: width as u32, height: height as u32, threshold }, values, [x1, y1, x2, y2].map(|v| v as f32))
}
