// The steps of one pass, forward and backward: where each lights the picture, and what it says.
import { sigmoid } from "./arithmetic.js";
import { percent, say, sum } from "./dom.js";
import { row, rowsOf, vectorNames } from "./blocks.js";
import { tell } from "./words.js";

// Each: {key, phase, title, lit: keys of blocks, edges: keys of arrows, words()}
export function makeStages(s) {
  const { model, page } = s, L = model.bottom.length, M = model.top.length;
  const stages = [];
  const add = (phase, key, title, lit, edges, words) =>
    stages.push({ phase, key, title, lit, edges, words });
  const tables = page.columns.flatMap((c, t) => (c.shared === null ? [`table-${t}`] : []));
  add("forward", "rows", tell("look up the rows"), tables, ["lookup"], () => rowsWords(s));
  for (let k = 0; k < L; k++)
    add("forward", `bottom-${k}`, tell("bottom MLP, layer {k} of {all}", { k: k + 1, all: L }),
      [`bottom-${k}`], k ? [`bottom-${k}`] : [], () => layerWords(s, "bottom", k));
  add("forward", "vectors", tell("the vectors"), ["vectors"], ["lookup", "dense"], () =>
    tell("{count} vectors of {size} numbers meet: {names}.", { count: vectorNames(page).length,
      size: model.dim, names: vectorNames(page).join(", ") }));
  if (model.interaction === "dot")
    add("forward", "pairs", tell("dot products"), ["pairs"], [], () => pairWords(s));
  for (let k = 0; k < M; k++)
    add("forward", `top-${k}`, tell("top MLP, layer {k} of {all}", { k: k + 1, all: M }),
      [`top-${k}`], k ? [`top-${k}`] : ["mixed", "straight"], () => layerWords(s, "top", k));
  add("forward", "output", outputTitle(s), ["output"], ["output"], () => outputWords(s));
  add("forward", "loss", tell("the loss"), ["output"], [], () => lossWords(s));
  const turn = stages.length;
  add("backward", "output", tell("back: the slope of the loss"), ["output"], [], () => slopeWords(s));
  for (let k = M - 1; k >= 0; k--)
    add("backward", `top-${k}`, tell("back through the top MLP, layer {k} of {all}",
      { k: k + 1, all: M }), [`top-${k}`], k < M - 1 ? [`top-${k + 1}`] : ["output"], () => layerBack(s, "top", k));
  if (model.interaction === "dot")
    add("backward", "pairs", tell("back to the dot products"), ["pairs"], ["mixed"], () =>
      tell("Each pair gets its part of the gradient of the top MLP's input."));
  add("backward", "vectors", tell("back to the vectors"), ["vectors"],
    model.interaction === "dot" ? ["straight"] : ["mixed"], () => vectorsBack(s));
  add("backward", "rows", tell("back to the rows"), tables, ["lookup"], () => rowsBack(s));
  for (let k = L - 1; k >= 0; k--)
    add("backward", `bottom-${k}`, tell("back through the bottom MLP, layer {k} of {all}",
      { k: k + 1, all: L }), [`bottom-${k}`], k < L - 1 ? [`bottom-${k + 1}`] : ["dense"],
      () => layerBack(s, "bottom", k));
  add("backward", "update", tell("take the step"), [], [], () =>
    tell("Every number moves against its gradient: w ← w − {rate} × gradient. " +
      "Press Next to take the step.", { rate: say(s.lr) }));
  return { stages, turn, ready: turn - 2 };
}

function outputTitle(s) {
  return s.model.loss === "bce" ? tell("the probability") : tell("the prediction");
}

function rowsWords(s) {
  const names = s.page.columns.map((c, t) => {
    const rows = rowsOf(s, t, s.chosen)
      .map((r) => c.names[r - s.page.columns[c.shared ?? t].start]);
    return `${c.name} ${rows.join(" + ") || tell("(empty)")}`;
  });
  return tell("Each id picks a row of its table: {rows}. Nothing is computed.",
    { rows: names.join("; ") });
}

