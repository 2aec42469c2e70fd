// Asks an exported detector (form `whole`) what is where: node detect.js model.onnx 0.5 image.jpg ...
// The number is the lowest score that is of interest. Prints a line for each object: image, label, score, and left, top, right, bottom
// in pixels of the image.

import { openModel, readImage, readLabels } from "./model.js";

const [model, threshold, ...paths] = process.argv.slice(2);
const session = await openModel(model);
const names = await readLabels(model);
for (const path of paths) {
  // The threshold that the file was exported with holds: ONNX Runtime for JavaScript passes over the optional input score_threshold.
  const { boxes, scores, labels } = await session.run({ images: await readImage(path) });
  for (const [row, label] of labels.data.entries()) {
    if (label < 0) break; // padding: a file answers with as many rows for each image of a batch
    if (scores.data[row] < Number(threshold)) break; // best first
    const corners = Array.from(boxes.data.subarray(4 * row, 4 * row + 4), (corner) => corner.toFixed(1));
    console.log([path, names[Number(label)], scores.data[row].toFixed(4), ...corners].join("\t"));
  }
}
