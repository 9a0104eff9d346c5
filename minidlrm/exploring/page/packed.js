// From the JSON that Python writes to the model and the batch of arithmetic.js.
import { matrix } from "./arithmetic.js";

const KINDS = { f4: Float32Array, f8: Float64Array, i4: Int32Array };

// {kind, shape, base64} -> numbers; float32 numbers are float64 numbers, too
function numbers(packed) {
  const text = atob(packed.base64), bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  return new KINDS[packed.kind](bytes.buffer);
}

function floats(packed) {
  return packed ? Float64Array.from(numbers(packed)) : null;
}

function layers(list) {
  return list.map(({ weight, bias, relu }) => ({
    weight: matrix(weight.shape[0], weight.shape[1], floats(weight)), bias: floats(bias), relu,
  }));
}

export function modelOf(plain) {
  const { embeddings, bottom, top, ...rest } = plain;
  return {
    ...rest,
    embeddings: matrix(embeddings.shape[0], embeddings.shape[1], floats(embeddings)),
    bottom: layers(bottom), top: layers(top),
  };
}

export function batchOf(plain) {
  const [size, width] = plain.dense.shape;
  return {
    size, dense: matrix(size, width, floats(plain.dense)),
    offsets: numbers(plain.offsets), rows: numbers(plain.rows), scale: floats(plain.scale),
    label: floats(plain.label), weight: floats(plain.weight),
  };
}

export function copyOf(thing) {
  if (ArrayBuffer.isView(thing)) return thing.slice();
  if (Array.isArray(thing)) return thing.map(copyOf);
  if (thing === null || typeof thing !== "object") return thing;
  return Object.fromEntries(Object.entries(thing).map(([key, value]) => [key, copyOf(value)]));
}
