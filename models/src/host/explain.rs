//! Explanations of a classifier's answer: what each pixel contributes to it, drawn; and the one method that needs no gradients.

use schemas::preprocessing::Preprocessing;

use super::fit::fill;
use super::prepare::prepare;
use super::rgb::Rgb;
use super::tiles::{Tile, cut};

/// What each value of a prepared image contributes to an answer; positive where it speaks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `[3, height, width]`, row-major.
    pub values: Vec<f32>,
}

impl Attribution {
    /// As nested lists, `[3][height][width]`.
    #[must_use]
    pub fn nested(&self) -> Vec<Vec<Vec<f32>>> {
        let width = self.width as usize;
        let rows = |channel: &[f32]| channel.chunks(width).map(<[f32]>::to_vec).collect();
        self.values.chunks(width * self.height as usize).map(rows).collect()
    }

    /// What each pixel contributes, all channels together: `[height, width]`.
    #[must_use]
    pub fn sums(&self) -> Vec<f32> {
        let pixels = self.width as usize * self.height as usize;
        (0..pixels).map(|at| self.values.iter().skip(at).step_by(pixels).sum()).collect()
    }

    /// How much each pixel matters, `[height, width]` in `[0, 1]`: the absolute value of the sum over the channels, as a share
    /// of what all but 2 % of the pixels stay below (Sundararajan et al. 2017 cut outliers likewise, for display).
    #[must_use]
    pub fn strength(&self) -> Vec<f32> {
        let sums: Vec<f32> = self.sums().into_iter().map(f32::abs).collect();
        let mut sorted = sums.clone();
        sorted.sort_by(f32::total_cmp);
        let bound = |share: usize| sorted.get((sorted.len() * share / 100).saturating_sub(1)).copied();
        // Where less than 2 % matter at all, the largest is the measure.
        let most = [bound(98), bound(100)].into_iter().flatten().find(|&most| most > 0.0).unwrap_or(1.0);
        sums.into_iter().map(|sum| (sum / most).min(1.0)).collect()
    }

    /// Three images side by side: the prepared image, how much each pixel matters (blue, green, yellow, white), and the
    /// second over the first in grey.
    ///
    /// # Panics
    /// When `image` has another size.
    #[must_use]
    pub fn drawn(&self, image: &Rgb) -> Rgb {
        assert_eq!((image.width, image.height), (self.width, self.height), "an attribution of another image");
        let mut out = Rgb::filled(3 * image.width, image.height, [0; 3]);
        let (width, stride) = (image.stride(), out.stride());
        let strength = self.strength();
        let rows = out.data.chunks_exact_mut(stride).zip(image.data.chunks_exact(width));
        for ((line, seen), strong) in rows.zip(strength.chunks_exact(self.width as usize)) {
            let (left, rest) = line.split_at_mut(width);
            let (middle, right) = rest.split_at_mut(width);
            left.copy_from_slice(seen);
            let pixels = seen.as_chunks::<3>().0.iter().zip(strong);
            for ((pixel, &share), (hot, both)) in
                pixels.zip(middle.as_chunks_mut::<3>().0.iter_mut().zip(right.as_chunks_mut::<3>().0))
            {
                let grey = (pixel.iter().map(|&v| u32::from(v)).sum::<u32>() / 3) as f32;
                let colour = heat(share);
                *hot = colour.map(|v| v as u8);
                *both = colour.map(|v| (0.5 * v + 0.5 * grey) as u8);
            }
        }
        out
    }
}

/// The colour of a share in `[0, 1]`, each channel in `[0, 255]`.
fn heat(share: f32) -> [f32; 3] {
    const STOPS: [[f32; 3]; 4] = [[0.0, 0.0, 255.0], [0.0, 160.0, 0.0], [255.0, 230.0, 0.0], [255.0; 3]];
    let place = share.clamp(0.0, 1.0) * 3.0;
    let low = (place as usize).min(2);
    let part = place - low as f32;
    std::array::from_fn(|channel| STOPS[low][channel] + part * (STOPS[low + 1][channel] - STOPS[low][channel]))
}

