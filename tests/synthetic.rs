//! The formula of `scripts/oracle/forward.py`: element i of the tensor `key` is a function of
//! `u = top 24 bits of mix(fnv1a64(key) + (i + 1) * 0x9e3779b97f4a7c15) / 2^24`, where mix is the output function of
//! SplitMix64 (Steele, Lea, Flood 2014). Double precision, rounded to single at the end.

use models::ops::Role;

fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// `count` numbers in `[0, 1)`, multiples of 2^-24.
pub fn uniform(key: &str, count: usize) -> impl Iterator<Item = f64> + use<> {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut z = fnv1a64(key);
    (0..count).map(move |_| {
        z = z.wrapping_add(GOLDEN);
        let mut m = z;
        m = (m ^ (m >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        m = (m ^ (m >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        m ^= m >> 31;
        let top = u32::try_from(m >> 40).expect("24 bits");
        f64::from(top) / 16_777_216.0
    })
}

/// Variance of a weight times its fan-in, times 3: most networks add branches up, the two small ones pass from layer to
/// layer.
fn gain(model: &str) -> f64 {
    if matches!(model, "mobilenetv2" | "efficientnet_lite0") { 9.0 } else { 3.0 }
}

/// Whether a normalisation weight scales the branch of a residual block.
fn ends_branch(model: &str, key: &str) -> bool {
    match model {
        "resnet18" | "resnet34" => key.starts_with("layer") && key.ends_with(".bn2.weight"),
        "mobilenetv2" => key.ends_with(".conv.3.weight"),
        "efficientnet_lite0" => key.ends_with("._bn2.weight"),
        _ => key.ends_with(".bn3.weight"),
    }
}

/// The parameter or running statistic of `model` under `key`, row-major; counters are 0.
///
/// # Panics
/// On a negative dimension.
#[must_use]
pub fn param(model: &str, key: &str, shape: &[i64], role: Role) -> Vec<f32> {
    let sizes: Vec<usize> = shape.iter().map(|d| usize::try_from(*d).expect("a size")).collect();
    let u = uniform(key, sizes.iter().product());
    #[expect(clippy::cast_possible_truncation, reason = "the formula ends in single precision")]
    let single = |v: f64| v as f32;
    match role {
        Role::Weight => {
            let fan_in: u32 = u32::try_from(sizes[1..].iter().product::<usize>()).expect("a layer's width");
            let bound = (gain(model) / f64::from(fan_in)).sqrt();
            u.map(|u| single((2.0 * u - 1.0) * bound)).collect()
        }
        Role::NormWeight => {
            let scale = if ends_branch(model, key) { 0.25 } else { 1.0 };
            u.map(|u| single((0.5 + u) * scale)).collect()
        }
        Role::Buffer if key.ends_with("running_var") => u.map(|u| single(0.5 + u)).collect(),
        Role::Bias | Role::NormBias | Role::Buffer => u.map(|u| single((2.0 * u - 1.0) * 0.1)).collect(),
        Role::Embedding => u.map(|u| single(2.0 * u - 1.0)).collect(),
        Role::Counter => vec![0.0; sizes.iter().product()],
    }
}

/// A normalised image batch, row-major, in `[-2, 2)`.
///
/// # Panics
/// On a negative dimension.
#[must_use]
pub fn input(name: &str, shape: &[i64]) -> Vec<f32> {
    let count = shape.iter().map(|d| usize::try_from(*d).expect("a size")).product();
    #[expect(clippy::cast_possible_truncation, reason = "the formula ends in single precision")]
    let values = uniform(&format!("input/{name}"), count).map(|u| ((2.0 * u - 1.0) * 2.0) as f32);
    values.collect()
}

/// An image of blocks with sharp edges and some noise, `uint8 [height, width, 3]`: unlike plain noise it is still a
/// image after it has been made smaller.
#[must_use]
pub fn picture(name: &str, width: usize, height: usize) -> Vec<u8> {
    const BLOCKS: [usize; 2] = [5, 7];
    let colours: Vec<f64> = uniform(&format!("blocks/{name}"), BLOCKS[0] * BLOCKS[1] * 3).collect();
    let mut noise = uniform(&format!("noise/{name}"), width * height * 3);
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let block = (y * BLOCKS[0] / height) * BLOCKS[1] + x * BLOCKS[1] / width;
            for channel in 0..3 {
                let value = 0.8 * colours[block * 3 + channel] + 0.2 * noise.next().unwrap_or(0.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "256 times a number below 1"
                )]
                pixels.push((value * 256.0) as u8);
            }
        }
    }
    pixels
}

/// L2 norm, and the dot product with the probe vector of `key`.
#[must_use]
pub fn norm_and_probe(key: &str, values: impl ExactSizeIterator<Item = f64>) -> [f64; 2] {
    let probe = uniform(&format!("probe/{key}"), values.len());
    let (mut square, mut dot) = (0.0, 0.0);
    for (v, u) in values.zip(probe) {
        square += v * v;
        dot += v * (2.0 * u - 1.0);
    }
    [square.sqrt(), dot]
}

#[cfg(test)]
mod tests {
    use super::{fnv1a64, uniform};

    #[test]
    fn hash_and_generator_are_the_published_ones() {
        // FNV-1a test vectors of its authors; SplitMix64 started at 0 gives 0xe220a8397b1dcdaf first.
        assert_eq!(fnv1a64(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a64("foobar"), 0x8594_4171_f739_67e8);
        assert!(uniform("conv1.weight", 1000).all(|u| (0.0..1.0).contains(&u)));
    }

    #[test]
    fn the_first_values_equal_numpys() {
        let values: Vec<f64> = uniform("conv1.weight", 3).map(|u| u * 16_777_216.0).collect();
        assert_eq!(values, FIRST);
    }

    const FIRST: [f64; 3] = [9_144_840.0, 12_501_739.0, 384_562.0];
}
