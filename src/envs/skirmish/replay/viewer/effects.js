// What passes between units: orders, shots, heals, blasts.

const AFTERGLOW = 5;    // loops that a shot stays visible after its hit
const BLAST_LOOPS = 11; // loops that a blast stays visible

class Effects {
  constructor(replay, moment) {
    this.replay = replay;
    this.moment = moment;
  }

  draw(ctx, view) {
    this.blasts(ctx, view);
    ctx.save();
    if (COLOURS.scheme === "dark") ctx.globalCompositeOperation = "lighter";    // light on light would be white
    ctx.lineCap = "round";
    this.shots(ctx, view);
    ctx.restore();
    this.heals(ctx, view);
  }

  shots(ctx, view) {
    const { shots, flight } = this.replay, { time } = this.moment;
    let low = 0, high = shots.length;
    while (low < high) {    // first shot that still glows
      const middle = (low + high) >> 1;
      if (shots[middle].hit < time - 8) low = middle + 1;
      else high = middle;
    }
    const kinds = [this.bullet, this.blow, this.missile, this.sweep];
    for (let k = low; k < shots.length && shots[k].hit <= time + flight + 2; k++) kinds[shots[k].style].call(this, ctx, view, shots[k]);
  }

  colour(unit, alpha) {
    const hex = Math.round(Math.max(0, Math.min(1, alpha)) * 255).toString(16).padStart(2, "0");
    return mix(COLOURS[this.replay.side[unit]], COLOURS.glow, 0.3) + hex;
  }

  // Ends of a shot on the canvas: on the rims of the two discs.
  ends(view, { from, to }, begin = this.moment.time) {
    const a = this.moment.place(from, begin), b = this.moment.place(to, this.moment.time);
    const distance = Math.hypot(b.x - a.x, b.y - a.y) || 1, ux = (b.x - a.x) / distance, uy = (b.y - a.y) / distance;
    const out = Math.min(this.replay.kind[from].radius, distance / 2), into = Math.min(this.replay.kind[to].radius * 0.6, distance / 2);
    return {
      x0: view.x(a.x + ux * out), y0: view.y(a.y + uy * out), x1: view.x(b.x - ux * into), y1: view.y(b.y - uy * into), ux, uy: -uy,
    };
  }

  bullet(ctx, view, shot) {
    const age = this.moment.time - shot.hit + 0.6;
    if (age < 0 || age > AFTERGLOW) return;
    const fade = 1 - age / AFTERGLOW, { x0, y0, x1, y1 } = this.ends(view, shot);
    const glow = ctx.createLinearGradient(x0, y0, x1, y1);
    glow.addColorStop(0, this.colour(shot.from, fade * 0.45));
    glow.addColorStop(1, this.colour(shot.from, fade * 0.95));
    this.line(ctx, x0, y0, x1, y1, glow, Math.max(1.2, view.scale * 0.05));
    if (age < 2) this.dot(ctx, x0, y0, view.scale * 0.16, COLOURS.bullet, (1 - age / 2) * 0.9);
    this.dot(ctx, x1, y1, view.scale * 0.12, COLOURS.spark, fade);
  }

  blow(ctx, view, shot) {
    const age = this.moment.time - shot.hit + 1;
    if (age < 0 || age > AFTERGLOW) return;
    const fade = 1 - age / AFTERGLOW, { x1, y1, ux, uy } = this.ends(view, shot), angle = Math.atan2(uy, ux);
    const reach = 0.45 * view.scale, swing = Math.min(age / 1.5, 1) * 1.9 - 0.95;
    ctx.strokeStyle = this.colour(shot.from, fade);
    ctx.lineWidth = Math.max(1.5, view.scale * 0.11);
    ctx.beginPath();
    ctx.arc(x1 - ux * reach * 0.7, y1 - uy * reach * 0.7, reach, angle - 0.95, angle + swing);
    ctx.stroke();
  }

