//! Other spellings of published keys. Ours are the ones in the published table's files; a row here says what another
//! project calls the same parameters.

use std::borrow::Cow;

/// timm's `tf_efficientnet_lite0`: rows outside the blocks, (theirs, ours).
const LITE0_TOP: [(&str, &str); 5] =
    [("conv_stem", "_conv_stem"), ("bn1", "_bn0"), ("conv_head", "_conv_head"), ("bn2", "_bn1"), ("classifier", "_fc")];
/// Blocks per stage: timm numbers `blocks.STAGE.INDEX`, the published file counts through.
const LITE0_DEPTHS: [usize; 7] = [1, 2, 2, 3, 3, 4, 1];
/// Inside the first stage's block, which has no expansion.
const LITE0_FIRST: [(&str, &str); 4] =
    [("conv_dw", "_depthwise_conv"), ("bn1", "_bn1"), ("conv_pw", "_project_conv"), ("bn2", "_bn2")];
/// Inside every other block.
const LITE0_BLOCK: [(&str, &str); 6] = [
    ("conv_pw", "_expand_conv"),
    ("bn1", "_bn0"),
    ("conv_dw", "_depthwise_conv"),
    ("bn2", "_bn1"),
    ("conv_pwl", "_project_conv"),
    ("bn3", "_bn2"),
];

/// torchvision's Vision Transformers: rows outside the blocks, (theirs, ours).
const VIT_TOP: [(&str, &str); 7] = [
    ("class_token", "cls_token"),
    ("encoder.pos_embedding", "pos_embed"),
    ("conv_proj.weight", "patch_embed.proj.weight"),
    ("conv_proj.bias", "patch_embed.proj.bias"),
    ("encoder.ln.weight", "norm.weight"),
    ("encoder.ln.bias", "norm.bias"),
    ("heads.head", "head"),
];
/// Inside a block. Its layers were called `linear_1` and `linear_2` when its weights were first published.
const VIT_BLOCK: [(&str, &str); 9] = [
    ("ln_1", "norm1"),
    ("self_attention.in_proj_weight", "attn.qkv.weight"),
    ("self_attention.in_proj_bias", "attn.qkv.bias"),
    ("self_attention.out_proj", "attn.proj"),
    ("ln_2", "norm2"),
    ("mlp.0", "mlp.fc1"),
    ("mlp.3", "mlp.fc2"),
    ("mlp.linear_1", "mlp.fc1"),
    ("mlp.linear_2", "mlp.fc2"),
];

/// A way to spell the keys of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// As the network asks for them.
    Own,
    /// timm's `tf_efficientnet_lite0`.
    TimmLite0,
    /// torchvision's detectors as they were first published (the `COCO_V1` files), when a convolution was not yet a block
    /// of layers.
    FirstTorchvision,
    /// SE-ResNeXt before timm rewrote it (timm's `legacy_seresnext50_32x4d`, and the collection it came from). Its first
    /// pooling window begins one pixel later than that of today's network, so that logits of the same weights differ a
    /// little.
    LegacySeResnext,
    /// torchvision's Vision Transformers.
    TorchvisionVit,
    /// DINOv2 as its authors publish it: as the network asks for it, beside a token for what was masked in pre-training.
    DinoV2,
    /// A ResNet that classifies, in torchvision's or timm's spelling, whose body becomes a detector's.
    Body,
}

/// What the keys of a detector's body begin with.
const BODY: &str = "backbone.body.";
/// What the keys of a ResNet begin with that are its head's.
const CLASSIFIER: &str = "fc.";
/// What DINOv2 puts in place of a masked patch.
const MASK_TOKEN: &str = "mask_token";

