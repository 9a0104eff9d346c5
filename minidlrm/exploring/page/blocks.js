// The blocks of the picture: which numbers each shows, for the chosen sample, and what they mean.
//
// `s` is the state of the page: {model, batch, tape, grads, chosen, page}. A block reads it anew
// whenever it is drawn.
import { say, sum } from "./dom.js";
import { pairsOf } from "./arithmetic.js";
import { tell } from "./words.js";

export function vectorNames(page) {
  const names = page.columns.map((column) => column.name);
  return page.dense.length ? ["dense", ...names] : names;
}

// The names of what the top MLP reads
export function mixedNames(page) {
  const names = vectorNames(page), { dim, interaction, diagonal } = page.model;
  const each = (name) => Array.from({ length: dim }, (_, d) => `${name}[${d}]`);
  if (interaction === "cat") return names.flatMap(each);
  const pairs = pairsOf(names.length, diagonal).map(([i, j]) => `${names[i]}·${names[j]}`);
  return [...(page.dense.length ? each("dense") : []), ...pairs];
}

// What the parts of that are
function mixedHeads(s, inputs) {
  const D = s.page.dense.length ? s.model.dim : 0;
  if (s.model.interaction === "cat" || inputs > MOST) return null;
  const pairs = tell("dot products");
  return D ? [["dense", D], [pairs, inputs - D]] : [[pairs, inputs]];
}

// Rows of a table that a sample looks up: their numbers in `embeddings`
export function rowsOf(s, t, b) {
  const bag = t * s.batch.size + b;
  return Array.from(s.batch.rows.subarray(s.batch.offsets[bag], s.batch.offsets[bag + 1]));
}

export function row(array, cols, i) {
  return Array.from(array.subarray(i * cols, (i + 1) * cols));
}

// The width of a cell, by how many there are side by side: few, some, many
function cellOf(count, [few, some, many]) {
  return count <= 5 ? few : count <= 10 ? some : many;
}

export function tableBlocks(s, at) {
  return s.page.columns.flatMap((c, t) => c.shared === null ? [tableBlock(s, t, at)] : []);
}

function tableBlock(s, t, { order, back }) {
  const column = s.page.columns[t], D = s.model.dim;
  const users = s.page.columns.map((c, u) => (u === t || c.shared === t ? u : -1))
    .filter((u) => u >= 0);
  const at = (i, d) => (column.start + i) * D + d;
  return {
    key: `table-${t}`, title: column.name, css: "of-table", size: cellOf(D, [22, 15, 10]), rows: column.names.length, cols: D,
    shape: column.names.length < column.size
      ? tell("{some} of {all} rows", { some: column.names.length,
        all: column.size.toLocaleString("en") })
      : tell("{count} numbers a row", { count: D }),
    row: (i) => column.names[i],
    order, back, array: "embeddings.weight",
    value: (i, d) => s.model.embeddings.data[at(i, d)],
    grad: (i, d) => s.grads.embeddings.data[at(i, d)],
    place: at,
    name: (i, d) => tell("{name}, number {place}", {
      name: `${column.name} ${column.names[i]}`, place: d }),
    marks: (i) => {
      const r = column.start + i;
      return {
        lit: users.some((u) => rowsOf(s, u, s.chosen).includes(r)), uses: s.grads.uses[r],
      };
    },
    words: (i, d) => {
      const uses = s.grads.uses[column.start + i];
      if (!uses) return tell("No example of the batch looks this row up: its gradient is 0.");
      const times = uses === 1 ? tell("once") : tell("{count} times", { count: uses });
      return tell("The batch looks this row up {times}. " +
        "Its gradient is the sum over all uses: {gradient}.",
        { times, gradient: say(s.grads.embeddings.data[at(i, d)]) });
    },
  };
}

const MOST = 24; // inputs, and outputs, of a layer that are shown

