// Elements, and numbers as text.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A number for people: three digits, a real minus
export function say(x, digits = 3) {
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size >= 1e4 || size < 1e-3
    ? x.toExponential(digits - 1).replace("e+", "e") : String(Number(x.toPrecision(digits)));
  return text.replace(/-/g, "−");
}

export function signed(x, digits = 3) {
  return x > 0 ? `+${say(x, digits)}` : say(x, digits);
}

export function percent(p) {
  return `${(100 * p).toFixed(1)}%`;
}

// The largest terms of a sum a_k b_k, in their order
export function sum(a, b, most = 3) {
  const order = a.map((_, k) => k).sort((i, j) => Math.abs(a[j] * b[j]) - Math.abs(a[i] * b[i]));
  const shown = order.slice(0, most).sort((i, j) => i - j);
  const terms = shown.map((k) => `${say(a[k])} × ${bracketed(b[k])}`).join(" + ");
  return terms + (a.length > most ? " + …" : "");
}

function bracketed(x) {
  return x < 0 ? `(${say(x)})` : say(x);
}

export function still() {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}
