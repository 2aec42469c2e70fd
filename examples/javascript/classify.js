// Asks an exported classifier (form `whole`) what images show: node classify.js model.onnx image.jpg ...
// Prints a line for each image: its name, the most probable label, the probability.

import { openModel, readImage, readLabels } from "./model.js";

const [model, ...paths] = process.argv.slice(2);
const session = await openModel(model);
const labels = await readLabels(model);
for (const path of paths) {
  // One image at a time, because images of one batch have one size.
  const { probabilities } = await session.run({ images: await readImage(path) });
  const best = probabilities.data.indexOf(Math.max(...probabilities.data));
  console.log([path, labels[best], probabilities.data[best].toFixed(4)].join("\t"));
}
