/* Elements, texts and colours. What comes from the run reaches the page as text nodes only. */

const byId = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const formatNumber = (value) => Math.round(value).toLocaleString("en");

/* Microseconds in the unit a person would choose, three digits. */
function formatTime(us) {
  const value = Math.abs(us);
  if (value < 1e3) return `${trim(us)} µs`;
  if (value < 1e6) return `${trim(us / 1e3)} ms`;
  if (value < 120e6) return `${trim(us / 1e6)} s`;
  if (value < 7200e6) return `${Math.floor(us / 60e6)} min ${Math.round((us % 60e6) / 1e6)} s`;
  return `${Math.floor(us / 3600e6)} h ${Math.round((us % 3600e6) / 60e6)} min`;
}

function formatBytes(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit++;
  }
  return `${trim(bytes)} ${units[unit]}`;
}

const trim = (value) => (value >= 100 ? Math.round(value) : Number(value.toPrecision(3))).toLocaleString("en");
const formatShare = (share) => `${share > 0 && share < 0.01 ? "<1" : Math.round(100 * share)} %`;
const plural = (count, one, many = `${one}s`) => `${formatNumber(count)} ${count === 1 ? one : many}`;

const PALETTE_SIZE = 10; // --c0 … --c9 in the style sheet; what is beyond is --other

function groupColour(rank) {
  return rank < PALETTE_SIZE ? `var(--c${rank})` : "var(--other)";
}

/* The style sheet's colours as a canvas needs them: worked out, for the theme that is on. */
function readColours() {
  const probe = byId("colour-probe");
  const read = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  return {
    groups: Array.from({ length: PALETTE_SIZE }, (_, i) => read(`--c${i}`)),
    other: read("--other"), ink: read("--ink"), soft: read("--soft"), line: read("--line"),
    paper: read("--paper"), band: read("--band"), bad: read("--bad"), accent: read("--accent"),
  };
}

/* A bar that shows a share, with its number beside it. */
function shareBar(share, colour = "var(--accent)") {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  fill.style.background = colour;
  return el("span", { class: "share" }, el("span", { class: "track" }, fill), el("span", { class: "percent" }, formatShare(share)));
}

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }[theme];
  byId("theme").value = theme;
}