// One layer of an MLP, as one table: the row x above, W, the column b, the column y
// `at`: {order, back, arrives}: the stages at which it is computed, at which it is gone back
// through, and at which the gradient of its output arrives
export function layerBlock(s, part, k, { order, back, arrives }) {
  const layer = s.model[part][k], { rows: outputs, cols: inputs } = layer.weight;
  const last = part === "top" && k === s.model.top.length - 1;
  const b = () => s.chosen, kept = () => s.tape[part];
  const flow = () => s.grads[`${part}Flow`], own = () => s.grads[part][k];
  const names = part === "top" && k === 0 ? mixedNames(s.page)
    : part === "bottom" && k === 0 ? s.page.dense.map((c) => c.name) : null;
  const nameOf = (i) => (names ? names[i] : `h[${i}]`);
  const grids = {
    x: {
      key: `${part}-${k}-x`, title: names && inputs <= 3 ? `x: ${names.join(", ")}` : "x",
      css: "strip", heads: part === "top" && k === 0 ? mixedHeads(s, inputs) : null, rows: 1, cols: inputs, order, back,
      value: (_, i) => kept()[k].data[b() * inputs + i],
      grad: (_, i) => flow()[k].data[b() * inputs + i],
      name: (_, i) => tell("input {name}", { name: nameOf(i) }),
      words: (_, i) => inputWords(s, part, k, i, nameOf(i)),
      array: part === "bottom" && k === 0 ? "dense" : null, place: (_, i) => b() * inputs + i,
    },
    weight: {
      key: `${part}-${k}-weight`, title: "W", css: "weights", rows: outputs, cols: inputs,
      order, back, array: `${part}.layers.${k}.weight`,
      place: (o, i) => o * inputs + i,
      value: (o, i) => layer.weight.data[o * inputs + i],
      grad: (o, i) => own().weight.data[o * inputs + i],
      name: (o, i) => tell("weight from {name} to output {place}", { name: nameOf(i), place: o }),
      words: (o, i) => weightWords(s, part, k, o, i),
    },
    bias: layer.bias && {
      key: `${part}-${k}-bias`, title: "b", css: "strip", rows: outputs, cols: 1, order,
      back, array: `${part}.layers.${k}.bias`, place: (o) => o,
      value: (o) => layer.bias[o], grad: (o) => own().bias[o],
      name: (o) => tell("bias of output {place}", { place: o }),
      words: (o) => tell("Added to output {place} in every example, " +
        "so its gradient adds up over them: {gradient}.",
        { place: o, gradient: say(own().bias[o]) }),
    },
    y: {
      key: `${part}-${k}-y`, title: last ? tell("logit") : "y", css: "strip out", rows: outputs, cols: 1,
      order, back: arrives, digits: outputs <= 14,
      value: (o) => kept()[k + 1].data[b() * outputs + o],
      grad: (o) => flow()[k + 1].data[b() * outputs + o],
      name: (o) => (last ? tell("logit") : tell("output {place}", { place: o })),
      words: (o) => outputWords(s, part, k, o),
    },
  };
  for (const grid of Object.values(grids)) if (grid) grid.most = MOST;
  const cut = Math.max(inputs, outputs) > MOST;
  return { part, k, inputs, outputs, relu: layer.relu, grids, cut: cut ? MOST : 0 };
}

function inputWords(s, part, k, i, name) {
  if (part === "bottom" && k === 0) {
    const column = s.page.dense[i];
    return tell("The feature {name}, scaled as the training rows were.", { name: column.name });
  }
  if (part === "top" && k === 0) return tell("{name} goes into the top MLP.", { name });
  return tell("{name} is output {place} of the layer before.", { name, place: i });
}

function weightWords(s, part, k, o, i) {
  const kept = s.tape[part][k], own = s.grads[part][k], B = s.batch.size;
  const dz = Array.from({ length: B }, (_, b) => own.dz.data[b * own.dz.cols + o]);
  const x = Array.from({ length: B }, (_, b) => kept.data[b * kept.cols + i]);
  return tell("It serves every example: gradient = Σ over the batch of dz × x = {sum} = {number}.",
    { sum: sum(dz, x), number: say(own.weight.data[o * kept.cols + i]) });
}

