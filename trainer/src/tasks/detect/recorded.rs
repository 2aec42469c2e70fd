//! Answers of a detector on example images, with the decisions that lead to them.

use exporter::verify::decisions::Sample;
use exporter::verify::recorded;
use models::host::{Rgb, Tile, cut, tiles};
use schemas::prediction::{Detection, MASK_SIDE, SoftMask};
use schemas::{Settings, Task};
use tch::Tensor;

use super::evaluate as boxes;
use crate::nn::eager::Decision;
use crate::nn::network::Network;
use crate::tasks::pixels::pixels;

/// Images, the places that are looked at, what is found there, and the decisions on the way.
///
/// # Errors
/// When a value does not fit its type.
pub fn answers(network: &Network, settings: &Settings, examples: &[Rgb]) -> anyhow::Result<Vec<(String, Tensor)>> {
    let mut selection = boxes::verifying(settings);
    let prepare = |image: &Rgb| models::host::prepare(image, &network.preprocessing);
    if examples.iter().all(|image| boxes::in_prepared(network, &prepare(image), image, &selection).is_empty()) {
        // The network is sure of nothing yet; without boxes an export could not be told from a wrong one.
        selection.score = 0.0;
    }
    let outlined = network.spec.tasks().contains(&Task::ImageInstanceSegmentation);
    let mut tensors = Vec::new();
    for (i, image) in examples.iter().enumerate() {
        let name = format!("image.{i}");
        tensors.push((name.clone(), pixels(image)));
        let tiles = tiles(image.width, image.height, settings.tile_grid_size, settings.tile_overlap_ratio);
        for (s, place) in std::iter::once(Tile::whole(image)).chain(tiles).enumerate() {
            let piece = cut(image, place);
            let small = prepare(&piece);
            let (answer, decisions) = boxes::decided(network, &small, &piece, &selection);
            let name = format!("{name}.source.{s}");
            let corners = [place.y0, place.x0, place.y1, place.x1].map(i64::from);
            tensors.push((format!("{name}.place"), Tensor::from_slice(&corners)));
            tensors.push((name.clone(), pixels(&small)));
            tensors.extend(found(&name, &answer, outlined));
            for (k, decision) in decisions.iter().enumerate() {
                tensors.extend(decided(&format!("{name}.decision.{k}"), decision)?);
            }
        }
    }
    tensors.push(("format".to_owned(), Tensor::from_slice(&[recorded::FORMAT])));
    tensors.push(("score_threshold".to_owned(), Tensor::from_slice(&[selection.score])));
    tensors.push(("iou_threshold".to_owned(), Tensor::from_slice(&[selection.iou])));
    Ok(tensors)
}

/// What is recorded of one decision; nothing of those that the exporter takes from the host.
fn decided(name: &str, decision: &Decision) -> anyhow::Result<Vec<(String, Tensor)>> {
    let Some(word) = recorded::word(decision.kind) else { return Ok(vec![]) };
    let name = format!("{name}.{word}");
    let mut tensors = vec![(format!("{name}.limits"), Tensor::from_slice(&decision.limits))];
    for (j, input) in decision.inputs.iter().enumerate() {
        let shape = input.size();
        let values = Vec::<f32>::try_from(input.to_device(tch::Device::Cpu).contiguous().reshape([-1]))?;
        let lengths: Vec<usize> = shape.iter().map(|&length| usize::try_from(length)).collect::<Result<_, _>>()?;
        let sample = Sample::of(&lengths, &values);
        tensors.push((format!("{name}.input.{j}"), Tensor::from_slice(&sample.values)));
        tensors.push((format!("{name}.input.{j}.shape"), Tensor::from_slice(&shape)));
    }
    let outputs = decision.outputs.iter().enumerate();
    tensors.extend(outputs.map(|(j, output)| (format!("{name}.output.{j}"), output.shallow_clone())));
    Ok(tensors)
}

fn found(name: &str, found: &[Detection], outlined: bool) -> Vec<(String, Tensor)> {
    let corners: Vec<f32> = found.iter().flat_map(|d| d.corners).collect();
    let scores: Vec<f32> = found.iter().map(|d| d.score).collect();
    let labels: Vec<i64> = found.iter().map(|d| d.label as i64).collect();
    let mut tensors = vec![
        (format!("{name}.boxes"), Tensor::from_slice(&corners).reshape([-1, 4])),
        (format!("{name}.scores"), Tensor::from_slice(&scores)),
        (format!("{name}.labels"), Tensor::from_slice(&labels)),
    ];
    if outlined {
        let masks: Vec<f32> =
            found.iter().flat_map(|d| d.mask.as_ref().map_or(&[][..], SoftMask::values)).copied().collect();
        let side = MASK_SIDE as i64;
        tensors.push((format!("{name}.masks"), Tensor::from_slice(&masks).reshape([found.len() as i64, side, side])));
    }
    tensors
}
