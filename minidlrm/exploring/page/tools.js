// The tools beside the picture: the example, training, mistakes, and "what if".
import { sigmoid } from "./arithmetic.js";
import { el, percent, say, signed, svg } from "./dom.js";
import { rowsOf } from "./blocks.js";
import { tell } from "./words.js";

// Tools under tabs: [[title, node], ...]; arrow keys walk along the tabs
export function makeTabs(tools) {
  const id = (k) => `tab-${Math.random().toString(36).slice(2)}-${k}`;
  const panels = tools.map(([, node], k) =>
    el("div", { role: "tabpanel", id: id(k), tabindex: "-1" }, node));
  const open = (k, focus) => tabs.forEach((tab, n) => {
    tab.setAttribute("aria-selected", String(n === k));
    tab.tabIndex = n === k ? 0 : -1;
    panels[n].hidden = n !== k;
    if (focus && n === k) tab.focus();
  });
  const walk = (k, event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) open((k + by + tools.length) % tools.length, true);
  };
  const tabs = tools.map(([title], k) => el("button", { type: "button", role: "tab",
    "aria-controls": panels[k].id, onclick: () => open(k), onkeydown: (e) => walk(k, e) }, title));
  panels.forEach((panel, k) => {
    tabs[k].id = id(k);
    panel.setAttribute("aria-labelledby", tabs[k].id);
  });
  open(0);
  return { node: el("section", { class: "tool" },
    el("div", { class: "tabs", role: "tablist", "aria-label": tell("Tools") }, ...tabs), ...panels), open };
}

// The example: which one of the batch, its ids, its numbers, its label

export function makeExample(s, changed) {
  const list = el("div", { class: "examples", role: "group",
    "aria-label": tell("The batch") });
  const fields = el("div", { class: "fields" });
  const node = el("section", { class: "tool example" },
    el("h2", {}, tell("The batch")), list, fields);
  const draw = () => {
    drawList(s, list, changed);
    drawFields(s, fields, changed);
  };
  return { node, draw };
}

function summary(s, b) {
  return s.page.columns.map((c, t) => {
    const own = s.page.columns[c.shared ?? t];
    return rowsOf(s, t, b).map((r) => own.names[r - own.start]).join("+") || "–";
  }).slice(0, 2).join(" · ");
}

function drawList(s, list, changed) {
  if (list.children.length !== s.batch.size)
    list.replaceChildren(...Array.from({ length: s.batch.size }, (_, b) =>
      el("button", { type: "button", onclick: () => { s.chosen = b; changed("example"); } },
        el("span"), el("b"))));
  Array.from(list.children).forEach((button, b) => {
    const x = s.tape.logits[b], y = s.batch.label[b];
    const told = s.model.loss === "bce" ? percent(sigmoid(x)) : say(x);
    const label = s.model.loss === "bce" && (y === 0 || y === 1) ? (y ? "✓" : "✗") : say(y);
    button.setAttribute("aria-pressed", String(b === s.chosen));
    button.children[0].textContent = summary(s, b);
    button.children[1].textContent = `${told} ${label}`;
    button.setAttribute("aria-label", tell("Example {k}: {words}", { k: b + 1,
      words: `${summary(s, b)}; ${told}; ${s.page.label} ${say(y)}` }));
  });
}

function drawFields(s, fields, changed) {
  if (!fields.children.length) {
    s.page.columns.forEach((_, t) => fields.append(idField(s, t, changed)));
    s.page.dense.forEach((_, k) => fields.append(denseField(s, k, changed)));
    fields.append(labelField(s, changed));
  }
  for (const field of fields.children) field.show();
}

function idField(s, t, changed) {
  const column = s.page.columns[t], own = s.page.columns[column.shared ?? t];
  const bag = column.role === "bag";
  const select = el("select", { multiple: bag, size: bag ? 4 : null, onchange: () => {
    const rows = Array.from(select.selectedOptions, (option) => Number(option.value));
    if (!rows.length && !bag) return;
    setRows(s.batch, t, s.chosen, rows);
    changed("id");
  } }, ...own.names.map((name, i) => el("option", { value: own.start + i }, name)));
  const field = el("label", {}, el("span", {}, column.name), select);
  field.show = () => {
    const rows = rowsOf(s, t, s.chosen);
    for (const option of select.options) option.selected = rows.includes(Number(option.value));
  };
  return field;
}

// Put other rows into one bag; the bags after it move
export function setRows(batch, t, b, rows) {
  const bag = t * batch.size + b, [from, to] = [batch.offsets[bag], batch.offsets[bag + 1]];
  const splice = (array, items, Kind) =>
    Kind.from([...array.slice(0, from), ...items, ...array.slice(to)]);
  if (batch.scale) batch.scale = splice(batch.scale, rows.map(() => 1), Float64Array);
  batch.rows = splice(batch.rows, rows, Int32Array);
  batch.offsets = batch.offsets.map((n, k) => (k > bag ? n + rows.length - (to - from) : n));
}

