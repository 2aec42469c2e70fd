//! Random views of a training image, by torchvision's rules: `RandomResizedCrop`, horizontal flip, then `ColorJitter` as a
//! whole with some probability.

use models::host::{self, Region, Resizer, Rgb};
use schemas::Interpolation;
use serde::{Deserialize, Serialize};

use super::rng::KeyedRng;
use super::trivial;

/// Share of a view's area that is painted over, and height over width of the rectangle: torchvision's `RandomErasing`.
const ERASED_AREA: [f64; 2] = [0.02, 0.33];
const ERASED_RATIO: [f64; 2] = [0.3, 3.3];

/// What may be done to a training image. The default is the specification's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Share of the image's area that the crop covers: smallest and largest, in (0, 1].
    pub scale: [f64; 2],
    /// Width over height of the crop before it is resized to a square: smallest and largest, above 0. Drawn
    /// log-uniformly.
    pub ratio: [f64; 2],
    /// Probability of mirroring left and right, in [0, 1].
    pub flip_probability: f64,
    /// Probability that the colours are changed at all, in [0, 1].
    pub jitter_probability: f64,
    /// Brightness factor is drawn from 1 ± this, not below 0.
    pub brightness: f64,
    /// Contrast factor is drawn from 1 ± this, not below 0.
    pub contrast: f64,
    /// Saturation factor is drawn from 1 ± this, not below 0.
    pub saturation: f64,
    /// The colour circle is turned by up to ± this share of a full turn, in [0, 0.5].
    pub hue: f64,
    /// TrivialAugment in place of the jitter.
    pub trivial: bool,
    /// Probability of painting over a random rectangle, in [0, 1].
    pub erase_probability: f64,
}

impl Default for Augmentation {
    /// Area 0.08 to 1, ratio 3/4 to 4/3, flip 0.5, and with probability 0.5 a jitter of 0.4 each.
    fn default() -> Self {
        Self {
            scale: [0.08, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
            flip_probability: 0.5,
            jitter_probability: 0.5,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.4,
            hue: 0.4,
            trivial: false,
            erase_probability: 0.0,
        }
    }
}

impl Augmentation {
    /// Checks the ranges stated at the fields.
    ///
    /// # Errors
    /// Name, value and range of the first field that is out of range.
    pub fn validate(&self) -> Result<(), String> {
        let ordered = |[low, high]: [f64; 2], top: f64| low > 0.0 && low <= high && high <= top;
        let within = |value: f64, top: f64| (0.0..=top).contains(&value);
        let checks = [
            (ordered(self.scale, 1.0), "scale", format!("{:?}", self.scale), "0 < smallest <= largest <= 1"),
            (ordered(self.ratio, 1e3), "ratio", format!("{:?}", self.ratio), "0 < smallest <= largest <= 1000"),
            (within(self.flip_probability, 1.0), "flip_probability", self.flip_probability.to_string(), "[0, 1]"),
            (within(self.jitter_probability, 1.0), "jitter_probability", self.jitter_probability.to_string(), "[0, 1]"),
            (within(self.brightness, 10.0), "brightness", self.brightness.to_string(), "[0, 10]"),
            (within(self.contrast, 10.0), "contrast", self.contrast.to_string(), "[0, 10]"),
            (within(self.saturation, 10.0), "saturation", self.saturation.to_string(), "[0, 10]"),
            (within(self.erase_probability, 1.0), "erase_probability", self.erase_probability.to_string(), "[0, 1]"),
            (within(self.hue, 0.5), "hue", self.hue.to_string(), "[0, 0.5]"),
        ];
        match checks.iter().find(|(good, ..)| !good) {
            Some((_, name, value, range)) => Err(format!("augmentation {name} is {value}, must be in {range}")),
            None => Ok(()),
        }
    }

    /// One random view: `region`, drawn by [`Self::crop`] from the same stream just before, at the view's size, flipped,
    /// jittered or changed by TrivialAugment, and painted over. Every draw is taken from `rng` in this order.
    pub(crate) fn apply(
        &self,
        image: &Rgb,
        region: Region,
        view: View,
        resizer: &mut Resizer,
        rng: &mut KeyedRng,
    ) -> Rgb {
        let mut out = resizer.crop_resize(image, region, view.size, view.size, view.filter);
        if rng.chance(self.flip_probability) {
            host::flip_horizontal(&mut out);
        }
        if self.trivial {
            trivial::augment(&mut out, view.fill, rng);
        } else if rng.chance(self.jitter_probability) {
            self.jitter(&mut out, rng);
        }
        if self.erase_probability > 0.0 && rng.chance(self.erase_probability) {
            erase(&mut out, view.fill, rng);
        }
        out
    }

