// Elements of the page. What a run holds gets into them as text or as an attribute, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An HTML element: `element("p", {class: "dim", onclick: f}, "text", other)`. */
function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element, likewise. */
function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Say something to those who listen to the page. */
function say(text) {
  document.getElementById("said").textContent = text;
}

const count = (number, one, many = one + "s") => `${number} ${number === 1 ? one : many}`;
const decibels = (value) => (typeof value === "number" ? `${value.toFixed(1)} dB` : "");

function seconds(value) {
  if (value >= 1) return `${value.toFixed(1)} s`;
  return value >= 1e-3 ? `${(value * 1e3).toFixed(0)} ms` : `${(value * 1e6).toFixed(1)} µs`;
}

function bytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** A name cut in its middle, where names of one module differ least. */
function shortened(name, letters) {
  if (name.length <= letters) return name;
  const head = Math.floor((letters - 1) / 3);
  return `${name.slice(0, head)}…${name.slice(name.length - (letters - 1 - head))}`;
}