// As Column.scale: the model has seen numbers that were scaled, as float32
export function scaled(column, raw) {
  const x = column.transform === "standardize" ? (raw - column.mean) / column.std
    : column.transform === "log" ? Math.log1p(Math.max(raw, 0)) : raw;
  return Math.fround(x);
}

export function unscaled(column, x) {
  return column.transform === "standardize" ? x * column.std + column.mean
    : column.transform === "log" ? Math.expm1(x) : x;
}

function denseField(s, k, changed) {
  const column = s.page.dense[k], out = el("output");
  const range = el("input", { type: "range", min: column.least, max: column.most,
    step: column.step, oninput: () => {
      s.batch.dense.data[s.chosen * s.batch.dense.cols + k] = scaled(column, range.valueAsNumber);
      changed("dense");
    } });
  const field = el("label", {}, el("span", {}, column.name), range, out);
  field.show = () => {
    const raw = unscaled(column, s.batch.dense.data[s.chosen * s.batch.dense.cols + k]);
    if (Math.abs(range.valueAsNumber - raw) > column.step) range.value = raw;
    out.textContent = say(raw);
  };
  return field;
}

function labelField(s, changed) {
  const rate = s.page.labels === "clicks";
  const input = el("input", rate ? { type: "checkbox" } : { type: "number", step: "0.5" });
  input.addEventListener("change", () => {
    const y = rate ? Number(input.checked) : input.valueAsNumber;
    if (Number.isFinite(y)) s.batch.label[s.chosen] = y;
    changed("label");
  });
  const field = el("label", { class: "label" }, el("span", {}, s.page.label), input);
  field.show = () => {
    if (rate) input.checked = s.batch.label[s.chosen] > 0.5;
    else input.value = s.batch.label[s.chosen];
  };
  return field;
}

// Training

export function makeTraining(s, { step, restart }) {
  const out = el("output"), rate = el("output");
  const range = el("input", { type: "range", min: -2, max: 1, step: 0.1, oninput: () => {
    s.lr = Number((10 ** range.valueAsNumber).toPrecision(2));
    rate.textContent = say(s.lr);
  } });
  range.value = Math.log10(s.lr);
  rate.textContent = say(s.lr);
  const chart = svg("svg", { viewBox: "0 0 240 56", class: "chart", role: "img" });
  const button = (text, f) => el("button", { type: "button", onclick: f }, text);
  const node = el("div", { class: "training" },
    el("p", {}, tell("Steps of SGD on the examples above.")),
    el("div", { class: "buttons" }, button(tell("One step"), () => step(1)),
      button(tell("Ten steps"), () => step(10)), button(tell("Start again"), restart)),
    el("label", {}, el("span", {}, tell("learning rate")), range, rate), chart,
    el("p", { class: "told" }, out));
  return { node, draw: () => drawTraining(s, out, chart) };
}

function drawTraining(s, out, chart) {
  const losses = s.history, most = Math.max(...losses, 1e-9);
  const x = (k) => 4 + (232 * k) / Math.max(1, losses.length - 1);
  const y = (loss) => 52 - (48 * loss) / most;
  chart.replaceChildren(
    svg("polyline", { points: losses.map((l, k) => `${x(k)},${y(l)}`).join(" ") }),
    svg("circle", { cx: x(losses.length - 1), cy: y(losses[losses.length - 1]), r: 3 }));
  const last = losses[losses.length - 1];
  chart.setAttribute("aria-label",
    tell("Loss of the batch after each step, now {loss}", { loss: say(last, 4) }));
  out.textContent = losses.length === 1 ? tell("loss {loss}; no step yet", { loss: say(last, 4) })
    : tell("{count} steps: loss {first} → {last}",
      { count: losses.length - 1, first: say(losses[0], 4), last: say(last, 4) });
}

// Mistakes

const LINES = { // the line that is right, and the one that the switch puts in its place
  duplicates: ["np.add.at(dW, rows, dy)", "dW[rows] += dy"],
  triangle: ["dz = (G + G.T) @ z", "dz = G @ z"],
  second_path: ["dx = dz[:, 0] + dtop[:, :D]", "dx = dz[:, 0]"],
  batch_twice: ["dlogits = (p - y) / B", "dlogits = (p - y) / B / B"],
};

export function makeMistakes(s, toggled) {
  const boxes = Object.entries(LINES).map(([key, [right, wrong]]) => {
    const off = s.model.interaction === "cat" && (key === "triangle" || key === "second_path") ||
      key === "second_path" && !s.page.dense.length;
    const input = el("input", { type: "checkbox", disabled: off, onchange: () => {
      input.checked ? s.faults.add(key) : s.faults.delete(key);
      toggled();
    } });
    return el("label", { class: "mistake" }, input, el("span", {},
      el("b", {}, tell(s.page.mistakes[key])), el("code", {}, el("del", {}, right), " ", 
        el("ins", {}, wrong))));
  });
  const found = el("div", { class: "found", "aria-live": "polite" });
  const node = el("div", { class: "mistakes" },
    el("p", {}, tell("Put a mistake into the backward pass of this page.")), ...boxes, found);
  return { node, draw: () => drawFound(s, found) };
}

