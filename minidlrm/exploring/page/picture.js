// The picture: blocks in their places, arrows between them, and what is lit at each stage.
import { sigmoid } from "./arithmetic.js";
import { el, percent, say, svg } from "./dom.js";
import { drawGrid, makeGrid, pulse } from "./grid.js";
import { layerBlock, pairsBlock, rowsOf, tableBlocks, vectorsBlock } from "./blocks.js";
import { tell } from "./words.js";

export function makePicture(s, events) {
  const { stages } = s.steps, M = s.model.top.length, L = s.model.bottom.length;
  const find = (phase, key) => stages.findIndex((st) => st.phase === phase && st.key === key);
  const at = (key, next) => ({
    order: find("forward", key), back: find("backward", key),
    arrives: find("backward", next || key),
  });
  const grids = {}, make = (spec) => (grids[spec.key] = makeGrid(spec, events)).node;
  const layer = (part, k, next) => layerNode(layerBlock(s, part, k, at(`${part}-${k}`, next)), make);
  const tables = tableBlocks(s, at("rows")).map(make);
  const bottom = s.model.bottom.map((_, k) =>
    layer("bottom", k, k + 1 < L ? `bottom-${k + 1}` : "vectors"));
  const vectors = make(vectorsBlock(s, at("vectors")));
  const pairs = s.model.interaction === "dot" ? make(pairsBlock(s, at("pairs"))) : null;
  const top = s.model.top.map((_, k) =>
    layer("top", k, k + 1 < M ? `top-${k + 1}` : "output"));
  const output = outputNode(s);
  const arrows = svg("svg", { class: "arrows", "aria-hidden": "true" });
  const many = tables.length > 5 ? "scroll many" : "";
  const column = (name, heading, ...nodes) => el("div", { class: `column ${name}` },
    el("h2", {}, heading), ...nodes);
  const node = el("div", { class: "picture" }, arrows,
    column("inputs", tell("Tables"), el("div", { class: `tables ${many}` }, ...tables)),
    el("div", { class: "column middle" },
      bottom.length ? el("h2", {}, tell("Bottom MLP")) : null, el("div", { class: "bottom" }, ...bottom),
      el("h2", {}, tell("Interaction")), vectors, pairs),
    column("right", tell("Top MLP"), ...top, output.node));
  return { node, grids, arrows, output, edges: [] };
}

function layerNode({ part, k, inputs, outputs, relu, grids, cut }, make) {
  const sizes = { k: k + 1, inputs, outputs };
  const css = `${inputs > 14 ? "wide" : ""} ${outputs > 14 ? "tall" : ""}`;
  return el("div", { class: `layer ${css}`, "data-block": `${part}-${k}`, role: "group",
    "aria-label": part === "bottom" ? tell("bottom MLP, layer {k}: {inputs} to {outputs}", sizes)
      : tell("top MLP, layer {k}: {inputs} to {outputs}", sizes) },
    el("p", { class: "caption" }, `${inputs} → ${outputs}`,
      el("small", {}, relu ? " y = max(0, W x + b)" : " y = W x + b",
        cut ? tell(", the first {count}", { count: cut }) : "")),
    make(grids.x), el("div", { class: "product" }, make(grids.weight),
      grids.bias ? make(grids.bias) : null, make(grids.y)));
}

function outputNode(s) {
  const bar = el("div", { class: "bar" }, el("i"));
  const big = el("strong", {}), more = el("span", {}), truth = el("span", { class: "truth" });
  const tick = el("b", { class: "tick", hidden: true });
  bar.append(tick);
  const node = el("div", { class: "output", "data-block": "output" },
    el("p", { class: "caption" }, s.model.loss === "bce" ? tell("probability") : tell("prediction")),
    big,
    s.model.loss === "bce" ? bar : null, truth, more);
  return { node, big, bar, more, truth, tick };
}

export function drawPicture(picture, s, animate) {
  const { stages, turn } = s.steps, changed = [];
  for (const grid of Object.values(picture.grids)) {
    const { spec } = grid;
    changed.push(...drawGrid(grid, {
      face: s.stage >= spec.back ? "gradient" : "value",
      reached: s.stage >= spec.order,
      wrong: s.stage >= spec.back ? wrongIn(s, spec) : null,
    }));
    for (const { td, i, j } of grid.cells)
      td.classList.toggle("picked", spec === s.what.spec && i === s.what.i && j === s.what.j);
    if (spec.marks) markRows(grid);
  }
  if (animate) pulse(changed);
  drawOutput(picture.output, s, s.stage >= turn - 2, s.stage >= turn);
  const stage = stages[s.stage];
  for (const node of picture.node.querySelectorAll("[data-block]"))
    node.classList.toggle("now", stage.lit.includes(node.dataset.block));
  picture.node.dataset.phase = stage.phase;
}

// The cells of a block that the finite difference refutes
function wrongIn(s, spec) {
  const found = s.checks && s.checks.find((c) => c.name === spec.array);
  if (!found || !found.wrong) return null;
  const places = new Set(found.entries.filter((e) => e.wrong).map((e) => e.k));
  return (i, j) => places.has(spec.place(i, j));
}

function markRows(grid) {
  const lines = grid.table.rows;
  for (let i = 0; i < lines.length; i++) {
    const { lit, uses } = grid.spec.marks(i);
    lines[i].classList.toggle("lit", lit);
    lines[i].classList.toggle("used", uses > 0 && !lit);
    lines[i].cells[0].dataset.uses = uses > 1 ? `×${uses}` : "";
  }
  showLit(grid);
}

