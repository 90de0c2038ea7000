// What the pages on which people read with keys have in common; their own scripts follow in the same module.

const PATIENCE_MS = 4000; // without an answer from the kernel, before the reader is told and held
const NS = "http://www.w3.org/2000/svg";

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function ink(colour) { // black or white, whichever reads better on the colour (WCAG relative luminance)
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#14181f" : "#ffffff";
}

function scaleBar(um) { // a third of the picture's side at most, a round length
  const power = 10 ** Math.floor(Math.log10(um / 3));
  const length = Math.max(...[1, 2, 5].map((k) => k * power).filter((v) => v <= um / 3));
  return make("span", { class: "scale", style: `width:${(100 * length) / um}%` }, `${length} µm`);
}
