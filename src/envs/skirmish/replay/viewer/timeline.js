// The timeline: how much of either army is left, who dies when, and where the player is.

class Timeline {
  constructor(state) {
    Object.assign(this, { state, view: {} });
    this.canvas = document.getElementById("timeline");
    let held = false;
    const seek = (event) => state.seek(((event.offsetX - 8) / (this.view.width - 16)) * this.replay.n_loops);
    this.canvas.addEventListener("pointerdown", (event) => { held = true; this.canvas.setPointerCapture(event.pointerId); seek(event); });
    this.canvas.addEventListener("pointermove", (event) => {
      this.pointer = event.offsetX;
      if (held) seek(event);
      state.redraw();
    });
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => { held = false; });
    this.canvas.addEventListener("pointerleave", () => { this.pointer = null; state.redraw(); });
  }

  show(replay, moment) {
    Object.assign(this, { replay, moment });
    this.canvas.setAttribute("aria-valuemax", replay.n_steps);
    this.redone();
  }

  // What does not move is painted anew: other colours, or another battle.
  redone() { this.layer = null; }

  x(loop) { return 8 + (loop / Math.max(this.replay.n_loops, 1)) * (this.view.width - 16); }

  draw() {
    const { canvas, view, moment } = this, ctx = canvas.getContext("2d");
    if (resize(canvas, view)) this.layer = null;
    this.layer ??= this.render();
    ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    ctx.clearRect(0, 0, view.width, view.height);
    ctx.drawImage(this.layer, 0, 0, view.width, view.height);
    const now = this.x(moment.time);
    ctx.fillStyle = `${COLOURS.card}a0`;
    ctx.fillRect(now, 0, view.width - now, view.height);
    ctx.fillStyle = COLOURS.pick;
    ctx.fillRect(now - 1, 0, 2, view.height);
    ctx.beginPath();
    ctx.arc(now, 5, 5, 0, 7);
    ctx.fill();
    canvas.setAttribute("aria-valuenow", moment.played);
    if (this.pointer != null) this.hint(ctx);
  }

  hint(ctx) {
    const { replay, view } = this, part = (this.pointer - 8) / (view.width - 16);
    const loop = Math.round(Math.max(0, Math.min(part, 1)) * replay.n_loops);
    ctx.fillStyle = `${COLOURS.pick}50`;
    ctx.fillRect(this.x(loop), 0, 1, view.height);
    ctx.fillStyle = COLOURS.text;
    ctx.font = "11px system-ui, sans-serif";
    ctx.textAlign = this.pointer > view.width - 110 ? "right" : "left";
    const side = ctx.textAlign === "left" ? 5 : -5;
    ctx.fillText(`step ${Math.floor(loop / replay.step_mul)} · loop ${loop}`, this.x(loop) + side, 13);
  }

  render() {
    const { replay, view } = this, layer = document.createElement("canvas"), ctx = layer.getContext("2d");
    layer.width = view.width * view.ratio;
    layer.height = view.height * view.ratio;
    ctx.scale(view.ratio, view.ratio);
    const low = view.height - 16, high = 8;
    for (const side of ["enemy", "ally"]) {
      ctx.beginPath();
      ctx.moveTo(this.x(0), low);
      replay.held[side].forEach((part, loop) => ctx.lineTo(this.x(loop), low - part * (low - high)));
      ctx.lineTo(this.x(replay.n_loops), low);
      ctx.fillStyle = `${COLOURS[side]}2c`;
      ctx.fill();
      ctx.beginPath();
      replay.held[side].forEach((part, loop) => ctx.lineTo(this.x(loop), low - part * (low - high)));
      ctx.strokeStyle = COLOURS[side];
      ctx.lineWidth = 1.5;
      ctx.stroke();
    }
    for (const { loop, unit } of replay.deaths) this.death(ctx, loop, replay.side[unit], low);
    this.scale(ctx, low);
    return layer;
  }

  // A tick and a cross in the colour of the side that loses somebody.
  death(ctx, loop, side, low) {
    const x = this.x(loop), y = side === "ally" ? low - 5 : low - 14, r = 2.8;
    ctx.strokeStyle = `${COLOURS[side]}38`;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(x, 6); ctx.lineTo(x, low);
    ctx.stroke();
    ctx.strokeStyle = COLOURS[side];
    ctx.lineWidth = 1.6;
    ctx.beginPath();
    ctx.moveTo(x - r, y - r); ctx.lineTo(x + r, y + r); ctx.moveTo(x + r, y - r); ctx.lineTo(x - r, y + r);
    ctx.stroke();
  }

  scale(ctx, low) {
    const { replay, view } = this;
    const every = [1, 2, 5, 10, 20, 50, 100, 200].find((n) => (n * (view.width - 16)) / Math.max(replay.n_steps, 1) > 44) || 500;
    ctx.fillStyle = COLOURS.dim;
    ctx.font = "10px system-ui, sans-serif";
    ctx.textAlign = "center";
    ctx.fillRect(this.x(0), low, view.width - 16, 1);
    for (let step = 0; step <= replay.n_steps; step += every) {
      const x = this.x(step * replay.step_mul);
      ctx.fillRect(x, low, 1, 4);
      ctx.fillText(step ? step : "step 0", Math.min(Math.max(x, 20), view.width - 10), view.height - 3);
    }
  }
}