impl Spelling {
    /// The spellings that files of a network come in, of which the first counts where others fit no better.
    #[must_use]
    pub fn of(model: &str) -> &'static [Self] {
        match model {
            "efficientnet_lite0" => &[Self::Own, Self::TimmLite0],
            "seresnext" => &[Self::Own, Self::LegacySeResnext],
            "vits16r224" | "vitb16r224" | "vitl16r224" => &[Self::Own, Self::TorchvisionVit],
            "dinov2_small" | "dinov2_base" => &[Self::DinoV2],
            _ if ["fasterrcnn_", "retinanet_", "maskrcnn_"].iter().any(|family| model.starts_with(family)) => {
                &[Self::Own, Self::FirstTorchvision, Self::Body]
            }
            _ => &[Self::Own],
        }
    }

    /// A file's key under the network's name for it; a key the table does not know stays as it is.
    #[must_use]
    pub fn to_own(self, key: &str) -> Cow<'_, str> {
        match self {
            Self::Own | Self::DinoV2 => Cow::Borrowed(key),
            Self::TimmLite0 => timm_lite0(key).map_or(Cow::Borrowed(key), Cow::Owned),
            Self::FirstTorchvision => first_torchvision(key).map_or(Cow::Borrowed(key), Cow::Owned),
            Self::LegacySeResnext => legacy_seresnext(key).map_or(Cow::Borrowed(key), Cow::Owned),
            Self::TorchvisionVit => torchvision_vit(key).map_or(Cow::Borrowed(key), Cow::Owned),
            Self::Body if key.starts_with(CLASSIFIER) => Cow::Borrowed(key),
            Self::Body => Cow::Owned(format!("{BODY}{key}")),
        }
    }

    /// Where in the network a file of this spelling goes: what the keys of that part begin with. Empty for a file of the whole
    /// network.
    #[must_use]
    pub fn part(self) -> &'static str {
        match self {
            Self::Own
            | Self::TimmLite0
            | Self::FirstTorchvision
            | Self::LegacySeResnext
            | Self::TorchvisionVit
            | Self::DinoV2 => "",
            Self::Body => BODY,
        }
    }

    /// Whether a key of the file, under the network's name for it, is of a part that the network has no place for.
    #[must_use]
    pub fn leaves_out(self, own: &str) -> bool {
        match self {
            Self::Own | Self::TimmLite0 | Self::FirstTorchvision | Self::LegacySeResnext | Self::TorchvisionVit => {
                false
            }
            Self::DinoV2 => own == MASK_TOKEN,
            Self::Body => own.starts_with(CLASSIFIER),
        }
    }
}

