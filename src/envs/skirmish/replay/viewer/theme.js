// Colours of what is painted; the style sheet has the same ones as variables. As the system says, until the switch is used.

const COLOURS = {};

class Theme {
  constructor(palettes, changed) {
    Object.assign(this, { palettes, changed });
    this.system = window.matchMedia("(prefers-color-scheme: dark)");
    this.system.addEventListener("change", () => { if (!this.chosen) this.set(null); });
    this.set(remembered("theme"));
  }

  // "light", "dark", or null: as the system says.
  set(name) {
    this.chosen = name in this.palettes ? name : null;
    this.name = this.chosen ?? (this.system.matches ? "dark" : "light");
    Object.assign(COLOURS, this.palettes[this.name]);
    document.documentElement.dataset.theme = this.name;
    document.getElementById("theme").innerHTML = icon(this.name === "dark"
      ? "M8 4.2a3.8 3.8 0 100 7.6 3.8 3.8 0 000-7.6zM7.3 0h1.4v2.6H7.3zM7.3 13.4h1.4V16H7.3zM0 7.3h2.6v1.4H0zM13.4 7.3H16v1.4h-2.6zM2 3l1-1 1.8 1.8-1 1zM11.2 12.2l1-1L14 13l-1 1zM2 13l1.8-1.8 1 1L3 14zM11.2 3.8L13 2l1 1-1.8 1.8z"
      : "M6 1a7 7 0 109 9.3A6 6 0 016 1z");
    this.changed();
  }

  toggle() {
    this.set(this.name === "dark" ? "light" : "dark");
    remember("theme", this.name);
  }
}

// A page in a report's frame may keep nothing, and asking is an error there.
function remembered(key) {
  try { return window.localStorage.getItem(`replay-${key}`); } catch { return null; }
}

function remember(key, value) {
  try { window.localStorage.setItem(`replay-${key}`, value); } catch { /* as above */ }
}

function icon(path) { return `<svg viewBox="0 0 16 16"><path d="${path}"/></svg>`; }

function mix(a, b, part) {
  const channel = (hex, k) => parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  const mixed = [0, 1, 2].map((k) => Math.round(channel(a, k) + (channel(b, k) - channel(a, k)) * part));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

// Colour of a value, 0 least and 1 most; and that of text on it.
function ramp(part) {
  const place = Math.max(0, Math.min(part, 1)) * 4, k = Math.min(Math.floor(place), 3);
  return mix(COLOURS[`ramp_${k}`], COLOURS[`ramp_${k + 1}`], place - k);
}

function ink(back) {
  const [red, green, blue] = [1, 3, 5].map((k) => parseInt(back.slice(k, k + 2), 16));
  return 0.3 * red + 0.59 * green + 0.11 * blue > 125 ? COLOURS.ink_dark : COLOURS.ink_light;
}

function healthColour(part) { return part > 0.6 ? COLOURS.health_high : part > 0.3 ? COLOURS.health_mid : COLOURS.health_low; }
