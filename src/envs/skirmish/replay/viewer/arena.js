// The battlefield: what part of it is in view, and what the pointer is on.

class View {
  constructor() { Object.assign(this, { left: 0, top: 0, scale: 1, width: 1, height: 1, ratio: 1 }); }

  x(cell) { return (cell - this.left) * this.scale; }

  y(cell) { return (this.top - cell) * this.scale; }

  cell(px, py) { return [this.left + px / this.scale, this.top - py / this.scale]; }

  fit([west, east, south, north]) {
    this.scale = Math.min(this.width / (east - west), this.height / (north - south));
    this.left = (west + east - this.width / this.scale) / 2;
    this.top = (south + north + this.height / this.scale) / 2;
  }

  zoom(factor, px, py) {
    const [x, y] = this.cell(px, py);
    this.scale = Math.max(8, Math.min(this.scale * factor, 240));
    this.left = x - px / this.scale;
    this.top = y + py / this.scale;
  }
}

// Gives a canvas as many pixels as it covers; true if that changed.
function resize(canvas, view) {
  const { clientWidth: width, clientHeight: height } = canvas, ratio = window.devicePixelRatio || 1;
  if (view.width === width && view.height === height && view.ratio === ratio) return false;
  Object.assign(view, { width, height, ratio });
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  return true;
}

class Arena {
  constructor(state) {
    Object.assign(this, { state, view: new View(), hovered: -1, whole: false });
    this.canvas = document.getElementById("arena");
    this.tip = document.getElementById("tip");
    this.listen();
  }

  show(replay, moment) {
    Object.assign(this, { replay, moment, hovered: -1, moved: false });
    this.terrain = new Terrain(replay);
    this.units = new Units(replay, moment);
    this.effects = new Effects(replay, moment);
    const [west, east, south, north] = replay.box;
    document.getElementById("arena-box").style.setProperty("--shape", (east - west) / (north - south));
    Object.assign(this.view, { width: 0, height: 0 });    // so that it fits anew
  }

  fit(whole) {
    this.whole = whole;
    this.moved = false;
    this.view.fit(whole ? [0, this.replay.width, 0, this.replay.height] : this.replay.box);
  }

  listen() {
    const { canvas } = this;
    let grab = null;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.moved = true;
      this.view.zoom(Math.exp(-event.deltaY * 0.0012), event.offsetX, event.offsetY);
      this.state.redraw();
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      grab = { x: event.offsetX, y: event.offsetY, left: this.view.left, top: this.view.top, dragged: false };
    });
    canvas.addEventListener("pointermove", (event) => {
      if (grab && (grab.dragged || Math.hypot(event.offsetX - grab.x, event.offsetY - grab.y) > 4)) {
        grab.dragged = this.moved = true;
        this.view.left = grab.left - (event.offsetX - grab.x) / this.view.scale;
        this.view.top = grab.top + (event.offsetY - grab.y) / this.view.scale;
      }
      this.pointer = [event.offsetX, event.offsetY];
      this.state.redraw();
    });
    canvas.addEventListener("pointerup", () => {
      if (grab && !grab.dragged) this.state.pick(this.hovered === this.state.picked ? -1 : this.hovered);
      grab = null;
    });
    canvas.addEventListener("pointercancel", () => { grab = null; });
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.state.redraw(); });
  }

  draw() {
    const { canvas, view } = this, ctx = canvas.getContext("2d");
    if (resize(canvas, view) && !this.moved) this.fit(this.whole);
    this.hover();
    ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    this.terrain.draw(ctx, view);
    const { flags, picked } = this.state, everyone = this.replay.kind.map((_, unit) => unit);
    this.effects.orders(ctx, view, flags.orders ? everyone : picked >= 0 ? [picked] : []);
    this.units.draw(ctx, view, { flags, picked, hovered: this.hovered >= 0 ? this.hovered : this.state.pointed });
    this.effects.draw(ctx, view);
    this.clock();
  }

  clock() {
    const { replay, moment, state } = this, loop = moment.loop;
    const seconds = (loop / replay.loops_per_second).toFixed(1);
    document.getElementById("clock").innerHTML = `<b>step ${moment.played}</b> <span>of ${replay.n_steps}`
      + ` · loop ${loop} of ${replay.n_loops} · ${seconds} s${SPEEDS.includes(state.speed) ? "" : ` · ${state.speed}×`}</span>`;
  }

  hover() {
    this.hovered = -1;
    if (this.pointer) {
      const [x, y] = this.view.cell(...this.pointer);
      let best = Infinity;
      for (let unit = 0; unit < this.replay.n_units; unit++) {
        const distance = Math.hypot(this.moment.x[unit] - x, this.moment.y[unit] - y);
        if (this.moment.alive(unit) && distance < Math.max(this.replay.kind[unit].radius, 8 / this.view.scale) && distance < best) {
          [this.hovered, best] = [unit, distance];
        }
      }
    }
    this.canvas.style.cursor = this.hovered >= 0 ? "pointer" : "default";
    this.tip.hidden = this.hovered < 0;
    if (this.hovered >= 0) showTip(this.tip, this.about(this.hovered), this.pointer, this.view);
  }

  about(unit) {
    const { replay, moment } = this, kind = replay.kind[unit];
    const points = (name) => `${round(moment[name][unit])} / ${round(kind[name])}`;
    const lines = [`${replay.side[unit] === "ally" ? "Agent" : "Enemy"} ${unitName(replay, unit).split(" ").pop()} · ${kind.title}`];
    lines.push(`health ${points("health")}${kind.shield ? `   shield ${points("shield")}` : ""}`);
    if (kind.energy) lines.push(`energy ${points("energy")}`);
    lines.push(`at ${moment.x[unit].toFixed(2)}, ${moment.y[unit].toFixed(2)}`);
    lines.push(orderName(replay, moment, unit));
    return lines.join("\n");
  }
}

function round(number) { return String(Math.round(number * 10) / 10); }

// Shows a text beside a place, inside its box.
function showTip(tip, text, [x, y], { width, height }) {
  tip.textContent = text;
  tip.hidden = false;
  tip.style.left = `${Math.max(4, Math.min(x + 14, width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${y + 18 + tip.offsetHeight < height ? y + 18 : Math.max(4, y - tip.offsetHeight - 10)}px`;
}