fn timm_lite0(key: &str) -> Option<String> {
    let ours = |rows: &[(&str, &'static str)], theirs: &str| Some(rows.iter().find(|(t, _)| *t == theirs)?.1);
    let (head, rest) = key.split_once('.')?;
    if head != "blocks" {
        return Some(format!("{}.{rest}", ours(&LITE0_TOP, head)?));
    }
    let mut parts = rest.splitn(4, '.');
    let stage: usize = parts.next()?.parse().ok()?;
    let index: usize = parts.next()?.parse().ok()?;
    let (layer, leaf) = (parts.next()?, parts.next()?);
    if index >= *LITE0_DEPTHS.get(stage)? {
        return None;
    }
    let block = LITE0_DEPTHS[..stage].iter().sum::<usize>() + index;
    let rows: &[_] = if stage == 0 { &LITE0_FIRST } else { &LITE0_BLOCK };
    Some(format!("_blocks.{block}.{}.{leaf}", ours(rows, layer)?))
}

fn legacy_seresnext(key: &str) -> Option<String> {
    if let Some(rest) = key.strip_prefix("layer0.") {
        return Some(rest.to_owned());
    }
    if let Some(leaf) = key.strip_prefix("last_linear.") {
        return Some(format!("fc.{leaf}"));
    }
    let (block, rest) = key.split_once(".se_module.")?;
    Some(format!("{block}.se.{rest}"))
}

/// `key` with what it begins with, up to a dot or its end, replaced by the first row that fits.
fn renamed(rows: &[(&str, &str)], key: &str) -> Option<String> {
    rows.iter().find_map(|(theirs, ours)| {
        let rest = key.strip_prefix(theirs)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{ours}{rest}"))
    })
}

fn torchvision_vit(key: &str) -> Option<String> {
    let Some(rest) = key.strip_prefix("encoder.layers.encoder_layer_") else { return renamed(&VIT_TOP, key) };
    let (block, rest) = rest.split_once('.')?;
    Some(format!("blocks.{block}.{}", renamed(&VIT_BLOCK, rest)?))
}

fn first_torchvision(key: &str) -> Option<String> {
    let (place, leaf) = key.rsplit_once('.')?;
    if place == "rpn.head.conv" {
        return Some(format!("{place}.0.0.{leaf}"));
    }
    if let Some(layer) = place.strip_prefix("roi_heads.mask_head.mask_fcn") {
        // Counted from 1.
        let layer = layer.parse::<usize>().ok()?.checked_sub(1)?;
        return Some(format!("roi_heads.mask_head.{layer}.0.{leaf}"));
    }
    let (list, index) = place.rsplit_once('.')?;
    let index: usize = index.parse().ok()?;
    match list {
        "backbone.fpn.inner_blocks" | "backbone.fpn.layer_blocks" => Some(format!("{place}.0.{leaf}")),
        // Convolutions and activations alternate.
        "head.classification_head.conv" | "head.regression_head.conv" if index.is_multiple_of(2) => {
            Some(format!("{list}.{}.0.{leaf}", index / 2))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Spelling;

    #[test]
    fn every_row_of_timm_lite0() {
        let rows = [
            ("conv_stem.weight", "_conv_stem.weight"),
            ("bn1.running_var", "_bn0.running_var"),
            ("conv_head.weight", "_conv_head.weight"),
            ("bn2.bias", "_bn1.bias"),
            ("classifier.weight", "_fc.weight"),
            ("blocks.0.0.conv_dw.weight", "_blocks.0._depthwise_conv.weight"),
            ("blocks.0.0.bn1.weight", "_blocks.0._bn1.weight"),
            ("blocks.0.0.conv_pw.weight", "_blocks.0._project_conv.weight"),
            ("blocks.0.0.bn2.weight", "_blocks.0._bn2.weight"),
            ("blocks.1.0.conv_pw.weight", "_blocks.1._expand_conv.weight"),
            ("blocks.1.1.bn1.bias", "_blocks.2._bn0.bias"),
            ("blocks.2.1.conv_dw.weight", "_blocks.4._depthwise_conv.weight"),
            ("blocks.3.2.bn2.running_mean", "_blocks.7._bn1.running_mean"),
            ("blocks.5.3.conv_pwl.weight", "_blocks.14._project_conv.weight"),
            ("blocks.6.0.bn3.num_batches_tracked", "_blocks.15._bn2.num_batches_tracked"),
        ];
        for (theirs, ours) in rows {
            assert_eq!(Spelling::TimmLite0.to_own(theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn every_row_of_the_first_torchvision_files() {
        let rows = [
            ("backbone.fpn.inner_blocks.0.weight", "backbone.fpn.inner_blocks.0.0.weight"),
            ("backbone.fpn.layer_blocks.3.bias", "backbone.fpn.layer_blocks.3.0.bias"),
            ("rpn.head.conv.weight", "rpn.head.conv.0.0.weight"),
            ("head.classification_head.conv.0.weight", "head.classification_head.conv.0.0.weight"),
            ("head.classification_head.conv.6.bias", "head.classification_head.conv.3.0.bias"),
            ("head.regression_head.conv.2.weight", "head.regression_head.conv.1.0.weight"),
            ("head.regression_head.conv.4.weight", "head.regression_head.conv.2.0.weight"),
            ("roi_heads.mask_head.mask_fcn1.weight", "roi_heads.mask_head.0.0.weight"),
            ("roi_heads.mask_head.mask_fcn4.bias", "roi_heads.mask_head.3.0.bias"),
        ];
        for (theirs, ours) in rows {
            assert_eq!(Spelling::FirstTorchvision.to_own(theirs), ours, "{theirs}");
        }
        let same = [
            "backbone.body.conv1.weight",
            "backbone.fpn.inner_blocks.0.0.weight",
            "backbone.fpn.extra_blocks.p6.weight",
            "rpn.head.cls_logits.weight",
            "rpn.head.conv.0.0.weight",
            "head.classification_head.conv.1.weight",
            "head.classification_head.conv.1.0.weight",
            "roi_heads.box_head.fc6.weight",
            "roi_heads.mask_head.0.0.weight",
            "roi_heads.mask_head.mask_fcn0.weight",
            "roi_heads.mask_predictor.mask_fcn_logits.weight",
        ];
        for key in same {
            assert_eq!(Spelling::FirstTorchvision.to_own(key), key);
        }
    }

    #[test]
    fn every_row_of_legacy_seresnext() {
        let rows = [
            ("layer0.conv1.weight", "conv1.weight"),
            ("layer0.bn1.running_mean", "bn1.running_mean"),
            ("layer1.0.se_module.fc1.weight", "layer1.0.se.fc1.weight"),
            ("layer4.2.se_module.fc2.bias", "layer4.2.se.fc2.bias"),
            ("layer2.0.downsample.0.weight", "layer2.0.downsample.0.weight"),
            ("layer3.5.conv2.weight", "layer3.5.conv2.weight"),
            ("last_linear.bias", "fc.bias"),
        ];
        for (theirs, ours) in rows {
            assert_eq!(Spelling::LegacySeResnext.to_own(theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn every_row_of_torchvisions_transformers() {
        let rows = [
            ("class_token", "cls_token"),
            ("encoder.pos_embedding", "pos_embed"),
            ("conv_proj.weight", "patch_embed.proj.weight"),
            ("conv_proj.bias", "patch_embed.proj.bias"),
            ("encoder.layers.encoder_layer_0.ln_1.weight", "blocks.0.norm1.weight"),
            ("encoder.layers.encoder_layer_1.self_attention.in_proj_weight", "blocks.1.attn.qkv.weight"),
            ("encoder.layers.encoder_layer_1.self_attention.in_proj_bias", "blocks.1.attn.qkv.bias"),
            ("encoder.layers.encoder_layer_10.self_attention.out_proj.bias", "blocks.10.attn.proj.bias"),
            ("encoder.layers.encoder_layer_23.ln_2.bias", "blocks.23.norm2.bias"),
            ("encoder.layers.encoder_layer_3.mlp.0.weight", "blocks.3.mlp.fc1.weight"),
            ("encoder.layers.encoder_layer_3.mlp.3.bias", "blocks.3.mlp.fc2.bias"),
            ("encoder.layers.encoder_layer_3.mlp.linear_1.weight", "blocks.3.mlp.fc1.weight"),
            ("encoder.layers.encoder_layer_3.mlp.linear_2.bias", "blocks.3.mlp.fc2.bias"),
            ("encoder.ln.weight", "norm.weight"),
            ("encoder.ln.bias", "norm.bias"),
            ("heads.head.weight", "head.weight"),
        ];
        for (theirs, ours) in rows {
            assert_eq!(Spelling::TorchvisionVit.to_own(theirs), ours, "{theirs}");
        }
        for key in [
            "encoder.layers.encoder_layer_3.mlp.1.weight",
            "encoder.lnx.weight",
            "blocks.0.mlp.fc1.weight",
            "head.bias",
        ] {
            assert_eq!(Spelling::TorchvisionVit.to_own(key), key);
        }
    }

    #[test]
    fn a_classifier_becomes_a_body() {
        for (theirs, ours) in [
            ("conv1.weight", "backbone.body.conv1.weight"),
            ("layer2.0.downsample.1.running_var", "backbone.body.layer2.0.downsample.1.running_var"),
            ("fc.weight", "fc.weight"),
        ] {
            assert_eq!(Spelling::Body.to_own(theirs), ours);
        }
        assert!(Spelling::Body.leaves_out("fc.bias") && !Spelling::Body.leaves_out("backbone.body.fc.bias"));
        for model in ["fasterrcnn_resnet18_fpn", "retinanet_resnet50_fpn"] {
            assert!(Spelling::of(model).contains(&Spelling::Body), "{model}");
        }
        assert!(!Spelling::of("resnet18").contains(&Spelling::Body));
    }

    #[test]
    fn unknown_keys_stay_as_they_are() {
        for key in [
            "blocks.7.0.conv_dw.weight",
            "blocks.0.1.bn1.bias",
            "blocks.x",
            "blocks.0.0.conv_dw",
            "odd",
            "",
            "fc.weight",
        ] {
            assert_eq!(Spelling::TimmLite0.to_own(key), key);
            assert_eq!(Spelling::Own.to_own(key), key);
        }
    }

    #[test]
    fn timm_spelling_covers_the_published_list_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/keys");
        let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}.txt")).unwrap();
        let (theirs, ours) = (read("efficientnet_lite0.timm"), read("efficientnet_lite0"));
        assert_eq!(theirs.lines().count(), 296);
        for (their_line, our_line) in theirs.lines().zip(ours.lines()) {
            let (key, rest) = their_line.split_once(' ').unwrap();
            assert_eq!(format!("{} {rest}", Spelling::TimmLite0.to_own(key)), our_line);
        }
    }
}
