// What both examples need: an opened file with its labels, and an image as the file wants it.

// Before the import; else ONNX Runtime reports to Microsoft.
process.env.ORT_DISABLE_TELEMETRY = "1";
const ort = await import("onnxruntime-node");
const { default: sharp } = await import("sharp");
const { readFile } = await import("node:fs/promises");

/** Opens an exported file. */
export async function openModel(path) {
  return await ort.InferenceSession.create(path);
}

/** The labels of an exported file. ONNX Runtime shows a file's metadata in Python, C and Rust, but not in JavaScript, so they are
 * looked for in its bytes: the JSON that the metadata's key `fovea` is followed by, behind a tag and a length of protobuf. */
export async function readLabels(path) {
  const bytes = await readFile(path);
  const key = Buffer.from("\x0a\x05fovea\x12", "latin1");
  let at = bytes.lastIndexOf(key);
  if (at < 0) throw new Error(`${path} has no metadata of Fovea`);
  at += key.length;
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  return JSON.parse(bytes.toString("utf8", at, at + length)).labels;
}

/** RGB pixels, uint8 [1, height, width, 3], turned upright as EXIF says. */
export async function readImage(path) {
  const upright = sharp(path).autoOrient().removeAlpha().toColourspace("srgb");
  const { data, info } = await upright.raw().toBuffer({ resolveWithObject: true });
  return new ort.Tensor("uint8", data, [1, info.height, info.width, info.channels]);
}
