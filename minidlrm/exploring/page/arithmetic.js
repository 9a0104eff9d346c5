// A DLRM forward and backward, by hand, in float64. Nothing here knows of a page.
//
// Letters: B samples, T tables, F vectors (T, and the dense one before them), D their size.
// A matrix is {data: Float64Array, rows, cols}, row after row.
//
// model: {dim, interaction: "dot" | "cat", diagonal, mean, loss: "bce" | "mse", numTables,
//         embeddings: matrix (R, D), bottom: [layer], top: [layer]}; bottom is empty where there
//         are no dense features. A layer: {weight: matrix (out, in), bias: Float64Array or null,
//         relu}.
// batch: {size: B, dense: matrix (B, K), offsets (T * B + 1), rows (n), scale (n) or null,
//         label (B), weight (B) or null}. Bag t, b holds rows[offsets[t * B + b] ...]: an id is a
//         bag of one row.

export function matrix(rows, cols, data = new Float64Array(rows * cols)) {
  return { data, rows, cols };
}

export function sigmoid(x) {
  const e = Math.exp(-Math.abs(x)); // never above 1
  return (x >= 0 ? 1 : e) / (1 + e);
}

// The pairs of vectors in the order of the outputs: (1, 0), (2, 0), (2, 1), ...
export function pairsOf(count, diagonal) {
  const pairs = [];
  for (let i = 0; i < count; i++)
    for (let j = 0; j < i + (diagonal ? 1 : 0); j++) pairs.push([i, j]);
  return pairs;
}

// Forward: what every part makes, kept for backward and for the picture

// y_bo = sum_i x_bi W_oi + b_o, or max(0, y)
function linear(layer, x) {
  const { weight, bias, relu } = layer;
  const y = matrix(x.rows, weight.rows);
  for (let b = 0; b < x.rows; b++)
    for (let o = 0; o < weight.rows; o++) {
      let sum = 0;
      for (let i = 0; i < x.cols; i++)
        sum += x.data[b * x.cols + i] * weight.data[o * x.cols + i];
      if (bias) sum += bias[o];
      y.data[b * weight.rows + o] = relu && sum <= 0 ? 0 : sum;
    }
  return y;
}

// [x, h_1, ..., y]: the input of each layer, and the output of the last
function mlp(layers, x) {
  const kept = [x];
  for (const layer of layers) kept.push(linear(layer, kept[kept.length - 1]));
  return kept;
}

// What multiplies row number k of all bags: its weight, 1 / n in a mean of n rows, or 1
function scaleOf(model, batch, k, bag) {
  if (batch.scale) return batch.scale[k];
  return model.mean ? 1 / (batch.offsets[bag + 1] - batch.offsets[bag]) : 1;
}

// For each row that is looked up, in the order of the batch: f(row, scale, sample, table)
function eachLookup(model, batch, f) {
  for (let bag = 0; bag < model.numTables * batch.size; bag++) {
    const t = Math.floor(bag / batch.size);
    for (let k = batch.offsets[bag]; k < batch.offsets[bag + 1]; k++)
      f(batch.rows[k], scaleOf(model, batch, k, bag), bag - t * batch.size, t);
  }
}

// z (B, F D): the dense vector first, then a vector for each table
function vectors(model, batch, x) {
  const D = model.dim, first = x ? 1 : 0, F = model.numTables + first;
  const z = matrix(batch.size, F * D);
  if (x)
    for (let b = 0; b < batch.size; b++)
      for (let d = 0; d < D; d++) z.data[b * F * D + d] = x.data[b * D + d];
  eachLookup(model, batch, (row, scale, b, t) => {
    for (let d = 0; d < D; d++)
      z.data[(b * F + first + t) * D + d] += scale * model.embeddings.data[row * D + d];
  });
  return z;
}

