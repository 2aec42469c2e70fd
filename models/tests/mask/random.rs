//! The script's random numbers and masks.

/// `x <- (x * M + I) mod 2^64`, output `x >> 33`.
pub struct Lcg(pub u64);

impl Lcg {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
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