    /// torchvision's `RandomResizedCrop.get_params`: ten tries, then the largest centred crop within the ratio. Whole pixels.
    pub(crate) fn crop(&self, width: u32, height: u32, rng: &mut KeyedRng) -> Region {
        let (w, h) = (f64::from(width), f64::from(height));
        for _ in 0..10 {
            let area = w * h * rng.between(self.scale[0], self.scale[1]);
            let ratio = rng.between(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let (cut_w, cut_h) = ((area * ratio).sqrt().round_ties_even(), (area / ratio).sqrt().round_ties_even());
            if (1.0..=w).contains(&cut_w) && (1.0..=h).contains(&cut_h) {
                let y0 = rng.below((h - cut_h) as u64 + 1) as f64;
                let x0 = rng.below((w - cut_w) as u64 + 1) as f64;
                return Region { x0, y0, x1: x0 + cut_w, y1: y0 + cut_h };
            }
        }
        let ratio = w / h;
        let (cut_w, cut_h) = if ratio < self.ratio[0] {
            (w, (w / self.ratio[0]).round_ties_even().clamp(1.0, h))
        } else if ratio > self.ratio[1] {
            ((h * self.ratio[1]).round_ties_even().clamp(1.0, w), h)
        } else {
            (w, h)
        };
        let (x0, y0) = (((w - cut_w) / 2.0).floor(), ((h - cut_h) / 2.0).floor());
        Region { x0, y0, x1: x0 + cut_w, y1: y0 + cut_h }
    }

    /// torchvision's `ColorJitter`: the four changes in random order, each with its own random strength.
    fn jitter(&self, image: &mut Rgb, rng: &mut KeyedRng) {
        let mut order = [0, 1, 2, 3];
        rng.shuffle(&mut order);
        let mut factor = |strength: f64| rng.between((1.0 - strength).max(0.0), 1.0 + strength) as f32;
        let (brightness, contrast, saturation) =
            (factor(self.brightness), factor(self.contrast), factor(self.saturation));
        let turn = rng.between(-self.hue, self.hue) as f32;
        for step in order {
            // A strength of 0 switches a change off: turning the hue by 0 would still round.
            match step {
                0 if self.brightness > 0.0 => host::brightness(image, brightness),
                1 if self.contrast > 0.0 => host::contrast(image, contrast),
                2 if self.saturation > 0.0 => host::saturation(image, saturation),
                3 if self.hue > 0.0 => host::hue(image, turn),
                _ => {}
            }
        }
    }
}

/// torchvision's `RandomErasing`: ten tries at a rectangle that fits; none is painted when all fail.
fn erase(image: &mut Rgb, fill: [u8; 3], rng: &mut KeyedRng) {
    let (w, h) = (f64::from(image.width), f64::from(image.height));
    for _ in 0..10 {
        let area = w * h * rng.between(ERASED_AREA[0], ERASED_AREA[1]);
        let ratio = rng.between(ERASED_RATIO[0].ln(), ERASED_RATIO[1].ln()).exp();
        let (high, wide) = ((area * ratio).sqrt().round_ties_even(), (area / ratio).sqrt().round_ties_even());
        if high >= h || wide >= w {
            continue;
        }
        let top = rng.below((h - high) as u64 + 1) as usize;
        let left = rng.below((w - wide) as u64 + 1) as usize;
        let rows = image.data.chunks_exact_mut(image.width as usize * 3);
        for row in rows.skip(top).take(high as usize) {
            row[left * 3..(left + wide as usize) * 3].copy_from_slice(&fill.repeat(wide as usize));
        }
        return;
    }
}

/// How a training view is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Side in pixels.
    pub size: u32,
    pub filter: Interpolation,
    /// Colour of what is painted over and of what comes from outside.
    pub fill: [u8; 3],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: u32, height: u32) -> Rgb {
        let mut rng = KeyedRng::new("picture", &[u64::from(width), u64::from(height)]);
        let data = (0..width * height * 3).map(|_| rng.below(256) as u8).collect();
        Rgb { width, height, data }
    }