/// Occlusion (Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2): parts of the
/// image are hidden in turn under the colour that the network sees as 0, and what the answer loses by that is the part's
/// contribution. It needs nothing of a model but answers: [`Self::VIEWS`] of them at most, whatever the image's size.
pub struct Occlusion {
    /// The image as the model takes it.
    prepared: Rgb,
    /// What of it the network sees.
    inner: Tile,
    /// What is hidden in turn, within `inner`; two cells of a grid wide and high, so that each pixel is in four of them.
    windows: Vec<Tile>,
    colour: [u8; 3],
}

impl Occlusion {
    /// Cells of the grid in each direction.
    const GRID: u32 = 7;
    /// Most views of one image: itself, and with each window hidden.
    pub const VIEWS: usize = 1 + (Self::GRID as usize + 1).pow(2);

    /// The occlusion of a decoded image for a classifier. Where the model resizes and cuts by itself (`whole`), views are
    /// the resized image's middle square, which that resizing leaves as it is.
    #[must_use]
    pub fn new(decoded: &Rgb, p: &Preprocessing, whole: bool) -> Self {
        let side = p.side();
        let p = if whole { p.uncropped() } else { p.clone() };
        let prepared = prepare(decoded, &p);
        // An odd margin is cut as a crop says: half of it, halves to even.
        let margin = |length: u32| (f64::from(length.saturating_sub(side)) / 2.0).round_ties_even() as u32;
        let (x0, y0) = (margin(prepared.width), margin(prepared.height));
        let inner = Tile { x0, y0, x1: prepared.width.min(x0 + side), y1: prepared.height.min(y0 + side) };
        let (xs, ys) = (spans(inner.x0, inner.x1), spans(inner.y0, inner.y1));
        let windows = ys.iter().flat_map(|&[y0, y1]| xs.iter().map(move |&[x0, x1]| Tile { x0, y0, x1, y1 })).collect();
        Self { prepared, inner, windows, colour: fill(&p) }
    }

    /// Number of views.
    #[must_use]
    pub fn views(&self) -> usize {
        1 + self.windows.len()
    }

    /// Width and height of a view.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.prepared.width, self.prepared.height)
    }

    /// View `index`, 0 with nothing hidden. All have the same size.
    ///
    /// # Panics
    /// When there is no such view.
    #[must_use]
    pub fn view(&self, index: usize) -> Rgb {
        let mut view = self.prepared.clone();
        let Some(window) = index.checked_sub(1).map(|at| self.windows[at]) else { return view };
        let stride = view.stride();
        for line in view.data.chunks_exact_mut(stride).take(window.y1 as usize).skip(window.y0 as usize) {
            line.as_chunks_mut::<3>().0[window.x0 as usize..window.x1 as usize].fill(self.colour);
        }
        view
    }

    /// What the network sees of the image.
    #[must_use]
    pub fn seen(&self) -> Rgb {
        cut(&self.prepared, self.inner)
    }

    /// The attribution of the class whose probabilities in the views these are. A pixel's is the mean of what hiding the windows
    /// around it takes away, the same in each channel.
    ///
    /// # Panics
    /// When there are not as many as views.
    #[must_use]
    pub fn attribution(&self, probabilities: &[f32]) -> Attribution {
        assert_eq!(probabilities.len(), self.views(), "probabilities of views");
        let (width, height) = (self.inner.width(), self.inner.height());
        let pixels = width as usize * height as usize;
        let (mut lost, mut count) = (vec![0.0_f32; pixels], vec![0.0_f32; pixels]);
        for (window, hidden) in self.windows.iter().zip(&probabilities[1..]) {
            for y in window.y0 - self.inner.y0..window.y1 - self.inner.y0 {
                for x in window.x0 - self.inner.x0..window.x1 - self.inner.x0 {
                    let at = y as usize * width as usize + x as usize;
                    lost[at] += probabilities[0] - hidden;
                    count[at] += 1.0;
                }
            }
        }
        let mean: Vec<f32> = lost.iter().zip(&count).map(|(lost, count)| lost / count.max(1.0)).collect();
        Attribution { width, height, values: mean.repeat(3) }
    }
}

/// The places of windows along one axis.
fn spans(from: u32, to: u32) -> Vec<[u32; 2]> {
    let step = (to - from).div_ceil(Occlusion::GRID).max(1);
    let edge = |at: u32| (from + at * step).min(to);
    // The first starts a cell before the edge and the last ends one behind it.
    let span = |at: u32| [edge(at.saturating_sub(1)), edge(at + 1)];
    (0..=Occlusion::GRID).map(span).filter(|[start, end]| start < end).collect()
}

