//! The tensors of a request.

use std::borrow::Cow;

use actix_web::web::Bytes;
use ndarray::Array4;
use runtime::Form;
use schemas::prediction::{Datatype, DetectionSettings, MAX_IMAGES, TensorData};

use super::{Parser, bad};
use crate::{
    admit::Reservation,
    error::ServerError,
    prepare::{Inside, Pixels, Size, check_inside},
    routes::score::decode_base64,
};

/// An input, as its carrier has it.
pub(crate) struct Input<'a> {
    pub name: Cow<'a, str>,
    pub datatype: Datatype,
    pub shape: Vec<u64>,
    pub elements: Elements<'a>,
}

/// The elements of an input, in row-major order.
pub(crate) enum Elements<'a> {
    /// A list of JSON; encoded images are texts in base64.
    Json(TensorData<'a>),
    /// The protocol's bytes: numbers are little-endian, and each element of BYTES has its length before it.
    Raw(Bytes),
    /// `bytes_contents` of gRPC.
    Blobs(Vec<Bytes>),
    /// `uint_contents` of gRPC.
    Unsigned(Vec<u32>),
    /// `int64_contents` of gRPC.
    Integers(Vec<i64>),
}

/// The images of a request.
pub(crate) enum Images {
    /// Files, to be decoded, and the memory that they are in.
    Encoded(Vec<Bytes>, Reservation),
    /// Pixels, as the model takes them.
    Tensor(Pixels),
}

fn wrong_list<T>(name: &str) -> Result<T, ServerError> {
    bad(format!(
        "the elements of {name} stand in a list of another type; BYTES are in bytes_contents, UINT8 in uint_contents, INT64 in \
         int64_contents"
    ))
}

impl Parser<'_> {
    pub(super) fn images(&self, inputs: Vec<Input<'_>>, reservation: Reservation) -> Result<Images, ServerError> {
        let (mut images, mut sizes) = (None, None);
        for input in inputs {
            let place = match &*input.name {
                runtime::INPUT => &mut images,
                runtime::SIZES if self.about.takes_sizes() => &mut sizes,
                _ if self.about.takes_sizes() => return bad("the model's inputs are named images and sizes"),
                _ => return bad("the model has one input, its name is images"),
            };
            if let Some(other) = place.replace(input) {
                return bad(format!("inputs hold {} twice", other.name));
            }
        }
        let Some(input) = images else {
            return bad("inputs must hold images");
        };
        match (input.datatype, sizes) {
            (Datatype::Uint8, sizes) => {
                let mut pixels = self.pixels(&input, reservation)?;
                pixels.sizes = match sizes {
                    Some(input) => Some(self.sizes(&input, pixels.images.dim().0)?),
                    None if self.about.takes_sizes() => {
                        return bad(
                            "with pixels the model needs sizes, INT64 [N, 2]: height and width of each original",
                        );
                    }
                    None => None,
                };
                Ok(Images::Tensor(pixels))
            }
            (Datatype::Bytes, None) => self.encoded(input, reservation),
            (Datatype::Bytes, Some(_)) => bad("sizes go with pixels (UINT8); encoded images have their own"),
            _ => bad("datatype of images must be UINT8 (pixels) or BYTES (encoded images)"),
        }
    }

    fn pixels(&self, input: &Input<'_>, mut reservation: Reservation) -> Result<Pixels, ServerError> {
        let shape = shape_of::<4>(input)?;
        let count = self.check_tensor(shape)?;
        if !matches!(input.elements, Elements::Raw(_)) {
            reservation.absorb(self.state.admission.budget.reserve(count as u64)?);
        }
        let values = match &input.elements {
            Elements::Json(json) => json.bytes(count)?,
            Elements::Raw(bytes) if bytes.len() != count => {
                return bad(format!("the data of images hold {} bytes, the shape says {count}", bytes.len()));
            }
            Elements::Raw(bytes) => bytes.to_vec(),
            Elements::Unsigned(values) => narrow(values, count)?,
            Elements::Blobs(_) | Elements::Integers(_) => return wrong_list("images"),
        };
        let images = Array4::from_shape_vec(shape, values).map_err(|_| ServerError::Internal)?;
        Ok(Pixels { images, sizes: None, reservation })
    }

    /// Height and width of each of `n` original images, in pixels.
    fn sizes(&self, input: &Input<'_>, n: usize) -> Result<Vec<[i64; 2]>, ServerError> {
        if input.datatype != Datatype::Int64 || input.shape != [n as u64, 2] {
            return bad(format!("sizes must be INT64 of shape [{n}, 2]: height and width of each original image"));
        }
        let sizes = match &input.elements {
            Elements::Json(json) => json.sizes()?,
            Elements::Raw(bytes) => {
                let (values, rest) = bytes.as_chunks::<8>();
                let values: Vec<i64> = values.iter().map(|value| i64::from_le_bytes(*value)).collect();
                match values.as_chunks::<2>() {
                    (pairs, []) if rest.is_empty() && pairs.len() <= MAX_IMAGES => pairs.to_vec(),
                    _ => {
                        return bad(format!("the data of sizes hold {} bytes, the shape says {}", bytes.len(), 16 * n));
                    }
                }
            }
            Elements::Integers(values) => match values.as_chunks::<2>() {
                (pairs, []) => pairs.to_vec(),
                _ => return bad(format!("the data of sizes hold {} values, the shape says {}", values.len(), 2 * n)),
            },
            Elements::Blobs(_) | Elements::Unsigned(_) => return wrong_list("sizes"),
        };
        if sizes.len() != n {
            return bad(format!("the data of sizes hold {} pairs, the shape says {n}", sizes.len()));
        }
        let most = i64::from(self.state.limits.max_side);
        match sizes.iter().flatten().find(|side| !(1..=most).contains(*side)) {
            Some(side) => bad(format!("sizes hold {side}; a side of an image is 1 to {most} pixels")),
            None => Ok(sizes),
        }
    }

    fn encoded(&self, input: Input<'_>, mut reservation: Reservation) -> Result<Images, ServerError> {
        let n = match &input.shape[..] {
            // Some clients write the batch as a column.
            [n, rest @ ..] if rest.iter().all(|&length| length == 1) => usize::try_from(*n).unwrap_or(usize::MAX),
            _ => return bad("shape of images must be [N] for BYTES, the number of encoded images"),
        };
        self.check_count(n)?;
        let images = match input.elements {
            Elements::Json(json) => json
                .texts(self.state.limits.max_images)?
                .iter()
                .enumerate()
                .map(|(i, text)| {
                    decode_base64(i, text, &self.state.admission.budget, &mut reservation).map(Bytes::from)
                })
                .collect::<Result<Vec<_>, _>>()?,
            Elements::Raw(blob) => split(&blob, n)?,
            Elements::Blobs(images) => images,
            Elements::Unsigned(_) | Elements::Integers(_) => return wrong_list("images"),
        };
        if images.len() != n {
            return bad(format!("the data hold {} elements, the shape says {n}", images.len()));
        }
        Ok(Images::Encoded(images, reservation))
    }

    fn check_count(&self, n: usize) -> Result<(), ServerError> {
        let limit = self.state.limits.max_images;
        if n as u64 > limit {
            return Err(ServerError::TooManyImages { given: n as u64, limit });
        }
        Ok(())
    }

    /// Number of values of a tensor that the model takes and the limits allow.
    fn check_tensor(&self, shape: [usize; 4]) -> Result<usize, ServerError> {
        let [n, h, w, c] = shape;
        self.check_count(n)?;
        let declared = self.about.input_shape;
        if !self.about.takes(&shape) || c != 3 || h == 0 || w == 0 {
            return bad(format!(
                "shape of images is {shape:?}, the model takes {declared:?} (-1: any length of at least 1)"
            ));
        }
        let limits = &self.state.limits;
        let sides = u32::try_from(w).ok().zip(u32::try_from(h).ok());
        let Some((width, height)) = sides.filter(|&(w, h)| w <= limits.max_side && h <= limits.max_side) else {
            let reason = format!("{w}x{h} pixels, the limit is {} a side", limits.max_side);
            return Err(ServerError::ImageTooLarge { index: 0, reason });
        };
        if u64::from(width) * u64::from(height) > limits.max_pixels {
            let reason = format!("{w}x{h} pixels, the limit is {} in all", limits.max_pixels);
            return Err(ServerError::ImageTooLarge { index: 0, reason });
        }
        if self.about.form == Form::Whole {
            let DetectionSettings { tiling, .. } = DetectionSettings::from(&self.about.settings);
            let fit = self.about.meta.preprocessing.fit;
            let inside = Inside { form: self.about.form, fit, tiling };
            check_inside(&Size { index: 0, width, height }, limits.max_pixels, &inside)?;
        }
        let count = [n, h, w, c].iter().try_fold(1usize, |product, &length| product.checked_mul(length));
        match count.filter(|&count| count as u64 <= limits.body_bytes()) {
            Some(count) => Ok(count),
            None => Err(ServerError::BodyTooLarge { limit: limits.body_bytes() }),
        }
    }
}