// [x, <z_1, z_0>, <z_2, z_0>, <z_2, z_1>, ...]; or all vectors one after another
function mix(model, z, x, pairs) {
  if (model.interaction === "cat") return z;
  const D = model.dim, width = x ? D : 0;
  const mixed = matrix(z.rows, width + pairs.length);
  for (let b = 0; b < z.rows; b++) {
    for (let d = 0; d < width; d++) mixed.data[b * mixed.cols + d] = x.data[b * D + d];
    pairs.forEach(([i, j], p) => {
      let dot = 0;
      for (let d = 0; d < D; d++)
        dot += z.data[b * z.cols + i * D + d] * z.data[b * z.cols + j * D + d];
      mixed.data[b * mixed.cols + width + p] = dot;
    });
  }
  return mixed;
}

// -y log s(x) - (1 - y) log(1 - s(x)) = (1 - y) x + log(1 + e^-x); or (x - y)^2
function lossOf(model, logit, label) {
  if (model.loss === "mse") return (logit - label) * (logit - label);
  const softplus = Math.log1p(Math.exp(-Math.abs(logit))) + Math.max(-logit, 0);
  return (1 - label) * logit + softplus;
}

export function forward(model, batch) {
  const bottom = model.bottom.length ? mlp(model.bottom, batch.dense) : null;
  const x = bottom ? bottom[bottom.length - 1] : null; // (B, D)
  const z = vectors(model, batch, x);
  const numVectors = z.cols / model.dim;
  const pairs = model.interaction === "dot" ? pairsOf(numVectors, model.diagonal) : [];
  const top = mlp(model.top, mix(model, z, x, pairs));
  const logits = top[top.length - 1].data; // (B,)
  const terms = new Float64Array(batch.size);
  let total = 0;
  for (let b = 0; b < batch.size; b++) {
    terms[b] = lossOf(model, logits[b], batch.label[b]);
    if (batch.weight) terms[b] *= batch.weight[b];
    total += terms[b];
  }
  return { bottom, x, z, numVectors, pairs, top, logits, terms, loss: total / batch.size };
}

// Backward. `faults` is a set of mistakes to make; it is empty where nothing is said.

// dlogit_b = (s(x_b) - y_b) / B: the sigmoid's slope cancels; or 2 (x_b - y_b) / B
function lossBackward(model, batch, tape, faults) {
  const d = matrix(batch.size, 1);
  for (let b = 0; b < batch.size; b++) {
    const x = tape.logits[b], y = batch.label[b];
    let slope = model.loss === "mse" ? 2 * (x - y) : sigmoid(x) - y;
    if (batch.weight) slope *= batch.weight[b];
    d.data[b] = slope / batch.size;
    if (faults.has("batch_twice")) d.data[b] /= batch.size;
  }
  return d;
}

// dz = dy where the ReLU let y through; dW_oi = sum_b dz_bo x_bi; db_o = sum_b dz_bo;
// dx_bi = sum_o dz_bo W_oi
function linearBackward(layer, x, y, dy) {
  const { weight, relu } = layer, inputs = weight.cols, outputs = weight.rows;
  const dweight = matrix(outputs, inputs), dbias = new Float64Array(outputs);
  const dx = matrix(x.rows, inputs), dz = matrix(x.rows, outputs);
  for (let b = 0; b < x.rows; b++)
    for (let o = 0; o < outputs; o++) {
      const k = b * outputs + o;
      const d = relu && y.data[k] === 0 ? 0 : dy.data[k];
      dz.data[k] = d;
      dbias[o] += d;
      if (d !== 0)
        for (let i = 0; i < inputs; i++) {
          dweight.data[o * inputs + i] += d * x.data[b * inputs + i];
          dx.data[b * inputs + i] += d * weight.data[o * inputs + i];
        }
    }
  return { dx, dz, weight: dweight, bias: layer.bias ? dbias : null };
}

// [d of the input, d of h_1, ...], and the gradients of the layers
function mlpBackward(layers, kept, dy) {
  const flow = [dy], grads = [];
  for (let k = layers.length - 1; k >= 0; k--) {
    const back = linearBackward(layers[k], kept[k], kept[k + 1], flow[0]);
    grads.unshift({ weight: back.weight, bias: back.bias, dz: back.dz });
    flow.unshift(back.dx);
  }
  return { flow, grads };
}