// Scroll a long table, and not the page, to the row that is lit
function showLit(grid) {
  const frame = grid.table.parentNode, line = grid.table.querySelector("tr.lit");
  if (!line || !frame.classList.contains("scroll")) return;
  const outside = line.offsetTop < frame.scrollTop ||
    line.offsetTop + line.offsetHeight > frame.scrollTop + frame.clientHeight;
  if (outside) frame.scrollTop = line.offsetTop - frame.clientHeight / 2;
}

function drawOutput(output, s, reached, backward) {
  const x = s.tape.logits[s.chosen], p = sigmoid(x), clicks = s.model.loss === "bce";
  output.node.classList.toggle("unreached", !reached);
  output.big.textContent = clicks ? percent(p) : say(x);
  output.bar.style.setProperty("--p", `${(100 * p).toFixed(2)}%`);
  const truth = s.truth ? s.truth(s.chosen) : null;
  output.tick.hidden = truth === null;
  if (truth !== null) {
    output.tick.style.left = `${(100 * truth).toFixed(2)}%`;
    output.truth.textContent = tell("the truth: {p}", { p: percent(truth) });
  }
  const values = { x: say(x), slope: say(s.grads.dlogits.data[s.chosen]),
    loss: say(s.tape.loss, 4) };
  output.more.textContent = backward
    ? tell("logit {x}, slope {slope}; loss of the batch {loss}", values)
    : tell("logit {x}; loss of the batch {loss}", values);
}

// Arrows

function edgesOf(picture, s) {
  const first = s.page.dense.length ? 1 : 0, { grids } = picture, edges = [];
  const M = s.model.top.length, L = s.model.bottom.length;
  const lineOf = (key, i) => grids[key] && grids[key].table.rows[i]; // these have no row of heads
  const add = (key, from, to) => { if (from && to) edges.push({ key, from, to }); };
  s.page.columns.forEach((column, t) => {
    const own = column.shared === null ? t : column.shared;
    for (const r of rowsOf(s, t, s.chosen))
      add("lookup", lineOf(`table-${own}`, r - s.page.columns[own].start),
        lineOf("vectors", first + t));
  });
  const nodeOf = (key) => grids[key] && grids[key].node;
  const layerOf = (key) => picture.node.querySelector(`[data-block="${key}"]`);
  for (let k = 1; k < L; k++)
    add(`bottom-${k}`, nodeOf(`bottom-${k - 1}-y`), layerOf(`bottom-${k}`));
  if (L) add("dense", nodeOf(`bottom-${L - 1}-y`), lineOf("vectors", 0));
  if (grids.pairs) {
    if (L) add("straight", lineOf("vectors", 0), nodeOf("top-0-x"));
    add("mixed", lineOf("pairs", grids.pairs.spec.rows - 1), nodeOf("top-0-x"));
  } else add("mixed", nodeOf("vectors"), nodeOf("top-0-x"));
  for (let k = 1; k < M; k++) add(`top-${k}`, nodeOf(`top-${k - 1}-y`), layerOf(`top-${k}`));
  add("output", nodeOf(`top-${M - 1}-y`), picture.output.node);
  return edges;
}

// `moving`: the arrows of the stage flow once; `wave`: all do, in the order of forward
export function drawArrows(picture, s, moving, wave) {
  const box = picture.node.getBoundingClientRect();
  picture.arrows.replaceChildren();
  picture.arrows.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
  const stage = s.steps.stages[s.stage];
  for (const { key, from, to } of edgesOf(picture, s)) {
    const lit = stage.edges.includes(key);
    const css = `${lit ? `lit ${stage.phase}` : ""} ${lit && moving && !wave ? "moving" : ""}`;
    const order = s.steps.stages.findIndex((each) => each.edges.includes(key));
    const { d, heads } = curve(rectOf(from, box), rectOf(to, box));
    const head = lit && stage.phase === "backward" ? heads[0] : heads[1];
    picture.arrows.append(svg("path", {
      d, class: `${css} ${wave && moving ? "wave" : ""}`, pathLength: 100, "data-edge": key,
      style: `--wave: ${order}`,
    }),
      svg("path", { d: head, class: `head ${css}` }));
  }
}

function rectOf(node, box) {
  const scroll = node.closest(".scroll") || node;
  const r = node.getBoundingClientRect(), frame = scroll.getBoundingClientRect();
  const middle = Math.min(Math.max((r.top + r.bottom) / 2, frame.top), frame.bottom);
  return {
    left: r.left - box.left, right: Math.min(r.right, frame.right) - box.left,
    top: r.top - box.top, bottom: r.bottom - box.top,
    x: (r.left + Math.min(r.right, frame.right)) / 2 - box.left, y: middle - box.top,
  };
}

function curve(a, b) {
  if (b.left > a.right - 4) {
    const bend = Math.max(16, (b.left - a.right) / 2);
    return {
      d: `M${a.right},${a.y} C${a.right + bend},${a.y} ${b.left - bend},${b.y} ${b.left},${b.y}`,
      heads: [head(a.right, a.y, -1, 0), head(b.left, b.y, 1, 0)],
    };
  }
  const [from, to] = b.top > a.bottom - 4 ? [a.bottom, b.top] : [a.top, b.bottom];
  const bend = (to - from) / 2, sign = Math.sign(bend) || 1;
  return {
    d: `M${a.x},${from} C${a.x},${from + bend} ${b.x},${to - bend} ${b.x},${to}`,
    heads: [head(a.x, from, 0, -sign), head(b.x, to, 0, sign)],
  };
}

// The head of an arrow: a triangle with its tip at (x, y), in the direction (dx, dy)
function head(x, y, dx, dy) {
  const [u, v] = [x - 7 * dx, y - 7 * dy];
  return `M${x},${y} L${u - 4 * dy},${v - 4 * dx} L${u + 4 * dy},${v + 4 * dx} Z`;
}