fn shape_of<const RANK: usize>(input: &Input<'_>) -> Result<[usize; RANK], ServerError> {
    let lengths: Option<Vec<usize>> = input.shape.iter().map(|&length| usize::try_from(length).ok()).collect();
    lengths.and_then(|lengths| lengths.try_into().ok()).ok_or_else(|| {
        ServerError::Request(format!(
            "shape of images must be {RANK} whole numbers: [N, H, W, 3] for UINT8, [N] for BYTES"
        ))
    })
}

/// Pixels that came as wider numbers.
fn narrow(values: &[u32], count: usize) -> Result<Vec<u8>, ServerError> {
    if values.len() != count {
        return bad(format!("uint_contents hold {} values, the shape says {count}", values.len()));
    }
    match values.iter().position(|&value| value > 255) {
        Some(at) => bad(format!("value {at} of the data is {}; a pixel is 0 to 255", values[at])),
        None => Ok(values.iter().map(|&value| value.to_le_bytes()[0]).collect()),
    }
}

/// BYTES in binary form: each element is a little-endian 32-bit length and as many bytes. Nothing is copied.
fn split(blob: &Bytes, n: usize) -> Result<Vec<Bytes>, ServerError> {
    let mut left = &blob[..];
    let mut found = Vec::with_capacity(n);
    while !left.is_empty() {
        let Some((length, rest)) = left.split_first_chunk::<4>() else {
            return bad("the data end within the length of an element");
        };
        let length = u32::from_le_bytes(*length) as usize;
        let Some((element, rest)) = rest.split_at_checked(length) else {
            return bad(format!("element {} says {length} bytes, {} are left", found.len(), rest.len()));
        };
        if found.len() == n {
            return bad(format!("the data hold more elements than the {n} that the shape says"));
        }
        found.push(blob.slice_ref(element));
        left = rest;
    }
    Ok(found)
}