function layerWords(s, part, k) {
  const { weight, bias, relu } = s.model[part][k], y = s.tape[part][k + 1], x = s.tape[part][k];
  const outputs = row(y.data, y.cols, s.chosen);
  const o = Math.max(0, outputs.findIndex((v) => v !== 0));
  const body = sum(row(x.data, x.cols, s.chosen), row(weight.data, weight.cols, o)) +
    (bias ? ` + ${say(bias[o])}` : "");
  const off = relu ? outputs.filter((v) => v === 0).length : 0;
  return `${relu ? "y = max(0, W x + b)" : "y = W x + b"}. y[${o}] = ` +
    `${relu ? `max(0, ${body})` : body} = ${say(outputs[o])}.` +
    (off ? tell(" {some} of {all} are cut off at 0.", { some: off, all: outputs.length }) : "");
}

function pairWords(s) {
  const { tape, model } = s, names = vectorNames(s.page), D = model.dim;
  const width = s.page.dense.length ? D : 0;
  const dots = row(tape.top[0].data, tape.top[0].cols, s.chosen).slice(width);
  const p = dots.reduce((best, x, k) => (Math.abs(x) > Math.abs(dots[best]) ? k : best), 0);
  const [i, j] = tape.pairs[p], z = (v) => row(tape.z.data, D, s.chosen * names.length + v);
  return tell("Each cell multiplies the vector of its row by that of its column. " +
    "The largest: {product}.",
    { product: `⟨${names[i]}, ${names[j]}⟩ = ${sum(z(i), z(j))} = ${say(dots[p])}` });
}

function outputWords(s) {
  const x = s.tape.logits[s.chosen];
  return s.model.loss === "bce"
    ? tell("p = 1 / (1 + e⁻ˣ) with the logit x = {x}: {p}.",
      { x: say(x), p: percent(sigmoid(x)) })
    : tell("The prediction is {x}.", { x: say(x) });
}

function lossWords(s) {
  const b = s.chosen, x = s.tape.logits[b], y = s.batch.label[b], term = say(s.tape.terms[b]);
  const own = s.model.loss === "mse" ? `(${say(x)} − ${say(y)})² = ${term}`
    : y === 1 ? `−log p = ${term}` : y === 0 ? `−log(1 − p) = ${term}` : term;
  return tell("This example's loss: {own}. The mean of all {count}: {loss}.",
    { own, count: s.batch.size, loss: say(s.tape.loss, 4) });
}

function slopeWords(s) {
  const b = s.chosen, x = s.tape.logits[b], y = s.batch.label[b], B = s.batch.size;
  const slope = s.model.loss === "bce"
    ? `dL/dx = (p − y) / B = (${say(sigmoid(x))} − ${say(y)}) / ${B}`
    : `dL/dx = 2 (x − y) / B = 2 (${say(x)} − ${say(y)}) / ${B}`;
  return tell("{slope}; here it is {number}.", { slope, number: say(s.grads.dlogits.data[b]) });
}

function layerBack(s, part, k) {
  const relu = s.model[part][k].relu
    ? tell(" Where the ReLU cut off, nothing comes through.") : "";
  return tell("dW = dzᵀ x adds up over the {count} examples; dx = dz W goes on.",
    { count: s.batch.size }) + relu;
}

function vectorsBack(s) {
  if (s.model.interaction === "cat") return tell("The gradient is cut into vectors again.");
  const two = s.page.dense.length
    ? tell(" The dense vector goes a second way, straight into the top MLP: " +
      "both gradients add up.") : "";
  return tell("dz = (G + Gᵀ) z: each vector of a pair gets the pair's gradient times the other.") +
    two;
}

function rowsBack(s) {
  const uses = Array.from(s.grads.uses), looked = uses.filter((n) => n).length;
  const repeated = uses.filter((n) => n > 1).length;
  const words = tell("{count} rows were looked up and get a gradient; all others get 0.",
    { count: looked });
  return `${words} ${repeated
    ? tell("{count} of them were used more than once: their gradients add up.",
      { count: repeated })
    : tell("None was used twice.")}`;
}