function outputWords(s, part, k, o) {
  const layer = s.model[part][k], kept = s.tape[part], b = s.chosen;
  const x = row(kept[k].data, kept[k].cols, b), w = row(layer.weight.data, layer.weight.cols, o);
  const bias = layer.bias ? ` + ${say(layer.bias[o])}` : "";
  const y = kept[k + 1].data[b * kept[k + 1].cols + o];
  const body = `${sum(x, w)}${bias}`;
  return `${layer.relu ? `max(0, ${body})` : body} = ${say(y)}`;
}

export function vectorsBlock(s, { order, back }) {
  const names = vectorNames(s.page), D = s.model.dim, first = s.page.dense.length ? 1 : 0;
  return {
    key: "vectors", title: tell("vectors"), css: "vectors", rows: names.length, cols: D,
    shape: `${names.length} × ${D}`, row: (i) => names[i], order, back, digits: D <= 5,
    size: cellOf(D, [52, 24, 13]),
    value: (i, d) => s.tape.z.data[s.chosen * s.tape.z.cols + i * D + d],
    grad: (i, d) => (i < first ? s.grads.dx.data[s.chosen * D + d]
      : s.grads.dz.data[s.chosen * s.tape.z.cols + i * D + d]),
    name: (i, d) => tell("vector {name}, number {place}", { name: names[i], place: d }),
    words: (i, d) => (i < first ? denseWords(s, d) : vectorWords(s, names, i, d)),
  };
}

function denseWords(s, d) {
  const D = s.model.dim, z = s.grads.dz.data[s.chosen * s.tape.z.cols + d];
  if (s.model.interaction === "cat")
    return tell("The dense vector has one way on: the top MLP.");
  const straight = s.grads.dmixed.data[s.chosen * s.grads.dmixed.cols + d];
  const total = s.grads.dx.data[s.chosen * D + d];
  return tell("It goes two ways, so two gradients come back: {first} through the dot products, " +
    "{second} straight from the top MLP. Here it gets {total}.",
    { first: say(z), second: say(straight), total: say(total) });
}

function vectorWords(s, names, i, d) {
  const column = s.page.columns[i - (s.page.dense.length ? 1 : 0)];
  const rows = rowsOf(s, i - (s.page.dense.length ? 1 : 0), s.chosen)
    .map((r) => column.names[r - column.start]);
  const what = rows.length === 1 ? tell("row {name}", { name: rows[0] })
    : tell("rows {names}", { names: rows.join(", ") || tell("none") });
  const g = s.grads.dz.data[s.chosen * s.tape.z.cols + i * s.model.dim + d];
  return tell("From {rows} of table {table}. Every pair that holds it sends a gradient: " +
    "together {gradient}.", { rows: what, table: column.name, gradient: say(g) });
}

// The triangle: cell (i, j) is the dot product of the vectors i and j
export function pairsBlock(s, { order, back }) {
  const names = vectorNames(s.page), D = s.model.dim, diagonal = s.model.diagonal;
  const width = s.page.dense.length ? D : 0, first = diagonal ? 0 : 1;
  const index = (i, j) => ((i + first) * (i + first - 1)) / 2 + j + (diagonal ? i + first : 0);
  const at = (i, j) => s.chosen * s.tape.top[0].cols + width + index(i, j);
  const count = names.length - first;
  return {
    key: "pairs", title: tell("dot products"), css: "pairs", rows: count, cols: count,
    shape: tell("{count} pairs", { count: (count * (count + 1)) / 2 }), row: (i) => names[i + first],
    footer: count <= 6 ? names.slice(0, count) : null, has: (i, j) => j <= i, order, back,
    digits: count <= 6, size: count <= 6 ? 56 : 14, high: count <= 6 ? 32 : 14,
    value: (i, j) => s.tape.top[0].data[at(i, j)], grad: (i, j) => s.grads.dmixed.data[at(i, j)],
    name: (i, j) => `${names[i + first]} · ${names[j]}`,
    pair: (i, j) => [i + first, j],
    words: (i, j) => {
      const z = (v) => row(s.tape.z.data, D, s.chosen * names.length + v);
      return `⟨${names[i + first]}, ${names[j]}⟩ = ${sum(z(i + first), z(j), D <= 4 ? 4 : 3)} = ` +
        `${say(s.tape.top[0].data[at(i, j)])}`;
    },
  };
}