function drawFound(s, found) {
  if (!s.checks) return found.replaceChildren();
  const rows = s.checks.filter((c) => c.wrong).map((c) => {
    const worst = c.entries.reduce((a, e) =>
      (Math.abs(e.given - e.slope) > Math.abs(a.given - a.slope) ? e : a));
    return el("tr", {}, el("th", { scope: "row" }, ...breakable(c.name)),
      el("td", {}, `${c.wrong}/${c.entries.length}`), el("td", {}, say(worst.given, 2)),
      el("td", {}, say(worst.slope, 2)));
  });
  const heads = [tell("array"), tell("wrong"), tell("gradient"), tell("slope")];
  const table = el("table", {}, el("caption", {}, tell("Worst number of each wrong array")),
    el("thead", {}, el("tr", {}, ...heads.map((h) => el("th", { scope: "col" }, h)))),
    el("tbody", {}, ...rows));
  found.replaceChildren(el("div", { class: "verdict" }, ...verdict(s)), rows.length ? table : "");
}

// A dotted name that may be broken after its dots
function breakable(name) {
  return name.split(/(?<=\.)/).flatMap((part) => [part, el("wbr")]);
}

function verdict(s) {
  const { causes, said } = s;
  if (!s.checks.some((c) => c.wrong)) {
    const hidden = s.faults.size
      ? tell(" The mistake is in, and this batch cannot show it.") + (s.faults.has("duplicates")
        ? tell(" No row is used twice: choose one user for two examples.") : "")
      : "";
    const count = s.checks.reduce((n, c) => n + c.entries.length, 0);
    return [el("p", {}, tell("All {count} numbers that were checked agree.", { count }) + hidden)];
  }
  const named = causes === null ? [el("p", {}, el("b", {}, tell("No known cause fits.")))]
    : causes.map((key) => el("p", {}, el("b", {}, tell("Cause: {cause}.", {
      cause: tell(s.page.catalogue[key][0]) })), " ", tell(s.page.catalogue[key][1])));
  return [...named, ...said.map((text) => el("p", {}, text))];
}

// What if

const WIDE = 240, HIGH = 120;

export function makeWhatIf(s, { move, back }) {
  const name = el("b"), told = el("p", { class: "told" }), out = el("output");
  const range = el("input", { type: "range", step: "any", oninput: () => move(range.valueAsNumber) });
  const chart = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "chart", role: "img" });
  const node = el("div", { class: "what-if" },
    el("p", {}, tell("Choose any number in the picture, and move it: "), name),
    el("label", {}, el("span", {}, tell("its value")), range, out), chart, told,
    el("div", { class: "buttons" }, el("button", { type: "button", onclick: back },
      tell("Put it back"))));
  const draw = () => {
    const { what } = s;
    name.textContent = what.name;
    const reach = Math.max(1, 2 * Math.abs(what.before));
    range.min = what.before - reach;
    range.max = what.before + reach;
    range.step = reach / 200;
    range.value = what.array[what.k];
    out.textContent = say(what.array[what.k]);
    drawCurve(s, chart, told);
  };
  return { node, draw };
}

function drawCurve(s, chart, told) {
  const { what } = s, now = what.array[what.k];
  const losses = what.curve.map(([, loss]) => loss), [first, last] = [what.curve[0][0],
    what.curve[what.curve.length - 1][0]];
  const low = Math.min(...losses), high = Math.max(...losses, low + 1e-9), room = (high - low) / 4;
  const x = (v) => 6 + ((WIDE - 12) * (v - first)) / (last - first);
  const y = (l) => HIGH - 8 - ((HIGH - 16) * (l - low + room)) / (high - low + 2 * room);
  const promised = (v) => what.loss + what.slope * (v - what.before);
  const line = (points, css) => svg("polyline", { class: css,
    points: points.map(([v, l]) => `${x(v).toFixed(1)},${y(l).toFixed(1)}`).join(" ") });
  chart.replaceChildren(
    line(what.curve, "curve"),
    line([[first, promised(first)], [last, promised(last)]], "slope"),
    svg("circle", { class: "from", cx: x(what.before), cy: y(what.loss), r: 3 }),
    svg("line", { class: "gap", x1: x(now), x2: x(now), y1: y(s.tape.loss), y2: y(promised(now)) }),
    svg("circle", { class: "at", cx: x(now), cy: y(s.tape.loss), r: 4.5 }));
  const actual = s.tape.loss - what.loss, wanted = what.slope * (now - what.before);
  told.textContent = now === what.before
    ? tell("The gradient promises {slope} of loss for each 1 that it grows: the dashed line.",
      { slope: signed(what.slope) })
    : tell("Moved by {by}: the loss by {actual}; promised {wanted}.",
      { by: signed(now - what.before), actual: signed(actual), wanted: signed(wanted) });
  chart.setAttribute("aria-label",
    tell("Loss against {name}: {words}", { name: what.name, words: told.textContent }));
}