// dz_i = sum_j (G_ij + G_ji) z_j, with G the lower triangle of the pairs' gradients: each vector
// of a pair gets the other one
function mixBackward(model, tape, dmixed, faults) {
  if (model.interaction === "cat") return dmixed;
  const D = model.dim, width = tape.x ? D : 0, z = tape.z;
  const dz = matrix(z.rows, z.cols);
  for (let b = 0; b < z.rows; b++)
    tape.pairs.forEach(([i, j], p) => {
      const g = dmixed.data[b * dmixed.cols + width + p], at = b * z.cols;
      for (let d = 0; d < D; d++) {
        dz.data[at + i * D + d] += g * z.data[at + j * D + d];
        if (!faults.has("triangle")) dz.data[at + j * D + d] += g * z.data[at + i * D + d];
      }
    });
  return dz;
}

// x goes two ways: into the interaction as z_0, and straight into the top MLP. Both add up.
function denseBackward(model, tape, dmixed, dz, faults) {
  const D = model.dim, dx = matrix(dz.rows, D);
  const straight = model.interaction === "dot" && !faults.has("second_path");
  for (let b = 0; b < dz.rows; b++)
    for (let d = 0; d < D; d++) {
      dx.data[b * D + d] = dz.data[b * dz.cols + d];
      if (straight) dx.data[b * D + d] += dmixed.data[b * dmixed.cols + d];
    }
  return dx;
}

// dW_r = sum of scale * dz over all uses of row r; `uses` counts them
function tablesBackward(model, batch, tape, dz, faults) {
  const D = model.dim, first = tape.x ? 1 : 0;
  const grad = matrix(model.embeddings.rows, D), uses = new Int32Array(model.embeddings.rows);
  eachLookup(model, batch, (row, scale, b, t) => {
    uses[row] += 1;
    for (let d = 0; d < D; d++) {
      const term = scale * dz.data[b * dz.cols + (first + t) * D + d];
      const before = faults.has("duplicates") ? 0 : grad.data[row * D + d];
      grad.data[row * D + d] = before + term; // with the mistake the last use is all that is left
    }
  });
  return { grad, uses };
}

export function backward(model, batch, tape, faults = new Set()) {
  const dlogits = lossBackward(model, batch, tape, faults);
  const top = mlpBackward(model.top, tape.top, dlogits);
  const dmixed = top.flow[0];
  const dz = mixBackward(model, tape, dmixed, faults);
  const dx = tape.x ? denseBackward(model, tape, dmixed, dz, faults) : null;
  const bottom = tape.x ? mlpBackward(model.bottom, tape.bottom, dx) : { flow: [], grads: [] };
  const tables = tablesBackward(model, batch, tape, dz, faults);
  return {
    dlogits, dmixed, dz, dx, uses: tables.uses, embeddings: tables.grad,
    top: top.grads, topFlow: top.flow, bottom: bottom.grads, bottomFlow: bottom.flow,
  };
}

// w <- w - lr g: rows that no sample has looked up have the gradient 0, and stay
export function sgdStep(model, grads, lr) {
  for (const { value, grad } of parameters(model, grads))
    for (let k = 0; k < value.length; k++) value[k] -= lr * grad[k];
}

// Every array that is learned: its name in minidlrm, its numbers, its width, and its gradient
export function parameters(model, grads = null) {
  const found = [entry("embeddings.weight", model.embeddings.data, model.dim,
    grads && grads.embeddings.data)];
  for (const part of ["bottom", "top"])
    model[part].forEach((layer, k) => {
      const own = grads && grads[part][k];
      const name = `${part}.layers.${k}`;
      found.push(entry(`${name}.weight`, layer.weight.data, layer.weight.cols,
        own && own.weight.data));
      if (layer.bias)
        found.push(entry(`${name}.bias`, layer.bias, layer.bias.length, own && own.bias));
    });
  return found;
}

function entry(name, value, cols, grad) {
  return { name, value, cols, grad };
}