    #[test]
    fn crops_stay_inside_and_follow_scale_and_ratio() {
        let augmentation = Augmentation::default();
        let mut shares = Vec::new();
        for i in 0..2000 {
            let r = augmentation.crop(400, 300, &mut KeyedRng::new("crop", &[i]));
            assert!(r.x0 >= 0.0 && r.y0 >= 0.0 && r.x1 <= 400.0 && r.y1 <= 300.0, "{r:?}");
            let (w, h) = (r.x1 - r.x0, r.y1 - r.y0);
            assert!((0.73..1.37).contains(&(w / h)), "{r:?}");
            shares.push(w * h / 120_000.0);
        }
        let mean = shares.iter().sum::<f64>() / 2000.0;
        // With u = 3/4 ratio log-uniform in [9/16, 1], a share s of U(0.08, 1) fits where s <= u, so the mean is
        // E[u^2 - 0.08^2] / (2 E[u - 0.08]) = 0.4319; the standard error here is 0.005.
        assert!((mean - 0.4319).abs() < 0.02, "{mean}");
        assert!(shares.iter().all(|s| (0.075..=1.0).contains(s)));
    }

    #[test]
    fn extreme_shapes_fall_back_to_the_centre() {
        let augmentation = Augmentation { scale: [1.0, 1.0], ..Augmentation::default() };
        let crop = |w, h| augmentation.crop(w, h, &mut KeyedRng::new("crop", &[1]));
        assert_eq!(crop(1000, 10), Region { x0: 493.0, y0: 0.0, x1: 506.0, y1: 10.0 });
        assert_eq!(crop(10, 1000), Region { x0: 0.0, y0: 493.0, x1: 10.0, y1: 506.0 });
        assert_eq!(crop(1, 1), Region { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 });
        let thin = crop(1, 65535);
        assert_eq!((thin.x0, thin.x1, thin.y1 - thin.y0), (0.0, 1.0, 1.0));
    }

    #[test]
    fn a_view_depends_on_its_stream_alone_and_has_its_size() {
        let augmentation = Augmentation::default();
        let view = View { size: 32, filter: Interpolation::Bilinear, fill: [0; 3] };
        let image = noise(50, 37);
        let make = |key: u64| {
            let mut resizer = Resizer::default();
            let mut rng = KeyedRng::new("augment", &[key]);
            let region = augmentation.crop(image.width, image.height, &mut rng);
            augmentation.apply(&image, region, view, &mut resizer, &mut rng)
        };
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        assert_eq!((make(3).width, make(3).height), (32, 32));
    }

    #[test]
    fn switched_off_means_untouched() {
        let still = Augmentation {
            scale: [1.0, 1.0],
            ratio: [1.0, 1.0],
            flip_probability: 0.0,
            jitter_probability: 1.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            trivial: false,
            erase_probability: 0.0,
        };
        let image = noise(24, 24);
        let view = View { size: 24, filter: Interpolation::Bilinear, fill: [0; 3] };
        let mut rng = KeyedRng::new("augment", &[1]);
        let region = still.crop(image.width, image.height, &mut rng);
        let out = still.apply(&image, region, view, &mut Resizer::default(), &mut rng);
        assert_eq!(out, image);
    }

    #[test]
    fn a_rectangle_of_the_stated_area_and_ratio_is_painted_over() {
        let mut areas = Vec::new();
        for key in 0..500 {
            let mut image = Rgb::filled(64, 64, [9; 3]);
            erase(&mut image, [1, 2, 3], &mut KeyedRng::new("erase", &[key]));
            let painted: Vec<(usize, usize)> =
                (0..64 * 64).filter(|at| image.data[at * 3..][..3] == [1, 2, 3]).map(|at| (at % 64, at / 64)).collect();
            let span = |of: fn(&(usize, usize)) -> usize| {
                let (low, high) = (painted.iter().map(of).min().unwrap(), painted.iter().map(of).max().unwrap());
                high - low + 1
            };
            let (wide, high) = (span(|p| p.0), span(|p| p.1));
            assert_eq!(painted.len(), wide * high, "a rectangle");
            assert!((0.25..=3.8).contains(&(high as f64 / wide as f64)), "{wide} x {high}");
            areas.push(painted.len() as f64 / 4096.0);
        }
        assert!(areas.iter().all(|share| (0.015..=0.35).contains(share)));
        let mean = areas.iter().sum::<f64>() / 500.0;
        // Uniform from 0.02 to 0.33, of which the largest fit a little less often.
        assert!((0.14..0.19).contains(&mean), "{mean}");
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!(Augmentation::default().validate(), Ok(()));
        let bad = Augmentation { hue: 0.6, ..Augmentation::default() };
        assert!(bad.validate().unwrap_err().contains("hue is 0.6"));
        let bad = Augmentation { scale: [0.0, 1.0], ..Augmentation::default() };
        assert!(bad.validate().is_err());
        let bad = Augmentation { flip_probability: f64::NAN, ..Augmentation::default() };
        assert!(bad.validate().is_err());
    }
}