  missile(ctx, view, shot) {
    const { time } = this.moment;
    if (time < shot.start || time > shot.hit + 3) return;
    const part = Math.min((time - shot.start) / Math.max(shot.hit - shot.start, 0.1), 1);
    const { x0, y0, x1, y1 } = this.ends(view, shot, shot.start), r = Math.max(2, view.scale * 0.12);
    if (part >= 1) {
      this.burst(ctx, x1, y1, r * (1.5 + time - shot.hit), this.colour(shot.from, 0.8 * (1 - (time - shot.hit) / 3)));
      return;
    }
    const x = x0 + (x1 - x0) * part, y = y0 + (y1 - y0) * part, tail = Math.max(0, part - 1.1 * view.scale / (Math.hypot(x1 - x0, y1 - y0) || 1));
    const glow = ctx.createLinearGradient(x0 + (x1 - x0) * tail, y0 + (y1 - y0) * tail, x, y);
    glow.addColorStop(0, this.colour(shot.from, 0));
    glow.addColorStop(1, this.colour(shot.from, 0.9));
    this.line(ctx, x0 + (x1 - x0) * tail, y0 + (y1 - y0) * tail, x, y, glow, r);
    this.dot(ctx, x, y, r * 1.6, COLOURS.spark, 0.95);
  }

  // Two beams that run along a strip across the shot, in opposite directions.
  sweep(ctx, view, shot) {
    const { time } = this.moment;
    if (time < shot.start || time > shot.hit + 7) return;
    const part = Math.min((time - shot.start) / Math.max(shot.hit - shot.start, 0.1), 1);
    const { x0, y0, x1, y1, ux, uy } = this.ends(view, shot), half = 1.25 * view.scale, fade = 1 - Math.max(0, time - shot.hit) / 7;
    const at = (along) => [x1 - uy * along, y1 + ux * along];
    for (const way of [1, -1]) {
      const [x, y] = at(way * half * (2 * part - 1));
      this.line(ctx, ...at(-way * half), x, y, `${COLOURS.beam}${fade > 0.5 ? "60" : "30"}`, view.scale * 0.3 * fade);
      if (part >= 1) continue;
      this.line(ctx, x0, y0, x, y, this.colour(shot.from, 0.3), Math.max(3, view.scale * 0.18));
      this.line(ctx, x0, y0, x, y, COLOURS.spark, Math.max(1, view.scale * 0.05));
      this.dot(ctx, x, y, view.scale * 0.3, COLOURS.beam, 0.9);
    }
  }

  heals(ctx, view) {
    ctx.lineCap = "round";
    const { time } = this.moment, green = COLOURS.heal;
    for (const heal of this.replay.heals) {
      if (time < heal.first - 1 || time > heal.last + 1) continue;
      const { x0, y0, x1, y1 } = this.ends(view, heal), r = this.replay.kind[heal.to].radius * view.scale;
      this.line(ctx, x0, y0, x1, y1, `${green}40`, Math.max(3, view.scale * 0.22));
      ctx.setLineDash([view.scale * 0.3, view.scale * 0.22]);
      ctx.lineDashOffset = -time * view.scale * 0.12;
      this.line(ctx, x0, y0, x1, y1, `${green}e0`, Math.max(1.2, view.scale * 0.07));
      ctx.setLineDash([]);
      const place = this.moment.place(heal.to, time);
      for (const shift of [0, 0.5]) {
        const rise = (time / 14 + shift) % 1, x = view.x(place.x) + (shift - 0.25) * r * 2, y = view.y(place.y) - r * (2 * rise - 0.4);
        const arm = view.scale * 0.12, alpha = Math.round(Math.sin(rise * Math.PI) * 255).toString(16).padStart(2, "0");
        this.line(ctx, x - arm, y, x + arm, y, green + alpha, 2);
        this.line(ctx, x, y - arm, x, y + arm, green + alpha, 2);
      }
    }
  }