#[cfg(test)]
mod tests {
    use schemas::preprocessing::Interpolation;

    use super::*;

    fn preprocessing(resize: u32, crop: u32) -> Preprocessing {
        let fit = schemas::Fit::Crop { resize, crop };
        Preprocessing { fit, interpolation: Interpolation::Bilinear, mean: [10.0, 20.0, 30.0], std: [1.0; 3] }
    }

    /// The mean of the red values in one patch, as a share: a model whose answer depends on that patch alone.
    fn patch(image: &Rgb, [x0, y0, side]: [u32; 3]) -> f32 {
        let at = |x: u32, y: u32| f32::from(image.data[3 * (y as usize * image.width as usize + x as usize)]) / 255.0;
        let all = (y0..y0 + side).flat_map(|y| (x0..x0 + side).map(move |x| at(x, y)));
        all.sum::<f32>() / (side * side) as f32
    }

    #[test]
    fn the_one_patch_that_matters_is_found() {
        for (whole, offset) in [(false, 0), (true, 4)] {
            let p = preprocessing(64, 56);
            let occlusion = Occlusion::new(&Rgb::filled(100, 80, [250; 3]), &p, whole);
            let side = 56 + 2 * offset;
            assert_eq!((occlusion.size(), occlusion.views()), ((side, side), Occlusion::VIEWS));
            let said: Vec<f32> =
                (0..occlusion.views()).map(|i| patch(&occlusion.view(i), [offset + 16, offset + 32, 8])).collect();
            let map = occlusion.attribution(&said);
            let at = |x: u32, y: u32| map.values[(y * 56 + x) as usize];
            // All four windows of this cell hide the whole patch.
            assert!((at(20, 36) - 240.0 / 255.0).abs() < 1e-6, "{}", at(20, 36));
            assert!((at(12, 36) - 120.0 / 255.0).abs() < 1e-6, "two of the four of its neighbour do");
            assert_eq!((at(40, 36), at(20, 10), at(55, 55)), (0.0, 0.0, 0.0));
            assert_eq!(map.values[..56 * 56], map.values[2 * 56 * 56..]);
            let seen = occlusion.seen();
            assert_eq!(seen, prepare(&Rgb::filled(100, 80, [250; 3]), &p));
            let drawn = map.drawn(&seen);
            let pixel = |x: usize, y: usize| &drawn.data[3 * (y * 168 + x)..][..3];
            assert_eq!(
                (pixel(20, 36), pixel(56 + 20, 36), pixel(56 + 40, 36)),
                (&[250; 3][..], &[255; 3][..], &[0, 0, 255][..])
            );
        }
    }

    #[test]
    fn every_pixel_is_hidden_and_small_images_are_taken() {
        for side in [1, 2, 5, 7, 16, 50, 224] {
            let p = preprocessing(side + 1, side);
            let occlusion = Occlusion::new(&Rgb::filled(3 * side, 2 * side, [200; 3]), &p, false);
            let mut said = vec![0.0; occlusion.views()];
            said[0] = 1.0;
            assert!(occlusion.attribution(&said).values.iter().all(|&v| v == 1.0), "{side}");
            assert!(occlusion.views() <= Occlusion::VIEWS);
            for view in 1..occlusion.views() {
                assert!(occlusion.view(view).data.as_chunks::<3>().0.contains(&[10, 20, 30]), "{side}, {view}");
            }
        }
    }

    #[test]
    fn strengths_are_shares_and_nothing_is_nothing() {
        let of = |values: Vec<f32>| Attribution { width: 10, height: 10, values: values.repeat(3) }.strength();
        assert_eq!(of(vec![0.0; 100]), vec![0.0; 100]);
        let mut one = vec![0.0; 100];
        one[5] = -3.0;
        assert_eq!(of(one)[5], 1.0);
        let rising = of((0..100u8).map(f32::from).collect());
        assert_eq!((rising[0], rising[97], rising[99]), (0.0, 1.0, 1.0));
        let map = Attribution { width: 2, height: 1, values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
        assert_eq!(map.nested(), [[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]);
    }
}