  blasts(ctx, view) {
    const { time } = this.moment, colour = COLOURS.blast;
    for (const { loop, unit, blast } of this.replay.deaths) {
      const age = time - loop + 0.5;
      if (!blast || age < 0 || age > BLAST_LOOPS) continue;
      const fade = 1 - age / BLAST_LOOPS, place = this.moment.place(unit, time), r = blast * view.scale * Math.min(1, 0.35 + age / 3);
      const x = view.x(place.x), y = view.y(place.y), fill = ctx.createRadialGradient(x, y, 0, x, y, r);
      const alpha = (part) => Math.round(part * fade * 255).toString(16).padStart(2, "0");
      fill.addColorStop(0, (age < 3 ? COLOURS.spark : colour) + alpha(0.75));
      fill.addColorStop(0.55, colour + alpha(0.3));
      fill.addColorStop(1, colour + alpha(0.06));
      ctx.fillStyle = fill;
      ctx.beginPath();
      ctx.arc(x, y, r, 0, 7);
      ctx.fill();
      this.burst(ctx, x, y, r, colour + alpha(0.9));
    }
  }

  // Where units are going and whom they are after; of one unit, or of all.
  orders(ctx, view, units) {
    const { replay, moment } = this;
    ctx.save();
    for (const unit of units) {
      const i = moment.loop * replay.n_units + unit, order = replay.order[i], target = replay.target[i];
      if (!moment.alive(unit) || order === IDLE) continue;
      const colour = order === HEAL || replay.kind[unit].heals ? COLOURS.heal : COLOURS[replay.side[unit]];
      ctx.strokeStyle = ctx.fillStyle = `${colour}a0`;
      ctx.lineWidth = 1.3;
      ctx.setLineDash([]);
      if (order !== MOVE && target >= 0) {
        const { x0, y0, x1, y1 } = this.ends(view, { from: unit, to: target });
        this.arrow(ctx, x0, y0, x1, y1);
      } else if (replay.goal_x && (order === MOVE || order === ATTACK_MOVE)) {
        const dx = replay.goal_x[i] / replay.place_scale - moment.x[unit], dy = replay.goal_y[i] / replay.place_scale - moment.y[unit];
        const length = Math.hypot(dx, dy), part = Math.min(1, 2.5 / (length || 1));
        if (length < 0.3) continue;
        ctx.setLineDash([5, 4]);
        const x = view.x(moment.x[unit]), y = view.y(moment.y[unit]);
        this.arrow(ctx, x, y, x + dx * part * view.scale, y - dy * part * view.scale);
      }
    }
    ctx.restore();
  }

  arrow(ctx, x0, y0, x1, y1) {
    const angle = Math.atan2(y1 - y0, x1 - x0);
    ctx.beginPath();
    ctx.moveTo(x0, y0);
    ctx.lineTo(x1, y1);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x1, y1);
    for (const turn of [2.7, -2.7]) ctx.lineTo(x1 + Math.cos(angle + turn) * 8, y1 + Math.sin(angle + turn) * 8);
    ctx.fill();
  }

  line(ctx, x0, y0, x1, y1, style, width) {
    ctx.strokeStyle = style;
    ctx.lineWidth = width;
    ctx.beginPath();
    ctx.moveTo(x0, y0);
    ctx.lineTo(x1, y1);
    ctx.stroke();
  }

  dot(ctx, x, y, r, colour, alpha) {
    const glow = ctx.createRadialGradient(x, y, 0, x, y, r * 1.8);
    const hex = (part) => Math.round(Math.max(0, part) * 255).toString(16).padStart(2, "0");
    glow.addColorStop(0, colour + hex(alpha));
    glow.addColorStop(1, `${colour}00`);
    ctx.fillStyle = glow;
    ctx.beginPath();
    ctx.arc(x, y, r * 1.8, 0, 7);
    ctx.fill();
  }

  burst(ctx, x, y, r, colour) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = 2;
    ctx.beginPath();
    ctx.arc(x, y, r, 0, 7);
    ctx.stroke();
  }
}
